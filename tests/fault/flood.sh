#!/bin/bash
# A flood before authentication, from addresses that the policy permits: some
# silent, some talking nonsense, some that leave at once. People with keys get
# in all the same.
set -u
here=$(cd "$(dirname "$0")/../e2e" && pwd)
BUILD=${1:-build}
# shellcheck source=tests/e2e/lab.sh
. "$here/lab.sh"
export LAB_POLICY_EXTRA='
network campus 198.51.100.0/24
permit SysAdmins from campus to SG_Current as ops { mfa always; allow shell }'
lab_up || exit 1
# The lab exempts its office from penalties; the campus is not exempt.
in_ns bastion ip address add 198.51.100.1/24 dev c0
for host in $(seq 10 49); do
	in_ns client ip address add "198.51.100.$host/24" dev c0
done
cat >"$LAB/flood.py" <<'END'
import random, selectors, socket, sys, time
stop = time.monotonic() + float(sys.argv[1])
rate = float(sys.argv[2])
held, made, n = [], 0, 0
next_at = time.monotonic()
while time.monotonic() < stop:
    s = socket.socket()
    s.setblocking(False)
    s.bind(('198.51.100.%d' % random.randint(10, 49), 0))
    try:
        s.connect(('203.0.113.1', 30022))
    except BlockingIOError:
        pass
    made += 1
    kind = made % 3
    if kind == 0:
        held.append(s)
    elif kind == 1:
        s.close()
    else:
        held.append(s)
        try:
            s.send(b'SSH-2.0-flood\r\n' + bytes(200))
        except OSError:
            pass
    while len(held) > 400:
        held.pop(0).close()
    next_at += 1 / rate
    time.sleep(max(0, next_at - time.monotonic()))
print(made)
END
lab_start "$LAB/flood.out" ip netns exec "$lab_tag-client" python3 \
	"$LAB/flood.py" 20 200
flood=$LAB_LAST
good=0 all=0 end=$((SECONDS + 18))
while [ "$SECONDS" -lt "$end" ]; do
	all=$((all + 1))
	lab_ssh robot 203.0.113.7 robot+ops@web1@bastion true </dev/null \
		>/dev/null 2>"$LAB/err" && good=$((good + 1)) && continue
	sed 's/^/# /' "$LAB/err"
done
wait_for eval "! kill -0 $flood 2>/dev/null"
made=$(cat "$LAB/flood.out")
echo "# $good of $all logins during ${made:-0} bad connections"
ok "the flood was one" test "${made:-0}" -gt 2000
ok "there were logins to speak of" test "$all" -ge 15
# Chance ends who has shown no key yet: of fewer than a hundred, one may be met.
ok "ninety-nine of a hundred got in" test $((all - good)) -le $(((all + 99) / 100))
status() {
	"$BUILD/sgbridge" status --json -c "$LAB/sgbridge.conf"
}
ok "the flood's addresses are under penalty" eval \
	'! status | grep -q "\"penalised_sources\": *0[,}]"'
ok "the daemon forgets what is over" wait_for eval \
	'status | grep -q "\"unauthenticated\": *0[,}]"'
ok "refusals are events, and few" eval \
	'n=$(grep -c connect-refused "$LAB"/events/*.jsonl);
	[ "$n" -ge 1 ] && [ "$n" -le 60 ]'
lab_summary
