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
group Developers carol
group Auditors erin
permit Developers from 203.0.113.7 to SG_Current as deploy {
	mfa never
	allow shell, exec
	approval by SysAdmins
}
permit SysAdmins, Auditors from 203.0.113.7 to SG_Current as ops { mfa never; allow exec }
audit Auditors from 203.0.113.7 { list }'
lab_up || exit 1
lab_user carol
lab_user erin
as() {
	local user=$1
	shift
	# Banners are shown from this level on.
	lab_ssh "$user" 203.0.113.7 -o LogLevel=INFO "$@" </dev/null
}
# wait_request: somebody waits; $id is its name.
wait_request() {
	wait_for eval 'as bob bob@bastion requests 2>/dev/null |
		grep -q carol' &&
		id=$(as bob bob@bastion requests | awk '/carol/ { print $1 }')
}
start() {
	"$@" </dev/null >"$LAB/out" 2>"$LAB/err" &
	client=$!
}
start as carol carol+deploy@web1@bastion 'echo REACHED as $(id -un)'
ok "an access that wants approval is a request" wait_request
ok "the user is told what it waits for" \
	grep -q 'needs an approval by SysAdmins' "$LAB/err"
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
gone() {
	! kill -0 "$client" 2>/dev/null
}
ok "and is" wait_for gone
ok "whoami" eval 'as bob bob@bastion whoami | grep -q "user *bob"'
ok "config can be used as it is" eval \
	'as bob bob@bastion config | tee "$LAB/c" | grep -q "ProxyJump sgbridge" &&
	ssh -G -F "$LAB/c" web1 | grep -q "^user ops"'
ok "an unknown command" eval '! as bob bob@bastion frobnicate >/dev/null 2>&1'
lab_summary
