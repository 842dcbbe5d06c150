# What rpm runs at install, upgrade and removal, as it was packaged, in
# "$work/host", a copy of this host: rpm, sgbridged and systemd-sysusers are the
# real ones. systemctl alone is a stand-in, which notes what it is told.
# Sourced by rpm.sh, whose names it uses.
# shellcheck shell=bash disable=SC2154
host=$work/host
state=$host/systemd
in_host() {
	chroot "$host" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \
		HOME=/root LC_ALL=C "$@" </dev/null
}
in_rpm() { in_host rpm --dbpath /rpmdb "$@"; }
put() { # put WHERE: rpm's three packages
	local file where=$1
	shift
	for file in "$host/$where"/*.rpm; do
		set -- "$@" "${file#"$host"}"
	done
	in_rpm --nodeps "$@"
}
take() { in_rpm -e --nodeps sgbridge pam-sgbridge sgbridge-audit; }

# Nobody has installed anything on it yet, and its systemd is not this one.
prepare() {
	mount -t tmpfs tmpfs "$host/run" &&
		mount -t proc proc "$host/proc" &&
		mount -t tmpfs -o mode=755 tmpfs "$host/dev" &&
		: >"$host/dev/null" &&
		mount --bind /dev/null "$host/dev/null" || return
	rm -rf "$host"/etc/sgbridge "$host"/var/lib/sgbridge \
		"$host"/etc/systemd/system/sgbridge* "$host/usr/bin/systemctl"
	sed -i '/^_sgb-/d' "$host"/etc/{passwd,shadow,group,gshadow}
	mkdir -p "$host/old" "$host/new" "$state"
	cp "$build"/rpm/*.rpm "$host/old/"
	cp "$work"/build/rpm/*.rpm "$host/new/"
	cat >"$host/usr/bin/systemctl" <<-'END'
		#!/bin/sh
		echo "$*" >>/systemd/told
		[ ! -e /systemd/fails ] || exit 1
		case "$*" in
		"--quiet is-active sgbridged.service")
			[ -e /systemd/active ] ;;
		"show -P CapabilityBoundingSet sgbridged.service")
			cat /usr/lib/systemd/system/sgbridged.service \
				/etc/systemd/system/sgbridged.service.d/* \
				2>/dev/null | tr A-Z a-z |
				sed -n 's/^capabilityboundingset=//p' | xargs ;;
		esac
	END
	chmod 0755 "$host/usr/bin/systemctl"
	in_host rpm --dbpath /rpmdb --initdb
}
# quiet COMMAND...: it goes well and has nothing to say.
quiet() {
	"$@" >"$work/said" 2>&1 || { cat "$work/said" && return 1; }
	# Debian's rpm says each time that it is not Debian's way, and
	# systemd-sysusers whom it made.
	! grep -vE '^(rpm: |Creating (user|group) ._sgb-)' "$work/said"
}
# warned COMMAND...: it goes well and says that the daemon was left alone.
warned() {
	! quiet "$@" >"$work/warning" || return
	grep 'sgbridge: not restarted, the old one goes on' "$work/warning"
}
# tells LINES COMMAND...: systemctl was told these, in this order.
tells() {
	local lines=$1
	shift
	: >"$state/told"
	"$@" && diff <(printf '%b' "$lines") "$state/told"
}
# What somebody made there, or owns; the scripts change nothing of it.
mine() {
	(cd "$host" && find etc/sgbridge var/lib/sgbridge etc/pam.d/sgbridge \
		etc/passwd etc/group -printf '%p %m %U %G\n' \
		\( ! -type f -o -exec sha256sum {} \; \) | sort)
}
kept() { diff "$work/mine" <(mine); }
owner() { [ "$(in_host stat -c %U:%a "/var/lib/sgbridge/$2")" = "$1" ]; }

ok "a host to install on" prepare
ok "install, where no systemd runs" tells '' quiet put old -i
ok "it runs" eval '[ "$(in_host /usr/sbin/sgbridge --version)" = \
	"sgbridge $version" ]'
ok "users and folders are made, each its owner's alone" eval \
	'owner _sgb-recorder:700 recordings && owner root:700 otp &&
	owner _sgb-recorder:2750 events && owner root:700 keys &&
	in_host id _sgb-session'
ok "no key and no settings are invented" eval \
	'[ -z "$(find "$host/etc/sgbridge" -type f)" ]'
ok "removed again" tells '' quiet take
mkdir -p "$host/run/systemd/system"
ok "install starts nothing" tells 'daemon-reload\n' quiet put old -i

# --- what an administrator has made, and what must outlive everything
configured() {
	local etc=$host/etc/sgbridge lib=$host/var/lib/sgbridge
	cp conf/sgbridge.conf "$etc/" && cp conf/pam.d/sgbridge "$host/etc/pam.d/" &&
		in_host ssh-keygen -q -t ed25519 -N '' \
			-f /etc/sgbridge/ssh_host_ed25519_key &&
		in_host ssh-keygen -q -t ed25519 -N '' \
			-f /etc/sgbridge/user_ca &&
		in_host sgbridge-otp master-key -o /etc/sgbridge/master.key &&
		in_host sgbridge-audit writer-keygen \
			-o /etc/sgbridge/recorder_key || return
	echo 'permit alice from 203.0.113.0/24 to self via sshd' \
		>"$etc/policy.conf"
	echo evidence >"$lib/recordings/one.sgr"
	echo event >"$lib/events/one.jsonl"
	in_host chown _sgb-recorder: /var/lib/sgbridge/recordings/one.sgr
	in_host chown _sgb-recorder:_sgb-forward \
		/var/lib/sgbridge/events/one.jsonl
	chmod 0640 "$lib/events/one.jsonl"
	echo record >"$lib/otp/alice"
	echo stored >"$lib/keys/web1"
	echo key >"$etc/authorized_keys/alice"
	mine >"$work/mine" && in_host sgbridged -t
}
ok "settings that are accepted, keys, recordings" configured

# --- upgrades
asked='daemon-reload
try-restart sgbridge-forward.service
--quiet is-active sgbridged.service\n'
shown='show -P CapabilityBoundingSet sgbridged.service\n'
restart='try-restart sgbridged.service\n'
: >"$state/active"
ok "an upgrade restarts the daemon, and not the recorder" \
	tells "$asked$restart" quiet put new -U
ok "the next version is there" eval \
	'[ "$(in_rpm -q --qf "%{VERSION}" sgbridge)" = "$next" ]'
ok "the same once more does the same" \
	tells "$asked$restart" quiet put new -U --replacepkgs
ok "and so does the way back" \
	tells "$asked$restart" quiet put old -U --oldpackage
ok "all three kept everything" kept

echo 'listen nowhere' >>"$host/etc/sgbridge/sgbridge.conf"
mine >"$work/mine"
ok "settings that are refused: the daemon is left alone" \
	tells "$asked" warned put new -U
ok "with what is wrong with them" \
	grep 'listen "nowhere": expected address:port' "$work/warning"
rm "$state/active"
ok "where it does not run, nothing is judged" \
	tells "$asked$restart" quiet put new -U --replacepkgs
: >"$state/active"
sed -i '$d' "$host/etc/sgbridge/sgbridge.conf"
echo 'permit alice' >"$host/etc/sgbridge/policy.conf"
ok "a policy that is refused: the same" \
	tells "$asked" warned put new -U --replacepkgs
echo 'permit alice from 203.0.113.0/24 to self via sshd' \
	>"$host/etc/sgbridge/policy.conf"
printf '%s\n' 'authorized-keys-command /usr/bin/true' \
	'authorized-keys-command-user nobody' \
	>>"$host/etc/sgbridge/sgbridge.conf"
ok "a command for keys, and a unit without its power: the same" \
	tells "$asked$shown" warned put new -U --replacepkgs
mkdir -p "$host/etc/systemd/system/sgbridged.service.d"
sed -n '/^\[Service\]/,/^\.Ed/{/^\.Ed/!p}' docs/man/sgbridge.conf.5 \
	>"$host/etc/systemd/system/sgbridged.service.d/override.conf"
ok "with the lines of the manual it is restarted" \
	tells "$asked$shown$restart" quiet put new -U --replacepkgs
mine >"$work/mine"
: >"$state/fails"
ok "a systemd that fails stops no upgrade" quiet put new -U --replacepkgs
rm "$state/fails"
ok "nothing was changed by any" kept

# --- removal
echo 'auth requisite pam_sgbridge.so' >>"$host/etc/pam.d/other"
ok "not removed while a service names the module" eval \
	'! in_rpm -e --nodeps pam-sgbridge && in_rpm -q pam-sgbridge'
sed -i '$d' "$host/etc/pam.d/other"
# All that somebody may have enabled; the ruleset goes on to guard.
enabled() {
	grep -l '^\[Install\]' conf/systemd/* | sed 's,.*/,,' |
		grep -v '^sgbridge-nftables' | sort
}
removed() {
	: >"$state/told"
	quiet take && diff <(enabled) <(sed -n '1s/^disable --now //p' \
		"$state/told" | tr ' ' '\n' | sort) &&
		[ "$(sed 1d "$state/told")" = daemon-reload ]
}
ok "removed, with every unit stopped and disabled" removed
ok "no program stays" eval '[ -z "$(find "$host"/usr/{sbin,bin,libexec} \
	-name "sgbridge*")" ]'
ok "recordings, keys, factors and settings stay, and their owners" kept
ok "installed once more, it finds them as they were" eval \
	'quiet put old -i && kept && in_host sgbridged -t'
: >"$state/fails"
ok "a systemd that fails stops no removal" eval 'quiet take && kept'
