# Sourced by relay.sh: a private sshd, agent and scripted monitor in a temporary
# folder, and how results are told.
# shellcheck shell=bash disable=SC2034,SC2154,SC2119,SC2120

# shellcheck source=tests/sshd.sh
. "${BASH_SOURCE[0]%/*}/../sshd.sh"
work=$(mktemp -d /tmp/sgb-relay.XXXXXX) || exit 1
chmod 755 "$work"
pids=()
passed=0
failed=0
made_run=

cleanup() {
	local pid

	for pid in "${pids[@]}"; do
		kill "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	[ -n "$made_run" ] && rmdir /run/sshd
	rm -rf "$work"
}
trap cleanup EXIT

ok() {
	passed=$((passed + 1))
	echo "ok - $1"
}

not_ok() {
	failed=$((failed + 1))
	echo "not ok - $1"
	printf '%s\n' "${2:-}" | head -20 | while IFS= read -r line; do
		printf '#	%s\n' "$line"
	done
}

is() { # name, got, wanted
	if [ "$2" = "$3" ]; then
		ok "$1"
	else
		not_ok "$1" "got: $2
wanted: $3"
	fi
}

like() { # name, text, regular expression
	if grep -Eq -- "$3" <<<"$2"; then
		ok "$1"
	else
		not_ok "$1" "no match for: $3
in: $(tail -12 <<<"$2")"
	fi
}

unlike() {
	if grep -Eq -- "$3" <<<"$2"; then
		not_ok "$1" "match for: $3"
	else
		ok "$1"
	fi
}

free_port() {
	local port

	while :; do
		port=$((20000 + RANDOM % 20000))
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null ||
			break
	done
	echo "$port"
}

has_size() { [ "$(stat -c %s "$1")" -eq "$2" ]; }

# Until a command succeeds.
wait_for() {
	local i

	for ((i = 0; i < 200; i++)); do
		"$@" && return 0
		read -rt 0.05 <> <(:)
	done
	return 1
}

wait_port() {
	local i

	for ((i = 0; i < 200; i++)); do
		(exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return 0
		read -rt 0.05 <> <(:)
	done
	return 1
}

setup() {
	local key

	if [ ! -d /run/sshd ]; then
		mkdir -m 755 /run/sshd && made_run=1
	fi
	cc -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Ibastion ${SANITIZE:+-fsanitize=$SANITIZE} \
		-o "$work/fake_monitor" tests/session/fake_monitor.c \
		tests/session/fake_requests.c \
		"$BUILD/bastion/private_key.o" "$BUILD/bastion/privkey.o" \
		"$BUILD/libsgb.a" -lcrypto ||
		exit 1
	mkdir -m 755 "$work/empty" "$work/d" "$work/bin"
	cp "$BUILD/sgbridge-session" "$work/session"
	for key in hostkey target-key wrong-key ca user robot; do
		ssh-keygen -q -t ed25519 -N '' -C "$key" -f "$work/$key"
	done
	ssh-keygen -q -s "$work/ca" -I test -n "$login" -V +1d "$work/user.pub"
	SSH_AUTH_SOCK=$work/agent.sock
	export SSH_AUTH_SOCK
	ssh-agent -D -a "$SSH_AUTH_SOCK" >/dev/null 2>&1 &
	pids+=($!)
	until ssh-add -q "$work/user" 2>/dev/null; do kill -0 $! || exit 1; done
	rm "$work/user-cert.pub"
	start_sshd
	conf
	monitor_port=$(free_port)
	"$work/fake_monitor" "$monitor_port" "$work" >"$work/monitor.out" &
	pids+=($!)
	wait_port "$monitor_port" || exit 1
	cat >"$work/askpass" <<-'END'
		#!/bin/sh
		cat "${0%/*}/code"
	END
	chmod 755 "$work/askpass"
	echo 123456 >"$work/code"
	export SSH_ASKPASS=$work/askpass SSH_ASKPASS_REQUIRE=force
	cat >"$work/ssh_config" <<-END
		Host *
		  StrictHostKeyChecking no
		  UserKnownHostsFile /dev/null
		  GlobalKnownHostsFile /dev/null
		  IdentityFile $work/user
		  IdentitiesOnly yes
		  IdentityAgent none
		  LogLevel ERROR
		  Port $monitor_port
		  ${SGB_CIPHERS:+Ciphers $SGB_CIPHERS}
		Host web1 jump1
		  HostName 127.0.0.1
	END
}

# SHLVL: a bash that sshd starts is not to read the tester's own .bashrc.
start_sshd() {
	target_port=$(free_port)
	cat >"$work/sshd_config" <<-END
		Port $target_port
		ListenAddress 127.0.0.1
		HostKey $work/target-key
		PidFile none
		UsePAM no
		PermitRootLogin prohibit-password
		PasswordAuthentication no
		AuthorizedKeysFile none
		TrustedUserCAKeys $work/ca.pub
		AcceptEnv LC_* SGB_*
		X11Forwarding yes
		AllowStreamLocalForwarding yes
		SetEnv PATH=$work/bin:/usr/bin:/bin SHLVL=2
		MaxSessions 64
		RekeyLimit 3M
		Subsystem sftp internal-sftp
		$(sshd_no_penalties)
	END
	/usr/sbin/sshd -D -f "$work/sshd_config" -E "$work/sshd.log" &
	pids+=($!)
	wait_port "$target_port" || exit 1
}

fp() { ssh-keygen -lf "$1" | awk '{print $2}'; }

conf() { # further lines for this test
	{
		echo "target-port=$target_port"
		echo "login=$login"
		echo "agent=$SSH_AUTH_SOCK"
		echo "pin=$(fp "$work/target-key.pub")"
		# By hand: all of this over the other way.
		[ -z "${SGB_FAST:-}" ] || echo "fast-ciphers=$SGB_FAST"
		[ $# -eq 0 ] || printf '%s\n' "$@"
	} >"$work/conf"
	rm -f "$work/log" "$work"/recorded.*
	: >"$work/log"
}

# What the monitor and the recorder saw, once the session is over.
log() {
	local i

	for ((i = 0; i < 200; i++)); do
		grep -q "^session exit" "$work/log" && break
		read -rt 0.05 <> <(:)
	done
	cat "$work/log"
}

gw() { timeout 60 ssh -F "$work/ssh_config" "$@" 2>"$work/stderr" </dev/null; }
gwi() { timeout 60 ssh -F "$work/ssh_config" "$@" 2>"$work/stderr"; }

through=alice+web1@127.0.0.1
sum() { sha256sum | cut -d' ' -f1; }
