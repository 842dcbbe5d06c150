#!/bin/sh
# smoke.sh BUILD SECONDS NAME...: runs each fuzzer for some seconds on a fresh
# corpus (seeded from tests/fuzz/NAME.seeds, if there is one), two at a time.
set -u
if [ "$1" = -1 ]; then
	build=$2 seconds=$3 work=$4 name=$5
	mkdir -p "$work/$name.d"
	seeds=tests/fuzz/$name.seeds
	[ -x "$seeds" ] && "$seeds" "$work/$name.d"
	if "$build/tests/fuzz/$name" -max_total_time="$seconds" -timeout=10 \
		-rss_limit_mb=2048 -artifact_prefix="$work/" \
		"$work/$name.d" >"$work/$name.log" 2>&1; then
		echo "ok fuzz/$name: $(grep -c . "$work/$name.log") lines," \
			"$(sed -n 's/.*Done \([0-9]*\) runs.*/\1/p' \
				"$work/$name.log") runs"
	else
		tail -n 40 "$work/$name.log"
		echo "not ok fuzz/$name"
	fi
	exit 0
fi
build=$1 seconds=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '%s\n' "$@" |
	xargs -P 2 -I '{}' "$0" -1 "$build" "$seconds" "$work" '{}' |
	tee "$work/all"
# One of which nothing was heard has failed, too.
passed=$(grep -c '^ok fuzz/' "$work/all")
failed=$(($# - passed))
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
