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
# shellcheck source=tests/e2e/far.sh
. "$here/far.sh"

# far1 and far2 hang behind web1 and, in a row, behind far1; nothing routes
# there.
LAB_MORE_NS='far1 far2'
export LAB_CONF_EXTRA='max-channels 4'
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
	sed "s,host-key $(pin web1); login ops,host-key $1; login ${2:-ops}; via direct," \
		"$LAB/plain.conf" >"$LAB/policy.conf"
	cat >>"$LAB/policy.conf" <<-END
		group Desktop dora
		security-group SG_Far {
		 	instance far1 ${FAR1_FIRST:-}10.9.1.2 { host-key $(pin far1); login ops; via web1 }
		 	accept tcp 22, 3389 from SG_Current priority 1
		}
		security-group SG_Farther {
		 	via far1
		 	instance far2 10.9.2.2 { host-key ${FAR2_PIN:-$(pin far2)}; login ops }
		 	instance web1
		 	accept tcp 22, 3389 from SG_Far priority 1
		}
		permit SysAdmins from office to SG_Far, SG_Farther as ops {
		 	mfa   always
		 	allow shell, exec, sftp, scp, rsync
		}
		permit Robots from 203.0.113.7 to SG_Far, SG_Farther as ops {
		 	mfa   never
		 	allow shell, exec, sftp, scp, rsync
		}
		permit Desktop from 203.0.113.7 to SG_Far, SG_Farther port 3389 { mfa never; allow forward }
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
ok "one of the group behind them that says it is not" \
	connection web1 10.0.1.1 10.0.1.11

# --- plain forwards
# Turns round what it gets; after "stay" it keeps its side open, whatever the
# other does.
desktop() {
	lab_start "$LAB/desktop-$1.log" ip netns exec "$lab_tag-$1" python3 -c '
import socket, sys, threading
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind((sys.argv[1], 3389)); s.listen(8); kept = []
def serve(c):
    data = b""
    while True:
        part = c.recv(65536)
        if not part: break
        data += part
        if data == b"stay": c.sendall(b"ok")
    if data == b"stay": kept.append(c); c.sendall(b"more")
    else: c.sendall(data[::-1]); c.close()
while True:
    threading.Thread(target=serve, args=(s.accept()[0],)).start()' "$2"
	wait_for in_ns "$1" bash -c "exec 3<>/dev/tcp/$2/3389"
}
desktop far1 10.9.1.2
desktop far2 10.9.2.2
round_trip() {
	lab_ssh dora 203.0.113.7 -W far1:3389 dora@bastion <"$LAB/data" \
		>"$LAB/back" 2>"$LAB/err"
	python3 - "$LAB/data" "$LAB/back" <<-'END'
		import sys
		a, b = (open(f, 'rb').read() for f in sys.argv[1:])
		sys.exit(a[::-1] != b)
	END
}
# Where the user's side ends while bytes still wait is a matter of chance.
eight_times() {
	for _ in 1 2 3 4 5 6 7 8; do
		round_trip || return 1
	done
}
ok "forwards through it, 3 MB each way" eight_times
ok "another port there: refused" eval '! lab_ssh dora 203.0.113.7 \
	-W far1:22 dora@bastion </dev/null >/dev/null 2>&1'

# Processes of sessions, those of jump hosts too: a uid of their own.
processes() {
	local pid
	for pid in $(ip netns pids "$lab_tag-bastion"); do
		stat -c %u "/proc/$pid"
	done 2>/dev/null | grep -c "^${LAB_SESSION_USER%:*}$"
}
are() {
	[ "$(processes)" -eq "$1" ]
}
# forwards COUNT PORT [hold]: so many, one after the other, through the client
# that listens there, each reset by its user or held; prints how many opened.
forwards() {
	in_ns client timeout 60 python3 - "$@" <<-'END'
		import socket, struct, sys
		kept, opened = [], 0
		for _ in range(int(sys.argv[1])):
		    s = socket.create_connection(('127.0.0.1', int(sys.argv[2])))
		    got = b''
		    try:
		        s.sendall(b'stay')
		        got = s.recv(2)
		    except OSError:
		        pass
		    opened += got == b'ok'
		    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
		                 struct.pack('ii', 1, 0))
		    kept.append(s)
		    if len(sys.argv) < 4:
		        s.close()
		print(opened, flush=True)
		if len(sys.argv) > 3:
		    sys.stdin.close()
		    open(sys.argv[3]).read()
	END
}
local_ports() {
	dora -N -L 127.0.0.1:7401:far1:3389 -L 127.0.0.1:7402:far2:3389 \
		dora@bastion 2>"$LAB/err" </dev/null &
	wait_for in_ns client bash -c \
		'ss -Hltn sport = :7402 | grep -q 7402'
}
dora() {
	lab_ssh dora 203.0.113.7 "$@"
}
wait_for are 0
local_ports
ok "forwards that end by the user's side alone" \
	test "$(forwards 3 7401)" = 3
ok "leave no process of a jump host" wait_for are 1
mkfifo "$LAB/hold"
forwards 3 7402 "$LAB/hold" >"$LAB/out" &
exec 7>"$LAB/hold"
wait_for test -s "$LAB/out"
ok "no more jump hosts at once than channels" eval \
	'[ "$(cat "$LAB/out")" = 2 ] && are 5'
ok "and the event says so" eval 'grep -h "\"access\"" "$LAB"/events/*.jsonl |
	grep -q "too many jump hosts in use"'
exec 7>&-
ok "until some have left" eval 'wait_for are 1 &&
	[ "$(forwards 1 7402)" = 1 ]'
wait_for are 1
policy SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
ok "forwards behind one with another key" test "$(forwards 6 7401)" = 0
ok "leave none either" wait_for are 1
for pid in $(ip netns pids "$lab_tag-client"); do
	kill -KILL "$pid" 2>/dev/null
done
policy "$(pin web1)"
wait_for are 0

# --- where certificates may be used from
cert_source() {
	sed -i '/^cert-source /d' "$LAB/sgbridge.conf"
	[ -z "$1" ] || echo "cert-source $1" >>"$LAB/sgbridge.conf"
	"$BUILD/sgbridge" reload -c "$LAB/sgbridge.conf" >/dev/null 2>&1
}
cert_source 10.0.1.0/24
ok "cert-source is not for what is behind a jump host" \
	connection far1 10.9.1.1 10.9.1.2
cert_source 192.0.2.99
ok "but for the first one" eval '! connection far1 10.9.1.1 10.9.1.2 \
	>/dev/null && grep -q "web1: it refused the cert" "$LAB/err"'
cert_source ''

# --- what the ruleset admits
ok "the bastion's ruleset leads to the jump host, not behind it" eval \
	'"$BUILD/sgbridge" topology nftables -p "$LAB/policy.conf" \
	>"$LAB/nft" 2>/dev/null; grep -q 10.0.1.11 "$LAB/nft" &&
	! grep -q "10\.9\." "$LAB/nft"'

# --- a session that stands
hold() {
	: >"$LAB/held"
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
sed -i '/^[[:space:]]*via far1$/d' "$LAB/policy.conf"
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
		*sshd*': ops'*) kill -KILL "$pid" 2>/dev/null ;;
		esac
	done
	wait_for ended
}
ok "a jump host that drops it ends it" lost
ok "and leaves no process" wait_for eval '[ "$(processes)" -eq 0 ]'

# --- one that does not leave by itself: stopped, it does not see that its link
# to the monitor is closed.
settings() {
	sed -i '/^sessions-per-start /d' "$LAB/sgbridge.conf"
	[ -z "$1" ] || echo "sessions-per-start $1" >>"$LAB/sgbridge.conf"
	"$BUILD/sgbridge" reload -c "$LAB/sgbridge.conf" >/dev/null 2>&1
}
# The first of them speaks with the client.
stop_hops() {
	local pid
	for pid in $(ip netns pids "$lab_tag-bastion" | sort -n); do
		[ "$(stat -c %u "/proc/$pid")" = "${LAB_SESSION_USER%:*}" ] &&
			echo "$pid"
	done 2>/dev/null | tail -n +2 | while read -r pid; do
		kill -STOP "$pid"
	done
}
for each in 1 ''; do
	settings "$each"
	hold
	stop_hops
	for pid in $(ip netns pids "$lab_tag-client"); do
		kill -KILL "$pid" 2>/dev/null
	done
	ok "a stopped process of a jump host is ended (${each:-16} a start)" \
		wait_for are 0
done

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
lab_start "$LAB/rude.log" ip netns exec "$lab_tag-web1" python3 -c '
import socket, struct
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("10.0.1.11", 22)); s.listen(8); kept = []
why = b"\x1b]0;mine\x07\x1b[2Jgo-away"
# SSH_MSG_DISCONNECT, padded to a multiple of eight.
said = struct.pack(">BII", 1, 2, len(why)) + why + struct.pack(">I", 0)
pad = 8 - (5 + len(said)) % 8 + 8
while True:
    c = s.accept()[0]; kept.append(c)
    # libssh 0.10 tells the first of these, later ones the second.
    if len(kept) % 2:
        c.sendall(b"SSH-9.0-" + why + b"\r\n")
        continue
    c.sendall(b"SSH-2.0-rude\r\n" + struct.pack(">IB", 1 + len(said) + pad,
        pad) + said + b"\0" * pad)'
wait_for lab_port_open 10.0.1.11 22
says() {
	refused 'web1: .*033]0;mine.*go-away' >/dev/null ||
		refused 'web1: .*033]0;mine.*go-away'
}
ok "what a jump host says" says
ok "does not command the terminal" eval "! grep -q \$'\\e' \"\$LAB/err\""
ok "circles are found before they are anybody's" eval '
	printf "security-group SG_Round {\ninstance r1 10.9.3.1 { via r2 }\n\
instance r2 10.9.3.2 { via r1 }\n}\n" >>"$LAB/policy.conf"
	! "$BUILD/sgbridge" reload -c "$LAB/sgbridge.conf" >"$LAB/out" 2>&1 &&
	grep -q "policy.conf:[0-9]*:[0-9]*: jump hosts in a circle: r1 via r2" \
	"$LAB/out"'
lab_summary
