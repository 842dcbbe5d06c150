#!/bin/bash
# Four eyes: an access that wants an approval waits with a notice, through
# both doors; only somebody else of the named group lets it begin. And what
# people see and end of their own.
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=${1:-build}
# shellcheck source=tests/e2e/lab.sh
. "$here/lab.sh"
export LAB_CONF_EXTRA='approval-timeout 20s' LAB_POLICY_EXTRA='
group Developers carol, bin
group Auditors erin
permit Developers from 203.0.113.7 to SG_Current as deploy {
	mfa never
	allow shell, exec
	approval by SysAdmins
}
permit Developers from 203.0.113.7 to SG_Current as ops {
	mfa never
	allow exec
	approval by SysAdmins for 1h
}
group Console daemon
permit Developers from 203.0.113.7 to SG_Current as console {
	mfa never
	allow exec
	approval by Console
}
security-group SG_Desktop {
	instance win1 10.0.2.22 { port 3389 }
	accept tcp 3389-3390 from SG_Bridge priority 1
}
permit Developers from 203.0.113.7 to SG_Desktop port 3389, 3390 {
	mfa never
	allow forward
	approval by SysAdmins
}
security-group SG_Held {
	instance win2 10.0.2.23 { port 3389 }
	accept tcp 3389-3390 from SG_Bridge priority 1
}
permit Developers from 203.0.113.7 to SG_Held port 3389, 3390 {
	mfa never
	allow forward
	approval by SysAdmins for 1h
}
security-group SG_Floor {
	subnet 10.0.9.0/24
	accept tcp 22, 3389 from SG_Bridge priority 1
}
permit Developers from 203.0.113.7 to SG_Floor as ops {
	mfa never
	allow exec
	approval by SysAdmins for 1h
}
permit Developers from 203.0.113.7 to SG_Floor port 3389 {
	mfa never
	allow forward
	approval by SysAdmins
}
permit SysAdmins, Auditors from 203.0.113.7 to SG_Current as ops { mfa never; allow exec }
audit Auditors from 203.0.113.7 { list }'
lab_up || exit 1
lab_user carol
lab_user bin
lab_user erin
as() {
	local user=$1
	shift
	# Banners are shown from this level on.
	lab_ssh "$user" 203.0.113.7 -o LogLevel=INFO "$@" </dev/null
}
as_piped() {
	lab_ssh "$1" 203.0.113.7 "${@:2}"
}
# A recording of a forward that names who approved it.
find_approver() {
	find "$LAB/recordings" -name '*.sgr' -mmin -1 | while read -r file; do
		"$BUILD/sgbridge-audit" show -c "$LAB/sgbridge.conf" \
			--journal "$LAB/views" -i "$LAB/auditor.key" "$file"
	done 2>/dev/null | tr -d ' \n' |
		grep -q 'approved_by"bob"target"win1"'
}
# wait_request: somebody waits; $id is its name.
wait_request() {
	wait_for eval 'as bob bob@bastion requests 2>/dev/null |
		grep -q carol' &&
		id=$(as bob bob@bastion requests | awk '/carol/ { print $1 }')
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
start as carol carol+deploy@web1@bastion 'echo REACHED as $(id -un)'
ok "an access that wants approval is a request" wait_request
ok "the user is told what it waits for" \
	grep -q 'needs an approval by SysAdmins' "$LAB/err"
sgb() {
	in_ns bastion "$BUILD/sgbridge" "$@" -c "$LAB/sgbridge.conf"
}
# What the console's list says of the request $id, as JSON.
listed() {
	[ "$(sgb requests --json | jq ".requests[] |
		select(.id == \"$id\") | $1")" = true ]
}
ok "the console lists it as well" eval 'sgb requests | grep -qE \
	"^$id .* waits +carol +203.0.113.7 +deploy@web1:22 +SysAdmins"'
ok "as JSON, with the time it has" listed '.state == "waits" and
	.user == "carol" and .access == "deploy@web1:22" and
	.approval == "SysAdmins" and .source == "203.0.113.7" and
	.until - .since > 0'
ok "as approvers see it by ssh" eval 'as bob bob@bastion requests --json |
	jq -r ".[] | select(.state == \"waits\").id" | grep -qx "$id"'
ok "and has not reached the target" eval '! grep -q REACHED "$LAB/out"'
ok "nobody approves his own access" \
	eval '! as carol carol@bastion approve "$id" 2>/dev/null'
ok "nor does somebody of no such group" \
	eval '! as erin erin@bastion approve "$id" 2>/dev/null'
ok "it still waits" eval '! grep -q REACHED "$LAB/out"'
ok "one of the group approves" \
	eval 'as bob bob@bastion approve "$id" | grep -q approved'
wait "$client"
ok "and it begins" grep -q 'REACHED as deploy' "$LAB/out"
ok "the approver is in the trail" \
	grep -q 'approved by bob' "$LAB"/events/*.jsonl
# shellcheck disable=SC2034
file=$(find "$LAB/recordings" -name '*.sgr' -printf '%T@ %p\n' | sort -n |
	tail -n1 | cut -d' ' -f2-)
# shellcheck disable=SC2034
ok "and in the recording" eval '"$BUILD/sgbridge-audit" show \
	-c "$LAB/sgbridge.conf" --journal "$LAB/views" \
	-i "$LAB/auditor.key" --json "$file" | grep -q "approved_by.*bob"'

start as carol carol+deploy@web1@bastion 'echo REACHED'
wait_request
ok "one of the group denies" eval 'as bob bob@bastion deny "$id" >/dev/null'
wait "$client"
ok "and the user is told" grep -q 'not approved' "$LAB/err"
ok "and it never began" eval '! grep -q REACHED "$LAB/out"'

cat "$LAB/ssh_config" - >"$LAB/ssh_jump" <<-END
	  User carol
	  IdentityFile $LAB/users/carol
	  BindAddress 203.0.113.7
	Host web1
	  ProxyJump carol@bastion
END
start in_ns client timeout 60 ssh -F "$LAB/ssh_jump" deploy@web1 \
	'echo REACHED as $(id -un)'
ok "through ProxyJump it waits too" wait_request
as bob bob@bastion approve "$id" >/dev/null
wait "$client"
ok "and begins when approved" grep -q 'REACHED as deploy' "$LAB/out" ||
	sed 's/^/# /' "$LAB/err" "$LAB/out"
late() {
	as carol carol+deploy@web1@bastion 'echo REACHED' >"$LAB/out" \
		2>"$LAB/err" && return 1
	grep -q 'in time' "$LAB/err" && ! grep -q REACHED "$LAB/out"
}
ok "nobody answers: refused in time" late

# --- asked for ahead
# field NAME: of the first request, from the console's list
field() {
	sgb requests --json | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"
}
ok "explain says that it wants an approval" eval \
	'as carol carol@bastion explain ops@web1 | grep -q "approval *by SysAdmins"'
ok "what needs none need not be asked for" eval \
	'! as bob bob@bastion request ops@web1 please >"$LAB/out" 2>&1 &&
	grep -q "no approval is needed" "$LAB/out"'
ok "what no rule provides for cannot be asked for" eval \
	'! as carol carol@bastion request root@web1 please >"$LAB/out" 2>&1 &&
	grep -q "no rule provides" "$LAB/out"'
ok "a request wants a reason" eval \
	'! as carol carol@bastion request ops@web1 >/dev/null 2>&1'
ok "and a plain one" eval '! as carol carol@bastion \
	"request ops@web1 $(printf "\\033]0;owned\\007")" >/dev/null 2>&1'
ok "asked for" eval 'as carol carol@bastion request ops@web1 \
	"disk full; ticket 42" | grep -q "ops@web1:22 asked for"'
ok "the approver reads the reason" eval 'as bob bob@bastion requests |
	grep -q "carol.*asked *ops@web1:22  disk full; ticket 42"'
ok "others do not" eval '! as erin erin@bastion requests | grep -q carol'
id=$(as carol carol@bastion requests --json |
	sed -n 's/.*"id":"\([^"]*\)".*/\1/p')
ok "nobody approves his own request" \
	eval '! as carol carol@bastion approve "$id" 2>/dev/null'
ok "nor does a stranger" \
	eval '! as erin erin@bastion approve "$id" >/dev/null 2>&1'
ok "who is not of the group cannot deny it either" \
	eval '! as erin erin@bastion deny "$id" >/dev/null 2>&1'
ok "one of the group approves ahead" eval \
	'as bob bob@bastion approve "$id" go ahead | grep -q approved'
ok "and once is enough" eval '! as bob bob@bastion approve "$id" 2>/dev/null'
for door in carol+ops@web1@bastion 'ops@web1'; do
	ok "then it begins at once: $door" eval 'timeout 30 ip netns exec \
		"$lab_tag-client" ssh -F "$LAB/ssh_jump" -i "$LAB/users/carol" \
		-o BindAddress=203.0.113.7 "$door" "echo REACHED" \
		</dev/null >"$LAB/out" 2>"$LAB/err"; grep -q REACHED "$LAB/out"'
done
ok "the trail joins them" grep -q "request $id: disk full; ticket 42" \
	"$LAB"/events/*.jsonl
start as carol carol+deploy@web1@bastion 'echo REACHED'
ok "another login is another access" wait_request
as bob bob@bastion deny "$id" >/dev/null
wait "$client"
start as carol carol+ops@web1@bastion 'echo there; exec sleep 60'
wait_for grep -q there "$LAB/out"
id=$(as carol carol@bastion requests --json |
	sed -n 's/.*"id":"\([^"]*\)".*"state":"granted".*/\1/p')
ok "a yes can be taken back" \
	eval 'as bob bob@bastion deny "$id" changed my mind >/dev/null'
ok "and ends what it let in" eval 'wait_for gone'
ok "with the reason" grep -q 'taken back' "$LAB/err"
ok "its state can be read" eval 'sgb requests | grep "ops@web1:22" |
	grep -q "denied.*bob"'
start as carol carol+ops@web1@bastion 'echo REACHED'
ok "then it waits again" wait_request
ok "a yes while it waits holds for the rule's time" eval '
	as bob bob@bastion approve "$id" >/dev/null
	wait "$client"
	grep -q REACHED "$LAB/out" &&
	as carol carol+ops@web1@bastion "echo again" | grep -q again'

# --- forwards wait as well
in_ns db1 ip address add 10.0.2.22/24 dev d0
in_ns db1 ip address add 10.0.2.23/24 dev d0
lab_start "$LAB/desktop.log" ip netns exec "$lab_tag-db1" python3 -c '
import socket, threading
s = socket.socket(); s.bind(("0.0.0.0", 3389)); s.listen(8)
def serve(c):
    while True:
        part = c.recv(4096)
        if not part: break
        c.sendall(part.upper())
    c.close()
while True:
    threading.Thread(target=serve, args=(s.accept()[0],)).start()'
wait_for lab_port_open 10.0.2.22 3389
carol_forward() {
	as carol -N -L 127.0.0.1:7389:win1:3389 -L 127.0.0.1:7390:win1:3390 \
		carol@bastion
}
# through PORT: a word there and back.
through() {
	in_ns client timeout 20 bash -c "exec 3<>/dev/tcp/127.0.0.1/$1 &&
		echo hello >&3 && read -r line <&3 && echo \"\$line\""
}
# The next request of this connection has another name.
next_request() {
	first=$id
	wait_request && [ "$id" != "$first" ]
}
start carol_forward
wait_for in_ns client bash -c 'exec 3<>/dev/tcp/127.0.0.1/7389'
# That was a forward, and it waits.
ok "a forward is a request" wait_request
ok "which says where to" eval \
	'as bob bob@bastion requests | grep -q "carol.*forward win1:3389"'
ok "nobody approves his own forward" \
	eval '! as carol carol@bastion approve "$id" 2>/dev/null'
through 7389 >"$LAB/word" 2>&1 &
# shellcheck disable=SC2034
word=$!
ok "one of the group lets it pass" eval \
	'as bob bob@bastion approve "$id" >/dev/null && wait "$word" &&
	grep -q HELLO "$LAB/word"'
ok "and the next one there" eval 'through 7389 | grep -q HELLO'
ok "the approver is in its recording" eval 'wait_for find_approver'
through 7390 >"$LAB/word" 2>&1 &
# shellcheck disable=SC2034
word=$!
ok "another place is another request" next_request
ok "which the first one's name does not judge" eval \
	'! as bob bob@bastion approve "$first" >/dev/null 2>&1 &&
	! as bob bob@bastion deny "$first" >/dev/null 2>&1 &&
	as bob bob@bastion requests | grep -q "^$id .*forward win1:3390"'
ok "a no refuses it" eval 'as bob bob@bastion deny "$id" >/dev/null
	wait "$word"; ! grep -q HELLO "$LAB/word"'
ok "and the connection goes on" eval 'through 7389 | grep -q HELLO'
as carol -W win1:3389 carol@bastion >"$LAB/out" 2>"$LAB/late" &
# shellcheck disable=SC2034
late=$!
ok "asked for ahead" eval 'as carol carol@bastion request win1:3389 \
	"the desktop" >"$LAB/out2" && grep -q "forward win1:3389 asked" "$LAB/out2"'
ok "nobody says anything: refused in time" eval \
	'! wait "$late" && grep -q "denied" "$LAB/late"'
id=$(sed -n 's/.*approve //p' "$LAB/out2")
ok "granted ahead" eval 'as bob bob@bastion approve "$id" >/dev/null'
ok "then it passes at once" eval \
	'echo ahead | as_piped carol -W win1:3389 carol@bastion | grep -q AHEAD'
kill "$client"
wait "$client" 2>/dev/null
held() {
	as carol -N -L 127.0.0.1:7391:win2:3389 -L 127.0.0.1:7392:win2:3390 \
		carol@bastion
}
# pass PORT: asks for a forward, and somebody lets it pass.
pass() {
	through "$1" >/dev/null 2>&1 &
	wait_request && as bob bob@bastion approve "$id" >/dev/null
}
granted() {
	sgb requests --json | tr '{' '\n' | sed -n \
		"s/.*\"id\":\"\([^\"]*\)\".*\"access\":\"forward win2:$1\",\"state\":\"granted\".*/\1/p"
}
is_granted() {
	[ -n "$(granted "$1")" ]
}
start held
wait_for in_ns client bash -c 'exec 3<>/dev/tcp/127.0.0.1/7391'
ok "two forwards of one connection, for a time" eval 'wait_request &&
	as bob bob@bastion approve "$id" >/dev/null && pass 7392 &&
	wait_for is_granted 3390'
# shellcheck disable=SC2034
id=$(granted 3389)
ok "the first yes can be taken back" \
	eval 'as bob bob@bastion deny "$id" >/dev/null'
ok "and ends them" eval 'wait_for gone && grep -q "taken back" "$LAB/err"'

# --- the policy is read anew while a request is filed
queued() {
	[ "$(in_ns bastion ss -xlH src "$LAB/control" | awk '{ print $3 }')" -ge 1 ]
}
in_ns client timeout 60 ssh -F "$LAB/ssh_config" -i "$LAB/users/carol" \
	-o BindAddress=203.0.113.7 -o ControlPath="$LAB/mux" -M -N \
	carol@bastion </dev/null >/dev/null 2>&1 &
master=$!
wait_for test -S "$LAB/mux"
kill -STOP "$LAB_BASTION"
sgb reload >/dev/null 2>&1 &
# shellcheck disable=SC2034
reload=$!
wait_for queued
as carol -o ControlPath="$LAB/mux" carol@bastion request \
	console@web1 'in between' >"$LAB/out2" 2>&1 &
# shellcheck disable=SC2034
asking=$!
wait_for grep -q 'in between' "$LAB"/events/*.jsonl
kill -CONT "$LAB_BASTION"
ok "a reload meanwhile does no harm" eval 'wait "$asking" && wait "$reload" &&
	grep -q "console@web1:22 asked for; one of Console can say" "$LAB/out2"'
kill "$master"
wait "$master" 2>/dev/null

# --- the hosts of a subnet are as many accesses
ask_for() {
	as carol carol@bastion request "$1" 'the floor' >"$LAB/out2" 2>&1 &&
		grep -qF "$2 asked for" "$LAB/out2"
}
ok "a host of a subnet is asked for by its address" \
	ask_for ops@10.0.9.5 'ops@10.0.9.5:22'
id=$(sed -n 's/.*approve //p' "$LAB/out2")
ok "a yes for it" eval 'as bob bob@bastion approve "$id" >/dev/null'
ok "is none for its neighbour" ask_for ops@10.0.9.6 'ops@10.0.9.6:22'
ok "so it is with forwards" \
	ask_for 10.0.9.6:3389 'forward 10.0.9.6:3389'

# --- at the console: the person is who logged on, not root
console() {
	in_ns bastion bash -c 'echo "$1" >/proc/self/loginuid && shift &&
		exec "$@"' bash "$1" "$BUILD/sgbridge" "${@:2}" \
		-c "$LAB/sgbridge.conf"
}
as carol carol@bastion request console@web1 'the other way' >/dev/null
id=$(sgb requests --json | sed -n \
	's/.*"id":"\([^"]*\)","user":"carol","access":"console@web1.*/\1/p')
ok "root as such is nobody" eval '! sgb approve "$id" >"$LAB/out" 2>&1 &&
	grep -q "who judges" "$LAB/out"'
if (echo 1 >/proc/self/loginuid) 2>/dev/null; then
	ok "a person of no such group is refused at once" eval '! console 2 \
		approve "$id" >"$LAB/out" 2>&1 && grep -q "not of the group" \
		"$LAB/out"'
	ok "his no counts as little" \
		eval '! console 2 deny "$id" >/dev/null 2>&1'
	ok "and nothing was kept of it" eval 'sgb requests --json | grep -q \
		"\"id\":\"$id\".*\"state\":\"asked\""'
	start as carol carol+console@web1@bastion 'echo REACHED'
	ok "who wants in waits" eval 'wait_for grep -q "needs an approval" \
		"$LAB/err" && ! grep -q REACHED "$LAB/out"'
	id=$(sgb requests --json |
		jq -r '.requests[] | select(.state == "waits") | .id')
	ok "one of the group lets it in" eval \
		'console 1 approve "$id" | grep -q approved'
	wait "$client"
	ok "as the trail says" eval 'grep -q "approved by daemon" \
		"$LAB"/events/*.jsonl'
	start as bin bin+console@web1@bastion 'echo REACHED'
	wait_for grep -q "needs an approval" "$LAB/err"
	id=$(sgb requests --json |
		jq -r '.requests[] | select(.state == "waits") | .id')
	for word in approve deny; do
		ok "at the console, too, nobody judges his own: $word" eval '
			! console 2 $word "$id" >"$LAB/out2" 2>&1 &&
			grep -q "your own" "$LAB/out2" && listed true'
	done
	ok "one of the group refuses it there" eval \
		'console 1 deny "$id" not now | grep -q denied && wait_for gone &&
		grep -q "not approved" "$LAB/err"'
	ok "and it is off the list" eval '! listed true'
else
	echo "# no loginuid can be set here"
fi

# --- one's own sessions
start as bob bob+ops@web1@bastion 'echo there; exec sleep 30'
wait_for grep -q there "$LAB/out"
ok "sessions shows one's own" \
	eval 'as bob bob@bastion sessions | grep -q "bob.*ops@web1"'
ok "not another's" eval '! as carol carol@bastion sessions | grep -q web1'
ok "an auditor sees all" \
	eval 'as erin erin@bastion sessions | grep -q "bob.*ops@web1"'
id=$(as bob bob@bastion sessions | awk '/ops@web1/ { print $1 }')
ok "nobody ends another's" \
	eval '! as carol carol@bastion end "$id" >/dev/null 2>&1'
ok "one's own can be ended" eval 'as bob bob@bastion end "$id" >/dev/null'
ok "and is" wait_for gone
ok "answers are JSON where a program asks" eval 'for c in hosts whoami \
	sessions requests "explain --json ops@web1"; do
	case $c in *" "*) ;; *) c="$c --json" ;; esac
	as bob bob@bastion "$c" | python3 -m json.tool >/dev/null || exit 1
	done'
ok "explain denies what the rules do not provide for" eval \
	'! as bob bob@bastion explain root@web1 | grep -qv "^deny: "'
ok "whoami" eval 'as bob bob@bastion whoami | grep -q "user *bob"'
ok "config can be used as it is" eval \
	'as bob bob@bastion config | tee "$LAB/c" | grep -q "ProxyJump sgbridge" &&
	ssh -G -F "$LAB/c" web1 | grep -q "^user ops"'
ok "an unknown command" eval '! as bob bob@bastion frobnicate >/dev/null 2>&1'
lab_summary
