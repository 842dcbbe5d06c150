#!/bin/bash
# The topology laboratory: hosts as network namespaces, the rulesets that
# `sgbridge nftables` prints in a real nftables, and real connections between
# every pair of hosts, on every port, over IPv4 and IPv6, compared with what
# the policy's own functions say. Touches nothing outside its namespaces.
# tests/e2e/topology_lab.sh draws it.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=$(cd "${1:-${BUILD:-build}}" && pwd) || exit 1
if [ "$(id -u)" -ne 0 ] || ! command -v nft >/dev/null; then
	echo 'needs root and nftables'
	exit 77
fi
tag=sgb$$
work=$(mktemp -d "${TMPDIR:-/tmp}/sgbridge-topology.XXXXXX")
# shellcheck source=tests/e2e/topology_lab.sh
. tests/e2e/topology_lab.sh
# shellcheck source=tests/check/ok.sh
. tests/check/ok.sh

down() {
	local pid
	[ ! -e "/run/sgbridge-lab-${tag}l" ] || lab down "$build"
	trap - EXIT
	for pid in "${pids[@]}"; do
		kill "$pid" 2>/dev/null
	done
	lab_remove
	wait 2>/dev/null
}
trap down EXIT
trap 'exit 130' INT TERM

# The word that the policy's functions say.
says() {
	sgb topology reach "$1" "[$2]:$3" | cut -d: -f1
}
decides() {
	local verdict
	verdict=$(sgb explain alice from 203.0.113.9 to "[$1]:$2" for forward |
		head -n 1)
	case $verdict in
	permit*) echo open ;;
	deny*) echo closed ;;
	*) echo "?" ;;
	esac
}
agrees() {
	echo "packets: $1, policy: $2"
	[ "$1" = "$2" ]
}
compare() {
	local host=$1 addr port from real
	while read -r addr port from real; do
		[ "$from" != - ] || from=$host
		ok "$host ($from) to [$addr]:$port is $real" \
			agrees "$real" "$(says "$from" "$addr" "$port")"
		[ "$host" = jump1 ] || continue
		ok "policy_decide: the bastion to [$addr]:$port is $real" \
			agrees "$real" "$(decides "$addr" "$port")"
	done <"$work/probe-$host"
}
# meant SOURCE ADDRESS PORT WORD: by hand, lest both be wrong alike.
meant() {
	ok "$1 to [$2]:$3 is $4, as is meant" \
		grep -qE "^$2 $3 [^ ]+ $4\$" "$work/probe-$1"
}

policy
network
ok "the policy is good" sgb topology show
ok "listeners are up" listeners
ok "without rulesets everything is open" all_open
# Everybody has met everybody before it counts.
probes=()
for host in $hosts; do
	probe "$host" >/dev/null &
	probes+=("$!")
done
wait "${probes[@]}"
# --- before: what the rulesets are to close is open
# The router plays metadata services and a resolver.
reaches() {
	echo "$2 $3" | in_ns "$1" python3 "$work/probe.py" "${@:4}" |
		grep -q ' open$'
}
closed() {
	! reaches "$@"
}
for address in 169.254.169.254/32 100.100.100.200/32; do
	in_ns router ip address add "$address" dev bra
done
in_ns router ip address add fd00:ec2::254/128 dev bra nodad
in_ns router python3 "$work/listen.py" "$work/up-router" 53 80 123 &
pids+=("$!")
wait_up() {
	local tries=200
	until [ -e "$1" ]; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || return 1
		read -rt 0.05 <> <(:) || true
	done
}
ok "the router listens" wait_up "$work/up-router"
elsewhere='169.254.169.254:80 100.100.100.200:80 [fd00:ec2::254]:80
	10.0.1.254:80 127.0.0.1:3306 [::1]:3306 10.0.2.1:80'
each() {
	local verb=$1 place address
	shift
	for place in $elsewhere; do
		address=${place%:*}
		ok "from jump1 ${1:-} to $place: $verb" "$verb" jump1 \
			"$(tr -d '[]' <<<"$address")" "${place##*:}" "$@"
	done
}
each reaches
# Somebody is logged in when the ruleset comes.
cat >"$work/echo.py" <<'END'
import socket, sys
s = socket.create_server(("0.0.0.0", 30022))
open(sys.argv[1], "w").close()
c = s.accept()[0]
while data := c.recv(100):
    c.sendall(data)
END
cat >"$work/stay.py" <<'END'
import os, socket, sys
s = socket.create_connection(("10.0.1.1", 30022), 5)
open(sys.argv[1], "w").close()
open(sys.argv[2]).read()
s.settimeout(5)
s.sendall(b"still here")
sys.exit(s.recv(100) != b"still here")
END
mkfifo "$work/go"
in_ns jump1 python3 "$work/echo.py" "$work/up-echo" &
pids+=("$!")
ok "a server for a login" wait_up "$work/up-echo"
in_ns client python3 "$work/stay.py" "$work/up-stay" "$work/go" &
stay=$!
ok "a login" wait_up "$work/up-stay"
for host in $targets; do
	ok "the ruleset of $host loads" load "$host"
done
: >"$work/go"
ok "who is logged in stays" wait "$stay"
probes=()
for host in $hosts; do
	probe "$host" >"$work/probe-$host" &
	probes+=("$!")
done
wait "${probes[@]}"
for host in $hosts; do
	compare "$host"
done
meant jump1 10.0.1.11 22 open
meant jump1 fd00:1::30 3389 open
meant jump1 10.0.2.66 22 closed
meant jump1 10.0.2.66 3389 closed
meant client 10.0.1.11 22 closed
meant client 10.0.1.11 80 open
meant client fd00:1::11 80 open
meant web1 10.0.2.21 3306 open
meant web2 10.0.2.21 3306 closed
meant web2 fd00:2::21 3306 open
meant db1 10.0.1.11 3306 closed
meant db1 fd00:1::11 3306 open
meant web1 10.0.1.30 22 closed
meant db1 fd00:2::66 3389 open
probe jump1 64301 >"$work/probe-uid"
only_root() {
	[ "$(grep -c closed "$work/probe-uid")" -eq 40 ]
}
ok "nobody but root connects from the bastion" only_root
probe jump1 33 >"$work/probe-uid"
ok "no other user either" only_root

# --- the bastion: all that is not named is closed
each closed
each closed 64301
ok "the resolver that outgoing names" reaches jump1 10.0.1.254 53
ok "for everybody" reaches jump1 10.0.1.254 53 33
ok "but for session processes" closed jump1 10.0.1.254 53 64301
ok "the resolver's other ports" closed jump1 10.0.1.254 123
ok "where people come from" reaches client 10.0.1.1 22
ok "where nobody comes from" closed web1 10.0.1.1 22
not_through() {
	in_ns jump1 sysctl -qw net.ipv4.ip_forward=1
	reaches web2 10.0.2.66 3389 || return 1
	in_ns web2 ip route add 10.0.2.66/32 via 10.0.1.1
	closed web2 10.0.2.66 3389
}
ok "and nothing passes through" not_through

# --- at once or not at all, and again without piling up
whole() {
	in_ns web1 nft -s list ruleset >"$work/now"
	diff "$work/was" "$work/now"
}
broken() {
	{
		cat "$work/web1.nft"
		echo 'table inet sgbridge { chain input { nonsense } }'
	} >"$work/broken.nft"
	! in_ns web1 nft -f "$work/broken.nft"
}
in_ns web1 nft -s list ruleset >"$work/was"
ok "loading again" load web1
ok "changes nothing" whole
ok "half a ruleset is refused" broken
ok "and the old one stays whole" whole
# As sgbridge(8) says it under EXAMPLES.
dry_run() {
	in_ns web1 nft -c -f "$work/db1.nft"
}
restored() {
	in_ns web1 nft -s list table inet sgbridge >"$work/before.nft"
	in_ns web1 nft -f "$work/db1.nft"
	! whole >/dev/null || return 1
	{
		echo 'table inet sgbridge'
		echo 'delete table inet sgbridge'
		cat "$work/before.nft"
	} >"$work/restore.nft"
	in_ns web1 nft -f "$work/restore.nft" && whole
}
ok "another ruleset, as a dry run" dry_run
ok "changes nothing either" whole
ok "the one before can be restored" restored

# --- apply, confirm, restore
apply() {
	in_ns web1 "$build/sgbridge" topology "$@" -p "$work/policy.conf" \
		-c "$work/sgbridge.conf" --color never
}
status() {
	local want=$1 pattern=$2 got
	shift 2
	"$@" >"$work/said" 2>&1
	got=$?
	cat "$work/said"
	[ "$got" -eq "$want" ] && grep -qE -- "$pattern" "$work/said"
}
now() {
	in_ns web1 nft -s list table inet sgbridge
}
is() {
	now | diff - "$1"
}
returns() {
	local tries=300
	until is "$1" >/dev/null; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || return 1
		read -rt 0.05 <> <(:) || true
	done
}
in_ns web1 nft add table ip other
in_ns web1 nft add chain ip other keep
ok "apply: what is loaded already" status 0 '^unchanged$' \
	apply apply --for web1
ok "apply: another host's ruleset" status 2 'no address of db1' \
	apply apply --for db1
sed -i 's/accept tcp 80 from office/accept tcp 80, 443 from office/' \
	"$work/policy.conf"
now >"$work/one"
ok "apply: a dry run says what would change" \
	status 1 '^\+.*dport \{ 80, 443 \} accept' \
	apply apply --for web1 --dry-run
ok "and so does --diff" status 1 '^-.*dport 80 accept' \
	apply nftables --for web1 --diff
ok "and changes nothing" is "$work/one"
ok "apply: not confirmed in time" status 0 'within 1 s' \
	apply apply --for web1 --confirm-within 1s
ok "and the previous ruleset returns" returns "$work/one"
ok "then nothing waits" status 1 'nothing waits' apply confirm
ok "apply: to be confirmed" status 0 'within 60 s' \
	apply apply --for web1 --confirm-within 60
ok "no other change meanwhile" status 2 'waits to be confirmed' \
	apply apply --for web1
ok "confirm" status 0 '^confirmed$' apply confirm
now >"$work/two"
ok "the new one is loaded" status 1 '443' diff "$work/one" "$work/two"
ok "restore brings back the one before" status 0 '^restored$' apply restore
ok "all of it" is "$work/one"
ok "restore again, and back" status 0 '^restored$' apply restore
ok "all of that" is "$work/two"
ok "a change that is taken back by hand" status 0 'within 60 s' \
	apply restore --confirm-within 60
ok "is not waited for" status 0 '^restored$' apply restore
ok "and gone" is "$work/two"
ok "the folder is root's alone" \
	status 0 '^700 600 600$' sh -c "stat -c %a '$work/nftables' \
	'$work/nftables/current.nft' '$work/nftables/previous.nft' |
	xargs echo"
# --- on the bastion it takes the place of what setup loaded
sed "s,^nftables-directory.*,nftables-directory $work/nft-bastion," \
	"$work/sgbridge.conf" >"$work/bastion.conf"
grep -q "$work/nft-bastion" "$work/bastion.conf" ||
	echo "nftables-directory $work/nft-bastion" >>"$work/bastion.conf"
mkdir -m 0700 "$work/nft-bastion"
on_bastion() {
	in_ns jump1 "$build/sgbridge" topology "$@" -p "$work/policy.conf" \
		-c "$work/bastion.conf" --color never
}
tables() { in_ns jump1 nft list tables inet | sort | tr '\n' ' '; }
in_ns jump1 nft add table inet sgbridge_host
in_ns jump1 nft add chain inet sgbridge_host keep
# shellcheck disable=SC2034
before=$(tables)
ok "the bastion's: applied" status 0 'applied|loaded|confirmed' \
	on_bastion apply
ok "setup's table is gone" [ "$(tables)" = "table inet sgbridge " ]
ok "restore" status 0 '^restored$' on_bastion restore
ok "brings setup's back, with what was in it" eval \
	'[ "$(tables)" = "$before" ] && in_ns jump1 nft list chain inet \
	sgbridge_host keep'
in_ns jump1 nft delete table inet sgbridge_host
chmod 0755 "$work/nftables"
ok "or is not used" status 2 'nftables: ' apply restore
chmod 0700 "$work/nftables"
ok "no time to confirm in" status 2 'expected a time' \
	apply apply --confirm-within soon
ok "other tables are nobody's business" in_ns web1 nft list chain ip other keep
guards() {
	local tries=300
	while ip netns pids "$tag-web1" | xargs -I{} readlink /proc/{}/exe |
		grep -q '/sgbridge$'; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || return 1
		read -rt 0.05 <> <(:) || true
	done
}
ok "no guard stays behind" guards

# --- names cannot inject
refused() {
	printf 'security-group G {\n instance %s 10.0.0.1\n}\n' "$1" \
		>"$work/name.conf"
	chmod 0644 "$work/name.conf"
	! "$build/sgbridge" nftables -p "$work/name.conf"
}
ok "a quote is no name" refused 'a"b'
ok "a semicolon is no name" refused 'a;b'
ok "a newline is no name" refused $'a\nb'
# The samples' names and descriptions hold quotes, braces, line ends and
# rules of their own; none of these may become one.
imported() {
	local name
	"$build/sgbridge" topology import aliyun tests/topology/aliyun-*.json \
		>"$work/import.conf" 2>"$work/import.err"
	[ $? -eq 1 ] || return 1
	chmod 0644 "$work/import.conf"
	for name in jump1 web1 win_1 i-bp1db; do
		"$build/sgbridge" nftables "$name" -p "$work/import.conf" |
			in_ns client nft -f - || return 1
		in_ns client nft list ruleset >"$work/loaded"
		! grep -nE '^[[:space:]]*accept' "$work/loaded" || return 1
	done
	! grep -nE '^[[:space:]]*(permit|accept +all)' "$work/import.conf"
}
ok "names of an export come out harmless" imported

# --- make lab
lab() {
	SGB_LAB_TAG=${tag}l tests/lab.sh "$@"
}
ok "make lab: up" status 0 'The laboratory is up' lab up "$build"
ok "not twice" status 1 'up already' lab up "$build"
ok "who is reached" status 0 '^10.0.1.11 80 203.0.113.9 open$' \
	lab probe "$build" client
ok "no such host" status 1 '^hosts: client' lab probe "$build" web9
ok "rulesets anew" lab load "$build"
ok "down" lab down "$build"
nothing_left() {
	! ip netns list | grep "^${tag}l-" && [ ! -e "/run/sgbridge-lab-${tag}l" ]
}
ok "and nothing is left" nothing_left
ok_summary
