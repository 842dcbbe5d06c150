#!/bin/bash
# The commands of sgbridge-otp, with codes made by oathtool:
# tests/pam/otp.sh [BUILD]. Leaves nothing; needs no root.
set -u
BUILD=${1:-build}
T=$(mktemp -d /tmp/sgb-otp.XXXXXX)
M=$(mktemp -d /dev/shm/sgb-otp.XXXXXX)
trap 'rm -rf "$T" "$M"' EXIT
passed=0
failed=0
check()
{
	if [ "$2" = 0 ]; then
		passed=$((passed + 1))
		echo "ok $1"
	else
		failed=$((failed + 1))
		echo "not ok $1"
		cat "$T/out" "$T/err" | sed 's/^/    /'
	fi
}

otp()
{
	"$BUILD/sgbridge-otp" -c "$T/sgbridge.conf" "$@" \
		>"$T/out" 2>"$T/err" </dev/null
}

# expect NAME STATUS PATTERN COMMAND...: exit status and a pattern anywhere
expect()
{
	local name=$1 status=$2 pattern=$3
	shift 3
	otp "$@"
	[ $? = "$status" ] && cat "$T/out" "$T/err" | grep -q -e "$pattern"
	check "$name" $?
}

mkdir -m 700 "$T/otp"
cat >"$T/sgbridge.conf" <<END
policy $T/policy.conf
master-key $T/master.key
otp-directory $T/otp
audit off
END
expect "no master key yet" 78 "master.key" list
expect "master-key" 0 "a new master key" master-key
[ "$(stat -c %a "$T/master.key")" = 400 ] &&
	grep -qxE '[0-9a-f]{64}' "$T/master.key"
check "64 digits, mode 0400" $?
cp "$T/master.key" "$T/copy"
expect "never overwritten" 73 "exists already" master-key
cmp -s "$T/master.key" "$T/copy"
check "and it was not" $?

expect "enrol shows a QR code and the secret" 0 "Secret of alice" enrol alice
secret=$(sed -n 's/^Secret of alice: //p' "$T/out" | tr -d ' ')
[ "$(grep -c '[▀▄█]' "$T/out")" -ge 17 ] && [ "$(wc -L <"$T/out")" -le 132 ]
check "drawn in half blocks" $?
expect "it is not active yet" 0 "pending" status alice
expect "a wrong code does not confirm" 77 "clock" confirm alice 000000
code=$(oathtool --totp -b "$secret")
expect "the right one does" 0 "active" confirm alice "$code"
expect "status as JSON" 0 '"state":"active"' status alice --json
jq -e '.scratch_left == 8 and .failures == 0 and .wait == 0' "$T/out" \
	>/dev/null
check "with its fields" $?
expect "no second token by accident" 73 "replace" enrol alice
expect "a pending replacement" 0 "Secret" enrol alice --replace
expect "leaves the old one in force" 0 '"state":"active"' status alice --json
expect "enrolment for programs" 0 '"active":true' enrol bob --json \
	--no-confirm --hash sha512 --digits 8 --period 60 --issuer "A: b" \
	--scratch 3
jq -e '(.scratch | length) == 3 and .digits == 8 and (.uri ==
	"otpauth://totp/A%20b:bob?secret=" + .secret +
	"&issuer=A%20b&algorithm=SHA512&digits=8&period=60")' "$T/out" \
	>/dev/null
check "with a key URI that says all" $?
jq -r .scratch[] "$T/out" >"$T/codes"
expect "new scratch codes" 0 "-" scratch bob --scratch 4
! grep -qF -f "$T/codes" "$T/out" && [ "$(grep -o '[A-Z2-7]*-' "$T/out" |
	wc -l)" = 8 ]
check "are others" $?

printf '%s\n' GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ | "$BUILD/sgbridge-otp" \
	-c "$T/sgbridge.conf" enrol rfc --hotp --secret-stdin --json \
	--confirm 755224 >"$T/out" 2>"$T/err"
check "a secret from standard input, confirmed" $?
expect "whose first code is spent" 0 '"counter":1' export rfc --secrets
echo "AAAA" | "$BUILD/sgbridge-otp" -c "$T/sgbridge.conf" enrol weak \
	--secret-stdin --no-confirm >"$T/out" 2>"$T/err"
[ $? = 65 ] && [ ! -e "$T/otp/weak.token" ]
check "a short secret is refused" $?
expect "resync to a counter far ahead" 0 "adjusted" resync rfc \
	"$(oathtool --hotp -b -c 100 GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ)" \
	"$(oathtool --hotp -b -c 101 GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ)"
expect "is kept" 0 '"counter":102' export rfc --secrets
expect "resync with nonsense" 77 "consecutive" resync rfc 000000 000000
at=$(($(date +%s) + 1200))
expect "resync to a clock ahead" 0 "drift 4" resync alice \
	"$(oathtool --totp -b -N "@$at" "$secret")" \
	"$(oathtool --totp -b -N "@$((at + 30))" "$secret")"

# Other programs' files.
hex=3132333435363738393031323334353637383930
cat >"$T/users.oath" <<END
# comment
HOTP carol - $hex 7 123456 2026-01-01T00:00:00L
HOTP/T30 dave - $hex
HOTP/T60/8	erin	+	$hex
HOTP frank 1234 $hex
HOTP bad/name - $hex
HOTP gina - 31
MOTP hugo - $hex
HOTP alice - $hex
END
chmod 644 "$T/users.oath"
expect "import of a file that others may read" 66 "chmod" import \
	"$T/users.oath" --format oath
chmod 600 "$T/users.oath"
expect "import says what it did" 65 "3 imported, 1 had a token, 4 failed" \
	import "$T/users.oath" --format oath
[ "$(grep -c 'users.oath:[5678]:' "$T/err")" = 4 ]
check "and where it could not" $?
expect "again: nothing is overwritten" 65 "0 imported, 4 had" import \
	"$T/users.oath" --format oath
expect "the counter goes on after the last used" 0 '"counter":8' export carol \
	--secrets
expect "eight digits, a minute" 0 '"digits":8,"period":60' export erin --secrets
printf '%s\n" RATE_LIMIT 3 30\n" TOTP_AUTH\n12345678\n' \
	GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ >"$T/google"
chmod 600 "$T/google"
expect "google-authenticator's file needs a name" 64 "user" import "$T/google" \
	--format google
expect "google-authenticator's file" 0 "1 imported" import "$T/google" \
	--format google --user ivan
expect "export keeps secrets unless asked" 64 "secrets" export
otp export --secrets
[ "$(wc -l <"$T/out")" = 7 ] && jq -e . "$T/out" >/dev/null
check "export of all is JSON lines" $?
[ "$("$BUILD/sgbridge-otp" -c "$T/sgbridge.conf" list | wc -l)" = 7 ]
check "list has each person once" $?

for i in 1 2 3; do
	expect "rotate-key, and no end of it: $i" 0 "records sealed" rotate-key
done
expect "there is no room for a fifth key" 78 "end the last rotation" rotate-key
expect "and all still opens" 0 "ivan.*active" list
expect "prune all of them" 0 "the others are gone" rotate-key --prune
flock -o "$T/otp" sleep 5 &
locked=$!
until ! flock -n "$T/otp" true; do kill -0 "$locked" || break; done
expect "one rotation at a time" 75 "another rotation" rotate-key
kill "$locked"
wait "$locked" 2>/dev/null
cp "$T/master.key" "$T/copy"
expect "rotate-key" 0 "records sealed" rotate-key
[ "$(grep -c . "$T/master.key")" = 2 ]
check "keeps the old key" $?
cp "$T/otp/alice.token" "$T/stolen"
expect "prune" 0 "the others are gone" rotate-key --prune
[ "$(grep -c . "$T/master.key")" = 1 ] && ! grep -qf "$T/copy" "$T/master.key"
check "leaves the new one alone" $?
expect "every record opens" 0 "ivan.*active" list

# The master key from a command, into memory.
cp "$T/master.key" "$T/kms"
cat >"$T/fetch" <<'END'
#!/bin/sh
[ "$(env | grep -cv '^PWD=\|^_=\|^SHLVL=\|^PATH=')" = 0 ] || exit 3
[ "$1" = 'a;b &c' ] || exit 4
cat "$2"
END
chmod 755 "$T/fetch"
expect "unseal never writes to a disk" 78 "not in memory" unseal -- \
	"$T/fetch" 'a;b &c' "$T/kms"
sed -i "s,^master-key.*,master-key $M/master.key," "$T/sgbridge.conf"
expect "no key in memory yet" 78 "master.key" list
expect "unseal wants a whole path" 64 "whole path" unseal -- fetch
SECRET=1 expect "unseal: no shell, no environment" 0 "in memory" unseal -- \
	"$T/fetch" 'a;b &c' "$T/kms"
[ "$(stat -c '%a %u' "$M/master.key")" = "400 $(id -u)" ] &&
	cmp -s "$M/master.key" "$T/kms"
check "the file is root's alone" $?
expect "and opens the records" 0 "ivan.*active" list
expect "a command that fails" 69 "failed" unseal -- /bin/false
expect "a command that is not there" 69 "cannot be run" unseal -- /nonexistent
expect "a command that prints something else" 65 "64 hexadecimal" unseal -- \
	/bin/echo key
expect "a command that prints for ever" 69 "more than 4096" unseal -- \
	/bin/cat /dev/zero
cmp -s "$M/master.key" "$T/kms" && [ "$(find "$M" -type f | wc -l)" = 1 ]
check "none of them replaces the key" $?
expect "no key is made where it would be lost" 78 "memory only" rotate-key
{
	od -An -tx1 -N32 /dev/urandom | tr -d ' \n'
	echo
	cat "$T/kms"
} >"$T/kms.new"
expect "a new key from the command" 0 "in memory" unseal -- "$T/fetch" 'a;b &c' \
	"$T/kms.new"
expect "rotate-key --reseal" 0 "sealed under the first" rotate-key --reseal
head -1 "$T/kms.new" >"$T/kms"
expect "the old one is dropped there" 0 "in memory" unseal -- "$T/fetch" 'a;b &c' \
	"$T/kms"
expect "and every record opens" 0 "ivan.*active" list

# A credential of systemd: unsealed by a command, or as a service finds it.
if [ "$(id -u)" = 0 ] && command -v systemd-creds >/dev/null; then
	# shellcheck disable=SC2016
	unshare -m bash -c 'set -e
		mount -t tmpfs none /var/lib/systemd
		systemd-creds encrypt --with-key=host --name=sgbridge \
			"$1/kms" "$1/cred"
		rm "$2/master.key"
		"$3" -c "$1/sgbridge.conf" unseal -- "$(
			command -v systemd-creds)" decrypt --name=sgbridge \
			"$1/cred" -' _ "$T" "$M" "$BUILD/sgbridge-otp" \
		>"$T/creds" 2>&1
	cmp -s "$M/master.key" "$T/kms"
	check "a credential that systemd-creds decrypts" $? "$(cat "$T/creds")"
	mkdir -m 500 "$M/ssh.service"
	install -m 400 "$T/kms" "$M/ssh.service/sgbridge"
	sed -i "s,^master-key.*,master-key $M/ssh.service/sgbridge," \
		"$T/sgbridge.conf"
	expect "a credential in the folder of a service" 0 "ivan.*active" list
	sed -i "s,^master-key.*,master-key $M/master.key," "$T/sgbridge.conf"
	rm -r "$M/ssh.service"
fi

cp "$T/otp/alice.token" "$T/otp/bob.token"
expect "a token moved to another person does not" 65 "bob.token" status bob
expect "and can be removed all the same" 0 "removed" reset bob
printf x | dd of="$T/otp/carol.token" bs=1 seek=40 conv=notrunc 2>/dev/null
expect "an altered token does not open" 65 "carol.token" status carol
expect "others are not affected" 0 "active" status dave
rm "$T"/otp/dave.*.state
expect "a token without its state does not count" 65 "dave" status dave
expect "reset" 0 "removed" reset alice
expect "leaves no state" 67 "no token" status alice
[ "$(find "$T/otp" -name 'alice.*' | wc -l)" = 1 ]
check "only the lock stays" $?
expect "a name that is a path" 65 "valid" enrol ../x
expect "unknown command" 64 "no such command" frobnicate
expect "unknown option" 64 "usage" list --frobnicate
expect "too many words" 64 "usage" list a b
chmod 755 "$T/otp"
expect "a store that others may enter" 78 "chmod" list
chmod 700 "$T/otp"
ln -s "$T/google" "$T/otp/link.token"
touch "$T/otp/link.lock"
chmod 600 "$T/otp/link.lock"
expect "a link is not followed" 65 "link.token" status link
! grep -rqa "$hex\|12345678901234567890" "$T/otp"
check "no secret in plain form on disk" $?
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
