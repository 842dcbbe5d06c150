#!/bin/sh
# The recorder killed at random instants (SGB_KILLS of them, SGB_SEED chooses):
# nothing that was acknowledged is lost, and every loss is stated.
build=${1:-build}
cd "$(dirname "$0")/../.." || exit 1
exec python3 tests/fault/recorder_kill.py "$build" "${SGB_KILLS:-12}"
