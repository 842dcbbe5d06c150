#!/bin/bash
# What the administrator does at the console: locks a person out of a running
# bastion, and lets him in again.
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=${1:-build}
# shellcheck source=tests/e2e/lab.sh
. "$here/lab.sh"
lab_up || exit 1
as() {
	local user=$1
	shift
	lab_ssh "$user" 203.0.113.7 -o LogLevel=INFO "$@" </dev/null
}
sgb() {
	in_ns bastion "$BUILD/sgbridge" "$@" -c "$LAB/sgbridge.conf"
}
start() {
	"$@" </dev/null >"$LAB/out" 2>"$LAB/err" &
	client=$!
}
gone() {
	! kill -0 "$client" 2>/dev/null
}

# --- lock
ok "nobody is locked at first" eval 'sgb lock | grep -q "nobody is locked"'
start as robot robot+ops@web1@bastion 'echo there; exec sleep 60'
wait_for grep -q there "$LAB/out"
ok "a lock tells how many connections it ends" eval \
	'sgb lock robot "key lost; on a train" | grep -q "ended: 1"'
ok "and cuts what is open" wait_for gone
ok "with the reason" grep -q 'no longer permitted: the person is locked' \
	"$LAB/err"
ok "who is locked logs on no more" eval \
	'! as robot robot+ops@web1@bastion true 2>"$LAB/err"'
ok "and learns nothing" eval '! grep -q lock "$LAB/err"'
ok "the trail says so" eval \
	'grep -q "robot is locked; connections ended: 1" "$LAB"/events/*.jsonl &&
	grep -q "locked: see sgbridge lock" "$LAB"/events/*.jsonl'
ok "others are not concerned" lab_ssh alice 203.0.113.9 \
	alice+ops@web1@bastion true
ok "the list has who, when and why" eval 'sgb lock --json |
	grep -q "\"user\":\"robot\",\"locked\":\"20.*Z by .*key lost; on a train"'
ok "a name cannot leave the folder" eval \
	'! sgb lock ../../etc 2>/dev/null && [ ! -e "$LAB/../../etc.lock" ]'
ok "unlock" sgb unlock robot
ok "and once more is told" eval '! sgb unlock robot 2>/dev/null'
ok "he is in again" as robot robot+ops@web1@bastion true
ok "a folder that others may write locks everybody" eval '
	chmod 0777 "$LAB/locks"
	! as robot robot+ops@web1@bastion true 2>/dev/null
	s=$?
	chmod 0700 "$LAB/locks"
	[ $s -eq 0 ]'
ok "until it is mended" as robot robot+ops@web1@bastion true
ok "a lock without a daemon stands, and says what it could not do" eval '
	cp "$LAB/sgbridge.conf" "$LAB/other.conf"
	sed -i "s,^control-socket.*,control-socket $LAB/nothing," "$LAB/other.conf"
	! "$BUILD/sgbridge" lock bob -c "$LAB/other.conf" 2>"$LAB/err" &&
	grep -q "no sgbridged was told" "$LAB/err" &&
	sgb lock | grep -q "^bob"'
lab_summary
