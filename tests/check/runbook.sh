#!/bin/bash
# The command blocks of docs/ADMIN.md that are marked "run:" are run as they
# stand there (but for places), in the laboratory, with logins before, between
# and after: keys rotate without a break.
set -u
cd "$(dirname "$0")/../.." || exit 1
BUILD=${1:-build}
[ "$(id -u)" = 0 ] || {
	echo "needs root, for network namespaces"
	exit 77
}
# shellcheck source=tests/e2e/lab.sh
. tests/e2e/lab.sh
# Instances have a file of trusted CAs of their own.
eval "$(declare -f lab_instance | sed 's,/user_ca\.pub,/instance_ca.pub,')"
# The keys are made by the guide's own commands.
lab_keys() {
	run_block keys >/dev/null || echo "lab: keys failed" >&2
	cp "$LAB/user_ca.pub" "$LAB/instance_ca.pub"
	ssh-keygen -q -t ed25519 -N '' -C stranger -f "$LAB/users/stranger"
	"$BUILD/sgbridge-audit" keygen -o "$LAB/auditor.key" 2>/dev/null |
		grep '^x25519 ' >"$LAB/recipients"
}
# What instance-setup would put on web1.
instances() {
	"$BUILD/sgbridge" instance-setup -c "$LAB/sgbridge.conf" web1 \
		--dry-run | sed -n '/sgbridge_ca.pub <==/,/^==> .*sshd/p' |
		grep '^ssh-ed25519' >"$LAB/instance_ca.pub"
}
block() {
	awk -v mark="<!-- run: $1 -->" '
		$0 == mark { on = 1; next }
		on && /^    / { seen = 1; print; next }
		on && seen { exit }' docs/ADMIN.md
}
run_block() {
	local text
	text=$(block "$1" | sed "s,/etc/sgbridge/ssh_host_ed25519_key,$LAB/host_key,g
		s,/etc/sgbridge/,$LAB/,g
		s,/var/lib/sgbridge/recordings,$LAB/recordings,
		s,archive:/recordings/,$LAB/archive/,
		s,^ *sgbridge-otp,$BUILD/sgbridge-otp -c $LAB/sgbridge.conf,
		s,^ *sgbridge rotate,$BUILD/sgbridge rotate -c $LAB/sgbridge.conf,
		s,^ *sgbridge-audit,$BUILD/sgbridge-audit,")
	[ -n "$text" ] || return 1
	bash -eo pipefail -c "$text" >/dev/null
}
# Quick in and out, by key alone: what is rotated decides about it.
robot() {
	[ "$(lab_ssh robot 203.0.113.7 robot+ops@web1@bastion 'id -un' \
		</dev/null 2>"$LAB/err")" = ops ] || {
		sed 's/^/# /' "$LAB/err"
		return 1
	}
}
alice() {
	[ "$(lab_ssh alice 203.0.113.9 alice+ops@web1@bastion 'id -un' \
		</dev/null 2>"$LAB/err")" = ops ]
}
bob() {
	[ "$(lab_ssh bob 203.0.113.9 bob+ops@web1@bastion 'id -un' \
		</dev/null 2>"$LAB/err")" = ops ]
}
lab_up || exit 1
ok "the guide's keys make a bastion that lets people in" alice

# --- a session that lives through it all
mkfifo "$LAB/hold"
lab_start "$LAB/live.out" bash -c "
	. tests/e2e/lab.sh; lab_tag=$lab_tag LAB=$LAB
	lab_ssh robot 203.0.113.7 robot+ops@web1@bastion \
		'echo ready; cat; echo ended' <'$LAB/hold'"
exec 7>"$LAB/hold"
wait_for grep -q ready "$LAB/live.out"

ok "CA: a new key beside the old one" run_block ca-new
instances
ok "CA: people get in while both are trusted" robot
ok "CA: the bastion signs with the new one" run_block ca-switch
ok "CA: people get in during the overlap" robot
ok "CA: the old one goes" run_block ca-end
instances
ok "CA: instances trust one key, the new one" eval \
	'[ "$(cat "$LAB/instance_ca.pub")" = \
	"$(cut -d" " -f1,2 "$LAB/user_ca.pub")" ]'
ok "CA: people get in with the new one alone" robot

ok "host key: a new one" run_block host-new
known() {
	printf '%s %s\n' "[203.0.113.1]:30022" \
		"$(cut -d' ' -f1,2 "$LAB/host_key.new.pub")" \
		>>"$LAB/known_hosts"
}
ok "host key: clients know both" known
ok "host key: people get in before the change" robot
ok "host key: the change" run_block host-switch
ok "host key: people get in after the change" robot
ok "host key: the end" run_block host-end
forget() {
	printf '%s %s\n' "[203.0.113.1]:30022" \
		"$(cut -d' ' -f1,2 "$LAB/host_key.pub")" >"$LAB/known_hosts"
}
ok "host key: clients forget the old one" forget
ok "host key: the new one alone is shown" robot

cp "$LAB/master.key" "$LAB/master.before"
ok "master key: rotated" run_block master
ok "master key: it is another one" eval \
	'! cmp -s "$LAB/master.before" "$LAB/master.key"'
ok "master key: one-time codes are still known" bob

cp "$LAB/recorder_key" "$LAB/recorder.before"
ok "recorder's key: a new one" run_block recorder-new
ok "recorder's key: the change" run_block recorder-switch
ok "recorder's key: it is another one" eval \
	'! cmp -s "$LAB/recorder.before" "$LAB/recorder_key"'
ok "recorder's key: people get in" robot

# --- what is finished goes to the archive, what still grows stays, however
# long it was silent
sgr() {
	(cd "$1" && find . -name '*.sgr' -perm "$2" -printf '%P\n' | sort)
}
finished() {
	sgr "$LAB/recordings" 0600 >"$LAB/growing"
	sgr "$LAB/recordings" 0440 >"$LAB/finished"
	[ "$(wc -l <"$LAB/growing")" = 1 ] && [ -s "$LAB/finished" ]
}
ok "disk: one recording grows, the others are finished" wait_for finished
find "$LAB/recordings" -name '*.sgr' -exec touch -d '30 days ago' {} +
mkdir "$LAB/archive"
ok "disk: the guide's lines" run_block disk
ok "disk: all that is finished is in the archive" eval \
	'sgr "$LAB/archive" 0440 | diff - "$LAB/finished"'
ok "disk: what grows is where it was, and nothing else" eval \
	'sgr "$LAB/recordings" -0400 | diff - "$LAB/growing"'
ok "disk: nothing of what grows was copied" eval \
	'! sgr "$LAB/archive" -0400 | grep -qxf "$LAB/growing"'
cp -a "$LAB/archive/." "$LAB/recordings"

ok "the live session went on all the while" eval \
	'echo more >&7 && wait_for grep -q more "$LAB/live.out"'
exec 7>&-
ok "and ends well" wait_for grep -q ended "$LAB/live.out"

verified() {
	"$BUILD/sgbridge-audit" verify -c "$LAB/sgbridge.conf" \
		>"$LAB/out" 2>&1 || {
		tail -n 5 "$LAB/out" | sed 's/^/# /'
		return 1
	}
}
ok "recorder's key: old and new recordings verify" wait_for verified
lab_summary
