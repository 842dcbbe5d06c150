#!/bin/bash
# What logs on to instances beside certificates: stored keys, which sshds of
# the distribution know from authorized_keys.
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=${1:-build}
# shellcheck source=tests/e2e/lab.sh
. "$here/lab.sh"
LAB_SSHD_KEYS=trusted
eval "$(declare -f lab_conf | sed '1s/lab_conf/lab_usual_conf/')"
lab_conf() {
	LAB_CONF_EXTRA="target-keys $LAB/keys
target-auth-timeout 5s"
	lab_usual_conf
	: >"$LAB/trusted"
	chmod 0644 "$LAB/trusted"
}
LAB_DB_PIN=
eval "$(declare -f lab_policy | sed '1s/lab_policy/lab_first_policy/')"
lab_policy() {
	LAB_DB_PIN=$(lab_fingerprint "$LAB/db1/hostkey.pub")
	lab_first_policy
	[ -z "${CREDENTIAL:-}" ] ||
		sed -i "/security-group SG_Current/a\\
		credential $CREDENTIAL" "$LAB/policy.conf"
}
lab_up || exit 1
sgb() {
	"$BUILD/sgbridge" "$@" -c "$LAB/sgbridge.conf"
}
# credential WORDS: what web1's group says from now on.
credential() {
	CREDENTIAL=$1
	lab_policy
	sgb reload >/dev/null
}
robot() {
	lab_ssh robot 203.0.113.7 "$@" </dev/null
}
events() {
	cat "$LAB"/events/*.jsonl
}
gets_in() {
	[ "$(robot robot+ops@web1@bastion 'echo in' 2>"$LAB/err")" = in ] || {
		sed 's/^/# /' "$LAB/err"
		events | tail -n 3 | sed 's/^/# /'
		return 1
	}
}
refused() {
	local before
	before=$(events | wc -l)
	robot robot+ops@web1@bastion 'echo in' >"$LAB/out" 2>"$LAB/err" &&
		return 1
	events | tail -n "+$((before + 1))" >"$LAB/new"
	grep -q "$1" "$LAB/new" || {
		cut -c1-900 "$LAB/new" | sed 's/^/# /'
		return 1
	}
}
used() {
	events | grep '"credential-used"' | tail -n 1 | grep -q "$1"
}
accepted() {
	wait_for grep -q "Accepted publickey for ops .* $1" "$LAB/web1/sshd.log"
}
fingerprint_of() {
	ssh-keygen -lf "$LAB/$1" | cut -d' ' -f2
}
fails() {
	! sgb "$@" >"$LAB/out" 2>&1
}
# ---- making and keeping
sgb key generate web --for SG_Current >"$LAB/web.pub" 2>/dev/null
ok "a key is made, and its public half printed" \
	grep -q '^ssh-ed25519 AAAA.* sgbridge:web$' "$LAB/web.pub"
ok "public prints it again" \
	[ "$(sgb key public web)" = "$(cat "$LAB/web.pub")" ]
ok "at rest it is a sealed record of root's" eval \
	'[ "$(head -c 4 "$LAB/keys/web.key")" = SGBS ] &&
	 [ "$(stat -c %a "$LAB/keys/web.key")" = 400 ]'
told() {
	events | grep '"event":"config"' | grep "stored key $1" | grep -q "$2"
}
ok "the trail tells who made it, what it is and what for" told "web: made" \
	"$(fingerprint_of web.pub); for SG_Current"
completes() {
	PATH=$BUILD:$PATH bash -c '. "$1/../../conf/completion/sgbridge.bash"
		COMP_WORDS=(sgbridge -c "$2" key public w) COMP_CWORD=5
		_sgbridge; echo "${COMPREPLY[@]}"' - "$here" "$LAB/sgbridge.conf"
}
ok "and its name can be completed" [ "$(completes)" = web ]
ok "never without a purpose" fails key generate other
ok "nor for what the policy does not have" eval \
	'fails key generate other --for SG_Curent && grep -q SG_Current "$LAB/out"'
ok "nor over another" fails key generate web --for web1
# ---- logging on
credential 'key web'
ok "the instance does not know it yet: refused" refused 'target-fail'
cat "$LAB/web.pub" >"$LAB/trusted"
ok "a stored key logs on" gets_in
ok "and the event names it" used \
	"stored key web, $(fingerprint_of web.pub); host key SHA256"
ok "the instance saw that key" accepted "$(fingerprint_of web.pub)"
robot robot+ops@db1@bastion true 2>/dev/null
ok "other groups have certificates as before" eval \
	'events | grep "\"cert-signed\"" | tail -n 1 | grep -q db1'
cp "$LAB/keys/web.key" "$LAB/keys/copy.key"
credential 'key copy'
ok "a record under another name does not open" refused 'copied from another'
ok "list says so, too" eval 'fails key list && grep -q "copied from" "$LAB/out"'
rm "$LAB/keys/copy.key"
credential 'key nosuch'
ok "a key that is not there: refused" refused 'there is no stored key'
sgb key generate dbs --for SG_Database >>"$LAB/trusted" 2>/dev/null
credential 'key dbs'
ok "a key for another group is refused here" refused 'is not for web1; it is for SG_Database'
ok "and list sees that the policy is wrong" eval \
	'sgb key list >"$LAB/out"; [ $? -eq 1 ] &&
	 grep "^dbs" "$LAB/out" | grep -q "web1 names it, and it is not for it"'
# ---- rotation
credential 'key web'
sgb key rotate web >"$LAB/new.pub" 2>/dev/null
ok "while it is replaced: the old one still logs on" gets_in
ok "and the event says so" used "$(fingerprint_of web.pub) (the one that is"
ok "only one at a time" fails key rotate web
cat "$LAB/new.pub" >>"$LAB/trusted"
ok "the new one as soon as the instance knows it" gets_in
ok "by the event" used "$(fingerprint_of new.pub); host key"
sgb key rotate web --finish >/dev/null
cp "$LAB/web.pub" "$LAB/trusted"
ok "finished: the old one is no longer used" refused 'target-fail'
cp "$LAB/new.pub" "$LAB/trusted"
ok "and the new one is" gets_in
# ---- other people's keys
imported() {
	sgb key import "$1" --for web1 "$LAB/$1" >"$LAB/$1.line" 2>"$LAB/err" ||
		return 1
	[ "$(fingerprint_of "$1.pub")" = "$(fingerprint_of "$1.line")" ] ||
		return 1
	cp "$LAB/$1.line" "$LAB/trusted"
	credential "key $1"
	gets_in && used "stored key $1, $(fingerprint_of "$1.pub")"
}
make_key() {
	ssh-keygen -q -N '' -f "$LAB/$1" "${@:2}"
}
make_key ed -t ed25519
make_key p256 -t ecdsa -b 256
make_key p384 -t ecdsa -b 384
make_key p521 -t ecdsa -b 521
make_key rsa -t rsa -b 2048
make_key pem -t rsa -b 3072 -m PEM
make_key pkcs8 -t ecdsa -m PKCS8
for name in ed p256 p384 p521 rsa pem pkcs8; do
	ok "imported and used: $name" imported $name
done
ssh-keygen -q -t ed25519 -N secret -f "$LAB/locked"
ok "a passphrase is said to be one" eval \
	'fails key import locked --for web1 "$LAB/locked" &&
	 grep -q "has a passphrase" "$LAB/out"'
make_key weak -t rsa -b 1024
ok "a short RSA key is refused" fails key import weak --for web1 "$LAB/weak"
chmod 0644 "$LAB/ed"
ok "a file that others may read is refused" \
	fails key import ed2 --for web1 "$LAB/ed"
# ---- keeping an eye on them
touch -d '100 days ago' "$LAB"/keys/p256.*.used
sgb key list --json >"$LAB/list"
ok "list: for what, and when it was used" eval \
	'jq -e "map(select(.key == \"pkcs8\")) | .[0] |
	 .for == \"web1\" and (.used | test(\"^20\"))" "$LAB/list" >/dev/null'
ok "unused ones are reported" eval \
	'jq -r ".[] | select(.key == \"p256\").note" "$LAB/list" |
	 grep -q "does not name it; not used for 90 days"'
ok "and never used ones" eval \
	'jq -e "map(select(.key == \"dbs\")) | .[0].used == \"never\"" \
	 "$LAB/list" >/dev/null'
ok "show is one of them" eval 'sgb key show p384 | grep -q "^ecdsa-sha2-nistp384 "'
ok "none is deleted that the policy names" fails key delete pkcs8
ok "others are, and the trail says so" eval 'sgb key delete p256 >/dev/null && ! ls "$LAB"/keys/p256.* 2>/dev/null && told "p256: deleted" .'
ok "explain names the credential" eval \
	'sgb explain robot from 203.0.113.7 to ops@web1 | grep -q "stored key pkcs8"'
# A stored key outlives its master key: nobody drops that too early.
sgb key generate lasting --for SG_Current >"$LAB/lasting.pub" 2>/dev/null
otp() {
	"$BUILD/sgbridge-otp" -c "$LAB/sgbridge.conf" "$@" >"$LAB/out" 2>&1
}
ok "a next master key" otp rotate-key
ok "sgbridge-otp does not drop what a stored key needs" eval \
	'! otp rotate-key --prune && grep -q "rotate master" "$LAB/out" &&
	[ "$(wc -l <"$LAB/master.key")" = 2 ]'
ok "sgbridge rotate seals it anew" sgb rotate master --finish
ok "and drops the old one" eval '[ "$(wc -l <"$LAB/master.key")" = 1 ]'
ok "the key opens" eval 'sgb key public lasting | cut -d" " -f2 |
	grep -qf - "$LAB/lasting.pub"'
lab_summary
