#!/bin/bash
# make bench: what the bastion costs, as ratios in one run on one machine.
#   direct         ssh straight to the instance (routed, no bastion process)
#   jump           ssh -J through the machine's own sshd: not recorded
#   force-command  sshd with ForceCommand ssh: not recorded
#   sgbridge       through the proxy, recorded, process separation on
#   sgbridge -J    recorded ProxyJump
# Medians of ROUNDS alternating rounds. Bulk is MIB of zeros, AES-128-GCM on
# every leg. CPU is that of all processes of the bastion (cpuacct cgroup).
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=${1:-build}
ROUNDS=${ROUNDS:-3}
MIB=${MIB:-512}
CONNECTS=${CONNECTS:-9}
IDLE=${IDLE:-10}
# shellcheck source=tests/e2e/lab.sh
. "$here/../e2e/lab.sh"
# Read by lab.sh.
export LAB_SSHD_KEYS=bench.pub
lab_up || exit 1
cgroup=/sys/fs/cgroup/cpuacct/$lab_tag
mkdir "$cgroup" 2>/dev/null || cgroup=
leave() {
	lab_down
	[ -z "$cgroup" ] || rmdir "$cgroup" 2>/dev/null
}
trap leave EXIT

ssh-keygen -q -t ed25519 -N '' -C bench -f "$LAB/bench"
install -m 0644 "$LAB/bench.pub" "$LAB/jump.pub"
in_ns bastion sysctl -qw net.ipv4.ip_forward=1
in_ns client ip route add 10.0.1.0/24 via 203.0.113.1
in_ns web1 ip route add 203.0.113.0/24 via 10.0.1.1

# Two plain sshd on the bastion, users as on an instance.
bastion_sshd() {
	local port=$1 extra=$2 name=sshd$1
	cat >"$LAB/$name.conf" <<-END
		ListenAddress 203.0.113.1:$port
		HostKey $LAB/host_key
		PidFile none
		UsePAM no
		StrictModes no
		AuthorizedKeysFile $LAB/jump.pub
		MaxStartups 200
		$extra
	END
	lab_start "$LAB/$name.log" ip netns exec "$lab_tag-bastion" \
		unshare -m --propagation private sh -ec "
		mount --bind '$LAB/web1/passwd' /etc/passwd
		mount --bind '$LAB/web1/group' /etc/group
		mount --bind '$LAB/web1/shadow' /etc/shadow
		mount -t tmpfs tmpfs /run
		mount -t tmpfs tmpfs /var/log
		mkdir -p /run/sshd
		exec /usr/sbin/sshd -D -e -f '$LAB/$name.conf'"
}
install -m 0600 -o "$LAB_OPS_UID" "$LAB/bench" "$LAB/inner"
bastion_sshd 2222 ''
bastion_sshd 2223 "ForceCommand ssh -F none -q -i $LAB/inner -c aes128-gcm@openssh.com -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null ops@10.0.1.11 \"\$SSH_ORIGINAL_COMMAND\""
wait_for lab_port_open 203.0.113.1 2222
wait_for lab_port_open 203.0.113.1 2223
if [ -n "$cgroup" ]; then
	for pid in $(ip netns pids "$lab_tag-bastion"); do
		echo "$pid" >"$cgroup/cgroup.procs" 2>/dev/null
	done
fi

cat >"$LAB/bench.conf" <<-END
	Host *
	  UserKnownHostsFile /dev/null
	  StrictHostKeyChecking no
	  IdentitiesOnly yes
	  LogLevel ERROR
	  Ciphers aes128-gcm@openssh.com
	  IdentityFile $LAB/bench
	  BindAddress 203.0.113.7
	Host jumpsshd
	  HostName 203.0.113.1
	  Port 2222
	  User ops
	Host bastion
	  HostName 203.0.113.1
	  Port 30022
	  IdentityFile $LAB/users/robot
	Host direct
	  HostName 10.0.1.11
	  User ops
	Host jump
	  HostName 10.0.1.11
	  User ops
	  ProxyJump jumpsshd
	Host force
	  HostName 203.0.113.1
	  Port 2223
	  User ops
	Host sgbridge
	  HostName 203.0.113.1
	  Port 30022
	  IdentityFile $LAB/users/robot
	  User robot+ops@web1
	Host sgjump
	  HostName web1
	  User ops
	  ProxyJump robot@bastion
END
run() {
	in_ns client ssh -F "$LAB/bench.conf" "$@"
}
paths='direct jump force sgbridge sgjump'
now() {
	date +%s%N
}
cpu() {
	if [ -n "$cgroup" ]; then cat "$cgroup/cpuacct.usage"; else echo 0; fi
}
# down PATH, up PATH: MiB/s and CPU seconds per GiB.
down() {
	run "$1" "head -c ${MIB}M /dev/zero" </dev/null | wc -c
}
up() {
	head -c "${MIB}M" /dev/zero | run "$1" 'wc -c'
}
measure() {
	local what=$1 path=$2 t0 t1 c0 c1 got
	c0=$(cpu) t0=$(now)
	got=$("$what" "$path")
	t1=$(now) c1=$(cpu)
	[ "$got" = $((MIB * 1048576)) ] || {
		echo "bench: $what $path moved $got bytes" >&2
		return 1
	}
	awk -v m="$MIB" -v t=$((t1 - t0)) -v c=$((c1 - c0)) -v w="$what" \
		-v p="$path" 'BEGIN { print w, p, m / (t / 1e9),
			(c / 1e9) / (m / 1024) }' >>"$LAB/results"
}
connect() {
	local path=$1 t0 t1 c0 c1
	c0=$(cpu) t0=$(now)
	run "$path" true </dev/null || return 1
	t1=$(now) c1=$(cpu)
	echo "connect $path $(((t1 - t0) / 1000)) $(((c1 - c0) / 1000))" \
		>>"$LAB/results"
}
pss() {
	local pid sum=0 kib
	for pid in $(ip netns pids "$lab_tag-bastion"); do
		kib=$(sed -n 's/^Pss: *\([0-9]*\).*/\1/p' \
			"/proc/$pid/smaps_rollup" 2>/dev/null)
		sum=$((sum + ${kib:-0}))
	done
	echo "$sum"
}
# Idle sessions, all at once; a line from each says that it is there.
idle() {
	local path=$1 i before pids=()
	before=$(pss)
	for ((i = 0; i < IDLE; i++)); do
		run "$path" 'echo up; exec cat' <"$LAB/hold" \
			>"$LAB/idle.$i" 2>/dev/null &
		pids+=($!)
	done
	for ((i = 0; i < IDLE; i++)); do
		wait_for grep -q up "$LAB/idle.$i" || return 1
	done
	echo "idle $path $((($(pss) - before) / IDLE)) 0" >>"$LAB/results"
	kill "${pids[@]}"
	wait "${pids[@]}" 2>/dev/null
	rm -f "$LAB"/idle.*
}
mkfifo "$LAB/hold"
exec 9<>"$LAB/hold"

echo "bench: $ROUNDS rounds of $MIB MiB each way; $CONNECTS connects;" \
	"$IDLE idle sessions"
for ((round = 0; round < ROUNDS; round++)); do
	for path in $paths; do
		measure down "$path"
		measure up "$path"
	done
done
for ((round = 0; round < CONNECTS; round++)); do
	for path in $paths; do
		connect "$path"
	done
done
for path in $paths; do
	[ "$path" = direct ] || idle "$path"
done
awk '
function median(key,   n, i, j, t, v) {
	n = count[key]
	for (i = 1; i <= n; i++) v[i] = value[key, i]
	for (i = 1; i <= n; i++) for (j = i + 1; j <= n; j++)
		if (v[j] < v[i]) { t = v[i]; v[i] = v[j]; v[j] = t }
	return n ? v[int((n + 1) / 2)] : -1
}
function put(key, x) { value[key, ++count[key]] = x }
function show(x, form) { return x < 0 ? "-" : sprintf(form, x) }
{ put($1 " " $2, $3); put($1 " " $2 " cpu", $4) }
END {
	split("direct jump force sgbridge sgjump", paths, " ")
	title["direct"] = "direct"; title["jump"] = "ssh -J (sshd)"
	title["force"] = "ForceCommand ssh"; title["sgbridge"] = "sgbridge"
	title["sgjump"] = "sgbridge, ssh -J"
	printf "\n%-18s %7s %7s %9s %9s %11s %9s %10s\n", "", "down", "up",
		"CPU down", "CPU up", "connect", "CPU", "idle PSS"
	printf "%-18s %7s %7s %9s %9s %11s %9s %10s\n", "", "ratio", "ratio",
		"s/GiB", "s/GiB", "ms (ratio)", "ms", "KiB"
	d = median("down direct"); u = median("up direct")
	c = median("connect direct")
	for (i = 1; i <= 5; i++) {
		p = paths[i]
		k = median("connect " p)
		printf "%-18s %7s %7s %9s %9s %11s %9s %10s\n", title[p],
			show(median("down " p) / d, "%.2f"),
			show(median("up " p) / u, "%.2f"),
			p == "direct" ? "-" : show(median("down " p " cpu"), "%.2f"),
			p == "direct" ? "-" : show(median("up " p " cpu"), "%.2f"),
			k < 0 ? "-" : sprintf("%.0f (%.2f)", k / 1000, k / c),
			p == "direct" ? "-" : show(median("connect " p " cpu") / 1000, "%.1f"),
			p == "direct" ? "-" : show(median("idle " p), "%d")
	}
	printf "\ndirect: %.0f MiB/s down, %.0f MiB/s up\n", d, u
}' "$LAB/results"
