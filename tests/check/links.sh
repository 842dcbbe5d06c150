#!/bin/bash
# links.sh BUILD: a program's link line is its list of powers. Proves with
# readelf that none links a library outside the table in docs/ARCHITECTURE.md,
# and that the hardening is in.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${1:-build}
passed=0 failed=0
ok() {
	if [ -z "$2" ]; then
		passed=$((passed + 1))
		echo "ok $1"
	else
		failed=$((failed + 1))
		echo "not ok $1: $2"
	fi
}
# What the probes of the Makefile find leaves its mark; each was left out where
# make had been read before there was a compiler. The sanitizers have their own.
sanitized() {
	readelf -d "$1" | grep -qE 'NEEDED.*lib[a-z]*san\.' ||
		nm "$1" 2>/dev/null | grep -q '__asan_init'
}
unhardened() {
	nm -D --undefined-only "$1" >"$list"
	grep -q '__stack_chk_fail' "$list" || echo "no guard of the stack"
	sanitized "$1" || grep -qE '_chk(@|$)' <<<"$(
		grep -v '__stack_chk_fail' "$list")" || echo "no checked copies"
}
# check FILE LIBRARY...: what it needs beyond libc and libcrypto.
check() {
	local file=$1 extra='' library
	shift
	[ -e "$build/$file" ] || {
		ok "$file" "not built"
		return
	}
	for library in $(readelf -d "$build/$file" |
		sed -n 's/.*NEEDED.*\[\(.*\)\.so.*/\1/p'); do
		case " libc libcrypto ld-linux-x86-64 ld-linux-aarch64 $* " in
		*" $library "*) ;;
		*) extra="$extra $library" ;;
		esac
	done
	ok "$file links no more than it may" "$extra"
	ok "$file binds at start" "$(readelf -d "$build/$file" |
		grep -qE 'BIND_NOW|FLAGS.*NOW' || echo lazy)"
	ok "$file has no executable stack" "$(readelf -lW "$build/$file" |
		grep GNU_STACK | grep -o RWE)"
	ok "$file has read-only relocations" \
		"$(readelf -lW "$build/$file" | grep -q GNU_RELRO || echo none)"
	ok "$file is hardened by the compiler" "$(unhardened "$build/$file")"
}
list=$(mktemp)
trap 'rm -f "$list"' EXIT
check sgbridged
check sgbridge-starter
check sgbridge-monitor libpam libaudit
check sgbridge-session libssh libseccomp libIPSec_MB
check sgbridge libjansson
check sgbridge-setup
check sgbridge-recorder libzstd libaudit libseccomp
check sgbridge-audit libzstd libtsm libsqlite3 libjansson libseccomp libp11-kit
check sgbridge-forward libssl libseccomp
check sgbridge-otp liboath libqrencode libaudit
check pam_sgbridge.so libpam liboath libaudit
symbols=$(nm -D --defined-only "$build/pam_sgbridge.so" | awk '{print $3}' |
	grep -v '^pam_sm_' | grep -v -E '^(PAM_|SGB_|@)')
ok "pam_sgbridge.so exports pam_sm_* alone" "$symbols"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
