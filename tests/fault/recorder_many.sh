#!/bin/sh
# One recorder and SGB_MANY sessions at once: what it takes for each is bounded,
# and does not grow with what they send.
build=${1:-build}
cd "$(dirname "$0")/../.." || exit 1
if [ "$(id -u)" -ne 0 ]; then
	echo "recorder_many.sh: needs root to start the recorder"
	exit 77
fi
PYTHONDONTWRITEBYTECODE=1 exec python3 tests/fault/recorder_many.py "$build" \
	"${SGB_MANY:-1000}"
