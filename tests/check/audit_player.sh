#!/bin/sh
# The player on a terminal: search, jumps, resize, and a terminal that is as it
# was whatever ends it.
build=${1:-build}
cd "$(dirname "$0")/../.." || exit 1
exec python3 tests/check/audit_player.py "$build"
