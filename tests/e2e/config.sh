#!/bin/bash
# Bad input and changes of mind: each mistake is one clear line with its place
# and what to do, and nothing is half-started; a reload takes all or nothing,
# and what it no longer permits ends.
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=${1:-build}
# shellcheck source=tests/e2e/lab.sh
. "$here/lab.sh"
lab_up || exit 1
conf=$LAB/sgbridge.conf

# complains STATUS PATTERN COMMAND...: fails with this status, says this, and
# leaves no process behind.
complains() {
	local want=$1 pattern=$2 status
	shift 2
	timeout 20 "$@" >"$LAB/out" 2>&1 </dev/null
	status=$?
	if [ "$status" -ne "$want" ] || ! grep -qE "$pattern" "$LAB/out"; then
		echo "# status $status, wanted $want and /$pattern/:"
		sed 's/^/# /' "$LAB/out" | head -8
		return 1
	fi
}
# with COPY SCRIPT: a copy of the settings, changed by a sed script.
with() {
	sed "$2" "$conf" >"$1"
}
daemon_complains() {
	complains "$1" "$2" ip netns exec "$lab_tag-bastion" \
		"$BUILD/sgbridged" -e -c "$3"
}
recorder_complains() {
	complains "$1" "$2" ip netns exec "$lab_tag-bastion" \
		"$BUILD/sgbridge-recorder" -e -c "$3"
}

ok "the lab's settings are good" \
	complains 0 'are good' "$BUILD/sgbridged" -t -c "$conf"
ok "no settings" complains 78 'none.conf: No such file' \
	"$BUILD/sgbridged" -t -c "$LAB/none.conf"
with "$LAB/c1" 's/^listen/lisen/'
ok "an unknown setting, with its place and the nearest word" \
	complains 78 'c1:1:1: .*did you mean|c1:1:1' "$BUILD/sgbridged" -t \
	-c "$LAB/c1"
ok "and the nearest word" grep -q 'did you mean "listen"' "$LAB/out"
with "$LAB/c2" 's/^audit .*/audit maybe\nmax-sessions lots/'
ok "two mistakes in one run" complains 78 'max-sessions' \
	"$BUILD/sgbridged" -t -c "$LAB/c2"
ok "the other one" grep -q '"audit" takes off, try or required' "$LAB/out"
with "$LAB/c3" ''
chmod 666 "$LAB/c3"
ok "settings that others may write" complains 78 'chmod go-w' \
	"$BUILD/sgbridged" -t -c "$LAB/c3"
ln -s "$conf" "$LAB/c4"
ok "settings that are a symbolic link" complains 78 'symbolic link' \
	"$BUILD/sgbridged" -t -c "$LAB/c4"
with "$LAB/c5" "s,^user-ca .*,user-ca $LAB/nothing,"
ok "no CA key" complains 78 'nothing: No such file' \
	"$BUILD/sgbridged" -t -c "$LAB/c5"
cp "$LAB/host_key" "$LAB/open_key"
chmod 644 "$LAB/open_key"
with "$LAB/c6" "s,^host-key .*,host-key $LAB/open_key,"
ok "a host key that others may read" complains 78 'chmod 0400' \
	"$BUILD/sgbridged" -t -c "$LAB/c6"
with "$LAB/c7" 's/^session-user .*/session-user root/'
ok "a session user that is root" complains 78 'other than root' \
	"$BUILD/sgbridged" -t -c "$LAB/c7"
with "$LAB/c8" 's/^policy .*/policy \/none\/policy.conf/'
with "$LAB/c14" 's/^host-key .*/host-key ""/'
ok "no host key" complains 78 'host-key: at least one' \
	"$BUILD/sgbridged" -t -c "$LAB/c14"
# Else a restart would be the end of the daemon that listens.
with "$LAB/c15" 's/^listen .*/listen nowhere 192.0.2.1:0/'
ok "addresses to listen on that are none" \
	complains 78 'listen "192.0.2.1:0": expected' "$BUILD/sgbridged" -t \
	-c "$LAB/c15"
ok "each of them" grep -q 'listen "nowhere": expected address:port' "$LAB/out"
with "$LAB/c15" 's/^listen .*/listen '"$(printf '127.0.0.1:%s ' {1..17})/"
ok "and too many" complains 78 'listen: at most 16' "$BUILD/sgbridged" -t \
	-c "$LAB/c15"
ok "no policy" complains 78 'policy.conf' "$BUILD/sgbridged" -t -c "$LAB/c8"
sed 's/^permit SysAdmins from office/permit SysAdmins from ofice/' \
	"$LAB/policy.conf" >"$LAB/p9"
with "$LAB/c9" "s,^policy .*,policy $LAB/p9,"
ok "a mistake in the policy, with its place" \
	complains 78 'p9:[0-9]+:[0-9]+:.*ofice' "$BUILD/sgbridged" -t \
	-c "$LAB/c9"
ok "a busy port" daemon_complains 71 'another program has this port' "$conf"
with "$LAB/c10" 's/^listen .*/listen 203.0.113.1:30099/
s,^recorder-socket .*,recorder-socket /none/recorder,'
ok "no recorder: the bastion does not start" \
	daemon_complains 69 'start sgbridge-recorder first' "$LAB/c10"
with "$LAB/c11" 's/^listen .*/listen 203.0.113.1:30099/'
ok "a second daemon" daemon_complains 69 'another sgbridged is running' "$LAB/c11"
with "$LAB/c12" "s,^recipients .*,recipients $LAB/empty.recipients,
s,^recorder-socket .*,recorder-socket $LAB/r2,"
: >"$LAB/empty.recipients"
ok "no recipient: the recorder does not start" \
	recorder_complains 78 'empty.recipients' "$LAB/c12"
ok "and made no socket" test ! -e "$LAB/r2"
with "$LAB/c13" "s,^signing-key .*,signing-key $LAB/no.key,
s,^recorder-socket .*,recorder-socket $LAB/r2,"
ok "no signing key" recorder_complains 66 'no.key' "$LAB/c13"
ok "a second recorder" recorder_complains 69 'recorder' "$conf"

# --- reload
robot() {
	lab_ssh robot 203.0.113.7 "$@"
}
reload() {
	"$BUILD/sgbridge" reload -c "$conf" >"$LAB/out" 2>&1
}
sessions() {
	"$BUILD/sgbridge" sessions --json -c "$conf"
}
cp "$LAB/policy.conf" "$LAB/policy.good"
echo 'permit nonsense' >>"$LAB/policy.conf"
ok "a broken policy is refused on reload" eval '! reload'
still() {
	robot robot+ops@web1@bastion true </dev/null 2>"$LAB/err"
}
ok "and the old one stays in force" still
cp "$LAB/policy.good" "$LAB/policy.conf"
mkfifo "$LAB/in"
robot robot+ops@web1@bastion 'echo there; cat' <"$LAB/in" >"$LAB/out.s" \
	2>"$LAB/err.s" &
client=$!
exec 7>"$LAB/in"
wait_for grep -q there "$LAB/out.s"
ok "sessions shows it" eval 'sessions | grep -q "\"robot\""'
echo 'deny robot from any to any' >>"$LAB/policy.conf"
ok "a good policy is taken" reload
gone() {
	! kill -0 "$client" 2>/dev/null
}
ok "what it no longer permits ends by itself" wait_for gone
exec 7>&-
wait "$client"
ok "with a reason for the user" grep -q 'no longer permitted' "$LAB/err.s"
ok "and an event" eval 'grep -q session-cut "$LAB"/events/*.jsonl'
ok "new logins are refused" eval '! still'
cp "$LAB/policy.good" "$LAB/policy.conf"
ok "the first policy again" reload
ok "and they are permitted again" still

replay() {
	"$BUILD/sgbridge" replay "$LAB/policy.good" -c "$conf" >"$LAB/out" &&
		grep -qE '^0 of [1-9][0-9]* connections' "$LAB/out" || return 1
	{ cat "$LAB/policy.good" && echo 'deny robot from any to any'; } \
		>"$LAB/policy.draft"
	"$BUILD/sgbridge" replay "$LAB/policy.draft" -c "$conf" \
		--since 1d >"$LAB/out"
	[ $? -eq 1 ] && grep -q 'robot.*203.0.113.7.*ops@web1:22' "$LAB/out"
}
ok "a draft is judged by what happened" replay
metrics() {
	"$BUILD/sgbridge" metrics -c "$conf" >"$LAB/metrics" &&
		grep -q '^sgbridge_reloads_total{result="failed"} 1$' \
			"$LAB/metrics" &&
		grep -qE '^sgbridge_logons_total [1-9]' "$LAB/metrics" &&
		[ "$(grep -c '^# TYPE sgbridge_refused_total counter' \
			"$LAB/metrics")" -eq 1 ] &&
		! grep -vE '^(# (HELP|TYPE) sgbridge_[a-z_]+ .+|sgbridge_[a-z_]+(\{[a-z]+="[a-z-]+"\})? [0-9]+)$' \
			"$LAB/metrics"
}
ok "metrics say what happened" metrics

# --- the bastion's own command of that name, read by the real client
ciphers() {
	robot robot@bastion config 2>/dev/null >"$LAB/own" </dev/null &&
		ssh -G -F "$LAB/own" sgbridge >"$LAB/out" &&
		! grep -q '^ciphers aes128-gcm' "$LAB/out" &&
		sed -i 's/#Ciphers/Ciphers/' "$LAB/own" || return 1
	# In the bastion's block, and in those of what is behind it.
	for host in sgbridge web1; do
		ssh -G -F "$LAB/own" "$host" |
			grep -q '^ciphers aes128-gcm@openssh.com,' || return 1
	done
	robot -v -o "$(sed -n 's/^\tCiphers /Ciphers=/p' "$LAB/own" |
		head -n 1)" robot@bastion whoami </dev/null 2>&1 |
		grep -q 'cipher: aes128-gcm@openssh.com'
}
ok "config: a client can choose the fast cipher, by a line to uncomment" ciphers
no_ciphers() {
	echo 'fast-ciphers no' >>"$conf"
	reload && robot robot@bastion config 2>/dev/null >"$LAB/own" \
		</dev/null && ! grep -qi ciphers "$LAB/own"
}
ok "which is not there where no cipher is fast" no_ciphers
sed -i '/^fast-ciphers no/d' "$conf"

# --- an administrator ends a session
robot robot+ops@web1@bastion 'echo there; exec sleep 60' >"$LAB/out.s" \
	2>"$LAB/err.s" </dev/null &
client=$!
wait_for grep -q there "$LAB/out.s"
id=$(sessions | python3 -c '
import json, sys
print([s["id"] for s in json.load(sys.stdin)["sessions"] if s["phase"] == "open"][0])')
ok "sgbridge end ends it" "$BUILD/sgbridge" end -c "$conf" "$id" \
	"Maintenance begins."
ok "at once" wait_for gone
wait "$client"
ok "and tells the user why" grep -q 'Maintenance begins' "$LAB/err.s"
lab_summary
