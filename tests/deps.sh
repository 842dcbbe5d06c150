#!/bin/sh
# Installs the Debian packages that are named and missing. Asks for nothing;
# says what to do where it may not install.
set -eu
missing=
for package; do
	state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) ||
		state=
	[ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
	echo "These packages are missing; as root: apt-get install$missing" >&2
	exit 1
fi
echo "Installing:$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
# A package may start a service (sshd, auditd); this machine's own settings
# decide about that, not we.
# shellcheck disable=SC2086
{ apt-get update -q && apt-get install -qy --no-install-recommends $missing; } \
	>"$log" 2>&1 || {
	tail -n 20 "$log" >&2
	echo "apt-get failed; install by hand:$missing" >&2
	exit 1
}
