#!/bin/bash
# Setup and the units under a real systemd: one that is process 1 of a Debian
# root of its own, made by the packages. Setup heals as it promises: without the
# word, with sshd broken by hand, and by a boot. The units start, are told to be
# ready and alive, take sockets, and are upgraded to a version that was built as
# the next one, while a session goes on.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/packages/host.sh
. tests/packages/host.sh
host_begin "$@"

# shellcheck source=tests/packages/boot.sh
. tests/packages/boot.sh
trap boot_down EXIT

answers >"$R/root/answers"
start_instance
if ! boot_prepare || ! boot; then
	sed 's/^/# /' "$W/boot"
	echo "no systemd can be process 1 here"
	exit 77
fi

# --- setup, on a host that runs as every host does
etc() {
	(cd "$R" && find etc -path etc/ld.so.cache -prune -o -type l \
		-printf '%p %l\n' -o -type f -printf '%p %m %u %g ' \
		-exec sha256sum {} \; | sort)
}
unchanged() { etc | diff "$W/before" -; }
# Nobody waits for it here: what the guard reads says that it is over.
time_passes() {
	sed -i 's/^\(armed .*\) [0-9]*$/\1 0/' \
		"$(find "$R/var/lib/sgbridge/setup" -name journal | sort |
			tail -n 1)"
}
healed() {
	wait_for guard_ended && wait_for old_login alice true && unchanged &&
		return
	in_host journalctl --no-pager -n 60 -u sgbridge-setup-guard -u ssh |
		sed 's/^/# /'
	return 1
}
guard_ended() {
	[ "$(told sgbridge-setup-guard ActiveState)" = inactive ]
}
# Over a connection that is open before.
set_up() {
	answers >"$R/root/answers"
	echo 'firewall yes' >>"$R/root/answers"
	wait_for open_old && setup_answers && return
	sed 's/^/# /' "$W/out"
	return 1
}
firewall() { in_host nft list table inet sgbridge_host >/dev/null 2>&1; }
listens() {
	timeout 5 bash -c "exec 3<>/dev/tcp/203.0.113.1/22 &&
		head -c 8 <&3 | grep -q ^SSH-2.0"
}
# sshd may still be about to read its settings again, and hears nobody then.
in_force() {
	wait_for eval '! old_login alice true' && wait_for listens &&
		wait_for firewall &&
		active "${units[@]}" sgbridge-findings.timer
}
units=(sgbridge-recorder.service sgbridge-starter.service sgbridged.service)
# As `make install` leaves them: so whoever undoes has to disable them, too.
in_host systemctl disable sgbridge-recorder.service sgbridged.service \
	sgbridge-findings.timer sgbridge-setup-guard.service >/dev/null 2>&1
ok "what is installed and not configured does not run" eval \
	'! pgrep -x sgbridged >/dev/null && wait_for old_login alice true'
etc >"$W/before"
ok "setup, by units" set_up
ok "it is in force, the firewall too" in_force
ok "the guard is a unit, too" active sgbridge-setup-guard.service
ok "nobody confirms: it heals" eval 'time_passes && healed'
ok "with its firewall and its daemon" eval '! firewall &&
	[ "$(told sgbridged ActiveState)" = inactive ]'
# So often that systemd has had enough, and its folder is gone with it.
sshd_fails() {
	mkdir -p "$R/run/systemd/system/ssh.service.d"
	printf '[Unit]\nStartLimitIntervalSec=60\nStartLimitBurst=2\n' \
		>"$R/run/systemd/system/ssh.service.d/soon.conf"
	in_host systemctl daemon-reload
	echo 'Frobnicate yes' \
		>>"$R/etc/ssh/sshd_config.d/00-sgbridge.conf"
	! in_host systemctl restart ssh 2>/dev/null && wait_for eval '
		[ "$(told ssh ActiveState)" = failed ]' &&
		[ ! -e "$R/run/sshd" ] && ! in_host systemctl start ssh 2>/dev/null
}
ok "setup, and then sshd is broken by hand, and started again" eval \
	'set_up && sshd_fails'
ok "it heals, and sshd runs again" eval 'time_passes && healed'
ok "setup, and the power fails before the word" eval 'set_up && in_force &&
	power_off && boot'
ok "it heals by the boot" healed
ok "with its firewall" eval '! firewall'
ok "setup, and the word, from a new login" eval 'set_up &&
	in_force && new_login -30 sudo sgbridge setup --confirm'
ok "the power fails once more" eval 'power_off && boot'
ok "all of it is in force, the firewall too, which no other unit loads" eval \
	'in_force && [ "$(told nftables UnitFileState)" = disabled ]'
flushed() {
	in_host nft delete table inet sgbridge_host &&
		in_host systemctl reload sgbridge-nftables && firewall
}
ok "its unit loads it again" flushed
# finds LINES: of those that setup decides. The clock and the kernel's audit
# are this machine's, and how many recipients there are is an answer's.
finds() {
	in_host sgbridge doctor --json >"$W/doctor"
	diff <([ $# -eq 0 ] || printf '%s\n' "$@") <(jq -r '.findings[] |
		select(.severity != "note") | "\(.code): \(.found)"' \
		"$W/doctor" | grep -E \
		'^(sshd|pam|unit|firewall|process|file|user|daemon|recorder)')
}
ok "doctor has nothing to say about a fresh setup" finds
ok "and says that a firewall is not there at boot" eval \
	'in_host systemctl disable sgbridge-nftables 2>/dev/null &&
	finds "firewall: nothing loads /etc/nftables.d/sgbridge.nft at boot"'
ok "and is quiet when its fix was run" eval \
	'in_host systemctl enable --now sgbridge-nftables 2>/dev/null && finds'

# --- as they are shipped
ok "the units say that they are ready" wait_for active "${units[@]}"
succeeds() {
	in_host systemctl start "$1" && [ "$(told "$1" Result)" = success ]
}
ok "findings are looked for" succeeds sgbridge-findings.service
in_journal() {
	in_host journalctl --no-pager -o cat -u sgbridge-forward |
		grep -qx 'service started'
}
ok "the forwarder starts where there is a receiver, and sends" eval \
	'echo "journald yes" >>"$R/etc/sgbridge/sgbridge.conf" &&
	in_host systemctl start sgbridge-forward &&
	active sgbridge-forward.service && wait_for in_journal'
in_host systemctl stop sgbridge-forward
sed -i '$d' "$R/etc/sgbridge/sgbridge.conf"
# hold NAME LATER: a session that repeats what it is told.
hold() {
	mkfifo "$W/in.$1"
	exec {held}<>"$W/in.$1"
	LATER=$2 SECRET=$R/root/alice.json SSH_ASKPASS=$W/askpass \
		SSH_ASKPASS_REQUIRE=force DISPLAY=:0 \
		ssh -F "$W/ssh_config" -p 30022 alice+ops@web1@203.0.113.1 \
		'echo up; exec cat' <"$W/in.$1" >"$W/out.$1" 2>"$W/err.$1" &
	client[held]=$!
	wait_for grep -qx up "$W/out.$1" || {
		sed 's/^/# /' "$W/err.$1"
		in_host journalctl --no-pager -n 15 | sed 's/^/# /'
		return 1
	}
}
# alive NAME WORD: it goes on.
alive() {
	echo "$2" >"$W/in.$1"
	wait_for grep -qx "$2" "$W/out.$1"
}
ended() {
	local pid
	for pid in "${client[@]}"; do
		! kill -0 "$pid" 2>/dev/null || return 1
	done
}
printf '[203.0.113.1]:30022 %s\n' "$(cut -d' ' -f1,2 \
	"$R/etc/sgbridge/ssh_host_ed25519_key.pub")" >>"$W/known_hosts"
ok "a login with key and code, to an instance" hold first 0
ok "its session is where there is no network" eval \
	'in_host sh -c "pid=\$(pgrep -u _sgb-session | head -n 1)
	[ -n \"\$pid\" ] && [ \"\$(readlink /proc/\$pid/ns/net)\" != \
		\"\$(readlink /proc/1/ns/net)\" ]"'
ok "doctor finds no process with more power than it should have" eval \
	'in_host sgbridge doctor --json >"$W/doctor"; [ $? -le 1 ] &&
	! grep -q "\"process-" "$W/doctor"'
deaf_to() {
	! in_host nsenter -t "$(told "$1" MainPID)" -m \
		systemctl show-environment
}
ok "process 1 takes orders of root" in_host systemctl show-environment
for unit in sgbridged sgbridge-starter; do
	ok "and none of root in $unit's room" deaf_to "$unit"
done
# A later systemd listens there, too: not to be seen from inside, whenever it
# comes.
(cd "$R/run/systemd" && python3 -c '
import socket
socket.socket(socket.AF_UNIX).bind("io.systemd.Manager")')
# Not -type s: a folder knows no type of what is mounted on its files.
sockets() {
	in_host nsenter -t "$1" -m find /run/systemd -exec test -S {} ';' -print
}
only_named() {
	local seen
	seen=$(cat)
	grep -qx /run/systemd/notify <<<"$seen" && ! grep -Evx \
		'/run/systemd/(notify|(journal|resolve)/[^/]*)' <<<"$seen" &&
		return
	sed 's/^/# /' <<<"$seen"
	return 1
}
ok "process 1 has more sockets" eval \
	'sockets 1 | grep -q io.systemd.Manager && sockets 1 |
	grep -q /run/systemd/private'
for unit in sgbridged sgbridge-starter; do
	ok "$unit sees those alone that are named" eval \
		'sockets "$(told "$unit" MainPID)" | only_named'
done
# It does not stay: its room is looked at by what goes before it.
mkdir -p "$R/run/systemd/system/sgbridge-findings.service.d"
printf '[Service]\n%s\n' \
	'ExecStartPre=/usr/bin/find /run/systemd -exec test -S {} \; -print' \
	>"$R/run/systemd/system/sgbridge-findings.service.d/look.conf"
in_host systemctl daemon-reload
findings_room() {
	in_host systemctl start sgbridge-findings.service &&
		in_host journalctl --no-pager -o cat -u sgbridge-findings |
		grep ^/run/systemd | sort -u | only_named
}
ok "nor do the findings" findings_room
rm -r "$R/run/systemd/system/sgbridge-findings.service.d"
in_host systemctl daemon-reload
ok "reload" eval 'in_host systemctl reload sgbridged && alive first reloaded'

# --- the next version: built from a copy that says so in its changelog
# Monitors of the next version say more to session programs than those of this
# one, and neither understands the other's.
speaks_otherwise() {
	sed -i 's/^\terr = msg_put_fd(&msg, link);$/\tbuf_put_u32(\&msg.body, 2);\n&/' \
		"$1/monitor_cradle.c" &&
		sed -i 's/ && !reader_end(&msg.reader)/ \&\& reader_u32(\&msg.reader) == 2&/' \
			"$1/session_cradle.c" &&
		! cmp -s {bastion,"$1"}/monitor_cradle.c &&
		! cmp -s {bastion,"$1"}/session_cradle.c
}
next_version() {
	local copy=$W/next
	mkdir "$copy" && cp -a Makefile LICENSE README.md SECURITY.md \
		CHANGELOG.md audit bastion conf docs pam_module tests \
		"$copy/" || return 1
	speaks_otherwise "$copy/bastion" || return 1
	mkdir "$copy/build" &&
		cp -a "$build"/{audit,bastion,pam_module,libsgb.a} \
			"$build"/{include,flags} "$build"/sgbridge* \
			"$build"/pam_sgbridge.so "$copy/build/" || return 1
	{
		printf '%s\n\n  * The next one.\n\n%s\n\n' \
			'sgbridge (0.2) unstable; urgency=medium' \
			"$(grep -m 1 '^ -- ' conf/debian/changelog)"
		cat conf/debian/changelog
	} >"$copy/conf/debian/changelog"
	make -C "$copy" --no-print-directory BUILD=build VERSION=0.2 \
		all >"$W/next.log" 2>&1 &&
		(cd "$copy" && conf/debian/build.sh build 0.2) \
			>>"$W/next.log" 2>&1 && mkdir "$R/next" &&
		cp "$copy"/build/deb/*_0.2_*.deb "$R/next/" || {
		tail -n 5 "$W/next.log" | sed 's/^/# /'
		return 1
	}
}
status_says() {
	in_host sgbridge status --json | grep -q "\"version\": *\"$1\""
}
ok "the next version is built" next_version
ok "this one runs" status_says 0.1
daemon=$(told sgbridged MainPID) recorder=$(told sgbridge-recorder MainPID)
starter=$(told sgbridge-starter MainPID)
upgrade() {
	in_host sh -c 'dpkg -i /next/*.deb' >"$W/upgrade" 2>&1 || {
		tail -n 5 "$W/upgrade" | sed 's/^/# /'
		return 1
	}
}
# By a key alone, since a code is good for one login, and each by a session
# program that is started for it.
robot_may() {
	ssh-keygen -q -t ed25519 -N '' -f "$W/robot"
	cp "$W/robot.pub" "$R/etc/sgbridge/authorized_keys/robot"
	cp "$R"/etc/sgbridge/{sgbridge,policy}.conf "$W/"
	echo 'sessions-per-start 1' >>"$R/etc/sgbridge/sgbridge.conf"
	cat >>"$R/etc/sgbridge/policy.conf" <<-END
		user robot
		permit robot from 203.0.113.9 to SG_Current as ops { mfa never; allow exec }
	END
	reloaded
}
robot_may_no_more() {
	rm "$R/etc/sgbridge/authorized_keys/robot"
	cp "$W"/{sgbridge,policy}.conf "$R/etc/sgbridge/"
}
reloaded() {
	in_host sgbridge reload >/dev/null && robot_gets_in
}
robot_gets_in() {
	ssh -F "$W/ssh_config" -o BatchMode=yes -p 30022 -i "$W/robot" \
		robot+ops@web1@203.0.113.1 true 2>"$W/err" </dev/null && return
	sed 's/^/# /' "$W/err"
	in_host journalctl --no-pager -n 5 | sed 's/^/# /'
	return 1
}
left_alone() {
	upgrade && grep -q 'sgbridge: not restarted' "$W/upgrade" &&
		[ "$(told sgbridged MainPID)" = "$daemon" ] &&
		[ "$(told sgbridge-starter MainPID)" = "$starter" ] &&
		status_says 0.1
}
ok "a robot gets in" robot_may
echo 'listen nowhere' >>"$R/etc/sgbridge/sgbridge.conf"
ok "where it refuses the settings, the daemon is left alone" left_alone
ok "and whoever comes gets in" robot_gets_in
sed -i '$d' "$R/etc/sgbridge/sgbridge.conf"
ok "after a reload, too" reloaded
ok "upgrade, with settings that it takes" upgrade
ok "the session goes on" alive first upgraded
ok "the next version answers" wait_for status_says 0.2
ok "by a daemon and a starter that are new" eval \
	'active "${units[@]}" && [ "$(told sgbridged MainPID)" != "$daemon" ] &&
	[ "$(told sgbridge-starter MainPID)" != "$starter" ]'
ok "and the recorder that was there, which would have ended it" \
	[ "$(told sgbridge-recorder MainPID)" = "$recorder" ]
ok "the new daemon knows the old session" eval \
	'wait_for eval "in_host sgbridge sessions --json | grep -q web1"'
ok "doctor says which processes are old" eval \
	'in_host sgbridge doctor --json >"$W/doctor"; [ $? -le 1 ] &&
	grep -q process-old "$W/doctor"'
ok "a login by the new one" hold second 30
robot_may_no_more

# --- what dies comes back, and takes no session with it
changed() {
	local pid
	pid=$(told "$1" MainPID)
	[ "$pid" != 0 ] && [ "$pid" != "$2" ] && active "$1"
}
starter=$(told sgbridge-starter MainPID)
[ "$starter" -gt 1 ] && in_host kill -KILL "$starter"
ok "a starter that dies is started again" wait_for changed sgbridge-starter \
	"$starter"
mkdir -p "$R/run/systemd/system/sgbridged.service.d"
printf '[Service]\nWatchdogSec=1s\n' \
	>"$R/run/systemd/system/sgbridged.service.d/soon.conf"
in_host systemctl daemon-reload
in_host systemctl restart sgbridged
wait_for active sgbridged.service
daemon=$(told sgbridged MainPID)
# 0 would be this test itself.
[ "$daemon" -gt 1 ] && in_host kill -STOP "$daemon"
ok "a loop that stands is ended and started again" wait_for changed sgbridged \
	"$daemon"
ok "by the watchdog" eval \
	'in_host journalctl --no-pager -u sgbridged | grep -q "Watchdog timeout"'
ok "both sessions go on" eval 'alive first guarded && alive second guarded'

# --- systemd listens
banner() {
	timeout 20 bash -c 'exec 3<>/dev/tcp/203.0.113.1/30022
		read -r line <&3 && echo "$line"' | grep -q '^SSH-2.0-'
}
by_socket() {
	in_host systemctl stop sgbridged.service &&
		in_host systemctl start sgbridged.socket &&
		[ "$(told sgbridged ActiveState)" = inactive ] && banner &&
		active sgbridged.service
}
ok "the socket's unit listens, and starts the daemon when somebody comes" \
	by_socket
ok "stopped and started, the sessions go on" eval \
	'alive first socket && alive second socket'
ok "stop leaves them, too" eval \
	'in_host systemctl stop sgbridged.socket sgbridged.service &&
	alive first stopped'
ok "they end with the recorder" eval \
	'! ended && in_host systemctl stop sgbridge-recorder && wait_for ended'
# Recorders of setups that healed wrote to the trail, too.
writers() {
	local key
	for key in "$R"/var/lib/sgbridge/setup/*/saved/*-recorder_key \
		"$R/etc/sgbridge/recorder_key"; do
		echo "ed25519 $(openssl pkey -in "$key" -pubout -outform DER |
			tail -c 32 | base64)"
	done
}
ok "what was recorded verifies" eval 'writers >"$R/root/writers" &&
	in_root sgbridge-audit verify --writer /root/writers'

# --- and back
ok "undo" in_host sgbridge setup --undo
ok "everything is as it was before the first setup, units too" eval \
	'unchanged && wait_for old_login alice true && ! firewall'
host_end
