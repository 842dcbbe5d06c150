#!/bin/sh
# What verify, ls, search and the rest say about a store, whole and changed.
build=${1:-build}
cd "$(dirname "$0")/../.." || exit 1
exec python3 tests/check/audit_store.py "$build"
