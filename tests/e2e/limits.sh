#!/bin/bash
# Ends and limits: what ends at its time (certificates, keys, sessions that
# nobody reads), what is counted though nobody stays to hear it, and a bastion
# without processes, without descriptors or behind a bad network, which lives
# on. No time is asserted: what comes first is.
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=${1:-build}
# shellcheck source=tests/e2e/lab.sh
. "$here/lab.sh"
people='certy liney commy staller idler greedy fine locked aged noshell ghost'
# shellcheck disable=SC2089
export LAB_CONF_EXTRA='otp-tries 20
	max-startups 200'
# shellcheck disable=SC2090
export LAB_POLICY_EXTRA="
group   Others certy, liney, commy, greedy, fine, locked, aged, noshell, ghost
keys { accept ed25519 }
permit Others from 203.0.113.7 to SG_Current as ops {
 	mfa never; allow shell, exec }
permit staller from 203.0.113.7 to SG_Current as ops {
 	mfa never; allow exec; max-session 2s }
permit idler from 203.0.113.7 to SG_Current as ops {
 	mfa never; allow exec; idle 1s }"
lab_up || exit 1
for user in $people; do
	lab_user "$user"
done
reload() {
	"$BUILD/sgbridge" reload -c "$LAB/sgbridge.conf" >/dev/null
}
as() { # user words...
	local user=$1
	shift
	lab_ssh "$user" 203.0.113.7 "$user+ops@web1@bastion" "$@"
}
robot_in() {
	[ "$(as robot echo in </dev/null 2>>"$LAB/err")" = in ]
}
# Ends somebody's clients.
hang_up() {
	local pid
	for pid in $(ip netns pids "$lab_tag-client"); do
		grep -qa "$1+ops@" "/proc/$pid/cmdline" 2>/dev/null &&
			kill "$pid" 2>/dev/null
	done
	return 0
}
trail() { # words that a line of the trail has
	cat "$LAB"/events/*.jsonl | grep -a "$1" | grep -aq "$2"
}
verifies() {
	"$BUILD/sgbridge-audit" verify -c "$LAB/sgbridge.conf" \
		>"$LAB/out" 2>&1
}
# No session process, and no monitor but the nursery.
alone() {
	[ "$(ps -eo pid,comm,args | in_bastion sgbridge-monit)" -le 1 ]
}
in_bastion() {
	local pid comm rest count=0 pids
	pids=" $(ip netns pids "$lab_tag-bastion" | tr '\n' ' ')"
	# shellcheck disable=SC2034
	while read -r pid comm rest; do
		[[ $comm == "$1"* && $pids == *" $pid "* ]] &&
			count=$((count + 1))
	done
	echo "$count"
}
# With a command that knows keys, which it must have from the start.
install -d -m 0755 "$LAB/bin"
cat >"$LAB/bin/keys" <<-END
	#!/bin/sh
	[ "\$1" != commy ] || cat "$LAB/bin/commy.key"
END
chmod 0755 "$LAB/bin/keys"
cat >>"$LAB/sgbridge.conf" <<-END
	authorized-keys-command $LAB/bin/keys %u
	authorized-keys-command-user 64203:64203
END
# restart LOG COMMAND...: the daemon, once more.
restart() {
	local log=$1
	shift
	kill "$LAB_BASTION"
	wait_for eval "! kill -0 $LAB_BASTION 2>/dev/null"
	lab_start "$log" ip netns exec "$lab_tag-bastion" "$@"
	LAB_BASTION=$LAB_LAST
	wait_for test -S "$LAB/control"
}
restart "$LAB/bastion.log" "$BUILD/sgbridged" -e -c "$LAB/sgbridge.conf"
daemon_pid=$LAB_BASTION
descriptors() {
	find "/proc/$daemon_pid/fd" -mindepth 1 | wc -l
}
resident() {
	sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$daemon_pid/status"
}

# --- what comes of many that fail
robot_in
wait_for alone
before="$(descriptors) $(resident)"
cookies() {
	# shellcheck disable=SC2046
	set -- $(in_ns client timeout 120 "$here/preauth.py" 203.0.113.1 \
		cookies 600 2>>"$LAB/err")
	[ "${1:-0}" = 600 ] && [ "${2:-0}" = 600 ] && return
	echo "# cookies: $*"
	return 1
}
ok "600 session processes, no random number twice" cookies
failures() {
	"$BUILD/sgbridge-otp" -c "$LAB/sgbridge.conf" status "$1" --json |
		sed -n 's/.*"failures": *\([0-9]*\).*/\1/p'
}
left() {
	in_ns client timeout 120 "$here/auth.py" 2001:db8:7::1 \
		"$LAB/users/alice" leave 20 2001:db8:7::{10..13} \
		>"$LAB/left" 2>>"$LAB/err"
	grep -qx "left 80" "$LAB/left" && return
	sed 's/^/# /' "$LAB/left"
	return 1
}
counted() {
	failures alice >"$LAB/failures"
	[ "$(cat "$LAB/failures")" = "$1" ] && return
	sed 's/^/# /' "$LAB/failures"
	return 1
}
# Twenty an address are looked at, and eighty of a person, by otp-tries.
for host in 10 11 12 13; do
	in_ns client ip address add "2001:db8:7::$host/64" dev c0 nodad
done
ok "80 leave right behind their wrong code" left
ok "each of them counts" wait_for counted 80
ok "so that the right code is none for a while" eval '! lab_ssh alice \
	203.0.113.9 alice+ops@web1@bastion echo in </dev/null >"$LAB/out" 2>&1'
ok "another's success" eval '[ "$(lab_ssh bob 203.0.113.9 \
	bob+ops@web1@bastion echo in </dev/null 2>>"$LAB/err")" = in ]'
ok "clears nothing of it" counted 80
metric() {
	"$BUILD/sgbridge" metrics -c "$LAB/sgbridge.conf" |
		awk -v name="$1" '$1 == name { print $2 }'
}
same_as_before() {
	local now
	wait_for alone || return 1
	now="$(descriptors) $(resident)"
	[ "${now% *}" -le "${before% *}" ] || {
		echo "# descriptors and KiB: $before, then $now"
		return 1
	}
	# A sanitizer keeps what was freed.
	nm "$BUILD/sgbridged" 2>/dev/null | grep -q __asan_init ||
		[ "${now#* }" -le $((${before#* } + 1024)) ] || {
		echo "# descriptors and KiB: $before, then $now"
		return 1
	}
}
ok "descriptors, memory and processes are what they were" same_as_before
ok "how many failed is counted to the last" eval \
	'[ "$(metric "sgbridge_penalties_total{kind=\"auth\"}")" -ge 80 ]'
ok "and nobody as logged on who was not" eval \
	'[ "$(metric sgbridge_logons_total)" = 2 ]'

# --- what ends at its time
ssh-keygen -q -t ed25519 -N '' -f "$LAB/users/ca" -C ca
install -m 0644 "$LAB/users/ca.pub" "$LAB/ca.pub"
install -m 0644 "$LAB/users/commy.pub" "$LAB/bin/commy.pub"
rm "$LAB/authorized_keys/commy" "$LAB/authorized_keys/certy"
echo "keys { accept ed25519
user-ca $LAB/ca.pub }" >"$LAB/keys.block"
sed -i '/^keys {/d' "$LAB/policy.conf"
cat "$LAB/keys.block" >>"$LAB/policy.conf"
reload
until_then() {
	date -u -d "+$1 seconds" +%Y%m%d%H%M%S
}
# Seconds to log on in, and fewer than the half minute that is asked each time.
ends_soon() {
	local user=$1 moment
	moment=$(until_then 9)
	case $user in
	certy) ssh-keygen -q -s "$LAB/users/ca" -I certy -n certy \
		-V "20260101Z:${moment}Z" "$LAB/users/certy.pub" ;;
	liney) echo "expiry-time=\"${moment}Z\" $(cat "$LAB/users/liney.pub")" \
		>"$LAB/authorized_keys/liney" ;;
	commy) echo "expiry-time=\"${moment}Z\" $(cat "$LAB/users/commy.pub")" \
		>"$LAB/bin/commy.key" ;;
	esac
	as "$user" 'echo in; cat' <"$LAB/hold" >"$LAB/out.$user" \
		2>"$LAB/err.$user" &
	ssh_of[$user]=$!
}
declare -A ssh_of
mkfifo "$LAB/hold"
exec 7<>"$LAB/hold"
for user in certy liney commy; do
	ends_soon "$user"
done
cut_in_time() {
	wait_for eval "! kill -0 ${ssh_of[$1]} 2>/dev/null" || return 1
	wait "${ssh_of[$1]}"
	[ $? -eq 255 ] && [ "$(cat "$LAB/out.$1")" = in ] &&
		grep -q 'no longer permitted' "$LAB/err.$1" && return
	sed 's/^/# /' "$LAB/out.$1" "$LAB/err.$1"
	return 1
}
ok "a certificate that expires ends its session" cut_in_time certy
ok "so does a line of authorized_keys" cut_in_time liney
ok "and one that a command printed" cut_in_time commy
ok "the trail says why" trail '"session-cut"' 'revoked, expired'
# One that was let in for ever, and is told otherwise.
told_later() {
	cp "$LAB/users/commy.pub" "$LAB/bin/commy.key"
	as commy 'echo in; cat' <"$LAB/hold" >"$LAB/out.commy" \
		2>"$LAB/err.commy" &
	ssh_of[commy]=$!
	wait_for grep -q in "$LAB/out.commy" || return 1
	echo "expiry-time=\"$(until_then 4)Z\" $(cat "$LAB/users/commy.pub")" \
		>"$LAB/bin/commy.key"
	reload && cut_in_time commy
}
ok "what a reload learnt counts from then on" told_later
exec 7>&-
ok "expired, it does not log on again" eval '! as certy echo in </dev/null \
	>"$LAB/out" 2>&1'

# --- a stream that nobody reads
mkfifo "$LAB/unread"
stalled() { # user words of its end
	local ssh result
	exec 8<>"$LAB/unread"
	as "$1" 'cat /dev/zero' </dev/null >&8 2>"$LAB/err" &
	ssh=$!
	wait_for trail "\"name\":\"$1\"" '"target-close"'
	result=$?
	hang_up "$1"
	wait "$ssh"
	exec 8>&-
	[ "$result" -eq 0 ] && trail "\"name\":\"$1\"" "$2" && return
	grep -ah "\"name\":\"$1\"" "$LAB"/events/*.jsonl | sed 's/^/# /'
	return 1
}
ok "max-session ends a stream that is stalled" stalled staller \
	'longest time for a session is over'
ok "so does idle" stalled idler 'target-close'
ok "and both recordings are closed and whole" verifies

# --- one that takes all there is, and another
arrived() {
	in_ns client cat /sys/class/net/c0/statistics/rx_bytes
}
more_than() {
	[ "$(arrived)" -gt "$1" ]
}
served_beside() {
	local line=0 answer
	as greedy 'cat /dev/zero' </dev/null >/dev/null 2>"$LAB/err" &
	wait_for more_than $(($(arrived) + 10000000)) || return 1
	coproc ECHO { as robot cat 2>>"$LAB/err"; }
	for line in {1..50}; do
		echo "line $line" >&"${ECHO[1]}"
		read -rt 20 answer <&"${ECHO[0]}" || break
		[ "$answer" = "line $line" ] || break
	done
	eval "exec ${ECHO[1]}>&-"
	# It was there all the time, and went on.
	wait_for more_than $(($(arrived) + 10000000)) || line=0
	hang_up greedy
	[ "$line" -eq 50 ] && [ "$answer" = "line 50" ]
}
ok "beside an endless transfer fifty lines come back, each in turn" \
	served_beside

# --- a network that loses and delays
lossy() {
	local ns
	for ns in client bastion; do
		in_ns "$ns" nft 'add table inet loss
			add chain inet loss in { type filter hook input priority 0; }
			add rule inet loss in tcp sport 30022 numgen random mod 100 < 5 drop
			add rule inet loss in tcp dport 30022 numgen random mod 100 < 5 drop'
	done
}
cat >"$LAB/delay.py" <<'END'
"""A relay to the bastion that lets each piece wait for 25 ms."""
import asyncio, sys

async def pump(reader, writer):
    queue = asyncio.Queue(64)

    async def send():
        loop = asyncio.get_running_loop()
        while True:
            when, data = await queue.get()
            await asyncio.sleep(max(0, when - loop.time()))
            if not data:
                writer.close()
                return
            writer.write(data)
            await writer.drain()

    sender = asyncio.create_task(send())
    data = b"x"
    while data:
        try:
            data = await reader.read(65536)
        except OSError:
            data = b""
        await queue.put((asyncio.get_running_loop().time() + 0.025, data))
    await sender

async def serve(reader, writer):
    there = await asyncio.open_connection("203.0.113.1", 30022,
                                          local_addr=("203.0.113.7", 0))
    await asyncio.gather(pump(reader, there[1]), pump(there[0], writer),
                         return_exceptions=True)

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 4022)
    print("ready", flush=True)
    await server.serve_forever()

asyncio.run(main())
END
far() {
	in_ns client timeout 120 ssh -F "$LAB/ssh_config" -p 4022 \
		-i "$LAB/users/robot" -o HostKeyAlias=sgbridge \
		-o RekeyLimit=256K robot+ops@web1@127.0.0.1 "$@"
}
head -c 2000000 /dev/urandom >"$LAB/bytes"
sum=$(sha256sum <"$LAB/bytes")
far_and_back() {
	[ "$(far cat <"$LAB/bytes" 2>>"$LAB/err" | sha256sum)" = "$sum" ]
}
if lossy 2>"$LAB/loss"; then
	lab_start "$LAB/delay.log" ip netns exec "$lab_tag-client" \
		python3 "$LAB/delay.py"
	wait_for grep -q ready "$LAB/delay.log"
	ok "5 % lost, 50 ms late, new keys each 256 KiB: the same bytes" \
		far_and_back
	for ns in client bastion; do
		in_ns "$ns" nft delete table inet loss
	done
else
	echo "# no numgen in this kernel: no packets are lost"
fi

# --- no processes, no descriptors
forks=clone,clone3,fork,vfork
nursery=$(ps -o pid=,comm= --ppid "$daemon_pid" |
	sed -n 's/ *\([0-9]*\) sgbridge-monit.*/\1/p')
traced() {
	local tracer
	tracer=$(sed -n 's/^TracerPid:[^0-9]*//p' "/proc/$1/status")
	[ "${tracer:-0}" != 0 ]
}
# forbid PID CALLS ERROR: until unforbid, these calls of it fail.
forbid() {
	lab_start "$LAB/strace.log" strace -qq -o "$LAB/strace" -p "$1" \
		-e trace="$2" -e inject="$2:error=$3"
	tracer=$LAB_LAST
	wait_for traced "$1"
}
unforbid() {
	kill "$tracer" 2>/dev/null
	wait_for eval "! traced $1"
}
# OpenSSH 10.6 tells of no end before its first line unless it is asked to.
sent_away() {
	! as robot -o LogLevel=INFO echo REACHED </dev/null >"$LAB/out" \
		2>"$LAB/err.away" &&
		grep -qi 'closed\|reset' "$LAB/err.away" && return
	sed 's/^/# /' "$LAB/out" "$LAB/err.away"
	return 1
}
cradle() {
	local pid
	for pid in $(ip netns pids "$lab_tag-bastion"); do
		grep -qaz '^-c$' "/proc/$pid/cmdline" 2>/dev/null &&
			grep -q '^sgbridge-sessio' "/proc/$pid/comm" &&
			echo "$pid" && return
	done
	return 1
}
if forbid "$nursery" "$forks" EAGAIN; then
	ok "no process for a monitor: the client is told at once" sent_away
	unforbid "$nursery"
	ok "the log says so" grep -q 'no process for a monitor' \
		"$LAB/bastion.log"
	ok "and the next one comes in" robot_in
	pid=$(cradle) && forbid "$pid" "$forks" EAGAIN
	ok "a cradle that cannot fork keeps nobody out" robot_in
	# It may be gone: whoever cannot fork is of no use.
	unforbid "$pid"
	ok "nor does it afterwards" robot_in
	# Each second call: the one for which the spare descriptor is given up.
	forbid "$daemon_pid" accept4 EMFILE:when=1+2
	ok "no descriptor to accept: the client is told at once" sent_away
	ok "the administrator is heard" eval '"$BUILD/sgbridge" status \
		-c "$LAB/sgbridge.conf" >"$LAB/out" 2>&1'
	unforbid "$daemon_pid"
	ok "and the next one comes in" robot_in
else
	echo "# nobody can be traced here: no fork is refused"
	kill "$tracer" 2>/dev/null
fi
# Room for a few more; then forty that say nothing.
room=0 most=0
while [ "$room" -lt 8 ]; do
	[ -e "/proc/$daemon_pid/fd/$most" ] || room=$((room + 1))
	most=$((most + 1))
done
limit=$(prlimit --pid "$daemon_pid" --nofile -o SOFT --noheadings)
limit=${limit// /}
prlimit --pid "$daemon_pid" --nofile="$most:"
crowd='
import socket, sys
crowd = [socket.create_connection(("203.0.113.1", 30022), 10,
                                  source_address=("203.0.113.7", 0))
         for _ in range(40)]
print("here", flush=True)
sys.stdin.read()'
coproc CROWD { in_ns client python3 -c "$crowd"; }
read -rt 20 answer <&"${CROWD[0]}"
ok "no descriptors for a monitor: the client is told at once" sent_away
ok "the trail says so" wait_for trail '"connect-refused"' \
	'no monitor can be\|no descriptor'
ok "what was refused is counted" eval \
	'[ "$(metric "sgbridge_refused_total{reason=\"limit\"}")" -gt 0 ]'
eval "exec ${CROWD[1]}>&-"
wait_for alone
prlimit --pid "$daemon_pid" --nofile="$limit":
ok "and the next one comes in" robot_in
ok "the daemon is the one it was" kill -0 "$daemon_pid"

# --- people with accounts on the bastion
# The service asks pam_unix and pam_shells as well; the bastion has its own
# files of accounts.
cat >"$LAB/pam.d/sgbridge" <<-END
	auth    requisite $BUILD/pam_sgbridge.so conf=$LAB/sgbridge.conf proxy
	account requisite $BUILD/pam_sgbridge.so conf=$LAB/sgbridge.conf proxy
	account required  pam_unix.so
	account required  pam_shells.so
	session requisite $BUILD/pam_sgbridge.so conf=$LAB/sgbridge.conf proxy
END
{
	echo 'root:x:0:0:root:/root:/bin/bash'
	for user in fine locked aged; do
		echo "$user:x:64400:64400::/nonexistent:/bin/bash"
	done
	echo 'noshell:x:64400:64400::/nonexistent:/usr/sbin/nologin'
	echo 'nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin'
} >"$LAB/passwd"
# As after usermod --lock --expiredate 1, and a password that is long overdue.
cat >"$LAB/shadow" <<-END
	root:*:19000:0:99999:7:::
	fine:*:19000:0:99999:7:::
	locked:!*:19000:0:99999:7::1:
	aged:*:1:0:30:7:0::
	noshell:*:19000:0:99999:7:::
	nobody:*:19000:0:99999:7:::
END
chmod 0600 "$LAB/shadow"
restart "$LAB/bastion2.log" unshare -m --propagation private sh -ec "
	mount --bind '$LAB/passwd' /etc/passwd
	mount --bind '$LAB/shadow' /etc/shadow
	exec '$BUILD/sgbridged' -e -c '$LAB/sgbridge.conf'"
refused() {
	! as "$1" echo REACHED </dev/null >"$LAB/out" 2>&1 &&
		! grep -q REACHED "$LAB/out" &&
		grep -q "PAM refused $1" "$LAB/bastion2.log"
}
ok "pam_unix: an account that is in order" eval \
	'[ "$(as fine echo in </dev/null 2>>"$LAB/err")" = in ]'
ok "pam_unix: one that is locked and expired" refused locked
ok "pam_unix: one whose password is long overdue" refused aged
ok "pam_unix: one that does not exist" refused ghost
ok "pam_shells: one without a shell" refused noshell
lab_summary
