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
echo "put $LAB/big began" >&7
ok "all began" eval 'wait_for grep -q one "$LAB/waits.out" &&
	wait_for grep -q one "$LAB/ends.out" &&
	wait_for grep -q one "$LAB/brief.out" &&
	wait_for cmp -s "$LAB/big" "$home/began"'
fill
ok "a session without the rule is ended" eval \
	'wait_for test ! -e "/proc/$ends"'
ok "with it, it waits, and the trail says so" eval \
	'wait_for eval "[ \"\$(low 2)\" = 3 ]" && [ -e "/proc/$waits" ]'
echo two >&4
echo two >&6
printf 'get big %s/got\nput %s/big sent\n' "$LAB" "$LAB" >&7
# Somebody else's connection has passed meanwhile, refused.
ok "nobody begins" eval \
	'[ -z "$(lab_ssh robot 192.0.2.66 robot+ops@web1@bastion echo no 2>/dev/null </dev/null)" ]'
ok "nothing passes" eval '! grep -q two "$LAB/waits.out"'
ok "when its time is over a session ends" eval \
	'wait_for test ! -e "/proc/$brief" && grep -q "recording failed" "$LAB/brief.err"'
ok "and nothing typed meanwhile was done" eval '! ran brief'
ok "nor by one that waits still" eval '! ran waits'
ok "no file passes" eval '[ ! -s "$LAB/got" ] && [ ! -e "$home/sent" ]'
exec 6>&-
rm "$LAB/recordings/filler"
ok "with room again it goes on" wait_for grep -q two "$LAB/waits.out"
exec 4>&-
ok "and does what was typed, once" eval '[ "$(grep -c two "$home/ran.waits")" = 1 ]'
exec 7>&-
ok "files pass whole" eval 'wait "$files" && cmp "$LAB/big" "$LAB/got" &&
	cmp "$LAB/big" "$home/sent"'
ok "to its end" eval 'wait "$waits" && [ "$(tr "\n" " " <"$LAB/waits.out")" = "one two three " ]'
ok "which the trail has" eval '[ "$(low 1)" = 2 ]'
id() {
	audited ls --json | jq -r "select(.meta.source == \"$1\" and
		.meta.stall == $2) | .rec" | head -n 1
}
ok "its recording says that it may" eval '[ -n "$(id 192.0.2.66 50)" ]'
ok "nothing of it was lost" eval \
	'[ "$(audited export -f raw "$(id 192.0.2.66 50)" | tr -d "\r" | tr "\n" " ")" = "one two three " ]'
ok "every file is in its recording" eval '[ "$(audited export -f items \
	"$(audited ls --json | jq -r "select(.meta.source == \"192.0.2.66\") | .rec" |
		sed -n 2p)" | grep -c "\"kind\": *\"file\"")" = 3 ]'
ok "it says that it waited" eval \
	'audited export -f items "$(id 192.0.2.66 50)" | grep -q note'
ok "every recording is whole" eval 'wait_for audited verify'
exec 5>&-
umount -l "$LAB/recordings"
lab_summary
