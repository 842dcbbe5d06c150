#!/bin/bash
# The command blocks of docs/ADMIN.md that are marked "run:" are run as they
# stand there (but for places), in the laboratory, with logins before, between
# and after: keys rotate without a break.
set -u
cd "$(dirname "$0")/../.." || exit 1
BUILD=${1:-build}
[ "$(id -u)" = 0 ] || {
	echo "needs root, for network namespaces"
	exit 77
}
# shellcheck source=tests/e2e/lab.sh
. tests/e2e/lab.sh
# shellcheck source=tests/e2e/shelf.sh
. tests/e2e/shelf.sh
# shellcheck source=tests/block.sh
. tests/block.sh
# The keys are made by the guide's own commands.
lab_keys() {
	programs
	run_block keys >/dev/null || echo "lab: keys failed" >&2
	ssh-keygen -q -t ed25519 -N '' -C stranger -f "$LAB/users/stranger"
	"$BUILD/sgbridge-audit" keygen -o "$LAB/auditor.key" 2>/dev/null |
		grep '^x25519 ' >"$LAB/recipients"
}
# The guide's programs, which know where this bastion has its settings; and ssh
# of somebody who is asked for no code, since each counts once.
programs() {
	local name
	mkdir "$LAB/bin" "$LAB/alice" "$LAB/work"
	for name in sgbridge sgbridge-otp; do
		cat >"$LAB/bin/$name" <<-END
			#!/bin/sh
			command=\$1
			shift
			exec "$BUILD/$name" "\$command" -c "$LAB/sgbridge.conf" "\$@"
		END
	done
	ln -s "$BUILD/sgbridge-audit" "$LAB/bin/"
	cat >"$LAB/bin/ssh" <<-END
		#!/bin/bash
		. "$PWD/tests/e2e/lab.sh"
		PATH=\${PATH#*:} # without this folder
		LAB=$LAB lab_tag=$lab_tag
		case \$1 in
		root@web1)
			shift
			in_ns bastion ssh -F none -o BatchMode=yes \\
				-o UserKnownHostsFile=/dev/null \\
				-o StrictHostKeyChecking=no -o LogLevel=ERROR \\
				-i "\$LAB/old" root@10.0.1.11 "\$@" ;;
		*) lab_ssh robot 203.0.113.7 "\${@/#alice+/robot+}" ;;
		esac
	END
	chmod 0755 "$LAB"/bin/*
}
run_block() {
	local text
	text=$(block docs/ADMIN.md "$1" | sed "s,/etc/sgbridge/ssh_host_ed25519_key,$LAB/host_key,g
		s,/etc/sgbridge/,$LAB/,g
		s,/home/alice/,$LAB/alice/,
		s,scp alice@bastion:,cp $LAB/alice/,
		s,/var/lib/sgbridge/,$LAB/,g
		s,archive:/bastion/,$LAB/archive.all/,
		s,archive:/recordings/,$LAB/archive/,")
	[ -n "$text" ] || return 1
	(cd "$LAB/work" && PATH=$LAB/bin:$PATH \
		bash -eo pipefail -c "$text" >"$LAB/said" 2>&1) && return
	sed 's/^/# /' "$LAB/said"
	return 1
}
# Nobody but the bastion gets in at web1, by these keys of a CA.
trusted() {
	on_web1 cat /etc/ssh/sgbridge_ca.pub | cut -d" " -f1,2 |
		cmp -s - <(cat "$@" | cut -d" " -f1,2)
}
guard_is_gone() {
	! on_web1 test -e /run/sgbridge-guard
}
# Quick in and out, by key alone: what is rotated decides about it.
robot() {
	[ "$(lab_ssh robot 203.0.113.7 robot+ops@web1@bastion 'id -un' \
		</dev/null 2>"$LAB/err")" = ops ] || {
		sed 's/^/# /' "$LAB/err"
		return 1
	}
}
alice() {
	[ "$(lab_ssh alice 203.0.113.9 alice+ops@web1@bastion 'id -un' \
		</dev/null 2>"$LAB/err")" = ops ]
}
bob() {
	[ "$(lab_ssh bob 203.0.113.9 bob+ops@web1@bastion 'id -un' \
		</dev/null 2>"$LAB/err")" = ops ]
}
lab_up || exit 1
ok "instance: the script, on the bastion" run_block instance-script
ok "instance: by the way that there was" run_block instance-first
ok "instance: that way is closed" eval \
	'! PATH=$LAB/bin:$PATH ssh root@web1 true 2>/dev/null'
ok "instance: confirmed through the bastion" eval \
	'run_block instance-confirm && wait_for guard_is_gone'
ok "instance: the CA is trusted" trusted "$LAB/user_ca.pub"
again() {
	run_block instance-script && run_block instance-again &&
		run_block instance-confirm && wait_for guard_is_gone
}
ok "the guide's keys make a bastion that lets people in" alice

# --- a session that lives through it all
mkfifo "$LAB/hold"
lab_start "$LAB/live.out" bash -c "
	. tests/e2e/lab.sh; lab_tag=$lab_tag LAB=$LAB
	lab_ssh robot 203.0.113.7 robot+ops@web1@bastion \
		'echo ready; cat; echo ended' <'$LAB/hold'"
exec 7>"$LAB/hold"
wait_for grep -q ready "$LAB/live.out"

ok "CA: a new key beside the old one" run_block ca-new
ok "CA: the instance is told, through the bastion" again
ok "CA: it trusts both" trusted "$LAB/user_ca.pub" "$LAB/user_ca.new.pub"
ok "CA: people get in while both are trusted" robot
ok "CA: the bastion signs with the new one" run_block ca-switch
ok "CA: people get in during the overlap" robot
ok "CA: the old one goes" run_block ca-end
ok "CA: the instance is told once more" again
ok "CA: it trusts one key, the new one" trusted "$LAB/user_ca.pub"
ok "CA: people get in with the new one alone" robot

ok "host key: a new one" run_block host-new
known() {
	printf '%s %s\n' "[203.0.113.1]:30022" \
		"$(cut -d' ' -f1,2 "$LAB/host_key.new.pub")" \
		>>"$LAB/known_hosts"
}
ok "host key: clients know both" known
ok "host key: people get in before the change" robot
ok "host key: the change" run_block host-switch
ok "host key: people get in after the change" robot
ok "host key: the end" run_block host-end
forget() {
	printf '%s %s\n' "[203.0.113.1]:30022" \
		"$(cut -d' ' -f1,2 "$LAB/host_key.pub")" >"$LAB/known_hosts"
}
ok "host key: clients forget the old one" forget
ok "host key: the new one alone is shown" robot

cp "$LAB/master.key" "$LAB/master.before"
ok "master key: rotated" run_block master
ok "master key: it is another one" eval \
	'! cmp -s "$LAB/master.before" "$LAB/master.key"'
ok "master key: one-time codes are still known" bob

cp "$LAB/recorder_key" "$LAB/recorder.before"
ok "recorder's key: a new one" run_block recorder-new
ok "recorder's key: the change" run_block recorder-switch
ok "recorder's key: it is another one" eval \
	'! cmp -s "$LAB/recorder.before" "$LAB/recorder_key"'
ok "recorder's key: people get in" robot

# --- what is finished goes to the archive, what still grows stays, however
# long it was silent
sgr() {
	(cd "$1" && find . -name '*.sgr' -perm "$2" -printf '%P\n' | sort)
}
finished() {
	sgr "$LAB/recordings" 0600 >"$LAB/growing"
	sgr "$LAB/recordings" 0440 >"$LAB/finished"
	[ "$(wc -l <"$LAB/growing")" = 1 ] && [ -s "$LAB/finished" ]
}
ok "disk: one recording grows, the others are finished" wait_for finished
find "$LAB/recordings" -name '*.sgr' -exec touch -d '30 days ago' {} +
mkdir "$LAB/archive" "$LAB/archive.all"
ok "backup: the guide's line" run_block copy
ok "backup: a copy of all is good as far as it goes" eval '
	"$BUILD/sgbridge-audit" verify -d "$LAB/archive.all/recordings" \
		--events "$LAB/archive.all/events" >"$LAB/out" 2>&1
	[ $? -eq 3 ]'
ok "disk: the guide's lines" run_block disk
ok "disk: all that is finished is in the archive" eval \
	'sgr "$LAB/archive" 0440 | diff - "$LAB/finished"'
ok "disk: what grows is where it was, and nothing else" eval \
	'sgr "$LAB/recordings" -0400 | diff - "$LAB/growing"'
ok "disk: nothing of what grows was copied" eval \
	'! sgr "$LAB/archive" -0400 | grep -qxf "$LAB/growing"'
cp -a "$LAB/archive/." "$LAB/recordings"

ok "the live session went on all the while" eval \
	'echo more >&7 && wait_for grep -q more "$LAB/live.out"'
exec 7>&-
ok "and ends well" wait_for grep -q ended "$LAB/live.out"

verified() {
	"$BUILD/sgbridge-audit" verify -c "$LAB/sgbridge.conf" \
		>"$LAB/out" 2>&1 || {
		tail -n 5 "$LAB/out" | sed 's/^/# /'
		return 1
	}
}
ok "recorder's key: old and new recordings verify" wait_for verified
lab_summary
