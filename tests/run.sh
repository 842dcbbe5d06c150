#!/bin/bash
# Runs every test and adds up. A test program ends in a line "N passed, N
# failed" or is a cmocka program; exit 77 means that it cannot run here, and
# the line above says why. The last line of all is the sum.
# Nothing hangs: what is not done in its time is ended and has failed, and all
# of it ends within SGB_TEST_MINUTES (60). Names that match SGB_MUST_RUN
# ("packages/*") must not be skipped.
set -u
cd "$(dirname "$0")/.." || exit 1
# Whose locale, terminal and shell it is decides nothing.
export LC_ALL=C.UTF-8 TERM=xterm SHELL=/bin/sh PYTHONDONTWRITEBYTECODE=1
unset LANG LANGUAGE
build=${1:-build}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0 failed=0 skipped=0 failures=()
end=$((SECONDS + ${SGB_TEST_MINUTES:-60} * 60))

add() {
	local name=$1 status=$2 seconds=$3 p f
	# A pattern is meant.
	# shellcheck disable=SC2053
	if [ "$status" -eq 77 ] && [[ $name != ${SGB_MUST_RUN:-} ]]; then
		skipped=$((skipped + 1))
		printf 'skip %-34s %s\n' "$name" "$(tail -n 1 "$log")"
		return
	fi
	p=$(sed -n 's/^\([0-9]\+\) passed, [0-9]\+ failed.*/\1/p
		s/^\[  PASSED  \] \([0-9]\+\) test(s)\.*/\1/p' "$log" | tail -n 1)
	f=$(sed -n 's/^[0-9]\+ passed, \([0-9]\+\) failed.*/\1/p
		s/^ *\([0-9]\+\) FAILED TEST(S).*/\1/p' "$log" | tail -n 1)
	# No count and no success is a failure, whatever else it said.
	if [ -z "$p" ] || { [ "$status" -ne 0 ] && [ "${f:-0}" -eq 0 ]; }; then
		f=$((${f:-0} + 1))
	fi
	passed=$((passed + ${p:-0}))
	failed=$((failed + ${f:-0}))
	printf '%-4s %-34s %4d passed %3d failed %4ds\n' \
		"$([ "${f:-0}" -eq 0 ] && echo ok || echo FAIL)" \
		"$name" "${p:-0}" "${f:-0}" "$seconds"
	[ "${f:-0}" -eq 0 ] || explain "$name" "$status" "$seconds"
}

# What failed, and how it ended; the cases that went well tell nothing.
explain() {
	failures+=("$1")
	[ "$2" -ne 124 ] && [ "$2" -ne 137 ] ||
		echo "     | not done after $3 seconds"
	{
		grep -A 10 '^not ok' "$log" | grep -v '^ok ' | head -n 40
		echo ...
		tail -n 12 "$log"
	} | sed 's/^/     | /'
}

# try SECONDS NAME COMMAND...
try() {
	local limit=$1 name=$2 start=$SECONDS
	shift 2
	[ "$limit" -lt $((end - SECONDS)) ] || limit=$((end - SECONDS))
	[ "$limit" -gt 0 ] || limit=1
	timeout -k 20 "$limit" "$@" >"$log" 2>&1 </dev/null
	add "$name" $? $((SECONDS - start))
}

for program in "$build"/tests/unit/*; do
	[ -x "$program" ] && [ -f "$program" ] &&
		try 300 "unit/${program##*/}" "$program"
done
for script in tests/check/*.sh tests/pam/*.sh tests/e2e/*.sh \
	tests/fault/*.sh; do
	[ -x "$script" ] && try 300 "${script#tests/}" "$script" "$build"
done
# These take names of cases as arguments.
for script in tests/session/*.sh; do
	[ -x "$script" ] &&
		try 600 "${script#tests/}" env BUILD="$build" "$script"
done
if [ -z "${SGB_QUICK:-}" ]; then
	try 900 packages/deb.sh tests/packages/deb.sh "$build"
	try 900 packages/newcomer.sh tests/packages/newcomer.sh "$build"
	try 900 packages/guides.sh tests/packages/guides.sh "$build"
	try 900 packages/mistakes.sh tests/packages/mistakes.sh "$build"
	try 900 packages/systemd.sh tests/packages/systemd.sh "$build"
	try 900 fuzz-smoke make --no-print-directory fuzz-smoke
	try 1800 sanitizers tests/sanitize.sh
fi
[ ${#failures[@]} -eq 0 ] || echo "failed: ${failures[*]}"
if [ "$skipped" -gt 0 ]; then
	echo "$passed passed, $failed failed, $skipped skipped"
else
	echo "$passed passed, $failed failed"
fi
[ "$failed" -eq 0 ]
