#!/bin/bash
# What becomes of the code store on a full disk, a read-only one, when any
# system call fails, when processes are killed at any moment, and with fifty
# people at once: tests/pam/faults.sh [BUILD]. Uses pamtester and strace.
set -u
SELF=$(readlink -f "$0")
BUILD=${1:-build}
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$SELF")/common.sh"
enter_namespaces "$@"
make_room
make_dev
people=$(seq -f 'p%g' 50)
# shellcheck disable=SC2086
make_accounts hank $people
mkdir "$T/small"
mount -t tmpfs -o size=256k,nr_inodes=40,mode=755 none "$T/small"
many=$(echo "$people" | sed 's/^/, /' | tr -d '\n')
make_bastion off <<END
network office 192.0.2.0/24
group   People hank$many
keys { accept ed25519 }
permit People from office to self via test { mfa always }
END
large=$T/otp
for phase in auth account session; do module_line "$phase"; done \
	>/etc/pam.d/test
ssh-keygen -q -t ed25519 -N '' -f "$T/key"
line="publickey $(cut -d' ' -f1,2 "$T/key.pub")"

# attempt USER CODE [WRAPPER...]
attempt()
{
	local user=$1 code=$2
	shift 2
	[ $# -gt 0 ] || set -- with_asan
	printf '%s\n' "$code" | "$@" pamtester \
		-E "SSH_CONNECTION=192.0.2.7 40000 192.0.2.1 22" \
		-E "SSH_AUTH_INFO_0=$line" test "$user" \
		authenticate acct_mgmt >"$T/out" 2>&1
}

next=0
hotp()
{
	code=$(oathtool --hotp -b -c "$next" "$secret")
	next=$((next + 1))
}

# --- a disk of 256 kB with 40 names
use_store()
{
	sed -i "s,^otp-directory.*,otp-directory $1," "$T/sgbridge.conf"
}
mkdir -m 700 "$T/small/otp"
use_store "$T/small/otp"
secret=$(enrol hank --hotp)
dd if=/dev/zero of="$T/small/filler" bs=1k >/dev/null 2>&1
hotp
attempt hank "$code"
check "full disk: login works" $? "$(cat "$T/out")"
attempt hank "$code"
[ $? = 1 ]
check "full disk: replay refused" $?
enrol p1 --hotp >/dev/null 2>"$T/err"
[ ! -e "$T/small/otp/p1.token" ] && [ -s "$T/err" ]
check "full disk: enrolment fails and says so" $? "$(cat "$T/err")"
otp enrol hank --replace --no-confirm --json >/dev/null 2>&1
hotp
attempt hank "$code"
check "full disk: a failed replacement keeps the old token" $?
mount -o remount,ro "$T/small"
hotp
mark_log
attempt hank "$code"
[ $? = 1 ] && logged "reason=code-store"
check "read-only disk: denied" $? "$(recent_log)"
mount -o remount,rw "$T/small"
attempt hank "$code"
check "writable again: the same code works" $?

# --- each system call fails once, at each place
use_store "$large"
secret=$(enrol hank --hotp)
next=0
hotp
attempt hank "$code" || not_ok "before the faults"
if [ -z "$PRELOAD" ] && command -v strace >/dev/null; then
	crashed='' admitted='' runs=0 denied=0 stuck=''
	paths="-P $large -P $T/sgbridge.conf -P $T/policy.conf"
	paths="$paths -P $T/master.key -P $large/hank.lock"
	paths="$paths -P $large/hank.token -P $(echo "$large"/hank.*.state)"
	for fault in openat:EMFILE openat:ENOMEM newfstatat:EIO flock:EINTR \
		flock:ENOLCK pread64:EIO pwrite64:ENOSPC pwrite64:EINTR \
		fdatasync:EIO; do
		for when in $(seq 40); do
			hotp
			# shellcheck disable=SC2086
			attempt hank "$code" strace -o "$T/strace" $paths -e \
				"inject=${fault%:*}:error=${fault#*:}:when=$when"
			status=$?
			grep -q INJECTED "$T/strace" || break
			runs=$((runs + 1))
			[ $status -gt 1 ] && crashed="$crashed $fault:$when=$status"
			[ $status = 1 ] && denied=$((denied + 1))
			[ $status = 0 ] && attempt hank "$code" &&
				admitted="$admitted $fault:$when"
			hotp
			attempt hank "$code" || stuck="$stuck $fault:$when"
		done
	done
	[ -z "$crashed" ] && [ $runs -gt 30 ] && [ $denied -gt 20 ]
	check "failing system calls: no crash ($runs, $denied denied)" $? \
		"$crashed"
	[ -z "$admitted" ]
	check "failing system calls: no code counts twice" $? "$admitted"
	[ -z "$stuck" ]
	check "failing system calls: the next login works" $? "$stuck"
	hotp
	attempt hank "$code" strace -o "$T/strace" -e trace=fdatasync \
		-e inject=fdatasync:error=EIO
	[ $? = 1 ] && grep -q INJECTED "$T/strace"
	check "state that did not reach the disk denies" $?
fi

# --- killed at any call while the first code is typed: it counts once at most
if command -v strace >/dev/null; then
	twice='' active=0
	for call in fsync fdatasync renameat pwrite64 unlinkat; do
		for when in 1 2 3; do
			otp reset hank >/dev/null 2>&1
			otp enrol hank --json </dev/null >"$T/new" 2>/dev/null
			secret=$(sed 's/.*"secret":"\([^"]*\)".*/\1/' "$T/new")
			code=$(oathtool --totp -b "$secret")
			(strace -f -o "$T/strace" -e \
				"inject=$call:signal=KILL:when=$when" \
				"$BUILD/sgbridge-otp" -c "$T/sgbridge.conf" \
				confirm hank "$code"
			true) >/dev/null 2>&1
			otp status hank 2>/dev/null | grep -q 'active' &&
				active=$((active + 1))
			attempt hank "$code" && twice="$twice $call:$when"
		done
	done
	[ -z "$twice" ]
	check "killed during enrolment: its code is no login" $? "$twice"
	[ "$active" -gt 0 ]
	check "killed during enrolment: some were past the change" $?
fi

# --- killed at any moment
otp reset hank >/dev/null
secret=$(enrol hank)
lost=''
for i in $(seq 60); do
	"$BUILD/sgbridge-otp" -c "$T/sgbridge.conf" enrol hank --replace \
		--no-confirm --json >"$T/new" 2>/dev/null &
	victim=$!
	perl -e 'select undef, undef, undef, rand(0.01)'
	kill -KILL "$victim" 2>/dev/null
	wait "$victim" 2>/dev/null
	otp status hank >"$T/status" 2>&1 || lost="$lost $(cat "$T/status")"
done
[ -z "$lost" ]
check "killed during enrolment: one whole token is left" $? "$lost"
for i in $(seq 20); do
	"$BUILD/sgbridge-otp" -c "$T/sgbridge.conf" rotate-key \
		>/dev/null 2>&1 &
	victim=$!
	perl -e 'select undef, undef, undef, rand(0.01)'
	kill -KILL "$victim" 2>/dev/null
	wait "$victim" 2>/dev/null
	otp status hank >"$T/status" 2>&1 || lost="$lost $(cat "$T/status")"
	otp rotate-key --prune >/dev/null 2>&1 || lost="$lost prune"
done
[ -z "$lost" ]
check "killed during key rotation: every record opens" $? "$lost"
otp enrol hank --replace --hotp --no-confirm --json >"$T/new"
secret=$(sed 's/.*"secret":"\([^"]*\)".*/\1/' "$T/new")
next=0
twice='' stuck=''
for i in $(seq 40); do
	hotp
	printf '%s\n' "$code" | env ${PRELOAD:+LD_PRELOAD="$PRELOAD"} \
		ASAN_OPTIONS="$SANITIZER" pamtester \
		-E "SSH_CONNECTION=192.0.2.7 40000 192.0.2.1 22" \
		-E "SSH_AUTH_INFO_0=$line" test hank authenticate \
		>"$T/killed" 2>&1 &
	victim=$!
	perl -e 'select undef, undef, undef, rand(0.02)'
	kill -KILL "$victim" 2>/dev/null
	if wait "$victim" 2>/dev/null; then
		attempt hank "$code" && twice="$twice $i"
	fi
	hotp
	attempt hank "$code" || stuck="$stuck $i"
done
[ -z "$twice" ]
check "killed during logins: no code counts twice" $? "$twice"
[ -z "$stuck" ]
check "killed during logins: the next login works" $? "$stuck"

# --- fifty people at once, three times each
for user in $people; do
	enrol "$user" --hotp >"$T/secret.$user"
done
for user in $people; do
	{
		for i in 0 1 2; do
			printf '%s\n' "$(oathtool --hotp -b -c $i \
				"$(cat "$T/secret.$user")")" |
				with_asan pamtester \
				-E "SSH_CONNECTION=192.0.2.7 1 192.0.2.1 22" \
				-E "SSH_AUTH_INFO_0=$line" test "$user" \
				authenticate >"$T/out.$user" 2>&1 ||
				echo "$user $i" >>"$T/false"
		done
	} &
	crowd="${crowd:-} $!"
done
# shellcheck disable=SC2086
wait $crowd
[ ! -e "$T/false" ]
check "fifty people at once: nobody is refused" $? "$(cat "$T/false" 2>&1)"
[ "$(otp export --secrets | grep -c '"counter":3')" = 50 ]
check "fifty people at once: no update is lost" $? "$(otp export --secrets |
	grep -v '"counter":3')"
umount "$T/small"
set -- "$T"/asan*
[ ! -e "$1" ]
check "no report of a sanitizer" $? "$(head -40 "$T"/asan* 2>/dev/null)"
finish
