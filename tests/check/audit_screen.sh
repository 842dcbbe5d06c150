#!/bin/sh
# What was on the screen is found, whatever pushed, overwrote or hid it.
build=${1:-build}
cd "$(dirname "$0")/../.." || exit 1
exec python3 tests/check/audit_screen.py "$build"
