#!/bin/bash
# `sgbridge doctor web1` against a real sshd: its host key, what it offers, a
# login with the CA's present and next key, and its own settings where it may
# ask; each fault is planted and found. And the power that the running
# processes really have.
set -u
cd "$(dirname "$0")/../.." || exit 1
BUILD=${1:-${BUILD:-build}}
[ "$(id -u)" = 0 ] || {
	echo "needs root, for network namespaces"
	exit 77
}
# shellcheck source=tests/e2e/lab.sh
. tests/e2e/lab.sh
# web1 admits root, so that its settings can be asked, and keeps its keys in a
# file of its own. It is started again with more settings.
eval "$(declare -f lab_instance | sed 's,/user_ca\.pub,/instance_ca.pub,
	s,MaxStartups 200,&\nPermitRootLogin prohibit-password,')"
LAB_POLICY_EXTRA='permit robot from 203.0.113.7 to SG_Current as root { allow exec; mfa never }'
doctor() {
	in_ns bastion "$BUILD/sgbridge" doctor -c "$LAB/sgbridge.conf" --json \
		"$@" >"$LAB/out" 2>"$LAB/doctor.err"
}
codes() {
	jq -r '.findings[].code' "$LAB/out" | sort -u | tr '\n' ' '
}
# finds "CODES" STATUS WORDS...
finds() {
	local want=$1 status=$2 got
	shift 2
	doctor "$@"
	got=$?
	[ "$(codes)" = "$want" ] && [ "$got" = "$status" ] || {
		echo "# $(codes)- status $got"
		sed 's/^/# /' "$LAB/doctor.err"
		jq -r '.findings[] | "# \(.code): \(.found)"' "$LAB/out"
		return 1
	}
}
in_web1() { nsenter -t "$WEB1" -m -n -- "$@"; }
restart_web1() {
	local pid
	for pid in $(ip netns pids "$lab_tag-web1"); do
		kill "$pid" 2>/dev/null
	done
	wait_for eval '! lab_port_open 10.0.1.11 22'
	printf '%s\n' "$@" >"$LAB/web1/more"
	cat "$LAB/web1/more" "$LAB/web1/kept" >"$LAB/web1/sshd_config"
	lab_start "$LAB/web1/sshd.log" ip netns exec "$lab_tag-web1" \
		unshare -m --propagation private sh -ec "
		mount --bind '$LAB/web1/passwd' /etc/passwd
		mount --bind '$LAB/web1/group' /etc/group
		mount --bind '$LAB/web1/shadow' /etc/shadow
		mount -t tmpfs tmpfs /run
		mkdir -p /run/sshd
		exec /usr/sbin/sshd -D -e -f '$LAB/web1/sshd_config'"
	WEB1=$LAB_LAST
	wait_for lab_port_open 10.0.1.11 22
}
lab_keys_too() { cp "$LAB/user_ca.pub" "$LAB/instance_ca.pub"; }
eval "$(declare -f lab_keys | sed '$d'
	echo 'lab_keys_too; }')"
lab_up || exit 1
cp "$LAB/web1/sshd_config" "$LAB/web1/kept"
good="Ciphers aes256-gcm@openssh.com,chacha20-poly1305@openssh.com"
macs="MACs hmac-sha2-256-etm@openssh.com"

restart_web1 "$good" "$macs"
ok "a good instance has its version told, and no more" \
	finds "instance-unseen instance-version " 0 web1
ok "ops may not ask its settings, which is said" grep -q \
	"ops may not run sshd -T" "$LAB/out"
ok "the login is in the trail" eval \
	'grep -h "cert-signed" "$LAB"/events/*.jsonl | grep -q "sgbridge doctor"'
ok "and in the instance's own log" wait_for grep -q \
	'Accepted publickey for ops .* ID .*by sgbridge doctor' \
	"$LAB/web1/sshd.log"
ok "nothing is left of its keys" eval '! ls /tmp/sgbridge-doctor.* 2>/dev/null'

ok "weak algorithms" eval 'restart_web1 "Ciphers aes128-cbc,aes256-ctr" \
	"MACs hmac-sha1,hmac-sha2-256" && finds \
	"instance-algorithms instance-unseen instance-version " 1 web1 &&
	grep -q "offers ciphers aes128-cbc" "$LAB/out"'
ok "passwords" eval 'restart_web1 "$good" "$macs" "PasswordAuthentication yes" &&
	finds "instance-methods instance-unseen instance-version " 2 web1 &&
	grep -q "publickey,password" "$LAB/out"'
# Its sshd -T is about this host's own sshd_config, which exempts nobody.
ok "its settings, where root is permitted" eval \
	'finds "instance-methods $(! sshd_knows persourcepenalties ||
	echo instance-penalties\ )instance-sshd instance-version " 2 root@web1 &&
	grep -q "passwordauthentication is .*yes" "$LAB/out"'
# An sshd that has penalties, whatever the release: its -T is a script's.
# penalties LIST CODES STATUS
penalties() {
	printf '%s\n' '#!/bin/sh' "[ \"\$1\" != -T ] || { $LAB/sshd \"\$@\" |" \
		"	grep -vi '^persourcepenalt'" \
		'	echo "persourcepenalties crash:90 authfail:5"' \
		"	echo 'persourcepenaltyexemptlist $1'" "	exit; }" \
		"exec $LAB/sshd \"\$@\"" >"$LAB/sshd.script"
	in_web1 mount --bind "$LAB/sshd.script" /usr/sbin/sshd &&
		finds "$2" "$3" root@web1
	local status=$?
	in_web1 umount -l /usr/sbin/sshd
	return "$status"
}
cp /usr/sbin/sshd "$LAB/sshd"
: >"$LAB/sshd.script"
chmod 0755 "$LAB/sshd.script"
restart_web1 "$good" "$macs"
left="instance-sshd instance-version "
ok "penalties for the bastion" penalties none "instance-penalties $left" 1
ok "it is said which address" grep -q 'does not name 10.0.1.1,' "$LAB/out"
ok "others are exempt" penalties '10.0.2.0/24,!10.0.1.1,10.*' \
	"instance-penalties $left" 1
ok "the bastion is" penalties '192.0.2.1,10.0.1.0/24' "$left" 1
ok "the bastion is, by a pattern" penalties '10.0.1.?' "$left" 1
ok "another host key" eval 'mv "$LAB/web1/hostkey" "$LAB/web1/hostkey.kept" &&
	ssh-keygen -q -t ed25519 -N "" -f "$LAB/web1/hostkey" &&
	restart_web1 "$good" "$macs" && finds "instance-key " 2 web1'
mv "$LAB/web1/hostkey.kept" "$LAB/web1/hostkey"
restart_web1 "$good" "$macs"
ok "a CA that it does not know" eval \
	'ssh-keygen -q -t ed25519 -N "" -f "$LAB/else" &&
	cp "$LAB/else.pub" "$LAB/instance_ca.pub" &&
	finds "instance-ca instance-version " 2 web1'
lab_keys_too
ok "a next CA that it does not know" eval \
	'"$BUILD/sgbridge" rotate -c "$LAB/sgbridge.conf" user-ca >/dev/null &&
	finds "instance-ca-next instance-unseen instance-version " 1 web1'
ok "and does, as instance-setup would have it" eval \
	'cat "$LAB/user_ca.new.pub" >>"$LAB/instance_ca.pub" &&
	finds "instance-unseen instance-version " 0 web1'
listen() {
	lab_start "$LAB/mute.log" in_ns db1 python3 -c '
import socket
s = socket.create_server(("10.0.2.21", 2022))
while True:
	c = s.accept()[0]
	c.sendall(b"220 no ssh\r\n")
	c.close()'
}
lab_policy_db() {
	sed -i "s,SHA256:A*A;,$(lab_fingerprint "$LAB/db1/hostkey.pub");," \
		"$LAB/policy.conf"
}
listen
lab_policy_db
wait_for lab_port_open 10.0.2.21 2022
ok "what is no SSH" eval 'sed -i "s/10.0.2.21 {/& port 2022;/" "$LAB/policy.conf" &&
	finds "instance-ssh " 2 db1'
ok "nobody there" eval 'sed -i "s/port 2022/port 2023/" "$LAB/policy.conf" &&
	finds "unreachable " 1 db1'
ok "what is behind a jump host is said not to be looked at" eval \
	'sed -i "s/10.0.2.21 {/& via web1;/" "$LAB/policy.conf" &&
	finds "instance-unseen " 0 db1'
sed -i "s/ via web1;//" "$LAB/policy.conf"
ok "no such instance" eval '! doctor nobody && grep -q "no instance" \
	"$LAB/doctor.err"'

# --- this host: what runs, with a session open
mkfifo "$LAB/hold"
lab_start "$LAB/live.out" bash -c "
	. tests/e2e/lab.sh; lab_tag=$lab_tag LAB=$LAB
	lab_ssh robot 203.0.113.7 robot+ops@web1@bastion \
		'echo ready; cat' <'$LAB/hold'"
exec 7>"$LAB/hold"
wait_for grep -q ready "$LAB/live.out"
power() {
	doctor
	jq -r '.findings[] | select(.code | startswith("process-")) |
		"\(.code) \(.found)"' "$LAB/out"
}
# Sanitizers need what a filter forbids.
if nm "$BUILD/sgbridge-session" 2>/dev/null | grep -q __asan_init; then
	ok "no process has more power than it should" eval \
		'[ -z "$(power | grep process-power)" ]'
else
	ok "no process has more power than it should" eval 'power | tee "$LAB/power"; [ ! -s "$LAB/power" ]'
fi
mkdir "$LAB/fake"
cp /usr/bin/sleep "$LAB/fake/sgbridge-session"
lab_start "$LAB/fake.log" "$LAB/fake/sgbridge-session" 300
sed "s,^program-directory.*,program-directory $LAB/fake," \
	"$LAB/sgbridge.conf" >"$LAB/fake.conf"
power_of_fake() {
	in_ns bastion "$BUILD/sgbridge" doctor -c "$LAB/fake.conf" --json \
		>"$LAB/out" 2>/dev/null
	jq -r '.findings[] | select(.code | startswith("process-")) | .code' \
		"$LAB/out" | sort -u | tr '\n' ' '
}
ok "one that has everything is found" eval \
	'[ "$(power_of_fake)" = "process-filter process-power " ]'
rm "$LAB/fake/sgbridge-session"
ok "and one whose program was replaced" eval \
	'power_of_fake | grep -q process-old'
exec 7>&-

ok "a rotation that nobody finishes" eval \
	'touch -d "40 days ago" "$LAB/user_ca.new" && { doctor
	codes | grep -q rotation-open; }'
ok "a ruleset that is not the policy's" eval 'mkdir -m 0700 "$LAB/nft" &&
	: >"$LAB/nft/current.nft" &&
	echo "nftables-directory $LAB/nft" >>"$LAB/sgbridge.conf" && doctor
	codes | grep -q ruleset-drift'
ok "and one that is" eval 'in_ns bastion "$BUILD/sgbridge" topology nftables \
	-c "$LAB/sgbridge.conf" >"$LAB/set.nft" && in_ns bastion nft -f "$LAB/set.nft" &&
	{ doctor; ! codes | grep -q ruleset-drift; }'
lab_summary
