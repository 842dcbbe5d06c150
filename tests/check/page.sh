#!/bin/bash
# Exported pages: read with a real HTML parser, every hash computed again, no
# reference to anything outside, hostile text inert; with the player where npm
# gives it, and in a browser where there is one.
set -u
build=$(cd "${1:-build}" && pwd)
cd "$(dirname "$0")/../.." || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HOME=$work XDG_STATE_HOME=$work/state
install -m 600 tests/vectors/identity.pem "$work/identity.pem"
passed=0 failed=0
ok() {
	local name=$1
	shift
	if "$@" >"$work/detail" 2>&1; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "not ok: $name"
		head -c 2000 "$work/detail"
	fi
}
page() {
	"$build/sgbridge-audit" export -i "$work/identity.pem" -f html \
		-o "$work/$1" --player "$2" "$3" 2>"$work/err"
}
vector=tests/vectors/shells/bash.sgr
ok "without a player" page plain.html none "$vector"
ok "the page is right" python3 tests/check/page.py "$work/plain.html" -
mkdir "$work/bad"
ok "a player that is not there: a page, and a word" eval '
	page gone.html "$work/nowhere" "$vector" &&
	grep -q "make player" "$work/err" &&
	python3 tests/check/page.py "$work/gone.html" -'
printf 'x</script><script>alert(1)' >"$work/bad/asciinema-player.min.js"
echo 'p{}' >"$work/bad/asciinema-player.css"
ok "a player that would end its element is not taken" eval '
	page bad.html "$work/bad" "$vector" && grep -q "cannot be put" "$work/err" &&
	python3 tests/check/page.py "$work/bad.html" -'

# What a hostile target prints, as an imported recording.
python3 - >"$work/hostile.cast" <<'END'
import json
print(json.dumps({"version": 2, "width": 80, "height": 24}))
texts = ["</script><script>alert(1)</script>", "</pre><img src=x onerror=alert(1)>",
         "<!-- ", "]]>", "\x1b]8;;javascript:alert(1)\x07link\x1b]8;;\x07",
         "\x1b]133;A\x07$ \x1b]133;B\x07</li><b>\r\n\x1b]133;C\x07"
         "\x1b]133;D;0\x07", "\u2028\u202e&lt;"]
for n, text in enumerate(texts):
    print(json.dumps([n, "o", text + "\r\n"]))
END
"$build/sgbridge-audit" keygen -i "$work/identity.pem" >/dev/null 2>&1
"$build/sgbridge-audit" writer-keygen -o "$work/writer" >/dev/null 2>&1
ok "a hostile recording" "$build/sgbridge-audit" import --key "$work/writer" \
	-i "$work/identity.pem" -o "$work/hostile.sgr" "$work/hostile.cast"
ok "its page" page hostile.html none "$work/hostile.sgr"
ok "is inert" python3 tests/check/page.py "$work/hostile.html" -

# --- with the player
player=$build/player
[ -e "$player/asciinema-player.min.js" ] ||
	conf/player/fetch.sh "$work/player" 2>"$work/err" && player=$work/player
[ -e "$player/asciinema-player.min.js" ] || player=$build/player
if [ -e "$player/asciinema-player.min.js" ]; then
	ok "with the player" page play.html "$player" "$vector"
	ok "the page with it is right" python3 tests/check/page.py \
		"$work/play.html" "$player"
	ok "a hostile one, too" eval '
		page evil.html "$player" "$work/hostile.sgr" &&
		python3 tests/check/page.py "$work/evil.html" "$player"'
	printf 'x' >"$work/short.tgz"
	ok "a package that is another one is refused" eval '
		! PLAYER_ARCHIVE="$work/short.tgz" conf/player/fetch.sh \
			"$work/none" && [ ! -e "$work/none" ]'
else
	echo "skip: pages with the player: $(tail -n 1 "$work/err")"
fi

# --- in a browser
browser=$(command -v chromium || true)
# dom PAGE: as it is after its scripts have run; what it complains of in err
dom() {
	timeout 60 "$browser" --headless --no-sandbox --disable-gpu \
		--user-data-dir="$work/profile" --enable-logging=stderr \
		--virtual-time-budget=3000 --dump-dom "file://$work/$1" \
		2>"$work/err"
}
if [ -n "$browser" ] && [ -e "$work/play.html" ]; then
	ok "the player starts, under the policy" eval '
		dom play.html >"$work/dom" && grep -q "ap-control-bar" "$work/dom" &&
		! grep -i "refused\|CONSOLE.*error" "$work/err"'
	# A page that is not ours any more: it clicks on its own tenth command.
	python3 - "$work" <<-'END'
		import sys
		page = open(sys.argv[1] + "/play.html").read()
		at = page.index("<meta http-equiv")
		page = page[:at] + page[page.index(">", at) + 1:]
		page = page.replace("</body>", "<script>setTimeout(function(){document"
		    ".querySelectorAll('button[data-marker]')[9].click();},500)</script>"
		    "</body>")
		open(sys.argv[1] + "/click.html", "w").write(page)
	END
	ok "a click on a command goes there" eval '
		dom click.html | sed "s/<style.*<.style>//; s/.*class=.ap-term-text//" |
			grep -q "echo paste1"'
	ok "a hostile page runs nothing" eval '
		dom evil.html >"$work/dom" && ! grep -q "<img" "$work/dom"'
else
	echo "skip: in a browser: no chromium here, or no player"
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
