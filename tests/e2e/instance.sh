#!/bin/bash
# `sgbridge instance-setup`: the script that it prints is run by root on an
# instance of the laboratory, whose /etc, /run and /var/backups are its own;
# people log on through the bastion afterwards; and a change that nobody
# confirms heals itself.
set -u
cd "$(dirname "$0")/../.." || exit 1
BUILD=${1:-${BUILD:-build}}
if [ "$(id -u)" -ne 0 ] || ! command -v nft >/dev/null; then
	echo 'needs root and nftables'
	exit 77
fi
# shellcheck source=tests/e2e/lab.sh
. tests/e2e/lab.sh
# shellcheck source=tests/e2e/shelf.sh
. tests/e2e/shelf.sh
sgb() {
	"$BUILD/sgbridge" "$@" -c "$LAB/sgbridge.conf"
}
setup() {
	sgb instance-setup web1 "$@" >"$LAB/script" &&
		on_web1 sh <"$LAB/script" >"$LAB/said" 2>&1
}
bridged() {
	[ "$(lab_ssh robot 203.0.113.7 robot+ops@web1@bastion 'echo in' \
		2>/dev/null)" = in ]
}
direct() {
	[ "$(in_ns bastion ssh -F none -o BatchMode=yes -i "$LAB/old" \
		-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no \
		-o LogLevel=ERROR ops@10.0.1.11 'echo in' 2>/dev/null)" = in ]
}
as_from_the_shelf() {
	diff -r "$LAB/web1/shelf" "$LAB/web1/etc"
}
guard_is_gone() {
	! on_web1 test -e /run/sgbridge-guard
}
not() {
	! "$@"
}
table() {
	on_web1 nft list table inet sgbridge >/dev/null 2>&1
}

lab_up || exit 1
sshd_says() {
	sgb instance-setup web1 --dry-run | grep -qx "$1"
}
clean_script() {
	sgb instance-setup web1 "$@" >"$LAB/script" &&
		shellcheck -s sh "$LAB/script" && dash -n "$LAB/script"
}
parts() {
	local mark='SGBRIDGE_END_OF_TEXT' name
	sgb instance-setup web1 >"$LAB/script"
	for name in restore reload guard; do
		sed -n "/>\"\$backup\/$name\" <<'$mark'/,/^$mark/p" \
			"$LAB/script" | sed '1d;$d' >"$LAB/part"
		[ -s "$LAB/part" ] && shellcheck -s sh "$LAB/part" || return
	done
}
ok 'shellcheck has nothing to say about the script' clean_script
ok 'nor with a ruleset' clean_script --nftables
ok 'nor about undo' clean_script --undo
ok 'nor about the scripts in it' parts
ok 'nobody is root there: no root login' sshd_says 'PermitRootLogin no'
ok 'no X11' sshd_says 'X11Forwarding no'
ok 'no agent' sshd_says 'AllowAgentForwarding no'
cp "$LAB/policy.conf" "$LAB/kept.conf"
cat >>"$LAB/policy.conf" <<-'END'
	permit SysAdmins from office to web1 as root { mfa always; allow shell, x11, agent }
END
ok 'a permit for root: by key' sshd_says 'PermitRootLogin prohibit-password'
ok 'a permit for X11' sshd_says 'X11Forwarding yes'
ok 'a permit for an agent' sshd_says 'AllowAgentForwarding yes'
cp "$LAB/kept.conf" "$LAB/policy.conf"
ok 'where sshd has penalties, none for the bastion' \
	sshd_says '# PerSourcePenaltyExemptList 10.0.1.1'
# Not for whoever is in a group with it.
neighbours() {
	cp "$LAB/policy.conf" "$LAB/more.conf"
	cat >>"$LAB/more.conf" <<-'END'
		bastion jump1
		security-group SG_Manage {
			instance jump1
			instance printer 10.0.9.9
			subnet 10.0.8.0/24
		}
	END
	sgb instance-setup web1 --dry-run -p "$LAB/more.conf" |
		grep -qx '# PerSourcePenaltyExemptList 10.0.1.1'
}
ok 'and for nobody beside it' neighbours
# What is behind a jump host sees that coming.
behind() {
	sed 's/10.0.2.21 {/& via web1;/' "$LAB/policy.conf" >"$LAB/via.conf"
	sgb instance-setup db1 --dry-run -p "$LAB/via.conf" |
		grep -qx '# PerSourcePenaltyExemptList 10.0.1.11'
}
ok 'or for the jump host before it' behind
ok 'the bastion is no instance' not sgb instance-setup jump1 2>/dev/null
ok 'nor is who is not there' not sgb instance-setup \
	"web1'; touch $LAB/owned; '" 2>/dev/null

# A CA file whose comment and lines are somebody's program.
hostile_ca() {
	local status
	cp "$LAB/user_ca.pub" "$LAB/ca.kept"
	sed -i "s|\$| '\$(touch $LAB/owned)'|" "$LAB/user_ca.pub"
	! sgb instance-setup web1 | grep -q owned
	status=$?
	{
		cat "$LAB/ca.kept"
		printf 'SGBRIDGE_END_OF_TEXT\ntouch %s/owned\n' "$LAB"
	} >"$LAB/user_ca.pub"
	! sgb instance-setup web1 >"$LAB/out" 2>/dev/null || status=1
	[ ! -s "$LAB/out" ] || status=1
	cp "$LAB/ca.kept" "$LAB/user_ca.pub"
	return "$status"
}
ok 'only the key of a CA file gets into it' hostile_ca
# File names are in the comments of the ruleset.
hostile_name() {
	local name=$'p\nSGBRIDGE_END_OF_TEXT\ntouch owned;`touch owned`.conf'
	cp "$LAB/policy.conf" "$LAB/$name"
	sgb instance-setup web1 --nftables -p "$LAB/$name" >"$LAB/script" &&
		[ "$(grep -c '^SGBRIDGE_END_OF_TEXT$' "$LAB/script")" = 7 ] &&
		! grep -q '^touch' "$LAB/script"
}
ok 'a file name does not get out of its comment' hostile_name
# shellcheck disable=SC2016
ok 'a script that was cut off does nothing' eval '
	sgb instance-setup web1 >"$LAB/script"
	head -n -1 "$LAB/script" | on_web1 sh && as_from_the_shelf'
two_keys() {
	ssh-keygen -q -t ed25519 -N '' -C new -f "$LAB/user_ca.new"
	sgb instance-setup web1 --dry-run | grep -c '^ssh-ed25519 ' >"$LAB/out"
	rm "$LAB/user_ca.new" "$LAB/user_ca.new.pub"
	[ "$(cat "$LAB/out")" = 2 ]
}
ok 'a CA key that comes is trusted beside the old one' two_keys

# --- nobody confirms
ok 'before: by the old key' direct
ok 'and not through the bastion' not bridged
ok 'a change that nobody confirms' setup --nftables --confirm-within 3s
ok 'takes its ruleset along' grep -q 'put back in 3 seconds' "$LAB/said"
ok 'and its guard ends' wait_for guard_is_gone
ok 'files are as before' as_from_the_shelf
ok 'the ruleset is gone' not table
ok 'the old key works again' wait_for direct
ok 'the bastion is not trusted' not bridged

# --- a mistake
broken() {
	echo 'Nonsense yes' >>"$LAB/web1/etc/ssh/sshd_config"
	# Its sshd, too, is to live on, with what it read before.
	! setup --nftables && grep -q 'read before' "$LAB/said" && direct
	local status=$?
	sed -i '/^Nonsense/d' "$LAB/web1/etc/ssh/sshd_config"
	return "$status"
}
ok 'settings that sshd does not take are put back at once' broken
ok 'all of them' as_from_the_shelf
ok 'and its guard leaves' wait_for guard_is_gone

# --- confirmed
ok 'a change' setup --nftables --confirm-within 10m
ok 'not two at a time' not setup
ok 'through the bastion' wait_for bridged
# This sshd's own word, and what it does; an older one has no such line.
exempt() {
	local list
	list=$(on_web1 /usr/sbin/sshd -T |
		sed -n 's/^persourcepenaltyexemptlist //Ip')
	sshd_knows persourcepenalties || {
		[ -z "$list" ]
		return
	}
	[ "$list" = 10.0.1.1,192.0.2.77 ] || {
		echo "# $list"
		return 1
	}
	for _ in 1 2 3 4 5 6 7 8; do
		! direct || return 1
	done
	bridged
}
ok 'whoever fails there shuts nobody out' exempt
ok 'not by the old key' not direct
ok 'the ruleset is loaded' table
ok 'and again with nftables.service' grep -q '^include' \
	"$LAB/web1/etc/nftables.conf"
# As systemd finds it: by the link, and by what the unit says.
at_boot() {
	local units=$LAB/web1/etc/systemd/system unit=sgbridge-instance.service
	[ "$(readlink "$units/sysinit.target.wants/$unit")" = \
		"/etc/systemd/system/$unit" ] &&
		[ "$(stat -c %a "$units/$unit")" = 644 ] &&
		[ -z "$(systemd-analyze verify --man=no "$units/$unit" 2>&1 |
			grep -F "$unit")" ] || return
	on_web1 nft delete table inet sgbridge
	sed -n 's/^ExecStart=//p' "$units/$unit" | on_web1 sh && table
}
ok 'and by a unit at boot' at_boot
on_web1 touch /run/sgbridge-confirmed
ok 'confirmed: the guard leaves' wait_for guard_is_gone
ok 'and nothing is put back' bridged

# --- undo
undo() {
	sgb instance-setup web1 --undo | on_web1 sh >"$LAB/said" 2>&1
}
ok 'undo' undo
ok 'everything is as before' as_from_the_shelf
ok 'the old key again' wait_for direct
ok 'no ruleset' not table
ok 'nothing more to undo' not undo
ok 'no name or key was run' test ! -e "$LAB/owned"
lab_summary
