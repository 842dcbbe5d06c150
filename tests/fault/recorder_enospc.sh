#!/bin/bash
# A full disk, on a small tmpfs in a mount namespace of its own: nothing that
# was acknowledged is missing, the recording is ended and says so, new ones are
# refused, and the recorder goes on when there is room again.
set -u
build=${1:-build}
cd "$(dirname "$0")/../.." || exit 1
if [ "$(id -u)" -ne 0 ]; then
	echo "recorder_enospc.sh: needs root for a tmpfs"
	exit 77
fi
if [ -z "${SGB_IN_NAMESPACE:-}" ]; then
	SGB_IN_NAMESPACE=1 exec unshare --mount --propagation private \
		"$0" "$build"
fi
work=$(mktemp -d)
pid=
# shellcheck disable=SC2317 # called by the trap
cleanup() {
	[ -n "$pid" ] && kill "$pid" 2>/dev/null && wait "$pid"
	umount "$work/disk" 2>/dev/null
	rm -rf "$work"
}
trap cleanup EXIT
chmod 711 "$work"
mkdir "$work/disk"
mount -t tmpfs -o size=3M,mode=0711 tmpfs "$work/disk" || exit 77
export XDG_STATE_HOME="$work/state"
audit=$PWD/$build/sgbridge-audit
"$audit" keygen -o "$work/reader.pem" >"$work/recipients" 2>/dev/null
"$audit" writer-keygen -o "$work/key" >"$work/writers" 2>/dev/null
chmod 644 "$work/recipients"
cat >"$work/conf" <<CONF
recorder-user 65533:65533
recorder-socket $work/socket
recordings $work/disk/rec
events $work/disk/events
recipients $work/recipients
signing-key $work/key
disk-reserve 64K
audit off
CONF
chmod 644 "$work/conf"
"$build/sgbridge-recorder" -e -c "$work/conf" 2>"$work/log" &
pid=$!
python3 tests/fault/recorder_fill.py "$work" "$audit"
status=$?
[ "$status" -eq 0 ] || cat "$work/log"
exit "$status"
