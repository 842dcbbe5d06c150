# Sourced by relay.sh: clients and targets that mean ill (hostile.py,
# hostile_target.py).
# shellcheck shell=bash disable=SC2154

hostile() { # case
	conf "${@:2}"
	hostile_client "$1"
}

hostile_client() { # case
	timeout 60 /usr/bin/python3 tests/session/hostile.py "$monitor_port" \
		"$work/user" robot+web1 "$1" "$work/log" 2>"$work/stderr" |
		tail -1
}

test_hostile() {
	local out

	is "hostile: none lists publickey alone" "$(hostile methods)" publickey
	is "hostile: password lists publickey alone" "$(hostile password)" \
		publickey
	is "hostile: a probe is no proof" "$(hostile probe)" refused
	out=$(log)
	like "hostile: a probe is put as one" "$out" 'proved=0'
	unlike "hostile: and never as a proof" "$out" 'proved=1|^gate'
	is "hostile: success from the client" "$(hostile success)" refused
	is "hostile: the user may not change" "$(hostile user_change)" cut
	is "hostile: authentication before its service" "$(hostile early)" cut
	is "hostile: other services" "$(hostile service)" cut
	is "hostile: flood before login" "$(hostile preauth_flood)" cut
	like "hostile: tries are counted" "$(hostile tries)" 'cut after [56]$'
	like "hostile: login once only" "$(hostile second_login)" \
		"^(still $login|cut)$"
	is "hostile: channels are counted" "$(hostile channels)" "opened 16"
	is "hostile: other channel types" "$(hostile types)" "refused 6"
	is "hostile: remote forward" "$(hostile remote_forward)" refused
	like "hostile: unfinished rekey" "$(hostile rekey)" '^cut'
	is "hostile: windows of one byte" "$(hostile one_byte_window)" "same 0"
	is "hostile: packets of one byte" \
		"$(hostile one_byte_packets record-input=1)" same
	out=$(log)
	is "hostile: each of them recorded" \
		"$(stat -c %s "$work/recorded.in")" 20000
	is "hostile: in fewer items than there were packets" \
		"$(($(grep -c '^record 1 in ' <<<"$out") < 10000))" 1
	[ -n "${SANITIZE:-}" ] || is "hostile: and in bounded memory" \
		"$(sed -n 's/^session exit .*memory \([0-9]*\) KiB/\1/p' \
			<<<"$out" | awk '{ print ($1 < 65536) }')" 1
	is "hostile: window wrapped" "$(hostile window)" bounded
	# libssh 0.11 and newer drop it; ours cuts
	like "hostile: beyond the window" "$(hostile beyond_window)" \
		'^(cut|alive)$'
	is "hostile: request flood" "$(hostile requests)" cut
	is "hostile: packet size 0" "$(hostile packet_zero)" cut
	like "hostile: odd messages" "$(hostile odd_messages)" '^(fine|cut)$'
	is "hostile: long command" "$(hostile long_command)" refused
	is "hostile: keepalives" "$(hostile globals)" fine
	out=$(log)
	like "hostile: and none of it crashed" "$out" '^session exit 0'
}

# The recorder waits for its disk: a disk that is full passes nothing on.
test_waits() {
	is "waits: no remote forward passes, nor its end; then both do" \
		"$(hostile waits_forward recorder-waits=STALLNOW)" \
		"meanwhile 0 False True then 1 True"
	is "waits: a window that is dragged is one message, the last" \
		"$(hostile waits_resize recorder-waits=STALLNOW)" \
		"alive [b'there']"
}

# A connection to a server that means ill: its pid is $target_pid.
start_target() { # case, further lines
	rm -f "$work/port"
	/usr/bin/python3 tests/session/hostile_target.py "$work/target-key" \
		"$1" >"$work/port" 2>"$work/target.err" &
	target_pid=$!
	until [ -s "$work/port" ] 2>/dev/null; do
		kill -0 "$target_pid" || return 1
		read -rt 0.05 <> <(:)
	done
	conf "${@:2}"
	sed -i "s/^target-port=.*/target-port=$(cat "$work/port")/" \
		"$work/conf"
}

stop_target() {
	kill "$target_pid" 2>/dev/null
	wait "$target_pid" 2>/dev/null
}

# What ssh printed is in $work/out.
target() { # case
	local status target_pid

	start_target "$1" keepalive=1 "${waits[@]}" || return 1
	gw robot+web1@127.0.0.1 x >"$work/out"
	status=$?
	stop_target
	return $status
}

# Whoever does not read what he asked for, and a target that is gone: the
# session waits, and does not spin.
test_deaf() {
	local target_pid

	is "deaf: a client before its login" "$(hostile deaf_before)" rests
	is "deaf: a client, which goes on when it reads" "$(hostile deaf)" \
		"rests, fine"
	start_target deaf
	is "deaf: a target" "$(hostile_client target_rests)" rests
	stop_target
	start_target closes
	is "deaf: a client whose target is gone" \
		"$(hostile_client target_rests)" rests
	stop_target
}

# stalls CASE WAIT PHASE: only the phase that it is about can be the one.
stalls() {
	local waits=("$2=1")

	target "$1"
	is "target $1: status" $? 255
	like "target $1: clear text" "$(cat "$work/stderr")" \
		'web1 did not answer in time .reference'
	like "target $1: reported" "$(log)" \
		"failed 0 0 the target did not answer in time .$3.\$"
}

test_target() {
	local waits=(timeout=2) out

	stalls silent banner-timeout banner
	stalls half_banner banner-timeout banner
	stalls no_kex kex-timeout 'key exchange'
	stalls slow_auth auth-timeout authentication
	stalls slow_auth timeout 'authentication, target-timeout'
	waits=(open-timeout=1)
	target slow_open
	is "target slow_open: status" $? 255
	like "target slow_open: clear text" "$(cat "$work/stderr")" \
		'did not open the channel in time'
	like "target slow_open: reported" "$(log)" \
		'failed 0 0 the target did not open the channel in time'
	waits=(timeout=2)
	target refuse
	is "target refuses the login: status" $? 255
	like "target refuses the login: reported" "$(log)" 'report 0 failed'
	target channels
	is "target opens channels: cut" $? 255
	like "target opens channels: reported" "$(log)" \
		'anomaly .*too many channels'
	target beyond_window
	is "target ignores the window: cut or held" $? 255
	target exit_signal
	is "target exit-signal: status" $? 255
	is "target exit-signal: output" "$(cat "$work/out")" bye
	like "target exit-signal: recorded" "$(log)" 'exit-signal .*SEGV'
	target reset
	is "target resets: status" $? 255
	is "target resets: what came is delivered" "$(cat "$work/out")" some
	like "target resets: text" "$(cat "$work/stderr")" \
		'connection to web1 has ended'
	target banner
	is "target with a long banner: output" "$(cat "$work/out")" fine
	target same_hostkey
	is "target exchanges keys anew: output" "$(cat "$work/out")" behind
	target other_hostkey
	is "target shows another host key then: status" $? 255
	like "target shows another host key then: text" \
		"$(cat "$work/stderr")" 'the host key of web1 has changed'
	like "target shows another host key then: reported" "$(log)" \
		'anomaly .*changed its host key'
	target globals
	like "target asks 60,000 times: cut, or it goes on" \
		"$? $(cat "$work/out")" '^(255 .*|0 fine)$'
	out=$(log)
	[ -n "${SANITIZE:-}" ] || is "target asks: and nothing is kept of it" \
		"$(sed -n 's/^session exit .*memory \([0-9]*\) KiB/\1/p' \
			<<<"$out" | awk '{ print ($1 < 32768) }')" 1
	target twice
	is "target closes twice: first status counts" $? 3
	is "target closes twice: output" "$(cat "$work/out")" once
	like "target: no crash" "$(log)" '^session exit 0 signal 0'
}

# Other people's clients, as far as they are installed.
test_putty() {
	local key

	command -v plink >/dev/null || return 0
	conf
	key=$(fp "$work/hostkey.pub")
	puttygen "$work/user" -O private -o "$work/user.ppk" 2>/dev/null
	set -- -batch -hostkey "$key" -i "$work/user.ppk" -P "$monitor_port"
	head -c 2000000 /dev/urandom >"$work/big"
	timeout 60 plink "$@" robot+web1@127.0.0.1 'echo out; exit 6' \
		>"$work/out" 2>"$work/stderr"
	is "plink: status" $? 6
	is "plink: output" "$(cat "$work/out")" out
	timeout 60 pscp -q "$@" "$work/big" "robot+web1@127.0.0.1:$work/d/p1" \
		>"$work/stderr" 2>&1
	is "pscp: same bytes" "$(sum <"$work/d/p1")" "$(sum <"$work/big")"
	timeout 60 pscp -scp -q "$@" "robot+web1@127.0.0.1:$work/d/p1" \
		"$work/p2" >"$work/stderr" 2>&1
	is "pscp -scp: same bytes" "$(sum <"$work/p2")" "$(sum <"$work/big")"
	printf 'put %s\nquit\n' "$work/big $work/d/p3" |
		timeout 60 psftp "$@" robot+web1@127.0.0.1 >"$work/out" 2>&1
	is "psftp: same bytes" "$(sum <"$work/d/p3")" "$(sum <"$work/big")"
}

test_dropbear() {
	command -v dbclient >/dev/null || return 0
	conf
	dropbearconvert openssh dropbear "$work/user" "$work/user.db" \
		>/dev/null 2>&1
	head -c 2000000 /dev/urandom >"$work/big"
	timeout 60 dbclient -y -y -i "$work/user.db" -p "$monitor_port" \
		robot+web1@127.0.0.1 'cat; exit 4' <"$work/big" >"$work/out" \
		2>"$work/stderr"
	is "dbclient: status" $? 4
	is "dbclient: same bytes" "$(sum <"$work/out")" "$(sum <"$work/big")"
}

# Dropbear as the instance. It knows no certificates, so the agent's plain key
# is in a home of its own, in its own view of the password file.
test_dropbear_target() {
	local port dir=$work/dropbear want got

	command -v dropbear >/dev/null || return 0
	mkdir -p "$dir/home/.ssh"
	chmod 755 "$dir" "$dir/home" "$dir/home/.ssh"
	install -m 600 "$work/user.pub" "$dir/home/.ssh/authorized_keys"
	printf '%s:x:%s:%s::%s:/bin/bash\n' "$login" "$(id -u)" "$(id -g)" \
		"$dir/home" >"$dir/passwd"
	dropbearkey -t ed25519 -f "$dir/key" >"$dir/key.out" 2>&1
	grep '^ssh-' "$dir/key.out" >"$dir/key.pub"
	port=$(free_port)
	unshare -m --propagation private sh -ec "
		mount --bind '$dir/passwd' /etc/passwd
		exec dropbear -F -E -p 127.0.0.1:$port -r '$dir/key' \
			-P '$dir/pid'" >"$dir/log" 2>&1 &
	pids+=($!)
	wait_port "$port" || return
	conf "pin=$(fp "$dir/key.pub")"
	sed -i "s/^target-port=.*/target-port=$port/" "$work/conf"
	gw $through 'echo out; echo err >&2; exit 7' >"$work/out"
	is "dropbear as target: status" $? 7
	is "dropbear as target: output" "$(cat "$work/out")" out
	like "dropbear as target: errors" "$(cat "$work/stderr")" err
	head -c 3000000 /dev/urandom >"$work/big"
	want=$(sum <"$work/big")
	gwi -o RekeyLimit=1M $through cat <"$work/big" >"$work/out"
	is "dropbear as target: both ways, with rekeys" \
		"$(sum <"$work/out")" "$want"
	is "dropbear as target: half-close" \
		"$(printf 'b\na\n' | gwi $through sort | tr -d '\n')" ab
	gw $through 'kill -TERM $$'
	is "dropbear as target: exit signal" $? 255
	printf 'put %s up\nget up %s\n' "$work/big" "$work/down" |
		timeout 60 sftp -q -b - -F "$work/ssh_config" \
			robot+web1@127.0.0.1 >/dev/null 2>"$work/stderr"
	is "dropbear as target: sftp" "$(sum <"$work/down")" "$want"
	got=$(timeout 60 scp -q -O -F "$work/ssh_config" "$work/big" \
		"$through:scp" 2>"$work/stderr" && sum <"$dir/home/scp")
	is "dropbear as target: scp" "$got" "$want"
	# At the end of input newer ones close the terminal: keep it open.
	mkfifo "$dir/hold"
	# shellcheck disable=SC2016 # for the target's shell
	is "dropbear as target: a terminal" "$(timeout 60 ssh -tt \
		-F "$work/ssh_config" $through 'tty >/dev/null && echo yes' \
		2>/dev/null 0<>"$dir/hold" | tr -d '\r')" yes
}

test_tools() {
	local rsh="ssh -F $work/ssh_config"

	conf
	if command -v rsync >/dev/null; then
		timeout 60 rsync -a -e "$rsh" bastion/ \
			"robot+web1@127.0.0.1:$work/d/tree/" 2>"$work/stderr"
		is "rsync: status" $? 0
		is "rsync: same tree" "$(diff -r bastion "$work/d/tree")" ""
		like "rsync: payload not kept" "$(log)" 'record 1 totals'
	fi
	conf
	git init -q --bare "$work/d/repo.git"
	git init -q "$work/tree"
	cp Makefile "$work/tree/"
	git -C "$work/tree" add Makefile
	git -C "$work/tree" -c user.name=a -c user.email=a@b commit -qm one
	GIT_SSH_COMMAND=$rsh timeout 60 git -C "$work/tree" push -q \
		"robot+web1@127.0.0.1:$work/d/repo.git" HEAD:main \
		2>"$work/stderr"
	is "git push: status" $? 0
	GIT_SSH_COMMAND=$rsh timeout 60 git clone -q -b main \
		"robot+web1@127.0.0.1:$work/d/repo.git" "$work/clone" \
		2>"$work/stderr"
	is "git clone: status" $? 0
	is "git: same file" "$(sum <"$work/clone/Makefile")" \
		"$(sum <"$work/tree/Makefile")"
}
