#!/bin/bash
# Every setting of the table is documented, every documented one exists, and
# the shipped files are accepted by the programs that read them.
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
table=$(sed -n 's/^X([a-z0-9_]*,[[:space:]]*"\([a-z0-9-]*\)".*/\1/p' \
	bastion/core/settings.def | sort)
manual=$(sed -n 's/^\.It Ic \([a-z0-9-]*\).*/\1/p' docs/man/sgbridge.conf.5 |
	sort)
ok "sgbridge.conf(5) has the table's settings" \
	"$(diff <(echo "$table") <(echo "$manual"))"
used=$(sed -n 's/^#\{0,1\}\([a-z][a-z0-9-]*\) .*/\1/p' conf/sgbridge.conf |
	sort -u)
ok "conf/sgbridge.conf uses no other" \
	"$(comm -13 <(echo "$table") <(echo "$used"))"
ok "conf/policy.conf is a good policy" "$("$build/sgbridge" check \
	--policy conf/policy.conf 2>&1 >/dev/null; s=$?
	[ $s -le 1 ] || echo "status $s")"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
