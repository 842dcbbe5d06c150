# A host of its own from the packages, for the scripts that play people: a
# Debian root, its own network, processes and /dev; an sshd as Debian installs
# it; alice, who logs in with a key and uses sudo. Sourced.
# shellcheck shell=bash disable=SC2034
#
#   203.0.113.1 the host; 203.0.113.9 alice; 198.51.100.7 somebody else;
#   all on one loopback interface; 10.0.1.11 web1, in a network of its own,
#   since the bastion itself is never a target.

host_begin() {
	if [ "${SGB_INSIDE:-}" != yes ]; then
		[ "$(id -u)" = 0 ] && command -v debootstrap >/dev/null || {
			echo "needs root and debootstrap"
			exit 77
		}
		# While there is a network: inside there is none.
		# shellcheck source=tests/packages/root.sh
		. tests/packages/root.sh
		root_archive "${1:-build}"
		SGB_INSIDE=yes exec unshare --mount --net --pid --fork \
			--kill-child --propagation private --mount-proc \
			bash "$0" "$@"
	fi
	# shellcheck source=tests/e2e/lab.sh
	. tests/e2e/lab.sh
	# shellcheck source=tests/packages/root.sh
	. tests/packages/root.sh
	build=${1:-build}
	W=$(mktemp -d)
	R=$W/root
	trap 'host_down' EXIT
	host_make || {
		echo "no root could be made from this machine's package sources"
		exit 77
	}
}

host_down() {
	umount -R -l "$R" 2>/dev/null
	rm -rf --one-file-system "$W"
}

host_end() {
	echo "$PASSED passed, $FAILED failed"
	[ "$FAILED" -eq 0 ]
}

in_root() {
	root_run "$R" "$@"
}

host_make() {
	# deb.sh, which goes before, has just made the packages.
	[ -n "$(find "$build/deb" -name '*.deb' -newer "$build/sgbridge-setup" \
		2>/dev/null)" ] && [ -z "$(find conf docs \
		-newer "$build/deb/install.log")" ] ||
		make --no-print-directory BUILD="$build" deb >"$W/deb.log" ||
		return 1
	root_make "$build" "$R" || return 1
	mkdir "$R/debs"
	cp "$build"/deb/*.deb "$R/debs/"
	host_mounts
	in_root sh -c 'dpkg -i /debs/*.deb' >"$W/install" 2>&1 || {
		tail -n 5 "$W/install" | sed 's/^/# /'
		return 1
	}
	host_people && host_sshd
}

host_mounts() {
	local node
	# A mount of its own, as the root of a real host is.
	mount --bind "$R" "$R"
	mount -t proc proc "$R/proc"
	mount -t tmpfs -o mode=755 none "$R/run"
	mount -t tmpfs -o mode=755 none "$R/dev"
	for node in null zero full random urandom tty; do
		: >"$R/dev/$node"
		mount --bind "/dev/$node" "$R/dev/$node"
	done
	mkdir "$R/dev/pts" "$R/run/sshd" "$R/run/lock"
	mount -t devpts -o newinstance,ptmxmode=0666,mode=620 none "$R/dev/pts"
	ln -s pts/ptmx "$R/dev/ptmx"
	ln -s /proc/self/fd "$R/dev/fd"
	echo "203.0.113.1 $(uname -n)" >>"$R/etc/hosts"
	in_root systemd-tmpfiles --create sgbridge.conf 2>/dev/null
	ip link set lo up
	for node in 203.0.113.1 203.0.113.9 198.51.100.7; do
		ip address add "$node/32" dev lo
	done
}

host_people() {
	in_root useradd -m -s /bin/bash alice &&
		in_root useradd -m -s /bin/bash -p '*' ops &&
		echo 'alice ALL=(ALL) NOPASSWD: ALL' \
			>"$R/etc/sudoers.d/alice" &&
		chmod 0440 "$R/etc/sudoers.d/alice"
	ssh-keygen -q -t ed25519 -N '' -f "$W/alice"
	install -d -m 0700 "$R/home/alice/.ssh"
	cp "$W/alice.pub" "$R/home/alice/.ssh/authorized_keys"
	in_root chown -R alice: /home/alice/.ssh
	printf '#!/bin/sh\noathtool --totp -b "$(sed %s /root/alice.json)"\n' \
		"'s/.*\"secret\": *\"\\([A-Z2-7]*\\)\".*/\\1/'" >"$R/root/code"
	chmod 0700 "$R/root/code"
	in_root sgbridge-audit keygen -o /root/auditor.key 2>/dev/null |
		grep '^x25519 ' >"$W/recipient"
	cat >"$W/askpass" <<-'END'
		#!/bin/sh
		oathtool --totp -b --now "$(date -u -d "$LATER seconds" \
			'+%F %T UTC')" "$(sed \
			's/.*"secret": *"\([A-Z2-7]*\)".*/\1/' "$SECRET")"
	END
	chmod 0755 "$W/askpass"
}

# The old door: Debian's own sshd, and a connection that stays open.
host_sshd() {
	echo 'ListenAddress 203.0.113.1' >"$R/etc/ssh/sshd_config.d/zz-test.conf"
	in_root /usr/sbin/sshd -E /var/log/sshd.log || return 1
	printf '203.0.113.1 %s\n' \
		"$(cut -d' ' -f1,2 "$R/etc/ssh/ssh_host_ed25519_key.pub")" \
		>"$W/known_hosts"
	cat >"$W/ssh_config" <<-END
		Host *
		  UserKnownHostsFile $W/known_hosts
		  GlobalKnownHostsFile none
		  StrictHostKeyChecking yes
		  IdentitiesOnly yes
		  IdentityFile $W/alice
		  BindAddress 203.0.113.9
		  LogLevel ERROR
		  ConnectTimeout 20
	END
	open_old
}

open_old() {
	ssh -F "$W/ssh_config" -o BatchMode=yes -M -S "$W/old" -N -f \
		alice@203.0.113.1 </dev/null >"$W/master" 2>&1
}

# A connection of its own, with a key alone.
old_login() {
	local user=$1
	shift
	timeout 60 ssh -F "$W/ssh_config" -o BatchMode=yes "$user@203.0.113.1" \
		"$@" </dev/null
}

# As root, over the connection that was open before.
admin_sudo() {
	timeout 120 ssh -F "$W/ssh_config" -S "$W/old" alice@203.0.113.1 \
		sudo "$@" </dev/null
}

# new_login LATER COMMAND...: with key and the code of LATER seconds from now.
new_login() {
	local later=$1
	shift
	LATER=$later SECRET=$R/root/alice.json SSH_ASKPASS=$W/askpass \
		SSH_ASKPASS_REQUIRE=force DISPLAY=:0 timeout 60 \
		ssh -F "$W/ssh_config" alice@203.0.113.1 "$@" </dev/null
}

proxy_login() {
	local later=$1 name=$2
	shift 2
	[ -s "$R/etc/sgbridge/ssh_host_ed25519_key.pub" ] &&
		printf '[203.0.113.1]:30022 %s\n' "$(cut -d' ' -f1,2 \
			"$R/etc/sgbridge/ssh_host_ed25519_key.pub")" \
			>>"$W/known_hosts"
	LATER=$later SECRET=$R/root/alice.json SSH_ASKPASS=$W/askpass \
		SSH_ASKPASS_REQUIRE=force DISPLAY=:0 timeout 60 \
		ssh -F "$W/ssh_config" -p 30022 "$name@203.0.113.1" "$@" \
		</dev/null
}

# What a person or a configuration management answers.
answers() {
	cat <<-END
		admin          alice
		admin-address  203.0.113.9
		network        203.0.113.0/24
		instance       web1 10.0.1.11 ops $(instance_pin)
		recipient      $(cat "$W/recipient")
		enrol-output   /root/alice.json
		code-command   /root/code
		confirm-within ${WITHIN:-10m}
	END
}

setup_answers() {
	admin_sudo sgbridge setup --answers /root/answers --yes >"$W/out" 2>&1
}

instance_pin() {
	[ -e "$R/root/web1" ] ||
		ssh-keygen -q -t ed25519 -N '' -f "$R/root/web1"
	ssh-keygen -lf "$R/root/web1.pub" | cut -d' ' -f2
}

start_instance() {
	cat >"$R/root/web1.conf" <<-END
		ListenAddress 10.0.1.11
		HostKey /root/web1
		PidFile none
		UsePAM no
		StrictModes no
		AuthorizedKeysFile none
		TrustedUserCAKeys /etc/sgbridge/user_ca.pub
	END
	unshare --net sleep infinity &
	web1_pid=$!
	until [ "$(readlink "/proc/$web1_pid/ns/net")" != \
		"$(readlink /proc/self/ns/net)" ]; do
		kill -0 "$web1_pid" || exit 1
	done
	ip link add w0 type veth peer name w0 netns "/proc/$web1_pid/ns/net"
	ip address add 10.0.1.1/24 dev w0
	ip link set w0 up
	nsenter -t "$web1_pid" -n sh -c 'ip link set lo up &&
		ip address add 10.0.1.11/24 dev w0 && ip link set w0 up'
	nsenter -t "$web1_pid" -n chroot "$R" /usr/sbin/sshd \
		-f /root/web1.conf -E /var/log/web1.log
}

start_bastion() {
	in_root /usr/libexec/sgbridge/sgbridge-recorder -e \
		>"$W/recorder.log" 2>&1 &
	RECORDER=$!
	wait_for test -S "$R/run/sgbridge/recorder"
	in_root /usr/sbin/sgbridged -e >"$W/sgbridged.log" 2>&1 &
	DAEMON=$!
	wait_for test -S "$R/run/sgbridge/control"
}

stop_bastion() {
	kill "$DAEMON" "$RECORDER"
	wait "$DAEMON" "$RECORDER" 2>/dev/null
}
