#!/bin/sh
# What could not be looked at, or not to its end, is said, and so is an option
# that would do nothing.
build=${1:-build}
cd "$(dirname "$0")/../.." || exit 1
exec python3 tests/check/audit_unread.py "$build"
