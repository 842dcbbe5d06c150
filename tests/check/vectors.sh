#!/bin/sh
# Both readers of the recording format, ours and tests/read_sgr.py, agree with
# the vectors and with each other on what is altered.
set -u
build=${1:-build}
cd "$(dirname "$0")/../.." || exit 1
audit=$PWD/$build/sgbridge-audit
tests/read_sgr.py --check tests/vectors
[ $? -eq 77 ] && exit 77
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
install -m 600 tests/vectors/identity.pem "$work/identity.pem"
export XDG_STATE_HOME="$work/state"
passed=0 failed=0

ok() {
	if [ "$2" = "$3" ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "not ok: $1: expected \"$3\", got \"$2\""
	fi
}

# The second half of the quorum is asked of a command, as of a key service.
install -m 600 tests/vectors/identity-rsa.pem "$work/rsa.pem"
openssl pkey -in "$work/rsa.pem" -pubout -out "$work/rsa.pub"
cat >"$work/kms" <<END
#!/bin/sh
sed 's/.*"data":"//;s/".*//' | base64 -d | openssl pkeyutl -decrypt \
	-inkey "$work/rsa.pem" -pkeyopt rsa_padding_mode:oaep \
	-pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256 | base64
END
chmod 700 "$work/kms"
printf 'command %s\nrecipient %s\n' "$work/kms" \
	"$("$audit" keygen -i "$work/rsa.pub")" >"$work/service"
chmod 600 "$work/service"
items() {
	"$audit" export -i "$work/identity.pem" -i "$work/service" -f items \
		"$1" 2>/dev/null
}

for vector in tests/vectors/*.sgr; do
	expect=${vector%.sgr}.expect
	if grep -q '^sha256 ' "$expect"; then
		got="sha256 $(items "$vector" | sha256sum | cut -d' ' -f1)"
	else
		got=$(items "$vector")
	fi
	ok "ours: $vector" "$got" "$(cat "$expect")"
	python=$(tests/read_sgr.py --check tests/vectors |
		grep "${vector##*/}" | cut -c1-4)
	ok "python: $vector" "$python" "ok  "
	"$audit" verify --writer tests/vectors/writers "$vector" >/dev/null
	ok "verify: $vector" $? 0
done

# One changed byte at many places: both refuse, and name the same frame.
vector=tests/vectors/small.sgr
size=$(wc -c <"$vector")
at=0
while [ "$at" -lt "$size" ]; do
	cp "$vector" "$work/changed.sgr"
	byte=$(od -An -tu1 -j "$at" -N 1 "$vector" | tr -d ' ')
	# shellcheck disable=SC2059 # the format is the byte
	printf "\\$(printf '%03o' $((byte ^ 64)))" |
		dd of="$work/changed.sgr" bs=1 seek="$at" conv=notrunc \
			2>/dev/null
	"$audit" verify "$work/changed.sgr" >"$work/verdict"
	ok "ours: byte $at" $? 4
	python=bad
	tests/read_sgr.py "$work/changed.sgr" "$work/identity.pem" \
		>/dev/null 2>&1 && python=good
	ok "python: byte $at" "$python" bad
	at=$((at + 97))
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
