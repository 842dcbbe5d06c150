#!/bin/bash
# The menu on `ssh alice@bastion`, as a person sees it: a stock client in a
# real terminal emulator, at 24x80, resized, and in a dumb terminal. What is
# chosen is recorded from its first byte; the menu is not.
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=${1:-build}
command -v tmux >/dev/null || {
	echo 'tmux is not installed'
	exit 77
}
# shellcheck source=tests/e2e/lab.sh
. "$here/lab.sh"
many() {
	local i
	echo 'security-group SG_Many {'
	for i in $(seq -f %03g 1 "$1"); do
		echo "instance many$i 10.9.$((10#$i / 250)).$((10#$i % 250 + 1)) {" \
			"host-key SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA; login ops }"
	done
	echo 'accept tcp 22 from SG_Bridge priority 1'
	echo '}'
}
LAB_POLICY_EXTRA="
group Developers carol
group Crowd dora
permit Developers from 203.0.113.7 to SG_Current as deploy {
	mfa never
	allow shell
	approval by SysAdmins
}
permit SysAdmins from 203.0.113.7 to SG_Current as ops { mfa never; allow exec }
$(many 200)
permit Crowd from 203.0.113.7 to SG_Many, SG_Current as ops { mfa never; allow shell, exec }"
export LAB_POLICY_EXTRA LAB_CONF_EXTRA='approval-timeout 20s'
lab_up || exit 1
trap 'terminal kill-server 2>/dev/null; lab_down' EXIT
lab_user carol
lab_user dora
conf=$LAB/sgbridge.conf

# The client in a terminal; its status goes to a file, and its last screen
# stays to be looked at.
cat >"$LAB/client" <<-END
	#!/bin/bash
	user=\$1 term=\$2
	shift 2
	ip netns exec $lab_tag-client env TERM="\$term" LC_MENU=kept \\
		ssh -F $LAB/ssh_config -o BindAddress=203.0.113.7 \\
		-o SendEnv=LC_MENU -i $LAB/users/\$user "\$@" \$user@bastion
	echo \$? >$LAB/status
	read -r _
END
chmod 0755 "$LAB/client"
terminal() {
	tmux -S "$LAB/tmux$screen" -f /dev/null "$@"
}
screen=0
# opens USER TERM [WIDTH HEIGHT]
opens() {
	terminal kill-server 2>/dev/null
	# The old server may still be about to go: the next has its own socket.
	screen=$((screen + 1))
	rm -f "$LAB/status"
	terminal new-session -d -x "${3:-80}" -y "${4:-24}" \
		"$LAB/client $1 $2 ${5:-}"
}
keys() {
	terminal send-keys "$@"
}
screen() {
	terminal capture-pane -p
}
on_screen() {
	screen | grep -qE -- "$1"
}
not_on_screen() {
	! on_screen "$1"
}
shows() {
	wait_for on_screen "$1" && return 0
	screen | sed 's/^/# | /'
	return 1
}
ends() {
	wait_for test -s "$LAB/status" && [ "$(cat "$LAB/status")" = "$1" ] &&
		return 0
	echo "# status $(cat "$LAB/status" 2>/dev/null), not $1"
	screen | sed 's/^/# | /'
	return 1
}
newest() {
	find "$LAB/recordings" -name '*.sgr' -printf '%T@ %p\n' |
		sort -n | tail -n1 | cut -d' ' -f2-
}
recordings() {
	find "$LAB/recordings" -name '*.sgr' | wc -l
}
# The bytes of the newest recording.
recorded() {
	wait_for "$BUILD/sgbridge-audit" verify -c "$conf" "$(newest)"
	rm -f "$LAB/raw"
	"$BUILD/sgbridge-audit" export -c "$conf" --journal "$LAB/views" \
		-i "$LAB/auditor.key" --format raw -o "$LAB/raw" "$(newest)" \
		>&2 && cat "$LAB/raw"
}
reloads() {
	[ "$(events | grep -c reload)" -ge "$1" ]
}
events() {
	cat "$LAB"/events/*.jsonl
}

# --- a screen of 24 by 80, and arrows
opens robot xterm
ok "the menu has the instances" shows 'web1 +SG_Current +ops +22'
ok "and the groups" shows 'db1 +SG_Database'
ok "the first is marked" shows '^> web1 .* ops '
ok "it is no recording" test "$(recordings)" -eq 0
keys Down
ok "down goes down" shows '^> web1 .* deploy '
keys k
ok "k goes up" shows '^> web1 .* ops '
keys G
ok "G goes to the end" shows '^> db1 .* deploy '
keys Home
ok "Home to the beginning" shows '^> web1 .* ops '
keys Tab
ok "Tab to the next group" shows '^> db1 .* ops '
keys Home
shows '^> web1' && keys Enter
ok "Enter connects" shows '[$#]$'
keys 'echo size $(stty size) as $(id -un) with $LC_MENU $TERM' Enter
ok "terminal, environment and size are the target's" \
	shows 'size 24 80 as ops with kept xterm'
terminal resize-window -x 100 -y 30
keys 'echo now $(stty size)' Enter
ok "a later resize reaches the target" shows 'now 30 100'
ok "the menu is gone from the screen" \
	eval '! screen | grep -q "choose an instance"'
keys 'exit 7' Enter
ok "the target's exit status is the connection's" ends 7
ok "there is one recording" test "$(recordings)" -eq 1
# shellcheck disable=SC2034
bytes=$(recorded)
ok "it has the target's bytes" \
	grep -q 'size 24 80 as ops with kept xterm' <<<"$bytes"
ok "and nothing of the menu" \
	eval '! grep -qE "choose an instance|SG_Database" <<<"$bytes"'
ok "the choice is in the trail" eval 'events | grep -q "menu ops@web1:22"'

# --- leaving
opens robot xterm
shows '^> web1' && keys q
ok "q leaves with 0" ends 0
opens robot xterm
shows '^> web1' && keys C-c
ok "Ctrl-C leaves with 0" ends 0
opens robot xterm
shows '^> web1' && keys C-d
ok "Ctrl-D leaves with 0" ends 0

# --- 200 instances: pages, filter, sizes
opens dora xterm
ok "many: the first page" shows '1 of 201'
ok "has no more than its lines" eval '! screen | grep -q many019'
keys PageDown
ok "the next page" shows '^> many019'
keys End
ok "the end" shows '^> many200'
keys PageUp
ok "a page up" shows '^> many181'
terminal resize-window -x 120 -y 50
ok "a larger window has more rows" eval \
	'shows "many156" && [ "$(screen | grep -c "many[0-9]")" -eq 45 ]'
ok "and still the mark" shows '^> many181'
terminal resize-window -x 80 -y 24
ok "a smaller one less" eval \
	'wait_for not_on_screen many150 && shows "^> many181"'
keys 0 7 7
ok "letters filter as they are typed" shows '^> many077'
ok "and nothing else is left" shows '1 of 1 that match'
keys BSpace
ok "fewer letters, more rows" shows '1 of 12 that match'
keys Escape
ok "Esc clears the filter" shows 'of 201'
keys / j
ok "after / all letters are the filter's" shows 'Filter: j_'
keys C-u
shows 'of 201' && keys SG_Cur
ok "a group is a filter too" shows '^> web1 .* ops '
keys Enter
ok "what was found is chosen" shows '[$#]$'
keys 'exit 3' Enter
ok "and its status comes back" ends 3

# --- a choice that is refused
opens dora xterm
shows '1 of 201' && keys web1
shows '^> web1'
sed -i 's/SG_Many, SG_Current as ops/SG_Many as ops/' "$LAB/policy.conf"
kill -HUP "$LAB_BASTION"
wait_for reloads 1
keys Enter
ok "a choice that is no longer permitted is refused" \
	shows 'denied. \(reference [0-9A-Z]{5}\)'
keys Escape
ok "and the menu goes on with what is" shows '1 of 200'
sed -i '/group Crowd/,$ s/SG_Many as ops { mfa never/SG_Many as ops { mfa always/' \
	"$LAB/policy.conf"
kill -HUP "$LAB_BASTION"
wait_for reloads 2
keys Enter
ok "one that wants more factors is refused" shows 'stronger second factor'
ok "and the menu goes on" shows '1 of 200'
keys q
ok "until the user leaves" ends 0
ok "refusals are in the trail" eval \
	'events | grep "\"menu\"" | grep -q "stronger second factor"'

# --- one that cannot be had
opens robot xterm
shows '^> web1' && keys db1
shows '^> db1' && keys Enter
ok "a target with another host key: the text" shows 'host key of db1'
ok "and the status of a failed connection" ends 255

# --- a dumb terminal
opens robot dumb
ok "dumb: a numbered list" shows '^ +1 +web1 +SG_Current'
ok "dumb: a prompt" shows 'number or name:'
keys 2 Enter
ok "dumb: a number connects" shows '[$#]$'
keys 'echo $TERM $(id -un)' Enter
ok "dumb: as that login" shows 'dumb deploy'
keys 'exit 5' Enter
ok "dumb: status" ends 5
opens robot dumb
shows 'number or name:' && keys ops@web1 Enter
ok "dumb: a name connects" shows '[$#]$'
keys 'exit 0' Enter
ends 0
opens robot dumb
shows 'number or name:' && keys nowhere Enter
ok "dumb: no such name" shows 'nothing is called nowhere'
keys q Enter
ok "dumb: q leaves with 0" ends 0

# --- no terminal at all
robot() {
	lab_ssh robot 203.0.113.7 robot@bastion
}
ok "no terminal: the list, and 0" \
	eval 'robot </dev/null | grep -q "1  web1 "'
piped() {
	printf '1\necho PIPED $((6 * 7))\nexit 9\n' | robot >"$LAB/out" 2>&1
	[ $? -eq 9 ] && grep -q 'PIPED 42' "$LAB/out"
}
ok "no terminal: choice, input and status" piped
often() {
	local i
	# shellcheck disable=SC2034
	for i in 1 2 3 4 5 6 7 8; do
		piped || return 1
	done
}
ok "whenever the input comes" often
ok "a command is still the bastion's" eval \
	'lab_ssh robot 203.0.113.7 -tt robot@bastion whoami </dev/null |
	grep -q "user *robot"'

# --- four eyes after the choice
opens carol xterm
shows '^> web1' && keys Enter
ok "a choice that wants approval waits" \
	shows 'needs an approval by SysAdmins'
as_bob() {
	lab_ssh bob 203.0.113.7 bob@bastion "$@" </dev/null
}
id=$(as_bob requests | awk '/carol/ { print $1 }')
ok "it is a request" test -n "$id"
as_bob approve "$id" >/dev/null
ok "approved, it begins" shows '[$#]$'
keys 'exit 4' Enter
ok "and ends with its status" ends 4
opens carol xterm
shows '^> web1' && keys Enter
shows 'Ctrl-C leaves' && keys C-c
ok "who waits may leave" ends 0
opens carol xterm
shows '^> web1' && keys Enter
shows 'needs an approval' &&
	id=$(as_bob requests | awk '/carol/ { print $1 }')
as_bob deny "$id" >/dev/null
ok "denied: the user is told" shows 'not approved'
ok "denied: status" ends 255
terminal kill-server
lab_summary
