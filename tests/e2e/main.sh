#!/bin/bash
# The main job, end to end, with stock OpenSSH on both sides: recorded,
# two-factor, allowlisted logins, and each refusal.
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=${1:-build}
# shellcheck source=tests/e2e/lab.sh
. "$here/lab.sh"
lab_up || exit 1
conf=$LAB/sgbridge.conf
# audit COMMAND ARGS...: without a key; reads COMMAND ARGS...: with it.
audit() {
	local command=$1
	shift
	"$BUILD/sgbridge-audit" "$command" -c "$conf" \
		--journal "$LAB/views" "$@"
}
reads() {
	local command=$1
	shift
	audit "$command" -i "$LAB/auditor.key" "$@"
}
newest() {
	find "$LAB/recordings" -name '*.sgr' -printf '%T@ %p\n' |
		sort -n | tail -n1 | cut -d' ' -f2-
}
events() {
	cat "$LAB"/events/*.jsonl
}
# The exit status must be this one.
status_is() {
	local want=$1
	shift
	"$@" </dev/null >"$LAB/out" 2>"$LAB/err"
	local got=$?
	[ "$got" -eq "$want" ] && return 0
	echo "# status $got, not $want: $*"
	sed 's/^/# /' "$LAB/err" | head -5
	return 1
}
# Refused, and no shell on the target came of it.
refused() {
	! "$@" </dev/null >"$LAB/out" 2>"$LAB/err" &&
		! grep -q REACHED "$LAB/out"
}
robot() {
	lab_ssh robot 203.0.113.7 "$@"
}
robot_sftp() {
	lab_client_run sftp robot 203.0.113.7 "$@"
}

# --- the two ways in, with key and one-time code
user_name() {
	code=$(oathtool --totp -b - <"$LAB/users/alice.secret")
	[ "$(LAB_CODE=$code lab_ssh alice 203.0.113.9 alice+ops@web1@bastion \
		'id -un; hostname >/dev/null' </dev/null)" = ops ]
}
ok "login by user name, key and code" user_name
replay() {
	# The code that just logged in, once more.
	LAB_CODE=$code refused lab_ssh alice 203.0.113.9 \
		alice+ops@web1@bastion echo REACHED
}
ok "the code of that login does not log in again" replay
jump() {
	# ProxyJump's own ssh has to see the askpass and the key as well.
	LAB_SECRET=$LAB/users/bob.secret LAB_CODE='' \
		SSH_ASKPASS=$LAB/askpass SSH_ASKPASS_REQUIRE=force DISPLAY=:0 \
		in_ns client timeout 60 ssh -F "$LAB/ssh_jump" \
		ops@web1 'echo jumped as $(id -un)' </dev/null >"$LAB/out" \
		2>"$LAB/err"
	grep -qx 'jumped as ops' "$LAB/out" || {
		sed 's/^/# /' "$LAB/err"
		return 1
	}
}
cat "$LAB/ssh_config" >"$LAB/ssh_jump"
cat >>"$LAB/ssh_jump" <<-END
	  User bob
	  IdentityFile $LAB/users/bob
	  BindAddress 203.0.113.9
	Host web1 db1
	  ProxyJump bob@bastion
END
ok "recorded ProxyJump with the stock client" jump

# --- what passes, passes unchanged
ok "exit status 0" status_is 0 robot robot+ops@web1@bastion true
ok "exit status 7" status_is 7 robot robot+ops@web1@bastion 'exit 7'
ok "exit status 255" status_is 255 robot robot+ops@web1@bastion 'exit 255'
streams() {
	robot robot+ops@web1@bastion 'echo out; echo err >&2' </dev/null \
		>"$LAB/out" 2>"$LAB/err"
	[ "$(cat "$LAB/out")" = out ] && [ "$(cat "$LAB/err")" = err ]
}
ok "both output streams, each in its own" streams
head -c 20000000 /dev/urandom >"$LAB/data"
upload() {
	[ "$(robot robot+ops@web1@bastion sha256sum <"$LAB/data")" = \
		"$(sha256sum <"$LAB/data")" ]
}
ok "20 MB in, every byte the same" upload
download() {
	cp "$LAB/data" "$LAB/web1/home/data"
	chmod 644 "$LAB/web1/home/data"
	[ "$(robot robot+ops@web1@bastion 'cat data' </dev/null | sha256sum)" = \
		"$(sha256sum <"$LAB/data")" ]
}
ok "20 MB out, every byte the same" download
half_close() {
	[ "$(printf 'b\na\n' | robot robot+ops@web1@bastion sort |
		tr -d '\n')" = ab ]
}
ok "end of input reaches the target, the answer comes back" half_close
sftp_both() {
	printf 'put %s/data up\nget up %s/down\n' "$LAB" "$LAB" |
		robot_sftp -b - robot+ops@web1@bastion >/dev/null 2>"$LAB/err"
	cmp -s "$LAB/data" "$LAB/down"
}
ok "sftp put and get" sftp_both
terminal() {
	LAB=$LAB expect -f - >"$LAB/out" 2>&1 <<-END
		log_user 1
		set timeout 20
		spawn ip netns exec $lab_tag-client ssh -tt -F $LAB/ssh_config -o BindAddress=203.0.113.7 -i $LAB/users/robot robot+ops@web1@bastion
		expect -re {[$] $}
		send "stty size; echo shown-\\\$((40+2))\r"
		expect "shown-42"
		stty rows 31 columns 97 < \$spawn_out(slave,name)
		send "stty size\r"
		expect "31 97"
		send "exit 3\r"
		expect eof
		set r [wait]
		puts "status [lindex \$r 3]"
	END
	grep -q 'status 3' "$LAB/out" && grep -q '31 97' "$LAB/out"
}
# The new size and the next key may come in one turn, or not.
terminals() {
	for _ in 1 2 3 4 5 6 7 8; do
		terminal || return 1
	done
}
ok "a shell with a terminal, resized, with its exit status" terminals

# --- refusals
ok "another address: closed before any cryptography" \
	refused lab_ssh alice 192.0.2.66 alice+ops@web1@bastion echo REACHED
ok "a key nobody has: refused" \
	refused lab_ssh stranger 203.0.113.9 alice+ops@web1@bastion echo REACHED
wrong_code() {
	LAB_CODE=000000 refused lab_ssh bob 203.0.113.9 \
		bob+ops@web1@bastion echo REACHED
}
ok "a wrong code: refused" wrong_code
password() {
	refused in_ns client ssh -F "$LAB/ssh_config" -o BatchMode=no \
		-o BindAddress=203.0.113.9 \
		-o PreferredAuthentications=password,keyboard-interactive \
		alice+ops@web1@bastion echo REACHED
	! grep -qi 'password' <(in_ns client ssh -F "$LAB/ssh_config" -v \
		-o BindAddress=203.0.113.9 -o PreferredAuthentications=none \
		alice@bastion true 2>&1 | grep 'can continue')
}
ok "a password: never asked for, refused" password
ok "robot's exemption does not hold from the office" \
	refused lab_ssh robot 203.0.113.9 robot+ops@web1@bastion echo REACHED
ok "unknown host key of an instance: refused" \
	refused robot robot+ops@db1@bastion echo REACHED
hostkey_event() {
	events | grep -q '"target-hostkey"\|host key'
}
ok "and the refused host key is an event" hostkey_event
ok "another login than the rule gives: refused" \
	refused robot robot+root@web1@bastion echo REACHED
ok "an instance that is not in the policy: refused" \
	refused robot robot+ops@10.0.1.99@bastion echo REACHED
ok "metadata address by -W: refused" \
	refused robot -W 169.254.169.254:80 robot@bastion
ok "loopback by -W: refused" \
	refused robot -W 127.0.0.1:22 robot@bastion
forward() {
	refused robot -o ExitOnForwardFailure=yes -R 7777:127.0.0.1:22 \
		robot+ops@web1@bastion echo REACHED
}
ok "remote forward: refused" forward

# --- what is on the target is a certificate that names person and session
certificate() {
	grep -q 'Accepted publickey for ops .* ID alice from 203.0.113.9' \
		"$LAB/web1/sshd.log"
}
ok "the instance's own log names the person" certificate

# --- evidence
recorded() {
	robot robot+ops@web1@bastion 'echo evidence-7351' </dev/null \
		>/dev/null 2>&1
	file=$(newest)
	wait_for reads verify "$file" &&
		reads play --no-timing "$file" |
			grep -q evidence-7351
}
ok "the recording verifies and replays" recorded
ok "verify without any key" audit verify "$file"
ok "ls lists it, with who it was for those who have a key" \
	eval 'audit ls | grep -vq robot && reads ls | grep -q robot'
export_cast() {
	reads export --format asciicast "$file" \
		>"$LAB/cast" && head -n1 "$LAB/cast" | grep -q '"version": *2' &&
		grep -q 'evidence-7351' "$LAB/cast"
}
ok "export to asciicast" export_cast
no_plaintext() {
	! grep -aq 'evidence-7351\|robot' "$file"
}
ok "nothing of it is readable on the bastion" no_plaintext
flip() {
	cp "$file" "$LAB/bent.sgr"
	python3 - "$LAB/bent.sgr" <<-'END'
		import sys
		b = bytearray(open(sys.argv[1], 'rb').read())
		b[len(b) * 2 // 3] ^= 1
		open(sys.argv[1], 'wb').write(b)
	END
	! audit verify "$LAB/bent.sgr" >"$LAB/out" 2>&1 &&
		grep -qi 'altered' "$LAB/out"
}
ok "one flipped bit is found without a key" flip
cut_tail() {
	head -c "$(($(stat -c %s "$file") - 100))" "$file" >"$LAB/cut.sgr"
	! audit verify "$LAB/cut.sgr" >"$LAB/out" 2>&1 &&
		! grep -qi 'complete' "$LAB/out"
}
ok "a cut tail is found without a key" cut_tail
trail() {
	events | grep -q '"is_mfa":true' &&
		events | grep -q '203.0.113.9' &&
		events | python3 -c '
import json, sys
for line in sys.stdin:
    json.loads(line)'
}
ok "the event trail is JSON and names operator, address and factor" trail

# --- nothing passes unrecorded
recorder_dies() {
	# A session that is open while the recorder is taken away.
	mkfifo "$LAB/in" 2>/dev/null
	robot robot+ops@web1@bastion 'echo first; cat' <"$LAB/in" \
		>"$LAB/out" 2>"$LAB/err" &
	local ssh=$!
	exec 7>"$LAB/in"
	wait_for grep -q first "$LAB/out"
	kill -KILL "$LAB_RECORDER"
	echo unrecorded >&7 2>/dev/null
	exec 7>&-
	wait "$ssh"
	local status=$?
	! grep -q unrecorded "$LAB/out" && [ "$status" -ne 0 ] &&
		grep -qi record "$LAB/err" && return
	echo "# status $status"
	sed 's/^/# /' "$LAB/out" "$LAB/err"
	tail -n 20 "$LAB/bastion.log" | sed 's/^/# /'
	return 1
}
ok "a recorder that dies ends the session, with a message" recorder_dies
ok "without a recorder nobody gets in" \
	refused robot robot+ops@web1@bastion echo REACHED
interrupted() {
	local cut
	cut=$(newest)
	! audit verify "$cut" >"$LAB/out" 2>&1
	grep -qi 'open or interrupted' "$LAB/out"
}
ok "its recording reads as interrupted, never as complete" interrupted
lab_summary
