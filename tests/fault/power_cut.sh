#!/bin/bash
# The power of the recorder's disk is cut at random instants (SGB_CUTS of them,
# SGB_SEED chooses): what it had answered is there when it comes back, and every
# loss is stated. In a mount namespace of its own.
set -u
build=${1:-build}
cd "$(dirname "$0")/../.." || exit 1
if [ "$(id -u)" -ne 0 ] || ! command -v mkfs.xfs >/dev/null; then
	echo "power_cut.sh: needs root, and mkfs.xfs for a disk that can be" \
		"cloned"
	exit 77
fi
if [ -z "${SGB_IN_NAMESPACE:-}" ]; then
	SGB_IN_NAMESPACE=1 exec unshare --mount --propagation private \
		"$0" "$build"
fi
work=$(mktemp -d)
# shellcheck disable=SC2317 # called by the trap
cleanup() {
	umount "$work/after" 2>/dev/null
	umount "$work/disk" 2>/dev/null
	umount "$work/outer" 2>/dev/null
	rm -rf "$work"
}
trap cleanup EXIT
chmod 711 "$work"
mkdir "$work/outer" "$work/disk" "$work/after"
truncate -s 400M "$work/outer.img"
if ! mkfs.xfs -q -m reflink=1 "$work/outer.img" ||
	! mount -o loop "$work/outer.img" "$work/outer"; then
	echo "power_cut.sh: no loop devices, or no XFS, here"
	exit 77
fi
truncate -s 64M "$work/outer/image"
if ! mkfs.ext4 -q -F "$work/outer/image" ||
	! mount -o loop "$work/outer/image" "$work/disk"; then
	echo "power_cut.sh: no ext4 on a loop device on XFS here"
	exit 77
fi
chmod 711 "$work/disk"
PYTHONDONTWRITEBYTECODE=1 python3 tests/fault/power_cut.py "$work" "$build" \
	"${SGB_CUTS:-3}"
status=$?
[ "$status" -eq 0 ] || tail -n 5 "$work"/log "$work"/after.log
exit "$status"
