#!/bin/bash
# Instances that people are logged on to with their own keys, by the agents
# that their clients forward: `credential agent`.
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=${1:-build}
# shellcheck source=tests/e2e/lab.sh
. "$here/lab.sh"
# shellcheck source=tests/e2e/far.sh
. "$here/far.sh"
LAB_SSHD_KEYS=trusted
eval "$(declare -f lab_conf | sed '1s/lab_conf/lab_usual_conf/')"
lab_conf() {
	LAB_CONF_EXTRA="target-auth-timeout 4s"
	lab_usual_conf
	: >"$LAB/trusted"
	chmod 0644 "$LAB/trusted"
}
# far1 hangs behind web1, where nothing routes.
LAB_MORE_NS=far1
CREDENTIAL=agent
LAB_DB_PIN=
eval "$(declare -f lab_policy | sed '1s/lab_policy/lab_first_policy/')"
lab_policy() {
	LAB_DB_PIN=$(lab_fingerprint "$LAB/db1/hostkey.pub")
	lab_first_policy
	sed -i "/security-group SG_Current/a\\
	credential $CREDENTIAL" "$LAB/policy.conf"
	# Not every client can choose its address.
	echo 'permit Robots from 203.0.113.9 to SG_Current as ops { mfa never
		allow shell, exec }' >>"$LAB/policy.conf"
	[ ! -e "$LAB/far1/hostkey.pub" ] || cat >>"$LAB/policy.conf" <<-END
		security-group SG_Far {
		 	credential agent
		 	instance far1 10.9.1.2 { host-key $(lab_fingerprint "$LAB/far1/hostkey.pub"); login ops; via web1 }
		 	accept tcp 22 from SG_Current priority 1
		}
		permit Robots from 203.0.113.7 to SG_Far as ops { mfa never; allow shell, exec }
	END
}
lab_up || exit 1
sgb() {
	"$BUILD/sgbridge" "$@" -c "$LAB/sgbridge.conf"
}
credential() {
	CREDENTIAL=$1
	lab_policy
	sgb reload >/dev/null 2>&1
}
# What the person's agent is asked goes through agent.py.
AGENT=$LAB/agent
REAL=$LAB/agent.real
events() {
	cat "$LAB"/events/*.jsonl
}
fingerprint_of() {
	ssh-keygen -lf "$LAB/$1.pub" | cut -d' ' -f2
}
# person KEY ARGS...: robot's client, with that key, from a file. It forwards
# another agent than its own, so that what that is asked is what the bastion
# asks.
person() {
	local key=$1
	shift
	SSH_AUTH_SOCK=$LAB/agent.empty in_ns client timeout 60 ssh \
		-F "$LAB/ssh_config" -o BindAddress=203.0.113.7 \
		-i "$LAB/$key" "$@" </dev/null
}
forward() {
	local key=$1
	shift
	person "$key" -o "ForwardAgent=$AGENT" "$@"
}
# A key that robot may use, and the instance knows.
make_key() {
	ssh-keygen -q -N '' -C "$1" -f "$LAB/$1" "${@:2}"
	cat "$LAB/$1.pub" >>"$LAB/authorized_keys/robot"
	cat "$LAB/$1.pub" >>"$LAB/trusted"
}
holds() {
	SSH_AUTH_SOCK=$REAL ssh-add -q -D 2>/dev/null
	[ $# = 0 ] || SSH_AUTH_SOCK=$REAL ssh-add -q "$@" 2>/dev/null
}
behaves() {
	echo "$1" >"$LAB/mode"
	: >"$LAB/asked"
}
# asked COUNT: so many signatures
asked() {
	[ "$(grep -c '^sign' "$LAB/asked")" = "$1" ]
}
show() {
	sed 's/^/# /' "$LAB/err"
	grep -oE '"(status_detail|event|what)":"[^"]*"' "$LAB/new" |
		sed 's/^/# /'
	return 1
}
mark() {
	before=$(events | wc -l)
}
news() {
	events | tail -n "+$((before + 1))" >"$LAB/new"
}
# gets_in KEY ARGS...: with the agent forwarded
gets_in() {
	local before
	mark
	[ "$(forward "$@" 'echo in' 2>"$LAB/err")" = in ] || {
		news
		show
	}
}
# refused RUN KEY WORDS REASON: and the user reads WORDS, the log REASON
refused() {
	local before
	mark
	if "$1" "$2" robot+ops@web1@bastion 'echo in' >"$LAB/out" 2>"$LAB/err"
	then
		return 1
	fi
	if ! wait_for eval "news; grep -q '$4' '$LAB/new'" ||
		! grep -q "$3" "$LAB/err"; then
		show
	fi
}
used() {
	events | grep '"credential-used"' | tail -n 1 | grep -q "$1"
}
accepted() {
	wait_for grep -q "Accepted publickey for ops .* $1" "$LAB/web1/sshd.log"
}
# The recording of the last session, as an auditor reads it.
recorded() {
	local last
	last=$("$BUILD/sgbridge-audit" ls --json -d "$LAB/recordings" |
		grep -oE '"rec": *"[^"]*"' | tail -n 1 | cut -d'"' -f4)
	"$BUILD/sgbridge-audit" show "$last" -d "$LAB/recordings" \
		-i "$LAB/auditor.key" >"$LAB/shown" 2>&1
	grep -q "$1" "$LAB/shown"
}
printf '#!/bin/sh\n[ "$(cat %s/answer)" = yes ]\n' "$LAB" >"$LAB/ask"
chmod 755 "$LAB/ask"
echo no >"$LAB/answer"
SSH_ASKPASS=$LAB/ask SSH_ASKPASS_REQUIRE=force DISPLAY=:0 \
	lab_start "$LAB/agent.log" ssh-agent -d -a "$REAL"
wait_for test -S "$REAL"
lab_start "$LAB/empty.log" ssh-agent -D -a "$LAB/agent.empty"
behaves pass
"$here/security_key.py" new "$LAB/sk" >"$LAB/sk.pub"
cat "$LAB/sk.pub" >>"$LAB/authorized_keys/robot"
cat "$LAB/sk.pub" >>"$LAB/trusted"
lab_start "$LAB/agent.py.log" "$here/agent.py" "$AGENT" "$REAL" "$LAB/mode" \
	"$LAB/asked" "$LAB/sk"
wait_for test -S "$AGENT"
make_key ed -t ed25519
make_key p256 -t ecdsa -b 256
make_key p384 -t ecdsa -b 384
make_key p521 -t ecdsa -b 521
make_key rsa -t rsa -b 3072

# ---- with every kind of key
for name in ed p256 p384 p521 rsa; do
	holds "$LAB/$name"
	behaves pass
	ok "logged on with: $name" gets_in $name robot+ops@web1@bastion
	ok "one signature" asked 1
	ok "the instance saw that key" accepted "$(fingerprint_of $name)"
	ok "and the event names it" used \
		"the user.s agent: .* $(fingerprint_of $name); host key SHA256"
done
ok "the recording says by what" recorded \
	"the user's agent signed the login: $(fingerprint_of rsa)"
ok "and so does its head" grep -q "agent key $(fingerprint_of rsa)" "$LAB/shown"
# A security key can be touched only where it is: its agent's client too.
security_key() {
	SSH_AUTH_SOCK=$AGENT in_ns client timeout 60 ssh \
		-F "$LAB/ssh_config" -o BindAddress=203.0.113.7 -A \
		-i "$LAB/sk.pub" robot+ops@web1@bastion 'echo in' \
		</dev/null 2>"$LAB/err"
}
behaves pass
ok "logged on with a security key" [ "$(security_key)" = in ]
ok "and the instance saw it" accepted "$(fingerprint_of sk)"

# A certificate of the person's: that, and the key in it.
ssh-keygen -q -t ed25519 -N '' -C people -f "$LAB/people"
sed 's/^/cert-authority /' "$LAB/people.pub" >>"$LAB/authorized_keys/robot"
sed 's/^/cert-authority,principals="robot" /' "$LAB/people.pub" >>"$LAB/trusted"
ssh-keygen -q -t ed25519 -N '' -C certified -f "$LAB/certified"
ssh-keygen -q -s "$LAB/people" -I someone -n robot -V +1h "$LAB/certified.pub"
holds "$LAB/certified"
behaves pass
ok "logged on with a certificate" gets_in certified robot+ops@web1@bastion
ok "and the event says so" used \
	"certificate of $(fingerprint_of certified); host key"
ok "one signature" asked 1
holds -k "$LAB/certified"
ok "an agent with its key alone, which is no use there" refused forward \
	certified 'does not accept your key\|your SSH agent' 'target-fail'
cat "$LAB/certified.pub" >>"$LAB/trusted"
behaves pass
ok "but is where it is known" gets_in certified robot+ops@web1@bastion
ok "with one signature" asked 1

# ---- every door
holds "$LAB/ed"
cat "$LAB/ssh_config" >"$LAB/ssh_jump"
cat >>"$LAB/ssh_jump" <<-END
	  User robot
	  IdentityFile $LAB/ed
	  BindAddress 203.0.113.7
	Host web1
	  User ops
	  ProxyJump robot@bastion
END
jump() {
	SSH_AUTH_SOCK=$LAB/agent.empty in_ns client timeout 60 ssh \
		-F "$LAB/ssh_jump" "$@" web1 'echo in' \
		</dev/null 2>"$LAB/err"
}
behaves pass
ok "over a recorded -J" [ "$(jump -o "ForwardAgent=$AGENT")" = in ]
ok "where one signature is asked for" asked 1
ok "over -J without one: what to do" eval \
	'! jump && grep -q "connect with ssh -A" "$LAB/err"'
shared() {
	local run=(forward ed -o "ControlPath=$LAB/shared")

	"${run[@]}" -o ControlMaster=yes -o ControlPersist=20 \
		robot+ops@web1@bastion 'echo one' >"$LAB/out" 2>"$LAB/err"
	"${run[@]}" robot+ops@web1@bastion 'echo two' >>"$LAB/out" \
		2>>"$LAB/err"
	"${run[@]}" -O exit robot+ops@web1@bastion 2>/dev/null
	[ "$(tr '\n' ' ' <"$LAB/out")" = 'one two ' ]
}
in_menu() {
	printf '1\necho in $((1 + 1))\nexit\n' |
		SSH_AUTH_SOCK=$LAB/agent.empty in_ns client timeout 60 ssh -T \
			-F "$LAB/ssh_config" -o BindAddress=203.0.113.7 \
			-i "$LAB/ed" "$@" robot@bastion >"$LAB/out" 2>"$LAB/err"
}
behaves pass
ok "chosen from the menu" eval \
	'in_menu -o "ForwardAgent=$AGENT"; grep -q "in 2$" "$LAB/out"'
ok "one signature" asked 1
ok "from the menu without one: what to do" eval \
	'in_menu; cat "$LAB/out" "$LAB/err" | grep -q "connect with ssh -A"'
behaves pass
ok "two sessions on one connection" shared
ok "have one signature" asked 1
ok "a terminal, and what is typed ahead" eval \
	'[ "$(echo "echo typed" | timeout 30 script -qec \
	"SSH_AUTH_SOCK=$LAB/agent.empty ip netns exec $lab_tag-client ssh -tt \
	-F $LAB/ssh_config -o BindAddress=203.0.113.7 \
	-o ForwardAgent=$AGENT -i $LAB/ed robot+ops@web1@bastion cat" /dev/null |
	grep -c "^echo typed")" -ge 1 ]'
# Others that forward agents say so in their own ways.
other_client() {
	SSH_AUTH_SOCK=$AGENT in_ns client timeout 60 "$@" 'echo in' \
		</dev/null 2>"$LAB/err"
}
if command -v plink puttygen >/dev/null; then
	puttygen "$LAB/ed" -O private -o "$LAB/ed.ppk"
	set -- plink -batch -noagent -hostkey \
		"$(lab_fingerprint "$LAB/host_key.pub")" -i "$LAB/ed.ppk" \
		-P 30022 -l robot+ops@web1 203.0.113.1
	ok "plink" [ "$(other_client "${@:1:2}" -A "${@:3}")" = in ]
	other_client "$@" >"$LAB/out"
	ok "plink without one: what to do" grep -q 'connect with ssh -A' "$LAB/err"
fi
if command -v dbclient dropbearconvert >/dev/null; then
	dropbearconvert openssh dropbear "$LAB/ed" "$LAB/ed.db" >"$LAB/err" 2>&1
	set -- dbclient -y -y -i "$LAB/ed.db" -p 30022 \
		-l robot+ops@web1 203.0.113.1
	ok "dbclient" [ "$(other_client "$1" -A "${@:2}")" = in ]
fi
# Every client of the lab's.
hang_up() {
	local pid
	for pid in $(ip netns pids "$lab_tag-client"); do
		[ "$(cat "/proc/$pid/comm")" != ssh ] || kill "$pid"
	done
	wait "$1" 2>/dev/null
}
no_session() {
	local before found
	mark
	forward ed -N robot+ops@web1@bastion >"$LAB/out" 2>"$LAB/err" &
	wait_for eval 'news; grep -q credential-used "$LAB/new"'
	found=$?
	hang_up $!
	return $found
}
ok "a client that opens no session is asked nevertheless" no_session

# ---- what is in the way, in words
ok "no agent forwarded: what to do" refused person ed \
	'connect with ssh -A' 'no agent is forwarded'
ok "and no warning of a break-in" eval '! grep -qi "break-in" "$LAB/err"'
holds "$LAB/rsa"
ok "an agent without the key" refused forward ed 'does not show the key' \
	"agent does not have $(fingerprint_of ed)"
holds
ok "an agent without any" refused forward ed 'add it with ssh-add' \
	'agent does not have'
holds -c "$LAB/ed"
ok "an agent whose user says no" refused forward ed 'refused to sign' \
	'refused to sign'
echo yes >"$LAB/answer"
ok "and yes" gets_in ed robot+ops@web1@bastion
holds "$LAB/ed"
grep -v ' ed$' "$LAB/trusted" >"$LAB/fewer"
cp "$LAB/trusted" "$LAB/all"
cat "$LAB/fewer" >"$LAB/trusted"
behaves pass
ok "a key that the instance does not know" refused forward ed \
	"does not accept your key $(fingerprint_of ed)" 'refused the user.s key'
ok "for which nothing is signed" asked 0
cat "$LAB/all" >"$LAB/trusted"
sed 's/.* ed$/no-agent-forwarding &/' "$LAB/authorized_keys/robot" >"$LAB/limited"
cp "$LAB/authorized_keys/robot" "$LAB/free"
cat "$LAB/limited" >"$LAB/authorized_keys/robot"
ok "a key that may not forward an agent" refused forward ed \
	'may not forward one' 'may not forward an agent'
ok "whose agent is not asked" asked 0
cat "$LAB/free" >"$LAB/authorized_keys/robot"
SSH_AUTH_SOCK=$REAL ssh-add -q -D 2>/dev/null
SSH_AUTH_SOCK=$REAL ssh-add -q -H "$LAB/known_hosts" \
	-h '[203.0.113.1]:30022' "$LAB/ed" 2>"$LAB/err"
ok "a key that is tied to hosts" refused forward ed 'without -h' \
	'agent does not have'

# ---- agents that do not behave
holds "$LAB/ed" "$LAB/rsa"
while read -r kind key words; do
	behaves "$kind"
	ok "hostile: $kind" refused forward "$key" "$words" 'target-fail'
done <<-END
	garbage ed the signature is not by this key
	other ed the signature is not by this key
	sha1 rsa a signature of another algorithm
	bytes ed an answer that is none
	long ed an answer that is none
	more ed an answer that is none
	early ed \(an answer that is none\|went away\)
	die ed went away
	never ed did not answer in time
	silent ed did not answer in time
END
# Its client leaves while it is asked.
leaves() {
	behaves never
	forward ed robot+ops@web1@bastion true >"$LAB/out" 2>"$LAB/err" &
	wait_for asked 1
	hang_up $!
	wait_for eval 'sgb status --json | grep -q "\"connections\": *0"'
}
ok "a client that leaves meanwhile is gone" leaves
behaves pass
ok "and all is well with one that does" gets_in ed robot+ops@web1@bastion

# ---- nobody else's agent
credential certificate
behaves pass
ok "with a certificate" gets_in ed robot+ops@web1@bastion
ok "no agent is asked for anything" eval '! grep -q . "$LAB/asked"'
# web1 is a jump host now, which no agent logs on to.
far_network
lab_instance far1 10.9.1.2
wait_for in_ns web1 bash -c 'exec 3<>/dev/tcp/10.9.1.2/22'
credential certificate
behaves pass
ok "behind a jump host" gets_in ed robot+ops@far1@bastion
ok "one signature, for the instance" asked 1
credential agent
ok "a jump host with people's agents is a mistake of the policy" eval \
	'sgb check "$LAB/policy.conf" 2>&1 | grep -q "which a jump host cannot be"'
rm "$LAB/far1/hostkey.pub"
credential agent
ok "explain says by what" eval \
	'sgb explain robot from 203.0.113.7 to ops@web1 | grep -q "by a forwarded agent" &&
	sgb explain robot from 203.0.113.7 to ops@web1 --json |
	jq -e ".credential == \"agent\"" >/dev/null'
ok "no session process died of any of this" eval \
	'! events | grep -q "\"event\":\"session-crash\""'
lab_summary
