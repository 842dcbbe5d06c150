#!/bin/bash
# The proxy's story in the kernel's audit log, read back with ausearch and
# aureport: an auditd of our own, its log in the laboratory's folder. The
# enable flag of the machine is put back.
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=${1:-build}
# shellcheck source=tests/e2e/lab.sh
. "$here/lab.sh"
was=$(auditctl -s 2>/dev/null | sed -n 's/^enabled \(.*\)/\1/p')
other=$(auditctl -s 2>/dev/null | sed -n 's/^pid \(.*\)/\1/p')
if [ -z "$was" ] || [ "$was" = 2 ] || [ "$other" != 0 ]; then
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
mkdir "$LAB/auditd" "$LAB/audit"
cat >"$LAB/auditd/auditd.conf" <<END
log_file = $LAB/audit/audit.log
log_format = RAW
log_group = root
flush = SYNC
num_logs = 2
max_log_file = 8
max_log_file_action = ROTATE
space_left = 2
admin_space_left = 1
space_left_action = IGNORE
admin_space_left_action = IGNORE
disk_full_action = IGNORE
disk_error_action = IGNORE
name_format = NONE
END
chmod 640 "$LAB/auditd/auditd.conf"
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
lab_summary
