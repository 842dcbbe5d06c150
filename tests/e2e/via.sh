#!/bin/bash
# Egress through jump hosts: instances that the bastion reaches only through
# another group's host, by both doors and for forwards, as one recorded
# session; and what happens when the jump host is not the right one, refuses,
# asks for more, or goes away.
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=${1:-build}
# shellcheck source=tests/e2e/lab.sh
. "$here/lab.sh"

# far1 and far2 hang behind web1 and, in a row, behind far1; nothing routes
# there.
LAB_MORE_NS='far1 far2'
far_network() {
	local ns
	for ns in far1 far2; do
		ip netns add "$lab_tag-$ns"
		in_ns "$ns" ip link set lo up
	done
	ip link add f0 netns "$lab_tag-far1" type veth \
		peer name f0 netns "$lab_tag-web1"
	ip link add f1 netns "$lab_tag-far2" type veth \
		peer name f1 netns "$lab_tag-far1"
	lab_address web1 f0 10.9.1.1/24
	lab_address far1 f0 10.9.1.2/24
	lab_address far1 f1 10.9.2.1/24
	lab_address far2 f1 10.9.2.2/24
}
lab_up || exit 1
far_network
lab_instance far1 10.9.1.2
lab_instance far2 10.9.2.2
wait_for in_ns web1 bash -c 'exec 3<>/dev/tcp/10.9.1.2/22'
wait_for in_ns far1 bash -c 'exec 3<>/dev/tcp/10.9.2.2/22'
lab_user dora
key=$(cut -d' ' -f1,2 "$LAB/host_key.pub")
printf 'far1,far2 %s\n' "$key" >>"$LAB/known_hosts"
pin() {
	lab_fingerprint "$LAB/$1/hostkey.pub"
}
cp "$LAB/policy.conf" "$LAB/plain.conf"
# policy PIN-OF-WEB1 LOGIN
policy() {
	sed "s,host-key $(pin web1); login ops,host-key $1; login ${2:-ops}," \
		"$LAB/plain.conf" >"$LAB/policy.conf"
	cat >>"$LAB/policy.conf" <<-END
		group Desktop dora
		security-group SG_Far {
		 	instance far1 ${FAR1_FIRST:-}10.9.1.2 { host-key $(pin far1); login ops; via web1 }
		 	accept tcp 22, 3389 from SG_Current priority 1
		}
		security-group SG_Farther {
		 	instance far2 10.9.2.2 { host-key ${FAR2_PIN:-$(pin far2)}; login ops; via far1 }
		 	accept tcp 22 from SG_Far priority 1
		}
		permit SysAdmins from office to SG_Far, SG_Farther as ops {
		 	mfa   always
		 	allow shell, exec, sftp, scp, rsync
		}
		permit Robots from 203.0.113.7 to SG_Far, SG_Farther as ops {
		 	mfa   never
		 	allow shell, exec, sftp, scp, rsync
		}
		permit Desktop from 203.0.113.7 to SG_Far port 3389 { mfa never; allow forward }
	END
	chmod 0644 "$LAB/policy.conf"
	"$BUILD/sgbridge" reload -c "$LAB/sgbridge.conf" >"$LAB/reload" 2>&1
}
policy "$(pin web1)"
robot() {
	lab_ssh robot 203.0.113.7 "$@"
}
ok "the bastion itself has no way there" eval \
	'! in_ns bastion timeout 2 bash -c "exec 3<>/dev/tcp/10.9.1.2/22" \
	2>/dev/null'
connection() {
	local got
	got=$(robot "robot+ops@$1@bastion" 'echo "$SSH_CONNECTION"' \
		</dev/null 2>"$LAB/err") && [[ $got == "$2 "*" $3 22" ]] &&
		return
	sed 's/^/# /' "$LAB/err"
	return 1
}
ok "through a jump host, by name" connection far1 10.9.1.1 10.9.1.2
ok "through two of them" connection far2 10.9.2.1 10.9.2.2
ok "exit status and both streams" eval \
	'[ "$(robot robot+ops@far1@bastion "echo a; echo b >&2; exit 7" \
	2>&1 </dev/null; echo $?)" = "a
b
7" ]'
cat "$LAB/ssh_config" - >"$LAB/ssh_jump" <<-END
	  User robot
	  IdentityFile $LAB/users/robot
	  BindAddress 203.0.113.7
	Host far1 far2
	  ProxyJump robot@bastion
END
for host in far1 far2; do
	ok "by recorded ProxyJump: $host" eval '[ "$(in_ns client timeout 60 \
		ssh -F "$LAB/ssh_jump" "ops@$host" "cat; echo DONE" </dev/null \
		2>"$LAB/err")" = DONE ]'
done
FAR1_FIRST='10.9.1.1, ' policy "$(pin web1)"
ok "the second address where nobody listens at the first" \
	connection far1 10.9.1.1 10.9.1.2
policy "$(pin web1)"
head -c 3000000 /dev/urandom >"$LAB/data"
copy() {
	lab_client_run scp robot 203.0.113.7 "$LAB/data" \
		"robot+ops@$1@bastion:copy" >/dev/null 2>"$LAB/err" &&
		lab_client_run scp robot 203.0.113.7 \
			"robot+ops@$1@bastion:copy" "$LAB/back" \
			>/dev/null 2>"$LAB/err" &&
		cmp "$LAB/data" "$LAB/back"
}
ok "3 MB there and back, every byte" copy far2

# --- what is known of it
in_trail() {
	grep -h '"target-open"' "$LAB"/events/*.jsonl | grep -q \
		'"via":"web1 (10.0.1.11:22), far1 (10.9.1.2:22)"'
}
ok "the event names the way" in_trail
in_header() {
	local file
	file=$(grep -rh '"target-open"' "$LAB/events" | grep '"via":"web1' |
		sed -n 's/.*"rec_id":"\([^"]*\)".*/\1/p' | tail -n 1)
	file=$(find "$LAB/recordings" -name "*$file*.sgr" | head -n 1)
	"$BUILD/sgbridge-audit" show -c "$LAB/sgbridge.conf" \
		--journal "$LAB/views" -i "$LAB/auditor.key" "$file" |
		grep -q 'via .*web1 (10.0.1.11:22), far1'
}
ok "and so does the recording" in_header
ok "one recording a session" eval '[ "$(find "$LAB/recordings" \
	-name "*.sgr" | wc -l)" = "$(grep -h "\"target-open\"" \
	"$LAB"/events/*.jsonl | wc -l)" ]'
ok "on the jump host it is a certificate for forwards alone" eval \
	'grep -q "Accepted publickey for ops.*robot from" "$LAB/web1/sshd.log"'
ok "and nobody has a session there" eval \
	'! grep -q "Starting session" "$LAB/web1/sshd.log"'

# --- plain forwards
lab_start "$LAB/desktop.log" ip netns exec "$lab_tag-far1" python3 -c '
import socket
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("10.9.1.2", 3389)); s.listen(8)
while True:
    c = s.accept()[0]; data = b""
    while True:
        part = c.recv(65536)
        if not part: break
        data += part
    c.sendall(data[::-1]); c.close()'
wait_for in_ns far1 bash -c 'exec 3<>/dev/tcp/10.9.1.2/3389'
round_trip() {
	lab_ssh dora 203.0.113.7 -W far1:3389 dora@bastion <"$LAB/data" \
		>"$LAB/back" 2>"$LAB/err"
	python3 - "$LAB/data" "$LAB/back" <<-'END'
		import sys
		a, b = (open(f, 'rb').read() for f in sys.argv[1:])
		sys.exit(a[::-1] != b)
	END
}
ok "a forward through it, 3 MB each way" round_trip
ok "another port there: refused" eval '! lab_ssh dora 203.0.113.7 \
	-W far1:22 dora@bastion </dev/null >/dev/null 2>&1'

# --- what the ruleset admits
ok "the bastion's ruleset leads to the jump host, not behind it" eval \
	'"$BUILD/sgbridge" topology nftables -p "$LAB/policy.conf" \
	>"$LAB/nft" 2>/dev/null; grep -q 10.0.1.11 "$LAB/nft" &&
	! grep -q "10\.9\." "$LAB/nft"'

# --- a session that stands
# Processes of sessions, those of jump hosts too: a uid of their own.
processes() {
	local pid
	for pid in $(ip netns pids "$lab_tag-bastion"); do
		stat -c %u "/proc/$pid"
	done 2>/dev/null | grep -c "^${LAB_SESSION_USER%:*}$"
}
hold() {
	robot robot+ops@far2@bastion 'echo there; exec sleep 60' \
		</dev/null >"$LAB/held" 2>"$LAB/err" &
	held=$!
	wait_for grep -q there "$LAB/held"
}
ended() {
	! kill -0 "$held" 2>/dev/null
}
hold
ok "two jump hosts, two processes besides its own" \
	eval '[ "$(processes)" -eq 3 ]'
sed -i 's/; via far1//' "$LAB/policy.conf"
"$BUILD/sgbridge" reload -c "$LAB/sgbridge.conf" >/dev/null
ok "another way there ends it" wait_for ended
policy "$(pin web1)"
hold
policy "$(pin web1)"
ok "a reload that changes nothing does not" eval '! ended'
lost() {
	local pid
	for pid in $(ip netns pids "$lab_tag-web1"); do
		case $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null) in
		*'sshd: ops'*) kill -KILL "$pid" 2>/dev/null ;;
		esac
	done
	wait_for ended
}
ok "a jump host that drops it ends it" lost
ok "and leaves no process" wait_for eval '[ "$(processes)" -eq 0 ]'

# --- where it cannot be
refused() {
	! robot robot+ops@far1@bastion 'echo REACHED' </dev/null \
		>"$LAB/out" 2>"$LAB/err" && ! grep -q REACHED "$LAB/out" &&
		grep -q "$1" "$LAB/err" && return
	sed 's/^/# /' "$LAB/out" "$LAB/err"
	return 1
}
policy SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
: >"$LAB/web1/sshd.log"
ok "a jump host with another key" refused 'web1: its host key is not the one'
ok "is in the trail" eval 'grep -h "\"target-hostkey\"" "$LAB"/events/*.jsonl |
	grep -q "\"hostname\":\"web1\""'
ok "nothing was signed for it" eval \
	'! grep -q "Accepted\|Failed publickey" "$LAB/web1/sshd.log"'
FAR2_PIN=SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA \
	policy "$(pin web1)"
ok "a target with another key, behind them" eval \
	'! robot robot+ops@far2@bastion true </dev/null 2>"$LAB/err" &&
	grep -q "host key of far2" "$LAB/err"'
policy "$(pin web1)" nobody
ok "a jump host that refuses the login" refused 'web1: it refused the cert'
policy "$(pin web1)"
# restart_web1 WORDS: its sshd anew, with these words in front.
restart_web1() {
	local pid
	for pid in $(ip netns pids "$lab_tag-web1"); do
		kill -KILL "$pid" 2>/dev/null
	done
	printf '%s\n' "$@" | cat - "$LAB/web1.conf" >"$LAB/web1/sshd_config"
	lab_start "$LAB/web1/sshd.log" ip netns exec "$lab_tag-web1" \
		unshare -m --propagation private sh -ec "
		mount --bind '$LAB/web1/passwd' /etc/passwd
		mount --bind '$LAB/web1/group' /etc/group
		mount --bind '$LAB/web1/shadow' /etc/shadow
		mount -t tmpfs tmpfs /run
		mkdir -p /run/sshd
		exec /usr/sbin/sshd -D -e -f '$LAB/web1/sshd_config'"
	wait_for lab_port_open 10.0.1.11 22
}
cp "$LAB/web1/sshd_config" "$LAB/web1.conf"
restart_web1 'AllowTcpForwarding no'
ok "one that does not open the way" refused 'web1: it does not open'
restart_web1 'AuthenticationMethods publickey,password' \
	'PasswordAuthentication yes'
ok "one that asks for something else besides" refused \
	'web1: it asks for more than the cert'
restart_web1 ''
ok "and then it works again" connection far1 10.9.1.1 10.9.1.2
for pid in $(ip netns pids "$lab_tag-far1"); do
	kill -KILL "$pid" 2>/dev/null
done
ok "nobody listens behind it" refused 'web1: it does not open'
for pid in $(ip netns pids "$lab_tag-web1"); do
	kill -KILL "$pid" 2>/dev/null
done
ok "nor there" refused 'web1: Connection refused'
ok "circles are found before they are anybody's" eval '
	printf "security-group SG_Round {\ninstance r1 10.9.3.1 { via r2 }\n\
instance r2 10.9.3.2 { via r1 }\n}\n" >>"$LAB/policy.conf"
	! "$BUILD/sgbridge" reload -c "$LAB/sgbridge.conf" >"$LAB/out" 2>&1 &&
	grep -q "policy.conf:[0-9]*:[0-9]*: jump hosts in a circle: r1 via r2" \
	"$LAB/out"'
lab_summary
