#!/bin/bash
# pam_sgbridge.so inside the machine's real sshd: tests/pam/sshd.sh [BUILD].
# The daemon is started through a link, so its PAM service is `sshd-sgb`; where
# that is a setting, it is set.
# Prints `ok NAME` or `not ok NAME` a case, and `N passed, N failed`.
set -u
# ssh writes what its locale lacks as octal, and the code is of block elements.
export LC_ALL=C.UTF-8
SELF=$(readlink -f "$0")
BUILD=${1:-build}
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$SELF")/common.sh"
# shellcheck source-path=SCRIPTDIR source=../sshd.sh
. "$(dirname "$SELF")/../sshd.sh"
enter_namespaces "$@"
make_room
make_dev
ip link set lo up
for address in 192.0.2.1 192.0.2.7 198.51.100.9; do
	ip address add "$address/32" dev lo
done
keep_common
make_accounts alice hank rita robot dave ghostly ines ivan
make_bastion try <<END
network office 192.0.2.0/24
group   People alice, hank, rita, dave, ines, ivan, root, toor
permit  hank from office to self via sshd-shipped { mfa always }
keys {
	accept ed25519, rsa >= 3072
	user-ca $T/ca.pub
	root-login no
}
permit People from office to self via sshd-sgb { mfa always }
permit robot from 192.0.2.7 to self via sshd-sgb { mfa never }
END
alice_secret=$(enrol alice)
hank_secret=$(enrol hank --hotp)
rita_secret=$(enrol rita --hash sha256 --digits 8)
enrol root >/dev/null

{
	module_line auth
	echo "auth required pam_permit.so"
	module_line account
	echo "account required pam_permit.so"
	module_line session
	echo "session required pam_env.so user_readenv=1"
	echo "session required pam_permit.so"
} >/etc/pam.d/sshd-sgb

# Keys: a good one, a short one, one in a certificate, the CA's.
mkdir -m 755 "$T/keys"
for key in good ca inner otherca other; do
	ssh-keygen -q -t ed25519 -N '' -f "$T/$key"
done
ssh-keygen -q -t rsa -b 2048 -N '' -f "$T/short"
ssh-keygen -q -s "$T/ca" -I test -n alice,hank "$T/inner.pub"
ssh-keygen -q -s "$T/otherca" -I test -n alice,hank "$T/other.pub"
cat "$T/ca.pub" "$T/otherca.pub" >"$T/trusted"
ssh-keygen -q -t ed25519 -N '' -f "$T/host"
for user in alice hank rita robot dave ines ivan root toor; do
	cat "$T/good.pub" "$T/short.pub" >"$T/keys/$user"
done
mount -t tmpfs -o mode=755 none /run
mkdir -m 755 /run/sshd
echo "bastion $(cat "$T/host.pub")" >"$T/known_hosts"
ln -s /usr/sbin/sshd "$T/sshd-sgb"

# start_sshd PORT LAST [FIRST]: a daemon with these lines beside the common
start_sshd()
{
	local daemon=${DAEMON:-$T/sshd-sgb}
	cat >"$T/sshd_config.$1" <<-END
	${3:-}
	$(sshd_no_penalties; sshd_pam_service "${daemon##*/}")
	Port $1
	ListenAddress 192.0.2.1
	HostKey $T/host
	PidFile none
	UsePAM yes
	UseDNS no
	StrictModes no
	AuthorizedKeysFile $T/keys/%u
	TrustedUserCAKeys $T/trusted
	PubkeyAcceptedAlgorithms +ssh-rsa
	PermitRootLogin yes
	MaxStartups 100
	LogLevel VERBOSE
	Subsystem sftp internal-sftp
	$2
	END
	with_asan "$daemon" -D -f "$T/sshd_config.$1" \
		-E "$T/sshd.log.$1" &
	until (: <"/dev/tcp/192.0.2.1/$1") 2>/dev/null; do
		kill -0 $! || exit 1
		sleep 0.05
	done
}

cat >"$T/askpass" <<'END'
#!/bin/sh
echo "$1" >>"$PROMPTS"
printf '%s\n' "$CODE"
END
chmod 755 "$T/askpass"

# login USER PORT CODE [SSH OPTIONS]: $out has what the client printed
login()
{
	local user=$1 port=$2 code=$3 said=$T/said.$BASHPID
	shift 3
	: >"$T/prompts"
	mark_log
	CODE=$code PROMPTS=$T/prompts SAID=$said \
		SSH_ASKPASS=${ASKPASS:-$T/askpass} SSH_ASKPASS_REQUIRE=force \
		timeout 60 ssh -F none -p "$port" -b "${FROM:-192.0.2.7}" \
		-o HostKeyAlias=bastion -o UserKnownHostsFile="$T/known_hosts" \
		-o IdentitiesOnly=yes \
		-o NumberOfPasswordPrompts=1 -i "${KEY:-$T/good}" "$@" \
		"$user@192.0.2.1" echo marker >"$said" 2>&1 </dev/null
	out=$(cat "$said")
}

admitted()
{
	[ "$(printf '%s\n' "$out" | tail -1)" = marker ]
	check "$1" $? "$out
$(recent_log)"
}

# refused NAME REASON
refused()
{
	case "$out" in
	*marker*) not_ok "$1" "was admitted: $out" ;;
	*)
		logged "reason=$2 "
		check "$1" $? "$out
$(recent_log)"
		;;
	esac
}

totp()
{
	oathtool --totp -b "$1"
}

hank_next=0
hotp()
{
	code=$(oathtool --hotp -b -c "$hank_next" "$hank_secret")
	hank_next=$((hank_next + 1))
}

start_sshd 2201 "PasswordAuthentication no
KbdInteractiveAuthentication yes
AuthenticationMethods publickey,keyboard-interactive:pam
Match User robot
	AuthenticationMethods publickey"

code=$(totp "$alice_secret")
login alice 2201 "$code"
admitted "key and time-based code"
logged "phase=session verdict=granted user=\"alice\""
check "session decision in the log" $?
login alice 2201 "$code"
refused "replayed code" replayed-code
[ "$(grep -c "One-time code: " "$T/prompts")" = 1 ]
check "one prompt" $? "$(cat "$T/prompts")"
hotp
login hank 2201 "$code"
admitted "key and counter-based code"
login rita 2201 "$(oathtool --totp=sha256 -d 8 -b "$rita_secret")"
admitted "SHA-256, eight digits"
login hank 2201 000000
refused "wrong code" wrong-code
wrong=$out
login dave 2201 000000
refused "not enrolled" not-enrolled
mask='s/(reference [^)]*)/(reference)/; s/[a-z]*@192/USER@192/g'
[ "$(echo "$wrong" | sed "$mask")" = "$(echo "$out" | sed "$mask")" ]
check "wrong and not enrolled look alike" $? "$wrong
$out"
reference=$(echo "$wrong" | sed -n 's/.*reference \([0-9A-Z]*\)).*/\1/p')
grep -q "reason=wrong-code .*ref=$reference " "$T/syslog"
check "the reference number is in the log" $? "$wrong"
hotp
FROM=198.51.100.9 login hank 2201 "$code"
refused "wrong source address" policy
KEY=$T/short login hank 2201 "$code"
refused "short RSA key" key-not-accepted
KEY=$T/inner login hank 2201 "$code"
admitted "certificate"
hotp
KEY=$T/other login hank 2201 "$code"
refused "certificate of a CA that only sshd trusts" key-not-accepted
login root 2201 "$code"
refused "root" root
login toor 2201 "$code"
refused "another name with uid 0" root

login robot 2201 000000 -o BatchMode=yes
admitted "robot with an exemption, BatchMode"
FROM=192.0.2.1 login robot 2201 000000 -o BatchMode=yes
refused "robot from another address" policy
KEY=$T/short login robot 2201 000000 -o BatchMode=yes
refused "robot with a short key" key-not-accepted

# ~/.pam_environment must not reach the session check, which comes first.
echo "SSH_AUTH_INFO_0 DEFAULT=forged" >"$T/home/hank/.pam_environment"
login hank 2201 "$code"
admitted "forged ~/.pam_environment"
rm "$T/home/hank/.pam_environment"

# A client that leaves at the prompt leaves nothing behind.
cat >"$T/askpass.hang" <<'END'
#!/bin/sh
echo asked >"$PROMPTS.hang"
exec sleep 60
END
chmod 755 "$T/askpass.hang"
mark_log
PROMPTS=$T/prompts SSH_ASKPASS=$T/askpass.hang SSH_ASKPASS_REQUIRE=force \
	ssh -F none -p 2201 -b 192.0.2.7 -i "$T/good" \
	-o HostKeyAlias=bastion -o UserKnownHostsFile="$T/known_hosts" \
	hank@192.0.2.1 true </dev/null >/dev/null 2>&1 &
client=$!
until [ -e "$T/prompts.hang" ]; do
	kill -0 "$client" || break
	sleep 0.02
done
kill "$client"
wait "$client" 2>/dev/null
hotp
login hank 2201 "$code"
admitted "after a client left at the prompt"

# Self-enrolment by invitation: the person sees the QR code in the terminal.
otp invite ines --json >"$T/invited"
invitation=$(jq -r .invitation "$T/invited")
cat >"$T/askpass.enrol" <<'END'
#!/bin/sh
# Of many lines OpenSSH 10.6 gives the last, and prints those before it.
case $1 in
*"type the secret"*) printf '%s\n' "$1" ;;
*) cat "$SAID"; printf '%s\n' "$1" ;;
esac >>"$PROMPTS"
case $1 in
*"app shows now"*)
	oathtool --totp -b "$(
		sed -n '/type the secret/{n;s/ //g;p}' "$PROMPTS")"
	;;
*) printf '%s\n' "$CODE" ;;
esac
END
chmod 755 "$T/askpass.enrol"
login ines 2201 222222222222
refused "a wrong invitation" not-enrolled
ASKPASS=$T/askpass.enrol login ines 2201 "$invitation"
admitted "enrolment at the first login"
logged "detail=\"enrolled by invitation\""
check "enrolment is in the log" $?
otp status ines | grep -q "ines: active"
check "the token is active" $? "$(otp status ines)"
[ "$(wc -l <"$T/prompts")" -le 26 ] &&
	[ "$(wc -L <"$T/prompts")" -le 80 ]
check "the QR code fits into 24 x 80" $? "$(cat "$T/prompts")"
login ines 2201 "$invitation"
refused "an invitation counts once" wrong-code

# One code, many connections.
hotp
for i in $(seq 24); do
	{
		login hank 2201 "$code"
		printf '%s\n' "$out" | tail -1 >"$T/parallel.$i"
	} &
	parallel="${parallel:-} $!"
done
# shellcheck disable=SC2086
wait $parallel
[ "$(cat "$T"/parallel.* | grep -c '^marker$')" = 1 ]
check "24 connections with one code: exactly one" $? "$(cat "$T"/parallel.*)"
hotp
login hank 2201 "$code"
admitted "and the next code works"

# What an administrator may get wrong.
start_sshd 2202 "PasswordAuthentication no
KbdInteractiveAuthentication yes"
hotp
login hank 2202 "$code"
refused "no AuthenticationMethods: key alone" no-second-factor
start_sshd 2203 "PasswordAuthentication yes
KbdInteractiveAuthentication no"
login hank 2203 "$code" -o PubkeyAuthentication=no
refused "password alone, even if it is the code" no-publickey
start_sshd 2204 "PasswordAuthentication no
KbdInteractiveAuthentication yes
AuthenticationMethods keyboard-interactive:pam,publickey"
login hank 2204 "$code"
refused "wrong order: code before key" no-publickey
hank_out=$out
login ghostly 2204 "$code"
refused "an account that no rule names" no-publickey
login stranger 2204 "$code"
refused "unknown user" unknown-user
[ "$(echo "$hank_out" | sed "$mask")" = "$(echo "$out" | sed "$mask")" ]
check "known and unknown users look alike" $? "$hank_out
$out"
start_sshd 2205 "PasswordAuthentication no
KbdInteractiveAuthentication yes
LoginGraceTime 2
AuthenticationMethods publickey,keyboard-interactive:pam"
# Its time ends logins at each step: silent, before the key (an agent that does
# not sign), at the prompt, at the prompt after a wrong code, and at the prompt
# of an enrolment.
cat >"$T/askpass.second" <<'END'
#!/bin/sh
[ ! -e "$PROMPTS.once" ] || exec sleep 60
: >"$PROMPTS.once"
printf '%s\n' "$CODE"
END
chmod 755 "$T/askpass.second"
otp invite ivan --json >"$T/invited"
perl -MSocket -e '
	socket(S, AF_UNIX, SOCK_STREAM, 0) or die;
	bind(S, sockaddr_un($ARGV[0])) && listen(S, 5) or die;
	# Identities are told, signing is not answered.
	$blob = `cut -d" " -f2 $ARGV[1] | base64 -d`;
	while (accept(C, S)) {
		while (read(C, $head, 4) == 4) {
			read(C, $question, unpack("N", $head));
			$kind = ord($question);
			last if $kind == 13;
			$reply = $kind != 11 ? "\5" :
				pack("C N N/a* N/a*", 12, 1, $blob, "key");
			syswrite(C, pack("N/a*", $reply));
		}
		open(A, ">", $ARGV[2]);
		sleep 60;
	}' "$T/deaf.agent" "$T/good.pub" "$T/asked" &
agent=$!
until [ -S "$T/deaf.agent" ]; do kill -0 "$agent" || break; done
# stays NAME USER CODE [SSH OPTIONS]
stays()
{
	local name=$1 user=$2 code=$3
	shift 3
	CODE=$code PROMPTS=$T/prompts.$name SSH_ASKPASS=$T/askpass.$name \
		SSH_ASKPASS_REQUIRE=force \
		timeout 30 ssh -F none -p 2205 -b 192.0.2.7 -i "$T/good" \
		-o HostKeyAlias=bastion -o UserKnownHostsFile="$T/known_hosts" \
		"$@" "$user@192.0.2.1" true </dev/null >"$T/stays.$name" 2>&1 &
	stays="${stays:-} $!"
}
hotp
timeout 30 bash -c 'exec 3<>/dev/tcp/192.0.2.1/2205; cat <&3' >/dev/null &
stays=$!
ln "$T/askpass" "$T/askpass.agent"
stays agent hank "$code" -o IdentityAgent="$T/deaf.agent" -o IdentityFile=none
stays hang hank "$code"
stays second hank 000000
cp "$T/askpass.second" "$T/askpass.enrolling"
stays enrolling ivan "$(jq -r .invitation "$T/invited")"
# Where each is; then sshd has none of them left. It says nothing of it.
there()
{
	[ -e "$T/prompts.hang.hang" ] &&
		[ -e "$T/prompts.second.once" ] &&
		[ -e "$T/prompts.enrolling.once" ] && [ -e "$T/asked" ]
}
none_left()
{
	! ss -Htn state established "sport = :2205" | grep -q .
}
for i in $(seq 500); do
	there && none_left && break
	sleep 0.02
done
there && none_left
check "LoginGraceTime ends five logins, each elsewhere" $? \
	"$(cat "$T/sshd.log.2205")"
# shellcheck disable=SC2086
kill "$agent" $stays 2>/dev/null
wait "$agent" 2>/dev/null
login hank 2205 "$code"
admitted "the code that none of them sent is good"
otp status hank --json | jq -e '.failures == 0' >/dev/null
check "and nothing of them is left" $? "$(otp status hank --json)"
otp status ivan --json | jq -e '.status != "active"' >/dev/null
check "nobody is enrolled by half" $? "$(otp status ivan --json)"

# Three channels of one connection.
hotp
login hank 2201 "$code" -o ControlMaster=yes -o ControlPath="$T/mux" \
	-o ControlPersist=30
for i in 1 2 3; do
	ssh -F none -o ControlPath="$T/mux" hank@192.0.2.1 echo "channel $i"
done >"$T/channels" 2>&1 </dev/null
ssh -F none -O exit -o ControlPath="$T/mux" hank@192.0.2.1 2>/dev/null
[ "$(cat "$T/channels")" = "channel 1
channel 2
channel 3" ]
check "several channels of one connection" $? "$(cat "$T/channels")"

# A clock that jumps an hour ahead and back: codes of the hour stay spent.
FAKETIME_LIBRARY=$(echo /usr/lib/*/faketime/libfaketime.so.1)
if [ -e "$FAKETIME_LIBRARY" ] && [ -z "$PRELOAD" ]; then
	LD_PRELOAD=$FAKETIME_LIBRARY FAKETIME=+1h start_sshd 2207 \
		"PasswordAuthentication no
KbdInteractiveAuthentication yes
AuthenticationMethods publickey,keyboard-interactive:pam"
	login rita 2207 "$(oathtool --totp=sha256 -d 8 -b -N "1 hour" \
		"$rita_secret")"
	admitted "the clock an hour ahead"
	login rita 2201 "$(oathtool --totp=sha256 -d 8 -b "$rita_secret")"
	refused "the clock back again" clock-behind-last-login
	otp resync rita \
		"$(oathtool --totp=sha256 -d 8 -b -N "1 minute" \
			"$rita_secret")" \
		"$(oathtool --totp=sha256 -d 8 -b -N "90 seconds" \
			"$rita_secret")" >/dev/null 2>&1
	[ $? = 77 ]
	check "resync does not reopen a spent hour" $?
fi

# Five wrong codes, then even the right one has to wait.
for i in 1 2 3 4 5; do
	login hank 2201 000000
done
hotp
login hank 2201 "$code"
refused "locked after five wrong codes" locked
otp unlock hank >/dev/null
login hank 2201 "$code"
admitted "sgbridge-otp unlock"
mv "$T/policy.conf" "$T/policy.away"
hotp
login hank 2201 "$code"
refused "no policy file" configuration
mv "$T/policy.away" "$T/policy.conf"
login hank 2201 "$code"
admitted "the policy is back"

# conf/pam.d/sshd and conf/sshd_config.d/sgbridge.conf as they are shipped.
use_common
shipped sshd >/etc/pam.d/sshd-shipped
ln -s /usr/sbin/sshd "$T/sshd-shipped"
DAEMON=$T/sshd-shipped start_sshd 2206 "" \
	"Include $(readlink -f "$(dirname "$SELF")/../../conf/sshd_config.d")/*.conf"
hotp
login hank 2206 "$code"
admitted "shipped configuration"
login hank 2206 "$code"
refused "shipped configuration: replayed code" replayed-code
login hank 2206 "$code" -o PreferredAuthentications=publickey
case "$out" in *marker*) false ;; *) true ;; esac
check "shipped configuration: key alone" $? "$out"

! grep -q -e "$hank_secret" -e "$alice_secret" "$T/syslog"
check "no secret in the log" $?
set -- "$T"/asan*
[ ! -e "$1" ]
check "no report of a sanitizer" $? "$(head -40 "$T"/asan* 2>/dev/null)"
finish
