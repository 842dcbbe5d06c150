#!/bin/bash
# The newcomer: follows docs/QUICKSTART.md in a Debian root of its own, by the
# lines that stand there. Installs the packages, runs `sgbridge setup` over the
# old login, confirms from the new one, makes an instance ready, goes there, is
# watched, verified and replayed, and puts everything back. Then by hand, by the
# lines of README.md.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/packages/host.sh
. tests/packages/host.sh
# shellcheck source=tests/packages/guide.sh
. tests/packages/guide.sh
host_begin "$@"
quick=docs/QUICKSTART.md
echo '203.0.113.1 bastion' >>"$R/etc/hosts"
guide_begin

find_etc() {
	(cd "$R" && find etc -path etc/ld.so.cache -prune -o \
		-type f -printf '%p %m %u %g %T@ ' -exec sha256sum {} \; |
		sort)
}
ok "install: nothing but the packages is needed" guide_lines /debs $quick install
ok "an auditor's key" guide_lines /root/desk $quick auditor
grep '^x25519 ' "$W/said" >"$W/recipient"
find_etc >"$W/before"
ok "the old login works" old_login alice id -un

answers >"$R/root/answers"
ok "a dry run shows diffs and changes nothing" eval \
	'admin_sudo sgbridge setup --answers /root/answers --dry-run >"$W/dry" &&
	grep -q "^+AuthenticationMethods publickey,keyboard" "$W/dry" &&
	grep -q "^-@include common-auth" "$W/dry" &&
	! grep -q "PRIVATE KEY" "$W/dry" && find_etc | diff "$W/before" -'
# --- nobody confirms: the guard is on its own
WITHIN=5s answers >"$R/root/answers"
ok "a setup that nobody will confirm" setup_answers
ok "is in force for now" eval '! old_login alice true 2>/dev/null'
ok "and puts itself back" eval 'wait_for old_login alice true &&
	find_etc | diff "$W/before" -'
answers >"$R/root/answers"
ok "setup, over the old login" setup_answers
sed 's/^/# /' "$W/out"
ok "it tried both doors before" eval \
	'grep -q "tried sshd: alice from 203.0.113.9 with key and code" "$W/out" &&
	grep -q "tried sshd: a key alone is refused" "$W/out" &&
	grep -q "tried proxy: alice from 203.0.113.9" "$W/out"'
ok "a key alone is refused now" eval '! old_login alice true'
ok "the old connection cannot confirm" eval \
	'! admin_sudo sgbridge setup --confirm 2>"$W/out" &&
	grep -q "older than the change" "$W/out"'
ok "it says that it waits" eval 'guide_lines / docs/RECOVERY.md status &&
	grep -q confirm "$W/said"'
guide_known_hosts
ok "a new one with key and code can" \
	guide_typed /home/alice/desk $quick confirm
ok "a second setup with the same answers has nothing to change" eval \
	'in_root sgbridge setup --answers /root/answers >"$W/out" &&
	grep -q "nothing to change" "$W/out"'

# --- an instance, by the way in that it has, and then by the one that is left
guide_instance
start_bastion
ok "from here on codes are counted" guide_counter
desk=/home/alice/desk
ok "instance: its host key is looked at" eval 'guide_lines / $quick scan &&
	grep -qF "$(instance_pin)" "$W/said"'
ok "instance: the policy is in force" guide_lines / $quick reload
ok "instance: its script" guide_lines / $quick script
ok "instance: it trusts the bastion alone, which is confirmed" \
	guide_lines $desk $quick instance
ok "instance: that counts" eval \
	'wait_for eval "! on_web1 test -e /run/sgbridge-guard" &&
	on_web1 grep -q ^ssh-ed25519 /etc/ssh/sgbridge_ca.pub &&
	! guide_at / ssh -o BatchMode=yes root@10.0.1.11 true 2>/dev/null'
ok "log in: by the name, and by a jump" eval \
	'guide_lines $desk $quick login &&
	[ "$(grep -c "^I am ops" "$W/said")" = 2 ]'
ok "log in: lines for known_hosts and config" eval \
	'guide_lines $desk $quick config && grep -q "^Host " "$W/said"'
ok "look: doctor finds no error, and all is whole" \
	guide_lines / $quick look

# --- somebody is logged on, and looked at
mkfifo "$W/hold"
guide_at $desk ssh -tt -p 30022 alice+ops@web1@bastion \
	<"$W/hold" >"$W/live" 2>&1 &
live=$!
exec 7<>"$W/hold"
echo 'echo live-$((6 * 7))' >&7
ok "watch: a session lives" wait_for grep -q live-42 "$W/live"
session=$(in_root sgbridge sessions --json | grep -oE '"id": *"[0-9a-f]{16}' |
	grep -oE '[0-9a-f]{16}' | head -n 1)
watch() {
	guide_lines / $quick watch "s/ID/$session/
		s/^sgbridge watch/timeout 240 sgbridge watch/" >"$W/watch" 2>&1
}
watch &
watcher=$!
watched() {
	echo 'echo seen-$((6 * 7))' >&7
	grep -q seen-42 "$W/said"
}
ok "watch: what it shows is seen live" wait_for watched
echo exit >&7
ok "watch: ends with the session" wait "$watcher"
exec 7>&-
wait "$live"

cp -a "$R/var/lib/sgbridge/recordings" "$R/root/desk/"
# shellcheck disable=SC2034
id=$(in_root sgbridge-audit ls -i /root/desk/auditor.key --json |
	grep -oE '[0-9a-f]{8}-[0-9a-f-]{27}' | head -n 1)
ok "list and replay, with the auditor's key" eval \
	'guide_lines /root/desk $quick replay "s/ ID/ $id/" &&
	grep -q web1 "$W/said"'
ok "what a person types" guide_lines $desk README.md types
ok "what people are told, who come from somewhere else" \
	guide_lines $desk docs/MIGRATION.md message \
	'/ssh/!d;s/.*: ssh/ssh/;s/   *[a-z].*//
	s/YOU/alice/;s/LOGIN/ops/;s/INSTANCE/web1/'
stop_bastion

# --- and back
ok "undo refuses while a file of setup's was changed since" eval \
	'echo "# mine" >>"$R/etc/pam.d/sshd" &&
	! in_root sgbridge setup --undo 2>"$W/out" &&
	grep -q "etc/pam.d/sshd was changed since" "$W/out" &&
	sed -i "\$d" "$R/etc/pam.d/sshd"'
ok "undo" guide_lines / docs/RECOVERY.md undo
ok "every file of /etc is as it was, with mode, owner and time" eval \
	'find_etc | diff "$W/before" -'
ok "the keys are kept aside" eval \
	'ls "$R"/var/lib/sgbridge/setup/*/saved/*-master.key'
ok "recordings stay" eval 'ls "$R"/var/lib/sgbridge/recordings/*/*/*/*.sgr ||
	find "$R/var/lib/sgbridge/recordings" -name "*.sgr" | grep -q .'
ok "the old login works again" old_login alice id -un

# --- the same by hand
mkdir "$R/root/src"
cp -a conf "$R/root/src/"
hand() {
	guide_lines /root/src README.md "$1"
}
ok "by hand: settings" hand settings
ok "by hand: questions" hand ask
rm -f "$R/root/src/auditor.key"
ok "by hand: keys" hand keys
ok "by hand: an auditor's key" hand auditor
grep '^x25519 ' "$W/said" >"$R/etc/sgbridge/recipients"
start_bastion
ok "by hand: the bastion runs" in_root sgbridge status
stop_bastion
kill "$WEB1"
host_end
