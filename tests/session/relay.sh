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

test_sftp() {
	local want out

	head -c 3000000 /dev/urandom >"$work/big"
	want=$(sum <"$work/big")
	conf
	cat >"$work/batch" <<-END
		put $work/big $work/d/up
		get $work/d/up $work/down
		mkdir $work/d/new
		rename $work/d/up $work/d/moved
		rm $work/d/moved
		rmdir $work/d/new
	END
	# -b means BatchMode, which leaves no way to ask for a code
	timeout 60 sftp -q -F "$work/ssh_config" -b "$work/batch" \
		robot+web1@127.0.0.1 \
		>"$work/out" 2>&1
	is "sftp: status" $? 0
	is "sftp: same bytes" "$(sum <"$work/down")" "$want"
	out=$(log)
	like "sftp: upload with hash" "$out" \
		"record 1 file .*upload.*3000000.*$want.*ok"
	like "sftp: download with hash" "$out" \
		"record 1 file .*download.*3000000.*$want.*ok"
	like "sftp: rename" "$out" 'file-op .*rename.*d/up.*d/moved.*ok'
	like "sftp: mkdir" "$out" 'file-op .*mkdir'
	like "sftp: remove" "$out" 'file-op .*remove'
	like "sftp: reported" "$out" '^report 1 file 3000000 1 '
	unlike "sftp: payload not kept" "$out" '^record 1 out'
	conf
	timeout 60 scp -q -F "$work/ssh_config" "$work/big" \
		"$through:$work/d/scp" 2>"$work/stderr"
	is "scp: status" $? 0
	is "scp: same bytes" "$(sum <"$work/d/scp")" "$want"
	conf
	timeout 60 scp -O -q -F "$work/ssh_config" "$through:$work/d/scp" \
		"$work/down2" 2>"$work/stderr"
	is "scp -O: same bytes" "$(sum <"$work/down2")" "$want"
	out=$(log)
	like "scp -O: totals recorded" "$out" '^record 1 totals 120'
	unlike "scp -O: seen as what it is" "$out" '^record 1 note'
	is "scp -O: no more than the head is kept" \
		"$(($(stat -c %s "$work/recorded.out") <= 65536))" 1
	conf record-input=1
	timeout 60 scp -O -q -F "$work/ssh_config" "$work/big" \
		"$through:$work/d/scp2" 2>"$work/stderr"
	is "scp -O: same bytes up" "$(sum <"$work/d/scp2")" "$want"
	unlike "scp -O: seen as what it is, up" "$(log)" '^record 1 note'
	is "scp -O: no more than the head is kept, up" \
		"$(($(stat -c %s "$work/recorded.in") <= 65536))" 1
}

# Programs of the user's that are called scp or rsync.
test_disguise() {
	local name

	for name in scp rsync; do
		printf '#!/bin/sh\nexec bash -s\n' >"$work/bin/$name"
		chmod 755 "$work/bin/$name"
	done
	for name in 'scp -t .' 'scp -f x' 'scp -S ./evil x:y -- -t' \
		'rsync --server . x'; do
		conf
		echo 'echo hidden-out; echo hidden-err >&2' |
			gwi $through "$name" >"$work/out"
		is "disguise: it runs ($name)" "$(cat "$work/out")" hidden-out
		log >/dev/null
		is "disguise: output is recorded ($name)" \
			"$(cat "$work/recorded.out")" hidden-out
		is "disguise: errors are recorded ($name)" \
			"$(cat "$work/recorded.err")" hidden-err
	done
	conf
	echo 'head -c 300000 /dev/zero; echo hidden' |
		gwi $through 'scp -f x' >"$work/out"
	like "disguise: said" "$(log)" '^record 1 note .*not a file transfer'
	is "disguise: recorded as any command" \
		"$(tail -c 7 "$work/recorded.out")" hidden
	rm "$work/bin/scp" "$work/bin/rsync"
}

# Bytes to a subsystem sftp by hand: packets in hexadecimal.
sftp_raw() {
	printf '%s' "$1" | sed 's/../\\x&/g' >"$work/raw"
	# shellcheck disable=SC2059
	printf "$(cat "$work/raw")"
}

test_sftp_watch() {
	local out

	# INIT, and an extension whose name is not all there
	conf
	sftp_raw 00000005010000000300000009c800000001000003e8 |
		gwi -s $through sftp >/dev/null
	is "sftp: what cannot be followed ends" \
		"$(grep -c 'cannot be followed.*reference' "$work/stderr")" 1
	like "sftp: end of watching recorded" "$(log)" \
		'file-op .*unwatched.*a request that cannot be read'
	# REMOVE of a file, with 100 KiB more than sftp-server looks at
	conf
	: >"$work/d/gone"
	{
		sftp_raw 000000050100000003
		out=$(hex "$work/d/gone")
		sftp_raw "$(printf '%08x0d00000007%08x' \
			$((9 + ${#out} / 2 + 102400)) $((${#out} / 2)))$out"
		head -c 102400 /dev/zero
	} | gwi -s $through sftp >"$work/out"
	is "sftp: a long request is done" "$(ls "$work/d/gone" 2>/dev/null)" ""
	like "sftp: a long request is recorded" "$(log)" \
		'file-op .*remove.*d/gone'
}

# 10 and 11 are SESSION_REQUEST_SFTP_WRITE and _READ.
test_sftp_rights() {
	local out

	head -c 300000 /dev/urandom >"$work/big"
	cp "$work/big" "$work/d/there"
	printf '%s\n' "-get $work/d/there $work/got" \
		"-put $work/big $work/d/put" "-rm $work/d/there" "ls $work/d" \
		>"$work/batch"
	conf deny=10
	out=$(timeout 60 sftp -q -F "$work/ssh_config" -b "$work/batch" \
		robot+web1@127.0.0.1 2>&1)
	is "sftp-read: session goes on" $? 0
	is "sftp-read: get works" "$(sum <"$work/got")" "$(sum <"$work/big")"
	is "sftp-read: put is refused" "$(ls "$work/d/put" 2>&1)" \
		"ls: cannot access '$work/d/put': No such file or directory"
	is "sftp-read: remove is refused" "$(ls "$work/d/there")" \
		"$work/d/there"
	like "sftp-read: proper status" "$out" '[Pp]ermission denied'
	like "sftp-read: recorded" "$(log)" \
		"^record 1 refused .*sftp open $work/d/put"
	rm "$work/got"
	conf deny=11
	out=$(timeout 60 sftp -q -F "$work/ssh_config" -b "$work/batch" \
		robot+web1@127.0.0.1 2>&1)
	is "sftp-write: put works" "$(sum <"$work/d/put")" \
		"$(sum <"$work/big")"
	is "sftp-write: remove works" "$(ls "$work/d/there" 2>/dev/null)" ""
	is "sftp-write: get is refused" "$(cat "$work/got" 2>/dev/null)" ""
}

# More files than the monitor can be told of at once, and one that is slow.
test_many_files() {
	local out

	conf lazy-monitor=1
	out=$(timeout 60 python3 tests/session/many_files.py "$work/d/many" \
		6000 ssh -F "$work/ssh_config" -s $through sftp \
		2>"$work/stderr")
	is "many files: all pass" "$out" 6000
	out=$(log)
	is "many files: all are reported" \
		"$(grep -c '^report 1 file 1 1 ' <<<"$out")" 6000
	is "many files: all are recorded" \
		"$(grep -c '^record 1 file .*upload.*ok' <<<"$out")" 6000
}

# paramiko asks for all of a file at once: 6400 requests without an answer.
test_prefetch() {
	conf
	truncate -s 200M "$work/d/sparse"
	timeout 120 /usr/bin/python3 -c '
import socket, sys, paramiko
t = paramiko.Transport(socket.create_connection(("127.0.0.1", int(sys.argv[1]))))
t.start_client(timeout=10)
t.auth_publickey("robot+web1", paramiko.Ed25519Key(filename=sys.argv[2]))
sftp = paramiko.SFTPClient.from_transport(t)
sftp.get(sys.argv[3], sys.argv[4])
t.close()' "$monitor_port" "$work/user" "$work/d/sparse" "$work/got" \
		2>"$work/stderr"
	is "prefetch: the file arrives" "$(stat -c %s "$work/got")" 209715200
	like "prefetch: followed to its end" "$(log)" \
		'^record 1 file .*"bytes":209715200,.*sha256.*"ok"'
	rm -f "$work/got" "$work/d/sparse"
}

hex() { printf '%s' "$1" | od -An -v -tx1 | tr -d ' \n'; }
has_size() { [ "$(stat -c %s "$1")" -eq "$2" ]; }
answered() { od -An -v -tx1 <"$work/out" | tr -d ' \n' | grep -q "$1"; }

# The client's process dies; what it had is in the books all the same.
test_vanish() {
	local out ssh

	conf
	mkfifo "$work/hold"
	ssh -F "$work/ssh_config" $through \
		'head -c 3000000 /dev/zero; cat' <"$work/hold" \
		>"$work/out" 2>/dev/null &
	ssh=$!
	exec 7>"$work/hold"
	wait_for has_size "$work/out" 3000000
	kill -KILL $ssh
	exec 7>&-
	wait $ssh 2>/dev/null
	out=$(log)
	like "vanish: gap recorded" "$out" '^record 1 gap 8'
	like "vanish: totals recorded" "$out" '^record 1 totals 120'
	like "vanish: close recorded" "$out" '^record 1 close'
	like "vanish: reported" "$out" '^report 1 channel-closed 0 3000000 '
	# An upload that is neither closed nor answered.
	conf
	ssh -F "$work/ssh_config" -s $through sftp <"$work/hold" \
		>"$work/out" 2>/dev/null &
	ssh=$!
	exec 7>"$work/hold"
	out=$(hex "$work/d/half")
	sftp_raw 000000050100000003 >&7
	sftp_raw "$(printf '%08x0300000001%08x' $((17 + ${#out} / 2)) \
		$((${#out} / 2)))${out}0000001a00000000" >&7
	wait_for answered 0000000d66000000010000000400000000
	sftp_raw 0000001c060000000200000004000000000000000000000000 >&7
	sftp_raw 00000003616263 >&7
	wait_for answered 6500000002
	kill -KILL $ssh
	exec 7>&-
	wait $ssh 2>/dev/null
	rm "$work/hold"
	out=$(log)
	like "vanish: file recorded" "$out" \
		'file .*d/half.*upload.*"bytes":3,.*not closed'
	like "vanish: file reported" "$out" '^report 1 file 3 1 .*d/half'
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

# shellcheck source=tests/session/peers.sh
. tests/session/peers.sh
# shellcheck source=tests/session/channels.sh
. tests/session/channels.sh

login=$(id -un)
setup
[ $# -gt 0 ] || set -- exec shell input bulk half_close signal sftp \
	sftp_watch sftp_rights disguise many_files prefetch \
	vanish multi jump local auth hostkey gate recorder forward direct \
	agent agent_leaves remote_forward x11 unsupported rekey_deadline \
	ciphers stalled huge hostile deaf target putty dropbear dropbear_target tools
for name; do
	declare -F "test_$name" >/dev/null || not_ok "there is no test $name"
	"test_$name"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
