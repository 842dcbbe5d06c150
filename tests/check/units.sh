#!/bin/bash
# The shipped systemd units: they parse, their exposure is what it has to be
# and no more, and the programs work under what they forbid. The last is tried
# by hand here: capabilities, read-only file system and /proc as the units have
# them, and every system call that a real login makes is looked up in the
# unit's filter. tests/packages/systemd.sh has a real systemd, which is not to
# be had everywhere.
set -u
cd "$(dirname "$0")/../.." || exit 1
BUILD=${1:-build}
command -v systemd-analyze >/dev/null || {
	echo "systemd-analyze is not here: apt-get install systemd"
	exit 77
}
# shellcheck source=tests/e2e/lab.sh
. tests/e2e/lab.sh
units=conf/systemd
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# --- what systemd says about the text
# A root with the units and the programs that they name, and nothing else.
parses() {
	local root=$work/root program
	# /lib as it is everywhere now; newer systemd looks nowhere else.
	mkdir -p "$root/usr/lib/systemd" "$root/bin"
	ln -s usr/lib "$root/lib"
	cp -r /lib/systemd/system "$root/lib/systemd/"
	cp "$units"/*.service "$units"/*.socket "$units"/*.timer "$root/lib/systemd/system/"
	for program in $(sed -n 's/^Exec[A-Za-z]*=\(\/[^ ]*\).*/\1/p' \
		"$units"/*.service | sort -u); do
		install -D /bin/true "$root$program"
	done
	systemd-analyze verify --man=no --root="$root" \
		sgbridged.service sgbridged.socket sgbridge-recorder.service \
		sgbridge-starter.service sgbridge-setup-guard.service \
		sgbridge-nftables.service sgbridge-findings.service \
		sgbridge-findings.timer sgbridge-forward.service \
		>"$work/verify" 2>&1
	local status=$?
	sed 's/^/# /' "$work/verify"
	[ $status -eq 0 ] && [ ! -s "$work/verify" ]
}
exposure() {
	systemd-analyze security --offline=true --no-pager \
		--threshold="$2" "$units/$1.service" >"$work/$1.security" 2>&1 ||
		{
			tail -n 1 "$work/$1.security" | sed 's/^/# /'
			return 1
		}
}
# weak UNIT ROWS...: what remains open is this and nothing more.
weak() {
	local unit=$1
	shift
	sed -n 's/^✗ \([^ ]*\).*/\1/p' "$work/$unit.security" | sort \
		>"$work/have"
	printf '%s\n' "$@" | sort >"$work/want"
	comm -23 "$work/have" "$work/want" >"$work/more"
	sed 's/^/# not protected: /' "$work/more"
	[ ! -s "$work/more" ]
}
ok "the units parse, and systemd has nothing to say about them" parses

# Root with these powers, because: audit records need it and the kernel takes
# them from no user namespace; each session process gets its own uid and root.
powers=('User=/DynamicUser=' PrivateUsers= RootDirectory=/RootImage=
	'CapabilityBoundingSet=~CAP_SET(UID|GID|PCAP)'
	'CapabilityBoundingSet=~CAP_AUDIT_*'
	'RestrictAddressFamilies=~AF_NETLINK'
	'RestrictAddressFamilies=~AF_UNIX'
	'SystemCallFilter=~@privileged')
ok "the recorder's exposure is at most 2.0" exposure sgbridge-recorder 20
ok "and what remains is what it needs" weak sgbridge-recorder "${powers[@]}" \
	'CapabilityBoundingSet=~CAP_(DAC_*|FOWNER|IPC_OWNER)' \
	'CapabilityBoundingSet=~CAP_(CHOWN|FSETID|SETFCAP)' ProcSubset= \
	ProtectClock= 'SystemCallFilter=~@clock'
# A user of its own without a power: what is left is the network itself.
ok "the forwarder's exposure is at most 2.0" exposure sgbridge-forward 20
ok "and what remains is what it needs" weak sgbridge-forward \
	RootDirectory=/RootImage= 'RestrictAddressFamilies=~AF_UNIX' \
	'RestrictAddressFamilies=~AF_(INET|INET6)' PrivateNetwork= \
	IPAddressDeny= DeviceAllow=
# It listens and connects (0.9 for the network alone) as root (0.7), with one
# capability; the allow list of addresses (0.2) is each site's own, and a
# drop-in.
ok "sgbridged's exposure is at most 1.7" exposure sgbridged 17
ok "and what remains is what it needs" weak sgbridged \
	'User=/DynamicUser=' PrivateUsers= RootDirectory=/RootImage= \
	'CapabilityBoundingSet=~CAP_AUDIT_*' \
	'RestrictAddressFamilies=~AF_NETLINK' \
	'RestrictAddressFamilies=~AF_UNIX' \
	'RestrictAddressFamilies=~AF_(INET|INET6)' PrivateNetwork= \
	DeviceAllow= IPAddressDeny=
# All that it takes to become another user, and no network.
ok "the starter's exposure is at most 1.4" exposure sgbridge-starter 14
ok "and what remains is what it needs" weak sgbridge-starter \
	'User=/DynamicUser=' PrivateUsers= RootDirectory=/RootImage= \
	'CapabilityBoundingSet=~CAP_SET(UID|GID|PCAP)' \
	'CapabilityBoundingSet=~CAP_SYS_CHROOT' \
	'CapabilityBoundingSet=~CAP_KILL' \
	'RestrictAddressFamilies=~AF_UNIX' 'SystemCallFilter=~@mount' \
	'SystemCallFilter=~@privileged' DeviceAllow=
# The drop-in of the manual page for an authorized-keys-command.
with_keys() {
	mkdir -p "$work/keys"
	{
		cat "$units/sgbridged.service"
		keys_lines
	} >"$work/keys/sgbridged.service"
	keys_lines | grep -q CAP_SETUID &&
		units=$work/keys permitted sgbridged |
		grep -qx setresuid
}
keys_lines() {
	sed -n '/^\[Service\]$/,/^\.Ed$/{/^\.Ed$/d;p}' \
		docs/man/sgbridge.conf.5
}

ok "the findings' exposure is at most 1.6" exposure sgbridge-findings 16
ok "and what remains is what it needs" weak sgbridge-findings \
	'User=/DynamicUser=' PrivateUsers= RootDirectory=/RootImage= \
	'CapabilityBoundingSet=~CAP_(DAC_*|FOWNER|IPC_OWNER)' \
	'RestrictAddressFamilies=~AF_UNIX' DeviceAllow=

ok "each unit's program may open /dev/null, which \"strict\" forbids" eval \
	'! grep "^DevicePolicy=strict" "$units"/*'

# --- paths that the programs write by default are open in their unit
setting() {
	sed -n "s/^X([a-z_]*,[[:space:]]*\"$1\",[[:space:]]*[A-Z]*,[[:space:]]*//p" \
		bastion/core/settings.def |
		sed 's,SYSCONFDIR ",/etc/sgbridge,;s/[",]//g'
}
writable() {
	local unit=$1 name path folder good=1
	shift
	for name; do
		path=$(setting "$name")
		for folder in $(sed -n 's/^ReadWritePaths=//p' \
			"$units/$unit.service"); do
			case $path/ in "$folder"/*) continue 2 ;; esac
		done
		echo "# $unit may not write $name $path"
		good=0
	done
	[ $good -eq 1 ]
}
ok "the recorder may write what it writes" writable sgbridge-recorder \
	recordings events recorder-socket
ok "the forwarder may write what it writes" writable sgbridge-forward \
	forward-directory
ok "the forwarder may write no evidence" eval \
	'! writable sgbridge-forward events >/dev/null &&
	! writable sgbridge-forward recordings >/dev/null'
ok "sgbridged may write what it writes" writable sgbridged \
	control-socket otp-directory
ok "sgbridged may not write evidence" eval \
	'! writable sgbridged recordings >/dev/null'
made() {
	local name path good=1
	for name in authorized-keys recordings events otp-directory \
		forward-directory empty-root; do
		path=$(setting "$name")
		grep -q "^d ${path}[[:space:]]" conf/tmpfiles.conf || {
			echo "# tmpfiles.conf does not make $name $path"
			good=0
		}
	done
	[ $good -eq 1 ]
}
ok "tmpfiles.conf makes the folders of the settings' defaults" made
# It writes /etc and asks nft, in the host's network: 0.9 for these alone.
ok "the setup guard's exposure is at most 2.0" exposure \
	sgbridge-setup-guard 20
ok "the firewall's exposure is at most 2.0" exposure sgbridge-nftables 20
id_of() {
	sed -n "s/^$1:x:\([0-9]*\):.*/\1/p" "$work/tmp/etc/passwd"
}
tmpfiles() {
	mkdir -p "$work/tmp/etc"
	printf 'root:x:0:0:root:/root:/bin/sh\n' >"$work/tmp/etc/passwd"
	printf 'root:x:0:\n' >"$work/tmp/etc/group"
	systemd-sysusers --root="$work/tmp" "$PWD/conf/sysusers.conf" \
		>"$work/out" 2>&1 &&
		systemd-tmpfiles --create --root="$work/tmp" \
			"$PWD/conf/tmpfiles.conf" >>"$work/out" 2>&1 || {
		sed 's/^/# /' "$work/out"
		return 1
	}
	[ "$(stat -c %a "$work/tmp/var/lib/sgbridge/recordings")" = 700 ] &&
		[ "$(stat -c %u "$work/tmp/var/lib/sgbridge/recordings")" = \
			"$(sed -n 's/^_sgb-recorder:x:\([0-9]*\):.*/\1/p' \
				"$work/tmp/etc/passwd")" ] &&
		[ "$(stat -c %u:%a "$work/tmp/var/lib/sgbridge/otp")" = 0:700 ] &&
		[ "$(stat -c %u:%g:%a "$work/tmp/var/lib/sgbridge/events")" = \
			"$(id_of _sgb-recorder):$(id_of _sgb-forward):2750" ]
}
ok "sysusers.conf and tmpfiles.conf do what they say, twice" eval \
	'tmpfiles && tmpfiles'

# --- a real login under what the units forbid
capabilities() {
	local list=-all cap
	for cap in $(sed -n 's/^CapabilityBoundingSet=//p' \
		"$units/$1.service"); do
		list=$list,+${cap#CAP_}
	done
	echo "${list,,}"
}
# confined UNIT LOG PROGRAM...: only the laboratory is writable, as the
# folders of ReadWritePaths are.
confined() {
	local unit=$1 proc=hidepid=invisible private=''
	shift
	grep -q '^ProcSubset=pid' "$units/$unit.service" &&
		proc=$proc,subset=pid
	# The recorder's audit records are of the bastion's network here.
	[ "$unit" != sgbridge-starter ] || private=n
	lab_start "$LAB/$unit.log" ip netns exec "$lab_tag-bastion" \
		unshare -m$private --propagation private sh -ec "
		mount --bind '$LAB' '$LAB'
		mount -t proc -o $proc proc /proc
		mount -o remount,bind,ro /
		exec strace -f -qq -s 0 -o '$LAB/$unit.calls' setpriv \
			--bounding-set '$(capabilities "$unit")' \
			--inh-caps -all --no-new-privs \
			\"\$0\" \"\$@\"" "$@"
}
lab_daemons() {
	confined sgbridge-recorder "$BUILD/sgbridge-recorder" -e \
		-c "$LAB/sgbridge.conf"
	wait_for test -S "$LAB/recorder"
	confined sgbridge-starter "$BUILD/sgbridge-starter" -e \
		-c "$LAB/sgbridge.conf" -s "$LAB/starter"
	starter=$LAB_LAST
	wait_for test -S "$LAB/starter"
	confined sgbridged "$BUILD/sgbridged" -e -c "$LAB/sgbridge.conf" \
		-s "$LAB/starter"
	wait_for test -S "$LAB/control"
}
# As its unit starts it: never root. It is its own user from the first call.
start_forward() {
	local ids=64303
	cat >"$LAB/forward.conf" <<-END
		events $LAB/events
		forward-directory $LAB/forward
		syslog tcp 203.0.113.9 5514 hold 1s
		syslog udp 203.0.113.9 5514 hold 1s
	END
	install -d -o $ids -g $ids -m 0700 "$LAB/forward"
	chgrp -R $ids "$LAB/events"
	chmod 2750 "$LAB/events"
	chmod 640 "$LAB"/events/*
	install -o $ids /dev/null "$LAB/sgbridge-forward.calls"
	lab_start "$LAB/listener.log" ip netns exec "$lab_tag-client" \
		python3 tests/e2e/trail.py stall 203.0.113.9 5514
	lab_start "$LAB/forward.log" ip netns exec "$lab_tag-bastion" \
		setpriv --reuid $ids --regid $ids --clear-groups \
		--bounding-set -all --inh-caps -all --no-new-privs \
		strace -f -qq -s 0 -o "$LAB/sgbridge-forward.calls" \
		"$BUILD/sgbridge-forward" -e -c "$LAB/forward.conf"
	wait_for grep -q '^sgbridge-forward.*tcp 203.0.113.9 5514: connected' \
		"$LAB/forward.log" &&
		wait_for grep -q renameat "$LAB/sgbridge-forward.calls"
}
# expand: names of system calls and groups on stdin become names of calls.
expand() {
	local name
	while read -r name; do
		case $name in
		@*) systemd-analyze syscall-filter --no-pager "$name" |
			sed -n 's/^    \([a-z@][a-z0-9_@-]*\)$/\1/p' | expand ;;
		*) echo "$name" ;;
		esac
	done
}
permitted() {
	local words
	: >"$work/yes"
	# Line by line: what one forbids a later one may admit.
	while read -r words; do
		echo "${words#\~}" | tr ' ' '\n' | expand | sort -u \
			>"$work/words"
		case $words in
		~*) comm -23 "$work/yes" "$work/words" >"$work/sum" ;;
		*) sort -u "$work/yes" "$work/words" >"$work/sum" ;;
		esac
		mv "$work/sum" "$work/yes"
	done < <(sed -n 's/^SystemCallFilter=//p' "$units/$1.service")
	# systemd always admits these.
	echo @default | expand | sort -u - "$work/yes"
}
# From the program on: what setpriv did before is not its.
calls() {
	local first=1
	grep -q 'execve("[^"]*setpriv"' "$LAB/$1.calls" && first=2
	awk -v first=$first '/ execve\(/ { n++ } n >= first' "$LAB/$1.calls" |
		sed -n 's/^[0-9]* *\([a-z][a-z0-9_]*\)(.*/\1/p' | sort -u
}
filter() {
	calls "$1" >"$work/calls"
	[ "$(wc -l <"$work/calls")" -gt 30 ] || return 1
	permitted "$1" >"$work/permitted"
	comm -23 "$work/calls" "$work/permitted" >"$work/killed"
	sed 's/^/# forbidden but used: /' "$work/killed"
	[ ! -s "$work/killed" ]
}
families() {
	local family good=1
	for family in $(sed -n 's/.* socket\(pair\)\{0,1\}(\(AF_[A-Z0-9]*\),.*/\2/p' \
		"$LAB/$1.calls" | sort -u); do
		grep -q "^RestrictAddressFamilies=.*$family\b" \
			"$units/$1.service" || {
			echo "# forbidden but used: $family"
			good=0
		}
	done
	[ $good -eq 1 ]
}
writes_and_runs() {
	! grep -E '(mmap|mprotect)\(.*(PROT_WRITE\|PROT_EXEC|PROT_EXEC\|PROT_WRITE)|CLONE_NEW[A-Z]' \
		"$LAB/$1.calls"
}
if [ "$(id -u)" != 0 ] || ! command -v strace >/dev/null; then
	echo "# not tried: root and strace are needed"
	lab_tag=none LAB=$work
	lab_summary
	exit
fi
lab_up || exit 1
# The starter is in no network of the laboratory; strace ends with it.
down() {
	# One word each is meant.
	# shellcheck disable=SC2046
	kill $(cat "/proc/$starter/task/$starter/children") 2>/dev/null
	lab_down
	rm -rf "$work"
}
trap down EXIT
login() {
	[ "$(lab_ssh alice 203.0.113.9 alice+ops@web1@bastion 'id -un' \
		</dev/null)" = ops ] || {
		tail -n 5 "$LAB"/sgbridge*.log | sed 's/^/# /'
		return 1
	}
}
# The firewall file as it ships, but for users that exist here alone.
firewall() {
	sed "s/\"_sgb-session\"/${LAB_SESSION_USER%:*}/
		s/\"_sgb-recorder\"/${LAB_RECORDER_USER%:*}/
		s,0.0.0.0/0,203.0.113.0/24," conf/nftables.conf \
		>"$LAB/nftables.conf"
	in_ns bastion nft -f "$LAB/nftables.conf" &&
		in_ns bastion nft -f "$LAB/nftables.conf"
}
ok "the firewall file loads, twice" firewall
ok "a recorded login with key and code works under the units" login
recorded() {
	local file
	file=$(find "$LAB/recordings" -name '*.sgr')
	[ -n "$file" ] && wait_for "$BUILD/sgbridge-audit" verify \
		-c "$LAB/sgbridge.conf" "$file"
}
ok "its recording verifies" recorded
sftp() {
	echo "ls /" | lab_client_run sftp robot 203.0.113.7 -b - \
		robot+ops@web1@bastion >/dev/null 2>&1
}
ok "sftp works under the units" sftp
# The cradle that waits for the next login, and so the sessions it forks.
apart() {
	local pid
	pid=$(pgrep -f "^sgbridge-session .* -r $LAB/empty" | head -n 1)
	[ -n "$pid" ] && [ "$(readlink "/proc/$pid/ns/net")" != \
		"$(in_ns bastion readlink /proc/self/ns/net)" ]
}
ok "sessions are where there is no network" apart
reaches() {
	in_ns "$1" setpriv --reuid "$2" --clear-groups timeout 2 bash -c \
		"exec 3<>/dev/tcp/$3/$4" 2>/dev/null
}
ok "the firewall lets no session process connect by itself" eval \
	'! reaches bastion "${LAB_SESSION_USER%:*}" 10.0.1.11 22 &&
	reaches bastion 0 10.0.1.11 22'
elsewhere() {
	! in_ns client timeout 2 ssh -F "$LAB/ssh_config" -b 192.0.2.66 \
		-o ConnectTimeout=1 robot@bastion true 2>"$LAB/err" &&
		grep -q 'timed out' "$LAB/err"
}
ok "the firewall drops a source outside its set" elsewhere
ok "the daemon reloads and answers under its unit" eval \
	'"$BUILD/sgbridge" reload -c "$LAB/sgbridge.conf" >/dev/null &&
	"$BUILD/sgbridge" status -c "$LAB/sgbridge.conf" >/dev/null'
ok "the forwarder sends as its unit starts it, never root" start_forward
# In the bastion's network, as the unit runs it.
load() {
	in_ns bastion setpriv --bounding-set \
		"$(capabilities sgbridge-nftables)" --inh-caps -all \
		--no-new-privs strace -f -qq -s 0 \
		-o "$LAB/sgbridge-nftables.calls" nft -f "$LAB/nftables.conf"
}
ok "the firewall file loads as its unit loads it" load
ok "a command for keys gets its power from the manual's drop-in" with_keys
for unit in sgbridge-recorder sgbridged sgbridge-starter sgbridge-forward \
	sgbridge-nftables; do
	ok "$unit: the filter admits every system call it makes" \
		filter "$unit"
	ok "$unit: the filter forbids what it never makes" eval \
		'[ "$(comm -12 <(permitted '$unit') <(printf "%s\n" bpf \
		init_module keyctl kexec_load mount pivot_root ptrace \
		reboot | sort) | wc -l)" = 0 ]'
	ok "$unit: the address families it uses are open" families "$unit"
	ok "$unit: no memory is both written and run, no namespace is made" \
		writes_and_runs "$unit"
done
lab_summary
