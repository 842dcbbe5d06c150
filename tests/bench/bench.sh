#!/bin/bash
# make bench: what the bastion costs, as ratios in one run on one machine.
#   direct         ssh straight to the instance (routed, no bastion process)
#   jump           ssh -J through the machine's own sshd: not recorded
#   force-command  sshd with ForceCommand ssh: not recorded
#   plain          the simplest relay of libssh (plain.c): not recorded
#   sgbridge       through the proxy, recorded, process separation on
#   sgbridge -J    recorded ProxyJump
# Each figure is the median of ROUNDS alternating rounds, the same cipher on
# every leg. CPU is that of all processes of the bastion (a cgroup), and
# "foreign" what somebody else used meanwhile: a run with much of it is noise.
# The table goes to standard output, all of it to BUILD/bench.json.
#
# ROUNDS MIB CONNECTS IDLE LOGINS KEYS: how much of each; MANY: with a number,
# so many sessions at once through the bastion alone. PARTS: which of them.
set -u
# libssh starts a ProxyCommand by this shell, and bash would read ~/.bashrc for
# it, because its standard input is a socket.
export SHELL=/bin/sh LC_ALL=C.UTF-8
here=$(cd "$(dirname "$0")" && pwd)
BUILD=${1:-build}
ROUNDS=${ROUNDS:-3}
MIB=${MIB:-512}
CONNECTS=${CONNECTS:-9}
IDLE=${IDLE:-10}
LOGINS=${LOGINS:-200}
KEYS=${KEYS:-2000}
MANY=${MANY:-0}
PARTS=${PARTS:-bulk connect memory keys logins many}
# shellcheck source=tests/e2e/lab.sh
. "$here/../e2e/lab.sh"
# Read by lab.sh.
export LAB_SSHD_KEYS=bench.pub LAB_CONF_EXTRA="max-startups 2000
max-sessions 4000
max-sessions-per-user 4000"
CIPHER=aes128-gcm@openssh.com

# A descriptor or two a session, in the daemons and in the load generator.
ulimit -n 16384 2>/dev/null

# --- who used how much: the bastion's processes and the rest of the
# laboratory, in cgroups of either version
cpuacct=/sys/fs/cgroup/cpuacct
unified=/sys/fs/cgroup
cgroups() {
	local base=
	if [ -f "$cpuacct/cpuacct.usage" ]; then
		base=$cpuacct
	elif [ -f "$unified/cgroup.procs" ]; then
		base=$unified
	fi
	machine_group=$base lab_group='' bastion_group=''
	mkdir "$base/$lab_tag" "$base/$lab_tag/rest" \
		"$base/$lab_tag/bastion" 2>/dev/null || return
	lab_group=$base/$lab_tag
	bastion_group=$lab_group/bastion
	home_group=$base$(awk -F: '$1 == 0 { v2 = $3 } $2 ~ /cpuacct/ { v1 = $3 }
		END { print v1 ? v1 : v2 }' /proc/self/cgroup)
	echo $$ >"$lab_group/rest/cgroup.procs"
}
leave() {
	lab_down
	[ -n "$lab_group" ] || return
	echo $$ >"$home_group/cgroup.procs"
	rmdir "$lab_group/rest" "$bastion_group" "$lab_group"
} 2>/dev/null
# Nanoseconds of processor time.
used() {
	if [ -z "$1" ]; then
		echo 0
	elif [ -f "$1/cpuacct.usage" ]; then
		cat "$1/cpuacct.usage"
	else
		sed -n 's/^usage_usec \(.*\)/\1000/p' "$1/cpu.stat"
	fi
}
of_process() {
	awk -v hz="$(getconf CLK_TCK)" '{
		sub(/.*\) /, ""); printf "%d\n", ($12 + $13) / hz * 1e9 }' \
		"/proc/$1/stat"
}
now() {
	date +%s%N
}
# timed WHAT PATH COMMAND...: its time, and everybody's share, into the
# results; "amount" is what it moved in MiB, or 0.
timed() {
	local what=$1 path=$2 amount=$3 t0 c0 l0 m0 r0 t1 c1 l1 m1 r1
	shift 3
	m0=$(used "$machine_group") r0=$(of_process "$LAB_RECORDER")
	c0=$(used "$bastion_group") l0=$(used "$lab_group") t0=$(now)
	"$@" || {
		echo "bench: $what $path failed" >&2
		return 1
	}
	t1=$(now) c1=$(used "$bastion_group") l1=$(used "$lab_group")
	m1=$(used "$machine_group") r1=$(of_process "$LAB_RECORDER")
	echo "timed $what $path $CIPHER $amount $((t1 - t0)) $((c1 - c0))" \
		"$((r1 - r0)) $((m1 - m0 - l1 + l0))" >>"$LAB/results"
}

cgroups
trap leave EXIT
lab_up || exit 1
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
		MaxStartups 4000
		$(sshd_no_penalties)
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
SSHDS=("${LAB_PIDS[0]}")
bastion_sshd 2222 ''
SSHDS+=("$LAB_LAST")
# What runs for sftp is on the instance, by the same path.
bastion_sshd 2223 "Subsystem sftp /usr/lib/openssh/sftp-server
		ForceCommand ssh -F none -q -i $LAB/inner -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null ops@10.0.1.11 \"\$SSH_ORIGINAL_COMMAND\""
SSHDS+=("$LAB_LAST")
wait_for lab_port_open 203.0.113.1 2222
wait_for lab_port_open 203.0.113.1 2223
lab_start "$LAB/plain.log" ip netns exec "$lab_tag-bastion" \
	"$BUILD/tests/bench/plain" 2224 "$LAB/host_key" ops "$LAB/bench" \
	10.0.1.11
wait_for lab_port_open 203.0.113.1 2224

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
	Host plain
	  HostName 203.0.113.1
	  Port 2224
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
# In the background, where the shell's child must be ssh itself.
become() {
	exec ip netns exec "$lab_tag-client" ssh -F "$LAB/bench.conf" "$@"
}
paths='direct jump force plain sgbridge sgjump'
if [ -n "$bastion_group" ]; then
	for pid in $(ip netns pids "$lab_tag-bastion"); do
		echo "$pid" >"$bastion_group/cgroup.procs" 2>/dev/null
	done
fi
# cipher NAME: on every leg from here on.
cipher() {
	local file
	CIPHER=$1
	for file in "$LAB/web1/sshd_config" "$LAB/sshd2222.conf" \
		"$LAB/sshd2223.conf"; do
		sed -i '/^Ciphers /d' "$file"
		sed -i "1i Ciphers $CIPHER" "$file"
	done
	for pid in "${SSHDS[@]}"; do
		kill -HUP "$pid"
	done
	sed -i "s/^  Ciphers .*/  Ciphers $CIPHER/" "$LAB/bench.conf"
	# Each has read it again when it lets somebody in with it.
	wait_for run direct true && wait_for run jump true &&
		wait_for run force true
}

# --- what is measured
all_there() {
	[ "$1" = $((MIB * 1048576)) ]
}
exec_down() {
	all_there "$(run "$1" "head -c ${MIB}M /dev/zero" </dev/null | wc -c)"
}
exec_up() {
	all_there "$(head -c "${MIB}M" /dev/zero | run "$1" 'wc -c')"
}
batch() {
	echo "$2" | in_ns client sftp -q -F "$LAB/bench.conf" -b - "$1" \
		>/dev/null
}
sftp_down() {
	batch "$1" "get $LAB/zero /dev/null"
}
sftp_up() {
	batch "$1" "put $LAB/zero /dev/null"
}
connect() {
	run "$1" true </dev/null
}
pss_of() {
	local pid
	for pid; do
		echo "/proc/$pid/smaps_rollup"
	done | xargs -r cat 2>/dev/null |
		awk '/^Pss:/ { sum += $2 } END { print sum + 0 }'
}
pss() {
	# shellcheck disable=SC2046 # numbers
	pss_of $(ip netns pids "$lab_tag-bastion")
}
# What was measured before has ended, or this would be less than it is: a
# session that lost its client leaves within three seconds.
settled() {
	read -rt 4 <> <(:)
	pss
}
count() {
	echo "count $*" >>"$LAB/results"
}
# Idle sessions, all at once; a line from each says that it is there.
idle() {
	local path=$1 i before pids=()
	before=$(settled)
	for ((i = 0; i < IDLE; i++)); do
		become "$path" 'echo up; exec cat' <"$LAB/hold" \
			>"$LAB/idle.$i" 2>/dev/null &
		pids+=($!)
	done
	for ((i = 0; i < IDLE; i++)); do
		wait_for grep -q up "$LAB/idle.$i" || return 1
	done
	# At rest, as most are most of the time.
	read -rt 5 <> <(:)
	count idle_kib "$path" $((($(pss) - before) / IDLE))
	kill "${pids[@]}"
	wait "${pids[@]}" 2>/dev/null
	rm -f "$LAB"/idle.*
}
# Sessions that move bytes as fast as they can, all at once.
busy() {
	local path=$1 i before pids=()
	before=$(settled)
	for ((i = 0; i < IDLE; i++)); do
		become "$path" 'exec head -c 100G /dev/zero' </dev/null \
			>/dev/null 2>&1 &
		pids+=($!)
	done
	read -rt 5 <> <(:)
	count busy_kib "$path" $((($(pss) - before) / IDLE))
	kill "${pids[@]}"
	wait "${pids[@]}" 2>/dev/null
}
# What the recorder holds of a terminal that prints without end, most of whose
# output is compressed, encrypted and written; as much as it is for each.
printing() {
	local i before pids=()
	settled >/dev/null
	before=$(pss_of "$LAB_RECORDER")
	for ((i = 0; i < IDLE; i++)); do
		become sgbridge -tt 'while :; do ls -la /usr/bin; done' \
			<"$LAB/hold" >/dev/null 2>&1 &
		pids+=($!)
	done
	read -rt 5 <> <(:)
	count recorder_kib sgbridge \
		$((($(pss_of "$LAB_RECORDER") - before) / IDLE))
	kill "${pids[@]}"
	wait "${pids[@]}" 2>/dev/null
}
# A target that sends without end to a client that does not read, and what
# the bastion holds meanwhile.
stalled() {
	local path=$1 before pid
	before=$(settled)
	become "$path" 'exec head -c 10G /dev/zero' </dev/null 2>/dev/null \
		>"$LAB/stall" &
	pid=$!
	# Long enough to fill whatever there is to fill.
	read -rt 5 <> <(:)
	count stalled_kib "$path" $(($(pss) - before))
	kill "$pid"
	wait "$pid" 2>/dev/null
}
# generate PATH OPTIONS...: what the load generator says, as one line of JSON.
generate() {
	local path=$1
	shift
	case $path in
	direct) set -- -l ops "$@" 10.0.1.11 ;;
	sshd) set -- -l ops -p 2222 "$@" 203.0.113.1 ;;
	jump) set -- -l ops -P "ssh -F $LAB/bench.conf -W %h:%p jumpsshd" "$@" \
		10.0.1.11 ;;
	sgbridge) set -- -l robot+ops@web1 -p 30022 -b 203.0.113.7 "$@" \
		203.0.113.1 ;;
	esac
	case $path in
	sgbridge) set -- -i "$LAB/users/robot" \
		-k "$(lab_fingerprint "$LAB/host_key.pub")" "$@" ;;
	sshd) set -- -i "$LAB/bench" \
		-k "$(lab_fingerprint "$LAB/host_key.pub")" "$@" ;;
	*) set -- -i "$LAB/bench" \
		-k "$(lab_fingerprint "$LAB/web1/hostkey.pub")" "$@" ;;
	esac
	in_ns client "$BUILD/tests/bench/load" -j "$@"
}
# load NAME PATH OPTIONS...: into the results.
load() {
	local name=$1
	shift
	echo "load $name $1 $(generate "$@")" >>"$LAB/results"
}

mkfifo "$LAB/hold" "$LAB/stall"
exec 9<>"$LAB/hold" 8<>"$LAB/stall"
head -c "${MIB}M" /dev/zero >"$LAB/zero"
chmod 0644 "$LAB/zero"
echo "bench: $ROUNDS rounds of $MIB MiB each way; $CONNECTS connects;" \
	"$IDLE idle sessions; $LOGINS logins at once; $KEYS keys" >&2
part() {
	case " $PARTS " in
	*" $1 "*) return 0 ;;
	esac
	return 1
}
measure_bulk() {
	local name what path round
	for name in aes128-gcm@openssh.com aes256-gcm@openssh.com \
		chacha20-poly1305@openssh.com; do
		cipher "$name" || return 1
		for ((round = 0; round < ROUNDS; round++)); do
			for what in exec_down exec_up sftp_down sftp_up; do
				for path in $paths; do
					timed "$what" "$path" "$MIB" \
						"$what" "$path"
				done
			done
		done
	done
}
measure_connect() {
	local path round
	for ((round = 0; round < CONNECTS; round++)); do
		for path in $paths; do
			timed connect "$path" 0 connect "$path"
		done
	done
}
# Whatever still sends would be measured by all that comes after.
targets_rest() {
	local pid
	for pid in $(ip netns pids "$lab_tag-web1"); do
		[ "$(cat "/proc/$pid/comm" 2>/dev/null)" != head ] || return 1
	done
}
measure_memory() {
	local path
	for path in $paths; do
		[ "$path" = direct ] && continue
		idle "$path"
		busy "$path"
		stalled "$path"
		wait_for targets_rest || {
			echo "bench: $path leaves sessions behind" >&2
			exit 1
		}
	done
	printing
}
measure_keys() {
	local path round
	for ((round = 0; round < ROUNDS; round++)); do
		for path in direct jump sgbridge; do
			load echo "$path" -n 1 -e "$KEYS" \
				-x 'stty raw -echo 2>/dev/null; echo load-ready; exec cat'
		done
	done
}
measure_logins() {
	local path round
	for ((round = 0; round < ROUNDS; round++)); do
		for path in sshd jump sgbridge; do
			load logins "$path" -n "$LOGINS" -c "$LOGINS"
		done
	done
}
# All of them are there and rest when the generator has spoken.
measure_many() {
	local before recorder many tries=900
	[ "$MANY" -gt 0 ] || return 0
	before=$(pss) recorder=$(pss_of "$LAB_RECORDER")
	generate sgbridge -n "$MANY" -c 20 -e "$KEYS" -t 600 >"$LAB/many" &
	many=$!
	until [ -s "$LAB/many" ] || [ "$((tries--))" -eq 0 ]; do
		kill -0 "$many" 2>/dev/null || break
		read -rt 1 <> <(:)
	done
	echo "load many sgbridge $(cat "$LAB/many")" >>"$LAB/results"
	count many_kib sgbridge $((($(pss) - before) / MANY))
	count many_recorder_kib sgbridge \
		$((($(pss_of "$LAB_RECORDER") - recorder) / MANY))
	# shellcheck disable=SC2046 # numbers
	kill $(cat "/proc/$many/task/$many/children") 2>/dev/null
	wait "$many" 2>/dev/null
}
if part bulk; then
	measure_bulk || exit 1
fi
cipher aes128-gcm@openssh.com
for what in connect memory keys logins many; do
	part "$what" && "measure_$what"
done
/usr/bin/python3 -B "$here/report.py" "$LAB/results" "$BUILD/bench.json"
