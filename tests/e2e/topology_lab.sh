# The topology laboratory, to be sourced: hosts as network namespaces, real
# nftables with the rulesets that sgbridge makes, a listener on every port.
# tests/e2e/topology.sh compares it with the policy; `make lab` (tests/lab.sh)
# leaves it up. Touches nothing outside its namespaces, whose names begin with
# $tag, and its folder $work.
#
#   client 203.0.113.9            jump1 (SG_Bridge) 10.0.1.1 and 10.0.2.1
#      |                             |                    |
#   ---+------- router --------------+---- 10.0.1.0/24 ---|--- web1 web2 win1
#                  +----------------------- 10.0.2.0/24 --+--- db1 out1
# shellcheck shell=bash
: "${build:?}" "${tag:?}" "${work:?}"
hosts='client jump1 web1 web2 win1 db1 out1'
targets='jump1 web1 web2 win1 db1 out1'
ports='22 80 3306 3389'
pids=()

in_ns() {
	local ns=$1
	shift
	ip netns exec "$tag-$ns" "$@"
}
sgb() {
	"$build/sgbridge" "$@" -p "$work/policy.conf" -c "$work/sgbridge.conf" \
		--color never
}
# What was started through a function is a child of what was started.
lab_remove() {
	local pid ns
	for ns in router $hosts; do
		for pid in $(ip netns pids "$tag-$ns" 2>/dev/null); do
			kill -KILL "$pid" 2>/dev/null
		done
		ip netns del "$tag-$ns" 2>/dev/null
	done
	rm -rf "$work"
}

# --- the network
# plug HOST LINK BRIDGE ADDRESS...
plug() {
	local host=$1 link=$2 bridge=$3 address
	shift 3
	ip link add "$link" netns "$tag-$host" type veth \
		peer name "$host-$link" netns "$tag-router"
	in_ns router ip link set "$host-$link" master "$bridge" up
	in_ns "$host" ip link set "$link" up
	for address; do
		case $address in
		*:*) in_ns "$host" ip address add "$address" dev "$link" nodad ;;
		*) in_ns "$host" ip address add "$address" dev "$link" ;;
		esac
	done
}
gateway() {
	in_ns "$1" ip route add default via "$2"
	in_ns "$1" ip -6 route add default via "$3"
}
network() {
	local host
	for host in router $hosts; do
		ip netns add "$tag-$host" && in_ns "$host" ip link set lo up
	done
	for host in a b c; do
		in_ns router ip link add "br$host" type bridge
		in_ns router ip link set "br$host" up
	done
	in_ns router ip address add 10.0.1.254/24 dev bra
	in_ns router ip address add 10.0.2.254/24 dev brb
	in_ns router ip address add 203.0.113.254/24 dev brc
	in_ns router ip address add fd00:1::fe/64 dev bra nodad
	in_ns router ip address add fd00:2::fe/64 dev brb nodad
	in_ns router ip address add 2001:db8:7::fe/64 dev brc nodad
	in_ns router sysctl -qw net.ipv4.ip_forward=1 \
		net.ipv6.conf.all.forwarding=1
	plug client e0 brc 203.0.113.9/24 2001:db8:7::9/64
	plug jump1 e0 bra 10.0.1.1/24 fd00:1::1/64
	plug jump1 e1 brb 10.0.2.1/24 fd00:2::1/64
	plug web1 e0 bra 10.0.1.11/24 fd00:1::11/64
	plug web2 e0 bra 10.0.1.12/24 fd00:1::12/64
	plug win1 e0 bra 10.0.1.30/24 fd00:1::30/64
	plug db1 e0 brb 10.0.2.21/24 fd00:2::21/64
	plug out1 e0 brb 10.0.2.66/24 fd00:2::66/64
	gateway client 203.0.113.254 2001:db8:7::fe
	for host in jump1 web1 web2 win1; do
		gateway "$host" 10.0.1.254 fd00:1::fe
	done
	for host in db1 out1; do
		gateway "$host" 10.0.2.254 fd00:2::fe
	done
}
declare -A addresses=([jump1]='10.0.1.1 10.0.2.1 fd00:1::1 fd00:2::1'
	[web1]='10.0.1.11 fd00:1::11' [web2]='10.0.1.12 fd00:1::12'
	[win1]='10.0.1.30 fd00:1::30' [db1]='10.0.2.21 fd00:2::21'
	[out1]='10.0.2.66 fd00:2::66')

# Groups with priorities, drops, a member of two groups, an isolated one, a
# network of either family, and one that the bastion is not let into.
policy() {
	cat >"$work/policy.conf" <<-'END'
		network office 203.0.113.0/24, 2001:db8:7::/48
		group SysAdmins alice
		security-group SG_Bridge {
		 	instance jump1 10.0.1.1, 10.0.2.1, fd00:1::1, fd00:2::1
		 	accept tcp 22 from office
		}
		security-group SG_Current {
		 	zone production
		 	instance web1 10.0.1.11, fd00:1::11
		 	instance web2 10.0.1.12, fd00:1::12
		 	instance win1 10.0.1.30, fd00:1::30 { port 3389 }
		 	isolated
		 	accept tcp 22, 3389 from SG_Bridge priority 1
		 	accept tcp 80 from office priority 10
		 	drop   tcp 22 from 10.0.2.0/24 priority 50
		 	accept tcp 3306 from fd00:2::/64 priority 60
		 	drop   all from 0.0.0.0/0 priority 100
		}
		security-group SG_Database {
		 	instance db1 10.0.2.21, fd00:2::21
		 	instance web2
		 	accept tcp 22 from SG_Bridge
		 	accept tcp 3306 from SG_Current priority 20
		 	drop   tcp 3306 from web2net priority 20
		}
		network web2net 10.0.1.12
		security-group SG_Outside {
		 	instance out1 10.0.2.66, fd00:2::66
		 	accept all from SG_Database priority 5
		 	drop   tcp 1-100 from SG_Bridge priority 1
		}
		permit SysAdmins from office to any port 1-65535 as ops {
		 	mfa always
		 	allow shell, forward
		}
	END
	cat >"$work/sgbridge.conf" <<-'END'
		session-user       64301
		recorder-user      64302
		outgoing           dns:10.0.1.254
	END
	echo "nftables-directory $work/nftables" >>"$work/sgbridge.conf"
	chmod 0644 "$work/policy.conf" "$work/sgbridge.conf"
}

# --- listeners and probes
programs() {
	cat >"$work/listen.py" <<'END'
import selectors, socket, sys
sel = selectors.DefaultSelector()
for port in map(int, sys.argv[2:]):
    s = socket.create_server(("::", port), family=socket.AF_INET6,
                             dualstack_ipv6=True, backlog=64)
    sel.register(s, selectors.EVENT_READ)
open(sys.argv[1], "w").close()
while True:
    for key, _ in sel.select():
        key.fileobj.accept()[0].close()
END
	# Connects to all at once; prints "ADDRESS PORT SOURCE open|closed".
	cat >"$work/probe.py" <<'END'
import os, select, socket, sys, time
if len(sys.argv) > 1:
    os.setgid(int(sys.argv[1]))
    os.setuid(int(sys.argv[1]))
waiting, poll = {}, select.poll()
for line in sys.stdin:
    addr, port = line.split()
    s = socket.socket(socket.AF_INET6 if ":" in addr else socket.AF_INET)
    s.setblocking(False)
    err = s.connect_ex((addr, int(port)))
    if err not in (0, 115):
        print(addr, port, "-", "closed")
        continue
    waiting[s.fileno()] = (s, addr, port, s.getsockname()[0])
    poll.register(s, select.POLLOUT)
end = time.monotonic() + 1.5
while waiting and time.monotonic() < end:
    for fd, _ in poll.poll(50):
        s, addr, port, src = waiting.pop(fd)
        poll.unregister(fd)
        err = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        print(addr, port, src, "closed" if err else "open")
for s, addr, port, src in waiting.values():
    print(addr, port, src, "closed")
END
}
listeners() {
	local host tries
	programs
	for host in $targets; do
		# shellcheck disable=SC2086
		in_ns "$host" python3 "$work/listen.py" "$work/up-$host" \
			$ports </dev/null >"$work/$host.log" 2>&1 &
		pids+=("$!")
	done
	for host in $targets; do
		tries=200
		until [ -e "$work/up-$host" ]; do
			tries=$((tries - 1))
			[ "$tries" -gt 0 ] || return 1
			read -rt 0.05 <> <(:) || true
		done
	done
}
# probe SOURCE [UID]: all targets but itself.
probe() {
	local host port address
	for host in $targets; do
		[ "$host" = "$1" ] && continue
		for port in $ports; do
			for address in ${addresses[$host]}; do
				echo "$address $port"
			done
		done
	done | in_ns "$1" python3 "$work/probe.py" "${@:2}"
}

# Bridges and neighbours take a moment to find each other.
all_open() {
	local tries
	for tries in 1 2 3 4 5 6 7 8; do
		probe client >"$work/before"
		[ "$(grep -c open "$work/before")" -eq 56 ] &&
			! grep -q closed "$work/before" && return
	done
	echo "# not after $tries tries:"
	grep closed "$work/before" | sed 's/^/# /'
	return 1
}
load() {
	if [ "$1" = jump1 ]; then
		sgb nftables
	else
		sgb nftables "$1"
	fi >"$work/$1.nft" && in_ns "$1" nft -f "$work/$1.nft"
}

