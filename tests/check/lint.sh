#!/bin/bash
# Form: formatting, shell scripts, manual pages, sizes, unfinished marks.
set -u
cd "$(dirname "$0")/../.." || exit 1
passed=0 failed=0
ok() {
	if [ -z "$2" ]; then
		passed=$((passed + 1))
		echo "ok $1"
	else
		failed=$((failed + 1))
		echo "not ok $1"
		printf '%s\n' "$2" | head -n 20 | sed 's/^/# /'
	fi
}
# Each release of it has another opinion; Debian 12's counts.
if clang-format --version | grep -q ' version 14\.'; then
	ok "clang-format" "$(git ls-files '*.c' '*.h' |
		xargs clang-format --dry-run -Werror 2>&1 | grep -E 'error:' |
		cut -d: -f1 | sort | uniq -c)"
else
	echo "# not tried: clang-format 14"
fi
# SC2319: `[ ... ]`, and then what it said, is how tests/pam tells results.
# shellcheck disable=SC2046
ok "shellcheck" "$(shellcheck -x -S warning -e SC2319 $(git ls-files '*.sh') .ci/run 2>&1)"
ok "mandoc -Tlint" "$(mandoc -Tlint -W warning docs/man/*.[1-8] 2>&1)"
ok "each manual page has examples, in blocks" "$(for page in docs/man/*.[1-8]; do
	sed -n '/^\.Sh EXAMPLES/,/^\.Sh SEE/p' "$page" |
		grep -qE '^\.(Bd|Dl)' || echo "$page"
done)"
ok "each program and module has a manual page" "$(for name in \
	$(make -s print-programs); do
	ls docs/man/"${name%.so}".[1-8] >/dev/null 2>&1 || echo "$name"
done)"
ok "no file over 600 lines" "$(git ls-files '*.c' '*.h' | xargs wc -l |
	awk '$1 > 600 && $2 != "total" && $2 !~ /^tests\//')"
ok "no unfinished marks" "$(git grep -nE '\b(TODO|FIXME|XXX)\b' -- '*.c' '*.h' \
	'*.sh' Makefile ':!tests/check/lint.sh')"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
