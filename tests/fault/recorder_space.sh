#!/bin/bash
# No inode or no block left where recordings, index or trail are: small tmpfs
# in a mount namespace of their own.
set -u
build=${1:-build}
cd "$(dirname "$0")/../.." || exit 1
if [ "$(id -u)" -ne 0 ]; then
	echo "recorder_space.sh: needs root for a tmpfs"
	exit 77
fi
if [ -z "${SGB_IN_NAMESPACE:-}" ]; then
	SGB_IN_NAMESPACE=1 exec unshare --mount --propagation private \
		"$0" "$build"
fi
work=$(mktemp -d)
# shellcheck disable=SC2317 # called by the trap
cleanup() {
	umount "$work/rec/index" "$work/rec" "$work/events" 2>/dev/null
	rm -rf "$work"
}
trap cleanup EXIT
chmod 711 "$work"
small() {
	mkdir "$1"
	mount -t tmpfs -o size=3M,nr_inodes=40,mode=0700,uid=65533,gid=65533 \
		tmpfs "$1" || exit 77
}
small "$work/rec"
small "$work/rec/index"
small "$work/events"
make -s --no-print-directory "BUILD=$build" "$build/tests/fault/slow_sync.so" ||
	exit 1
PYTHONDONTWRITEBYTECODE=1 python3 tests/fault/recorder_space.py "$work" \
	"$build"
status=$?
[ "$status" -eq 0 ] || tail -n 30 "$work/log"
exit "$status"
