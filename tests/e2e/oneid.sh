#!/bin/bash
# One id joins it all: a login is followed through PAM's syslog line, the
# kernel's audit log, the trail, the recording's META, the index and the
# target's own log, and `who` and `show` tell it from any of its ids. Then a
# logon through the host's own PAM, which only the kernel's audit log has, and
# attempts on names that may not log on. With a /dev/log of its own.
set -u
SELF=$(readlink -f "$0")
here=$(dirname "$SELF")
# shellcheck source=tests/pam/common.sh
. "$here/../pam/common.sh"
enter_mount_namespace "$@"
BUILD=${1:-build}
# shellcheck source=tests/e2e/lab.sh
. "$here/lab.sh"
# shellcheck source=tests/auditd.sh
. "$here/../auditd.sh"
audit_usable || {
	echo "kernel audit is not there, locked, or has an auditd already"
	exit 77
}
T=$(mktemp -d)
make_dev
listener=$!
export LAB_AUDIT=required
export LAB_POLICY_EXTRA="permit bob from office to self via audited, sudo { mfa always }"
export LAB_CONF_EXTRA="findings-learning 0"
auditd=""
was=$(audit_status enabled)
# shellcheck disable=SC2317
leave() {
	[ -z "$auditd" ] || { kill "$auditd" 2>/dev/null
		wait_for eval "! kill -0 $auditd 2>/dev/null"; }
	auditctl -e "$was" >/dev/null
	kill "$listener"
	lab_down
	umount -R -l "$T/dev" /dev 2>/dev/null
	rm -rf "$T"
}
lab_up || { leave; exit 1; }
trap leave EXIT
echo "findings $LAB/findings" >>"$LAB/sgbridge.conf"
mkdir "$LAB/audit"
log=$LAB/audit/audit.log
auditd_conf "$LAB/auditd" "$log"
lab_start "$LAB/auditd.log" auditd -n -s enable -c "$LAB/auditd"
auditd=$LAB_LAST
wait_for test -s "$log" || exit 1

export XDG_STATE_HOME=$LAB/state XDG_DATA_HOME=$LAB/share
audit() {
	local command=$1
	shift
	"$BUILD/sgbridge-audit" "$command" -c "$LAB/sgbridge.conf" "$@"
}
trail() {
	jq -c "select($1)" "$LAB"/events/*.jsonl
}
field() {
	jq -r "$1" | head -n 1
}

# What a case says is of use if it fails.
quiet() {
	local name=$1
	shift
	"$@" >"$T/detail" 2>&1 && ok "$name" true && return
	ok "$name" false
	head -n 30 "$T/detail" | sed 's/^/# /'
}

# --- one login, through everything
quiet "a login" eval 'lab_ssh alice 203.0.113.9 alice+ops@web1@bastion \
	echo through </dev/null >"$LAB/out" && grep -q through "$LAB/out"'
wait_for eval 'trail ".unmapped.sgb.event == \"recording-stop\"" | grep -q .'
conn=$(trail '.unmapped.sgb.event == "target-open"' |
	field .unmapped.sgb.conn)
rec=$(trail '.unmapped.sgb.event == "target-open"' |
	field .unmapped.sgb.rec_id)
quiet "has an id" test -n "$conn"
quiet "PAM's line in syslog has it" wait_for \
	grep -q "phase=auth verdict=granted .*conn=$conn" "$T/syslog"
quiet "and the line of the account phase" \
	grep -q "phase=account verdict=granted .*conn=$conn" "$T/syslog"
quiet "PAM's record in the kernel's log" wait_for \
	grep -q "sgbridge:mfa acct=\"alice\".*conn=\"$conn\"" "$log"
quiet "and the monitor's" grep -q "sgbridge:logon acct=\"alice\".*\"$conn\"" "$log"
for event in auth-key logon access target-open cert-signed recording-start \
	command recording-stop logoff; do
	quiet "the trail: $event" eval "wait_for eval 'trail \".unmapped.sgb.event == \\\"$event\\\" and
		.unmapped.sgb.conn == \\\"$conn\\\"\" | grep -q .'"
done
quiet "the recording's META" eval \
	'audit show -i "$LAB/auditor.key" "$rec" | grep -q "conn .*$conn"'
quiet "the index" eval 'audit index -i "$LAB/auditor.key" >/dev/null &&
	audit ls --index --json | jq -e "select(.rec == \"$rec\") |
		.meta.conn == \"$conn\""'
quiet "the target's own log" grep -q "$conn" "$LAB/web1/sshd.log"

# --- and all of it by one command
# tells ID: everything that the login left
tells() {
	audit who "$1" "$T/syslog" "$log" >"$LAB/who" || return 1
	grep -q "target-open .*recording $rec" "$LAB/who" &&
		grep -q "^recording $rec .*closed" "$LAB/who" &&
		grep -q "phase=auth verdict=granted" "$LAB/who" &&
		grep -q "op=sgbridge:mfa" "$LAB/who" || {
		sed 's/^/# /' "$LAB/who"
		return 1
	}
}
quiet "who, by the connection's id" tells "$conn"
quiet "by the recording's" tells "$rec"
quiet "by the start of it" tells "${conn:0:12}"
quiet "show does so, too" eval 'audit show "$conn" | grep -q "target-open"'
quiet "as JSON" eval 'audit who "$conn" "$log" --json | jq -r .from | sort -u |
	tr "\n" " " | grep -qx "log recording trail "'
quiet "nobody else's lines" eval '! grep -q robot "$LAB/who"'
lab_ssh robot 203.0.113.7 robot+nobody@web1@bastion true </dev/null \
	>"$LAB/refused" 2>&1
# shellcheck disable=SC2034
ref=$(trail '.unmapped.sgb.ref' | field .unmapped.sgb.ref)
quiet "by the reference number that was read out" eval \
	'grep -q "$ref" "$LAB/refused" && audit who "$ref" | grep -q "access.*robot"'
quiet "an id of nobody: status 1" eval 'audit who zzzzzz; [ $? = 1 ]'

# --- names that may not log on
lab_ssh stranger 203.0.113.9 mallory+ops@web1@bastion true </dev/null 2>/dev/null
quiet "a client that only asks leaves an event" wait_for eval \
	'trail ".unmapped.sgb.account == \"unknown\" and .user.name == \"mallory\"" | grep -q .'
quiet "a wrong key of somebody is no such attempt" eval '
	lab_ssh stranger 203.0.113.9 bob+ops@web1@bastion true </dev/null 2>/dev/null
	[ -z "$(trail ".unmapped.sgb.account and .user.name == \"bob\"")" ]'
"$BUILD/sgbridge" lock -c "$LAB/sgbridge.conf" robot test >/dev/null
lab_ssh robot 203.0.113.7 robot+ops@web1@bastion true </dev/null 2>/dev/null
quiet "a locked person's attempt says so" wait_for eval \
	'trail ".unmapped.sgb.account == \"locked\" and .user.name == \"robot\"" | grep -q .'

# --- the host's own door: only the kernel's audit log knows
mkdir "$T/pam.d"
for phase in auth account session; do
	echo "$phase requisite $BUILD/pam_sgbridge.so conf=$LAB/sgbridge.conf"
done >"$T/pam.d/audited"
cp /etc/passwd "$T/passwd"
echo "bob:x:64299:64299::/nonexistent:/bin/sh" >>"$T/passwd"
mount --bind "$T/pam.d" /etc/pam.d
mount --bind "$T/passwd" /etc/passwd
find_asan
key=$(cut -d' ' -f1,2 "$LAB/users/bob.pub")
host_login() {
	printf '%s\n' "$1" | with_asan pamtester \
		-E "SSH_CONNECTION=203.0.113.9 40000 203.0.113.1 22" \
		-E "SSH_AUTH_INFO_0=publickey $key" audited bob \
		authenticate acct_mgmt >"$T/out" 2>&1
}
host_login 000000
quiet "a login through the host's PAM" \
	host_login "$(oathtool --totp -b - <"$LAB/users/bob.secret")"
wait_for grep -q 'sgbridge:policy acct="bob"' "$log"
before=$(trail '.unmapped.sgb.kernel_audit' | wc -l)
quiet "is not in the trail by itself" test "$before" = 0
quiet "collect takes it there" eval 'audit collect "$log" >"$LAB/collected" &&
	grep -q "^3 records" "$LAB/collected"'
# shellcheck disable=SC2034
host=$(trail '.unmapped.sgb.kernel_audit and .unmapped.sgb.event == "logon"' |
	field .unmapped.sgb.conn)
quiet "as a logon, with key, factor and time" eval '
	trail ".unmapped.sgb.event == \"logon\" and .unmapped.sgb.kernel_audit" |
	jq -e "select(.user.name == \"bob\" and .is_mfa and
		.unmapped.sgb.mfa == \"totp\" and .src_endpoint.ip == \"203.0.113.9\" and
		.dst_endpoint.hostname == \"self\" and
		.unmapped.sgb.key_fp == \"$(lab_fingerprint "$LAB/users/bob.pub")\")"'
quiet "one id for its phases, and in syslog" eval '
	[ "$(trail ".unmapped.sgb.conn == \"$host\"" | wc -l)" = 3 ] &&
	grep -q "phase=account verdict=granted.*conn=$host" "$T/syslog"'
quiet "who tells it" eval 'audit who "$host" "$T/syslog" "$log" |
	grep -c "sgbridge\|logon" | grep -qv "^[01]$"'
quiet "each record once" eval 'audit collect "$log"; [ $? = 1 ]'
rm -rf "$LAB/findings"
quiet "also when the baseline is lost" eval 'audit collect "$log"; [ $? = 1 ]'
quiet "ausearch's output will do, too" eval \
	'ausearch -if "$log" --raw 2>/dev/null | audit collect -; [ $? = 1 ]'
quiet "the proxy's own logins are not taken twice" eval '
	[ "$(trail ".unmapped.sgb.kernel_audit" | wc -l)" = 3 ]'
quiet "findings judge it" eval 'audit findings --json |
	jq -e "select(.kind == \"first-key\" and .user == \"bob\" and .conn == \"$host\")"'
quiet "replay judges it by the rules for this host" eval '
	"$BUILD/sgbridge" replay "$LAB/policy.conf" -c "$LAB/sgbridge.conf" \
		--json >"$LAB/replay.json"
	jq -e ".judged == 2 and .refused == 0" "$LAB/replay.json" &&
	grep -v "to self" "$LAB/policy.conf" >"$LAB/policy.new" &&
	! "$BUILD/sgbridge" replay "$LAB/policy.new" -c "$LAB/sgbridge.conf" \
		--json >"$LAB/replay.json" &&
	jq -e "[.list[].user] == [\"bob\"]" "$LAB/replay.json"'
quiet "findings become events" eval 'audit findings --append &&
	trail ".unmapped.sgb.event == \"finding\" and
		.unmapped.sgb.finding == \"refused-account\" and
		.user.name == \"robot\"" | grep -q .'
quiet "the trail verifies" eval 'audit verify events | tee "$LAB/verify" |
	grep -q "events .*intact"'
lab_summary
