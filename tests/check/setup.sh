#!/bin/bash
# sgbridge setup in a folder: what it writes, that a second run changes
# nothing, that undo leaves no trace, that bad answers are refused before
# anything is changed; and that it, and undo, may be killed at any moment.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=$(cd "${1:-build}" && pwd)
[ "$(id -u)" = 0 ] || {
	echo "needs root, for files that are root's"
	exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# shellcheck source=tests/check/ok.sh
. tests/check/ok.sh
R=$work/root
make_root() {
	mkdir -p "$R/etc/ssh" "$R/etc/pam.d" "$R/var/lib" "$R/run"
	printf 'root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n' \
		>"$R/etc/passwd"
	printf '_sgb-session:x:901:901::/:/sbin/nologin\n_sgb-recorder:x:902:902::/:/sbin/nologin\n' \
		>>"$R/etc/passwd"
	# Without the Include line, as older hosts have it.
	printf 'Port 22\nPasswordAuthentication yes\n' >"$R/etc/ssh/sshd_config"
	printf 'auth required pam_unix.so\n' >"$R/etc/pam.d/sshd"
	printf 'auth required pam_unix.so\n' >"$R/etc/pam.d/sudo"
	printf 'account required pam_unix.so\n' >"$R/etc/pam.d/common-account"
	printf '#!/usr/sbin/nft -f\nflush ruleset\n' >"$R/etc/nftables.conf"
	chmod 0640 "$R/etc/ssh/sshd_config"
	chown 0:4 "$R/etc/ssh/sshd_config"
	touch -d '2020-02-02 02:02:02' "$R/etc/ssh/sshd_config"
	ssh-keygen -q -t ed25519 -N '' -f "$work/alice"
}
answers() {
	cat <<-END
		admin         alice
		admin-address 203.0.113.9
		network       203.0.113.0/24
		network       2001:db8:7::/48
		instance      web1 10.0.1.11 ops SHA256:Jm0bAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
		instance      db1 10.0.2.21 dba
		recipient     x25519 $(head -c 32 /dev/zero | base64) auditor
		key           $work/alice.pub
		listen        0.0.0.0:30023
		guard-sudo    yes
		firewall      yes
	END
}
tree() {
	(cd "$R" && find . -path ./var/lib/sgbridge/setup -prune -o \
		-type f -printf '%p %m %U:%G %T@ ' -exec \
		sha256sum {} \; -o -type d -printf '%p %m %U:%G\n' | sort)
}
# Folders of the state stay; they are ours and empty.
same() {
	diff "$work/before" <(tree | grep -v '^\./var/lib/sgbridge [0-9]')
}
# shellcheck disable=SC2120
setup() {
	"$build/sgbridge" setup --root "$R" --answers "$work/answers" --yes "$@"
}
make_root
answers >"$work/answers"
tree >"$work/before"
ok "a dry run changes nothing" eval 'setup --dry-run >"$work/dry" && same'
ok "it shows diffs, and no key" eval \
	'grep -q "^+Include /etc/ssh/sshd_config.d" "$work/dry" &&
	grep -q "^-auth required pam_unix.so" "$work/dry" &&
	! grep -q "PRIVATE KEY" "$work/dry"'
foreign() {
	local status
	mv "$R/etc/pam.d/common-account" "$work/" || return
	setup 2>"$work/err"
	status=$?
	mv "$work/common-account" "$R/etc/pam.d/"
	[ "$status" -ne 0 ] && same &&
		grep -q "PAM of this host is not laid out as Debian's" "$work/err"
}
ok "where PAM is not Debian's it says so and changes nothing" foreign
ok "setup" setup
ok "files are there, each with its mode" eval '
	[ "$(stat -c %a "$R/etc/sgbridge/user_ca")" = 600 ] &&
	[ "$(stat -c %a "$R/etc/sgbridge/master.key")" = 600 ] &&
	[ "$(stat -c %a:%u "$R/var/lib/sgbridge/recordings")" = 700:902 ] &&
	[ "$(stat -c %a:%g "$R/etc/ssh/sshd_config")" = 640:4 ] &&
	[ "$(head -n 1 "$R/etc/ssh/sshd_config")" = \
		"Include /etc/ssh/sshd_config.d/*.conf" ] &&
	cmp conf/pam.d/sshd "$R/etc/pam.d/sshd" &&
	cmp conf/sshd_config.d/sgbridge.conf \
		"$R/etc/ssh/sshd_config.d/00-sgbridge.conf" &&
	grep -q "^listen  *0.0.0.0:30023" "$R/etc/sgbridge/sgbridge.conf" &&
	tail -n 1 "$R/etc/nftables.conf" | grep -q "^include" &&
	cmp "$work/alice.pub" "$R/etc/sgbridge/authorized_keys/alice"'
ok "its policy is good, and permits what was answered" eval '
	"$build/sgbridge" check --policy "$R/etc/sgbridge/policy.conf" >/dev/null
	[ $? -le 1 ] && "$build/sgbridge" explain --policy \
		"$R/etc/sgbridge/policy.conf" alice from 203.0.113.9 to ops@web1'
ok "its firewall is one that nft takes" eval '
	grep -q "dport 30023" "$R/etc/nftables.d/sgbridge.nft" &&
	sed "s/\"_sgb-session\"/901/;s/\"_sgb-recorder\"/902/" \
		"$R/etc/nftables.d/sgbridge.nft" >"$work/nft" &&
	unshare -n nft -c -f "$work/nft"'
ok "no key is left in the stage" eval \
	'! ls -d "$R"/var/lib/sgbridge/setup/*/stage'
ok "a second run has nothing to change" eval \
	'tree >"$work/after"; setup && diff "$work/after" <(tree)'
ok "undo refuses while the policy was edited" eval \
	'echo "# mine" >>"$R/etc/sgbridge/policy.conf"
	! "$build/sgbridge" setup --root "$R" --undo && cmp "$R/etc/pam.d/sshd" \
		conf/pam.d/sshd'
ok "undo takes no --dry-run, which it would not be" eval \
	'"$build/sgbridge" setup --root "$R" --undo --force --dry-run 2>&1 |
	grep -q ^usage && cmp "$R/etc/pam.d/sshd" conf/pam.d/sshd'
ok "with --force it is kept aside, and the rest is as it was" eval \
	'"$build/sgbridge" setup --root "$R" --undo --force && same &&
	grep -q "^# mine" "$R"/var/lib/sgbridge/setup/*/saved/*policy.conf'
ok "nothing is left to undo" eval \
	'! "$build/sgbridge" setup --root "$R" --undo'

# --- answers that would hurt
refuses() {
	local text=$1
	! setup >"$work/refused" 2>&1 && grep -qF -- "$text" "$work/refused" &&
		same
}
mistake() {
	local name=$1 text=$2
	shift 2
	answers | sed "$@" >"$work/answers"
	ok "refused: $name" refuses "$text"
}
mistake "a network that the administrator is not in" 'would be locked out' \
	's,203.0.113.0/24,198.51.100.0/24,'
mistake "no recipient" 'answer "recipient" is missing' '/^recipient/d'
mistake "a recipient that is none" 'expected the line' \
	's/x25519/ssh-ed25519/'
mistake "a word that nobody knows" 'did you mean "network"' \
	's/^network /netwrok /'
mistake "an answer twice" 'is there twice' '1p'
mistake "a network that is none" 'expected a network' 's,113.0/24,113.0/40,'
mistake "an instance without a login" 'expected NAME ADDRESS' 's/ dba$//'
mistake "a file of keys without a key" 'no public key of alice' \
	's,^key .*,key /etc/passwd,'
mistake "a time that is none" 'confirm-within' '$a confirm-within soon'
ln -s elsewhere "$R/etc/pam.d/sshd.link"
mv "$R/etc/pam.d/sshd" "$work/sshd" && mv "$R/etc/pam.d/sshd.link" \
	"$R/etc/pam.d/sshd"
answers >"$work/answers"
ok "refused: a link in place of a file" eval \
	'! setup >"$work/refused" 2>&1 && grep -q "does not follow" \
	"$work/refused"'
rm "$R/etc/pam.d/sshd" && mv "$work/sshd" "$R/etc/pam.d/sshd"
chmod 0666 "$work/answers"
ok "refused: answers that others may write" refuses 'others may write'
chmod 0644 "$work/answers"
ok "nothing of all that is left" same

# --- killed at each moment that is on the disk
# when CALL N COMMAND...: killed when it calls CALL for the Nth time.
when() {
	local call=$1 number=$2
	shift 2
	# A shell of its own says that it was killed.
	bash -c '"$@"; exit $?' - strace -qq -o /dev/null -e trace="$call" \
		-e inject="$call:signal=KILL:when=$number" "$@" \
		>/dev/null 2>&1
	[ $? -eq 137 ]
}
whole() {
	same >/dev/null || return 1
	! find "$R/var/lib/sgbridge/setup" -path '*/stage/*' | grep -q .
}
killed_setup() {
	local call=$1 number=$2
	while when "$call" "$number" "$build/sgbridge-setup" setup --root "$R" \
		--answers "$work/answers" --yes; do
		"$build/sgbridge-setup" setup --guard --root "$R"
		# After its last step it is whole the other way.
		! "$build/sgbridge-setup" setup --status --root "$R" |
			grep -q ': confirmed$' ||
			"$build/sgbridge-setup" setup --undo --root "$R"
		whole || {
			echo "killed at $call $number:"
			same
			return 1
		}
		kills=$((kills + 1))
		number=$((number + step))
	done
	# Not killed any more: it has come to its end.
	"$build/sgbridge-setup" setup --undo --root "$R" && whole
}
if command -v strace >/dev/null; then
	kills=0 step=3
	[ -z "${SGB_QUICK:-}" ] || step=11
	for call in fsync rename,renameat unlinkat,rmdir mkdir write; do
		ok "setup killed at each $call: all is as it was" \
			killed_setup "$call" 1
	done
	ok "it was killed often enough to mean something ($kills times)" \
		[ "$kills" -gt $((300 / step)) ]
	killed_undo() {
		local number=1
		setup >/dev/null || return 1
		while when "$1" "$number" "$build/sgbridge-setup" setup --undo \
			--root "$R"; do
			number=$((number + 1))
			undos=$((undos + 1))
		done
		whole
	}
	undos=0
	for call in fsync rename,renameat unlink,unlinkat; do
		ok "undo killed again and again at $call ends well" \
			killed_undo "$call"
	done
	ok "undo was killed, too ($undos times)" [ "$undos" -gt 5 ]
fi
ok_summary
