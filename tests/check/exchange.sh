#!/bin/bash
# Recordings go out to other programs and come back: asciicast, ttyrec and
# typescript, each read by the program whose format it is, where that is there.
set -u
cd "$(dirname "$0")/../.." || exit 1
audit=$(realpath "${1:-build}")/sgbridge-audit
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
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
key=$work/reader.pem
"$audit" keygen -o "$key" >/dev/null 2>&1
"$audit" writer-keygen -o "$work/signer" >"$work/writers" 2>/dev/null
take() {
	"$audit" import --key "$work/signer" -i "$key" --why test -o "$@"
}
give() {
	"$audit" export -i "$key" -f "$@" 2>"$work/err"
}

tests/fuzz/import.seeds "$work"
printf '{"version": 2, "width": 80, "height": 24}\n[0.5, "o", "caf\\u00e9 \\u0000\\u001b[31mred\\r\\n"]\n[2.25, "o", "end\\r\\n"]\n' >"$work/cast"
for name in v2 v3 ttyrec cast; do
	take "$work/$name.sgr" "$work/$name" >/dev/null
	ok "import $name" $? 0
	"$audit" verify -i "$key" --writer "$work/writers" "$work/$name.sgr" \
		>/dev/null
	ok "$name is intact" $? 0
	ok "$name names its source" "$("$audit" show -i "$key" \
		"$work/$name.sgr" | grep -c "$(sha256sum <"$work/$name" |
			cut -d' ' -f1)")" 1
	ok "$name is marked" "$("$audit" show -i "$key" "$work/$name.sgr" |
		grep -cE '^(writer .* import by |retention class   imported|  imported )')" 3
done
ok "never over another file" "$(take "$work/v2.sgr" "$work/v2" 2>&1 |
	grep -c exists)" 1

# There and back: the bytes and times are the same.
raw() {
	give raw "$1" | sha256sum
}
for format in asciicast asciicast3 ttyrec; do
	give "$format" -o "$work/out.$format" "$work/cast.sgr"
	take "$work/again.$format.sgr" "$work/out.$format" >/dev/null
	ok "$format and back" "$(raw "$work/again.$format.sgr")" \
		"$(raw "$work/cast.sgr")"
	# The first frame of a ttyrec is its start.
	[ "$format" = ttyrec ] || ok "$format keeps times" "$(give asciicast "$work/again.$format.sgr" |
		cut -d, -f1 | sed 1d)" "$(give asciicast "$work/cast.sgr" |
		cut -d, -f1 | sed 1d)"
done
bytes=$(give raw "$work/cast.sgr" | od -An -tx1)
give script -o "$work/typescript" "$work/cast.sgr"
ok "script makes two files" "$(wc -l <"$work/typescript.timing")" 2
ok "script needs -o" "$(give script "$work/cast.sgr" >/dev/null; echo $?)" 64
if command -v scriptreplay >/dev/null; then
	ok "scriptreplay" "$(scriptreplay -m 0.01 -t "$work/typescript.timing" \
		"$work/typescript" 2>&1 | head -c "$(give raw "$work/cast.sgr" |
			wc -c)" | od -An -tx1)" "$bytes"
fi
if command -v ttyplay >/dev/null; then
	ok "ttyplay" "$(ttyplay -n "$work/out.ttyrec" | od -An -tx1)" "$bytes"
fi
if command -v asciinema >/dev/null; then
	ok "asciinema" "$(script -qec "asciinema cat '$work/out.asciicast'" \
		/dev/null </dev/null | tr -d '\r' | grep -c '^caf')" 1
fi
ok "text" "$(give text -o "$work/text" "$work/cast.sgr"
	sed -n 2p "$work/text")" end

# What is not quite of its format is refused, and leaves nothing.
refused() {
	printf '%b' "$2" >"$work/bad"
	take "$work/bad.sgr" "$work/bad" >/dev/null 2>"$work/err"
	ok "refused: $1" $? 65
	ok "and why: $1" "$(grep -c "$3" "$work/err")" 1
	ok "no file: $1" "$(ls "$work/bad.sgr" 2>/dev/null)" ""
}
head='{"version": 2, "width": 80, "height": 24}\n'
refused empty '' 'empty'
refused 'version 1' '{"version": 1}' 'only 2 and 3'
refused 'no size' '{"version": 2}' 'size'
refused 'not JSON' "${head}[1" 'line 2'
refused 'two members' "${head}[1, \"o\"]" 'expected'
refused 'backwards' "${head}[2, \"o\", \"a\"]\n[1, \"o\", \"a\"]" 'line 3: goes back'
refused 'negative' "${head}[-1, \"o\", \"a\"]" 'line 2'
refused 'a size of nothing' "${head}[1, \"r\", \"0x5\"]" '80x24'
refused 'twice the same' '{"version": 2, "version": 3}' 'JSON'
refused 'a torn frame' '\001\0\0\0\002\0\0\0\004\0\0\0abc' 'byte 0 is longer'
refused 'a torn head' '\001\0\0\0\002' 'byte 0 ends inside'
refused 'microseconds' '\001\0\0\0\0377\0377\0377\0\0\0\0\0' 'million'
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
