#!/bin/sh
# What a hostile recording, store or index can do to the auditor's tools.
build=${1:-build}
cd "$(dirname "$0")/../.." || exit 1
exec python3 tests/check/audit_hostile.py "$build"
