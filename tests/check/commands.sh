#!/bin/bash
# How well commands are found: recorded sessions in several shells and psql (completion,
# history, a search backwards, an edit in the middle, a wrap, a paste, vi, a
# hidden password, a pipe into sh), and what was really entered. The figures are
# those that docs/RECORDING.md gives; fewer is a failure, and so is more.
set -u
build=${1:-build}
cd "$(dirname "$0")/../.." || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
install -m 600 tests/vectors/identity.pem "$work/identity.pem"
export XDG_STATE_HOME="$work/state"
passed=0 failed=0

# shell: entered, found right, found wrong
while read -r shell entered right wrong; do
	vector=tests/vectors/shells/$shell
	"$build/sgbridge-audit" commands -i "$work/identity.pem" \
		"$vector.sgr" | cut -c 33- >"$work/got"
	sort "$vector.commands" >"$work/want.sorted"
	sort "$work/got" >"$work/got.sorted"
	r=$(comm -12 "$work/want.sorted" "$work/got.sorted" | wc -l)
	w=$(comm -13 "$work/want.sorted" "$work/got.sorted" | wc -l)
	n=$(wc -l <"$vector.commands")
	echo "$shell: $r of $n, $w wrong"
	if [ "$n $r $w" = "$entered $right $wrong" ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		diff "$work/want.sorted" "$work/got.sorted"
	fi
	if grep -q s3cret <("$build/sgbridge-audit" text \
		-i "$work/identity.pem" "$vector.sgr"); then
		failed=$((failed + 1))
		echo "not ok: the hidden password is on $shell's screen"
	fi
done <<'FIGURES'
bash 14 14 0
bash133 14 14 0
dash 10 9 1
python 4 4 0
psql 14 14 0
zsh 14 13 0
fish 12 12 0
FIGURES

# How far each can be believed is said, and to programs, too.
for pair in bash:screen:likely bash133:osc133:claimed; do
	IFS=: read -r shell source word <<-END
		$pair
	END
	"$build/sgbridge-audit" commands -i "$work/identity.pem" --json \
		"tests/vectors/shells/$shell.sgr" >"$work/got"
	if grep -q "\"source\":\"$source\",\"confidence\":\"$word\"" \
		"$work/got" && ! grep -v '"confidence":"[a-z]*"' "$work/got"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "not ok: confidence of $source"
	fi
done

# search goes on behind a recording whose emulator died. Here all of them do,
# by a limit of memory that they may not raise: each recording is searched in
# its bytes, and a line says so.
mkdir -p "$work/rec/2026/11/23"
for shell in bash zsh fish; do
	id=$("$build/sgbridge-audit" show -i "$work/identity.pem" \
		"tests/vectors/shells/$shell.sgr" | sed -n 's/^recording  *//p')
	cp "tests/vectors/shells/$shell.sgr" "$work/rec/2026/11/23/$id.sgr"
done
if ! grep -q __asan_init "$build/sgbridge-audit" && [ "$(id -u)" = 0 ]; then
	(
		ulimit -v 300000
		setpriv --bounding-set -sys_resource --inh-caps -all \
			"$build/sgbridge-audit" search -d "$work/rec" \
			-i "$work/identity.pem" paste2
	) >"$work/found" 2>"$work/err"
	if [ "$(cut -d' ' -f1 "$work/found" | sort -u | wc -l)" = 3 ] &&
		[ "$(grep -c 'given up' "$work/err")" = 3 ] &&
		! grep -q ' screen ' "$work/found"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "not ok: search stops where an emulator died"
		cat "$work/found" "$work/err"
	fi
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
