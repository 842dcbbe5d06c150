#!/bin/bash
# `sgbridge rotate`: host key, user CA, recorder's key and master key are
# replaced under people who work: sessions and logins go on before, in and
# after each overlap. Then each step is killed at every change that it makes
# to a file, and what it leaves must let people in and let the step be done.
set -u
cd "$(dirname "$0")/../.." || exit 1
BUILD=${1:-${BUILD:-build}}
[ "$(id -u)" = 0 ] || {
	echo "needs root, for network namespaces"
	exit 77
}
# shellcheck source=tests/e2e/lab.sh
. tests/e2e/lab.sh
# Instances have a file of trusted CAs of their own.
eval "$(declare -f lab_instance | sed 's,/user_ca\.pub,/instance_ca.pub,')"

rotate() {
	"$BUILD/sgbridge" rotate -c "$LAB/sgbridge.conf" "$@" \
		>"$LAB/out" 2>"$LAB/rotate.err"
}
says() {
	local want=$1
	shift
	rotate "$@"
	[ $? = "$want" ] || {
		sed 's/^/# /' "$LAB/out" "$LAB/rotate.err"
		return 1
	}
}
state() {
	rotate --json
	jq -r --arg key "$1" '.[] | select(.key == $key) | .state' "$LAB/out"
}
is() { [ "$(state "$1")" = "$2" ]; }
robot() {
	[ "$(lab_ssh robot 203.0.113.7 robot+ops@web1@bastion 'id -un' \
		</dev/null 2>"$LAB/err")" = ops ] || {
		sed 's/^/# /' "$LAB/err"
		return 1
	}
}
# Each code counts once, so each look is somebody else's.
factor() {
	[ "$(lab_ssh "$1" 203.0.113.9 "$1+ops@web1@bastion" 'id -un' \
		</dev/null 2>"$LAB/err")" = ops ]
}
# web1 trusts what instance-setup says at this moment.
instances() {
	"$BUILD/sgbridge" instance-setup -c "$LAB/sgbridge.conf" web1 \
		--dry-run | sed -n '/sgbridge_ca.pub <==/,/^==> .*sshd/p' |
		grep '^ssh-ed25519' >"$LAB/instance_ca.pub"
}
trusts() { [ "$(wc -l <"$LAB/instance_ca.pub")" = "$1" ]; }
# The client's known_hosts is what the bastion's own command told people.
learn() {
	lab_ssh robot 203.0.113.7 robot@bastion config 2>/dev/null |
		sed -n 's/^# sgbridge ssh-/[203.0.113.1]:30022 ssh-/p' \
			>"$LAB/learned"
	[ "$(wc -l <"$LAB/learned")" = "$1" ] &&
		cp "$LAB/learned" "$LAB/known_hosts"
}

LAB_POLICY_EXTRA='permit carol, dave from office to SG_Current as ops {
	mfa always
	allow exec
}'
lab_up || exit 1
for user in carol dave; do
	lab_user "$user" && lab_enrol "$user"
done
instances
ok "before: people get in" robot
ok "nothing is under way" says 0

# --- a session that lives through it all
mkfifo "$LAB/hold"
lab_start "$LAB/live.out" bash -c "
	. tests/e2e/lab.sh; lab_tag=$lab_tag LAB=$LAB
	lab_ssh robot 203.0.113.7 robot+ops@web1@bastion \
		'echo ready; cat; echo ended' <'$LAB/hold'"
exec 7>"$LAB/hold"
wait_for grep -q ready "$LAB/live.out"

# --- the host key
ok "host key: no switch without a next key" says 1 host-key --switch
ok "host key: a next one" says 0 host-key
ok "host key: it is told for known_hosts" grep -qF \
	"sgbridge $(cut -d' ' -f1,2 "$LAB/host_key.new.pub")" "$LAB/out"
ok "host key: made once" eval 'cp "$LAB/host_key.new" "$LAB/made" &&
	says 0 host-key && cmp -s "$LAB/made" "$LAB/host_key.new"'
ok "host key: ssh-keygen reads it" eval '[ "$(ssh-keygen -y -f \
	"$LAB/host_key.new" | cut -d" " -f1,2)" = \
	"$(cut -d" " -f1,2 "$LAB/host_key.new.pub")" ]'
ok "host key: it is nobody else's to read" eval \
	'[ "$(stat -c %a "$LAB/host_key.new")" = 600 ]'
ok "host key: something is under way" says 1
ok "host key: not finished before it is used" says 1 host-key --finish
ok "host key: config prints both" learn 2
ok "host key: the old one is shown still" robot
ok "host key: the switch" says 0 host-key --switch
ok "host key: the new one is shown" robot
ok "host key: and config prints both" learn 2
ok "host key: no other rotation meanwhile" says 1 host-key
ok "host key: back" says 0 host-key --undo
ok "host key: people get in" robot
ok "host key: and forth" says 0 host-key --switch
ok "host key: the end" says 0 host-key --finish
ok "host key: config prints one" learn 1
ok "host key: and it is the new one" eval \
	'cmp -s "$LAB/made" "$LAB/host_key" && robot'
ok "host key: nothing is left" eval \
	'! ls "$LAB"/host_key.* | grep -v "host_key.pub$"'

# --- the user CA
ok "CA: a next one" says 0 user-ca
instances
ok "CA: instance-setup prints both" trusts 2
ok "CA: the old one signs still" robot
ok "CA: the switch" says 0 user-ca --switch
ok "CA: the new one signs" robot
instances
ok "CA: instance-setup prints both" trusts 2
grep -vxF "$(cut -d' ' -f1,2 "$LAB/user_ca.pub")" "$LAB/instance_ca.pub" \
	>"$LAB/forgotten"
cp "$LAB/forgotten" "$LAB/instance_ca.pub"
ok "CA: an instance that was forgotten refuses" eval '! robot >/dev/null'
ok "CA: and --undo helps" eval 'says 0 user-ca --undo && robot'
instances
ok "CA: the switch, again" says 0 user-ca --switch
ok "CA: the end" says 0 user-ca --finish
instances
ok "CA: instance-setup prints one" trusts 1
ok "CA: people get in" robot

# --- the master key
cp "$LAB/master.key" "$LAB/master.before"
ok "master key: a next one" says 0 master
ok "master key: both open" is master switched
ok "master key: one-time codes are known" factor bob
ok "master key: the end" says 0 master --finish
ok "master key: the old one is gone" eval \
	'! grep -qf "$LAB/master.before" "$LAB/master.key" &&
	[ "$(wc -l <"$LAB/master.key")" = 1 ]'

# --- the recorder's key
writer() { openssl pkey -in "$LAB/recorder_key" -pubout -outform DER |
	sha256sum | cut -c1-16; }
before=$(writer)
openssl pkey -in "$LAB/recorder_key" -pubout -outform DER | tail -c 32 |
	base64 | sed 's/.*/ed25519 & old/' >"$LAB/writers"
ok "recorder: a next key" says 0 recorder
grep '^ed25519' "$LAB/out" >>"$LAB/writers"
ok "recorder: its line is told" eval '[ "$(wc -l <"$LAB/writers")" = 2 ]'
ok "recorder: the switch" says 0 recorder --switch
after=$(writer)
ok "recorder: it is another key" [ "$before" != "$after" ]
ok "recorder: people get in" robot
ok "recorder: the old key signed which one follows" eval 'grep -h \
	"writer $before is followed by writer $after: ed25519" \
	"$LAB"/events/*.jsonl | grep -q "\"writer\":\"$before\".*\"sig\":"'
ok "recorder: the new one signs the trail" eval \
	'tail -qn1 "$LAB"/events/*.jsonl | grep -q "\"writer\":\"$after\""'
ok "the trail knows of each step" eval \
	'[ "$(grep -hc "rotate \(host-key\|user-ca\): " \
	"$LAB"/events/*.jsonl)" = 10 ]'
ok "bob's second factor is known to the end" factor alice

ok "the live session went on all the while" eval \
	'echo more >&7 && wait_for grep -q more "$LAB/live.out"'
exec 7>&-
ok "and ends well" wait_for grep -q ended "$LAB/live.out"
verified() {
	"$BUILD/sgbridge-audit" verify -d "$LAB/recordings" \
		--events "$LAB/events" --writer "$LAB/writers" >"$LAB/out" 2>&1 || {
		tail -n 5 "$LAB/out" | sed 's/^/# /'
		return 1
	}
}
ok "old and new recordings and the whole trail verify" wait_for verified

# --- killed at every step
if ! command -v strace >/dev/null; then
	echo "# not tried: kills need strace"
	lab_summary
	exit
fi
export ASAN_OPTIONS=detect_leaks=0:${ASAN_OPTIONS:-}
# strangle CALL N STEP...: the Nth such call kills whoever makes it.
strangle() {
	local call=$1 n=$2
	shift 2
	bash -c '"$@"; exit $?' - strace -f -qq -o "$LAB/strace" \
		-e trace="$call" -e inject="$call:signal=KILL:when=$n" \
		"$BUILD/sgbridge" rotate -c "$LAB/sgbridge.conf" "$@" \
		>/dev/null 2>&1
	grep -q 'killed by SIGKILL' "$LAB/strace"
}
# The step once more; or, where it came to its end, what changes nothing.
again() {
	local want=$1
	shift
	if [ "${2:-}" = --undo ] && is "$1" "$want"; then
		says 0 "$1"
	else
		says 0 "$@" && is "$1" "$want"
	fi
}
# survives STATE KEY [STEP]: from here, killed at each call in turn.
survives() {
	local want=$1 call n kills=0 file=$2
	shift
	case $1 in host-key) file=host_key ;; user-ca) file=user_ca ;; esac
	rm -rf "$LAB/saved" && mkdir "$LAB/saved" &&
		cp -p "$LAB/$file"* "$LAB/saved/"
	for call in renameat unlinkat; do
		for n in 1 2 3 4 5 6 7 8 9 10 11 12; do
			rm -f "$LAB/$file"*
			cp -p "$LAB/saved/"* "$LAB/"
			strangle "$call" "$n" "$@" || break
			kills=$((kills + 1))
			instances
			cat "$LAB/$file"*.pub >"$LAB/all.pub"
			[ "$file" != host_key ] || sed \
				's/^/[203.0.113.1]:30022 /' "$LAB/all.pub" \
				>"$LAB/known_hosts"
			if ! robot || ! again "$want" "$@"; then
				echo "# killed at $call $n"
				return 1
			fi
		done
	done
	echo "# $kills kills"
	robot && [ "$kills" -gt 1 ] &&
		[ "$(find "$LAB" -maxdepth 1 -name ".$file*" | wc -l)" = 0 ]
}
ok "killed while it makes one: host key" survives announced host-key
learn 2
ok "killed in the switch: host key" survives switched host-key --switch
ok "killed in the undoing: host key" survives announced host-key --undo
says 0 host-key --switch
ok "killed at the end: host key" survives idle host-key --finish
learn 1
says 0 user-ca
ok "killed in the switch: CA" survives switched user-ca --switch
says 0 user-ca --finish
instances
rekilled() {
	local call
	says 0 recorder || return 1
	for call in sendmsg recvmsg renameat; do
		strangle "$call" 1 recorder --switch && robot || return 1
	done
	is recorder announced && says 0 recorder --switch && robot
}
ok "killed in the switch: recorder" rekilled
ok "and the trail names one more writer, once" eval \
	'[ "$(grep -hc "is followed by writer" "$LAB"/events/*.jsonl)" = 2 ]'
masters() {
	local n
	for n in 1 2 3 4; do
		strangle renameat "$n" master || break
	done
	[ "$n" -gt 1 ] && says 0 master && factor carol &&
		strangle renameat 1 master --finish &&
		says 0 master --finish && is master idle && factor dave
}
ok "killed: master" masters
lab_summary
