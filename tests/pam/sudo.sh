#!/bin/bash
# pam_sgbridge.so inside the machine's real sudo and su, with the service file
# that is shipped: tests/pam/sudo.sh [BUILD].
set -u
SELF=$(readlink -f "$0")
BUILD=${1:-build}
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$SELF")/common.sh"
enter_namespaces "$@"
make_room
if [ -n "$PRELOAD" ]; then
	# Nothing is preloaded into a set-user-id program.
	echo "sudo and su cannot load a module built with ASan"
	echo "0 passed, 0 failed"
	exit 0
fi
make_dev
mount -t tmpfs -o mode=755 none /run
keep_common
make_accounts hank other
use_common
# The accounts have no password; the stacks under test ask for none.
make_bastion try <<END
network office 192.0.2.0/24
permit hank from office to self via sudo, su { mfa always }
END
secret=$(enrol hank --hotp)
otp enrol other --no-confirm --json >/dev/null
otp enrol root --no-confirm --json >/dev/null
shipped sudo >/etc/pam.d/sudo
{
	echo "auth sufficient pam_rootok.so"
	module_line auth
	module_line account
	module_line session
} >/etc/pam.d/su
cat >"$T/sudoers" <<'END'
Defaults !use_pty, !lecture, passwd_tries=1, timestamp_type=ppid
root ALL=(ALL) ALL
hank ALL=(ALL) ALL
other ALL=(ALL) ALL
END
chmod 440 "$T/sudoers"
mount --bind "$T/sudoers" /etc/sudoers

next=0
hotp()
{
	code=$(oathtool --hotp -b -c "$next" "$secret")
	next=$((next + 1))
}

# run USER COMMAND...: as that person, the code on standard input
run()
{
	local user=$1
	shift
	mark_log
	out=$(printf '%s\n' "$code" | setpriv --reuid "$user" --regid "$user" \
		--clear-groups env -i PATH="$PATH" HOME="$T/home/$user" \
		${FORGED:+"$FORGED"} "$@" 2>&1)
	out=${out//One-time code: /}
}

is_root()
{
	[ "$(printf '%s\n' "$out" | tail -1)" = 0 ]
	check "$1" $? "$out
$(recent_log)"
}

refused()
{
	case $out in
	0 | *"
0") not_ok "$1" "was admitted" ;;
	*)
		logged "reason=$2 "
		check "$1" $? "$out
$(recent_log)"
		;;
	esac
}

hotp
run hank sudo -S -k id -u
is_root "sudo with a code"
logged 'user="hank" source=local'
check "sudo: the invoking person is asked" $?
run hank sudo -S -k id -u
refused "sudo: replayed code" replayed-code
code=000000
run hank sudo -S -k id -u
refused "sudo: wrong code" wrong-code
hotp
# shellcheck disable=SC2016
run hank sh -c 'sudo -S -v && sudo -n id -u'
is_root "sudo's timestamp holds without a new code"
logged "phase=account verdict=granted"
check "sudo's timestamp: the policy is asked all the same" $?
run other sudo -S -k id -u
refused "sudo: a person without a rule" policy
printf '#!/bin/sh\necho %s\n' "$code" >"$T/askpass"
chmod 755 "$T" "$T/askpass"
hotp
printf '#!/bin/sh\necho %s\n' "$code" >"$T/askpass"
FORGED=SUDO_ASKPASS=$T/askpass run hank sudo -A -k id -u
is_root "sudo -A: the code from a program"
FORGED="SSH_CONNECTION=192.0.2.7 1 192.0.2.1 22" run other sudo -S -k id -u
refused "sudo: a forged environment" policy
# What was found good before is read in part; what differs from it, whole.
"$BUILD/sgbridge" check --mark -c "$T/sgbridge.conf" >/dev/null
[ -s "$T/policy.good" ]
check "the policy is marked good" $?
hotp
run hank sudo -S -k id -u
is_root "sudo by a part of the policy"
run other sudo -S -k id -u
refused "sudo by a part: a person without a rule" policy
cp "$T/policy.conf" "$T/policy.first"
sed -i 's/^permit hank/permit hans/' "$T/policy.conf"
touch -r "$T/policy.first" "$T/policy.conf"
hotp
run hank sudo -S -k id -u
refused "sudo: a mark of another policy does not count" policy
echo 'permit hank from nowhere to self' >>"$T/policy.conf"
run hank sudo -S -k id -u
refused "sudo: a broken policy denies, whatever was marked" configuration
cp "$T/policy.first" "$T/policy.conf"
hotp
mkdir -m 700 "$T/locks"
echo 'key lost' >"$T/locks/hank"
run hank sudo -S -k id -u
refused "sudo: who is locked" account-locked
rm "$T/locks/hank"
hotp
run hank sudo -S -k id -u
is_root "sudo: and unlocked again"
mark_log
out=$(sudo -n id -u 2>&1)
is_root "sudo by root asks nothing"

hotp
run hank su -c 'id -u'
is_root "su to root with the invoking person's code"
run hank su -c 'id -u'
refused "su: replayed code" replayed-code
run other su -c 'id -u'
refused "su: a person without a rule" policy
mark_log
out=$(su hank -c 'echo 0' 2>&1)
is_root "su by root asks nothing"
hotp
run hank su other -c 'id -u'
[ "$(printf '%s\n' "$out" | tail -1)" = 1002 ]
check "su to another person with one's own code" $? "$out"

mv "$T/sgbridge.conf" "$T/away"
hotp
run hank sudo -S -k id -u
refused "sudo without a configuration" configuration
mv "$T/away" "$T/sgbridge.conf"
run hank sudo -S -k id -u
is_root "sudo with the configuration back"
finish
