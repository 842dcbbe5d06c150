#!/bin/bash
# Host certificates on the way: a CA of known-hosts vouches for jump hosts and
# for what is behind them just as for an instance that is reached directly, by
# the same judgement, over a second connection by the same way.
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=${1:-build}
# shellcheck source=tests/e2e/lab.sh
. "$here/lab.sh"
# shellcheck source=tests/e2e/far.sh
. "$here/far.sh"

# far1 and far2 hang behind web1 and, in a row, behind far1.
LAB_MORE_NS='far1 far2'
declare -A pids
eval "$(declare -f lab_instance | sed '1s/lab_instance/lab_one_instance/')"
lab_instance() {
	lab_one_instance "$@"
	pids[$1]=$LAB_LAST
	wait_for grep -q 'listening on' "$LAB/$1/sshd.log"
	echo "HostCertificate $LAB/$1/hostkey-cert.pub" >>"$LAB/$1/sshd_config"
}
# No pins: the CA is all there is.
eval "lab_usual_$(declare -f lab_policy)"
lab_policy() {
	lab_usual_lab_policy
	sed -i -e 's/host-key SHA256:[A-Za-z0-9+\/]*;//' \
		-e "s/instance web1 10/instance web1 ${WEB1_FIRST:-}10/" \
		"$LAB/policy.conf"
	cat >>"$LAB/policy.conf" <<-END
		security-group SG_Far {
		 	via web1
		 	instance far1 ${FAR1_FIRST:-}10.9.1.2 { login ops }
		 	accept tcp 22 from SG_Current priority 1
		}
		security-group SG_Farther {
		 	via far1
		 	instance far2 10.9.2.2 { login ops }
		 	accept tcp 22 from SG_Far priority 1
		}
		permit Robots from 203.0.113.7 to SG_Far, SG_Farther as ops {
		 	mfa   never
		 	allow shell, exec
		}
	END
}
eval "$(declare -f lab_keys | sed '1s/lab_keys/lab_all_keys/')"
lab_keys() {
	lab_all_keys
	ssh-keygen -q -t ed25519 -N '' -C host_ca -f "$LAB/host_ca"
	mkdir -m 0700 "$LAB/certs"
	echo "@cert-authority * $(cut -d' ' -f1,2 "$LAB/host_ca.pub")" \
		>"$LAB/known"
}
eval "$(declare -f lab_conf | sed '1s/lab_conf/lab_usual_conf/')"
lab_conf() {
	export LAB_CONF_EXTRA="known-hosts $LAB/known
host-certificates $LAB/certs
cert-source 10.0.1.0/24"
	lab_usual_conf
}
lab_up || exit 1
far_network
lab_address far1 f1 10.9.1.3/24
lab_address web1 w0 10.0.1.12/24
lab_instance far1 10.9.1.2
lab_instance far2 10.9.2.2

# certify NAME WORDS: its sshd shows another certificate from now on.
certify() {
	local count
	count=$(grep -c 'listening on' "$LAB/$1/sshd.log")
	ssh-keygen -q -s "$LAB/host_ca" -I "host_ca $1" -h "${@:2}" \
		"$LAB/$1/hostkey.pub"
	kill -HUP "${pids[$1]}"
	wait_for eval \
		"[ \"\$(grep -c 'listening on' '$LAB/$1/sshd.log')\" -gt $count ]"
}
robot() {
	lab_ssh robot 203.0.113.7 "robot+ops@$1@bastion" "${@:2}" </dev/null
}
gets_in() {
	[ "$(robot "$1" 'echo "$USER"; echo IN' 2>"$LAB/err")" = "ops
IN" ] && return
	sed 's/^/# /' "$LAB/err"
	return 1
}
refused() {
	! robot "$1" true 2>"$LAB/err" && grep -q "$2" "$LAB/err" && return
	sed 's/^/# /' "$LAB/err"
	return 1
}
visits() {
	grep -c 'Connection from ' "$LAB/$1/sshd.log"
}
told() {
	grep -h "\"$1\"" "$LAB"/events/*.jsonl | grep -q "$2"
}
ok "no certificate at the jump host: refused" refused far1 \
	'web1: its host key is not known'
ok "and the event says what is missing" told target-hostkey \
	'of web1 is not known, .*has no certificate'
certify web1 -n web1 -V +1h
ok "none at the target behind it: refused" refused far1 \
	'host key of far1 is not known'
ok "the jump host's was good" told cert-signed \
	'jump host web1, key .*certificate .*host_ca web1'
certify far1 -n far1 -V +1h
ok "both have one" gets_in far1
ok "a jump host behind another, and a target that has none" refused far2 \
	'host key of far2 is not known'
certify far2 -n far2 -V +1h
rm -f "$LAB"/certs/*
before=$(visits far1)
ok "three of them, none of which was seen before" gets_in far2
# As a jump host twice, since far2's certificate takes a second way, and once
# for its own.
ok "each was fetched" [ "$(visits far1)" -eq $((before + 3)) ]
before=$(visits web1)
ok "and again" gets_in far2
ok "with no second way" [ "$(visits web1)" -eq $((before + 1)) ]
# Processes of sessions, those of jump hosts too: a uid of their own.
processes() {
	local pid
	for pid in $(ip netns pids "$lab_tag-bastion"); do
		stat -c %u "/proc/$pid"
	done 2>/dev/null | grep -c "^${LAB_SESSION_USER%:*}$"
}
ok "no process of a jump host stays" wait_for eval '[ "$(processes)" -eq 0 ]'

# --- certificates that do not fit
rm -f "$LAB"/certs/*
certify far1 -n web1 -V +1h
ok "a jump host with another's" refused far2 \
	'far1: its host key is not certified'
ok "the event says whose" told target-hostkey 'it is not for far1'
certify far1 -n far1 -V -2h:-1h
ok "a target with one that has expired" refused far1 \
	'host key of far1 is not certified'
ok "none of these was kept" [ ! -e "$LAB/certs/far1" ]
certify far1 -n far1 -V +1h

# --- the address that answered first and then no more: the next one's is as
# good, for it belongs to the instance.
# once NS ADDRESS TO: passes one connection on, and listens no longer.
once() {
	lab_start "$LAB/once-$1.log" ip netns exec "$lab_tag-$1" python3 -c '
import socket, sys, threading
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind((sys.argv[1], 22)); s.listen(1); print("ready", flush=True)
a = s.accept()[0]; s.close()
b = socket.create_connection((sys.argv[2], 22))
def copy(x, y):
    while True:
        data = x.recv(65536)
        if not data: break
        y.sendall(data)
    y.shutdown(socket.SHUT_WR)
threading.Thread(target=copy, args=(a, b)).start(); copy(b, a)' "$2" "$3"
	wait_for grep -q ready "$LAB/once-$1.log"
}
policy() {
	lab_policy
	"$BUILD/sgbridge" reload -c "$LAB/sgbridge.conf" >"$LAB/reload" 2>&1
}
WEB1_FIRST='10.0.1.12, ' FAR1_FIRST='10.9.1.3, ' policy
rm -f "$LAB"/certs/*
once web1 10.0.1.12 10.0.1.11
ok "an instance that is reached directly" gets_in web1
rm -f "$LAB"/certs/*
once far1 10.9.1.3 10.9.1.2
ok "one behind a jump host" gets_in far1
ok "by its first address" told target-open '"ip":"10.9.1.3"'
lab_summary
