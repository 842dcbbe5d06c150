# What tests of commands have in common: each is a line, and of one that fails
# its last words. Needs a folder in work. Sourced.
# shellcheck shell=bash disable=SC2154
passed=0 failed=0

# ok NAME COMMAND...
ok() {
	local name=$1
	shift
	if "$@" >"$work/out" 2>&1; then
		passed=$((passed + 1))
		echo "ok $name"
	else
		failed=$((failed + 1))
		echo "not ok $name"
		tail -n 15 "$work/out" | sed 's/^/# /'
	fi
}

ok_summary() {
	echo "$passed passed, $failed failed"
	[ "$failed" -eq 0 ]
}
