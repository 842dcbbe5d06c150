#!/bin/bash
# sgbridge doctor: a good installation is clean, and each fault that is
# planted in a copy of it is found under its own name, with a fix. Runs in
# mount and network namespaces of its own.
set -u
cd "$(dirname "$0")/../.." || exit 1
if [ "${2:-}" != inside ]; then
	[ "$(id -u)" = 0 ] || {
		echo "needs root, for files that are root's"
		exit 77
	}
	exec unshare -mn --propagation private "$0" "${1:-build}" inside
fi
build=$(cd "$1" && pwd)
ip link set lo up
mount -t tmpfs -o mode=0755 tmpfs /run
mkdir -m 0755 /run/sshd
work=$(mktemp -d)
chmod 0711 "$work"
# Faults of units and of the firewall are planted there.
cp -a /etc "$work/etc"
rm -rf "$work/etc/nftables.d"
mount --bind "$work/etc" /etc
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
passed=0 failed=0
set=$work/set
ok() {
	if [ -z "$2" ]; then
		passed=$((passed + 1))
		echo "ok $1"
	else
		failed=$((failed + 1))
		echo "not ok $1"
		printf '%s\n' "$2" | head -n 20 | sed 's/^/# /'
	fi
}
until_there() {
	local tries=200
	until [ -S "$1" ]; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return 1
		read -rt 0.05 <> <(:) || true
	done
}

# --- a good installation, of the files that ship
make_good() {
	local pin name
	mkdir -p "$set/authorized_keys" "$set/pam.d" "$set/empty" "$work/run"
	install -d -m 0700 "$set/otp"
	install -d -m 0700 -o 64302 -g 64302 "$set/recordings" "$set/events"
	for name in host_key user_ca hostkey_web1; do
		ssh-keygen -q -t ed25519 -N '' -f "$set/$name"
	done
	ssh-keygen -q -t ed25519 -N '' -f "$work/alice"
	cp "$work/alice.pub" "$set/authorized_keys/alice"
	"$build/sgbridge-audit" writer-keygen -o "$set/recorder_key" \
		>/dev/null 2>&1
	for name in one two; do
		"$build/sgbridge-audit" keygen -o "$work/$name.key" 2>/dev/null |
			grep '^x25519 ' >>"$set/recipients"
	done
	cat >"$set/sgbridge.conf" <<-END
		listen            127.0.0.1:30022
		host-key          $set/host_key
		policy            $set/policy.conf
		authorized-keys   $set/authorized_keys
		user-ca           $set/user_ca
		pam-directory     $set/pam.d
		session-user      64301:64301
		recorder-user     64302:64302
		empty-root        $set/empty
		program-directory $build
		control-socket    $work/run/control
		recorder-socket   $work/run/recorder
		recordings        $set/recordings
		events            $set/events
		recipients        $set/recipients
		signing-key       $set/recorder_key
		disk-reserve      1M
		master-key        $set/master.key
		otp-directory     $set/otp
	END
	"$build/sgbridge-otp" -c "$set/sgbridge.conf" master-key \
		-o "$set/master.key" >/dev/null
	pin=$(ssh-keygen -lf "$set/hostkey_web1.pub" | cut -d' ' -f2)
	cat >"$set/policy.conf" <<-END
		network office 203.0.113.0/24
		group   SysAdmins alice
		security-group SG_Bridge {
		 	instance jump1 10.0.1.1
		}
		security-group SG_Current {
		 	instance web1 127.0.0.1 { host-key $pin; port 2222; login ops }
		 	accept tcp 2222 from SG_Bridge priority 1
		}
		permit SysAdmins from office to SG_Current as ops {
		 	mfa   always
		 	allow shell
		}
	END
	sed -i 's/127\.0\.0\.1/10.9.9.9/' "$set/policy.conf"
	cp conf/pam.d/* "$set/pam.d/"
	for name in auth account session session-noninteractive; do
		echo "${name%-*} required pam_unix.so" \
			>"$set/pam.d/common-$name"
	done
	# As setup leaves it: before what Debian ships, which it does not read
	# from /etc here.
	{
		echo "HostKey $set/host_key"
		cat conf/sshd_config.d/sgbridge.conf
		grep -v '^Include' /usr/share/openssh/sshd_config
	} >"$set/sshd_config"
	chmod -R go-w "$set"
}
make_good
"$build/sgbridge-recorder" -e -c "$set/sgbridge.conf" 2>"$work/recorder.log" &
pids+=($!)
until_there "$work/run/recorder" || cat "$work/recorder.log"
"$build/sgbridged" -e -c "$set/sgbridge.conf" 2>"$work/sgbridged.log" &
pids+=($!)
until_there "$work/run/control" || cat "$work/sgbridged.log"
cp -a "$set" "$work/good"

# What depends on this machine and not on the files.
host='audit-off|audit-unknown|audit-lost|clock'
doctor() {
	"$build/sgbridge" doctor -c "$set/sgbridge.conf" \
		--sshd-config "$set/sshd_config" "$@" 2>&1
}
codes() {
	grep -oE '"code":"[a-z-]*"' | cut -d'"' -f4 | grep -vxE "$host" |
		sort -u
}
ok "a good installation is clean" "$(doctor --json | codes)"
doctor --json >"$work/json"
status=$?
ok "its exit status is not that of an error" \
	"$([ $status -le 1 ] || cat "$work/json")"
ok "--json is JSON" "$(python3 -c 'import json,sys
report = json.load(open(sys.argv[1]))
for f in report["findings"]:
	assert f["severity"] in ("error", "warning", "note")
	assert f["fix"] and f["why"] and f["found"]' "$work/json" 2>&1)"
ok "nothing is changed by looking" "$(diff -r "$work/good" "$set" |
	grep -vE '^Only in .*(recordings|events)|(recordings|events)/')"

# fault CODE TEXT COMMAND: planted in a copy; CODE must be found with TEXT in
# it, and the exit status must be that of its severity.
planted=
tr '\n\t' '  ' <bastion/doctor.def | sed 's/ X(/\nX(/g' | sed -n \
	's/^X([A-Z_]*, "\([a-z-]*\)", [A-Z]*, *"\([^"]*\)".*/\1 \2/p' \
	>"$work/standards"
fault() {
	local code=$1 text=$2 report severity want status
	shift 2
	rm -rf "$set"
	cp -a "$work/good" "$set"
	(cd "$set" && eval "$*")
	report=$(doctor --json "${options[@]}")
	status=$?
	severity=$(sed -n "s/^X([A-Z_]*, \"$code\", \([A-Z]*\),.*/\1/p" \
		bastion/doctor.def)
	want=1
	[ "$severity" = ERROR ] && want=2
	[ "$severity" = NOTE ] && want=0
	ok "$code: $text" "$(
		printf '%s' "$report" | grep -qF "\"code\":\"$code\"" ||
			echo "not found: $report"
		printf '%s' "$report" | grep -qF -- "$text" ||
			echo "no \"$text\": $report"
		[ "$status" -ge "$want" ] ||
			echo "exit status $status, not $want"
		case $status in 0 | 1 | 2) ;; *) echo "status $status" ;; esac
		printf '%s' "$report" | jq -r --arg code "$code" \
			'[.findings[] | select(.code == $code) | "\(.code) " +
			.standard] | unique[]' |
			diff - <(grep "^$code " "$work/standards") ||
			echo "not the standard of the table"
	)"
	planted="$planted $code"
}
options=()
fault settings unknown 'echo "frobnicate yes" >>sgbridge.conf'
fault policy policy.conf 'echo "permit everybody" >>policy.conf'
fault policy-warning 'within' \
	'sed -i "s/mfa   always/&\n \texpires $(date -d "+3 days" +%F)/" policy.conf'
fault file-unsafe 'chmod 0400' 'chmod 0644 user_ca'
fault file-unsafe 'chmod go-w' 'chmod 0666 authorized_keys/alice'
fault file-unsafe 'owned by uid 64301' 'chown 64301 host_key'
fault file-unsafe 'expected the recorder' 'chmod 0755 recordings'
fault file-unsafe 'not empty' 'touch empty/x'
fault file-unsafe 'holds secrets' 'chmod 0755 otp'
fault file-missing 'sgbridge-otp master-key -o' 'rm master.key'
fault file-missing 'ssh-keygen -q -t ed25519' 'rm user_ca'
fault file-missing 'writer-keygen' 'rm recorder_key'
fault file-missing 'install -d -m 0700 -o 64302' 'rm -r events'
fault key-old user_ca 'touch -d "500 days ago" user_ca'
fault recipients 'no recipient' 'echo "# nobody" >recipients'
fault recipients 'recipients:1' 'echo "ssh-ed25519 AAAA x" >recipients'
fault recipient-alone 'one recipient' 'sed -i 1d recipients'
fault recipient-key-here reader.key 'cp ../one.key reader.key'
fault disk-full 'the reserve is' \
	'sed -i "s/^disk-reserve.*/disk-reserve 900000G/" sgbridge.conf'
reserve=$(($(df --output=avail -B1M "$work" | tail -n 1) / 2))
fault disk-low 'the reserve is' \
	"sed -i 's/^disk-reserve.*/disk-reserve ${reserve}M/' sgbridge.conf"
fault user 'no such user' \
	'sed -i "s/^session-user.*/session-user _no-such/" sgbridge.conf'
fault user-shared 64302 \
	'sed -i "s/^session-user.*/session-user 64302:64302/" sgbridge.conf'
fault program sgbridge-monitor \
	'sed -i "s,^program-directory.*,program-directory /usr/lib," \
	sgbridge.conf'
fault daemon-down /run/none \
	'sed -i "s,^control-socket.*,control-socket /run/none," sgbridge.conf'
fault recorder-down /run/none \
	'sed -i "s,^recorder-socket.*,recorder-socket /run/none," sgbridge.conf'
fault sshd-unreadable 'Bad configuration' 'echo Frobnicate yes >>sshd_config'
fault sshd-factors any 'sed -i "/^AuthenticationMethods/d" sshd_config'
fault sshd-factors 'publickey password' \
	'sed -i "s/^AuthenticationMethods.*/AuthenticationMethods publickey password/" sshd_config'
fault sshd-one-factor alice \
	'printf "Match User alice\nAuthenticationMethods publickey\n" >>sshd_config'
# shellcheck source=tests/sshd.sh
. tests/sshd.sh
! sshd_knows pamservicename || fault sshd-setting 'PAMServiceName is' \
	'echo "PAMServiceName other" >>sshd_config'
fault sshd-setting 'PasswordAuthentication is' \
	'printf "Match Address 203.0.113.0/24\nPasswordAuthentication yes\n" >>sshd_config'
fault sshd-setting 'PermitRootLogin is' \
	'sed -i "s/^PermitRootLogin.*/PermitRootLogin yes/" sshd_config'
fault sshd-setting 'LoginGraceTime is' \
	'sed -i "s/^LoginGraceTime.*/LoginGraceTime 0/" sshd_config'
fault sshd-hardening 'RequiredRSASize is' \
	'sed -i "s/^RequiredRSASize.*/RequiredRSASize 1024/" sshd_config'
fault sshd-hardening 'X11Forwarding is' \
	'sed -i "/^X11/d;/^DisableForw/d" sshd_config
	echo X11Forwarding yes >>sshd_config'
fault sshd-forwarding 'DisableForwarding is \"no' \
	'sed -i "/^DisableForwarding/d" sshd_config'
fault pam-missing 'sshd: no pam_sgbridge.so in account' \
	'sed -i "/^account.*sgbridge/d" pam.d/sshd'
fault pam-missing 'sgbridge: no pam_sgbridge.so in auth' \
	'sed -i "/^auth/d" pam.d/sgbridge'
fault pam-unguarded sudo 'sed -i /sgbridge/d pam.d/sudo'
fault pam-control sufficient \
	'sed -i "s/^auth .*requisite/auth sufficient/" pam.d/sshd'
fault pam-bypass pam_permit.so \
	'sed -i "1i auth sufficient pam_permit.so" pam.d/sshd'
fault pam-bypass pam_localuser.so \
	'sed -i "1i account [success=1 default=ignore] pam_localuser.so" pam.d/sshd'
fault pam-bypass pam_rootok.so \
	'echo "auth sufficient pam_rootok.so" >pam.d/extra
	sed -i "1i @include extra" pam.d/sudo'
fault pam-order 'pam_env.so runs before' \
	'sed -i "1i session required pam_env.so" pam.d/sshd'
fault pam-proxy 'line has' \
	'sed -i "s/^auth .*pam_sgbridge.so/& proxy/" pam.d/sshd'
fault pam-proxy 'line lacks' 'sed -i "s/ proxy//" pam.d/sgbridge'
fault pam-unreadable 'PAM service sshd' 'rm pam.d/common-account pam.d/sshd'
fault host-key-missing web1 'sed -i "s/host-key [^;]*;//" policy.conf'
fault known-hosts 'known:1: expected' \
	'echo "web1 nonsense" >known; echo "known-hosts $PWD/known" >>sgbridge.conf'
fault stored-key 'web1: there is no stored key' \
	'sed -i "s/host-key [^;]*;/& credential key nokey;/" policy.conf'
fault forward-settings 'expected a numeric address' \
	'echo "forward-user 64303:64303" >>sgbridge.conf
	echo "syslog tcp logs.example.org 514" >>sgbridge.conf'
fault forward-stopped 'does not run' \
	'echo "forward-user 64303:64303" >>sgbridge.conf
	echo "journald yes" >>sgbridge.conf'
fault audit-off 'audit is off' 'echo "audit off" >>sgbridge.conf'
# --- at boot; /run and /etc are ours
systemd_runs() { mkdir -p /run/systemd/system; }
wants() { mkdir -p "/etc/systemd/system/$1.target.wants"; }
systemd_runs
fault unit-disabled 'sgbridged.service is not enabled' true
fault unit-disabled 'sgbridge-recorder.service is not enabled' true
wants multi-user
for unit in sgbridged sgbridge-recorder; do
	ln -s /dev/null "/etc/systemd/system/multi-user.target.wants/$unit.service"
done
ok "units that are enabled" "$(doctor --json | codes)"
rm -rf /etc/nftables.conf \
	/etc/systemd/system/sysinit.target.wants/*nftables.service
mkdir /etc/nftables.d
cat >/etc/nftables.d/sgbridge.nft <<-'END'
	table inet sgbridge_host {
	}
END
fault firewall 'inet sgbridge_host of /etc/nftables.d/sgbridge.nft is not loaded' true
nft -f /etc/nftables.d/sgbridge.nft
fault firewall 'nothing loads /etc/nftables.d/sgbridge.nft at boot' true
wants sysinit
ln -s /dev/null /etc/systemd/system/sysinit.target.wants/nftables.service
fault firewall 'nothing loads /etc/nftables.d/sgbridge.nft at boot' true
echo 'include "/etc/nftables.d/*.nft"' >/etc/nftables.conf
ok "a firewall that nftables.service includes" "$(doctor --json | codes)"
rm /etc/systemd/system/sysinit.target.wants/nftables.service
ln -s /dev/null /etc/systemd/system/sysinit.target.wants/sgbridge-nftables.service
ok "a firewall that our unit loads" "$(doctor --json | codes)"
rm /etc/systemd/system/sysinit.target.wants/sgbridge-nftables.service
fault firewall 'the ruleset of `sgbridge topology apply`' \
	'mkdir -m 0700 nft; : >nft/current.nft
	echo "nftables-directory $PWD/nft" >>sgbridge.conf'
rm -r /run/systemd /etc/nftables.d
options=(--connect)
fault unreachable 'web1: 10.9.9.9 port 2222' true

# Every row of the table is planted above, or is the machine's own.
ok "every finding is tested" "$(comm -23 \
	<(sed -n 's/^X([A-Z_]*, "\([a-z-]*\)".*/\1/p' bastion/doctor.def |
		sort) \
	<({
		printf '%s\n' $planted
		# Those that want a laboratory.
		grep -oE '(instance|process|rotation|ruleset)-[a-z-]+' \
			tests/e2e/doctor.sh
		grep -oE 'doctor forward-[a-z-]+' tests/e2e/forwarder.sh |
			sed 's/doctor //'
		# Those that want another kernel.
		grep -oE '"(clock|audit)[a-z-]*"' tests/unit/doctor_host.c |
			tr -d '"'
	} | sort -u))"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
