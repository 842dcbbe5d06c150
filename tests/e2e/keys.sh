#!/bin/bash
# What people log on with, with stock clients: certificates of a CA that the
# policy names, options of authorized_keys, keys that a command knows, and
# what is revoked. Each refusal says why in the log, and to nobody else.
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=${1:-build}
# shellcheck source=tests/e2e/lab.sh
. "$here/lab.sh"
lab_up || exit 1
keys=$LAB/users
robot() {
	lab_ssh robot 203.0.113.7 "$@"
}
reload() {
	"$BUILD/sgbridge" reload -c "$LAB/sgbridge.conf" >/dev/null
}
# settings LINE...: these, besides the laboratory's own.
cp "$LAB/sgbridge.conf" "$LAB/plain.conf"
settings() {
	{
		cat "$LAB/plain.conf"
		printf '%s\n' "$@"
	} >"$LAB/sgbridge.conf"
	reload
}
# certificate WORDS...: robot's key, certified by ca.
certificate() {
	local ca=$keys/ca
	[ "$1" != other ] || { ca=$keys/ca2 && shift; }
	rm -f "$keys/robot-cert.pub"
	ssh-keygen -q -s "$ca" -I "robot of $(hostname)" "$@" \
		"$keys/robot.pub"
}
# shellcheck disable=SC2120
runs() {
	[ "$(robot robot+ops@web1@bastion "${1:-echo REACHED}" \
		</dev/null 2>"$LAB/err")" = "${2:-REACHED}" ]
}
# refused WORDS: not let in, and the log says this.
refused() {
	: >"$LAB/bastion.log"
	! robot robot+ops@web1@bastion echo REACHED </dev/null \
		>"$LAB/out" 2>"$LAB/err" && ! grep -q REACHED "$LAB/out" &&
		grep -aq "key refused: .*$1" "$LAB/bastion.log" &&
		! grep -q "$1" "$LAB/err" && return
	sed 's/^/# /' "$LAB/out" "$LAB/err"
	grep -a 'key refused' "$LAB/bastion.log" | tr -d '\0' | sed 's/^/# /'
	return 1
}
for ca in ca ca2; do
	ssh-keygen -q -t ed25519 -N '' -C "$ca" -f "$keys/$ca"
	install -m 0644 "$keys/$ca.pub" "$LAB/$ca.pub"
done
rm "$LAB/authorized_keys/robot"

# --- certificates
certificate -n robot -V +1h -z 7
ok "no CA is trusted: a certificate is refused" refused 'is not one that'
cat >>"$LAB/policy.conf" <<-END
	keys { accept ed25519, ecdsa, rsa >= 3072
	user-ca $LAB/ca.pub }
END
reload
ok "a certificate of the policy's CA logs on" runs
in_event() {
	grep -h '"auth-key"' "$LAB"/events/*.jsonl | tail -n 1 |
		grep -q 'robot of .*serial 7 by SHA256:'
}
ok "its id, serial and CA are in the event" wait_for in_event
certificate -n robot -V -2h:-1h
ok "expired" refused 'has expired'
certificate -n robot -V +1h:+2h
ok "not valid yet" refused 'not valid yet'
certificate -n bob,robot2,robo -V +1h
ok "another's principal" refused 'does not name robot'
certificate -V +1h
ok "no principal at all" refused 'names no principal'
certificate other -n robot -V +1h
ok "another CA" refused 'is not one that'
certificate -n robot -V +1h -O source-address=10.0.0.0/8
ok "for another address" refused 'not for this address'
certificate -n robot -V +1h -O source-address=10.0.0.0/8,203.0.113.7
ok "for this address" runs
certificate -n robot -V +1h -O critical:surprise=1
ok "an unknown critical option" refused 'critical option surprise'
certificate -n robot -V +1h -O extension:surprise=1
ok "an unknown extension is ignored" runs
ok "and written down" wait_for eval \
	'grep -ahq "ignored extension surprise" "$LAB"/events/*.jsonl'
certificate -n robot -V +1h -O verify-required
ok "verify-required without a security key" refused 'verify-required'
certificate -n robot -V +1h -O force-command='echo forced'
ok "force-command runs instead" runs 'echo REACHED' forced
subsystem() {
	[ "$(robot -s robot+ops@web1@bastion sftp </dev/null)" = forced ]
}
ok "also instead of a subsystem" subsystem
ok "the bastion's own commands are not its" eval \
	'! robot robot@bastion hosts </dev/null >"$LAB/out" 2>&1 &&
	grep -q "one command" "$LAB/out"'
tty_refused() {
	! robot -tt robot+ops@web1@bastion 'tty; echo REACHED' </dev/null \
		2>/dev/null | grep -q /dev/pts
}
certificate -n robot -V +1h -O clear
ok "no permit-pty, no terminal" tty_refused
ok "but commands" runs
# The monitor verifies each kind by itself, plain and certified.
kind() {
	local type=$1 bits=$2
	rm -f "$keys/robot" "$keys/robot.pub" "$keys/robot-cert.pub"
	ssh-keygen -q -t "$type" -b "$bits" -N '' -f "$keys/robot"
	install -m 0644 "$keys/robot.pub" "$LAB/authorized_keys/robot"
	runs || return 1
	rm "$LAB/authorized_keys/robot"
	certificate -n robot -V +1h
	runs
}
cp "$keys/robot" "$keys/robot.first"
cp "$keys/robot.pub" "$keys/robot.first.pub"
for type in 'rsa 3072' 'ecdsa 256' 'ecdsa 384' 'ecdsa 521'; do
	# shellcheck disable=SC2086
	ok "a key of $type bits, and its certificate" kind $type
done
mv "$keys/robot.first" "$keys/robot"
mv "$keys/robot.first.pub" "$keys/robot.pub"
certificate -n robot -V +1h
# A public key whose certificate is not shown is nobody's.
rm "$keys/robot-cert.pub"
ok "the key in it alone is not let in" refused 'no such key\|No such file\|does not exist'

# --- revoked, as a list and as a KRL; a session that lives is cut
certificate -n robot -V +1h -z 7
held() {
	mkfifo "$LAB/hold" 2>/dev/null
	robot robot+ops@web1@bastion 'echo in; cat' <"$LAB/hold" \
		>"$LAB/out" 2>"$LAB/err" &
	local ssh=$!
	exec 7>"$LAB/hold"
	wait_for grep -q in "$LAB/out" || return 1
	"$@"
	wait_for eval "! kill -0 $ssh 2>/dev/null"
	local result=$?
	exec 7>&-
	wait "$ssh"
	[ $? -eq 255 ] && [ "$result" -eq 0 ] &&
		grep -q 'no longer permitted' "$LAB/err"
}
echo 'serial: 1-6' >"$LAB/revoked"
settings "revoked-keys $LAB/revoked"
ok "another serial is revoked: it logs on" runs
revoke_serial() {
	echo 'serial: 5-9' >>"$LAB/revoked"
	reload
}
ok "a revoked certificate's session is cut" held revoke_serial
ok "and it does not log on again" refused 'revoked:2: the key is revoked'
rm "$LAB/revoked"
echo "serial: 7" >"$LAB/spec"
ssh-keygen -q -k -f "$LAB/revoked" -s "$keys/ca.pub" "$LAB/spec"
ok "a KRL of ssh-keygen" refused 'the key is revoked'
: >"$LAB/revoked"
ok "an empty list revokes nothing" runs
settings "revoked-keys $LAB/revoked" 'revoked-keys-max-age 1h'
ok "a list that is fresh enough" runs
touch -d '2 hours ago' "$LAB/revoked"
ok "one that nobody brought in time refuses everybody" \
	refused 'older than revoked-keys-max-age'
touch "$LAB/revoked"
ok "until it is brought" runs
settings "revoked-keys $LAB/revoked"
echo nonsense >"$LAB/revoked"
ok "a list that cannot be read refuses all" refused 'all keys are refused'
rm "$LAB/revoked"
ok "so does one that is gone" refused 'revoked'
settings

# --- whose principals
mkdir -m 0755 "$LAB/principals"
settings "authorized-principals $LAB/principals"
ok "authorized-principals: without a file nobody" refused principals
printf '# who\nautomation\n' >"$LAB/principals/robot"
ok "authorized-principals: the name is not among them" refused 'no principal of'
certificate -n automation -V +1h
ok "authorized-principals: one that is" runs
settings

# --- authorized_keys
rm "$keys/robot-cert.pub"
line() {
	printf '%s%s\n' "$1" "$(cat "$keys/robot.pub")" \
		>"$LAB/authorized_keys/robot"
}
line 'command="echo told" '
ok 'command= runs instead' runs 'echo REACHED' told
line 'restrict,permitopen="web1:22" '
ok 'restrict leaves commands' runs
ok 'restrict: no terminal' tty_refused
printf '\n# two\nenvironment="A=b" %s\n' "$(cat "$keys/robot.pub")" \
	>"$LAB/authorized_keys/robot"
ok 'environment= refuses its line, by file, line and option' \
	refused 'authorized_keys/robot:3: option environment'
line 'tunnel="0" '
ok 'tunnel= refuses' refused 'robot:1: option tunnel'
line 'from="10.0.0.0/8" '
ok 'from= elsewhere refuses' refused 'robot:1: option from'
line 'expiry-time="20200101Z" '
ok 'expiry-time= in the past refuses' refused 'option expiry-time'
line 'verify-required '
ok 'verify-required refuses an ordinary key' refused verify-required
line 'cert-authority '
ok 'a CA is not a person' refused "CA's"
printf 'cert-authority,principals="automation" %s\n' \
	"$(cat "$keys/ca2.pub")" >"$LAB/authorized_keys/robot"
certificate other -n automation -V +1h
ok 'cert-authority with principals=' runs
certificate other -n robot -V +1h
ok 'and not by another' refused 'none of the principals'
rm "$keys/robot-cert.pub" "$LAB/authorized_keys/robot"
jump() {
	line "$1"
	robot -W web1:22 robot@bastion </dev/null 2>/dev/null | grep -q SSH
}
ok 'permitopen= of this target: jumped' jump 'permitopen="web1:22" '
ok 'permitopen= of another: not' eval '! jump "permitopen=\"db1:22\" "'

# --- options that come while a session lives
line ''
robot -M -S "$LAB/mux" -N robot+ops@web1@bastion </dev/null \
	>/dev/null 2>&1 &
master=$!
wait_for test -S "$LAB/mux"
mux() {
	robot -S "$LAB/mux" "$@" robot+ops@web1@bastion "${what[@]}" \
		</dev/null 2>/dev/null
}
gets() {
	[ "$(mux)" = "$1" ]
}
terminal() {
	mux -tt | grep -q /dev/pts
}
what=(tty)
ok "a session that lives gets terminals" terminal
line 'restrict '
reload
ok "restrict, and a reload: no more of them" wait_for eval '! terminal'
what=(echo in)
ok "but commands" gets in
line 'command="echo told" '
reload
ok "command=, and a reload: nothing else" wait_for gets told
line ''
reload
ok "and what is given back is there again" wait_for gets in
robot -S "$LAB/mux" -O exit bastion 2>/dev/null
wait "$master"
jump_cut() {
	line ''
	robot -W web1:22 robot@bastion <"$LAB/hold" >"$LAB/out" 2>"$LAB/err" &
	local ssh=$! result
	exec 7>"$LAB/hold"
	wait_for grep -q SSH "$LAB/out" || return 1
	line "$1"
	reload
	wait_for eval "! kill -0 $ssh 2>/dev/null"
	result=$?
	exec 7>&-
	wait "$ssh"
	return "$result"
}
ok "permitopen= of another, and a reload: a jump is cut" \
	jump_cut 'permitopen="db1:22" '
rm "$LAB/authorized_keys/robot"

# --- security keys: what they assert counts, as sshd counts it
sk_line() {
	printf '%s%s\n' "$1" "$(cat "$LAB/sk.pub")" \
		>"$LAB/authorized_keys/robot"
}
sk() {
	in_ns client timeout 60 "$here/security_key.py" login "$LAB/sk" \
		203.0.113.1 robot "$@" 2>"$LAB/err" | tr '\n' ' '
}
sed -i 's/accept ed25519, ecdsa, rsa >= 3072/accept ed25519, sk-ed25519/' \
	"$LAB/policy.conf"
reload
"$here/security_key.py" new "$LAB/sk" >"$LAB/sk.pub"
sk_line ''
ok "a security key that was touched" eval '[ "$(sk 1)" = "in " ]'
ok "one that was not" eval '[ "$(sk 0)" = "refused " ]'
ok "one that was not, and verified its user" eval '[ "$(sk 4)" = "refused " ]'
ok "first without a touch, then with one" eval \
	'[ "$(sk 0 0 1)" = "refused refused in " ]'
sk_line 'no-touch-required '
ok "no-touch-required" eval '[ "$(sk 0)" = "in " ]'
sk_line 'verify-required '
ok "verify-required: touched is not enough" eval '[ "$(sk 1)" = "refused " ]'
ok "verify-required: touched and verified" eval '[ "$(sk 1 5)" = "refused in " ]'
rm "$LAB/authorized_keys/robot"

# --- authorized-keys-command
mkdir -m 0755 "$LAB/bin"
command=$LAB/bin/keys
script() {
	printf '#!/bin/sh\n%s\n' "$1" >"$command.new"
	chmod 0755 "$command.new"
	mv "$command.new" "$command"
}
install -m 0644 "$keys/robot.pub" "$LAB/bin/robot.pub"
by_command() {
	settings "authorized-keys-command $command %u %f %t" \
		'authorized-keys-command-user 64203:64203' \
		'authorized-keys-command-timeout 2s'
}
script 'id -u >&2; [ "$1" = robot ] && [ "$3" = ssh-ed25519 ] &&
	[ "$(id -u) $(id -g) $(id -G)" = "64203 64203 64203" ] &&
	[ -z "$HOME" ] && [ ! -e /proc/self/fd/5 ] && cat '"$LAB/bin/robot.pub"
# The power to run it was given up at the start, when nobody needed it.
refuses_command() {
	! by_command && grep -q 'has not the power' "$LAB/bastion.log"
}
chmod 0711 "$LAB"
ok "a command that comes with a reload is refused" refuses_command
# capable EXE CAPS: what that program can have, and no more.
capable() {
	local pid
	for pid in $(ip netns pids "$lab_tag-bastion"); do
		[ "$(readlink "/proc/$pid/exe")" = "$BUILD/$1" ] || continue
		[ "$(sed -n 's/^CapBnd:\t//p' "/proc/$pid/status")" = "$2" ] ||
			return 1
	done
}
# AUDIT_WRITE is bit 29, KILL 5, SETGID 6, SETUID 7, SETPCAP 8, SYS_CHROOT 18.
ok "nothing but audit is left to the daemon and its monitors" eval \
	'capable sgbridged 0000000020000000 &&
	capable sgbridge-monitor 0000000020000000'
ok "and all but audit to the starter" capable sgbridge-starter 00000000000401e0
kill "$LAB_BASTION"
wait_for eval '! kill -0 "$LAB_BASTION" 2>/dev/null'
lab_start "$LAB/bastion.log" ip netns exec "$lab_tag-bastion" \
	"$BUILD/sgbridged" -e -c "$LAB/sgbridge.conf"
LAB_BASTION=$LAB_LAST
wait_for test -S "$LAB/control"
ok "with one from the start there is what it takes" eval \
	'capable sgbridged 00000000200000e0 &&
	capable sgbridge-monitor 00000000200000e0'
ok "a key that the command knows" runs
# trial MODE WHERE WORDS: -t does not take it, and says so.
trial() {
	chmod "$1" "$2"
	! "$BUILD/sgbridged" -t -c "$LAB/sgbridge.conf" >"$LAB/out" 2>&1 &&
		grep -q "$3" "$LAB/out"
	local result=$?
	chmod 0755 "$2"
	return "$result"
}
ok "-t takes it" eval '"$BUILD/sgbridged" -t -c "$LAB/sgbridge.conf" \
	>/dev/null 2>&1'
ok "not one that others may write" trial 0777 "$command" "$command"
ok "nor in a folder that they may" trial 0777 "$LAB/bin" "$LAB/bin: others"
ok "nor one that nobody can run" trial 0700 "$command" 'cannot be run'
script 'echo'
ok "a command that does not know it" refused 'no such key in .*bin/keys'
script "cat $LAB/bin/robot.pub; exit 1"
ok "a command that fails" refused 'it failed'
script "cat $LAB/bin/robot.pub; exec sleep 60"
ok "one that takes too long" refused 'timed out'
script "cat $LAB/bin/robot.pub; exec yes ssh-ed25519"
ok "one that never stops talking" refused 'too much'
script "echo 'surprise '\$(cat $LAB/bin/robot.pub)"
ok "options count there, too" refused 'keys:1: option surprise'
script "cat $LAB/bin/robot.pub"
chmod 0775 "$command"
ok "one that others may write" refused "$command"
chmod 0755 "$command"
chmod 0777 "$LAB/bin"
ok "one in a folder that others may write" refused 'bin'
chmod 0755 "$LAB/bin"
rm "$command"
ok "one that is not there" refused "$command"
script "cat $LAB/bin/robot.pub"
forget() {
	script 'echo'
	reload
}
ok "who is known no more is cut at a reload" held forget
script "cat $LAB/bin/robot.pub"
still_there() {
	mkfifo "$LAB/hold2"
	robot robot+ops@web1@bastion 'echo in; cat' <"$LAB/hold2" \
		>"$LAB/out" 2>"$LAB/err" &
	local ssh=$!
	exec 7>"$LAB/hold2"
	wait_for grep -q in "$LAB/out" || return 1
	script 'exit 1'
	: >"$LAB/bastion.log"
	reload
	wait_for grep -q 'it failed' "$LAB/bastion.log"
	echo more >&7
	wait_for grep -q more "$LAB/out"
	local result=$?
	exec 7>&-
	wait "$ssh"
	return "$result"
}
ok "a command that fails then throws nobody out" still_there
lab_summary
