#!/bin/bash
# A rule with on-record-failure stall: where the recorder's disk is full its
# session stands still, what is not recorded like the rest, and then goes on
# with nothing lost, or ends when its time is over; another's is ended.
# The recordings are on a small tmpfs, in a mount namespace of its own.
# shellcheck disable=SC2016,SC2034 # conditions are for "ok" to evaluate
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=${1:-build}
[ "$(id -u)" = 0 ] || {
	echo "needs root, for namespaces"
	exit 77
}
if [ -z "${SGB_IN_NAMESPACE:-}" ]; then
	SGB_IN_NAMESPACE=1 exec unshare --mount --propagation slave "$0" "$BUILD"
fi
# shellcheck source=tests/e2e/lab.sh
. "$here/lab.sh"
export LAB_POLICY_EXTRA='
permit Robots from 192.0.2.66 to SG_Current as ops {
	mfa               never
	allow             exec, sftp
	on-record-failure stall 50s
}
permit Robots from 203.0.113.9 to SG_Current as ops {
	mfa               never
	allow             exec
	on-record-failure stall 6s
}
security-group SG_Echo {
	instance echo1 10.0.1.12 { port 7000 }
	accept tcp 7000 from SG_Bridge priority 1
}
permit Robots from 192.0.2.66 to SG_Echo port 7000 {
	mfa               never
	allow             forward
	on-record-failure stall 50s
}'
trap '' PIPE
eval "$(declare -f lab_daemons | sed '1s/lab_daemons/start_bastion/')"
lab_daemons() {
	mkdir -p "$LAB/recordings"
	mount -t tmpfs -o "size=12M,mode=0700,uid=${LAB_RECORDER_USER%:*},gid=${LAB_RECORDER_USER#*:}" \
		tmpfs "$LAB/recordings" || exit 77
	sed -i 's/^disk-reserve.*/disk-reserve 4M/' "$LAB/sgbridge.conf"
	grep -q '^disk-reserve' "$LAB/sgbridge.conf" ||
		echo 'disk-reserve 4M' >>"$LAB/sgbridge.conf"
	start_bastion
}
trail() {
	cat "$LAB"/events/*.jsonl
}
audited() {
	"$BUILD/sgbridge-audit" "$1" -d "$LAB/recordings" \
		-i "$LAB/auditor.key" "${@:2}" 2>/dev/null
}
# session NAME SOURCE: one that does what it reads, until it reads no more; what
# is typed is not recorded.
session() {
	mkfifo "$LAB/$1.in"
	lab_ssh robot "$2" robot+ops@web1@bastion \
		"echo one; while read word; do echo \$word >>ran.$1; echo \$word; done; echo three" \
		<"$LAB/$1.in" >"$LAB/$1.out" 2>"$LAB/$1.err" &
}
home=
ran() {
	grep -qs two "$home/ran.$1"
}
fill() {
	head -c "$(($(stat -f -c '%a * %S' "$LAB/recordings") - 600000))" \
		/dev/zero >"$LAB/recordings/filler"
}
low() {
	trail | grep '"event":"disk-low"' | grep '"rec_id"' |
		grep -c "\"status_id\":$1"
}
lab_up || exit 1
export XDG_STATE_HOME=$LAB/state
# Before any pipe is open, which it would keep open.
in_ns web1 ip address add 10.0.1.12/24 dev w0
lab_start "$LAB/echo.log" ip netns exec "$lab_tag-web1" python3 -uc '
import socket
s = socket.socket()
s.bind(("10.0.1.12", 7000))
s.listen(8)
while True:
    c, data = s.accept()[0], b"+"
    while data:
        print(data, flush=True)
        data = c.recv(1000)
        c.sendall(data)
    c.close()'
wait_for lab_port_open 10.0.1.12 7000
session waits 192.0.2.66
waits=$!
exec 4>"$LAB/waits.in"
# The first of its rule's, where its recording is looked for below.
wait_for grep -q one "$LAB/waits.out"
session ends 203.0.113.7
ends=$!
exec 5>"$LAB/ends.in"
session brief 203.0.113.9
brief=$!
exec 6>"$LAB/brief.in"
home=$LAB/web1/home
head -c 8000000 /dev/urandom >"$LAB/big"
install -m 0644 "$LAB/big" "$home/big"
mkfifo "$LAB/files.in"
lab_client_run sftp robot 192.0.2.66 robot+ops@web1@bastion \
	<"$LAB/files.in" >"$LAB/files.out" 2>&1 &
files=$!
exec 7>"$LAB/files.in"
# A forward without a target has a recording of its own.
mkfifo "$LAB/forward.in"
lab_ssh robot 192.0.2.66 -W echo1:7000 robot@bastion \
	<"$LAB/forward.in" >"$LAB/forward.out" 2>"$LAB/forward.err" &
forward=$!
exec 8>"$LAB/forward.in"
echo one >&8
echo "put $LAB/big began" >&7
ok "all began" eval 'wait_for grep -q one "$LAB/waits.out" &&
	wait_for grep -q one "$LAB/ends.out" &&
	wait_for grep -q one "$LAB/brief.out" &&
	wait_for grep -q one "$LAB/forward.out" &&
	wait_for cmp -s "$LAB/big" "$home/began"'
fill
ok "a session without the rule is ended" eval \
	'wait_for test ! -e "/proc/$ends"'
ok "with it, it waits, and the trail says so" eval \
	'wait_for eval "[ \"\$(low 2)\" = 4 ]" && [ -e "/proc/$waits" ]'
echo two >&4
echo two >&6
echo two >&8
printf 'get big %s/got\nput %s/big sent\n' "$LAB" "$LAB" >&7
# Somebody else's connection has passed meanwhile, refused.
ok "nobody begins" eval \
	'[ -z "$(lab_ssh robot 192.0.2.66 robot+ops@web1@bastion echo no 2>/dev/null </dev/null)" ]'
ok "nothing passes" eval '! grep -q two "$LAB/waits.out"'
ok "when its time is over a session ends" eval \
	'wait_for test ! -e "/proc/$brief" && grep -qi "recording failed" "$LAB/brief.err"'
ok "and nothing typed meanwhile was done" eval '! ran brief'
ok "nor by one that waits still" eval '! ran waits'
ok "nor by a forward" eval \
	'! grep -q two "$LAB/echo.log" && ! grep -q two "$LAB/forward.out"'
ok "no file passes" eval '[ ! -s "$LAB/got" ] && [ ! -e "$home/sent" ]'
exec 6>&-
rm "$LAB/recordings/filler"
ok "with room again it goes on" wait_for grep -q two "$LAB/waits.out"
exec 4>&-
ok "and does what was typed, once" eval '[ "$(grep -c two "$home/ran.waits")" = 1 ]'
exec 7>&-
ok "and the forward" wait_for grep -q two "$LAB/forward.out"
exec 8>&-
wait "$forward"
ok "files pass whole" eval 'wait "$files" && cmp "$LAB/big" "$LAB/got" &&
	cmp "$LAB/big" "$home/sent"'
ok "to its end" eval 'wait "$waits" && [ "$(tr "\n" " " <"$LAB/waits.out")" = "one two three " ]'
ok "which the trail has" eval '[ "$(low 1)" = 3 ]'
id() {
	audited ls --json | jq -r "select(.meta.source == \"$1\" and
		.meta.stall == $2) | .rec" | head -n 1
}
ok "its recording says that it may" eval '[ -n "$(id 192.0.2.66 50)" ]'
ok "nothing of it was lost" eval \
	'[ "$(audited export -f raw "$(id 192.0.2.66 50)" | tr -d "\r" | tr "\n" " ")" = "one two three " ]'
recorded() {
	local rec
	for rec in $(audited ls --json | jq -r .rec); do
		audited export -f items "$rec"
	done | grep -c "\"kind\": *\"$1\""
}
ok "every file is in its recording" eval '[ "$(recorded file)" = 3 ]'
ok "it says that it waited" eval \
	'audited export -f items "$(id 192.0.2.66 50)" | grep -q note'
ok "every recording is whole" eval 'wait_for audited verify'
exec 5>&-
umount -l "$LAB/recordings"
lab_summary
