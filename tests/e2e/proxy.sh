#!/bin/bash
# The PROXY protocol: who is named as a front end says whose the connection
# is, and must; nobody else can.
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=${1:-build}
# shellcheck source=tests/e2e/lab.sh
. "$here/lab.sh"
export LAB_CONF_EXTRA='proxy-protocol-from 192.0.2.66/32 2001:db8:7::9/128'
lab_up || exit 1
# through FROM ANNOUNCED [HOW]: what ssh speaks through. HOW: drip, tlv, local,
# junk, big, none.
cat >"$LAB/front.py" <<'PYTHON'
import ipaddress, os, select, socket, struct, sys
source, said, how = sys.argv[1:4]
target = ('2001:db8:7::1' if ':' in source else '203.0.113.1', 30022)
link = socket.create_connection(target, source_address=(source, 0))
link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
address = ipaddress.ip_address(said)
body = address.packed + address.packed + struct.pack('>HH', 54321, 30022)
if how == 'tlv':
    body += b'\x04\x00\x08' + bytes(8)
head = b'\r\n\r\n\0\r\nQUIT\n' + (b'\x20' if how == 'local' else b'\x21')
head += b'\x11' if address.version == 4 else b'\x21'
head += struct.pack('>H', 65535 if how == 'big' else len(body)) + body
if how == 'junk':
    head = b'PROXY TCP4 203.0.113.7 203.0.113.1 54321 30022\r\n'
if how == 'none':
    head = b''
for i in range(0, len(head), 1 if how == 'drip' else len(head) or 1):
    link.sendall(head[i:i + (1 if how == 'drip' else len(head))])
while True:
    for ready in select.select([0, link], [], [])[0]:
        data = os.read(0, 65536) if ready == 0 else link.recv(65536)
        if not data:
            sys.exit(0)
        if ready == 0:
            link.sendall(data)
        else:
            os.write(1, data)
PYTHON
through() {
	in_ns client timeout 30 ssh -F "$LAB/ssh_config" \
		-i "$LAB/users/robot" -o ProxyCommand="python3 $LAB/front.py \
		$1 $2 ${3:-plain}" robot+ops@web1@bastion 'echo REACHED' \
		</dev/null 2>"$LAB/err"
}
reached() {
	[ "$(through "$@")" = REACHED ] || {
		sed 's/^/# /' "$LAB/err"
		return 1
	}
}
not_reached() {
	! through "$@" | grep -q REACHED
}
ok "a front end says whose the connection is" reached 192.0.2.66 203.0.113.7
ok "the trail has both addresses" wait_for eval 'grep -h "\"logon\"" \
	"$LAB"/events/*.jsonl | grep "203.0.113.7" |
	grep -q "\"front_end\":\"192.0.2.66\""'
ok "over IPv6 it may announce IPv4" reached 2001:db8:7::9 203.0.113.7
ok "byte by byte" reached 192.0.2.66 203.0.113.7 drip
ok "with extensions" reached 192.0.2.66 203.0.113.7 tlv
ok "policy goes by what is announced" not_reached 192.0.2.66 203.0.113.200
ok "a front end's own connection is its own" \
	not_reached 192.0.2.66 203.0.113.7 local
ok "another header is refused" not_reached 192.0.2.66 203.0.113.7 junk
ok "one that is too long as well" not_reached 192.0.2.66 203.0.113.7 big
# shellcheck disable=SC2034
before=$SECONDS
ok "and none at all, in time" eval \
	'not_reached 192.0.2.66 203.0.113.7 none && [ $((SECONDS - before)) -lt 20 ]'
ok "nobody else is believed" not_reached 203.0.113.9 203.0.113.7
ok "nor needs one" eval '[ "$(lab_ssh robot 203.0.113.7 \
	robot+ops@web1@bastion "echo REACHED" </dev/null)" = REACHED ]'
ok "a header that nobody asked for is no SSH" \
	not_reached 203.0.113.7 203.0.113.7
ok "the whole world is no front end" eval '
	sed "s,^proxy-protocol-from.*,proxy-protocol-from 0.0.0.0/0," \
		"$LAB/sgbridge.conf" >"$LAB/wide.conf"
	! "$BUILD/sgbridged" -t -c "$LAB/wide.conf" 2>"$LAB/err" &&
	grep -q "proxy-protocol-from \"0.0.0.0/0\"" "$LAB/err"'
lab_summary
