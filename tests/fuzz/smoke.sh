#!/bin/sh
# smoke.sh BUILD SECONDS NAME...: runs each fuzzer for some seconds on a fresh
# corpus (seeded from tests/fuzz/NAME.seeds, if there is one).
set -u
build=$1 seconds=$2
shift 2
passed=0 failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for name; do
	mkdir -p "$work/$name"
	seeds=tests/fuzz/$name.seeds
	[ -x "$seeds" ] && "$seeds" "$work/$name"
	if "$build/tests/fuzz/$name" -max_total_time="$seconds" -timeout=10 \
		-rss_limit_mb=2048 -artifact_prefix="$work/" \
		"$work/$name" >"$work/log" 2>&1; then
		passed=$((passed + 1))
		echo "ok fuzz/$name: $(grep -c . "$work/log") lines," \
			"$(sed -n 's/.*Done \([0-9]*\) runs.*/\1/p' \
				"$work/log") runs"
	else
		failed=$((failed + 1))
		echo "not ok fuzz/$name"
		tail -n 40 "$work/log"
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
