#!/bin/bash
# Sessions forked from one started program: each is confined and ended as one
# that was started by itself; one that crashes takes no other with it and is
# the last of its layout; none outlives its monitor; none has another's random
# numbers; each can have a cradle of its own; and sgbridge-starter alone has
# the power that starting them takes.
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=${1:-build}
# shellcheck source=tests/e2e/lab.sh
. "$here/lab.sh"
export LAB_CONF_EXTRA='sessions-per-start 4'
lab_up || exit 1
conf=$LAB/sgbridge.conf
mkfifo "$LAB/hold"
exec 9<>"$LAB/hold"
passed=0 failed=0
ok() {
	if "${@:2}"; then
		passed=$((passed + 1))
		echo "ok $1"
	else
		failed=$((failed + 1))
		echo "not ok $1"
	fi
}
# hold N: client N, connected and waiting.
hold() {
	lab_ssh robot 203.0.113.7 robot+ops@web1@bastion 'echo up; exec cat' \
		<"$LAB/hold" >"$LAB/out.$1" 2>"$LAB/err.$1" &
	client[$1]=$!
	wait_for grep -q up "$LAB/out.$1"
}
gone() {
	! kill -0 "$1" 2>/dev/null
}
there() {
	kill -0 "$1" 2>/dev/null
}
# The processes of a kind, by age; those that a cradle forked are the ones of
# the session user.
processes() {
	local pid
	for pid in $(ip netns pids "$lab_tag-bastion"); do
		[ "$(readlink "/proc/$pid/exe")" = "$BUILD/sgbridge-$1" ] &&
			echo "$pid"
	done | sort -n
}
uid_of() {
	sed -n 's/^Uid:\t\([0-9]*\).*/\1/p' "/proc/$1/status" 2>/dev/null
}
sessions() {
	local pid
	for pid in $(processes session); do
		[ "$(uid_of "$pid")" = "${LAB_SESSION_USER%:*}" ] && echo "$pid"
	done
}
cradles() {
	local pid
	for pid in $(processes session); do
		[ "$(uid_of "$pid")" = 0 ] && echo "$pid"
	done
}
parent() {
	sed -n 's/^PPid:\t//p' "/proc/$1/status" 2>/dev/null
}
field() {
	sed -n "s/^$2:\t//p" "/proc/$1/status"
}
count() {
	[ "$("$1" | wc -l)" -eq "$2" ]
}
libcrypto_at() {
	sed -n 's/^\([0-9a-f]*\)-.*libcrypto.*/\1/p' "/proc/$1/maps" | head -n1
}

hold 1 && hold 2
mapfile -t pids < <(sessions)
ok "two sessions from one cradle" \
	[ "$(parent "${pids[0]}")" = "$(parent "${pids[1]}")" ]
ok "which is not a monitor" [ "$(parent "${pids[0]}")" = "$(cradles)" ]
ok "they share a layout" \
	[ "$(libcrypto_at "${pids[0]}")" = "$(libcrypto_at "${pids[1]}")" ]
ok "a session has no capability" [ "$(field "${pids[0]}" CapEff)" = \
	0000000000000000 ]
ok "and its filter" [ "$(field "${pids[0]}" Seccomp)" = 2 ]
ok "and an empty root" [ "$(readlink "/proc/${pids[0]}/root")" = "$LAB/empty" ]
# Its monitor, its client, the target, the recorder and the agent; nothing of
# the cradle's or of another session.
ok "and no descriptor but its own" \
	[ "$(find "/proc/${pids[1]}/fd" -type l | wc -l)" -eq \
		"$(find "/proc/${pids[0]}/fd" -type l | wc -l)" ]

# --- random numbers: the cookies of key exchanges, which come from the same
# generator as the keys
cookie() {
	in_ns client /usr/bin/python3 -c '
import socket, struct
s = socket.create_connection(("203.0.113.1", 30022))
f = s.makefile("rb")
s.sendall(b"SSH-2.0-test\r\n")
f.readline()
size = struct.unpack(">I", f.read(4))[0]
print(f.read(size)[2:18].hex())'
}
one=$(cookie) two=$(cookie)
ok "a session draws random numbers" [ ${#one} -eq 32 ]
ok "and not its sibling's" [ "$one" != "$two" ]
# Those two were the last of the first four.
hold 3
mapfile -t pids < <(sessions)
ok "after its number another cradle serves" \
	[ "$(parent "${pids[0]}")" != "$(parent "${pids[2]}")" ]
ok "with a layout of its own" \
	[ "$(libcrypto_at "${pids[0]}")" != "$(libcrypto_at "${pids[2]}")" ]

# --- a crash
hold 4
mapfile -t pids < <(sessions)
crashed=${pids[3]} sibling=${pids[2]}
ok "both of the second" [ "$(parent "$crashed")" = "$(parent "$sibling")" ]
kill -ABRT "$crashed"
ok "a crash ends its own session" wait_for gone "${client[4]}"
ok "and is told" wait_for grep -q session-crash "$LAB"/events/*.jsonl
ok "its siblings go on" there "${client[3]}"
hold 5
mapfile -t pids < <(sessions)
ok "and none is forked any more where it came from" \
	[ "$(parent "$sibling")" != "$(parent "${pids[3]}")" ]

# --- the monitor
session=${pids[3]}
mapfile -t monitors < <(processes monitor)
kill -KILL "${monitors[-1]}"
ok "no session outlives its monitor" wait_for gone "$session"
ok "and its client sees the end" wait_for gone "${client[5]}"
ok "others go on" there "${client[3]}"

# --- the cradle
kill -KILL "$(parent "$sibling")"
ok "no session outlives its cradle" wait_for gone "$sibling"
hold 6
ok "and the next has another" there "${client[6]}"
for pid in $(ip netns pids "$lab_tag-client"); do
	kill "$pid" 2>/dev/null
done
ok "no session stays" wait_for count sessions 0
ok "and no cradle but the one that waits" wait_for count cradles 1

# --- more at once than it has places, while it has not forked the last one
waiting=$(cradles)
kill -STOP "$waiting"
for n in 10 11 12 13 14; do
	lab_ssh robot 203.0.113.7 robot+ops@web1@bastion 'echo up; exec cat' \
		<"$LAB/hold" >"$LAB/out.$n" 2>"$LAB/err.$n" &
done
monitors() {
	processes monitor
}
ok "many connect" wait_for count monitors 6
kill -CONT "$waiting"
for n in 10 11 12 13 14; do
	ok "and get in" wait_for grep -q up "$LAB/out.$n"
done
alone() {
	local pid
	for pid in $(cradles); do
		tr '\0' ' ' <"/proc/$pid/cmdline" | grep -e '-c 1 '
	done
}
ok "none by a start of his own" count alone 0
for pid in $(ip netns pids "$lab_tag-client"); do
	kill "$pid" 2>/dev/null
done
ok "and all leave" wait_for count sessions 0

# --- one by one
sed -i 's/^sessions-per-start .*/sessions-per-start 1/' "$conf"
"$BUILD/sgbridge" reload -c "$conf" >"$LAB/out" 2>&1
ok "none waits when none is wanted" wait_for count cradles 0
hold 7
session=$(sessions)
ok "each session has a cradle of its own" eval \
	'count cradles 1 && [ "$(parent "$session")" = "$(cradles)" ]'
ok "which is no monitor's child" \
	[ "$(readlink "/proc/$(parent "$(cradles)")/exe")" = \
		"$BUILD/sgbridge-starter" ]
kill -ABRT "$session"
ok "whose crash is seen, too" wait_for gone "${client[7]}"
crashes() {
	grep -c 'event=session-crash.*Aborted' "$LAB/bastion.log"
}
twice() {
	[ "$(crashes)" -eq 2 ]
}
ok "and told" wait_for twice
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
