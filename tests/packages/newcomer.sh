#!/bin/bash
# The newcomer: installs the packages in a Debian root of its own, runs `sgbridge
# setup` over the old login, confirms from the new one, goes to an instance,
# is listed, verified and replayed, and puts everything back.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/packages/host.sh
. tests/packages/host.sh
host_begin "$@"

find_etc() {
	(cd "$R" && find etc -path etc/ld.so.cache -prune -o \
		-type f -printf '%p %m %u %g %T@ ' -exec sha256sum {} \; |
		sort)
}
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
ok "a new one with key and code can" new_login -30 sudo sgbridge setup --confirm
ok "a second setup with the same answers has nothing to change" eval \
	'in_root sgbridge setup --answers /root/answers >"$W/out" &&
	grep -q "nothing to change" "$W/out"'

# --- the proxy, to an instance that instance-setup has made ready
start_instance
start_bastion
ok "doctor finds no error" eval \
	'in_root sgbridge doctor --json >"$W/out"; [ $? -le 1 ]'
ok "through the proxy to an instance" eval \
	'[ "$(proxy_login 0 alice+ops@web1 id -un)" = ops ]'
ok "watch: the list of sessions answers" in_root sgbridge sessions
ok "verify: recordings and trail are whole" in_root sgbridge-audit verify
ok "list and replay, with the auditor's key" eval \
	'in_root sgbridge-audit ls -i /root/auditor.key | grep -q web1 &&
	id=$(in_root sgbridge-audit ls -i /root/auditor.key --json |
	grep -oE "[0-9a-f]{8}-[0-9a-f-]{27}" | head -n 1) &&
	in_root sgbridge-audit text -i /root/auditor.key "$id"'
stop_bastion

# --- and back
ok "undo refuses while a file of setup's was changed since" eval \
	'echo "# mine" >>"$R/etc/pam.d/sshd" &&
	! in_root sgbridge setup --undo 2>"$W/out" &&
	grep -q "etc/pam.d/sshd was changed since" "$W/out" &&
	sed -i "\$d" "$R/etc/pam.d/sshd"'
ok "undo" in_root sgbridge setup --undo
ok "every file of /etc is as it was, with mode, owner and time" eval \
	'find_etc | diff "$W/before" -'
ok "the keys are kept aside" eval \
	'ls "$R"/var/lib/sgbridge/setup/*/saved/*-master.key'
ok "recordings stay" eval 'ls "$R"/var/lib/sgbridge/recordings/*/*/*/*.sgr ||
	find "$R/var/lib/sgbridge/recordings" -name "*.sgr" | grep -q .'
ok "the old login works again" old_login alice id -un
host_end
