#!/bin/bash
# pam.sh [BUILD]: CPU time of one successful authentication, side by side with
# pam_google_authenticator and pam_oath over the same driver, with few and
# with many people enrolled, and with a large policy. Nothing is asserted.
set -u
SELF=$(readlink -f "$0")
BUILD=${1:-build}
# shellcheck source-path=SCRIPTDIR source=../pam/common.sh
. "$(dirname "$SELF")/../pam/common.sh"
enter_namespaces "$@"
make_room
make_dev
make_accounts alice
many=${SGB_BENCH_PEOPLE:-10000}
rounds=${SGB_BENCH_ROUNDS:-300}
secret=$(od -An -tx1 -N20 /dev/urandom | tr -d ' \n')
base32=$(oathtool -v --hotp "$secret" | sed -n 's/^Base32 secret: //p')
ssh-keygen -q -t ed25519 -N '' -f "$T/key"
key=$(cut -d' ' -f1,2 "$T/key.pub")
"${CC:-cc}" -O2 -o "$T/driver" "$(dirname "$SELF")/pam_driver.c" -lpam -loath ||
	exit 1

make_bastion off <<'END'
network office 192.0.2.0/24
permit alice from office to self via sgb { mfa always }
END
echo "auth required pam_permit.so" >"$T/pam.d/permit"
echo "HOTP alice - $secret" >"$T/users.oath"
chmod 600 "$T/users.oath"
otp import "$T/users.oath" --format oath >/dev/null
printf '%s\n" HOTP_COUNTER 1\n' "$base32" >"$T/alice.google"
chmod 400 "$T/alice.google"
module_line auth >"$T/pam.d/sgb"
echo "auth required pam_oath.so usersfile=$T/users.oath window=10" \
	>"$T/pam.d/oath"
echo "auth required pam_google_authenticator.so no_increment_hotp" \
	"secret=$T/alice.google user=root" >"$T/pam.d/google"

# measure SERVICE: microseconds; each service's counter goes on in a file
echo 0 >"$T/at.sgb"
echo 0 >"$T/at.oath"
echo 1 >"$T/at.google"
echo 0 >"$T/at.permit"
measure()
{
	local at result
	at=$(cat "$T/at.$1")
	result=$("$T/driver" "$1" "$T/pam.d" alice "$base32" "$rounds" \
		"$at" "$key") || result=0
	echo $((at + rounds + 1)) >"$T/at.$1"
	echo "$result"
}

row()
{
	local ours=$2 theirs=$3
	printf '%-44s %8s us' "$1" "$ours"
	[ -z "$theirs" ] || [ "$theirs" = 0 ] || [ "$ours" = 0 ] ||
		printf '   %.2f of theirs (%s us)' \
			"$(echo "$ours $theirs" | awk '{print $1 / $2}')" \
			"$theirs"
	echo
}

ours=$(measure sgb)
google=$(measure google)
oath=$(measure oath)
echo "CPU time of one authentication, $rounds each"
row "libpam itself, with pam_permit" "$(measure permit)" ""
row "one person, against pam_google_authenticator" "$ours" "$google"
row "one person, against pam_oath" "$ours" "$oath"
for i in $(seq "$many"); do
	echo "HOTP u$i - 00112233445566778899aabbccddeeff00112233"
done >"$T/more.oath"
chmod 600 "$T/more.oath"
otp import "$T/more.oath" --format oath >/dev/null
cat "$T/more.oath" >>"$T/users.oath"
many_ours=$(measure sgb)
rounds=20
row "$many people, against pam_oath" "$many_ours" "$(measure oath)"
row "$many people, against ourselves with one" "$many_ours" "$ours"
rounds=50
for i in $(seq "${SGB_BENCH_RULES:-10000}"); do
	echo "permit u$i from 10.0.$((i / 250 % 250)).$((i % 250)) to self via sgb"
done >>"$T/policy.conf"
row "${SGB_BENCH_RULES:-10000} rules, never checked, against one" "$(measure sgb)" "$ours"
"$BUILD/sgbridge" check --mark -c "$T/sgbridge.conf" >/dev/null
row "${SGB_BENCH_RULES:-10000} rules, found good before, against one" "$(measure sgb)" "$ours"
