#!/bin/bash
# The proxy's story in the kernel's audit log, read back with ausearch and
# aureport: an auditd of our own, its log in the laboratory's folder. The
# enable flag of the machine is put back.
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=${1:-build}
# shellcheck source=tests/e2e/lab.sh
. "$here/lab.sh"
# shellcheck source=tests/auditd.sh
. "$here/../auditd.sh"
was=$(audit_status enabled)
if ! audit_usable; then
	echo "kernel audit is not there, locked, or has an auditd already"
	exit 77
fi
export LAB_AUDIT=required
lab_up || exit 1
leave() {
	kill "$auditd" 2>/dev/null
	wait_for eval "! kill -0 $auditd 2>/dev/null"
	auditctl -e "$was" >/dev/null
	lab_down
}
mkdir "$LAB/audit"
auditd_conf "$LAB/auditd" "$LAB/audit/audit.log"
lab_start "$LAB/auditd.log" auditd -n -s enable -c "$LAB/auditd"
auditd=$LAB_LAST
trap leave EXIT
wait_for test -s "$LAB/audit/audit.log" || exit 1
search() {
	ausearch -if "$LAB/audit/audit.log" "$@" 2>/dev/null
}
lab_ssh robot 203.0.113.7 robot+ops@web1@bastion true </dev/null
lab_ssh stranger 203.0.113.9 alice+ops@web1@bastion true </dev/null 2>/dev/null
lab_ssh robot 203.0.113.7 robot+ops@db1@bastion true </dev/null 2>/dev/null
# shellcheck disable=SC2034
conn=$(grep -h '"target-open"' "$LAB"/events/*.jsonl |
	grep -o '"conn":"[0-9a-f]*"' | head -n1 | cut -d'"' -f4)
login() {
	search -m USER_LOGIN -sv yes | grep 'sgbridge:logon' |
		grep -q 'acct="robot".*addr=203.0.113.7.*res=success'
}
ok "a logon is a USER_LOGIN" wait_for login
ok "with the connection that the trail names" eval \
	'search -m USER_LOGIN | grep -q "conn=\"$conn\""'
ok "the access is a USER_ACCT" eval \
	'search -m USER_ACCT -sv yes | grep "sgbridge:access" | grep -q "target=\"web1\""'
ok "the target is a USER_START" eval \
	'search -m USER_START | grep -q "sgbridge:target"'
ok "the certificate is a CRYPTO_KEY_USER" eval \
	'search -m CRYPTO_KEY_USER | grep -q "sgbridge:certificate"'
ok "a refused host key is an anomaly" wait_for eval \
	'search -m ANOM_LOGIN_LOCATION | grep -q "sgbridge:hostkey"'
ok "the logoff is a USER_END" wait_for eval \
	'search -m USER_END | grep -q "sgbridge:logoff"'
ok "aureport counts the logons" eval \
	'aureport -if "$LAB/audit/audit.log" -l 2>/dev/null | grep -q "203.0.113.7"'
ok "the second factor of PAM is there under the same name" eval \
	'search | grep "sgbridge:mfa\|sgbridge:policy" | grep -q "$conn"'
head_of() {
	search -m TRUSTED_APP | grep 'sgbridge:head' |
		grep -q "what=\"$1\".*hash=\"[0-9a-f]\{64\}\""
}
# The kernel may have kept records of other recorders for an auditd.
verified() {
	search --raw | grep " pid=$LAB_RECORDER " >"$LAB/heads"
	"$BUILD/sgbridge-audit" verify -c "$LAB/sgbridge.conf" \
		--heads "$LAB/heads" >"$LAB/verify" 2>&1 || {
		sed 's/^/# /' "$LAB/verify"
		return 1
	}
}
ok "the head of a recording that ended is there" wait_for head_of rec
kill "$LAB_RECORDER"
ok "the heads of index and trail are" eval \
	'wait_for head_of index && wait_for head_of trail'
wait_for test ! -e "/proc/$LAB_RECORDER"
ok "and verify --heads takes them from there" verified
lab_summary
