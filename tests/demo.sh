#!/bin/bash
# make demo: the main job before your eyes. A throw-away bastion and two
# instances, each a host of its own in a network namespace; a real login with
# key and one-time code, the refusals, and the recording. Everything is gone
# when it ends. With a terminal it stays up on request, to go on by hand.
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=${1:-build}
# shellcheck source=tests/e2e/lab.sh
. "$here/e2e/lab.sh"
bold='' dim='' green='' red='' plain=''
if [ -t 1 ]; then
	bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
fi
step() {
	printf '\n%s%s%s\n' "$bold" "$*" "$plain"
}
# What is run is shown first, as a person would type it.
show() {
	printf '%s  $ %s%s\n' "$dim" "$*" "$plain"
}
indent() {
	sed 's/^/  | /'
}
worked=0 broken=0
judge() {
	if [ "$1" -eq 0 ]; then
		worked=$((worked + 1))
		printf '  %s%s%s\n' "$green" "$2" "$plain"
	else
		broken=$((broken + 1))
		printf '  %sunexpected: %s%s\n' "$red" "$2" "$plain"
	fi
}
# refuse SENTENCE COMMAND...: must fail and reach nothing.
refuse() {
	local sentence=$1
	shift
	if "$@" </dev/null >"$LAB/out" 2>&1 || grep -q REACHED "$LAB/out"; then
		judge 1 "$sentence"
	else
		tail -n 1 "$LAB/out" | indent
		judge 0 "$sentence"
	fi
}

step "Setting up: a client, a bastion, two instances (network namespaces)"
lab_up || exit 1
cat <<END
  client 203.0.113.9 --- bastion 203.0.113.1:30022 --- web1 10.0.1.11
  (alice's key, code)    SG_Bridge                 \\-- db1  10.0.2.21
END
show "cat policy.conf"
sed -n '/^permit SysAdmins/,/^}/p' "$LAB/policy.conf" | indent

step "1. alice logs on to web1 through the bastion: key, then one-time code"
show "ssh alice+ops@web1@bastion"
code=$(oathtool --totp -b - <"$LAB/users/alice.secret")
LAB=$LAB expect -f - >"$LAB/session" 2>&1 <<END
	set timeout 20
	set env(SSH_ASKPASS_REQUIRE) never
	spawn ip netns exec $lab_tag-client ssh -tt -F $LAB/ssh_config -o BindAddress=203.0.113.9 -i $LAB/users/alice alice+ops@web1@bastion
	expect "code:"
	send "$code\r"
	expect -re {[\$] \$}
	send "id; echo \"hello from \\\$(hostname)\"\r"
	expect "uid="
	expect -re {[\$] \$}
	send "exit\r"
	expect eof
END
tr -d '\r' <"$LAB/session" | grep -v '^spawn' | indent
grep -q 'uid=.*ops' "$LAB/session"
judge $? "logged on, two factors, recorded"

step "2. bob uses stock ProxyJump; it is recorded all the same"
show "ssh -J bob@bastion ops@web1 'uptime; id -un'"
cat "$LAB/ssh_config" >"$LAB/ssh_jump"
cat >>"$LAB/ssh_jump" <<-END
	  User bob
	  IdentityFile $LAB/users/bob
	  BindAddress 203.0.113.9
	Host web1
	  ProxyJump bob@bastion
END
LAB_SECRET=$LAB/users/bob.secret LAB_CODE='' SSH_ASKPASS=$LAB/askpass \
	SSH_ASKPASS_REQUIRE=force DISPLAY=:0 in_ns client timeout 60 \
	ssh -F "$LAB/ssh_jump" ops@web1 'uptime; id -un' </dev/null \
	>"$LAB/out" 2>&1
status=$?
indent <"$LAB/out"
judge $status "the bastion answered as web1 and recorded the session"

step "3. What is refused"
show "ssh alice+ops@web1@bastion        # from 192.0.2.66"
refuse "wrong address: closed before any cryptography" \
	lab_ssh alice 192.0.2.66 alice+ops@web1@bastion echo REACHED
show "ssh alice+ops@web1@bastion        # with the code of step 1"
LAB_CODE=$code refuse "a code that was used: refused" \
	lab_ssh alice 203.0.113.9 alice+ops@web1@bastion echo REACHED
show "ssh -o PreferredAuthentications=password alice@bastion"
refuse "a password: not even asked for" \
	in_ns client ssh -F "$LAB/ssh_config" -o BindAddress=203.0.113.9 \
	-o PreferredAuthentications=password alice@bastion echo REACHED
show "ssh robot+ops@db1@bastion         # db1's host key is not the pinned one"
refuse "unknown host key: no connection" \
	lab_ssh robot 203.0.113.7 robot+ops@db1@bastion echo REACHED

step "4. The evidence"
show "sgbridge-audit ls -i auditor.key"
"$BUILD/sgbridge-audit" ls -c "$LAB/sgbridge.conf" -i "$LAB/auditor.key" 2>&1 |
	indent
# alice's: the first.
file=$(find "$LAB/recordings" -name '*.sgr' -printf '%T@ %p\n' | sort -n |
	head -n1 | cut -d' ' -f2-)
show "sgbridge-audit verify $(basename "$file")       # needs no key"
"$BUILD/sgbridge-audit" verify -c "$LAB/sgbridge.conf" "$file" >"$LAB/out" 2>&1
status=$?
indent <"$LAB/out"
judge $status "verified without any key"
show "sgbridge-audit play -i auditor.key $(basename "$file")"
"$BUILD/sgbridge-audit" play -c "$LAB/sgbridge.conf" \
	-i "$LAB/auditor.key" --no-timing "$file" >"$LAB/out" 2>&1
status=$?
indent <"$LAB/out"
judge $status "replayed with the auditor's key, which the bastion does not have"
show "grep Accepted web1:/var/log/auth.log    # the instance knows who it was"
grep -h Accepted "$LAB/web1/sshd.log" | head -n 1 | cut -c1-160 | indent

step "Result: $worked as it should be, $broken not"
if [ -t 0 ] && [ -t 1 ] && [ -z "${CI:-}" ] && [ "$broken" -eq 0 ]; then
	cat <<-END
		The bastion is still up. In another terminal, as root:
		  ip netns exec $lab_tag-client ssh -F $LAB/ssh_config -i $LAB/users/alice alice+ops@web1@bastion
		  the one-time code:  oathtool --totp -b - <$LAB/users/alice.secret
		  $BUILD/sgbridge-audit ls -c $LAB/sgbridge.conf -i $LAB/auditor.key
		  $BUILD/sgbridge sessions -c $LAB/sgbridge.conf
		Enter stops it and removes everything.
	END
	read -r _
fi
[ "$broken" -eq 0 ]
