#!/bin/bash
# Channels through the whole bastion: several on one connection, forwards and
# what a reload does to them, -D as a right of its own, the environment, X11
# where no rule allows it, peers that vanish, and how many connections one
# user may have.
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=${1:-build}
# shellcheck source=tests/e2e/lab.sh
. "$here/lab.sh"
export LAB_POLICY_EXTRA='
group Desktop dora
group Socks   sam
security-group SG_Windows {
	instance win1 10.0.2.22 { port 3389 }
	subnet 10.0.2.0/24
	accept tcp 3389, 4000-4020 from SG_Bridge priority 1
}
permit Desktop from 203.0.113.7 to 10.0.2.0/24 port 4000, 4001, 4002, 4003, 4004, 4005, 4006, 4007, 4008 { mfa never; allow forward }
permit Desktop from 203.0.113.7 to SG_Windows port 3389 { mfa never; allow forward }
permit Socks from 203.0.113.7 to 10.0.2.0/24 port 4000, 4001, 4002, 4003, 4004, 4005, 4006, 4007, 4008 { mfa never; allow dynamic }'
export LAB_CONF_EXTRA='keepalive 1s
max-sessions-per-user 4
accept-env LANG LC_SGB_*'
lab_up || exit 1
lab_user dora
lab_user sam
in_ns db1 ip address add 10.0.2.22/24 dev d0
# Says which port it was reached on, then gives back what it is told.
lab_start "$LAB/ports.log" ip netns exec "$lab_tag-db1" python3 -c '
import socket, threading
def serve(c, port):
    c.sendall(b"port %d\n" % port)
    while True:
        part = c.recv(65536)
        if not part: break
        c.sendall(part)
    c.close()
def listen(port):
    s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("10.0.2.22", port)); s.listen(8)
    while True:
        threading.Thread(target=serve, args=(s.accept()[0], port)).start()
for port in [3389, *range(4000, 4009)]:
    threading.Thread(target=listen, args=(port,)).start()'
wait_for lab_port_open 10.0.2.22 3389
wait_for lab_port_open 10.0.2.22 4008
robot() {
	lab_ssh robot 203.0.113.7 "$@"
}
events() {
	cat "$LAB"/events/*.jsonl
}
# reached BIND PORT...: through the SOCKS server at BIND, one after the other
# and all kept open; prints those that answered.
reached() {
	in_ns client timeout 60 python3 - "$@" <<-'END'
		import socket, sys
		bind, *ports = map(int, sys.argv[1:])
		kept, good = [], []
		for port in ports:
		    s = socket.create_connection(("127.0.0.1", bind), 20)
		    s.settimeout(20)
		    s.sendall(b"\5\1\0")
		    s.recv(2)
		    s.sendall(b"\5\1\0\3\x0910.0.2.22" + port.to_bytes(2, "big"))
		    try:
		        if s.recv(10)[1:2] == b"\0" and b"port %d" % port in s.recv(100):
		            good.append(port)
		    except OSError:
		        pass
		    kept.append(s)
		print(*good)
	END
}
# with_master USER ARGS...: a shared connection in the background.
with_master() {
	local user=$1
	shift
	lab_ssh "$user" 203.0.113.7 -M -S "$LAB/mux.$user" -N "$@" \
		2>"$LAB/err" &
	master=$!
	wait_for test -S "$LAB/mux.$user"
}
leave() {
	lab_ssh "$1" 203.0.113.7 -S "$LAB/mux.$1" -O exit x 2>/dev/null
	wait "$master" 2>/dev/null
}

# --- several channels on one connection, by name and over -J
shared() {
	local i pids=()
	for i in 1 2 3 4 5 6 7 8; do
		robot -S "$LAB/mux.robot" x \
			"cat >/dev/null; echo $i; exit $i" <"$LAB/data" \
			>"$LAB/out.$i" &
		pids+=($!)
	done
	for i in 1 2 3 4 5 6 7 8; do
		wait "${pids[i - 1]}"
		[ $? -eq "$i" ] && [ "$(cat "$LAB/out.$i")" = "$i" ] ||
			return 1
	done
}
head -c 3000000 /dev/urandom >"$LAB/data"
with_master robot robot+ops@web1@bastion
ok "eight sessions at once on one connection, each its own status" shared
leave robot
cat "$LAB/ssh_config" >"$LAB/ssh_jump"
cat >>"$LAB/ssh_jump" <<-END
	  User robot
	  IdentityFile $LAB/users/robot
	  BindAddress 203.0.113.7
	Host web1
	  ProxyJump robot@bastion
	  User ops
	  ControlMaster auto
	  ControlPersist 5s
	  ControlPath $LAB/mux.jump
END
jumped() {
	in_ns client timeout 60 ssh -F "$LAB/ssh_jump" web1 "$@" </dev/null \
		2>"$LAB/err"
}
jump_shared() {
	[ "$(jumped echo one)" = one ] && [ -S "$LAB/mux.jump" ] &&
		[ "$(jumped 'echo two; exit 0')" = two ] || return 1
	jumped 'exit 9'
	[ $? -eq 9 ]
}
ok "and over a recorded -J" jump_shared
in_ns client ssh -F "$LAB/ssh_jump" -O exit web1 2>/dev/null
per_channel() {
	[ "$(events | grep '"command"' | grep -c 'cat >/dev/null; echo')" = 8 ]
}
ok "each command is an event of its own" wait_for per_channel

# --- the environment, X11
ok "a variable that the settings name passes" eval \
	'[ "$(LC_SGB_A=b robot -o SendEnv=LC_SGB_A robot+ops@web1@bastion \
	"echo \$LC_SGB_A" </dev/null)" = b ]'
ok "one that they do not name does not" eval \
	'[ -z "$(LC_OTHER=x robot -o SendEnv=LC_OTHER robot+ops@web1@bastion \
	"echo \$LC_OTHER" </dev/null)" ]'
no_x11() {
	# shellcheck disable=SC2016 # for the target's shell
	[ "$(DISPLAY=127.0.0.1:9 robot -Y robot+ops@web1@bastion \
		'echo "d=$DISPLAY"' </dev/null 2>/dev/null)" = d= ]
}
ok "X11 that no rule allows: no display" no_x11
x11_event() {
	events | grep '"gate"' | grep -q x11
}
ok "and an event" wait_for x11_event

# --- -D
with_master dora dora@bastion -D 127.0.0.1:7010
ok "forward: eight places, and not a ninth" eval \
	'[ "$(reached 7010 4000 4001 4002 4003 4004 4005 4006 4007 4008 4000)" \
	= "4000 4001 4002 4003 4004 4005 4006 4007 4000" ]'
leave dora
with_master sam sam@bastion -D 127.0.0.1:7011
ok "dynamic: as many as the rule permits" eval \
	'[ "$(reached 7011 4000 4001 4002 4003 4004 4005 4006 4007 4008 3389)" \
	= "4000 4001 4002 4003 4004 4005 4006 4007 4008" ]'
leave sam

# --- two forwards, of which a reload takes one away: all of the connection
# ends, and the books of both are closed
hold_two() {
	in_ns client timeout 60 python3 - <<-'END' &
		import socket
		kept = []
		for port in 7020, 7021:
		    s = socket.create_connection(("127.0.0.1", port), 20)
		    s.settimeout(40)
		    s.recv(100)
		    s.sendall(b"hello")
		    s.recv(100)
		    kept.append(s)
		print("held", flush=True)
		for s in kept:
		    while s.recv(100):
		        pass
	END
	holder=$!
}
opens() {
	[ "$(events | grep -c '"tunnel-open"')" -ge $((opened + 2)) ]
}
closes() {
	[ "$(events | grep -c '"tunnel-close"')" -ge $((closed + 2)) ]
}
two_forwards() {
	opened=$(events | grep -c '"tunnel-open"')
	closed=$(events | grep -c '"tunnel-close"')
	with_master dora dora@bastion -L 127.0.0.1:7020:win1:3389 \
		-L 127.0.0.1:7021:10.0.2.22:4000
	hold_two
	wait_for opens || return 1
	cp "$LAB/policy.conf" "$LAB/policy.kept"
	sed -i "$1" "$LAB/policy.conf"
	"$BUILD/sgbridge" reload -c "$LAB/sgbridge.conf" >/dev/null
	wait "$master" 2>/dev/null
	wait "$holder" || return 1
	wait_for closes || return 1
	cp "$LAB/policy.kept" "$LAB/policy.conf"
	"$BUILD/sgbridge" reload -c "$LAB/sgbridge.conf" >/dev/null
	events | tail -n 20 | grep '"tunnel-close"' |
		grep -q 'win1:3389' &&
		events | tail -n 20 | grep '"tunnel-close"' |
		grep -q '10.0.2.22:4000' &&
		! grep -q 'crash' "$LAB/bastion.log"
}
ok "two forwards, the first of them refused by a reload" \
	two_forwards 's/^permit Desktop .* SG_Windows .*//'
ok "two forwards, the second of them refused by a reload" \
	two_forwards 's/^permit Desktop .* 10.0.2.0.24 .*//'

# --- peers that vanish without a word
ends_by_itself() {
	wait_for eval '! "$BUILD/sgbridge" sessions --json \
		-c "$LAB/sgbridge.conf" | grep -q "\"user\": *\"robot\""'
}
vanish() { # namespace link
	mkfifo "$LAB/hold.$1"
	robot robot+ops@web1@bastion 'echo in; cat' <"$LAB/hold.$1" \
		>"$LAB/out" 2>"$LAB/err" &
	local ssh=$!
	exec 7>"$LAB/hold.$1"
	wait_for grep -q in "$LAB/out" || return 1
	in_ns "$1" ip link set "$2" down
	ends_by_itself
	local result=$?
	in_ns "$1" ip link set "$2" up
	exec 7>&-
	kill "$ssh" 2>/dev/null
	wait "$ssh" 2>/dev/null
	return "$result"
}
ok "a client that vanishes is missed" vanish client c0
wait_for lab_port_open 10.0.1.11 22
vanish_target() {
	vanish web1 w0 && grep -q 'does not answer' "$LAB/err"
}
ok "a target that vanishes is missed, and the user told" vanish_target
wait_for lab_port_open 10.0.1.11 22

# --- how many connections one user may have
several() {
	local i
	for i in 1 2 3 4; do
		mkfifo "$LAB/many.$i"
		robot robot+ops@web1@bastion 'echo in; cat' <"$LAB/many.$i" \
			>"$LAB/out.$i" 2>/dev/null &
	done
	exec 11>"$LAB/many.1" 12>"$LAB/many.2" 13>"$LAB/many.3" \
		14>"$LAB/many.4"
	for i in 1 2 3 4; do
		wait_for grep -q in "$LAB/out.$i" || return 1
	done
	# A flood of more, all of them refused.
	for i in 1 2 3 4 5 6; do
		! robot robot+ops@web1@bastion echo REACHED </dev/null \
			2>"$LAB/err" | grep -q REACHED || return 1
		grep -q 'too many connections' "$LAB/err" || {
			sed 's/^/# /' "$LAB/err"
			return 1
		}
	done
	# Another user is none of it, and the first four live.
	lab_ssh alice 203.0.113.9 alice+ops@web1@bastion true </dev/null \
		2>/dev/null || return 1
	for i in 1 2 3 4; do
		echo "still $i" >&$((10 + i))
		wait_for grep -q "still $i" "$LAB/out.$i" || return 1
	done
	exec 11>&- 12>&- 13>&- 14>&-
	wait_for ends_by_itself
}
ok "a user's fifth connection is refused, the four go on" several
ok "and when they are gone there is room again" eval \
	'[ "$(robot robot+ops@web1@bastion echo in </dev/null)" = in ]'

# --- a terminal's name is the client's word: it harms nobody who reads it
# odd_term TERM: a session, or a refusal; never a byte that steers a terminal.
odd_term() {
	local file
	TERM=$1 robot -tt robot+ops@web1@bastion 'echo REACHED' </dev/null \
		>"$LAB/out" 2>"$LAB/err"
	file=$(find "$LAB/recordings" -name '*.sgr' -printf '%T@ %p\n' |
		sort -n | tail -n 1 | cut -d' ' -f2-)
	"$BUILD/sgbridge-audit" show -c "$LAB/sgbridge.conf" \
		--journal "$LAB/views" -i "$LAB/auditor.key" "$file" \
		>"$LAB/shown" 2>&1
	grep -q 'pty\|REACHED\|verdict' "$LAB/shown" &&
		! LC_ALL=C grep -q $'[\001-\010\013-\037\177]' "$LAB/shown" \
			"$LAB/bastion.log" &&
		! events | LC_ALL=C grep -q $'[\001-\010\013-\037\177]'
}
ok "TERM with escapes in it" odd_term $'xterm\033]0;owned\007\033[2J\r\n'
ok "TERM of 4 KiB" odd_term "$(printf 'x%.0s' {1..4000})"
ok "TERM that is no text at all" odd_term $'\xff\xfe\x80%n%s;$(id)`id`'
ok "and the bastion goes on" eval \
	'[ "$(robot robot+ops@web1@bastion "echo in" </dev/null)" = in ]'

# --- what is secret is nowhere it does not belong
start_held() {
	LAB_CODE='' lab_ssh bob 203.0.113.9 bob+ops@web1@bastion \
		'echo there; exec sleep 60' </dev/null >"$LAB/held" 2>&1 &
	# shellcheck disable=SC2034
	held=$!
	wait_for grep -q there "$LAB/held" || ! sed "s/^/# /" "$LAB/held"
}
# Of every process of the bastion: arguments, environment, and no cores.
quiet_processes() {
	local pid count=0
	{
		cat "$LAB/users/bob.secret"
		grep -v -- '-----' "$LAB/user_ca" | head -n 2 | tail -n 1
		grep -v -- '-----' "$LAB/host_key" | head -n 2 | tail -n 1
	} >"$LAB/secrets"
	for pid in $(ip netns pids "$lab_tag-bastion"); do
		tr '\0' '\n' <"/proc/$pid/cmdline" | grep -q sgbridge || continue
		count=$((count + 1))
		if cat "/proc/$pid/cmdline" "/proc/$pid/environ" |
			tr '\0' '\n' | grep -qFf "$LAB/secrets"; then
			echo "# $pid shows a secret"
			return 1
		fi
		grep -q 'Max core file size *0 *0 ' "/proc/$pid/limits" || {
			echo "# $pid may leave a core"
			tr '\0' ' ' <"/proc/$pid/cmdline" | sed 's/^/# /'
			return 1
		}
	done
	[ "$count" -ge 4 ]
}
ok "a person's session, with a second factor" start_held
ok "no secret in any process's arguments or environment, and no cores" \
	quiet_processes
# What a crash of a session would leave: nothing, wherever it would be put.
ok "a session that is killed by a signal leaves no file" eval '
	for pid in $(ip netns pids "$lab_tag-bastion"); do
		[ "$(stat -c %u "/proc/$pid")" = "${LAB_SESSION_USER%:*}" ] &&
			kill -SEGV "$pid"
	done
	wait "$held"
	! find "$LAB" / -maxdepth 1 -name "core*" | grep -q .'
lab_summary
