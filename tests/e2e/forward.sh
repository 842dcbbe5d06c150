#!/bin/bash
# Plain forwards (ssh -L, -W) to a port that a rule names: what passes is the
# same on both sides, each has a record of who, where to and how much, and
# what the rule does not name is refused; so is SSH inside.
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=${1:-build}
# shellcheck source=tests/e2e/lab.sh
. "$here/lab.sh"
export LAB_POLICY_EXTRA='
group Desktop dora
security-group SG_Windows {
	instance win1 10.0.2.22 { port 3389 }
	accept tcp 3389, 2222 from SG_Bridge priority 1
}
permit Desktop from 203.0.113.7 to SG_Windows port 3389 { mfa never; allow forward }
permit Desktop from 203.0.113.7 to SG_Windows port 2222 { mfa never; allow forward }'
lab_up || exit 1
lab_user dora
in_ns db1 ip address add 10.0.2.22/24 dev d0
head -c 3000000 /dev/urandom >"$LAB/data"
# The far side answers with what it was sent, upside down.
lab_start "$LAB/rdp.log" ip netns exec "$lab_tag-db1" python3 -c '
import socket, threading
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("10.0.2.22", 3389)); s.listen(8)
def serve(c):
    data = b""
    while True:
        part = c.recv(65536)
        if not part: break
        data += part
    c.sendall(data[::-1]); c.close()
while True:
    threading.Thread(target=serve, args=(s.accept()[0],)).start()'
lab_start "$LAB/sshd2.log" ip netns exec "$lab_tag-db1" python3 -c '
import socket
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("10.0.2.22", 2222)); s.listen(8)
while True:
    c = s.accept()[0]; c.sendall(b"SSH-2.0-hidden\r\n"); c.recv(1000)'
wait_for lab_port_open 10.0.2.22 3389
wait_for lab_port_open 10.0.2.22 2222
dora() {
	lab_ssh dora 203.0.113.7 "$@"
}
round_trip() {
	dora -W win1:3389 dora@bastion <"$LAB/data" >"$LAB/back" 2>"$LAB/err"
	python3 - "$LAB/data" "$LAB/back" <<-'END'
		import sys
		a, b = (open(f, 'rb').read() for f in sys.argv[1:])
		sys.exit(a[::-1] != b)
	END
}
ok "3 MB each way, every byte the same" round_trip
ok "by address as well" eval \
	'echo abc | dora -W 10.0.2.22:3389 dora@bastion | grep -q cba'
tunnel() {
	grep -q 'tunnel-close' "$LAB"/events/*.jsonl &&
		grep 'tunnel-close' "$LAB"/events/*.jsonl | grep -q 3000000
}
ok "its event says how much" wait_for tunnel
flow() {
	local file
	file=$(find "$LAB/recordings" -name '*.sgr' -printf '%T@ %p\n' |
		sort -n | head -n1 | cut -d' ' -f2-)
	"$BUILD/sgbridge-audit" show -c "$LAB/sgbridge.conf" \
		--journal "$LAB/views" -i "$LAB/auditor.key" "$file" |
		grep -q 'win1'
}
ok "and a recording who and where to" wait_for flow
ok "another port: refused" eval \
	'! dora -W win1:445 dora@bastion </dev/null >/dev/null 2>&1'
ok "another instance: refused" eval \
	'! dora -W web1:22 dora@bastion </dev/null >/dev/null 2>&1'
hidden() {
	dora -W win1:2222 dora@bastion </dev/null >"$LAB/out" 2>&1
	! grep -q 'SSH-2.0-hidden' "$LAB/out"
}
ok "SSH inside a forward is cut" hidden
ok "no shell comes with it" eval \
	'! dora dora+win1@bastion true </dev/null >/dev/null 2>&1'
local_forward() {
	dora -N -L 127.0.0.1:7389:win1:3389 dora@bastion 2>"$LAB/err" &
	local ssh=$!
	wait_for in_ns client bash -c 'exec 3<>/dev/tcp/127.0.0.1/7389'
	[ "$(in_ns client bash -c 'exec 3<>/dev/tcp/127.0.0.1/7389
		echo hello >&3; exec python3 - <<END
import os, socket
s = socket.socket(fileno=os.dup(3)); s.shutdown(socket.SHUT_WR)
print(s.recv(100)[::-1].decode(), end="")
END' )" = hello ]
	local result=$?
	kill "$ssh"
	wait "$ssh" 2>/dev/null
	return "$result"
}
ok "ssh -L" local_forward
mkfifo "$LAB/in"
opened() {
	cat "$LAB"/events/*.jsonl | grep -c '"tunnel-open"'
}
more_opened() {
	[ "$(opened)" -gt "$1" ]
}
# cut_by WHY COMMAND...: WHY is what the event says.
cut_by() {
	local before why=$1 ssh result
	before=$(opened)
	shift
	dora -W win1:3389 dora@bastion <"$LAB/in" >/dev/null 2>"$LAB/err" &
	ssh=$!
	exec 7>"$LAB/in"
	echo x >&7
	wait_for more_opened "$before"
	"$@"
	"$BUILD/sgbridge" reload -c "$LAB/sgbridge.conf" >/dev/null
	wait_for eval "! kill -0 $ssh 2>/dev/null"
	result=$?
	exec 7>&-
	wait "$ssh"
	[ "$result" -eq 0 ] && cat "$LAB"/events/*.jsonl |
		grep '"session-cut"' | tail -n 1 | grep -q "$why"
}
dora_line() {
	printf '%s%s\n' "$1" "$(cat "$LAB/users/dora.pub")" \
		>"$LAB/authorized_keys/dora"
}
ok "a forward that the key's permitopen= is no more for ends" \
	cut_by "a forward" dora_line 'permitopen="win1:3390" '
dora_line 'permitopen="win1:3389" '
ok "or one of a key that may not forward any more" \
	cut_by "a forward" dora_line 'no-port-forwarding '
dora_line ''
revoke() {
	echo 'deny dora from any to any' >>"$LAB/policy.conf"
}
ok "a revoked forward ends" cut_by "no rule" revoke
lab_summary
