#!/bin/bash
# sgbridge-session between a real OpenSSH client and a real sshd, with a
# scripted monitor and recorder (fake_monitor.c). Needs root for the sandbox;
# uses loopback ports and a temporary folder, and leaves nothing.
#
# usage: tests/session/relay.sh [NAME...]	(BUILD=build-san for sanitizers)
set -u
cd "$(dirname "$0")/../.." || exit 1
BUILD=${BUILD:-build}
# shellcheck source=tests/session/lib.sh
. tests/session/lib.sh

test_exec() {
	local out status

	conf
	out=$(gw $through 'echo out; echo err >&2; exit 7')
	is "exec: status" $? 7
	is "exec: standard output" "$out" out
	is "exec: standard error" "$(grep -v banner "$work/stderr")" err
	out=$(log)
	unlike "exec: the host key is proved" "$out" '^hostkey without a proof'
	like "exec: gate asked for the channel" "$out" '^gate 1 1 session yes'
	like "exec: gate asked for the command" "$out" '^gate 1 5 echo out'
	like "exec: command recorded" "$out" '^record 1 exec .* echo out'
	like "exec: both streams recorded" "$out" '^record 1 err 4'
	like "exec: exit recorded" "$out" 'record 1 exit 4 .*007$'
	like "exec: sandbox held" "$out" '^session exit 0 signal 0'
	is "exec: recorded bytes" "$(cat "$work/recorded.out")" out
	for status in 0 1 2 42 126 127 128 200 254 255; do
		conf
		gw $through "exit $status"
		is "exec: exit status $status" $? $status
	done
}

test_shell() {
	local out

	conf notice=be-careful
	cat >"$work/expect" <<-END
		set timeout 20
		spawn ssh -F $work/ssh_config -tt $through
		expect "\\$|#"
		stty rows 31 columns 99 < \$spawn_out(slave,name)
		send "PS1=prompt%\\r"
		expect -re "prompt%\$"
		send "stty size; tty; echo TERM=\\\$TERM\\r"
		expect "31 99"
		expect -re "prompt%\$"
		send "exit 5\\r"
		expect eof
		catch wait result
		exit [lindex \$result 3]
	END
	TERM=vt220 expect "$work/expect" >"$work/out" 2>&1
	is "shell: status" $? 5
	out=$(cat "$work/out")
	like "shell: has a terminal" "$out" '/dev/pts/'
	like "shell: resize arrives" "$out" '31 99'
	like "shell: TERM arrives" "$out" 'TERM=vt220'
	like "shell: notice shown" "$out" 'sgbridge: be-careful'
	out=$(log)
	like "shell: pty recorded" "$out" '^record 1 pty .*vt220'
	like "shell: resize recorded" "$out" '^record 1 resize 8 '
	unlike "shell: input not recorded" "$out" '^record 1 in '
	like "shell: output recorded" "$(cat "$work/recorded.out")" '31 99'
}

test_input() {
	conf record-input=1
	echo "typed text" | gwi $through cat >"$work/out"
	is "input: passes" "$(cat "$work/out")" "typed text"
	log >/dev/null
	is "input: recorded" "$(cat "$work/recorded.in")" "typed text"
}

test_bulk() {
	local want out

	head -c 10485760 /dev/urandom >"$work/big"
	want=$(sum <"$work/big")
	conf
	gwi $through "sha256sum" <"$work/big" >"$work/out"
	is "bulk: 10 MiB up" "$(cut -d' ' -f1 "$work/out")" "$want"
	out=$(log)
	like "bulk: totals recorded" "$out" '^record 1 totals 120'
	conf
	gw $through "cat $work/big" >"$work/out"
	is "bulk: 10 MiB down" "$(sum <"$work/out")" "$want"
	out=$(log)
	like "bulk: a gap is stated" "$out" '^record 1 gap 8'
	is "bulk: one hole, where it begins and how long" \
		"$(grep -E '^record 1 (gap|out|exit) ' <<<"$out" |
			cut -d' ' -f3 | uniq | tr '\n' ' ')" "out gap exit gap "
	is "bulk: kept at most 1 MiB" \
		"$(($(stat -c %s "$work/recorded.out") <= 1048576))" 1
	conf
	gwi $through "cat" <"$work/big" | sum >"$work/out"
	is "bulk: both ways at once" "$(cat "$work/out")" "$want"
	conf
	gw $through "cat $work/big >&2; cat $work/big" >"$work/out"
	is "bulk: output with as much error" "$(sum <"$work/out")" "$want"
	is "bulk: error with as much output" \
		"$(tail -c 10485760 "$work/stderr" | sum)" "$want"
	conf
	gw -o RekeyLimit=1M $through "cat $work/big" >"$work/out"
	is "bulk: with rekeys" "$(sum <"$work/out")" "$want"
	conf
	gwi -o RekeyLimit=1M $through cat <"$work/big" >"$work/out"
	is "bulk: with rekeys both ways and by both" "$(sum <"$work/out")" \
		"$want"
	conf
	gw $through "cat $work/big" | (read -rt 1 <> <(:); sum) >"$work/out"
	is "bulk: slow reader" "$(cat "$work/out")" "$want"
}

test_half_close() {
	conf
	printf 'b\na\n' | gwi $through sort >"$work/out"
	is "half-close: sort" "$(tr '\n' ' ' <"$work/out")" "a b "
	like "half-close: recorded" "$(log)" '^record 1 eof-in'
}

test_signal() {
	conf
	gw $through 'kill -TERM $$'
	is "exit-signal: status of ssh" $? 255
	like "exit-signal: recorded" "$(log)" 'record 1 exit-signal .*TERM'
}

test_multi() {
	local out

	conf
	timeout 60 ssh -F "$work/ssh_config" -M -S "$work/mux" -Nf $through \
		2>/dev/null
	timeout 60 ssh -F "$work/ssh_config" -S "$work/mux" $through \
		'head -c 2000000 /dev/zero; exit 3' 2>/dev/null >"$work/out" &
	out=$(gw -S "$work/mux" $through 'echo two; exit 4')
	is "multiplex: second channel's status" $? 4
	is "multiplex: second channel's output" "$out" two
	wait $!
	is "multiplex: first channel's status" $? 3
	is "multiplex: first channel's output" \
		"$(stat -c %s "$work/out")" 2000000
	gw -S "$work/mux" -O exit $through
	like "multiplex: two channels recorded" "$(log)" '^record 2 open'
}

test_jump() {
	local out

	conf
	out=$(gw -J alice@jump1:"$monitor_port" ops@web1 'echo jumped; exit 9')
	is "jump: status" $? 9
	is "jump: output" "$out" jumped
	out=$(log)
	like "jump: asked for" "$out" '^jump '
	like "jump: inner login without proof" "$out" '^none ops for alice'
	like "jump: recorded inside" "$out" '^record 1 exec .*jumped'
	conf jump=refuse
	gw -o LogLevel=INFO -W web1:22 alice@jump1
	is "jump refused: status" $? 255
	like "jump refused: reason" "$(cat "$work/stderr")" \
		'no way to that host'
}

test_local() {
	local out

	conf
	out=$(gw alice@127.0.0.1 hosts --json)
	is "command: status" $? 3
	is "command: output" "$out" "$(printf 'command: hosts --json\nsecond line')"
	out=$(gwi -tt alice@127.0.0.1 whoami </dev/null | tr '\r' '@')
	like "command: CRLF on a terminal" "$out" 'whoami@'
}

test_auth() {
	conf
	echo 999999 >"$work/code"
	gw -o NumberOfPasswordPrompts=2 $through true
	is "wrong code: status" $? 255
	like "wrong code: asked twice" "$(log | grep -c 'code wrong')" '^2$'
	echo 123456 >"$work/code"
	conf
	gw mallory+web1@127.0.0.1 true
	is "refused key: status" $? 255
	unlike "refused key: nothing more asked" "$(log)" '^code'
	conf
	gw -o PubkeyAuthentication=no $through true
	is "no key: status" $? 255
	like "no key: only publickey is listed" "$(cat "$work/stderr")" \
		'Permission denied \(publickey\)'
	conf
	gw -o PreferredAuthentications=password,keyboard-interactive $through \
		true
	like "no key: no other way" "$(cat "$work/stderr")" \
		'Permission denied \(publickey\)'
	conf
	is "key alone where the monitor says so" \
		"$(gw robot+web1@127.0.0.1 'echo in')" in
}

test_hostkey() {
	conf
	sed -i "s,^pin=.*,pin=$(fp "$work/wrong-key.pub")," "$work/conf"
	gw $through 'echo never'
	is "host key: status" $? 255
	like "host key: clear text" "$(cat "$work/stderr")" \
		'host key of web1 is not the one.*reference test-conn-1'
	like "host key: reported" "$(log)" \
		"^hostkey no $(fp "$work/target-key.pub" | tr + .)"
	conf
	sed -i '/^pin=/d' "$work/conf"
	gw $through 'echo never'
	is "host key: empty list refuses" $? 255
	conf late-hostcert=1
	is "host key: a certificate's connection that comes too late" \
		"$(gw $through 'echo in')" in
	conf refuse-target=not-for-you
	gw $through true
	is "target refused: status" $? 255
	like "target refused: text" "$(cat "$work/stderr")" 'not-for-you'
}

test_gate() {
	local out

	conf deny=forbidden deny=sftp deny=SGB_SECRET=1
	gw $through forbidden
	is "gate: exec refused" $? 255
	like "gate: reason shown" "$(cat "$work/stderr")" 'not permitted here'
	out=$(log)
	like "gate: refusal recorded" "$out" '^record 1 refused .*exec forbidden'
	conf deny=sftp
	echo pwd | timeout 60 sftp -q -F "$work/ssh_config" $through \
		>/dev/null 2>&1
	is "gate: subsystem refused" $? 255
	conf deny=SGB_SECRET=1
	# shellcheck disable=SC2016 # for the target's shell
	out=$(SGB_SECRET=1 SGB_OPEN=2 gw -o SendEnv=SGB_* $through \
		'echo "$SGB_SECRET,$SGB_OPEN"')
	is "gate: environment one by one" "$out" ",2"
	conf deny=session
	gw $through true
	is "gate: channel refused" $? 255
}

test_recorder() {
	conf recorder-limit=8
	gw $through 'head -c 50000000 /dev/zero' >"$work/out"
	is "recorder dies: status" $? 255
	like "recorder dies: text" "$(cat "$work/stderr")" \
		'recording failed, session ended \(reference test-conn-1\)'
	is "recorder dies: nothing unrecorded passed" \
		"$(($(stat -c %s "$work/out") <= \
			$(stat -c %s "$work/recorded.out")))" 1
	like "recorder dies: reported" "$(log)" 'report 0 recorder-lost'
	conf recorder-stall=1
	timeout 3 ssh -F "$work/ssh_config" $through 'echo never' \
		</dev/null >"$work/out" 2>/dev/null
	is "recorder stalls: nothing passes" "$(cat "$work/out")" ""
	conf idle=1
	timeout 20 ssh -F "$work/ssh_config" $through 'sleep 15' \
		</dev/null >"$work/out" 2>"$work/stderr"
	is "idle: status" $? 255
	like "idle: text" "$(cat "$work/stderr")" 'no input for too long'
}

test_forward() {
	local out

	conf jump=forward
	out=$(gw -W 127.0.0.1:"$target_port" alice@127.0.0.1)
	is "forward: SSH inside is cut" "$out" ""
	like "forward: reported" "$(log)" 'SSH inside a plain forward'
	forward_in_pieces
}

# SSH's first line in two pieces, from either side, each sent only when the
# other side has had the first.
forward_in_pieces() {
	local port ssh

	port=$(free_port)
	python3 -c '
import socket, sys
s = socket.create_server(("127.0.0.1", int(sys.argv[1])))
def serve(c):
    c.sendall(b"SS")
    first = c.recv(1)
    if first == b"g":
        c.sendall(b"H-2.0-hidden\r\n")
    if first == b"S":
        c.sendall(b"go")
        open(sys.argv[2], "wb").write(c.recv(100))
while True:
    with s.accept()[0] as c:
        try:
            serve(c)
        except OSError:
            pass' "$port" "$work/arrived" 2>/dev/null &
	pids+=($!)
	wait_port "$port"
	mkfifo "$work/hold"
	conf jump=forward
	timeout 60 ssh -F "$work/ssh_config" -W "127.0.0.1:$port" \
		alice@127.0.0.1 <"$work/hold" >"$work/out" 2>/dev/null &
	ssh=$!
	exec 7>"$work/hold"
	wait_for has_size "$work/out" 2
	printf 'g' >&7
	wait $ssh
	exec 7>&-
	is "forward: a greeting in pieces is cut" "$(cat "$work/out")" SS
	like "forward: and reported" "$(log)" 'SSH inside a plain forward'
	conf jump=forward
	timeout 60 ssh -F "$work/ssh_config" -W "127.0.0.1:$port" \
		alice@127.0.0.1 <"$work/hold" >"$work/out" 2>/dev/null &
	ssh=$!
	exec 7>"$work/hold"
	wait_for has_size "$work/out" 2
	printf S >&7
	wait_for has_size "$work/out" 4
	printf 'SH-2.0-client\r\n' >&7
	wait $ssh
	exec 7>&-
	rm "$work/hold"
	is "forward: a client in pieces is cut" "$(cat "$work/arrived")" ""
	like "forward: and reported, too" "$(log)" 'SSH inside a plain forward'
}

test_direct() {
	local out

	conf
	out=$(gw -W 127.0.0.1:"$target_port" $through </dev/null | head -1)
	like "direct: relayed through the target" "$out" '^SSH-2.0-'
	like "direct: recorded with its destination" "$(log)" \
		"^record 1 open .*direct-tcpip 127.0.0.1:$target_port"
	conf "deny=direct-tcpip 127.0.0.1:$target_port"
	out=$(gw -W 127.0.0.1:"$target_port" $through)
	is "direct: not where refused" "$out" ""
	like "direct: refusal recorded" "$(log)" \
		'^record 1 refused .*direct-tcpip'
}

test_agent() {
	local out

	conf
	out=$(gw -A -o IdentityAgent="$SSH_AUTH_SOCK" $through 'ssh-add -l')
	like "agent: reachable from the target" "$out" 'user.*ED25519'
	out=$(log)
	like "agent: asked at the gate" "$out" '^gate 1 7 agent forwarding yes'
	like "agent: its use is recorded" "$out" '^record 2 open 10 auth-agent'
	conf "deny=agent forwarding"
	out=$(gw -A -o IdentityAgent="$SSH_AUTH_SOCK" $through \
		'ssh-add -l 2>&1')
	like "agent: not where refused" "$out" 'Could not open a connection'
	like "agent: refusal recorded" "$(log)" \
		'^record 1 refused .*agent forwarding'
}

# On one connection: the agent is out of reach once the channel that had it
# has closed, though the target's sshd keeps its socket.
test_agent_leaves() {
	local sock

	conf
	ssh -F "$work/ssh_config" -A -o IdentityAgent="$SSH_AUTH_SOCK" \
		-M -S "$work/mux" -N $through 2>/dev/null &
	pids+=($!)
	wait_for test -S "$work/mux"
	# shellcheck disable=SC2016 # for the target's shell
	sock=$(gw -A -S "$work/mux" $through \
		'ssh-add -l >&2; echo "$SSH_AUTH_SOCK"')
	like "agent: there for its channel" "$(cat "$work/stderr")" 'ED25519'
	wait_for grep -q '^report 1 channel-closed' "$work/log"
	gw -S "$work/mux" $through "test -S $sock; SSH_AUTH_SOCK=$sock \
		timeout 20 ssh-add -l" >"$work/out"
	unlike "agent: gone with its channel" "$(cat "$work/out")" ED25519
	# One that is kept open by a program that outlives its channel.
	# shellcheck disable=SC2016
	gw -A -S "$work/mux" $through 'python3 -c "
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(os.environ[\"SSH_AUTH_SOCK\"])
s.sendall(bytes([0, 0, 0, 1, 11]))
s.recv(1000)
print(\"opened\", flush=True)
if os.fork():
    sys.exit()
for fd in (0, 1, 2):
    os.close(fd)
s.settimeout(20)
open(sys.argv[1], \"w\").write(\"%r\" % s.recv(1000))
" '"$work/late" >"$work/out"
	is "agent: kept open" "$(cat "$work/out")" opened
	wait_for test -s "$work/late"
	is "agent: what was kept open is closed" "$(cat "$work/late")" "b''"
	gw -S "$work/mux" -O exit $through
	like "agent: refusal recorded for the second" "$(log)" \
		'refused .*a channel from the target'
}

test_remote_forward() {
	local out port

	port=$(free_port)
	conf
	out=$(gw -R "127.0.0.1:$port:127.0.0.1:$target_port" $through \
		"bash -c 'exec 3<>/dev/tcp/127.0.0.1/$port; head -1 <&3'")
	like "remote forward: reaches the client's side" "$out" '^SSH-2.0-'
	out=$(log)
	like "remote forward: asked at the gate" "$out" \
		'^gate 0 9 127.0.0.1 yes'
	like "remote forward: its use is recorded" "$out" \
		"open .*forwarded-tcpip 127.0.0.1:$port from 127.0.0.1"
	conf deny=127.0.0.1
	gw -o ExitOnForwardFailure=yes -R "127.0.0.1:$port:127.0.0.1:22" \
		$through true
	is "remote forward: not where refused" $? 255
	like "remote forward: refusal recorded" "$(log)" \
		'refused .*remote forward of 127.0.0.1'
}

# shellcheck source=tests/session/transfers.sh
. tests/session/transfers.sh
# shellcheck source=tests/session/peers.sh
. tests/session/peers.sh
# shellcheck source=tests/session/channels.sh
. tests/session/channels.sh
# shellcheck source=tests/session/scp.sh
. tests/session/scp.sh

login=$(id -un)
setup
[ $# -gt 0 ] || set -- exec shell input bulk half_close signal sftp \
	sftp_watch sftp_rights disguise many_files prefetch \
	scp scp_errors scp_disguise rsync \
	vanish multi jump local auth hostkey gate recorder forward direct \
	agent agent_leaves remote_forward x11 unsupported rekey_deadline \
	ciphers stalled huge hostile deaf waits target putty dropbear dropbear_target tools
for name; do
	declare -F "test_$name" >/dev/null || not_ok "there is no test $name"
	"test_$name"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
