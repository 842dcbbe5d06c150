#!/bin/sh
# What is typed without echo is found nowhere, though the recording holds it.
build=${1:-build}
cd "$(dirname "$0")/../.." || exit 1
exec python3 tests/check/audit_typed.py "$build"
