#!/bin/bash
# The policies of docs/COOKBOOK.md: each block that is fenced as "policy" is
# one that `sgbridge check` takes, at most with warnings, and each question in
# an `# explain ... -> permit|deny` line has the answer that stands there.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=$(cd "${1:-build}" && pwd) || exit 1
page=docs/COOKBOOK.md
passed=0 failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# ok NAME WANTED GOT: GOT must match the pattern WANTED as a whole.
ok() {
	if [[ $3 =~ ^($2)$ ]]; then
		passed=$((passed + 1))
		echo "ok $1"
	else
		failed=$((failed + 1))
		echo "not ok $1: $3, wanted $2"
		sed 's/^/# /' "$work/out"
	fi
}
# Blocks become files 01.conf, 02.conf, ... with their heading beside them.
awk -v dir="$work" '
	/^## / { title = substr($0, 4) }
	/^```policy$/ {
		file = sprintf("%s/%02d", dir, ++n)
		print title >file ".title"
		on = 1
		next
	}
	/^```/ { on = 0 }
	on { print >file ".conf" }' "$page"

# The answer is the exit status and the first word, which must agree.
answer() {
	local status first
	"$build/sgbridge" explain --color never -p "$@" >"$work/out" 2>&1
	status=$?
	read -r first _ <"$work/out"
	echo "$first $status"
}
questions=0
for file in "$work"/*.conf; do
	title=$(<"${file%.conf}.title")
	"$build/sgbridge" check --color never "$file" >"$work/out" 2>&1
	ok "check: $title" '0|1' $?
	grep -q '^# explain ' "$file" || ok "asked: $title" question none
	while IFS= read -r line; do
		questions=$((questions + 1))
		want=${line##* -> }
		line=${line#\# explain }
		line=${line% -> *}
		# Words as a shell splits them, and nothing else of a shell.
		mapfile -t words < <(xargs -n 1 printf '%s\n' <<<"$line")
		case $want in
		permit) want='permit 0' ;;
		deny) want='deny 1' ;;
		esac
		ok "explain $line" "$want" "$(answer "$file" "${words[@]}")"
	done < <(grep '^# explain ' "$file")
done
ok "blocks of policy, and as many files" "$(grep -c '^```policy$' "$page")" \
	"$(find "$work" -name '*.conf' | wc -l)"
: >"$work/out"
ok "a page of a dozen recipes, with questions" yes \
	"$([ "$(find "$work" -name '*.conf' | wc -l)" -ge 12 ] &&
		[ "$questions" -ge 30 ] && echo yes)"
# The page's own questions, of its first policy as a draft; a warning, as it
# says.
# shellcheck source=tests/block.sh
. tests/block.sh
cp "$work/01.conf" "$work/draft.conf"
text=$(block $page ask)
(cd "$work" && PATH=$build:$PATH bash -c "trap '[ \$? -le 1 ] || exit' ERR
	$text" >"$work/out" 2>&1)
ok "the page's own questions" '0' $?
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
