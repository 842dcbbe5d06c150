#!/bin/bash
# What the administrator does at the console: locks a person out of a running
# bastion, and lets him in again.
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=${1:-build}
# shellcheck source=tests/e2e/lab.sh
. "$here/lab.sh"
export LAB_POLICY_EXTRA='
group Auditors erin
group Clerks carol
permit Auditors, Clerks from 203.0.113.7 to SG_Current as ops { mfa never; allow exec }
audit Auditors from 203.0.113.7 { list, watch }
audit Clerks from 203.0.113.7 { list }'
lab_up || exit 1
lab_user erin
lab_user carol
as() {
	local user=$1
	shift
	lab_ssh "$user" 203.0.113.7 -o LogLevel=INFO "$@" </dev/null
}
sgb() {
	in_ns bastion "$BUILD/sgbridge" "$@" -c "$LAB/sgbridge.conf"
}
start() {
	# What an earlier one said must not be taken for its words.
	: >"$LAB/out"
	: >"$LAB/err"
	"$@" </dev/null >"$LAB/out" 2>"$LAB/err" &
	client=$!
}
gone() {
	! kill -0 "$client" 2>/dev/null
}

# --- watch
# see FILE TEXT: what a watcher got so far has it
see() {
	grep -aq "$2" "$1"
}
# Both ends at once: opening never waits, and nothing that was said is lost.
mkfifo "$LAB/web1/home/go" "$LAB/keys"
chown "$LAB_OPS_UID" "$LAB/web1/home/go"
exec 8<>"$LAB/web1/home/go" 7<>"$LAB/keys"
# shellcheck disable=SC2016
start as robot -tt robot+ops@web1@bastion '
	echo begun
	read -r line <"$HOME/go"
	printf "seen \033[31mred\033[m \033]0;title\007\033[6n\033[c\303\251\n"
	i=0; while [ $i -lt 3 ]; do i=$((i+1)); echo "line $i"; done
	read -r line <"$HOME/go"'
wait_for grep -q begun "$LAB/out"
id=$(as erin erin@bastion sessions --json |
	sed -n 's/.*"id":"\([^"]*\)","recording":"[^"]*","user":"robot".*/\1/p')
ok "who may list and no more watches nothing" eval \
	'! as carol carol@bastion watch "$id" >"$LAB/carol" 2>&1 &&
	grep -q "no rule lets you watch" "$LAB/carol"'
ok "what is not there cannot be watched" eval \
	'! as erin erin@bastion watch nothing >/dev/null 2>&1'
as erin erin@bastion watch "$id" >"$LAB/erin" 2>&1 &
watcher=$!
LAB_PIDS+=("$watcher")
ok "an auditor watches live" wait_for see "$LAB/erin" 'watching robot ops@web1'
in_ns bastion "$BUILD/sgbridge" watch "$id" -c "$LAB/sgbridge.conf" \
	>"$LAB/root" 2>&1 </dev/null &
console=$!
LAB_PIDS+=("$console")
ok "and so does the console" wait_for see "$LAB/root" 'watching robot ops@web1'
echo >&8
for who in erin root; do
	ok "$who sees what the user sees" wait_for see "$LAB/$who" 'line 3'
	ok "with colours and accents" see "$LAB/$who" \
		"$(printf 'seen \033\[31mred\033\[m .*\303\251')"
	ok "without what makes a terminal answer" eval '! LC_ALL=C grep -aq \
		"$(printf "\\033\\(]\\|\\[6n\\|\\[c\\)\\|\\007")" "$LAB/$who"'
done
echo >&8
ok "the end is told" eval 'wait_for see "$LAB/erin" "it has ended" &&
	wait "$watcher" && wait_for see "$LAB/root" "it has ended"'
wait "$console" "$client"
ok "looking is in the trail, and refused looking too" eval '
	grep -q "\"watch [^\"]* robot ops@web1\".*erin\|erin.*\"watch [^\"]* robot ops@web1\"" \
	"$LAB"/events/*.jsonl && grep -q "no audit rule" "$LAB"/events/*.jsonl'

# Through ProxyJump, on a terminal, and left by a key.
cat "$LAB/ssh_config" - >"$LAB/ssh_jump" <<-END
	  User robot
	  IdentityFile $LAB/users/robot
	  BindAddress 203.0.113.7
	Host web1
	  ProxyJump robot@bastion
END
# shellcheck disable=SC2016
start in_ns client timeout 60 ssh -F "$LAB/ssh_jump" ops@web1 '
	echo begun
	read -r line <"$HOME/go"
	i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo "line $i"; done
	read -r line <"$HOME/go"'
wait_for grep -q begun "$LAB/out"
recording=$(sgb sessions --json | sed -n \
	's/.*"user":"robot","target":"web1"[^}]*"recording":"\([^"]*\)".*/\1/p')
# exec: timeout leaves the terminal's foreground group unless it leads the
# session, and a shell that forks (dash) would stop ssh with SIGTTOU.
in_ns client script -qfc "exec timeout 60 ssh -tt -F $LAB/ssh_config \
	-i $LAB/users/erin -o BindAddress=203.0.113.7 erin@bastion \
	watch $recording" "$LAB/typed" <"$LAB/keys" >/dev/null 2>&1 &
watcher=$!
LAB_PIDS+=("$watcher")
ok "a session through ProxyJump is watched by its recording's id" \
	wait_for see "$LAB/typed" 'watching robot ops@web1'
echo >&8
ok "all of it comes" wait_for see "$LAB/typed" 'line 3000'
printf xyzq >&7
ok "and q leaves" eval 'wait_for see "$LAB/typed" "you have left"'
wait "$watcher"
ok "the session goes on" eval '! gone && echo >&8 &&
	wait "$client"'

# Whose right is taken away sees no more.
start as robot robot+ops@web1@bastion 'echo there; exec sleep 60'
wait_for grep -q there "$LAB/out"
id=$(as erin erin@bastion sessions --json | sed -n \
	's/.*"id":"\([^"]*\)","recording":"[^"]*","user":"robot".*/\1/p')
as erin erin@bastion watch "$id" >"$LAB/erin" 2>&1 &
watcher=$!
LAB_PIDS+=("$watcher")
wait_for see "$LAB/erin" 'watching robot'
sed -i 's/{ list, watch }/{ list }/' "$LAB/policy.conf"
sgb reload >/dev/null
stopped() {
	! kill -0 "$watcher" 2>/dev/null
}
ok "a reload that takes the right ends the looking" wait_for stopped
ok "with the reason" see "$LAB/erin" 'lets the person watch any more'
ok "and not the session" eval '! gone'
sgb end "$id" >/dev/null
wait_for gone

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
