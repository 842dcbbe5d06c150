#!/bin/bash
# A session process that was taken over, against the monitor: it stays within
# its own connection, gets nothing that was not granted, and is ended when it
# should be. Then daemons that die.
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=${1:-build}
BUILD=$(cd "$BUILD" && pwd)
# shellcheck source=tests/e2e/lab.sh
. "$here/lab.sh"
# The hostile program is no cradle of sessions: each is started by itself.
export LAB_CONF_EXTRA='login-grace 3s
sessions-per-start 1' LAB_POLICY_EXTRA='
security-group SG_Dead {
	instance dead1 10.0.2.1 { port 2; login ops; host-key SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA }
	accept tcp 2 from SG_Bridge priority 1
}
security-group SG_Port {
	instance port1 10.0.2.23 { port 3389 }
	accept tcp 3389 from SG_Bridge priority 1
}
permit Robots from 203.0.113.9 to SG_Current, SG_Dead as ops { mfa never; allow shell, exec }
permit Robots from 203.0.113.9 to SG_Port port 3389 { mfa never; allow forward }'
real=$BUILD
eval "$(declare -f lab_policy | sed '1s/lab_policy/lab_first_policy/')"
lab_policy() {
	lab_first_policy
	cat >>"$LAB/policy.conf" <<-END
		security-group SG_Own {
		 	credential agent
		 	instance own1 10.0.2.22 { port 2222; login ops; host-key $(lab_fingerprint "$LAB/web1/hostkey.pub") }
		 	accept tcp 2222 from SG_Bridge priority 1
		}
		permit Robots from 203.0.113.9 to SG_Own as ops { mfa never; allow shell, exec }
	END
}
lab_up || exit 1
conf=$LAB/sgbridge.conf
mkdir "$LAB/programs"
ln -s "$real/sgbridge-monitor" "$real/sgbridge-starter" "$LAB/programs/"
"${CC:-cc}" -o "$LAB/programs/sgbridge-session" "$here/hostile_start.c" ||
	exit 1
cp "$here/hostile_session.py" "$LAB/programs/"
cp "$LAB/users/robot.pub" "$LAB/users/robot" "$LAB/programs/"
# The host key is here for what the target would sign in the key exchange.
cp "$LAB/web1/hostkey" "$LAB/programs/web1"
cp "$LAB/web1/hostkey.pub" "$LAB/programs/web1.pub"
log=$LAB/programs/log
use() {
	sed -i "s,^program-directory .*,program-directory $1," "$conf"
	"$real/sgbridge" reload -c "$conf" >/dev/null
}
# play SCENARIO...: a client connects and gets the hostile process.
play() {
	echo "$*" >"$LAB/programs/scenario"
	: >"$log"
	rm -f "$LAB/programs/go"
	# Whatever the process does, the client just holds the connection.
	in_ns client timeout 30 bash -c \
		'exec 3<>/dev/tcp/203.0.113.1/30022; cat <&3' >/dev/null &
	holder=$!
}
says() {
	wait_for grep -q "$1" "$log"
}
ended() {
	! kill -0 "$holder" 2>/dev/null
}
events() {
	cat "$LAB"/events/*.jsonl
}
sessions() {
	"$real/sgbridge" sessions --json -c "$conf"
}
# The bastion has no connection left.
quiet() {
	"$real/sgbridge" status --json -c "$conf" |
		grep -q '"connections": *0'
}
# The monitor says so when it ends a session for what it asked.
refusals() {
	grep -cE 'not permitted in this phase|: malformed' "$LAB/bastion.log"
}
more_refusals() {
	[ "$(refusals)" -gt "$1" ]
}
# text WORD: as a message has it, in hexadecimal
text() {
	printf '%08x' "${#1}"
	printf '%s' "$1" | od -An -tx1 | tr -d ' \n'
}
# listens ADDRESS PORT: something that takes connections and says nothing.
listens() {
	in_ns db1 ip address add "$1/24" dev d0
	lab_start "$LAB/port.log" ip netns exec "$lab_tag-db1" python3 -c '
import socket, sys
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind((sys.argv[1], int(sys.argv[2]))); s.listen(8); kept = []
while True:
    kept.append(s.accept()[0])' "$1" "$2"
	wait_for lab_port_open "$1" "$2"
}
listens 10.0.2.22 2222
listens 10.0.2.23 3389
use "$LAB/programs"
# Answers: 0 refused, 1 would do, 2 second factor, 3 logged on.
play claims
says '^a good one'
for what in 'before the host key signed' 'no signature' 'no key' \
	"another's name"; do
	ok "a key is not believed without its signature: $what" \
		grep -q "^$what 0" "$log"
done
ok "with it, it is" grep -q '^a good one 3' "$log"
wait_for ended
ok "the trail has what was claimed" eval \
	'events | grep -q "the signature is not of this login" &&
	events | grep -q "the signature is not by this key"'
play replays
says '^other session'
ok "nor with one of another session" grep -q '^other session 0' "$log"
wait_for ended
play oracle second
ok "the host key signs one exchange before the login" wait_for ended
ok "and not another" eval \
	'grep -q "^first 1" "$log" && ! grep -q "^second 1" "$log"'
for what in long digest key; do
	play oracle "$what"
	ok "nor what is no exchange hash: $what" wait_for ended
	ok "and nothing is signed: $what" eval '! grep -q "^$what 1" "$log"'
done
play silent
ok "closing the link and staying does not evade the grace time" wait_for ended
ok "and holds no slot" wait_for quiet
play drip
says dripping
id=$(sessions | grep -o '"id": *"[^"]*"' | head -n1 | cut -d'"' -f4)
"$real/sgbridge" end -c "$conf" "$id" >/dev/null
ok "dripping to the agent does not delay the end" wait_for ended
play late
says ready
id=$(sessions | grep -o '"id": *"[^"]*"' | head -n1 | cut -d'"' -f4)
"$real/sgbridge" end -c "$conf" "$id" >/dev/null
ok "no signature after the end" says 'after the end: refused'
wait_for ended
play other
says 'second session'
ok "the agent signs this login" grep -q '^own: signed' "$log"
for what in 'no host key' root service 'no signature flag' 'more behind' \
	'other certificate' 'other host' 'second session'; do
	ok "and nothing else: $what" grep -q "^$what: refused" "$log"
done
wait_for ended
for what in id signature; do
	play invents "$what"
	says '^its own:'
	ok "an SSH session of another host is not signed for: $what" eval \
		'grep -q "^host key 0" "$log" && grep -q "^invented: refused" "$log" &&
		grep -q "^its own: refused" "$log"'
	ok "and the trail tells" wait_for eval 'events | grep "target-hostkey" |
		grep -q "no signature of the key exchange"'
	wait_for ended
done
# The user's own key, which his agent holds, and this process could ask for
# anything: what the monitor has it ask for, and gives to the target's side.
play own good
says '^done'
for what in 'no host key' root 'at once' again 'other session'; do
	ok "the user's key: $what is refused" grep -q "^$what: refused" "$log"
done
ok "one signature is asked for, of the one login" eval \
	'grep -q "^asked: 110 ops" "$log" && [ "$(grep -c "^asked" "$log")" = 1 ]'
ok "and used" eval 'grep -q "^given: 1" "$log" && grep -q "^then: signed" "$log"'
wait_for ended
play own bad
says '^done'
ok "a bad one is not" eval \
	'grep -q "^given: 0" "$log" && grep -q "^then: refused" "$log"'
wait_for ended
play own unasked
ok "one that nobody asked for ends the session" wait_for ended
play wrong_host
says '^wrong host:'
ok "no signature for a host that is not the one" \
	grep -q '^wrong host: refused' "$log"
ok "and no other host key after the first" wait_for ended
play stale
says ready
"$real/sgbridge" reload -c "$conf" >/dev/null
touch "$LAB/programs/go"
ok "a gate asked without a target ends it" \
	wait_for grep -q 'session asked REQ_GATE in phase' "$LAB/bastion.log"
ok "and nothing was granted" eval '! grep -q "got 27" "$log"'
wait_for ended
before=$(events | wc -l)
play reports
wait_for ended
ok "reports before the login are no events" \
	test "$(($(events | wc -l) - before))" -lt 50
play odd
ok "who says too much of himself is ended" wait_for ended
odd=$(grep -c 'anomaly: odd' "$LAB/bastion.log")
ok "and little of it is in the log" test "$odd" -gt 5 -a "$odd" -lt 50
play keeps
ok "a forward passes bytes" says '^before: sent'
ok "one that was called closed is closed" says '^after: refused'
wait_for ended
# Requests that are out of phase, or no requests at all.
for message in '40 00000000' '42 00000005726f626f74' '43 00000000' '44' \
	'45 000000047765623100000016' '47 0000000100000001000000000000' \
	'49 0000000100000000' '20' '27' '60' '80' '9999' '50 00'; do
	count=$(refusals)
	play phase "$message"
	ok "message $message ends the session" wait_for more_refusals "$count"
	wait_for ended
done
# With the proofs of a target, which may be weaker than what these want: a
# command, and a jump that would inherit them.
for message in "49 00000001$(text hosts)" "45 $(text web1)00000016"; do
	count=$(refusals)
	play beside "$message"
	ok "beside its target, message ${message%% *} ends the session" \
		wait_for more_refusals "$count"
	wait_for ended
	ok "and nothing is answered" eval \
		'grep -q "^auth 3" "$log" && ! grep -q "^got \(25\|30\)$" "$log"'
done
play deaf
ok "who stops reading is ended" wait_for ended
ok "nothing of it is left" wait_for quiet

# --- daemons that die
use "$real"
robot() {
	lab_ssh robot 203.0.113.7 "$@"
}
open_session() {
	: >"$LAB/out"
	robot robot+ops@web1@bastion 'echo there; exec sleep 60' \
		>"$LAB/out" 2>"$LAB/err" </dev/null &
	holder=$!
	wait_for grep -q there "$LAB/out"
}
monitors() {
	for pid in $(ip netns pids "$lab_tag-bastion"); do
		grep -q '^sgbridge-monito' "/proc/$pid/comm" 2>/dev/null &&
			! grep -q "^PPid:	$LAB_BASTION\$" "/proc/$pid/status" &&
			echo "$pid"
	done
}
open_session
kill -KILL "$(monitors | head -n1)"
ok "a killed monitor takes its session with it" wait_for ended
ok "and that is an event" wait_for eval \
	'events | grep -q "the monitor of this connection died"'
ok "others log on as before" robot robot+ops@web1@bastion true
open_session
kill "$LAB_BASTION"
wait_for test ! -e "$LAB/control"
ok "a session outlives its daemon" kill -0 "$holder"
lab_start "$LAB/bastion2.log" ip netns exec "$lab_tag-bastion" \
	"$real/sgbridged" -e -c "$conf"
LAB_BASTION=$LAB_LAST
wait_for test -S "$LAB/control"
known() {
	wait_for eval 'sessions | grep -q "\"user\": *\"robot\""' && return
	tail -n 5 "$LAB/err" "$LAB"/bastion*.log | sed 's/^/# /'
	return 1
}
ok "the next daemon knows it" known
# A monitor from before an upgrade: says so by saying less, and speaks of
# approvals as it was then; the daemon cannot answer that, and keeps it.
cat >"$LAB/old.py" <<-'END'
	import socket, struct, sys
	def string(text): return struct.pack('>I', len(text)) + text
	def number(n): return struct.pack('>I', n)
	def send(kind, *parts):
	    s.send(struct.pack('>H', kind) + b''.join(parts))
	s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
	s.connect(sys.argv[1])
	send(17, string(b'0ld0ld0ld'), string(b'203.0.113.7'), number(4711),
	     *(number(int(n)) for n in sys.argv[2:]))
	send(10, number(5), string(b'olga'), string(b'web1'),
	     string(b'ops'), string(b''), string(b''))
	send(13, string(b'SysAdmins'), struct.pack('>Q', 0),
	     string(b'ops@web1:22'))
	send(15)
	send(9999, b'what will be')
	send(10, number(5), string(b'oldolga'), string(b'web1'),
	     string(b'ops'), string(b''), string(b''))
	while True:
	    got = s.recv(200000)
	    if not got: break
	    print('got', struct.unpack('>H', got[:2])[0], flush=True)
	print('closed', flush=True)
END
old_monitor() {
	lab_start "$LAB/old.log" ip netns exec "$lab_tag-bastion" \
		python3 "$LAB/old.py" "$LAB/control" "$@"
	old=$LAB_LAST
}
for version in '' 4711; do
	old_monitor ${version:+"$version"}
	ok "a monitor of version ${version:-none} is known" wait_for eval \
		'sessions | grep -q "\"user\": *\"oldolga\""'
	ok "nothing that it said of approvals is believed" eval \
		'! "$real/sgbridge" requests -c "$conf" | grep -q olga'
	ok "it gets policies, and no list" eval 'wait_for grep -qx "got 2" \
		"$LAB/old.log" && ! grep -qx "got 5" "$LAB/old.log"'
	ok "the log tells, once" [ "$(grep -c 'is of another version' \
		"$LAB/bastion2.log")" -eq "$([ -z "$version" ] && echo 1 || echo 2)" ]
	"$real/sgbridge" end 0ld0ld0ld -c "$conf" >/dev/null
	ok "it can be ended" wait_for grep -qx 'got 3' "$LAB/old.log"
	ok "and was not taken for one that died" eval \
		'! events | grep -q "0ld0ld0ld.*monitor of this connection died"'
	kill "$old"
	wait_for eval '! sessions | grep -q oldolga'
done
echo 'deny robot from any to any' >>"$LAB/policy.conf"
"$real/sgbridge" reload -c "$conf" >/dev/null
ok "and ends it when the policy does" wait_for ended
lab_summary
