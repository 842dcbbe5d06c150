#!/bin/bash
# What systemd would do, done by hand: it opens the listening socket, is told
# that the daemon is ready, and hears from its loop.
set -u
cd "$(dirname "$0")/../.." || exit 1
BUILD=${1:-build}
[ "$(id -u)" = 0 ] || {
	echo "needs root, for network namespaces"
	exit 77
}
# shellcheck source=tests/e2e/lab.sh
. tests/e2e/lab.sh
# The settings name another port: the passed socket counts.
eval "$(declare -f lab_conf | sed 's/203.0.113.1:30022 /203.0.113.1:30999 /')"
lab_daemons() {
	lab_start "$LAB/recorder.log" ip netns exec "$lab_tag-bastion" \
		"$BUILD/sgbridge-recorder" -e -c "$LAB/sgbridge.conf"
	wait_for test -S "$LAB/recorder"
	cat >"$LAB/listener.py" <<-'END'
		import os, socket, sys
		def passed(kind):
		    s = socket.socket(socket.AF_INET, kind)
		    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
		    s.bind(("203.0.113.1", 30022))
		    if kind == socket.SOCK_STREAM:
		        s.listen(64)
		    return s
		notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		notify.bind(sys.argv[2])
		if os.fork() == 0:
		    with open(sys.argv[3], "w", buffering=1) as out:
		        while True:
		            out.write(notify.recv(4096).decode() + "\n")
		s = passed(getattr(socket, sys.argv[1]))
		os.dup2(s.fileno(), 3, inheritable=True)
		os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()),
		    NOTIFY_SOCKET=sys.argv[2], WATCHDOG_USEC="200000",
		    WATCHDOG_PID=str(os.getpid()))
		os.execv(sys.argv[4], sys.argv[4:])
	END
	lab_start "$LAB/bastion.log" ip netns exec "$lab_tag-bastion" python3 \
		"$LAB/listener.py" SOCK_STREAM "$LAB/notify" "$LAB/told" \
		"$BUILD/sgbridged" -e -c "$LAB/sgbridge.conf"
	wait_for test -S "$LAB/control"
}
lab_up || exit 1
login() {
	[ "$(lab_ssh robot 203.0.113.7 robot+ops@web1@bastion 'id -un' \
		</dev/null)" = ops ]
}
ok "a login through the socket that was passed" login
ok "the port of the settings is not opened beside it" eval \
	'! lab_port_open 203.0.113.1 30999'
ok "it says that it is ready" wait_for grep -qx READY=1 "$LAB/told"
beats() {
	[ "$(grep -cx WATCHDOG=1 "$LAB/told")" -ge 3 ]
}
ok "it says again and again that its loop goes round" wait_for beats
stuck() {
	local pid count
	pid=$(pgrep -xf "$BUILD/sgbridged -e -c $LAB/sgbridge.conf" | head -n 1)
	kill -STOP "$pid"
	count=$(wc -l <"$LAB/told")
	! timeout 1 tail -f -n +$((count + 2)) "$LAB/told" | grep -q WATCHDOG
	local status=$?
	kill -CONT "$pid"
	return $status
}
ok "a loop that stands says nothing" stuck
refused() {
	in_ns bastion timeout 20 python3 "$LAB/listener.py" SOCK_DGRAM \
		"$LAB/notify2" "$LAB/told2" "$BUILD/sgbridged" -e \
		-c "$LAB/sgbridge.conf" >"$LAB/refused" 2>&1 &
	local pid=$!
	wait_for grep -q 'does not listen for TCP' "$LAB/refused"
	local status=$?
	kill $pid 2>/dev/null
	return $status
}
ok "a socket that does not listen is refused, with what to do" refused
lab_summary
