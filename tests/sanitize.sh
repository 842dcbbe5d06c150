#!/bin/bash
# The suite's parts that run our programs, once more under AddressSanitizer
# and UndefinedBehaviorSanitizer. Any report fails.
set -u
cd "$(dirname "$0")/.." || exit 1
passed=0 failed=0
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT
build="build-san"
make --no-print-directory -j2 BUILD="$build" SANITIZE=address,undefined \
	all unit >"$log/make" 2>&1 || {
	tail -n 20 "$log/make"
	echo "0 passed, 1 failed"
	exit 1
}
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:exitcode=99
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:exitcode=99

# judge NAME COMMAND...: exit status, done in time, and no report in what was
# written.
limit=240
judge() {
	local name=$1 status
	shift
	timeout -k 20 "$limit" "$@" >"$log/out" 2>&1 </dev/null
	status=$?
	if [ "$status" -eq 77 ]; then
		return
	fi
	if [ "$status" -eq 0 ] && ! grep -qE \
		'ERROR: (Address|Leak)Sanitizer|runtime error:' "$log/out"; then
		passed=$((passed + 1))
		echo "ok $name"
	else
		failed=$((failed + 1))
		echo "not ok $name (status $status)"
		grep -nE 'not ok|ERROR: |runtime error:|#[0-9]+ ' "$log/out" |
			head -n 30 | sed 's/^/# /'
	fi
}
for program in "$build"/tests/unit/*; do
	[ -x "$program" ] && [ -f "$program" ] &&
		judge "san/unit/${program##*/}" "$program"
done
# It compiles a monitor of its own, against the same library. Looking for leaks
# needs ptrace, which a confined session process is refused.
limit=600 judge san/session/relay.sh env BUILD="$build" SANITIZE=address,undefined \
	ASAN_OPTIONS=detect_leaks=0 tests/session/relay.sh
for script in tests/pam/sshd.sh tests/check/setup.sh tests/e2e/*.sh; do
	[ -x "$script" ] && judge "san/${script#tests/}" "$script" "$build"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
