# The laboratory: a client, a bastion and instances as hosts of their own, each
# a network namespace that this script made. Sourced by the end-to-end tests,
# the demo and the benchmark; nothing of the host is changed, and lab_down
# takes everything away again.
#
#   client 203.0.113.9 (office), 192.0.2.66 (elsewhere), 203.0.113.7 (robots)
#     |
#   bastion 203.0.113.1:30022, SG_Bridge, 10.0.1.1 and 10.0.2.1
#     |                    |
#   web1 10.0.1.11:22    db1 10.0.2.21:22
#
# shellcheck shell=bash disable=SC2034

LAB_OPS_UID=64201
LAB_SESSION_USER=64301:64301
LAB_RECORDER_USER=64302:64302
LAB_PIDS=()
lab_tag=sgb$$
# shellcheck source=tests/sshd.sh
. "${BASH_SOURCE[0]%/*}/../sshd.sh"

# Bounded waiting for a condition, without sleeping for a guessed time.
wait_for() {
	local tries=200
	until "$@" >/dev/null 2>&1; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || {
			echo "lab: gave up waiting for: $*" >&2
			return 1
		}
		read -rt 0.05 <> <(:) || true
	done
}

in_ns() {
	local ns=$1
	shift
	ip netns exec "$lab_tag-$ns" "$@"
}

# Starts a program in the background and remembers its pid.
lab_start() {
	local log=$1
	shift
	"$@" >"$log" 2>&1 </dev/null &
	LAB_LAST=$!
	LAB_PIDS+=("$LAB_LAST")
	# The shell has nothing to say about how they end.
	disown "$LAB_LAST"
}

lab_network() {
	local ns
	for ns in client bastion web1 db1; do
		ip netns add "$lab_tag-$ns"
		in_ns "$ns" ip link set lo up
	done
	ip link add c0 netns "$lab_tag-client" type veth \
		peer name c0 netns "$lab_tag-bastion"
	ip link add w0 netns "$lab_tag-web1" type veth \
		peer name w0 netns "$lab_tag-bastion"
	ip link add d0 netns "$lab_tag-db1" type veth \
		peer name d0 netns "$lab_tag-bastion"
	lab_address client c0 203.0.113.9/24 203.0.113.7/24 192.0.2.66/24 \
		2001:db8:7::9/64
	lab_address bastion c0 203.0.113.1/24 192.0.2.1/24 2001:db8:7::1/64
	lab_address bastion w0 10.0.1.1/24
	lab_address bastion d0 10.0.2.1/24
	lab_address web1 w0 10.0.1.11/24
	lab_address db1 d0 10.0.2.21/24
}

lab_address() {
	local ns=$1 link=$2 address
	shift 2
	in_ns "$ns" ip link set "$link" up
	for address; do
		in_ns "$ns" ip address add "$address" dev "$link" nodad \
			2>/dev/null ||
			in_ns "$ns" ip address add "$address" dev "$link"
	done
}

# An instance: Debian's own sshd, with its own users, that trusts the
# bastion's CA and nobody else.
lab_instance() {
	local name=$1 address=$2 dir=$LAB/$1
	mkdir -p "$dir/home" "$dir/run"
	chown "$LAB_OPS_UID:$LAB_OPS_UID" "$dir/home"
	ssh-keygen -q -t ed25519 -N '' -f "$dir/hostkey" -C "$name"
	cat >"$dir/passwd" <<-END
		root:x:0:0:root:/root:/bin/bash
		sshd:x:64200:65534::/run/sshd:/usr/sbin/nologin
		ops:x:$LAB_OPS_UID:$LAB_OPS_UID::$dir/home:/bin/bash
		deploy:x:64202:$LAB_OPS_UID::$dir/home:/bin/bash
		nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin
	END
	printf 'root:x:0:\nops:x:%s:\nnogroup:x:65534:\ntty:x:5:\n' \
		"$LAB_OPS_UID" >"$dir/group"
	printf 'root:*:19000::::::\nops:*:19000::::::\ndeploy:*:19000::::::\nnobody:!*:19000::::::\n' \
		>"$dir/shadow"
	cat >"$dir/sshd_config" <<-END
		ListenAddress $address:22
		HostKey $dir/hostkey
		PidFile none
		UsePAM no
		AuthorizedKeysFile ${LAB_SSHD_KEYS:+$LAB/}${LAB_SSHD_KEYS:-none}
		StrictModes no
		PasswordAuthentication no
		KbdInteractiveAuthentication no
		TrustedUserCAKeys $LAB/user_ca.pub
		AcceptEnv LANG LC_*
		Subsystem sftp internal-sftp
		MaxStartups 200
		MaxSessions 100
		LogLevel VERBOSE
		$(sshd_no_penalties)
	END
	lab_start "$dir/sshd.log" ip netns exec "$lab_tag-$name" \
		unshare -m --propagation private sh -ec "
		mount --bind '$dir/passwd' /etc/passwd
		mount --bind '$dir/group' /etc/group
		mount --bind '$dir/shadow' /etc/shadow
		mount -t tmpfs tmpfs /run
		mount -t tmpfs tmpfs /var/log
		mkdir -p /run/sshd
		exec /usr/sbin/sshd -D -e -f '$dir/sshd_config'"
}

lab_port_open() {
	in_ns bastion bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null
}

lab_keys() {
	ssh-keygen -q -t ed25519 -N '' -C bastion -f "$LAB/host_key"
	ssh-keygen -q -t ed25519 -N '' -C user-ca -f "$LAB/user_ca"
	ssh-keygen -q -t ed25519 -N '' -C stranger -f "$LAB/users/stranger"
	"$BUILD/sgbridge-otp" -c "$LAB/sgbridge.conf" master-key \
		-o "$LAB/master.key" >/dev/null 2>&1
	"$BUILD/sgbridge-audit" keygen -o "$LAB/auditor.key" \
		>"$LAB/keygen.out" 2>/dev/null
	grep '^x25519 ' "$LAB/keygen.out" >"$LAB/recipients"
	"$BUILD/sgbridge-audit" writer-keygen -o "$LAB/recorder_key" \
		>/dev/null 2>&1
}

# lab_user NAME: a key pair, and its public half where the bastion looks.
lab_user() {
	ssh-keygen -q -t ed25519 -N '' -C "$1" -f "$LAB/users/$1"
	install -m 0644 "$LAB/users/$1.pub" "$LAB/authorized_keys/$1"
}

# lab_enrol NAME: a second factor; its secret for the client's side.
lab_enrol() {
	"$BUILD/sgbridge-otp" -c "$LAB/sgbridge.conf" enrol "$1" --json \
		--no-confirm | sed -n 's/.*"secret": *"\([A-Z2-7]*\)".*/\1/p' \
		>"$LAB/users/$1.secret"
	[ -s "$LAB/users/$1.secret" ]
}

lab_conf() {
	install -d -m 0755 "$LAB/authorized_keys" "$LAB/empty" "$LAB/pam.d"
	install -d -m 0700 "$LAB/otp" "$LAB/users"
	cat >"$LAB/sgbridge.conf" <<-END
		listen            203.0.113.1:30022 [2001:db8:7::1]:30022
		host-key          $LAB/host_key
		policy            $LAB/policy.conf
		authorized-keys   $LAB/authorized_keys
		user-ca           $LAB/user_ca
		pam-directory     $LAB/pam.d
		session-user      $LAB_SESSION_USER
		recorder-user     $LAB_RECORDER_USER
		empty-root        $LAB/empty
		program-directory $BUILD
		control-socket    $LAB/control
		recorder-socket   $LAB/recorder
		recordings        $LAB/recordings
		events            $LAB/events
		recipients        $LAB/recipients
		signing-key       $LAB/recorder_key
		writer-name       lab
		disk-reserve      1M
		master-key        $LAB/master.key
		otp-directory     $LAB/otp
		locks             $LAB/locks
		policy-mark       $LAB/policy.mark
		penalty-exempt    203.0.113.0/24 2001:db8:7::/64
		max-startups-per-source 200
		audit             ${LAB_AUDIT:-try}
		${LAB_CONF_EXTRA:-}
	END
	cat >"$LAB/pam.d/sgbridge" <<-END
		auth    requisite $BUILD/pam_sgbridge.so conf=$LAB/sgbridge.conf proxy
		account requisite $BUILD/pam_sgbridge.so conf=$LAB/sgbridge.conf proxy
		session requisite $BUILD/pam_sgbridge.so conf=$LAB/sgbridge.conf proxy
	END
}

lab_fingerprint() {
	ssh-keygen -lf "$1" | cut -d' ' -f2
}

lab_policy() {
	cat >"$LAB/policy.conf" <<-END
		network office  203.0.113.9/32, 2001:db8:7::/64
		group   SysAdmins alice, bob
		group   Robots    robot

		security-group SG_Bridge {
		 	instance jump1 10.0.1.1
		}
		security-group SG_Current {
		 	instance web1 10.0.1.11 { host-key $(lab_fingerprint "$LAB/web1/hostkey.pub"); login ops }
		 	accept tcp 22 from SG_Bridge priority 1
		}
		security-group SG_Database {
		 	instance db1 10.0.2.21 { host-key ${LAB_DB_PIN:-SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA}; login ops }
		 	accept tcp 22 from SG_Bridge priority 1
		}

		permit SysAdmins from office to SG_Current, SG_Database as ops {
		 	mfa   always
		 	allow shell, exec, sftp, scp, rsync
		}
		permit Robots from 203.0.113.7 to SG_Current, SG_Database as ops, deploy {
		 	mfa   never
		 	allow shell, exec, sftp, scp, rsync
		}
		${LAB_POLICY_EXTRA:-}
	END
	chmod 0644 "$LAB/policy.conf"
}

lab_daemons() {
	# The pids are for the tests that source this.
	lab_start "$LAB/recorder.log" ip netns exec "$lab_tag-bastion" \
		"$BUILD/sgbridge-recorder" -e -c "$LAB/sgbridge.conf"
	LAB_RECORDER=$LAB_LAST
	wait_for test -S "$LAB/recorder"
	lab_start "$LAB/bastion.log" ip netns exec "$lab_tag-bastion" \
		"$BUILD/sgbridged" -e -c "$LAB/sgbridge.conf"
	LAB_BASTION=$LAB_LAST
	wait_for test -S "$LAB/control" || {
		sed "s,^,# ," "$LAB/bastion.log" >&2
		return 1
	}
}

# What the client's machine knows: the bastion's key under its own name and,
# since it answers for them, under the instances' names.
lab_client() {
	local key
	key=$(cut -d' ' -f1,2 "$LAB/host_key.pub")
	printf '%s %s\n' "[203.0.113.1]:30022,web1,db1,sgbridge" "$key" \
		>"$LAB/known_hosts"
	cat >"$LAB/ssh_config" <<-END
		Host *
		  UserKnownHostsFile $LAB/known_hosts
		  GlobalKnownHostsFile none
		  StrictHostKeyChecking yes
		  IdentitiesOnly yes
		  LogLevel ERROR
		  ConnectTimeout 20
		  HashKnownHosts no
		Host bastion
		  HostName 203.0.113.1
		  Port 30022
	END
	cat >"$LAB/askpass" <<-'END'
		#!/bin/sh
		if [ -n "$LAB_CODE" ]; then
			echo "$LAB_CODE"
		else
			oathtool --totp -b - <"$LAB_SECRET"
		fi
	END
	chmod 0755 "$LAB/askpass"
}

# lab_ssh USER FROM ARGS...: the stock client as USER with its key, from an
# address of the client host; answers prompts with the code of its secret, or
# with LAB_CODE.
lab_ssh() {
	lab_client_run ssh "$@"
}

lab_client_run() {
	local program=$1 user=$2 from=$3
	shift 3
	LAB_SECRET=$LAB/users/$user.secret LAB_CODE=${LAB_CODE:-} \
		SSH_ASKPASS=$LAB/askpass SSH_ASKPASS_REQUIRE=force DISPLAY=:0 \
		in_ns client timeout 60 "$program" -F "$LAB/ssh_config" \
		-o "BindAddress=$from" -i "$LAB/users/$user" "$@"
}

lab_up() {
	BUILD=$(cd "${BUILD:-build}" && pwd)
	LAB=$(mktemp -d "${TMPDIR:-/tmp}/sgbridge-lab.XXXXXX")
	chmod 0711 "$LAB"
	trap lab_down EXIT
	trap 'exit 130' INT TERM
	lab_network
	lab_conf
	lab_keys
	lab_instance web1 10.0.1.11
	lab_instance db1 10.0.2.21
	lab_policy
	lab_client
	lab_user alice
	lab_user bob
	lab_user robot
	lab_enrol alice && lab_enrol bob || {
		echo 'lab: no second factor can be enrolled' >&2
		return 1
	}
	wait_for lab_port_open 10.0.1.11 22
	wait_for lab_port_open 10.0.2.21 22
	lab_daemons
}

lab_down() {
	local pid ns
	trap - EXIT
	for pid in "${LAB_PIDS[@]}"; do
		kill "$pid" 2>/dev/null
	done
	# Sessions outlive their daemon by design; here they end with the lab.
	# shellcheck disable=SC2086
	for ns in client bastion web1 db1 ${LAB_MORE_NS:-}; do
		for pid in $(ip netns pids "$lab_tag-$ns" 2>/dev/null); do
			kill -KILL "$pid" 2>/dev/null
		done
		ip netns del "$lab_tag-$ns" 2>/dev/null
	done
	wait 2>/dev/null
	[ -n "${LAB_KEEP:-}" ] || rm -rf "$LAB"
}

# ok NAME COMMAND...: one test case.
PASSED=0 FAILED=0
ok() {
	local name=$1
	shift
	if "$@"; then
		PASSED=$((PASSED + 1))
		echo "ok $name"
	else
		FAILED=$((FAILED + 1))
		echo "not ok $name"
	fi
}

# Programs built with sanitizers speak up in their logs.
lab_clean_logs() {
	! grep -hE -A12 'ERROR: (Address|Leak)Sanitizer|runtime error:' \
		"$LAB"/*.log
}

lab_summary() {
	ok "no sanitizer report in any log" lab_clean_logs
	echo "$PASSED passed, $FAILED failed"
	[ "$FAILED" -eq 0 ]
}
