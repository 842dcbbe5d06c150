#!/bin/bash
# Recorder, session, monitor and daemon killed at random instants (SGB_KILLS of
# them, SGB_SEED chooses) while real clients copy and type: what they received
# is in recordings that verify.
set -u
here=$(cd "$(dirname "$0")/../e2e" && pwd)
BUILD=${1:-build}
# shellcheck source=tests/e2e/lab.sh
. "$here/lab.sh"
if [ "$(id -u)" -ne 0 ]; then
	echo "session_kill.sh: needs root for namespaces"
	exit 77
fi
lab_up || exit 1
printf 'ed25519 %s lab\n' "$(openssl pkey -in "$LAB/recorder_key" -pubout \
	-outform DER | tail -c 32 | base64)" >"$LAB/writers"
python3 "$here/../fault/session_kill.py" "$LAB" "$lab_tag" "$BUILD" \
	"${SGB_KILLS:-8}"
status=$?
[ "$status" -eq 0 ] || tail -n 20 "$LAB"/*.log
exit "$status"
