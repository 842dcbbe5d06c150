#!/bin/bash
# What ausearch and aureport say about the module's records, through the
# machine's kernel audit and an auditd of our own with its log in a temporary
# folder: tests/pam/audit.sh [BUILD]. The enable flag is put back.
set -u
SELF=$(readlink -f "$0")
BUILD=${1:-build}
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$SELF")/common.sh"
enter_mount_namespace "$@"

# shellcheck source=../auditd.sh
. "$(dirname "$SELF")/../auditd.sh"
was=$(audit_status enabled)
if ! audit_usable; then
	echo "kernel audit is not there, locked, or has an auditd already"
	exit 77
fi
make_room
# shellcheck disable=SC2317
cleanup()
{
	[ -z "${auditd:-}" ] || { kill "$auditd"; wait "$auditd"; }
	auditctl -e "$was" >/dev/null
	[ ! -e "$T/rules.off" ] || auditctl -i -R "$T/rules.off" >/dev/null 2>&1
	umount -R -l "$T/dev" /dev 2>/dev/null
	[ -z "${listener:-}" ] || kill "$listener"
	rm -rf "$T"
}
trap cleanup EXIT
make_dev
listener=$!
make_accounts alice hank dave _sgb-recorder
make_bastion required <<'END'
network office 192.0.2.0/24
keys { accept ed25519 }
permit alice, hank, dave, root from office to self via audited { mfa always }
END
secret=$(enrol hank --hotp)
for phase in auth account session; do module_line "$phase"; done \
	>/etc/pam.d/audited

mkdir "$T/log"
auditd_conf "$T/auditd" "$T/log/audit.log"
auditd -n -s enable -c "$T/auditd" >"$T/auditd.out" 2>&1 &
auditd=$!
until auditctl -s | grep -qx "pid $auditd" && [ -s "$T/log/audit.log" ]; do
	kill -0 "$auditd" 2>/dev/null || { cat "$T/auditd.out"; exit 1; }
	sleep 0.05
done

ssh-keygen -q -t ed25519 -N '' -f "$T/key"
line="publickey $(cut -d' ' -f1,2 "$T/key.pub")"
fingerprint=$(ssh-keygen -lf "$T/key.pub" | cut -d' ' -f2)

# attempt USER CODE [ADDRESS]
attempt()
{
	mark_log
	printf '%s\n' "$2" | with_asan pamtester \
		-E "SSH_CONNECTION=${3:-192.0.2.7} 40000 192.0.2.1 22" \
		-E "SSH_AUTH_INFO_0=$line" audited "$1" \
		authenticate acct_mgmt >"$T/out" 2>&1
}

search()
{
	ausearch -if "$T/log/audit.log" -i "$@" 2>/dev/null
}

# found NAME PATTERN SEARCH...: waits for auditd, too
found()
{
	local name=$1 pattern=$2 i
	shift 2
	for i in $(seq 50); do
		search "$@" | grep -q -- "$pattern" && break
		sleep 0.05
	done
	[ "$i" != 50 ]
	check "$name" $? "$(search "$@" | tail -5)"
}

attempt hank "$(oathtool --hotp -b -c 0 "$secret")"
check "a good login, with audit required" $? "$(cat "$T/out")"
found "ausearch finds the factor" "op=sgbridge:mfa.*acct=hank.*method=.hotp" \
	-m USER_AUTH -sv yes
found "with the key's fingerprint" "fingerprint=.$fingerprint" -m USER_AUTH -sv yes
found "and by address" "op=sgbridge:mfa" -hn 192.0.2.7 -m USER_AUTH
found "the policy's decision" "op=sgbridge:policy.*rule=.policy.conf:3" \
	-m USER_ACCT -sv yes
attempt hank 000000
found "a wrong code" "op=sgbridge:mfa.*reason=.wrong-code" -m USER_AUTH -sv no
reference=$(sed -n 's/.*reference \([0-9A-Z]*\)).*/\1/p' "$T/out")
found "by the reference number" "ref=.${reference:-none}" -m USER_AUTH -sv no
for code in 000000 000000 000000 000000; do attempt hank $code; done
found "too many failures" "acct=hank.*reason=.wrong-code" -m ANOM_LOGIN_FAILURES
attempt hank 000000
sleep 0.2
[ "$(search -m ANOM_LOGIN_FAILURES | grep -c pamtester)" = 1 ]
check "once for each lock" $? "$(search -m ANOM_LOGIN_FAILURES)"
attempt hank 000000 198.51.100.9
found "a wrong source" "op=sgbridge:mfa acct=hank.*reason=.policy" -m ANOM_LOGIN_LOCATION
attempt root 000000
found "root" "acct=root.*reason=.root" -m ANOM_LOGIN_ROOT
# A name that would read as other fields.
attempt 'x res=success' 000000
found "a name made to deceive is encoded" \
	"acct=x res=success method=.none. reason=.bad-user-name" -m USER_AUTH
search -m USER_AUTH -sv yes --format text | grep -q "x res"
[ $? = 1 ]
check "and does not read as a success" $?
otp unlock hank >/dev/null
found "administration" "op=sgbridge:unlock.*acct=hank" -m USER_MGMT
aureport -if "$T/log/audit.log" -au -i 2>/dev/null | grep -q "hank.*yes"
check "aureport lists authentications" $?
aureport -if "$T/log/audit.log" -n -i 2>/dev/null | grep -q ANOM_LOGIN
check "aureport lists anomalies" $?

# Without the capability the kernel takes nothing: `required` denies.
otp enrol dave --no-confirm --json --hotp >"$T/dave"
code=$(oathtool --hotp -b -c 0 \
	"$(sed 's/.*"secret":"\([^"]*\)".*/\1/' "$T/dave")")
mark_log
printf '%s\n' "$code" | with_asan setpriv --bounding-set -audit_write \
	pamtester \
	-E "SSH_CONNECTION=192.0.2.7 40000 192.0.2.1 22" \
	-E "SSH_AUTH_INFO_0=$line" audited dave authenticate >"$T/out" 2>&1
denied=$?
logged "reason=audit-unavailable" && [ $denied != 0 ]
check "required and not permitted: denied" $? "$(recent_log)"

# The rules that are shipped, with a tree of our own instead of the machine's.
tree=$T/tree
mkdir -p "$tree/etc/sgbridge" "$tree/etc/pam.d" "$tree/etc/ssh/sshd_config.d" \
	"$tree/usr/libexec/sgbridge" "$tree/usr/sbin" \
	"$tree/var/lib/sgbridge/recordings" "$tree/var/lib/sgbridge/events" \
	"$tree/var/lib/sgbridge/otp"
echo key >"$tree/etc/sgbridge/master.key"
sed -n "s,\([ =]\)/,\1$tree/,; /^-[wa]/p" \
	"$(dirname "$SELF")/../../conf/sgbridge-audit.rules" >"$T/rules"
sed 's/^-w/-W/; s/^-a/-d/' "$T/rules" >"$T/rules.off"
before=$(auditctl -l)
auditctl -R "$T/rules" >"$T/out" 2>&1
check "the kernel takes the shipped audit rules" $? "$(cat "$T/out")"
[ "$(auditctl -l | grep -c "$tree")" = "$(grep -c . "$T/rules")" ]
check "every one of them" $? "$(auditctl -l)"
echo change >"$tree/etc/sgbridge/policy.conf"
cat "$tree/etc/sgbridge/master.key" >/dev/null
echo more >"$tree/var/lib/sgbridge/recordings/1.sgr"
chmod 755 "$tree/var/lib/sgbridge/otp"
found "a changed policy is told" "policy.conf" -k sgbridge-config
found "who read the master key" "master.key" -k sgbridge-secret
found "a recording touched by others" "1.sgr" -k sgbridge-evidence
found "the folder of codes opened to others" "sgbridge/otp" -k sgbridge-otp
chown _sgb-recorder "$tree/var/lib/sgbridge/recordings"
setpriv --reuid _sgb-recorder --clear-groups \
	touch "$tree/var/lib/sgbridge/recordings/own.sgr"
echo end >"$tree/etc/sgbridge/end"
found "what the recorder writes" "sgbridge/end" -k sgbridge-config
search -k sgbridge-evidence | grep -q own.sgr
[ $? = 1 ]
check "is not" $?
auditctl -R "$T/rules.off" >/dev/null 2>&1
[ "$(auditctl -l)" = "$before" ]
check "and they are gone again" $? "$(auditctl -l)"
finish
