# Shared by the scripts of this folder: a private mount and network namespace
# with its own accounts, PAM services, /dev/log and bastion configuration, so
# that the machine's own sshd, sudo and su can be used and nothing of the host
# changes. Sourced, after SELF and ARGS are set; needs root.
# shellcheck shell=bash disable=SC2034,SC2154

# Starts the script anew inside the namespaces.
enter_namespaces()
{
	if [ "${SGB_INSIDE:-}" != yes ]; then
		[ "$(id -u)" = 0 ] || { echo "needs root" >&2; exit 77; }
		SGB_INSIDE=yes exec unshare --mount --net --pid --fork \
			--kill-child --propagation private --mount-proc \
			bash "$SELF" "$@"
	fi
}

# A mount namespace alone: the kernel's audit trail is for the first pid
# namespace only.
enter_mount_namespace()
{
	if [ "${SGB_INSIDE:-}" != yes ]; then
		[ "$(id -u)" = 0 ] || { echo "needs root" >&2; exit 77; }
		SGB_INSIDE=yes exec unshare --mount --propagation private \
			bash "$SELF" "$@"
	fi
}

passed=0
failed=0

ok()
{
	passed=$((passed + 1))
	echo "ok $1"
}

not_ok()
{
	failed=$((failed + 1))
	echo "not ok $1"
	[ -z "${2:-}" ] || printf '%s\n' "$2" | sed 's/^/    /'
}

# check NAME STATUS [DETAIL]
check()
{
	if [ "$2" = 0 ]; then ok "$1"; else not_ok "$1" "${3:-}"; fi
}

finish()
{
	echo "$passed passed, $failed failed"
	[ "$failed" = 0 ]
	exit $?
}

# A /dev with a /dev/log of ours, and a listener that appends to $T/syslog.
make_dev()
{
	mkdir "$T/dev"
	mount -t tmpfs -o mode=755 none "$T/dev"
	for node in null zero full random urandom tty; do
		: >"$T/dev/$node"
		mount --bind "/dev/$node" "$T/dev/$node"
	done
	mkdir "$T/dev/pts" "$T/dev/shm"
	mount -t devpts -o newinstance,ptmxmode=0666,mode=620 none "$T/dev/pts"
	ln -s pts/ptmx "$T/dev/ptmx"
	ln -s /proc/self/fd "$T/dev/fd"
	: >"$T/syslog"
	# shellcheck disable=SC2016
	perl -MSocket -e '
		socket(S, AF_UNIX, SOCK_DGRAM, 0) or die;
		bind(S, sockaddr_un($ARGV[0])) or die;
		chmod 0666, $ARGV[0];
		open(L, ">>", $ARGV[1]) or die;
		L->autoflush(1);
		while (defined(recv(S, $m, 65536, 0))) {
			$m =~ s/[\0\n]+$//;
			print L "$m\n";
		}' "$T/dev/log" "$T/syslog" &
	until [ -S "$T/dev/log" ]; do kill -0 $! || return 1; done
	mount --rbind "$T/dev" /dev
}

# make_accounts NAME...: uids from 1001, password "*", homes under $T/home
make_accounts()
{
	local uid=1000 name
	cat >"$T/passwd" <<-END
	root:x:0:0:root:/root:/bin/sh
	toor:x:0:0:root:/root:/bin/sh
	nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
	sshd:x:110:65534::/run/sshd:/usr/sbin/nologin
	END
	printf 'root:x:0:\nnogroup:x:65534:\ntty:x:5:\n' >"$T/group"
	: >"$T/shadow"
	for name in "$@"; do
		uid=$((uid + 1))
		echo "$name:x:$uid:$uid::$T/home/$name:/bin/sh" >>"$T/passwd"
		echo "$name:x:$uid:" >>"$T/group"
		mkdir -p "$T/home/$name"
		chown "$uid:$uid" "$T/home/$name"
	done
	for name in root toor nobody sshd "$@"; do
		echo "$name:*:19000:0:99999:7:::" >>"$T/shadow"
	done
	chmod 644 "$T/passwd" "$T/group"
	chmod 640 "$T/shadow"
	mkdir "$T/pam.d"
	for file in passwd group shadow pam.d; do
		mount --bind "$T/$file" "/etc/$file"
	done
	printf 'auth required pam_deny.so\naccount required pam_deny.so\n' \
		>/etc/pam.d/other
	printf 'session required pam_deny.so\n' >>/etc/pam.d/other
}

# make_bastion AUDIT: $T/sgbridge.conf, master key, store; the policy comes
# from standard input.
make_bastion()
{
	mkdir -m 700 "$T/otp"
	cat >"$T/policy.conf"
	cat >"$T/sgbridge.conf" <<-END
	policy $T/policy.conf
	master-key $T/master.key
	otp-directory $T/otp
	locks $T/locks
	policy-mark $T/policy.good
	audit $1
	END
	otp master-key 2>/dev/null
}

otp()
{
	"$BUILD/sgbridge-otp" -c "$T/sgbridge.conf" "$@"
}

# enrol USER [OPTIONS]: prints the secret
enrol()
{
	otp enrol --json --no-confirm "$@" |
		sed 's/.*"secret":"\([^"]*\)".*/\1/'
}

# The module and its arguments, in a service file.
module_line()
{
	echo "$1 requisite $BUILD/pam_sgbridge.so conf=$T/sgbridge.conf"
}

# shipped NAME: conf/pam.d/NAME with this build's module
shipped()
{
	sed "s,pam_sgbridge.so,$BUILD/pam_sgbridge.so conf=$T/sgbridge.conf," \
		"$(dirname "$SELF")/../../conf/pam.d/$1"
}

# The host's common-* files, which shipped stacks include.
keep_common()
{
	mkdir "$T/common"
	cp /etc/pam.d/common-* "$T/common/"
}

use_common()
{
	cp "$T"/common/* /etc/pam.d/
}

# An ASan build of the module needs its run time in the host program.
find_asan()
{
	ASAN=$(ldd "$BUILD/pam_sgbridge.so" |
		sed -n 's/.*=> \(.*libasan[^ ]*\) .*/\1/p')
	UBSAN=$(ldd "$BUILD/pam_sgbridge.so" |
		sed -n 's/.*=> \(.*libubsan[^ ]*\) .*/\1/p')
	PRELOAD=
	[ -z "$ASAN" ] || PRELOAD=$ASAN${UBSAN:+:$UBSAN}
	# detect_leaks: sshd leaks by design at exit.
	SANITIZER="detect_leaks=0:verify_asan_link_order=0:log_path=$T/asan"
}

# Runs a program with the run time loaded, if there is one.
with_asan()
{
	if [ -n "$PRELOAD" ]; then
		LD_PRELOAD=$PRELOAD ASAN_OPTIONS=$SANITIZER \
			UBSAN_OPTIONS="log_path=$T/asan" "$@"
	else
		"$@"
	fi
}

# Whether the log has this text since mark_log.
mark_log()
{
	log_at=$(wc -c <"$T/syslog")
}

logged()
{
	local i
	for i in $(seq 50); do
		tail -c "+$((log_at + 1))" "$T/syslog" | grep -qF -- "$1" &&
			return 0
		sleep 0.02
	done
	return 1
}

recent_log()
{
	tail -c "+$((log_at + 1))" "$T/syslog"
}

make_room()
{
	T=$(mktemp -d /tmp/sgb-pam.XXXXXX)
	chmod 755 "$T"
	trap 'umount -R -l "$T/dev" /dev 2>/dev/null; rm -rf "$T"' EXIT
	BUILD=$(cd "$BUILD" && pwd)
	find_asan
}
