#!/bin/bash
# sgbridge-forward with real receivers: rsyslog over UDP, TCP and TLS, a journal
# of its own, and receivers that should not be trusted or do not read. The trail
# is a recorder's for the first part, and made line by line for the rest.
# shellcheck disable=SC2034
set -u
cd "$(dirname "$0")/../.." || exit 1
BUILD=${1:-build}
[ "$(id -u)" = 0 ] || {
	echo "needs root, for network namespaces"
	exit 77
}
command -v rsyslogd >/dev/null || {
	echo "needs rsyslog"
	exit 77
}
# shellcheck source=tests/e2e/lab.sh
. tests/e2e/lab.sh
# shellcheck source=tests/block.sh
. tests/block.sh
USER_IDS=64303:64303
here=$PWD/tests/e2e
# What the folder of the trail tells the recorder: who may read it.
eval "$(declare -f lab_daemons | sed '1s/lab_daemons/start_bastion/')"
lab_daemons() {
	install -d -o "${LAB_RECORDER_USER%:*}" -g "${USER_IDS#*:}" "$LAB/events"
	chmod 2750 "$LAB/events"
	start_bastion
}
trail() {
	python3 "$here/trail.py" "$@"
}
add() {
	trail add "$T/events" "$@"
	chgrp -R "${USER_IDS#*:}" "$T/events"
	chmod 640 "$T"/events/*
}
# all FILE FIRST LAST: waits until they are there, and then in order.
all() {
	local file=$1
	shift
	# The last line of the file as it comes is cheap to look for.
	wait_for grep -q "seq=\"$2\"" "$file" &&
		trail check "$file" "$@" "$T/events"
}
status() {
	"$BUILD/sgbridge-forward" --status --json -c "$1"
}
# says CONF RECEIVER JQ: what the status has about one of them.
says() {
	status "$1" | jq -e --arg r "$2" \
		".receivers[] | select(.receiver == \$r) | $3" >/dev/null
}

# --- receivers
# The guide's own receiver, and more inputs for other transports.
rsyslog_conf() {
	local tls="streamDriver.name=\"ossl\" streamDriver.mode=\"1\"
		streamDriver.authMode=\"x509/certvalid\""
	block docs/ADMIN.md rsyslog |
		sed "s,/etc/rsyslog.d/logs,$LAB/certs/good,
			s,/etc/rsyslog.d/,$LAB/certs/,
			s,/var/log/sgbridge.log,$LAB/got.tls,
			s,port=\"6514\",address=\"203.0.113.9\" &,
			1s,(,(workDirectory=\"$LAB/rsyslog\" ," >"$LAB/rsyslog.conf"
	grep -q 'authMode' "$LAB/rsyslog.conf" || return 1
	cat >>"$LAB/rsyslog.conf" <<-END
		module(load="imudp")
		ruleset(name="udp") { action(type="omfile" file="$LAB/got.udp" template="raw") }
		ruleset(name="tcp") { action(type="omfile" file="$LAB/got.tcp" template="raw") }
		ruleset(name="cut") { action(type="omfile" file="$LAB/got.cut" template="raw") }
		ruleset(name="real") { action(type="omfile" file="$LAB/got.real" template="raw") }
		input(type="imudp" address="203.0.113.9" port="5514" ruleset="udp")
		input(type="imudp" address="203.0.113.9" port="5513" ruleset="cut")
		input(type="imtcp" address="203.0.113.9" port="5515" ruleset="tcp")
		input(type="imtcp" address="203.0.113.9" port="6515" ruleset="real" $tls)
	END
}
receives() {
	in_ns client bash -c "exec 3<>/dev/tcp/203.0.113.9/$1" 2>/dev/null
}
start_rsyslog() {
	lab_start "$LAB/rsyslogd.out" ip netns exec "$lab_tag-client" \
		rsyslogd -n -f "$LAB/rsyslog.conf" -i "$LAB/rsyslog.pid"
	RSYSLOG=$LAB_LAST
	wait_for receives 6515
}
kill_rsyslog() {
	kill -KILL "$RSYSLOG"
	wait_for test ! -e "/proc/$RSYSLOG"
}
# A journal in a folder: it touches neither the host's nor the kernel's audit.
start_journal() {
	mkdir -p "$LAB/run"
	mkdir -p "$LAB/run/systemd/journald.conf.d"
	printf '[Journal]\nReadKMsg=no\nAudit=\nStorage=volatile\nRateLimitBurst=0\n' \
		>"$LAB/run/systemd/journald.conf.d/lab.conf"
	# A root that was never booted has none, or an empty one.
	echo 5367b21d9ee04bd0a1e5c5a9b1d4f0aa >"$LAB/machine-id"
	lab_start "$LAB/journald.out" unshare -m --propagation private sh -ec "
		mount --bind '$LAB/run' /run
		mkdir -p /run/systemd/journal /run/log/journal
		[ ! -e /etc/machine-id ] ||
			mount --bind '$LAB/machine-id' /etc/machine-id
		exec setpriv --bounding-set -audit_control,-audit_read,-audit_write,-syslog \
			/lib/systemd/systemd-journald"
	JOURNALD=$LAB_LAST
	wait_for test -S "$LAB/run/systemd/journal/socket"
}
journal() {
	journalctl --no-pager -D "$LAB/run/log/journal" "$@" 2>/dev/null
}

# start NAME CONF: a forwarder in the bastion's namespace.
start() {
	lab_start "$LAB/$1.log" ip netns exec "$lab_tag-bastion" \
		"$BUILD/sgbridge-forward" -e -c "$2"
	FORWARD=$LAB_LAST
	wait_for runs "$2"
}
runs() {
	status "$1" | jq -e .running >/dev/null
}
stop() {
	kill "$1"
	wait_for test ! -e "/proc/$1"
}
children() {
	cat /proc/"$FORWARD"/task/*/children
}
# conf NAME RECEIVERS: settings of the made trail.
conf() {
	cat >"$T/$1.conf" <<-END
		events             $T/events
		writer-name        lab
		forward-user       $USER_IDS
		forward-directory  $T/$1
		forward-retry      1s
		journald-socket    $LAB/run/systemd/journal/socket
		$2
	END
}

lab_up || exit 1
T=$LAB/made
mkdir -p "$LAB/rsyslog" "$LAB/certs" "$T/events"
chmod 755 "$T"
trail certs "$LAB/certs"
chown "${USER_IDS%:*}" "$LAB/certs/bastion.key"
chmod 0400 "$LAB/certs"/*.key
chgrp "${USER_IDS#*:}" "$T/events"
rsyslog_conf || exit 1
start_rsyslog
start_journal
TLS="name logs.example.org ca $LAB/certs/ca.pem client-cert $LAB/certs/bastion.pem client-key $LAB/certs/bastion.key"

# --- a recorder's trail, as it comes
cat >>"$LAB/sgbridge.conf" <<END
forward-user       $USER_IDS
forward-directory  $LAB/forward
journald-socket    $LAB/run/systemd/journal/socket
forward-retry      1s
syslog tls 203.0.113.9 6515 hold 1s $TLS
journald yes
END
lab_ssh robot 203.0.113.7 robot+ops@web1@bastion 'echo Grüße' </dev/null >/dev/null
ok "-t takes the settings" "$BUILD/sgbridge-forward" -t -c "$LAB/sgbridge.conf"
start real "$LAB/sgbridge.conf"
REAL=$FORWARD
ok "a logon of before it ran is at the receiver, over TLS with a client certificate" \
	wait_for grep -q ' sgbridge - logon \[sgbridge@32473 seq="[0-9]*" .*robot' "$LAB/got.real"
conn=$(grep -h '"event":"logon"' "$LAB"/events/*.jsonl | head -n 1 |
	jq -r .unmapped.sgb.conn)
ok "with the session's id" grep -q "session=\"$conn\"" "$LAB/got.real"
lab_ssh robot 203.0.113.7 robot+ops@web1@bastion true </dev/null
ok "what happens later comes by itself" wait_for eval \
	'[ "$(grep -c " sgbridge - logoff " "$LAB/got.real")" = 2 ]'
ok "the head of the recording is among it" wait_for grep -q \
	' sgbridge - head .*head rec [0-9a-f-]* [0-9]* [0-9a-f]\{64\}' "$LAB/got.real"
fields() {
	journal -o json SGB_SESSION="$conn" SGB_EVENT=logon |
		jq -e --arg id "$(printf 'sgbridge event logon' | sha256sum |
			cut -c1-32)" 'select(.SGB_USER == "robot" and
			.SGB_SOURCE == "203.0.113.7" and .MESSAGE_ID == $id and
			(.SGB_JSON | fromjson | .unmapped.sgb.event) == "logon"
			and .SYSLOG_IDENTIFIER == "sgbridge")' >/dev/null
}
ok "and in the journal, with fields to ask for" wait_for fields
secure() {
	local pid
	for pid in $REAL $(cat /proc/"$REAL"/task/*/children); do
		grep -q '^Uid:.64303.64303.64303.64303$' "/proc/$pid/status" &&
			grep -q '^CapPrm:.0000000000000000$' "/proc/$pid/status" &&
			grep -q '^NoNewPrivs:.1$' "/proc/$pid/status" &&
			{ [ -n "${SGB_SANITIZED:-}" ] || nm "$BUILD/sgbridge-forward" |
				grep -q __asan_init ||
				grep -q '^Seccomp:.2$' "/proc/$pid/status"; } ||
			return 1
	done
	! setpriv --reuid 64303 --regid 64303 --clear-groups \
		cat "$LAB/recorder_key" >/dev/null 2>&1 &&
		! setpriv --reuid 64303 --regid 64303 --clear-groups \
			ls "$LAB/recordings" >/dev/null 2>&1 &&
		setpriv --reuid 64303 --regid 64303 --clear-groups \
			ls "$LAB/events" >/dev/null
}
ok "its processes are nobody, confined, and see neither keys nor recordings" secure
stop "$LAB_RECORDER"
wait_for grep -q ' sgbridge - service-stop ' "$LAB/got.real"
heads() {
	"$BUILD/sgbridge-audit" verify -c "$LAB/sgbridge.conf" \
		--heads "$LAB/got.real" >"$LAB/verify.out" 2>&1 ||
		{
			sed 's/^/# /' "$LAB/verify.out"
			return 1
		}
}
ok "what the receiver has serves verify --heads" heads
rolled_back() {
	mkdir "$LAB/copy"
	cp -r "$LAB/events" "$LAB/copy/"
	# Down to a line that is signed: nothing in it tells.
	sed -i '$d' "$LAB"/copy/events/*.jsonl
	grep -q '"sig":' "$LAB"/copy/events/*.jsonl || return 1
	until tail -n 1 "$LAB"/copy/events/*.jsonl | grep -q '"sig":'; do
		sed -i '$d' "$LAB"/copy/events/*.jsonl
	done
	! "$BUILD/sgbridge-audit" verify -c "$LAB/sgbridge.conf" --heads \
		"$LAB/got.real" --events "$LAB/copy/events" \
		>"$LAB/verify.out" 2>&1 &&
		grep -q 'rolled back' "$LAB/verify.out"
}
ok "and shows a trail that was cut by a line" rolled_back
stop "$REAL"

# --- order, and nothing lost, whatever is killed
conf main "syslog udp 203.0.113.9 5514 hold 1s max-message 8000
	syslog udp 203.0.113.9 5513 hold 1s max-message 480
	syslog tcp 203.0.113.9 5515 hold 1s facility audit
	syslog tls 203.0.113.9 6514 hold 1s $TLS
	syslog tcp 203.0.113.9 5601
	journald yes"
lab_start "$LAB/stall.log" ip netns exec "$lab_tag-client" \
	python3 "$here/trail.py" stall 203.0.113.9 5601
wait_for receives 5601
add 300 2026-11-20 'Grüße "quoted" ] \\ end'
start main "$T/main.conf"
for kind in udp tcp tls; do
	ok "$kind: 300 lines, in order, byte for byte as in the trail" \
		all "$LAB/got.$kind" 1 300
done
ok "facility and severity are as configured" eval \
	'grep -q "^<108>1 " "$LAB/got.tcp" && grep -q "^<110>1 " "$LAB/got.tcp"'
cut_ok() {
	awk 'length($0) > 480 { bad = 1 } / cut="[0-9]+"\]/ { n++ }
		END { exit !(n == 300 && !bad) }' <(LC_ALL=C cat "$LAB/got.cut")
}
ok "what does not fit a datagram is cut, and says so" wait_for cut_ok
kill_rsyslog
add 200 2026-11-20
ok "a receiver that is away shows" wait_for says "$T/main.conf" \
	"tcp 203.0.113.9 5515" '.state == "away" and .behind >= 200'
start_rsyslog
for kind in udp tcp tls; do
	ok "$kind: nothing is lost while the receiver was killed" \
		all "$LAB/got.$kind" 1 500
done
killed_child() {
	local pid
	for pid in $(children); do kill -KILL "$pid"; done
	add 100 2026-11-21
	for kind in udp tcp tls; do all "$LAB/got.$kind" 1 600 || return 1; done
}
ok "nor when every child is killed, over the change of a day" killed_child
killed_parent() {
	local old=$FORWARD kids
	kids=$(children)
	kill -KILL "$old"
	for pid in $old $kids; do wait_for test ! -e "/proc/$pid" || return 1; done
	add 100 2026-11-21
	start main "$T/main.conf"
	for kind in udp tcp tls; do all "$LAB/got.$kind" 1 700 || return 1; done
}
ok "nor when the parent is; its children go with it" killed_parent
ok "a receiver that does not read holds up none of this" wait_for says "$T/main.conf" \
	"tcp 203.0.113.9 5601" '.state == "up" and .gaps == 0'
ok "what was delivered is known, and survives" wait_for says "$T/main.conf" \
	"tls 203.0.113.9 6514" '.delivered == 700 and .behind == 0'
journal_all() {
	[ "$(journal -o json SGB_WRITER=00112233445566aa | jq -r .SGB_SEQ |
		sort -nu | wc -l)" = 700 ]
}
ok "the journal has all of them too" wait_for journal_all
second() {
	"$BUILD/sgbridge-forward" -e -c "$T/main.conf" >"$LAB/second.log" 2>&1
	[ $? = 69 ] && grep -q 'another sgbridge-forward' "$LAB/second.log"
}
ok "a second one does not run beside it" second
resent() {
	local before
	before=$(wc -l <"$LAB/got.tls")
	stop "$FORWARD"
	start main "$T/main.conf"
	add 1 2026-11-21
	all "$LAB/got.tls" 701 701 &&
		[ "$(wc -l <"$LAB/got.tls")" = $((before + 1)) ]
}
ok "after a restart nothing is sent twice that was delivered" resent
CONF=main
# metric NAME RECEIVER TEST: what Prometheus is told, by awk's comparison.
metric() {
	"$BUILD/sgbridge-forward" --metrics -c "$T/$CONF.conf" |
		awk -v name="sgbridge_forward_$1{receiver=\"$2\"}" \
			"index(\$0, name) == 1 { found = (\$NF $3) } END { exit !found }"
}
formats() {
	"$BUILD/sgbridge-forward" --metrics -c "$T/$CONF.conf" | awk '
		/^# (HELP|TYPE) sgbridge_forward_[a-z_]+ / { next }
		/^sgbridge_forward_[a-z_]+(\{receiver="[^"\\]+"\})? [0-9]+$/ { n++; next }
		{ print "# " $0; bad = 1 } END { exit bad || n < 30 }'
}
doctor() {
	"$BUILD/sgbridge" doctor --json -c "$T/$CONF.conf" >"$LAB/doctor.out" 2>&1
	jq -e --arg c "$1" --arg t "$2" 'any(.findings[]; .code == $c and
		(.found | test($t)))' "$LAB/doctor.out" >/dev/null
}
ok "metrics say what was sent" wait_for metric delivered_sequence \
	"tls 203.0.113.9 6514" '== 701'
ok "and when certificates expire" eval \
	'wait_for metric peer_certificate_expires_timestamp_seconds "tls 203.0.113.9 6514" "> 0" &&
	metric own_certificate_expires_timestamp_seconds "tls 203.0.113.9 6514" "> 0"'

ok "doctor says which receiver does not keep up" doctor forward-behind \
	'tcp 203.0.113.9 5601: [0-9]* events wait, the first for'
ok "and whose certificate expires" doctor forward-certificate \
	"tls 203.0.113.9 6514: the receiver's certificate expires on"

# --- other settings while it runs
lines() {
	wc -l <"$LAB/got.tls"
}
reload() {
	kill -HUP "$FORWARD"
}
broken() {
	cp "$T/main.conf" "$T/main.good"
	echo 'syslog tcp logs.example.org 514' >>"$T/main.conf"
	reload
	wait_for grep -q 'main.conf:[0-9]*: syslog: "logs.example.org"' \
		"$LAB/main.log" && grep -q 'nothing changed' "$LAB/main.log" &&
		says "$T/main.conf" "tls 203.0.113.9 6514" '.state == "up"'
}
ok "settings with a mistake change nothing, and the line is told" broken
# shellcheck disable=SC2317 # by eval
check() {
	"$BUILD/sgbridge" check --json -c "$T/main.conf" |
		jq -e '.items[] | select(.level == "error" and .line > 7 and
			(.file | endswith("main.conf")) and
			(.text | test("numeric address")))' >/dev/null
}
echo "policy $LAB/policy.conf" >>"$T/main.conf"
ok "sgbridge check tells it, with file and line" check
ok "and doctor" doctor forward-settings 'main.conf:[0-9]*: syslog: .*numeric'
cp "$T/main.good" "$T/main.conf"
changed() {
	local before
	kill_rsyslog
	add 30 2026-11-21
	# One goes, one has another facility, one is new; the others stay.
	sed -i '/ 5513 /d; s/facility audit/facility local3/' "$T/main.conf"
	echo 'syslog udp 203.0.113.9 5599 hold 1s' >>"$T/main.conf"
	before=$(children)
	reload
	wait_for grep -q 'settings read again: 6 receivers' "$LAB/main.log" || return 1
	wait_for says "$T/main.conf" "udp 203.0.113.9 5599" true || return 1
	! says "$T/main.conf" "udp 203.0.113.9 5513" true || return 1
	[ "$(children)" != "$before" ] || return 1
	before=$(lines)
	start_rsyslog
	add 20 2026-11-21
	for kind in tcp tls; do all "$LAB/got.$kind" 1 751 || return 1; done
	# What was delivered is not sent again; only what waited.
	[ "$(lines)" = $((before + 50)) ] && grep -q '^<158>1 ' "$LAB/got.tcp"
}
ok "others are taken while a receiver is away, and what waited is not lost" changed
ok "its processes are as confined as before" eval 'REAL=$FORWARD; secure'
renewed() {
	trail certs "$LAB/certs2"
	cp "$LAB/certs2/bastion.pem" "$LAB/certs/bastion.pem"
	reload
	wait_for grep -q 'nothing changed: .*private key' "$LAB/main.log"
}
mkdir -p "$LAB/certs2"
cp "$LAB/certs/bastion.pem" "$T/bastion.pem"
ok "a certificate whose key is another's changes nothing" renewed
cp "$T/bastion.pem" "$LAB/certs/bastion.pem"

# --- what is not there any more is stated
gap() {
	grep -q " sgbridge - forward-gap \[sgbridge@32473 first=\"$1\" last=\"$2\"\]" \
		"$LAB/got.tls"
}
stop "$FORWARD"
add 50 2026-11-22
add 50 2026-11-23
rm "$T/events/2026-11-22.jsonl"
start main "$T/main.conf"
ok "a file that was removed before it was sent is a gap, first to last" eval \
	'wait_for gap 752 801 && all "$LAB/got.tls" 802 851'
gap_journal() {
	journal -o json SGB_GAP_FIRST=752 SGB_GAP_LAST=801 | grep -q forward-gap
}
ok "also in the journal" wait_for gap_journal
foreign() {
	printf 'not a line\n{"metadata":{"sequence":9999,"x":1}}\n' \
		>>"$T/events/2026-11-23.jsonl"
	head -c 20000 /dev/zero | tr '\0' 'x' >>"$T/events/2026-11-23.jsonl"
	echo >>"$T/events/2026-11-23.jsonl"
	# The chain goes on behind what is none of it.
	python3 - "$T/events" "$here" <<-'END'
		import sys
		sys.path.insert(0, sys.argv[2])
		import hashlib, glob, trail
		folder = sys.argv[1]
		name = sorted(glob.glob(folder + "/*.jsonl"))[-1]
		lines = [l for l in open(name, "rb").read().splitlines()
		         if l.startswith(b'{"metadata":{"sequence":851,')]
		prev = hashlib.sha256(lines[0]).hexdigest()
		line = trail.line(852, prev, "]\\\"\u202e", True)
		open(name, "ab").write(line + b"\n")
	END
	all "$LAB/got.tls" 852 852 && [ "$(grep -c 'are no line of the trail' \
		"$LAB/got.tls")" -ge 3 ]
}
ok "bytes that are no line of the trail are stated, and what follows comes" foreign
anew() {
	mv "$T/events/2026-11-20.jsonl" "$T/events/2026-11-21.jsonl" \
		"$T/events/2026-11-23.jsonl" "$T/"
	add 20 2026-11-23 'another trail'
	wait_for grep -q 'shorter than what was sent' "$LAB/got.tls" &&
		wait_for grep -q 'seq="20".*another trail' "$LAB/got.tls"
}
ok "a trail that begins anew is stated, and sent" anew
ok "gaps are counted, and in its own log" eval \
	'wait_for says "$T/main.conf" "tls 203.0.113.9 6514" ".gaps >= 5" &&
	grep -q "events are missing in the trail" "$LAB/main.log"'
stop "$FORWARD"

# --- receivers that are not who they should be
# server PORT CERTIFICATE OPTIONS...: prints what it is sent, as long as its
# standard input is open.
server() {
	lab_start "$LAB/server-$1.out" ip netns exec "$lab_tag-client" \
		bash -c 'exec "$@" < <(exec sleep 120)' - \
		openssl s_server -accept "203.0.113.9:$1" -quiet \
		-cert "$LAB/certs/$2.pem" -key "$LAB/certs/$2.key" "${@:3}"
	wait_for receives "$1"
}
NAMED="name logs.example.org ca $LAB/certs/ca.pem"
server 6601 wrong
server 6602 expired
server 6603 stranger
server 6604 good -tls1_1 -cipher DEFAULT:@SECLEVEL=0
server 6605 good -tls1_2 -cipher ECDHE-ECDSA-AES128-SHA
conf refuse "syslog tls 203.0.113.9 6601 $NAMED
	syslog tls 203.0.113.9 6602 $NAMED
	syslog tls 203.0.113.9 6603 $NAMED
	syslog tls 203.0.113.9 6604 $NAMED
	syslog tls 203.0.113.9 6605 $NAMED
	syslog tls 203.0.113.9 6514 $NAMED"
start refuse "$T/refuse.conf"
refused() {
	wait_for says "$T/refuse.conf" "tls 203.0.113.9 $1" \
		".state == \"away\" and .lines == 0 and (.text | test(\"$2\"))" ||
		{
			status "$T/refuse.conf" | jq -c ".receivers[]" |
				grep " $1\"" | sed 's/^/# /'
			return 1
		}
}
ok "a certificate for another name is refused" refused 6601 'hostname mismatch'
CONF=refuse
ok "metrics say that it is away" metric up "tls 203.0.113.9 6601" '== 0'
ok "how much waits" metric spooled_events "tls 203.0.113.9 6601" '== 20'
ok "and for how long" metric lag_seconds "tls 203.0.113.9 6601" '> 0'
ok "in Prometheus' format" formats
ok "doctor says who is away" doctor forward-away \
	'tls 203.0.113.9 6601 is away since .* events wait'
ok "an expired one is" refused 6602 'expired'
ok "one of an unknown CA is" refused 6603 'local issuer|self.signed'
ok "TLS 1.1 is" refused 6604 'protocol'
ok "a cipher without AEAD is" refused 6605 'handshake|cipher'
said() {
	[ "$(grep -c 'tls 203.0.113.9 6601: .*hostname mismatch' \
		"$LAB/refuse.log")" = 1 ]
}
ok "and that is one line in the log, however often it is tried" eval \
	'says "$T/refuse.conf" "tls 203.0.113.9 6601" "true" && said'
nothing_sent() {
	! grep -la 'sgbridge' "$LAB"/server-660[1-5].out
}
ok "nothing was sent to any of them" nothing_sent
ok "a receiver that wants our certificate does not take us without" \
	wait_for says "$T/refuse.conf" 'tls 203.0.113.9 6514' \
	'.state == "away" and .delivered == 0 and (.text | test("certificate required"))'
stop "$FORWARD"
server 6606 good -tls1_2
conf older "syslog tls 203.0.113.9 6606 $NAMED"
start older "$T/older.conf"
ok "TLS 1.2 with AEAD is good enough" wait_for says "$T/older.conf" \
	"tls 203.0.113.9 6606" \
	'.state == "up" and (.text | test("TLSv1.2, ECDHE-ECDSA-AES"))'
ok "and is sent what there is" wait_for grep -qa 'seq="20"' \
	"$LAB/server-6606.out"
stop "$FORWARD"

# --- settings
wrong() {
	conf bad "$1"
	"$BUILD/sgbridge-forward" -t -c "$T/bad.conf" >"$LAB/bad.log" 2>&1
	[ $? = 78 ] && grep -q "bad.conf:7: syslog: .*$2" "$LAB/bad.log" || {
		sed 's/^/# /' "$LAB/bad.log"
		return 1
	}
}
ok "a name where an address belongs is a mistake" wrong \
	'syslog udp logs.example.org 514' 'numeric address'
ok "tls without a name is" wrong 'syslog tls 203.0.113.9 6514' '"name"'
ok "an option of another kind is" wrong \
	"syslog udp 203.0.113.9 514 ca $LAB/certs/ca.pem" 'tls alone'
ok "a key without its certificate is" wrong \
	"syslog tls 203.0.113.9 6514 $NAMED client-key $LAB/certs/bastion.key" 'together'
ok "a typing error is told the word" wrong \
	'syslog udp 203.0.113.9 514 facilty audit' 'facility'
ok "a CA file without certificate is a mistake" wrong \
	"syslog tls 203.0.113.9 6514 name x ca $T/main.conf" 'certificate'
ok "--status says that nothing runs" eval \
	'"$BUILD/sgbridge-forward" --status -c "$T/main.conf" >/dev/null; [ $? = 69 ]'
lab_summary
