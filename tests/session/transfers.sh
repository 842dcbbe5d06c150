# Sourced by relay.sh: files over scp, rsync and SFTP, and what is written down
# of them however they end.
# shellcheck shell=bash disable=SC2154

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
