# Sourced by relay.sh: channels and requests beyond the usual ones, key
# exchanges that do not end, and more bytes than 32 bits count.
# shellcheck shell=bash disable=SC2154

# A display that answers one X client, who shows the right cookie, and what
# it was asked over.
x_server() { # port file
	python3 - "$1" "$2" <<-'END' &
		import socket, struct, sys
		s = socket.socket()
		s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
		s.bind(("127.0.0.1", int(sys.argv[1])))
		s.listen(4)
		while True:
		    c = s.accept()[0]
		    head = c.recv(12, socket.MSG_WAITALL)
		    if len(head) < 12:
		        continue  # only a look whether somebody listens
		    n, d = struct.unpack("<HH", head[6:10])
		    rest = c.recv((n + 3) // 4 * 4 + (d + 3) // 4 * 4,
		                  socket.MSG_WAITALL)
		    open(sys.argv[2], "wb").write(head + rest)
		    c.sendall(b"hello from the display")
		    c.shutdown(socket.SHUT_WR)
		    c.recv(1)
		    c.close()
	END
	pids+=($!)
	wait_port "$1"
}

# Run at the target: an X client that shows the cookie sshd gave it.
x_client='python3 -c "
import os, socket, struct, subprocess
display = os.environ[\"DISPLAY\"]
port = 6000 + int(display.split(\":\")[1].split(\".\")[0])
cookie = bytes.fromhex(subprocess.run([\"xauth\", \"list\", display],
    capture_output=True, text=True).stdout.split()[-1])
name = b\"MIT-MAGIC-COOKIE-1\"
s = socket.create_connection((\"127.0.0.1\", port), 10)
s.sendall(b\"l\\0\" + struct.pack(\"<HHHHH\", 11, 0, len(name), len(cookie), 0)
    + name + b\"\\0\\0\" + cookie)
print(s.recv(100).decode())
"'

test_x11() {
	local port number out

	command -v xauth >/dev/null || return 0
	number=$((100 + RANDOM % 1000))
	port=$((6000 + number))
	x_server "$port" "$work/x-asked" || return
	export XAUTHORITY=$work/xauthority
	: >"$XAUTHORITY"
	xauth -q add "127.0.0.1:$number" . \
		00112233445566778899aabbccddeeff >/dev/null 2>&1
	conf
	out=$(DISPLAY=127.0.0.1:$number gw -Y $through "$x_client")
	is "x11: reaches the user's display" "$out" "hello from the display"
	out=$(log)
	like "x11: asked at the gate" "$out" '^gate 1 8 x11 forwarding yes'
	like "x11: its use is recorded" "$out" '^record 2 open .*x11 from '
	unlike "x11: no cookie is recorded" "$out" '[0-9a-f]{32}'
	conf "deny=x11 forwarding"
	out=$(DISPLAY=127.0.0.1:$number gw -Y $through "$x_client" 2>&1)
	unlike "x11: not where refused" "$out" 'hello from the display'
	# shellcheck disable=SC2016 # for the target's shell
	out=$(DISPLAY=127.0.0.1:$number gw -Y $through 'echo "d=$DISPLAY"')
	is "x11: and there is no display" "$out" d=
	like "x11: refusal recorded" "$(log)" \
		'^record 1 refused .*x11 forwarding'
	unset XAUTHORITY
}

# What libssh has no server side for is refused, and nothing else is harmed.
test_unsupported() {
	local out

	conf
	gw -o ExitOnForwardFailure=yes \
		-R "$work/d/there.sock:127.0.0.1:22" $through true
	is "unix socket at the target: refused" $? 255
	is "unix socket at the target: not there" "$(ls "$work/d/there.sock" \
		2>/dev/null)" ""
	conf
	ssh -F "$work/ssh_config" -N -L "$work/l.sock:/run/no.sock" \
		-M -S "$work/mux" $through 2>"$work/stderr" &
	pids+=($!)
	wait_for test -S "$work/l.sock"
	wait_for test -S "$work/mux"
	out=$(python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(20)
s.connect(sys.argv[1])
print(s.recv(10))' "$work/l.sock")
	is "unix socket from the client: closed" "$out" "b''"
	is "unix socket from the client: the connection lives" \
		"$(gw -S "$work/mux" $through 'echo lives')" lives
	gw -S "$work/mux" -O exit $through
	is "each request is answered once, in order" "$(hostile answers)" \
		"env yes, pty yes, break no, xon-xoff no, nonsense no, exec yes"
	is "global requests are answered once" "$(hostile global_answers)" \
		"no, no, no, yes"
	is "a ping does no harm" "$(hostile ping)" fine
	conf
	out=$(gw -vvv -o UpdateHostKeys=yes $through true 2>&1)
	unlike "the target's hostkeys-00 is not passed on" \
		"$(cat "$work/stderr")" 'hostkeys-00'
}

test_rekey_deadline() {
	local start=$SECONDS

	is "a rekey that the client does not end" \
		"$(hostile rekey_slow keepalive=1)" cut
	like "rekey: said" "$(log)" 'anomaly .*key exchange that does not end'
	target rekey
	is "a rekey that the target does not end: status" $? 255
	like "rekey: said, too" "$(log)" \
		'anomaly .*key exchange that does not end'
	[ $((SECONDS - start)) -lt 60 ] || not_ok "rekey: ended by deadline"
	conf
	head -c 30000000 /dev/zero >"$work/zeros"
	gwi -o RekeyLimit='256K 1s' $through 'cat; exit 5' <"$work/zeros" \
		>"$work/out"
	is "rekeys without end, by time and bytes: status" $? 5
	is "rekeys without end: same bytes" "$(sum <"$work/out")" \
		"$(sum <"$work/zeros")"
}

# SGB_HUGE_MIB=5120 is more than 4 GiB each way; the suite takes less.
# Each cipher, by whoever may do it: many keys, and the same bytes.
test_ciphers() {
	local cipher fast want

	head -c 5242880 /dev/urandom >"$work/some"
	want=$(sum <"$work/some")
	for fast in 1 0; do
		for cipher in aes128-gcm@openssh.com aes256-gcm@openssh.com \
			chacha20-poly1305@openssh.com; do
			conf "fast-ciphers=$fast"
			gwi -c "$cipher" -o RekeyLimit=1M $through cat \
				<"$work/some" >"$work/out"
			is "ciphers: $cipher, fast $fast" \
				"$(sum <"$work/out")" "$want"
			like "ciphers: $cipher is what was used" "$(log)" \
				"algorithms .*$cipher"
		done
	done
}

# As much as has been written when nothing more is for a second.
settled_bytes() { # pid
	local now before=-1 still=0

	while [ "$still" -lt 10 ]; do
		now=$(sed -n 's/^wchar: //p' "/proc/$1/io") || return 1
		[ "$now" = "$before" ] && still=$((still + 1)) || still=0
		before=$now
		read -rt 0.1 <> <(:)
	done
	echo "$now"
}

# The session process of this test, whoever else runs some.
session_pid() {
	local pid

	for pid in $(pgrep -f '^sgbridge-session'); do
		[ "$(readlink "/proc/$pid/exe")" = "$work/session" ] &&
			echo "$pid"
	done | tail -n 1
}

# A target that sends without end to a client that does not read: how far it
# gets, and what is held for it, does not depend on how much it would send.
test_stalled() {
	local pid kib bytes reader mib=${STALL_MIB:-64}

	conf
	mkfifo "$work/go"
	timeout 900 ssh -F "$work/ssh_config" $through \
		"echo \$\$ >$work/sender; exec head -c ${mib}M /dev/zero" \
		</dev/null 2>"$work/stderr" |
		{ read -r _ <"$work/go"; wc -c; } >"$work/out" &
	reader=$!
	wait_for test -s "$work/sender"
	pid=$(cat "$work/sender")
	bytes=$(settled_bytes "$pid")
	# Four kernels' buffers are between, beside what we hold.
	is "stalled: the target cannot go on" \
		"$((bytes > 0 && bytes < 48 * 1048576))" 1
	kib=$(sed -n 's/^RssAnon:[^0-9]*\([0-9]*\) kB/\1/p' \
		"/proc/$(session_pid)/status")
	[ -n "${SANITIZE:-}" ] || is "stalled: less than 12 MiB are held" \
		"$((${kib:-0} > 0 && kib < 12288))" 1
	echo go >"$work/go"
	wait "$reader"
	is "stalled: all of it comes" "$(cat "$work/out")" "$((mib * 1048576))"
}

test_huge() {
	local mib=${SGB_HUGE_MIB:-192} want got bytes

	bytes=$((mib * 1048576))
	conf
	want=$(head -c "$bytes" /dev/zero | openssl enc -aes-128-ctr \
		-K 0123456789abcdef0123456789abcdef -iv 00 2>/dev/null | sum)
	got=$(timeout 900 ssh -F "$work/ssh_config" -o RekeyLimit=64M \
		$through "head -c $bytes /dev/zero | openssl enc -aes-128-ctr \
		-K 0123456789abcdef0123456789abcdef -iv 00 2>/dev/null" \
		</dev/null | sum)
	is "huge: $mib MiB down, same bytes" "$got" "$want"
	like "huge: counted in 64 bits" "$(log)" \
		"^report 1 channel-closed 0 $bytes "
	conf
	got=$(head -c "$bytes" /dev/zero | openssl enc -aes-128-ctr \
		-K 0123456789abcdef0123456789abcdef -iv 00 2>/dev/null |
		timeout 900 ssh -F "$work/ssh_config" -o RekeyLimit=64M \
			$through "sha256sum | cut -d' ' -f1")
	is "huge: $mib MiB up, same bytes" "$got" "$want"
	like "huge: counted in 64 bits, up" "$(log)" \
		"^report 1 channel-closed $bytes "
}
