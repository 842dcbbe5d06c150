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

# The trail names the key that follows, under the one that is known; a recording
# keeps the key it began with, and the next one has the new.
mkdir "$work/rec" "$work/trail"
trail=$work/trail/2026-11-23.jsonl
cp tests/vectors/rotated.jsonl "$trail"
sed -n 3p tests/vectors/writers >"$work/old"
writer_of() {
	"$audit" show -i "$work/identity.pem" "$1" | sed -n 's/^writer  *//p' |
		cut -c1-16
}
old=$(writer_of tests/vectors/rotated-old.sgr)
new=$(writer_of tests/vectors/rotated-new.sgr)
ok "a recording under each key" "$(printf '%s\n' "$old" "$new" | sort -u | wc -l)" 2
ok "python: the trail leads from one to the other" \
	"$(PYTHONDONTWRITEBYTECODE=1 tests/read_trail.py "$trail" "$work/old" | tr '\n' ' ')" "$old $new "
trail_verdict() {
	"$audit" verify -d "$work/rec" --events "$work/trail" --writer "$1" \
		events >"$work/verdict" 2>&1
	echo $?
}
ok "ours: with both keys the trail is intact" \
	"$(trail_verdict tests/vectors/writers)" 0
ok "ours: with the first alone it is not all known" \
	"$(trail_verdict "$work/old")" 6
ok "ours: the line says which key follows" \
	"$(grep -c "writer $old is followed by writer $new: ed25519 $(sed -n 4p \
		tests/vectors/writers | cut -d' ' -f2)" "$trail")" 1
other=$(sed -n 1p tests/vectors/writers | cut -d' ' -f2)
sed -i "3s,: ed25519 [^\"]*,: ed25519 $other," "$trail"
ok "ours: another key in that line is altered" \
	"$(trail_verdict tests/vectors/writers)" 4
PYTHONDONTWRITEBYTECODE=1 tests/read_trail.py "$trail" "$work/old" >/dev/null 2>&1
ok "python: it is altered, too" $? 4
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
