# A systemd that is process 1 of the Debian root of host.sh: its own
# processes, control groups and mounts; the network is the test's, in which
# alice is. It can be switched off and on again. Sourced, after host.sh.
# shellcheck shell=bash disable=SC2034

CGROUPS=$W/cgroups
group=$CGROUPS/sgb-units-$(basename "$W")

# Once: what was started by hand ends, what is to be tried starts at boot.
boot_prepare() {
	ssh -F "$W/ssh_config" -S "$W/old" -O exit alice@203.0.113.1 \
		2>/dev/null
	kill "$(cat "$R/run/sshd.pid")"
	mkdir "$CGROUPS" && mount -t cgroup2 none "$CGROUPS" &&
		mkdir "$group" || return 1
	rm "$R/usr/sbin/policy-rc.d"
	# Not what is tried here.
	in_root systemctl mask auditd.service >/dev/null 2>&1
	cat >"$W/init" <<-END
		set -e
		echo \$\$ >"$group/cgroup.procs"
		exec unshare --cgroup sh -ec '
			mount -t proc proc "$R/proc"
			mount --bind "$W/boot-id" \
				"$R/proc/sys/kernel/random/boot_id"
			mount -t sysfs -o ro sysfs "$R/sys"
			mount -t cgroup2 none "$R/sys/fs/cgroup"
			cd "$R"
			mkdir -p run/before
			pivot_root . run/before
			umount -l /run/before
			exec env -i container=test PATH=/usr/sbin:/usr/bin \
				/lib/systemd/systemd --system' </dev/null
	END
}

# What memory held is gone, and the kernel calls it another boot.
boot() {
	umount -l "$R/run"
	mount -t tmpfs -o mode=755 none "$R/run"
	nft flush ruleset
	cat /proc/sys/kernel/random/uuid >"$W/boot-id"
	unshare --mount --pid --fork --kill-child --uts --ipc \
		--propagation private bash "$W/init" >"$W/boot" 2>&1 &
	keeper=$!
	wait_for test -S "$R/run/systemd/private" || return 1
	SYSTEMD=$(cat "/proc/$keeper/task/$keeper/children")
	SYSTEMD=${SYSTEMD%% *}
	wait_for booted
}

# As when the power fails.
power_off() {
	[ -z "${SYSTEMD:-}" ] || kill -KILL "$SYSTEMD" 2>/dev/null
	[ -z "${keeper:-}" ] || wait "$keeper" 2>/dev/null
	SYSTEMD='' keeper=''
	find "$group" -mindepth 1 -depth -type d -exec rmdir {} + 2>/dev/null
}

in_host() {
	nsenter -t "$SYSTEMD" -m -p -u -i -C env -i LC_ALL=C HOME=/root \
		PATH=/usr/sbin:/usr/bin:/sbin:/bin \
		DEBIAN_FRONTEND=noninteractive timeout 60 "$@" </dev/null
}

booted() {
	case $(in_host systemctl is-system-running) in
	running | degraded) ;;
	*) return 1 ;;
	esac
}

boot_down() {
	power_off
	rmdir "$group" 2>/dev/null
	umount "$CGROUPS" 2>/dev/null
	[ -z "${web1_pid:-}" ] || kill "$web1_pid" 2>/dev/null
	host_down
}

told() {
	in_host systemctl show -P "$2" "$1"
}

active() {
	local unit
	for unit; do
		[ "$(told "$unit" ActiveState)" = active ] || {
			echo "# $unit:"
			in_host journalctl --no-pager -n 5 -u "$unit" |
				sed 's/^/# /'
			return 1
		}
	done
}
