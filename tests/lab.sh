#!/bin/bash
# lab.sh up|load|probe|shell|down BUILD [HOST]: the topology laboratory of the
# tests, left up for playing: hosts as network namespaces with real nftables.
# `make lab` and `make lab-down` call it. Nothing of the host is touched.
set -u
cd "$(dirname "$0")/.." || exit 1
verb=${1:-up}
build=$(cd "${2:-build}" 2>/dev/null && pwd) || {
	echo "no such build: ${2:-build}; make all" >&2
	exit 1
}
if [ "$(id -u)" -ne 0 ] || ! command -v nft >/dev/null; then
	echo 'needs root and nftables' >&2
	exit 1
fi
# Fixed names: there is one laboratory, and everybody finds it. The folder is
# below one that only root may write, as a policy's has to be.
tag=${SGB_LAB_TAG:-sgblab}
work=/run/sgbridge-lab-$tag
# shellcheck source=tests/e2e/topology_lab.sh
. tests/e2e/topology_lab.sh

load_all() {
	local host
	for host in $targets; do
		load "$host" || return 1
	done
}
up() {
	if [ -e "$work" ]; then
		echo 'it is up already; make lab-down takes it down' >&2
		return 1
	fi
	install -d -m 0755 "$work" || return 1
	policy
	{
		network && listeners && all_open && load_all
	} || {
		echo 'it does not come up' >&2
		lab_remove
		return 1
	}
	cat <<-END
		The laboratory is up: $hosts.

		  sgbridge topology show -p $work/policy.conf
		  tests/lab.sh probe $build client     who is reached, from there
		  tests/lab.sh shell $build jump1      a shell on a host
		  ip netns exec $tag-jump1 nft list ruleset

		Change $work/policy.conf, then:

		  tests/lab.sh load $build             all rulesets anew
		  ip netns exec $tag-jump1 $build/sgbridge topology apply \\
		      -p $work/policy.conf -c $work/sgbridge.conf \\
		      --confirm-within 1m

		make lab-down ends it.
	END
}
is_up() {
	[ -e "$work/policy.conf" ] && return
	echo 'it is not up: make lab' >&2
	return 1
}
is_host() {
	case " $hosts " in
	*" ${1:-} "*) return ;;
	esac
	echo "hosts: $hosts" >&2
	return 1
}
case $verb in
up) up ;;
load) is_up && load_all ;;
probe) is_up && is_host "${3:-}" && probe "$3" | sort ;;
shell) is_up && is_host "${3:-}" && in_ns "$3" "${SHELL:-/bin/bash}" ;;
down) lab_remove ;;
*)
	sed -n '2,4s/^# //p' "$0" >&2
	exit 1
	;;
esac
