#!/bin/bash
# A disk that takes longer for one fsync than a silent recorder is waited for:
# the login waits, because the recorder says that it is at work, and is let in.
# A recorder that stands still is given up.
set -u
here=$(cd "$(dirname "$0")/../e2e" && pwd)
BUILD=${1:-build}
# shellcheck source=tests/e2e/lab.sh
. "$here/lab.sh"
make -s --no-print-directory "BUILD=$BUILD" "$BUILD/tests/fault/slow_sync.so" ||
	exit 1
lab_up || exit 1
robot() {
	lab_ssh robot 203.0.113.7 robot+ops@web1@bastion "$@"
}
says() {
	[ "$(robot echo "$1" 2>/dev/null)" = "$1" ]
}
kill "$LAB_RECORDER"
wait_for grep -q service-stop "$LAB"/events/*.jsonl
lab_start "$LAB/recorder2.log" ip netns exec "$lab_tag-bastion" \
	env LD_PRELOAD="$BUILD/tests/fault/slow_sync.so" SLOW_FSYNC="$LAB/slow" \
	ASAN_OPTIONS=verify_asan_link_order=0 \
	"$BUILD/sgbridge-recorder" -e -c "$LAB/sgbridge.conf"
slow=$LAB_LAST
wait_for grep -q 'ready$' "$LAB/recorder2.log"
ok "a login" says quick
echo 6000 >"$LAB/slow"
ok "a login waits for a disk that is slow" says slow
rm "$LAB/slow"
kill -STOP "$slow"
refused() {
	! robot echo REACHED >"$LAB/out" 2>"$LAB/err" && [ ! -s "$LAB/out" ]
}
ok "a recorder that stands still permits nothing" refused
ok "and the log says why" grep -q 'no answer in time' "$LAB/bastion.log"
kill -CONT "$slow"
lab_summary
