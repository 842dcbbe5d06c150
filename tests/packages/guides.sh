#!/bin/bash
# The command blocks of docs/ADMIN.md, docs/RECOVERY.md, docs/MIGRATION.md and
# docs/HARDENING.md that want a whole host: run as they stand there (but for
# places), under a systemd, on a bastion that is made by hand by the guide. Keys
# are lost, the policy is broken, the recorder dies; and a robot, who needs no
# code, gets in again each time. The other blocks have tests of their own:
# newcomer.sh, and those in tests/check.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/packages/host.sh
. tests/packages/host.sh
host_begin "$@"
# shellcheck source=tests/packages/boot.sh
. tests/packages/boot.sh
# shellcheck source=tests/block.sh
. tests/block.sh
trap boot_down EXIT
desk=$R/root/desk
mkdir -p "$desk" "$R/opt/guide"

# run FILE NAME [PLACES]: a block, by root. Status 1 of what judges and compares
# is an answer, and 2 of doctor, which finds that nobody guards sshd here.
run() {
	local text
	text=$(block "$1" "$2" | sed -E "s/ +# .*//;${3:-}" | sed -E \
		's/^sgbridge doctor.*/& || [ $? -le 2 ]/
		s/^sgbridge (check|(who|what)-can|diff|replay)[^|]*$/& || [ $? -le 1 ]/
		s/^sgbridge topology (import|check|apply --dry).*/& || [ $? -le 1 ]/')
	[ -n "$text" ] || return 1
	in_host bash -c "cd /root/desk && PATH=/opt/guide:\$PATH
		set -eo pipefail
		$text" >"$W/said" 2>&1 && return
	sed 's/^/# /' "$W/said"
	return 1
}
admin() { run docs/ADMIN.md "$@"; }
recovery() { run docs/RECOVERY.md "$@"; }
migration() { run docs/MIGRATION.md "$@"; }
hardening() { run docs/HARDENING.md "$@"; }
said() {
	grep -qE -- "$1" "$W/said" && return
	sed 's/^/# /' "$W/said"
	return 1
}

# What "edit the policy" means here.
policy() {
	cat <<-END
		network office    203.0.113.0/24
		group   SysAdmins alice, bob
		user    robot
		security-group SG_Bridge { instance jump1 10.0.1.1 }
		security-group SG_Web {
		 	instance web1 10.0.1.11 { host-key $(instance_pin); login ops }
		 	accept tcp 22 from SG_Bridge
		}
		permit SysAdmins from office to SG_Web as ops { allow shell, exec }
		permit robot from 198.51.100.7 to SG_Web as ops { mfa never; allow shell, exec }
	END
}
policy >"$R/root/policy.conf"
printf '#!/bin/sh\ncat /root/policy.conf >"$1"\n' >"$R/opt/guide/editor"
chmod 0755 "$R/opt/guide/editor"

# robot COMMAND...: over the bastion, by key alone.
robot() {
	printf '[203.0.113.1]:30022 %s\n' "$(cut -d' ' -f1,2 \
		"$R/etc/sgbridge/ssh_host_ed25519_key.pub")" >"$W/known.robot"
	timeout 60 ssh -F "$W/ssh_config" -o BindAddress=198.51.100.7 \
		-o UserKnownHostsFile="$W/known.robot" -p 30022 -i "$W/robot" \
		-o BatchMode=yes "robot+${LOGIN:-ops}@web1@203.0.113.1" "$@"
}
gets_in() {
	[ "$(robot id -un </dev/null 2>"$W/err")" = ops ] || {
		sed 's/^/# /' "$W/err"
		return 1
	}
}
refused() { ! robot true </dev/null 2>"$W/err"; }
units=(sgbridge-recorder.service sgbridge-starter.service sgbridged.service)

start_instance
if ! boot_prepare || ! boot; then
	sed 's/^/# /' "$W/boot"
	echo "no systemd can be process 1 here"
	exit 77
fi

# --- a bastion by hand
ok "install" admin install '1s,^,cd /debs \&\& ,'
ok "settings and a policy" admin settings
ok "keys" admin keys
cp "$W/recipient" "$R/etc/sgbridge/recipients"
cp "$W/alice.pub" "$desk/"
ok "people, and the start" admin start
ok "it runs" wait_for active "${units[@]}"
unguarded() {
	in_host sgbridge doctor --json >"$W/doctor"
	[ "$(jq -r '.findings[] | select(.severity == "error").code' \
		"$W/doctor" | grep -cv '^sshd-')" = 0 ]
}
ok "doctor's errors are about sshd, which nobody guards" unguarded
ssh-keygen -q -t ed25519 -N '' -f "$W/robot"
cp "$W/robot.pub" "$R/etc/sgbridge/authorized_keys/robot"
ok "somebody gets in" gets_in
ok "when in doubt" eval 'admin ask && said "Started sgbridged|ready"'
ok "each night" hardening nightly

# --- people with accounts of the jump server
pam=$R/etc/pam.d/sgbridge
cp "$pam" "$W/pam"
sed -i '/^account/d' "$pam"
block docs/ADMIN.md accounts >>"$pam"
ok "accounts: who has none is refused" refused
in_root useradd -s /bin/bash robot
ok "accounts: who has one gets in" gets_in
in_root usermod -e 1 robot
ok "accounts: who is gone is refused" refused
cp "$W/pam" "$pam"
ok "accounts: not asked for, nobody needs one" gets_in

# --- a second wall
block docs/ADMIN.md outgoing >>"$R/etc/sgbridge/sgbridge.conf"
wall() { in_host nft list table inet sgbridge >/dev/null 2>&1; }
ok "wall: tried, loaded and confirmed" eval 'admin apply && wall'
in_host nft delete table inet sgbridge
ok "wall: its unit loads it again" eval \
	'in_host systemctl start sgbridge-nftables && wall'
ok "wall: taken away" eval 'recovery firewall && ! wall &&
	! in_host systemctl -q is-enabled sgbridge-nftables'
mkdir "$R/etc/systemd/system/sgbridged.service.d"
block docs/ADMIN.md drop-in | sed 's,203.0.113.0/24,& 198.51.100.7,' \
	>"$R/etc/systemd/system/sgbridged.service.d/override.conf"
ok "wall: networks of the unit" eval 'in_host systemctl daemon-reload &&
	in_host systemctl restart sgbridged && wait_for active "${units[@]}" &&
	told sgbridged IPAddressAllow | grep -q 203.0.113.0/24 && gets_in'

# --- events to another host
certificates() {
	local name dir=$R/etc/sgbridge
	openssl req -x509 -newkey ed25519 -nodes -days 2 -subj /CN=ca \
		-keyout "$W/ca.key" -out "$dir/log-ca.pem" 2>/dev/null
	for name in logs log; do
		openssl req -newkey ed25519 -nodes -subj "/CN=$name" \
			-addext "subjectAltName=DNS:$name.example.org" \
			-keyout "$W/$name.key" 2>/dev/null |
			openssl x509 -req -copy_extensions copy -days 2 \
				-CA "$dir/log-ca.pem" -CAkey "$W/ca.key" \
				-CAcreateserial -out "$W/$name.pem" 2>/dev/null
	done
	cp "$W/log.key" "$W/log.pem" "$dir/"
}
certificates
mkfifo "$W/never"
openssl s_server -accept 203.0.113.9:6514 -quiet -cert "$W/logs.pem" \
	-key "$W/logs.key" -CAfile "$R/etc/sgbridge/log-ca.pem" -Verify 1 \
	<>"$W/never" >"$W/events" 2>&1 &
receiver=$!
block docs/ADMIN.md receivers | sed 's/10.0.0.9/203.0.113.9/' \
	>>"$R/etc/sgbridge/sgbridge.conf"
mkdir "$R/var/lib/node_exporter"
ok "events: a receiver" admin forward \
	's/^sgbridge-forward --status/timeout 60 sh -c "until & >status; do sleep 0.1; done"/'
ok "events: it has them" wait_for grep -q '"event":"logon"' "$W/events"
ok "events: counted" [ -s "$R/var/lib/node_exporter/sgbridge-forward.prom" ]
in_host systemctl stop sgbridge-forward
kill "$receiver"

# --- the disk, and what was exceptional
ok "disk: verified" admin disk-verify
ok "disk: what is due" admin expire
LOGIN=nobody robot true </dev/null >"$W/out" 2>&1
# shellcheck disable=SC2034
reference=$(sed -n 's/.*reference \([A-Z0-9]*\).*/\1/p' "$W/out")
ok "findings: each minute" eval 'admin findings-on &&
	active sgbridge-findings.timer'
touch "$R/var/log/auth.log"
mkdir -p "$R/var/log/audit" && touch "$R/var/log/audit/audit.log"
ok "findings: asked" eval 'admin findings "s/7F3K2/$reference/
	s/^sgbridge-audit findings.*/& || [ \$? -eq 1 ]/" && said robot'

# --- from somewhere else
cp tests/topology/aliyun-*.json "$desk/"
echo 'include "policy.d/*.conf"' >"$R/etc/sgbridge/policy.conf"
ok "migration: topology" eval 'migration topology &&
	grep -q SG_Current "$R/etc/sgbridge/policy.d/cloud.conf"'
cat "$R/root/policy.conf" >"$R/etc/sgbridge/policy.conf"
ok "migration: questions" eval 'migration policy && said web1'
sed 's/shell, exec/shell/' "$R/root/policy.conf" >"$desk/draft.conf"
ok "migration: what is refused" migration refused
printf 'HOTP carol - 3132333435363738393031323334353637383930\n' \
	>"$R/etc/users.oath"
printf '%s\n" RATE_LIMIT 3 30\n" TOTP_AUTH\n12345678\n' \
	GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ >"$R/root/alice.ga"
chmod 0600 "$R/etc/users.oath" "$R/root/alice.ga"
in_host sgbridge-otp reset alice
ok "migration: codes" eval 'migration codes &&
	in_host sgbridge-otp status alice >"$W/out" &&
	in_host sgbridge-otp status carol >"$W/out"'

# --- what is lost, and what breaks
ok "before anything" recovery look
ok "a lost factor: a new one" eval 'recovery token && said otpauth'
in_host sgbridge-otp reset alice
ok "a lost factor: an invitation" recovery invite
echo 'permit everybody' >>"$R/etc/sgbridge/policy.conf"
ok "a broken policy" recovery policy '1s/$/ || [ $? -eq 2 ]/'
ok "a broken policy: somebody gets in" gets_in
ok "a full disk" recovery disk
in_host systemctl kill -s KILL sgbridge-recorder
ok "a dead recorder" recovery recorder
ok "a dead recorder: somebody gets in" eval \
	'wait_for active "${units[@]}" && gets_in'

mkfifo "$W/hold"
robot cat <>"$W/hold" >"$W/live" 2>&1 &
live=$!
echo here >"$W/hold"
wait_for grep -q here "$W/live"
growing() {
	open=$(cd "$R/var/lib/sgbridge/recordings" &&
		find . -name '*.sgr' -perm 0600 -printf '%P\n')
	[ -n "$open" ]
}
wait_for growing
growing
cp -a "$R/var/lib/sgbridge/recordings" "$desk/COPY"
cp "$R/etc/sgbridge/recorder_key" "$desk/"
ok "a crashed host" recovery recover "s,COPY/2026/11/23/ID.sgr,COPY/$open,"
ok "a crashed host: it says so" said "recovered"
kill "$live"
wait "$live" 2>/dev/null

in_host sgbridge-audit keygen -o /root/other.key >"$W/other" 2>/dev/null
grep '^x25519 ' "$W/other" >"$R/etc/sgbridge/recipients"
ok "a lost recipient" recovery recipient
gets_in
ok "a lost recipient: the new one reads" eval \
	'in_host sgbridge-audit ls -i /root/other.key | grep -q robot'

etc=$R/etc/sgbridge
cp -p "$etc/master.key" "$W/master.key"
in_host sgbridge-otp enrol bob --no-confirm >"$W/out" 2>&1
ok "a lost master key: a new one" eval 'recovery master \
	"s/^sgbridge-otp list/! &/" &&
	! cmp -s "$etc/master.key" "$W/master.key" && said otpauth'
printf '#!/bin/sh\ncat /root/kms\n' >"$R/usr/local/sbin/fetch-key"
chmod 0755 "$R/usr/local/sbin/fetch-key"
mv "$etc/master.key" "$R/root/kms"
echo 'master-key /run/sgbridge/master.key' >>"$etc/sgbridge.conf"
ok "a lost master key: from a key service" eval 'recovery unseal &&
	in_host sgbridge-otp status alice >"$W/out"'

rm "$etc"/user_ca*
ok "a lost CA key: nobody gets anywhere" refused
ok "a lost CA key: a new one, which the instance is told" eval 'recovery ca &&
	gets_in'
rm "$etc"/ssh_host_ed25519_key*
ok "a lost host key" eval 'recovery host-key &&
	in_host systemctl reload sgbridged && wait_for gets_in'
rm "$etc/recorder_key"
ok "a lost recorder key" eval 'recovery recorder-key &&
	wait_for active "${units[@]}" && gets_in'
host_end
