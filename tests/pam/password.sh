#!/bin/bash
# The shipped password lines: 8 to 30 characters, three classes, asked for by
# the machine's pam_pwquality and ended by our module: tests/pam/password.sh
# [BUILD]. pam_unix, which would write the new password, and the dictionary,
# which not every machine has built, are left out.
set -u
SELF=$(readlink -f "$0")
BUILD=${1:-build}
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$SELF")/common.sh"
enter_namespaces "$@"
make_room
make_dev
make_accounts alice
make_bastion off <<'END'
permit alice from any to self via password
END
shipped sshd | grep '^password' |
	sed -e 's,pam_unix.so.*,pam_permit.so,' -e 's,minlen,dictcheck=0 &,' \
		>/etc/pam.d/password
[ "$(grep -c . /etc/pam.d/password)" = 3 ]
check "three password lines are shipped" $? "$(cat /etc/pam.d/password)"

# change PASSWORD: the same one three times, as often as it is asked for
change()
{
	printf '%s\n' "$1" "$1" "$1" "$1" "$1" "$1" | with_asan pamtester \
		password alice chauthtok >"$T/out" 2>&1
}

# taken NAME PASSWORD, refused NAME PASSWORD TEXT
taken()
{
	change "$2"
	check "$1" $? "$(cat "$T/out")"
}
refused()
{
	change "$2"
	[ $? = 1 ] && grep -q "$3" "$T/out"
	check "$1" $? "$(cat "$T/out")"
}

taken "eight characters of three classes" 'wR7tqzLm'
taken "thirty" 'wR7tqzLm xK3vbNp9 dHs5yGc2 uFe'
taken "signs and spaces" '~wR7 !"q|z{Lm}'
refused "seven" 'wR7tqzL' "BAD PASSWORD"
refused "two classes" 'wrqtqzlmk9v' "BAD PASSWORD"
refused "thirty-one" 'wR7tqzLm xK3vbNp9 dHs5yGc2 uFe4' "at most 30"
refused "a control character" "wR7tq$(printf '\001')zLm" "at most 30"
refused "letters that other keyboards lack" 'wR7tqäzLm' "at most 30"

# A line that is asked to do what it cannot.
module_line password >/etc/pam.d/password
mark_log
change 'wR7tqzLm'
[ $? = 1 ] && logged "no new password to look at"
check "alone: fails and says why" $? "$(cat "$T/out")"
echo "password requisite $BUILD/pam_sgbridge.so minlen=8" \
	>/etc/pam.d/password
mark_log
change 'wR7tqzLm'
[ $? = 1 ] && logged "argument minlen=8"
check "an argument nobody knows: fails" $? "$(cat "$T/out")"
set -- "$T"/asan*
[ ! -e "$1" ]
check "no report of a sanitizer" $? "$(head -40 "$T"/asan* 2>/dev/null)"
finish
