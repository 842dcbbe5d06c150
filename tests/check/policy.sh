#!/bin/bash
# The sgbridge command on policies: exit codes, first words, JSON, that fmt
# changes no decision, that diff sees what was changed, and that the manual's
# examples load.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${1:-build}
passed=0 failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sgb() {
	"$build/sgbridge" "$@" --color never 2>&1
}
# ok NAME STATUS PATTERN COMMAND...: exit status, and a line that matches.
ok() {
	local name=$1 want=$2 pattern=$3 out status
	shift 3
	out=$("$@" 2>&1)
	status=$?
	if [ "$status" -eq "$want" ] && grep -qE -- "$pattern" <<<"$out"; then
		passed=$((passed + 1))
		echo "ok $name"
	else
		failed=$((failed + 1))
		echo "not ok $name: status $status, wanted $want and /$pattern/"
		sed 's/^/# /' <<<"$out"
	fi
}
cat >"$work/policy.conf" <<'END'
network office    203.0.113.0/24
network  home 198.51.100.7
group SysAdmins alice,bob
hours working Mon-Fri 08:00-19:00 UTC
security-group SG_Bridge { instance jump1 10.0.0.5 { host-key SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA } }
security-group SG_Web {
 zone production # here
	instance web1 10.0.1.11 { host-key SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA; login ops }
	accept tcp 22 from SG_Bridge
}
permit SysAdmins from office, home to SG_Web as ops {
	mfa remember 8h
	allow shell, exec
}
permit SysAdmins from office to self via sshd
deny any from any to zone production during not working


END
good="$work/policy.conf"
day="2026-11-23 12:00Z" night="2026-11-23 22:00Z"

# --- check
ok "a good policy is clean" 0 'good: 3 rules' sgb check "$good"
sed 's/as ops/as root/' "$good" >"$work/root.conf"
ok "root logins are a warning" 1 'root' sgb check "$work/root.conf"
sed 's/from office, home/from any/' "$good" >"$work/any.conf"
ok "any source is a warning" 1 'every address' sgb check -p "$work/any.conf"
sed 's/SysAdmins from office,/SysAdmin from office,/' "$good" >"$work/bad.conf"
ok "a mistake is an error with its place" 2 \
	'bad.conf:11:8: .*SysAdmin' sgb check "$work/bad.conf"
sed 's/mfa remember 8h/expires 2020-01-01/' "$good" >"$work/old.conf"
ok "an expired rule is an error" 2 'expired' sgb check "$work/old.conf"
{
	cat "$good"
	echo 'permit alice from 203.0.113.9 to web1 as ops { allow shell }'
} >"$work/shadow.conf"
ok "a covered rule is an error" 2 \
	'never matches: policy.conf:11 covers|shadow.conf:11 covers' \
	sgb check "$work/shadow.conf"
{
	cat "$good"
	echo 'deny alicf from any to any'
} >"$work/typo.conf"
ok "a denial of nobody is a warning" 1 'is "alice" meant' \
	sgb check "$work/typo.conf"
{
	cat "$work/typo.conf"
	echo 'user alicf'
} >"$work/user.conf"
ok "unless it says that it is right" 0 'good' sgb check "$work/user.conf"
sed 's/^\taccept/\tdrop/' "$good" >"$work/closed.conf"
ok "a target that is closed is a warning" 1 'lets the bastion through' \
	sgb check "$work/closed.conf"
sed 's/ from SG_Bridge/ from any/' "$good" >"$work/around.conf"
ok "a way around the bastion is a warning" 1 'not only through' \
	sgb check "$work/around.conf"
sed 's/10.0.0.5 {/127.0.0.1 { local;/' "$good" >"$work/local.conf"
ok "a local instance is a warning" 1 'the bastion itself' \
	sgb check "$work/local.conf"
ok "JSON of a bad one" 2 '"code":"unknown-name","file":' \
	sgb check --json "$work/bad.conf"
json() {
	sgb "$@" | python3 -m json.tool
}
ok "check's JSON is JSON" 0 '"errors": 1' json check --json "$work/bad.conf"
ok "no policy is an error" 2 'No such file' sgb check "$work/none.conf"

# --- check --keys
mkdir "$work/keys"
ssh-keygen -q -t ed25519 -N '' -C '' -f "$work/one"
ssh-keygen -q -t rsa -b 2048 -N '' -C '' -f "$work/two"
cat "$work/one.pub" >"$work/keys/alice"
ok "keys of people whom rules name" 0 'good: 3 rules' \
	sgb check --keys="$work/keys" "$good"
{
	echo "from=\"10.0.0.0/8\",agent-forwarding $(cat "$work/one.pub")"
	cat "$work/two.pub"
} >"$work/keys/bob"
ok "one key under two people" 1 'keys/bob:1: .*alice has this key too' \
	sgb check --keys="$work/keys" "$good"
option_codes() {
	sgb check --json --keys="$work/keys" "$good" |
		grep -o '"key-[a-z]*"' | sort -u | tr '\n' ' '
}
ok "what narrows, or changes nothing, is no warning" 0 \
	'^"key-shared" "key-weak" $' option_codes
# option WORDS STATUS PATTERN NAME: of a line with these options alone.
option() {
	echo "$1 $(cat "$work/three.pub")" >"$work/keys/carol"
	ok "$4" "$2" "$3" sgb check --keys="$work/keys" "$good"
	rm "$work/keys/carol"
}
ssh-keygen -q -t ed25519 -N '' -C '' -f "$work/three"
option 'cert-authority' 1 '"cert-authority" widens' "a CA is more than a key"
option 'environment="A=b"' 1 'carol:1: .*"environment", or .* lets nobody in' \
	"what is refused at a login is said to be"
option 'tunnel="0"' 1 '"tunnel", or its value, is not supported' "tunnels too"
option 'from="*.example.org"' 1 '"from", or its value' "and a value"
option "expiry-time=\"$(date -d '+5 days' +%Y%m%d)\"" 1 'ends this key within 14 days' \
	"a key that will have expired soon"
option 'expiry-time="20200101"' 1 '"expiry-time" says .* has expired' \
	"a key that has expired"
option 'restrict,agent-forwarding' 1 'takes back a restriction' \
	"what takes a restriction back"
ok "a key that is too weak" 1 'bob:2: .*ssh-rsa keys of 2048 bits' \
	sgb check --keys="$work/keys" "$good"
touch -d '2 years ago' "$work/keys/alice"
ok "an old key" 1 'alice:1: .*older than 365 days: its file' \
	sgb check --keys="$work/keys" --max-age 365 "$good"
# event USER KEY DAYS KIND STATUS: so many days ago.
event() {
	printf '{"time":%s000,"status_id":%s,"user":{"name":"%s"},"unmapped":{"sgb":{"event":"%s","key_fp":"%s"}}}\n' \
		"$(date -d "$3 days ago" +%s)" "$5" "$1" "$4" \
		"$(ssh-keygen -lf "$2" | cut -d' ' -f2)"
}
mkdir "$work/trail"
unused() {
	sgb check --keys="$work/keys" --events "$work/trail" "$@" "$good"
}
ok "no trail, no answer" 2 'no event trail there' unused --unused 90
event alice "$work/one.pub" 30 logon 1 >"$work/trail/2026-01-02.jsonl"
ok "a trail that is too short says so" 1 'does not go back 90 days' \
	unused --unused 90
{
	event alice "$work/one.pub" 400 auth-key 1
	event bob "$work/two.pub" 200 logon 1
	event bob "$work/two.pub" 10 auth-key 2
} >"$work/trail/2026-01-01.jsonl"
ok "a key that was used is not unused" 1 '^0$' \
	sh -c "'$build/sgbridge' check --keys='$work/keys' --unused 90 \
		--events '$work/trail' '$good' | grep -c 'alice.*nobody logged'"
ok "one that was tried in vain is" 1 'bob:2: .*nobody logged in .* for 90 days' \
	unused --unused 90
ok "one that may be new is not" 1 '^0$' \
	sh -c "'$build/sgbridge' check --keys='$work/keys' --unused 90 \
		--events '$work/trail' '$good' | grep -c 'bob:1: .*nobody logged'"
touch -d '1 year ago' "$work/keys/bob"
ok "its file is old" 1 'bob:1: .*nobody logged in' unused --unused 90
touch "$work/keys/alice"
ok "a key as old as its first login" 1 \
	'alice:1: .*older than 365 days: it was in use on 20' \
	unused --max-age 365
ok "as JSON" 0 '"code": "key-unused"' json check --keys="$work/keys" \
	--events "$work/trail" --unused 90 --json "$good"
head -c 200000 /dev/zero | tr '\0' x >"$work/trail/2026-01-03.jsonl"
ok "a line of any length is passed over" 1 '1 lines are no events' \
	unused --unused 90
ok "no number of days" 2 'not a value' unused --unused 0
echo 'ssh-ed25519 AAAA' >"$work/keys/eve"
ok "a line without a key" 2 'eve:1: .*no public key' \
	sgb check --keys="$work/keys" "$good"
ok "a user without a rule" 2 'eve: .*permits anything to eve' \
	sgb check --keys="$work/keys" "$good"

# --- explain
explain() {
	sgb explain -p "$good" "$@"
}
ok "a permit" 0 '^permit alice' \
	explain alice from 203.0.113.9 to web1 at "$day"
ok "its rule" 0 'rule +policy.conf:11: permit SysAdmins' \
	explain alice from 203.0.113.9 to ops@web1 at "$day" via proxy
ok "its group rule" 0 'group rule +policy.conf:9: accept' \
	explain alice from 203.0.113.9 to ops@web1:22 at "$day"
ok "a denial by a rule" 1 '^deny alice' \
	explain alice from 203.0.113.9 to web1 at "$night"
cat >"$work/via.conf" <<'END'
security-group SG_Bridge { instance jump1 10.0.0.5 }
security-group Near { instance near1 10.1.0.1 { port 2222; login hop }
	accept tcp 2222 from SG_Bridge }
security-group Idle { instance near2 10.1.0.2; accept tcp 22 from SG_Bridge
	instance far2 10.3.0.2 { via near2 } }
security-group Far { instance far1 10.3.0.1 { via near1; login ops }
	accept tcp 22 from Near }
permit alice from 203.0.113.9 to Far { allow shell }
END
via() {
	sgb explain -p "$work/via.conf" alice from 203.0.113.9 to far1 "$@"
}
ok "a way through a jump host" 0 'via +hop@near1 \(10.1.0.1, port 2222\)' via
ok "it is JSON as well" 0 '"via":\["near1"\]' via --json
ok "the ruleset admits the jump host" 0 'daddr 10.1.0.1 .*dport \{ 2222 \}' \
	sgb topology nftables -p "$work/via.conf"
hidden() {
	! sgb topology nftables -p "$work/via.conf" | grep -E '10.3.0|10.1.0.2'
}
ok "not what is behind it, nor one that leads nowhere" 0 '' hidden
ok "fmt keeps it" 0 'via +near1' sgb fmt "$work/via.conf"

# --- a way that a group says for all of its instances
cat >"$work/via_group.conf" <<'END'
security-group SG_Bridge { instance jump1 10.0.0.5 }
security-group Near { zone near; instance near1 10.1.0.1 { login hop }
	instance near2 10.1.0.2; accept tcp 22 from SG_Bridge }
security-group Far { zone far; via near1; instance far1 10.3.0.1
	instance far2 10.3.0.2 { via near2 }; subnet 10.3.1.0/24
	instance out1 10.3.0.3 { via direct }
	accept tcp 22 from Near, SG_Bridge }
permit alice from 203.0.113.9 to Far as ops { allow shell }
END
group_way() {
	local got want=$1
	shift
	got=$(sgb explain -p "$work/via_group.conf" alice from 203.0.113.9 \
		to "$1" --json | sed -n 's/.*"via":\[\([^]]*\)\].*/\1/p')
	[ "$got" = "$want" ]
}
ok "a group's jump host" 0 '' group_way '"near1"' far1
ok "an instance's own wins" 0 '' group_way '"near2"' far2
ok "subnets too" 0 '' group_way '"near1"' 10.3.1.9
ok "none for who says so" 0 '' group_way '' out1
ok "fmt keeps the group's" 0 '; via near1;' sgb fmt "$work/via_group.conf"
ok "the table of instances names it" 0 '^10.3.1.0/24 .*open +near1' \
	sgb topology show -p "$work/via_group.conf"
ok "and the picture" 0 'node near1" -> "node far1".*label="via"' \
	sgb topology show --dot -p "$work/via_group.conf"
ok "as the other one does" 0 'far1 via near1<' \
	sgb topology show --svg -p "$work/via_group.conf"
ok "the ruleset leads to jump hosts" 0 'daddr \{ 10.1.0.1, 10.1.0.2, 10.3.0.3' \
	sgb topology nftables -p "$work/via_group.conf"
behind() {
	! sgb topology nftables -p "$work/via_group.conf" |
		grep -E '10\.3\.0\.[12]|10\.3\.1\.'
}
ok "and not behind them" 0 '' behind
ok "a host that is not its jump host goes around" 1 \
	'port 22 is open from 10.1.0.2, which is near2' \
	sgb topology check -p "$work/via_group.conf"
cat >"$work/via_own.conf" <<'END'
security-group SG_Bridge { instance jump1 10.0.0.5 }
security-group Near { zone near; instance near1 10.1.0.1
	accept tcp 22 from SG_Bridge }
security-group Far { zone far; isolated; via near1; instance far1 10.3.0.1
	subnet 10.3.1.0/24; accept tcp 22 from Near }
permit alice from 203.0.113.9 to Far as ops { allow shell }
END
around() {
	sgb topology check -p "$1" | grep -cE 'warning: (port|zone)' || true
}
ok "the jump host itself does not" 0 '^0$' around "$work/via_own.conf"
sed 's/via near1;//' "$work/via_own.conf" >"$work/via_none.conf"
ok "if it is one" 0 '^3$' around "$work/via_none.conf"
sed 's/via near1; instance far1/instance far1/' "$work/via_group.conf" \
	>"$work/via_less.conf"
ok "another way is a difference" 1 'changed .*far1 .*; via near1' \
	sgb diff "$work/via_less.conf" "$work/via_group.conf"
sed 's/Near { zone/Near { isolated; zone/' "$work/via_group.conf" \
	>"$work/via_same.conf"
ok "the same way is none" 0 'allow the same' \
	sgb diff "$work/via_same.conf" "$work/via_group.conf"
sed 's/instance far1 10/credential agent; instance far1 10/' \
	"$work/via_own.conf" >"$work/own_agent.conf"
ok "another credential is a difference" 1 "far1 .*; by the person's agent" \
	sgb diff "$work/via_own.conf" "$work/own_agent.conf"
ok "fmt keeps it" 0 'credential agent;' sgb fmt "$work/own_agent.conf"
ok "explain names it" 0 'credential +the person.s own key, by a forwarded' \
	sgb explain alice from 203.0.113.9 to ops@far1 -p "$work/own_agent.conf"
ok "also for programs" 0 '"credential":"agent"' sgb explain --json \
	alice from 203.0.113.9 to ops@far1 -p "$work/own_agent.conf"
ok "what differs" 1 'differs +192.0.2.1 is not in office, home' \
	explain alice from 192.0.2.1 to web1 at "$day"
ok "the other login" 1 'differs +login root is not ops' \
	explain alice from 198.51.100.7 to root@web1 at "$day"
ok "another port" 1 'differs +port 80' \
	explain alice from 198.51.100.7 to web1:80 at "$day"
ok "self" 0 '^permit alice .* to alice@self' \
	explain alice from 203.0.113.9 to self via sshd
ok "self by another service" 1 'sudo is not named' \
	explain alice to self via sudo
ok "no target" 1 'no such target' \
	explain alice from 203.0.113.9 to web2 at "$day"
ok "a bad address" 2 'not an address' explain alice from office to web1
ok "a bad time" 2 'not a time' \
	explain alice from 203.0.113.9 to web1 at noon
ok "explain's JSON is JSON" 0 '"verdict": "permit"' json explain --json \
	-p "$good" alice from 203.0.113.9 to web1 at "$day"

# --- who-can, what-can
ok "who can" 0 '^bob +ops +web1 +22 +office, home +always +remember 8h' \
	sgb who-can -p "$good" ops@web1
ok "who can name the denial" 0 'policy.conf:16$' \
	sgb who-can -p "$good" ops@web1
ok "nobody can" 1 'nobody' sgb who-can -p "$good" root@web1
ok "what can" 0 '^alice +ops +web1' sgb what-can -p "$good" alice
ok "a stranger can nothing" 1 'nothing' sgb what-can -p "$good" eve
ok "what-can's JSON is JSON" 0 '"target": "web1"' \
	json what-can --json -p "$good" alice

# --- fmt
sgb fmt "$good" >"$work/fmt.conf"
ok "fmt is its own result" 0 '' \
	diff <(sgb fmt "$work/fmt.conf") "$work/fmt.conf"
ok "fmt sets columns" 0 '^group   SysAdmins alice, bob$' cat "$work/fmt.conf"
ok "fmt's JSON is JSON" 0 '"changed": true' json fmt --json "$good"
ok "fmt keeps comments" 0 '^	zone     production # here$' \
	cat "$work/fmt.conf"
ok "fmt changes no access" 0 'both allow the same' \
	sgb diff "$good" "$work/fmt.conf"
cp "$good" "$work/write.conf"
sgb fmt -w "$work/write.conf"
ok "fmt -w writes it" 0 '' diff "$work/write.conf" "$work/fmt.conf"

# --- diff
sed 's/alice,bob/alice/; s/, exec/, exec, sftp/' "$good" >"$work/new.conf"
ok "diff: lost" 1 '^lost +bob +ops +web1 +22 +home, office|^lost +bob +ops +web1 +22 +office, home' \
	sgb diff "$good" "$work/new.conf"
ok "diff: changed" 1 '^changed +alice .*shell, exec; .*shell, exec, sftp' \
	sgb diff "$good" "$work/new.conf"
ok "diff: gained, the other way" 1 '^gained +bob' \
	sgb diff "$work/new.conf" "$good"
sed 's/-19:00/-20:00/' "$good" >"$work/hours.conf"
ok "diff: at times" 1 '^gained +alice .* at times ' \
	sgb diff "$good" "$work/hours.conf"
sed 's/permit SysAdmins from office, home[^{]*{/&\n	on-record-failure stall 5m\n/' \
	"$good" >"$work/stall.conf"
sed 's/stall 5m/stall 90s/' "$work/stall.conf" >"$work/longer.conf"
ok "diff: how long it may wait" 1 \
	'^changed .*on-record-failure stall 5m.*; on-record-failure stall 90s' \
	sgb diff "$work/stall.conf" "$work/longer.conf"
ok "diff: that it may" 1 '^changed .*on-record-failure stall 5m' \
	sgb diff "$good" "$work/stall.conf"
ok "explain says so" 0 'on failure +stall 5m' sgb explain -p \
	"$work/stall.conf" alice from 203.0.113.9 to web1 at "$day"
ok "also for programs" 0 '"on_record_failure":"stall 5m"' sgb explain --json \
	-p "$work/stall.conf" alice from 203.0.113.9 to web1 at "$day"
ok "diff with a broken policy" 2 'SysAdmin' \
	sgb diff "$good" "$work/bad.conf"

# --- nftables
loads() {
	sgb nftables -p "$@" >"$work/nft" && grep -v '^table inet sgbridge$' \
		"$work/nft" && if unshare -rn true 2>/dev/null; then
		unshare -rn nft -f "$work/nft"
	fi
}
ok "the bastion's ruleset loads" 0 \
	'ip daddr 10.0.1.11 oif != "lo" meta skuid 0 tcp dport \{ 22 \} accept comment "web1"' \
	loads "$good"
ok "an instance's ruleset loads" 0 \
	'ip saddr 10.0.0.5 tcp dport \{ 22 \} accept comment "policy.conf:9"' \
	loads "$good" web1
sed 's/ from SG_Bridge/, 80 from SG_Bridge, any/' "$good" >"$work/a\" accept;
# b.conf"
ok "no file name gets into the syntax" 0 \
	'^		tcp dport \{ 22, 80 \} accept comment "a_ accept___ b.conf:9"$' \
	loads "$work/a\" accept;
# b.conf" web1
ok "an unknown instance" 2 'no instance' sgb nftables -p "$good" web9
ok "--for is the same" 0 '' diff <(sgb nftables -p "$good" web1) \
	<(sgb topology nftables --for web1 -p "$good")
ok "who may knock" 0 \
	'ip saddr \{ 198.51.100.7, 203.0.113.0/24 \} tcp dport \{ 22, 30022 \} accept' \
	sgb nftables -p "$good"
sed 's/^permit SysAdmins from office to self/permit SysAdmins from any to self/' \
	"$good" >"$work/open.conf"
ok "who may knock: anybody" 0 '^		tcp dport \{ 22, 30022 \} accept' \
	sgb nftables -p "$work/open.conf"
# setting NAME STATUS PATTERN LINE...: the ruleset under these settings.
setting() {
	local name=$1 want=$2 pattern=$3
	shift 3
	printf '%s\n' "$@" >"$work/sgbridge.conf"
	ok "$name" "$want" "$pattern" \
		sgb nftables -p "$good" -c "$work/sgbridge.conf"
}
setting "sshd elsewhere" 0 'tcp dport \{ 2222, 30022, 443 \} accept' \
	'sshd-port 2222' 'listen 0.0.0.0:30022 [::]:443'
setting "no such port" 2 'no such port' 'sshd-port 65536'
setting "outgoing" 0 'ip daddr 10.0.0.9 tcp dport 6514 accept' \
	'outgoing tcp/6514:10.0.0.9'
setting "outgoing over IPv6" 0 'ip6 daddr 2001:db8::1 udp dport 53 accept' \
	'outgoing dns:2001:db8::1'
setting "outgoing to anywhere is not to this host" 0 \
	'oif != "lo" tcp dport 443 accept' 'outgoing https:any'
# The line number: before the metadata addresses are closed.
setting "a cloud's resolver" 0 \
	'^		ip daddr 169.254.169.253 tcp dport 53 accept' \
	'outgoing dns:169.254.169.253'
setting "metadata is none" 2 'expected SERVICE:ADDRESS' \
	'outgoing http:169.254.169.254'
setting "nor a part of it" 2 'expected' 'outgoing tcp/80:169.254.0.0/17'
setting "nor all of it" 2 'expected' 'outgoing dns:169.254.0.0/16'
setting "no service" 2 'expected' 'outgoing telnet:10.0.0.1'
setting "no address" 2 'expected' 'outgoing dns:resolver'
setting "no port" 2 'expected' 'outgoing tcp/65536:10.0.0.1'
setting "nothing of nft's" 2 'expected' \
	'outgoing "tcp/1 accept; #:10.0.0.1"'
{
	cat "$good"
	printf '%s\n' 'security-group SG_Own {' \
		'instance own 127.0.0.1 { local; port 8443 }' \
		'accept tcp 8443 from SG_Bridge' '}' \
		'permit SysAdmins from office to own { allow forward }' \
		'permit SysAdmins from office to web1 port 22-25, 443 as x' \
		'permit alice from home to web1 port 9 as y { expires 2020-01-01 }'
} >"$work/local.conf"
ok "a local instance is reached through lo" 0 \
	'^		ip daddr 127.0.0.1 meta skuid 0 tcp dport \{ 8443 \} accept' \
	sgb nftables -p "$work/local.conf"
ok "ports that no group opens, or that expired, are closed" 0 \
	'ip daddr 10.0.1.11 oif != "lo" meta skuid 0 tcp dport \{ 22 \}' \
	sgb nftables -p "$work/local.conf"

# --- words
ok "a command misspelt" 2 'did you mean "check"' sgb chek
ok "an option that would do nothing" 2 'sessions does not take --undo' \
	sgb sessions --undo
ok "one that changes what is done, where it would not" 2 \
	'reload does not take --dry-run' sgb reload --dry-run -c "$work/none"
ok "of a command of two words" 2 'topology restore does not take --dry-run' \
	sgb topology restore --dry-run
ok "of keys" 2 'key delete does not take --finish' sgb key delete x --finish
ok "one that all take" 0 'usage' sgb reload --json --help
ok "help of a command" 0 'usage: sgbridge explain' sgb explain --help
ok "no settings" 2 'No such file' sgb sessions -c "$work/none"

# --- the manual's examples
awk '/^\.Sh EXAMPLES/ { on = 1 } /^\.Sh SEE/ { on = 0 }
	on && /^\.Bd/ { n++; in_block = 1; next }
	on && /^\.Ed/ { in_block = 0 }
	on && /^\.Dl permit/ { sub(/^\.Dl /, ""); print; next }
	on && in_block { print }' docs/man/sgbridge-policy.5 >"$work/manual.conf"
ok "the manual's examples load" 1 '0 errors' sgb check "$work/manual.conf"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
