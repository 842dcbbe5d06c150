#!/bin/bash
# Targets: which addresses are reached, in which order, and which never are,
# whatever the policy says.
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=${1:-build}
# shellcheck source=tests/e2e/lab.sh
. "$here/lab.sh"
eval "lab_usual_$(declare -f lab_policy)"
# web1 has two addresses, the first of them dead. trap is the bastion's own
# door; anyip an address that only a local route knows.
lab_policy() {
	lab_usual_lab_policy
	sed -i -e 's/instance web1 10.0.1.11/instance web1 10.0.1.99, 10.0.1.11/' \
		-e "/instance web1/a\\
		instance trap 203.0.113.1 { port 30022; host-key $(lab_fingerprint "$LAB/host_key.pub"); login ops }\\
		instance anyip 10.77.0.1 { port 2299; host-key $(lab_fingerprint "$LAB/host_key.pub"); login ops }\\
		subnet 64:ff9b::/96 { host-key $(lab_fingerprint "$LAB/host_key.pub") }\\
		accept tcp 30022, 2299 from SG_Bridge priority 1" \
		"$LAB/policy.conf"
}
LAB_POLICY_EXTRA='permit Robots from 203.0.113.7 to SG_Current port 22, 2299, 30022 { mfa never; allow forward }'
lab_up || exit 1
in_ns bastion ip route add local 10.77.0.0/24 dev lo
lab_start "$LAB/anyip.log" ip netns exec "$lab_tag-bastion" python3 -c '
import socket
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("0.0.0.0", 2299))
s.listen(8)
while True:
    c, who = s.accept()
    c.sendall(b"REACHED\r\n")
    c.close()'
wait_for lab_port_open 10.77.0.1 2299
robot() {
	lab_ssh robot 203.0.113.7 "$@" </dev/null
}
events() {
	cat "$LAB"/events/*.jsonl
}
second_address() {
	[ "$(robot robot+ops@web1@bastion 'echo there' 2>"$LAB/err")" = there ] ||
		{
			sed 's/^/# /' "$LAB/err"
			return 1
		}
	events | grep '"target-open"' | grep -q '"ip":"10.0.1.11"'
}
ok "a dead first address: the second is tried" second_address
# The reason is in the trail, and the connection was not made.
is_own() {
	robot "$@" >"$LAB/out" 2>"$LAB/err" && return 1
	! grep -q REACHED "$LAB/out" && grep -q 'an address of the bastion' \
		"$LAB/bastion.log"
}
ok "the bastion's own door as an instance: refused" \
	is_own robot+ops@trap@bastion true
: >"$LAB/bastion.log"
ok "an address that only a local route knows: refused" \
	is_own robot+ops@anyip@bastion true
: >"$LAB/bastion.log"
ok "a forward to the bastion itself: refused" is_own -W 203.0.113.1:2299 robot@bastion
: >"$LAB/bastion.log"
forbidden() {
	robot -W "$1" robot@bastion >"$LAB/out" 2>"$LAB/err" && return 1
	local host=${1#[}
	events | grep -F "${host%%]*}" | grep -q 'this address is never a target'
}
ok "a metadata address behind NAT64: refused" \
	forbidden '[64:ff9b::a9fe:a9fe]:22'
ok "loopback behind NAT64: refused" forbidden '[64:ff9b::7f00:1]:22'
lab_summary
