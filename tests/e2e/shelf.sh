# web1 of the laboratory as it comes from the shelf: it knows no CA and lets a
# key in, and its /etc, /run and /var/backups are its own, so that what
# `sgbridge instance-setup` prints can be run there. Sourced after lab.sh.
# shellcheck shell=bash disable=SC2034,SC2154

eval "$(declare -f lab_instance | sed '1s/lab_instance/plain_instance/')"

lab_instance() {
	local name=$1 address=$2 dir=$LAB/$1
	[ "$name" = web1 ] || {
		plain_instance "$@"
		return
	}
	mkdir -p "$dir/home" "$dir/root"
	chown "$LAB_OPS_UID:$LAB_OPS_UID" "$dir/home"
	ssh-keygen -q -t ed25519 -N '' -f "$dir/hostkey" -C "$name"
	ssh-keygen -q -t ed25519 -N '' -f "$LAB/old" -C old
	shelf_etc "$dir"
	cat >"$dir/etc/ssh/sshd_config" <<-END
		Include /etc/ssh/sshd_config.d/*.conf
		ListenAddress $address:22
		HostKey $dir/hostkey
		PidFile /run/sshd.pid
		AuthorizedKeysFile $LAB/old.pub
		StrictModes no
		UsePAM no
		$(! sshd_knows persourcepenalties ||
			echo PerSourcePenaltyExemptList 192.0.2.77)
	END
	cp -a "$dir/etc" "$dir/shelf"
	lab_start "$dir/sshd.log" ip netns exec "$lab_tag-$name" \
		unshare -m --propagation private sh -ec "
		mount --bind '$dir/etc' /etc
		mount -t tmpfs tmpfs /run
		mount -t tmpfs tmpfs /var/backups
		mount -t tmpfs tmpfs /var/log
		mkdir -p /run/sshd
		exec /usr/sbin/sshd -D -e"
	WEB1=$LAB_LAST
}

# ops may become root there, and is asked for nothing. Root's home is not this
# machine's, with what shells read there.
shelf_etc() {
	local dir=$1
	mkdir -p "$dir/etc/ssh/sshd_config.d" "$dir/etc/nftables.d" \
		"$dir/etc/pam.d" "$dir/etc/systemd/system"
	mkdir "$dir/etc/systemd/system/sysinit.target.wants"
	cp -a /etc/ld.so.* /etc/nsswitch.conf /etc/alternatives "$dir/etc/"
	cat >"$dir/etc/passwd" <<-END
		root:x:0:0:root:$dir/root:/bin/bash
		sshd:x:64200:65534::/run/sshd:/usr/sbin/nologin
		ops:x:$LAB_OPS_UID:$LAB_OPS_UID::$dir/home:/bin/bash
	END
	printf 'root:x:0:\nops:x:%s:\ntty:x:5:\n' "$LAB_OPS_UID" \
		>"$dir/etc/group"
	printf 'root:*:19000::::::\nops:*:19000::::::\n' >"$dir/etc/shadow"
	echo '# kept' >"$dir/etc/nftables.conf"
	printf 'root ALL=(ALL) ALL\nops ALL=(ALL) NOPASSWD: ALL\n' \
		>"$dir/etc/sudoers"
	chmod 0440 "$dir/etc/sudoers"
	printf '%s required pam_permit.so\n' auth account session \
		>"$dir/etc/pam.d/sudo"
}

# What root does on web1.
on_web1() {
	nsenter -t "$WEB1" -m -n -- "$@"
}
