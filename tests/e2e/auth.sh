#!/bin/bash
# Authentication against the whole bastion, message by message: who is not let
# in learns nothing, by bytes or by time, of who there is; proofs that were
# made for something else are none; the order of the factors is fixed.
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=${1:-build}
# shellcheck source=tests/e2e/lab.sh
. "$here/lab.sh"
export LAB_POLICY_EXTRA='
group More carol, dave
keys { accept ed25519, ecdsa, rsa >= 2048
root-login no }
permit More from office to SG_Current as ops { mfa always; allow shell }'
lab_up || exit 1
by_hand() { # key case...
	local key=$LAB/users/$1
	shift
	in_ns client timeout 120 "$here/auth.py" 203.0.113.1 "$key" "$@" \
		2>"$LAB/err"
}
says() { # wanted key case...
	local want=$1 got
	shift
	got=$(by_hand "$@" | tr '\n' ' ')
	[ "$got" = "$want " ] && return
	echo "# $got"
	tail -n 3 "$LAB/err" | sed 's/^/# /'
	return 1
}
# carol has a key and no second factor; dave is locked; eve is in no rule;
# root and nobody are accounts of the host; the rest is nobody at all.
for user in carol dave; do
	lab_user "$user"
done
lab_enrol dave
ssh-keygen -q -t ed25519 -N '' -C eve -f "$LAB/users/eve"
install -m 0644 "$LAB/users/eve.pub" "$LAB/authorized_keys/eve"
"$BUILD/sgbridge" lock -c "$LAB/sgbridge.conf" dave test >/dev/null 2>&1 ||
	"$BUILD/sgbridge" lock dave test -c "$LAB/sgbridge.conf" >/dev/null 2>&1
people='alice carol dave eve root nobody unknown'
look_alike() {
	# shellcheck disable=SC2086 # the list
	by_hand stranger look $people >"$LAB/look"
	[ "$(wc -l <"$LAB/look")" = 7 ] && [ "$(sort -u "$LAB/look" |
		wc -l)" = 1 ] && grep -q '^51,51,51,51,51 ' "$LAB/look" && return
	sed 's/^/# /' "$LAB/look" "$LAB/err"
	return 1
}
ok "whoever is asked for with a stranger's key: the same bytes" look_alike
overlap() {
	# shellcheck disable=SC2086
	by_hand stranger time 12 $people >"$LAB/times"
	[ "$(wc -l <"$LAB/times")" = 6 ] || return 1
	# Nobody is told apart by more than noise; the bounds are wide, since
	# this is no measurement.
	awk '$1 < 0.1 || $1 > 0.9 { bad = 1 } END { exit bad }' "$LAB/times" &&
		return
	sed 's/^/# /' "$LAB/times"
	return 1
}
ok "and times that cannot be told apart" overlap
ok "locked, with the right key: as a wrong one" says 51 dave good_as dave
ok "in no rule, with the right key: as a wrong one" says 51 eve good_as eve

# --- proofs
ok "a proof logs on" says 52 robot good
# libssh leaves some of what it refuses unanswered, until the grace time ends.
no_way() {
	by_hand "$@" >"$LAB/out"
	grep -qx '\(51 \)\?\(60 \)\?\(51\|cut\|silent\)' "$LAB/out" && return
	sed 's/^/# /' "$LAB/out"
	return 1
}
ok "one for another connection does not" no_way robot other_session
ok "one that names another service does not" no_way robot other_service
# libssh from 0.12 on knows what that is, and leaves it without an answer.
unbound() {
	says 51 robot hostbound || says silent robot hostbound
}
ok "one bound to another host's key does not" unbound
ssh-keygen -q -t rsa -b 2048 -N '' -f "$LAB/users/rsa"
ssh-keygen -q -t rsa -b 1024 -N '' -f "$LAB/users/short"
cat "$LAB/users/rsa.pub" "$LAB/users/short.pub" >>"$LAB/authorized_keys/robot"
ok "RSA with SHA-512" says 52 robot rsa "$LAB/users/rsa" sha512
ok "RSA with SHA-1 does not" no_way robot rsa "$LAB/users/rsa" sha1
ok "RSA of 1024 bits does not" no_way robot rsa "$LAB/users/short" sha512
ok "keys that are none" says refused robot blobs
ok "names that are none" says refused robot names
ok "messages of a server's" says refused robot server_only

# --- the order of the factors
ok "no prompt before the key" says 51 alice kbd_first
ok "nor with a wrong one" says '51 51' stranger responses_wrong
ok "one answer to one prompt is judged" says '51 60 51' alice responses 1
for count in 0 2 4294967295; do
	ok "$count answers to one prompt: no way" no_way alice responses "$count"
done
ok "an answer that nothing asked for: cut" says '51 cut' alice unasked

# --- files of keys that are not to be trusted, or not to be read
robots=$LAB/authorized_keys/robot
good() {
	says 52 robot good
}
bad() {
	says 51 robot good
}
cp "$robots" "$LAB/robots"
fresh() {
	rm -rf "$robots"
	install -m 0644 "$LAB/robots" "$robots"
}
ok "a plain file" good
chmod 0664 "$robots"
ok "one that a group may write" bad
fresh
chown 64202 "$robots"
ok "one that is not root's" bad
rm "$robots"
ln -s "$LAB/robots" "$robots"
ok "a symbolic link" bad
rm "$robots"
mkfifo "$robots"
ok "a FIFO, without waiting for it" bad
rm "$robots"
mkdir "$robots"
ok "a folder" bad
fresh
chmod 0777 "$LAB/authorized_keys"
ok "a folder that anybody may write" bad
chmod 0755 "$LAB/authorized_keys"
{
	printf 'x%.0s' $(seq 100000)
	printf ' '
	cat "$LAB/users/robot.pub"
} >"$robots"
ok "a line of 100 kB: its tail is no line" bad
tr '\n' '\r' <"$LAB/robots" | sed 's/^/# all of it\r/' >"$robots"
ok "lines that end in CR alone are one line" bad
printf '\357\273\277' | cat - "$LAB/users/robot.pub" >"$robots"
ok "a byte order mark is part of no line" bad
printf 'from="10.0.0.0/8\0" ' | cat - "$LAB/users/robot.pub" >"$robots"
ok "a NUL is in no line" bad
{
	for i in $(seq 5000); do
		echo "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f $i"
	done
	cat "$LAB/robots"
} >"$robots"
ok "the last of 5000" good
fresh
ok "the file as it was" good
lab_summary
