#!/bin/bash
# Host keys of instances: which source vouches for which key, against real
# sshds with keys and certificates, and that nobody is connected otherwise.
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=${1:-build}
# shellcheck source=tests/e2e/lab.sh
. "$here/lab.sh"
eval "lab_usual_$(declare -f lab_policy)"
eval "$(declare -f lab_instance | sed '1s/lab_instance/lab_one_instance/')"
eval "$(declare -f lab_keys | sed '1s/lab_keys/lab_all_keys/')"
# No pins: known-hosts is what there is. Nobody is at web2's address.
lab_policy() {
	lab_usual_lab_policy
	sed -i -e 's/host-key SHA256:[A-Za-z0-9+\/]*;//' \
		-e "/instance web1/a\\
		instance web2 10.0.1.77 { login ops }" "$LAB/policy.conf"
}
# db1 shows whatever certificate lies there when it is told to; web1 has keys
# of each kind.
lab_instance() {
	local kind
	lab_one_instance "$@"
	if [ "$1" = web1 ]; then
		wait_for grep -q 'listening on' "$LAB/web1/sshd.log"
		for kind in ecdsa rsa; do
			ssh-keygen -q -t "$kind" -N '' -f "$LAB/web1/$kind"
			echo "HostKey $LAB/web1/$kind"
		done >>"$LAB/web1/sshd_config"
		kill -HUP "$LAB_LAST"
		wait_for eval '[ "$(grep -c "listening on" \
			"$LAB/web1/sshd.log")" -gt 1 ]'
	fi
	if [ "$1" = db1 ]; then
		DB_PID=$LAB_LAST
		wait_for grep -q 'listening on' "$LAB/db1/sshd.log"
		echo "HostCertificate $LAB/db1/hostkey-cert.pub" \
			>>"$LAB/db1/sshd_config"
	fi
}
lab_keys() {
	lab_all_keys
	local name
	for name in host_ca other_ca; do
		ssh-keygen -q -t ed25519 -N '' -C "$name" -f "$LAB/$name"
	done
	mkdir -m 0700 "$LAB/certs"
	: >"$LAB/known"
}
export LAB_CONF_EXTRA='known-hosts LABDIR/known
host-certificates LABDIR/certs'
eval "$(declare -f lab_conf | sed '1s/lab_conf/lab_usual_conf/')"
lab_conf() {
	LAB_CONF_EXTRA=${LAB_CONF_EXTRA//LABDIR/$LAB}
	lab_usual_conf
}
lab_up || exit 1
robot() {
	lab_ssh robot 203.0.113.7 "$@" </dev/null
}
events() {
	cat "$LAB"/events/*.jsonl
}
key() {
	cut -d' ' -f1,2 "$1"
}
web=$(key "$LAB/web1/hostkey.pub")
db=$(key "$LAB/db1/hostkey.pub")
ca=$(key "$LAB/host_ca.pub")
known() {
	printf '%s\n' "$@" >"$LAB/known"
}
# gets_in TARGET: and the reason is in the trail.
gets_in() {
	[ "$(robot "robot+ops@$1@bastion" 'echo in' 2>"$LAB/err")" = in ] || {
		sed 's/^/# /' "$LAB/err"
		events | tail -n 2 | sed 's/^/# /'
		return 1
	}
}
vouched() {
	events | grep '"cert-signed"' | tail -n 1 | grep -qF "$1"
}
# refused TARGET TEXT REASON: the user reads TEXT, the trail has REASON.
refused() {
	local before
	before=$(events | wc -l)
	robot "robot+ops@$1@bastion" 'echo in' >"$LAB/out" 2>"$LAB/err" &&
		return 1
	grep -q "$2" "$LAB/err" || {
		sed 's/^/# /' "$LAB/err"
		return 1
	}
	events | tail -n "+$((before + 1))" >"$LAB/new"
	grep -q "$3" "$LAB/new" || {
		cut -c1-900 "$LAB/new" | sed 's/^/# /'
		return 1
	}
}
# No pin, no line: not even a connection.
ok "nothing vouches: refused" refused web1 denied \
	'no host key is known for this instance'
known "# nobody" "web1,other $web"
ok "a line of known_hosts" gets_in web1
ok "and the event says which" vouched "$LAB/known:2"
for kind in ecdsa rsa; do
	known "web1 $(key "$LAB/web1/$kind.pub")"
	ok "one of $kind, whose signature counts as well" gets_in web1
done
known "web1 $web"
ssh-keygen -q -H -f "$LAB/known" >/dev/null 2>&1
rm -f "$LAB/known.old"
ok "hashed" gets_in web1
ok "really" [ "$(grep -c web1 "$LAB/known")" -eq 0 ]
known "w*,!web1 $web"
ok "a negated name: refused" refused web1 denied 'no host key is known'
known "w*,!web2 $web"
ok "another's negated name is nothing: in" gets_in web1
known "10.0.1.11,[10.0.1.11]:22 $web"
ok "a key belongs to the node, not to its address: refused" \
	refused web1 denied 'no host key is known'
# Addresses are given to others: web1 is now where db1 was.
swap() {
	sed -i -e 's/10\.0\.1\.11/SWAP/' -e 's/10\.0\.2\.21/10.0.1.11/' \
		-e 's/SWAP/10.0.2.21/' "$LAB/policy.conf"
	"$BUILD/sgbridge" reload -c "$LAB/sgbridge.conf" >/dev/null
}
swap
known "web1 $web" "10.0.2.21 $db"
ok "another node at its address: refused" \
	refused web1 'is not the one that is known' "$LAB/known:1"
ok "and what to do is in the event" eval \
	'grep -q "on its console" "$LAB/new"'
swap
known "web1 $web" "@revoked * $web"
ok "revoked: refused" refused web1 'is revoked' "$LAB/known:2"
known "web1 $web" "@revoke * $db"
ok "a line with a slip: nobody is let in by the file" \
	refused web1 denied 'no host key is known'
reload_fails() {
	! "$BUILD/sgbridge" reload -c "$LAB/sgbridge.conf" >"$LAB/out" 2>&1 &&
		grep -q "known:2: expected @cert-authority" "$LAB/bastion.log"
}
ok "and a reload names the place" reload_fails
# ---- certificates
restart_db() {
	local count
	count=$(grep -c 'listening on' "$LAB/db1/sshd.log")
	kill -HUP "$DB_PID"
	wait_for eval \
		"[ \"\$(grep -c 'listening on' '$LAB/db1/sshd.log')\" -gt $count ]"
}
certify() {
	ssh-keygen -q -s "$LAB/$1" -I "$1 db1" "${@:2}" "$LAB/db1/hostkey.pub"
	restart_db
}
known "@cert-authority *,!web* $ca"
ok "no certificate: refused" refused db1 'is not known' 'has no certificate'
certify host_ca -h -n db1,db1.example.org -V +1h
ok "a host certificate" gets_in db1
ok "and the event says whose" vouched 'certificate \"host_ca db1\" of CA'
visits() {
	grep -c 'Connection from 10.0.2.1 ' "$LAB/db1/sshd.log"
}
before=$(visits)
ok "again" gets_in db1
ok "and it was not fetched again" [ "$(visits)" -eq $((before + 1)) ]
ok "a CA is nothing to names that it is not for" refused web1 denied \
	'no host key is known'
known "@cert-authority * $ca" "@revoked * $ca"
ok "the CA revoked: refused" refused db1 'is revoked\|is not' 'revoked'
known "@cert-authority * $(key "$LAB/other_ca.pub")"
ok "another CA: refused" refused db1 'is not certified' 'is not one of db1'
known "@cert-authority * $ca"
rm -f "$LAB/certs/db1"
for case in "web1|-h -n web1 -V +1h|it is not for db1" \
	"expired|-h -n db1 -V -2h:-1h|has expired" \
	"no principal|-h -V +1h|names no principal" \
	"critical option|-h -n db1 -V +1h -O critical:x=1|critical option x"; do
	IFS='|' read -r name words reason <<<"$case"
	# shellcheck disable=SC2086
	certify host_ca $words
	ok "certificate: $name: refused" refused db1 'is not certified' "$reason"
done
ok "none of these was kept" [ -z "$(ls "$LAB/certs")" ]
# ---- the tools
known "web1 $web" "@cert-authority db* $ca" "@revoked web1 $db"
sgb() {
	"$BUILD/sgbridge" "$@" -c "$LAB/sgbridge.conf"
}
lists() {
	sgb host-keys >"$LAB/out"
	[ $? -eq 1 ] &&
		grep -q "^web1  *22  *$LAB/known:1 key SHA256:" "$LAB/out" &&
		grep -q "^web1  *22  *$LAB/known:3 revoked SHA256:" "$LAB/out" &&
		grep -q "^db1  *22  *$LAB/known:2 CA SHA256:" "$LAB/out" &&
		grep -q "^web2  *22  *none: " "$LAB/out"
}
ok "host-keys lists who vouches, and exits 1 where nobody does" lists
ok "one instance, as JSON" eval \
	'sgb host-keys web1 --json | jq -e "length == 2" >/dev/null'
ok "an unknown instance: 2" eval \
	'sgb host-keys nosuch 2>/dev/null; [ $? -eq 2 ]'
warned() {
	sgb check >"$LAB/out" 2>&1
	grep -A1 'no host key is pinned' "$LAB/out" | grep -o 'instance [a-z0-9]*' |
		sort | tr '\n' ' '
}
ok "check warns of those that nothing names" \
	[ "$(warned)" = "instance jump1 instance web2 " ]
lab_summary
