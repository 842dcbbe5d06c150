#!/bin/bash
# What .ci/run relies on: the line that a newcomer to a bare Debian types is the
# README's, what building needs is less than what testing needs, and a skipped
# test of packages is a failure there and nowhere else.
set -u
cd "$(dirname "$0")/../.." || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# shellcheck source=tests/check/ok.sh
. tests/check/ok.sh

# What .ci/run would run without make, by names that only tell.
bare() {
	mkdir -p "$work/bin" "$work/ci/.ci" &&
		cp README.md "$work/ci/" && cp .ci/run "$work/ci/.ci/" || return
	local name
	for name in bash dirname sed; do
		ln -s "$(command -v $name)" "$work/bin/$name"
	done
	printf '#!%s\necho "$@" >>%s/said\n' "$(command -v bash)" "$work" \
		>"$work/bin/apt-get"
	chmod 0755 "$work/bin/apt-get"
	env -i PATH="$work/bin" "$work/ci/.ci/run" 2>/dev/null
	printf 'update\ninstall -y make git\n' | diff - "$work/said"
}
ok "a bare host: make and git come first" bare
ok "the quick start says the same" grep -qxF \
	"$(grep '^    apt-get update' README.md)" docs/QUICKSTART.md
few() {
	local name
	make -s print-build-deps | tr ' ' '\n' >"$work/few"
	grep -qx gcc "$work/few" && grep -qx libssh-dev "$work/few" || return
	for name in $(make -s print-deps); do
		grep -qxF "$name" "$work/few" && continue
		case $name in
		gcc | make | *-dev) [[ $name =~ cmocka|clang-rt ]] || return 1 ;;
		esac
	done
	! grep -E 'auditd|rsyslog|pwquality|openssh|ansible|debootstrap' \
		"$work/few"
}
ok "building needs no service and nothing of PAM's settings" few

# run.sh with tests that cannot run.
suite() {
	mkdir -p "$work/suite/tests/packages" && cp tests/run.sh \
		"$work/suite/tests/" && cd "$work/suite" || return
	printf '#!/bin/sh\necho no root; exit 77\n' >tests/packages/deb.sh
	chmod 0755 tests/packages/deb.sh
	local name
	for name in newcomer guides mistakes systemd; do
		cp tests/packages/deb.sh tests/packages/$name.sh
	done
	printf '#!/bin/sh\necho 1 passed, 0 failed\n' >tests/sanitize.sh
	chmod 0755 tests/sanitize.sh
	printf 'fuzz-smoke:\n\t@echo 1 passed, 0 failed\n' >Makefile
	SGB_MUST_RUN=$1 SGB_QUICK='' tests/run.sh none >"$work/log" 2>&1
}
ok "a test of packages may be skipped" eval '(suite "") &&
	grep -q "^2 passed, 0 failed, 5 skipped" "$work/log"'
ok "but not where it must run" eval '! (suite "packages/*") &&
	grep -q "^2 passed, 5 failed" "$work/log" &&
	grep -q "| no root" "$work/log"'
ok_summary
