# The command blocks of QUICKSTART.md and README.md, run as they stand: on the
# host of host.sh, and where alice works. Names are made to mean something:
# `bastion` is the host, 10.0.1.11 an instance with an /etc of its own. Sourced
# after host.sh.
# shellcheck shell=bash disable=SC2034

# shellcheck source=tests/block.sh
. tests/block.sh

# Before anything is set up: what is web1's later, and the desks.
guide_begin() {
	cp -a "$R/etc" "$W/web1-etc"
	mkdir -p "$R/opt/guide" "$R/root/desk" "$R/home/alice/desk"
	echo words >"$R/home/alice/desk/file"
	guide_client
	guide_shelf
}

# alice's client: her key, an answer to each prompt, the names of the page.
guide_client() {
	cat >"$R/opt/guide/config" <<-END
		Host 10.0.1.11
		  BindAddress 10.0.1.1
		  UserKnownHostsFile /dev/null
		  StrictHostKeyChecking no
		Host bastion
		  HostName 203.0.113.1
		  BindAddress 203.0.113.9
		Host *
		  UserKnownHostsFile /opt/guide/known_hosts
		  StrictHostKeyChecking yes
		  IdentitiesOnly yes
		  IdentityFile /opt/guide/alice
		  LogLevel ERROR
		  ConnectTimeout 20
	END
	cp "$W/alice" "$R/opt/guide/alice"
	cat >"$R/opt/guide/askpass" <<-'END'
		#!/bin/sh
		if [ ! -e /opt/guide/counter ]; then
			exec /root/code
		fi
		n=$(cat /opt/guide/counter)
		echo $((n + 1)) >/opt/guide/counter
		oathtool --hotp -b -c "$n" "$(cat /opt/guide/secret)"
	END
	for name in ssh scp; do
		printf '#!/bin/sh\nexec /usr/bin/%s -F /opt/guide/config "$@"\n' \
			"$name" >"$R/opt/guide/$name"
	done
	chmod 0755 "$R"/opt/guide/{askpass,ssh,scp}
}

# Which keys the page's hosts show; the bastion answers for web1.
guide_known_hosts() {
	local proxy
	proxy=$(cut -d' ' -f1,2 "$R/etc/sgbridge/ssh_host_ed25519_key.pub")
	{
		printf '203.0.113.1 %s\n' "$(cut -d' ' -f1,2 \
			"$R/etc/ssh/ssh_host_ed25519_key.pub")"
		printf '[203.0.113.1]:30022 %s\nweb1 %s\n' "$proxy" "$proxy"
	} >"$R/opt/guide/known_hosts"
}

# Codes by a counter: those of a clock count once in thirty seconds.
guide_counter() {
	in_root sgbridge-otp reset alice &&
		in_root sgbridge-otp enrol alice --hotp --json --no-confirm |
		sed -n 's/.*"secret": *"\([A-Z2-7]*\)".*/\1/p' \
			>"$R/opt/guide/secret"
	echo 0 >"$R/opt/guide/counter"
	[ -s "$R/opt/guide/secret" ]
}

# web1 as it comes: root gets in with a key, and ops may become root.
guide_shelf() {
	rm -f "$W"/web1-etc/ssh/sshd_config.d/*
	cat >"$W/web1-etc/ssh/sshd_config.d/zz-web1.conf" <<-END
		ListenAddress 10.0.1.11
		HostKey /root/web1
		AuthorizedKeysFile /root/web1.keys
	END
	cp "$W/alice.pub" "$R/root/web1.keys"
	echo 'ops ALL=(ALL) NOPASSWD: ALL' >"$W/web1-etc/sudoers.d/ops"
	chmod 0440 "$W/web1-etc/sudoers.d/ops"
}

guide_instance() {
	unshare --net --mount --propagation private sh -c '
		mount --bind "$1" "$2/etc"
		for dir in run var/backups var/log; do
			mount -t tmpfs -o mode=755 none "$2/$dir"
		done
		mkdir "$2/run/sshd" "$2/run/web1"
		exec sleep infinity' sh "$W/web1-etc" "$R" &
	WEB1=$!
	wait_for test -d "/proc/$WEB1/root$R/run/web1"
	ip link add w0 type veth peer name w0 netns "/proc/$WEB1/ns/net"
	ip address add 10.0.1.1/24 dev w0
	ip link set w0 up
	on_web1 sh -c 'ip link set lo up && ip link set w0 up &&
		ip address add 10.0.1.11/24 dev w0 && /usr/sbin/sshd'
}

on_web1() {
	nsenter -t "$WEB1" -n -m chroot "$R" "$@"
}

# guide_text FILE NAME PLACES: its block; PLACES is for sed.
guide_text() {
	local text
	text=$(block "$1" "$2" | sed "${3:-}")
	[ -n "$text" ] && echo "$text" && return
	echo "# no block $2 in $1" >&2
	return 1
}

# guide_at FOLDER COMMAND...: by root there; ssh and scp are alice's.
guide_at() {
	local folder=$1
	shift
	in_root PATH=/opt/guide:/usr/sbin:/usr/bin:/sbin:/bin DISPLAY=:0 \
		SSH_ASKPASS=/opt/guide/askpass SSH_ASKPASS_REQUIRE=force \
		sh -c 'cd "$1" && shift && exec timeout 60 "$@"' sh \
		"$folder" "$@"
}

# guide_lines FOLDER FILE NAME [PLACES]: each line by itself. What check and
# doctor warn of is no failure. Each shell that opens is asked who it is.
guide_lines() {
	local folder=$1 text line status
	shift
	text=$(guide_text "$@") || return
	: >"$W/said"
	while IFS= read -r line <&3; do
		echo 'echo I am $(id -un)' |
			guide_at "$folder" bash -o pipefail -c "$line" \
				>>"$W/said" 2>&1
		status=$?
		case $status:$line in
		0:* | 1:*" doctor"* | 1:*" check"*) continue ;;
		esac
		echo "# $line: status $status"
		tail -n 5 "$W/said" | sed 's/^/# /'
		return 1
	done 3<<<"$text"
}

# guide_typed FOLDER FILE NAME: the first line opens a shell somewhere else,
# and the others are typed there.
guide_typed() {
	local folder=$1 text
	shift
	text=$(guide_text "$@") || return
	guide_at "$folder" bash -e <<<"$text" >"$W/said" 2>&1 && return
	tail -n 5 "$W/said" | sed 's/^/# /'
	return 1
}
