#!/bin/sh
# Recordings with several channels, and with many.
build=${1:-build}
cd "$(dirname "$0")/../.." || exit 1
exec python3 tests/check/audit_channels.py "$build"
