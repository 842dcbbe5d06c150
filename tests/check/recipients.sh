#!/bin/bash
# Recipients of every kind, in one recording: a file, a token (SoftHSM2: the
# private key never leaves it), a key service behind a command, and a quorum of
# them. Both readers open it with each. A hostile command gets nothing done.
# A changed recipients file is in force after SIGHUP, a broken one never.
# shellcheck disable=SC2016 # conditions are evaluated by ok
set -u
cd "$(dirname "$0")/../.." || exit 1
build=$(cd "${1:-build}" && pwd)
audit=$build/sgbridge-audit
module=/usr/lib/softhsm/libsofthsm2.so
for tool in softhsm2-util pkcs11-tool openssl python3; do
	command -v $tool >/dev/null || {
		echo "recipients.sh: needs $tool"
		exit 77
	}
done
[ "$(id -u)" -eq 0 ] || {
	echo "recipients.sh: needs root to start a recorder"
	exit 77
}
work=$(mktemp -d)
pid=
# shellcheck disable=SC2317 # called by the trap
cleanup() {
	[ -n "$pid" ] && kill "$pid" 2>/dev/null && wait "$pid"
	rm -rf "$work"
}
trap cleanup EXIT
chmod 711 "$work"
export XDG_STATE_HOME="$work/state" SOFTHSM2_CONF="$work/softhsm.conf"
passed=0 failed=0
ok() {
	local name=$1
	shift
	if "$@"; then
		passed=$((passed + 1))
		echo "ok $name"
	else
		failed=$((failed + 1))
		echo "not ok $name"
		tail -n 3 "$work/err" 2>/dev/null | sed 's/^/# /'
	fi
}
wait_for() {
	local tries=200
	until "$@" >/dev/null 2>&1; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return 1
		read -rt 0.05 <> <(:) || true
	done
}

# --- keys
mkdir "$work/tokens"
printf 'directories.tokendir = %s/tokens\nobjectstore.backend = file\nlog.level = ERROR\n' \
	"$work" >"$SOFTHSM2_CONF"
printf '4711' >"$work/pin"
printf '4712' >"$work/wrongpin"
softhsm2-util --init-token --free --label auditor --so-pin 1234 --pin 4711 \
	>/dev/null 2>&1
pkcs11-tool --module $module --token-label auditor --login --pin 4711 \
	--keypairgen --key-type EC:prime256v1 --label reader --id 01 \
	--usage-derive >/dev/null 2>&1
chmod 600 "$work/pin" "$work/wrongpin"
token="pkcs11:token=auditor;object=reader?module-path=$module&pin-source=file:$work/pin"
"$audit" keygen -o "$work/x25519.pem" 2>/dev/null >"$work/line.x25519"
"$audit" keygen -f p256 -o "$work/p256.pem" 2>/dev/null >"$work/line.p256"
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 \
	-out "$work/rsa.pem" 2>/dev/null
openssl pkey -in "$work/rsa.pem" -pubout -out "$work/rsa.pub"
"$audit" keygen -i "$work/rsa.pub" >"$work/line.rsa" 2>"$work/err"
"$audit" writer-keygen -o "$work/key" >"$work/writers" 2>/dev/null
ok "a token's line is printed" eval \
	'"$audit" keygen -i "$token" >"$work/line.token" 2>"$work/err" &&
	grep -q "^p256 " "$work/line.token"'
ok "a wrong PIN is refused" eval '! "$audit" keygen \
	-i "${token/\/pin/\/wrongpin}" >/dev/null 2>"$work/err" &&
	grep -q "refuses the PIN" "$work/err"'
ok "a PIN on the command line is refused" eval '! "$audit" keygen \
	-i "${token%%&*}&pin-value=4711" >/dev/null 2>"$work/err" &&
	grep -q "no PIN in the URI" "$work/err"'
ok "the token's private key cannot be read from it" eval \
	'pkcs11-tool --module $module --token-label auditor --login \
	--pin 4711 --read-object --type privkey --id 01 \
	-o "$work/stolen" >/dev/null 2>&1; [ ! -s "$work/stolen" ]'

# The service: gives S for RSA-OAEP, and writes down what it was asked.
cat >"$work/kms" <<END
#!/bin/bash
IFS= read -r line
echo "\$line" >>"$work/kms.log"
data=\${line##*\"data\":\"}
printf %s "\${data%%\"*}" | base64 -d | openssl pkeyutl -decrypt \
	-inkey "\$1" -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 \
	-pkeyopt rsa_mgf1_md:sha256 | base64
END
chmod 755 "$work/kms"
describe() {
	printf 'command %s\nrecipient %s\ntimeout 5\n' "$2" \
		"$(cat "$work/line.rsa")" >"$work/$1"
	chmod 600 "$work/$1"
}
describe service "$work/kms $work/rsa.pem"

# --- a recorder, and a recording of one item
cat >"$work/conf" <<CONF
recorder-user 65533:65533
recorder-socket $work/socket
recordings $work/rec
events $work/events
recipients $work/recipients
signing-key $work/key
disk-reserve 1M
audit off
CONF
chmod 644 "$work/conf"
recipients() {
	cat "$@" >"$work/recipients.new"
	chmod 644 "$work/recipients.new"
	mv "$work/recipients.new" "$work/recipients"
}
recipients "$work"/line.{x25519,p256,token,rsa}
"$build/sgbridge-recorder" -e -c "$work/conf" 2>"$work/log" &
pid=$!
wait_for test -S "$work/socket"
# The socket is there before the filter is.
wait_for grep -q 'writer .* ready' "$work/log"
# A build with sanitizers has none.
grep -q __asan_init "$build/sgbridge-recorder" ||
	ok "the recorder has its system call filter, in every thread" \
		wait_for eval \
		'[ "$(cat /proc/$pid/task/*/status | grep -c "^Seccomp:.2")" = \
		"$(ls /proc/$pid/task | wc -l)" ]'
# record: prints the path of a new recording that shows "hello".
record() {
	python3 - "$work/socket" <<'PY' >"$work/id" || return 1
import array, socket, struct, sys
def text(data):
    return struct.pack(">I", len(data)) + data
monitor = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
monitor.settimeout(20)
monitor.connect(sys.argv[1])
monitor.send(struct.pack(">H", 60) + text(b"c") + text(b"") + text(b'{"user":"al"}'))
data, anc, _, _ = monitor.recvmsg(70000, 1000)
fds = array.array("i")
fds.frombytes(anc[0][2][:4])
stream = socket.socket(fileno=fds[0])
stream.send(struct.pack(">IB", 1, 3) + text(b"hello"))
stream.recv(8)
monitor.send(struct.pack(">HI", 62, 1) + text(b""))
monitor.recv(70000)
print(data[6:].decode())
PY
	find "$work/rec" -name "$(cat "$work/id").sgr"
}
# ours FILE IDENTITY...: what the terminal showed
ours() {
	local file=$1 args=()
	shift
	for identity; do args+=(-i "$identity"); done
	"$audit" export -f raw "${args[@]}" "$file" 2>"$work/err"
}
opens() { [ "$(ours "$@")" = hello ]; }
theirs() { tests/read_sgr.py "$@" 2>"$work/err" | grep -q 68656c6c6f; }

file=$(record)
for identity in x25519.pem p256.pem; do
	ok "ours opens it with $identity" opens "$file" "$work/$identity"
	ok "the other reader opens it with $identity" theirs "$file" \
		"$work/$identity"
done
ok "ours opens it with the token" opens "$file" "$token"
ok "ours opens it with the key service" opens "$file" "$work/service"
ok "the service was told the recording's id" grep -q \
	"\"rec\":\"$(cat "$work/id")\"" "$work/kms.log"
ok "the other reader opens it with the service's key" theirs "$file" \
	"$work/rsa.pem"
"$audit" keygen -f p256 -o "$work/stranger.pem" >/dev/null 2>&1
ok "a stranger's key does not open it" eval \
	'! opens "$file" "$work/stranger.pem"'
ok "level 1 verifies with the token" eval '"$audit" verify --writer \
	"$work/writers" -i "$token" "$file" >/dev/null 2>"$work/err"'
"$audit" disclose -i "$token" --segments 1 -o "$work/part" "$file" \
	2>"$work/err"
ok "disclose works from the token" eval '[ "$("$audit" export -f raw \
	--disclosed "$work/part" "$file" 2>"$work/err")" = hello ]'

# --- hostile and broken commands: an error in time, nothing left running
hostile() {
	printf '#!/bin/bash\n%s\n' "$2" >"$work/$1"
	chmod 755 "$work/$1"
	describe "$1.conf" "$work/$1"
	ok "a command that $3" eval '! opens "$file" "$work/'"$1"'.conf"'
}
hostile silent 'exit 0' 'says nothing is refused'
hostile fails 'head -c 32 /dev/zero | base64; exit 1' \
	'fails after an answer is refused'
hostile wrong 'head -c 32 /dev/zero | base64' 'gives a wrong secret opens nothing'
hostile babbler 'yes' 'talks without end is cut off'
hostile short 'echo AAAA' 'answers too little is refused'
hostile deaf 'exec <&-; exit 3' 'does not listen is refused'
describe hanging "$work/hang"
printf '#!/bin/bash\nsleep 1000 & echo $! >%s/orphan; wait\n' "$work" \
	>"$work/hang"
chmod 755 "$work/hang"
sed -i 's/^timeout.*/timeout 1/' "$work/hanging"
ok "a command that hangs is ended" eval '! opens "$file" "$work/hanging"'
gone() {
	[ ! -e "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status"
}
ok "with all that it started" wait_for gone "$(cat "$work/orphan")"
printf '#!/bin/bash\nprintf "\\033]0;owned\\007" >&2; exit 1\n' >"$work/loud"
chmod 755 "$work/loud"
describe loud.conf "$work/loud"
ok "its messages do not reach the terminal" eval \
	'! opens "$file" "$work/loud.conf" && ! grep -q owned "$work/err"'
cp "$work/service" "$work/open.conf"
chmod 644 "$work/open.conf"
ok "a description that others can read is refused" eval \
	'! opens "$file" "$work/open.conf"'
sed 's,^command ,command sh ,' "$work/service" >"$work/path.conf"
chmod 600 "$work/path.conf"
ok "a command without a path is refused, with file and line" eval \
	'! opens "$file" "$work/path.conf" &&
	grep -q "path.conf:1: expected" "$work/err"'

# --- rotation: without a restart, and never half
recipients "$work/line.p256"
kill -HUP $pid
ok "new recipients are an event" wait_for grep -q \
	'for new recordings: 1 p256.*"config"' "$work"/events/*.jsonl
new=$(record)
ok "a new recording is for the new ones" opens "$new" "$work/p256.pem"
ok "and not for the old" eval '! opens "$new" "$work/x25519.pem"'
ok "the old recording is for the old ones still" opens "$file" \
	"$work/x25519.pem"
printf 'p256 %s broken\n' "$(head -c 65 /dev/zero | base64 -w0)" |
	recipients - "$work/line.x25519"
kill -HUP $pid
ok "a broken file is told with its line" wait_for grep -q \
	'recipients:1: the key is damaged' "$work"/events/*.jsonl
ok "and changes nothing" eval 'opens "$(record)" "$work/p256.pem"'

# --- quorum: a token and a service must act together
sed 's/^rsa /rsa\/1 /' "$work/line.rsa" >"$work/line.second"
recipients "$work/line.token" "$work/line.second"
kill -HUP $pid
wait_for grep -q 'two groups' "$work"/events/*.jsonl
file=$(record)
ok "a quorum opens it" opens "$file" "$token" "$work/service"
ok "the token alone does not" eval '! opens "$file" "$token"'
ok "the service alone does not" eval '! opens "$file" "$work/service"'
kill $pid
wait $pid
ok "the recorder stops in order" [ $? -eq 0 ]
pid=
ok "everything verifies" eval '"$audit" verify -d "$work/rec" --events \
	"$work/events" --writer "$work/writers" >"$work/err"'
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
