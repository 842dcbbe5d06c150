#!/bin/bash
# `make sbom`: well-formed CycloneDX, the same bytes twice, and true: each
# library that readelf sees is there with the version that dpkg has installed,
# and no program is missing.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${1:-build}
command -v dpkg-query >/dev/null || {
	echo "needs a Debian host"
	exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# shellcheck source=tests/check/ok.sh
. tests/check/ok.sh
version=$(sed -n 's/^VERSION := //p' Makefile)
make_one() { SOURCE_DATE_EPOCH=1790000000 conf/sbom.py "$build" "$version" >"$1"; }
ok "it is made" make_one "$work/one"
ok "the same bytes again" eval 'make_one "$work/two" && cmp "$work/one" "$work/two"'
cat >"$work/form.py" <<'END'
import json, re, sys
d = json.load(open(sys.argv[1]))
allowed = {"bomFormat", "specVersion", "serialNumber", "version", "metadata",
           "components", "dependencies"}
assert set(d) == allowed, set(d) ^ allowed
assert d["bomFormat"] == "CycloneDX" and d["specVersion"] == "1.5"
assert type(d["version"]) is int and d["version"] >= 1
assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
                    d["serialNumber"])
assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
                    d["metadata"]["timestamp"])
every = d["components"] + [d["metadata"]["component"]]
refs = [c["bom-ref"] for c in every]
assert len(refs) == len(set(refs))
for c in every:
    assert c["type"] in ("application", "library"), c
    assert c["name"] and c["version"]
    assert re.fullmatch(r"pkg:[a-z]+/[^ ]+@[^ ]+", c["purl"]), c["purl"]
    for h in c.get("hashes", []):
        assert h["alg"] == "SHA-256"
        assert re.fullmatch("[0-9a-f]{64}", h["content"])
told = [e["ref"] for e in d["dependencies"]]
assert sorted(told) == sorted(refs), set(told) ^ set(refs)
for e in d["dependencies"]:
    assert len(e["dependsOn"]) == len(set(e["dependsOn"]))
    assert set(e["dependsOn"]) <= set(refs), e
END
ok "it has the form of CycloneDX 1.5" python3 "$work/form.py" "$work/one"
each() { jq -r "$1" "$work/one"; }
programs() {
	local path name
	for path in "$build"/sgbridge* "$build"/pam_sgbridge.so; do
		[ -f "$path" ] && [ -x "$path" ] || continue
		name=${path##*/}
		[ "$(each ".components[] | select(.name == \"$name\") |
			.hashes[0].content")" = \
			"$(sha256sum <"$path" | cut -d' ' -f1)" ] || {
			echo "$name"
			return 1
		}
		readelf -dW "$path" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/lib:\1/p' |
			grep -v ld-linux | sort >"$work/needed"
		each ".dependencies[] | select(.ref == \"sgbridge:$name\") |
			.dependsOn[]" | grep ^lib: | sort | diff "$work/needed" - || return 1
	done
}
ok "each program is there, with what it links" programs
versions() {
	each '.components[] | select(.purl | startswith("pkg:deb/")) |
		[.name, .version] | @tsv' | sort -u >"$work/told"
	[ -s "$work/told" ] || return 1
	cut -f1 "$work/told" | xargs dpkg-query -W \
		-f '${Package}\t${Version}\n' | sort -u | diff "$work/told" -
}
ok "each library has the version that is installed" versions
# The player of exported pages is not linked, but shipped where it was fetched.
with_player() {
	local copy=$work/build
	mkdir -p "$copy/player" && cp "$build/sgbridge-audit" "$copy/" || return
	conf/sbom.py "$copy" "$version" >"$work/without" &&
		! grep -q asciinema "$work/without" || return
	echo 'play()' >"$copy/player/asciinema-player.min.js"
	SOURCE_DATE_EPOCH=1790000000 conf/sbom.py "$copy" "$version" \
		>"$work/with" && python3 "$work/form.py" "$work/with" &&
		jq -e --arg hash "$(echo 'play()' | sha256sum | cut -d' ' -f1)" \
			'any(.components[]; .name == "asciinema-player" and
			.hashes[0].content == $hash) and
			any(.dependencies[]; .ref == "sgbridge:sgbridge-audit" and
			(.dependsOn | index("player:asciinema-player")))' \
			"$work/with"
}
ok "the player is there if it is shipped" with_player
ok_summary
