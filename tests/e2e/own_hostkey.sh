#!/bin/bash
# The bastion's host keys: each kind signs, through many exchanges, and none of
# them is in the process that speaks to the client.
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=${1:-build}
# shellcheck source=tests/e2e/lab.sh
. "$here/lab.sh"
lab_up || exit 1
conf=$LAB/sgbridge.conf
ssh-keygen -q -t rsa -b 3072 -N '' -f "$LAB/rsa_key"
ssh-keygen -q -t ecdsa -b 384 -N '' -f "$LAB/ecdsa_key"
sed -i "s,^\(host-key .*\)\$,\1 $LAB/rsa_key $LAB/ecdsa_key," "$conf"
"$BUILD/sgbridge" reload -c "$conf" >/dev/null
for key in rsa_key ecdsa_key; do
	echo "[203.0.113.1]:30022 $(cut -d' ' -f1,2 "$LAB/$key.pub")"
done >>"$LAB/known_hosts"
robot() {
	lab_ssh robot 203.0.113.7 "$@"
}
# runs ALGORITHM: with this host key, and a key exchange every 64 KiB
runs() {
	[ "$(robot -v -o HostKeyAlgorithms="$1" -o RekeyLimit=64K \
		robot+ops@web1@bastion \
		'head -c 3000000 /dev/zero; echo REACHED' 2>"$LAB/err" |
		tr -d '\0')" = REACHED ] &&
		grep -q "kex: host key algorithm: $1" "$LAB/err" &&
		[ "$(grep -c 'expecting SSH2_MSG_NEWKEYS' "$LAB/err")" -gt 2 ]
}
for kind in ssh-ed25519 rsa-sha2-512 rsa-sha2-256 ecdsa-sha2-nistp384; do
	ok "$kind, many exchanges" runs "$kind"
done
ok "SHA-1 signs nothing" eval '! robot -v -o HostKeyAlgorithms=ssh-rsa \
	robot+ops@web1@bastion true 2>"$LAB/err" &&
	grep -q "no matching host key type" "$LAB/err"'

# holds PID: is the private half of the Ed25519 key in its memory?
cat >"$LAB/holds.py" <<'END'
import base64, re, sys
lines = open(sys.argv[1]).read().split('\n')
blob = base64.b64decode(''.join(l for l in lines if not l.startswith('-')))
at = blob.index(b'ssh-ed25519', blob.index(b'ssh-ed25519') + 11) + 11
seed = blob[at + 4 + 32 + 4:][:32]
assert len(seed) == 32
with open('/proc/%s/mem' % sys.argv[2], 'rb', 0) as mem:
    for line in open('/proc/%s/maps' % sys.argv[2]):
        start, end, mode = re.match(r'(\w+)-(\w+) (\S+)', line).groups()
        if mode[0] != 'r' or '[v' in line:
            continue
        start, end = int(start, 16), int(end, 16)
        # The shadow of a sanitizer is no memory.
        if end - start > 1 << 28:
            continue
        mem.seek(start)
        try:
            if seed in mem.read(end - start):
                sys.exit(0)
        except OSError:
            pass
sys.exit(1)
END
holds() {
	/usr/bin/python3 "$LAB/holds.py" "$LAB/host_key" "$1"
}
named() {
	for pid in $(ip netns pids "$lab_tag-bastion"); do
		grep -q "^$1" "/proc/$pid/comm" 2>/dev/null && echo "$pid"
	done
}
: >"$LAB/out"
robot robot+ops@web1@bastion 'echo there; exec sleep 60' \
	>"$LAB/out" 2>"$LAB/err" </dev/null &
client=$!
wait_for grep -q there "$LAB/out"
some_hold() {
	local pid
	for pid in $(named "$1"); do
		holds "$pid" && return
	done
	return 1
}
ok "the monitor has the host key" some_hold sgbridge-monito
ok "a session process runs" test -n "$(named sgbridge-sessio)"
ok "and has it not" eval '! some_hold sgbridge-sessio'
kill "$client"

# What is no key is said at once.
cp "$LAB/rsa_key" "$LAB/locked_key"
ssh-keygen -q -p -N secret -P '' -f "$LAB/locked_key" >/dev/null
sed "s,^host-key .*,host-key $LAB/locked_key," "$conf" >"$LAB/locked.conf"
ok "a host key with a passphrase is named by the check" eval \
	'! "$BUILD/sgbridged" -t -c "$LAB/locked.conf" 2>"$LAB/err" &&
	grep -q "locked_key: the key has a passphrase" \
		"$LAB/err"'
lab_summary
