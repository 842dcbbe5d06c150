#!/bin/bash
# An instance that runs dropbear, as small devices do. It knows no
# certificates, so a stored key logs on there; shell, commands, files by every
# way, and keys exchanged anew by both sides.
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=${1:-build}
# shellcheck source=tests/e2e/lab.sh
. "$here/lab.sh"
for program in dropbear dropbearkey; do
	command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ] || {
		echo "not installed: $program"
		exit 77
	}
done
export LAB_CONF_EXTRA='target-auth-timeout 10s'
eval "$(declare -f lab_conf | sed '1s/lab_conf/lab_usual_conf/')"
lab_conf() {
	LAB_CONF_EXTRA="target-keys $LAB/keys"
	lab_usual_conf
}
eval "$(declare -f lab_instance | sed '1s/lab_instance/lab_sshd/')"
lab_instance() {
	local name=$1 address=$2 dir=$LAB/$1
	[ "$name" = web1 ] || {
		lab_sshd "$@"
		return
	}
	mkdir -p "$dir/home/.ssh"
	: >"$dir/home/.ssh/authorized_keys"
	chmod 0700 "$dir/home" "$dir/home/.ssh"
	chown -R "$LAB_OPS_UID:$LAB_OPS_UID" "$dir/home"
	dropbearkey -t ed25519 -f "$dir/hostkey" 2>/dev/null |
		grep '^ssh-ed25519' >"$dir/hostkey.pub"
	printf 'root:x:0:0:root:/root:/bin/bash\nops:x:%s:%s::%s:/bin/bash\n' \
		"$LAB_OPS_UID" "$LAB_OPS_UID" "$dir/home" >"$dir/passwd"
	printf 'root:x:0:\nops:x:%s:\ntty:x:5:\n' "$LAB_OPS_UID" >"$dir/group"
	printf 'root:*:19000::::::\nops:*:19000::::::\n' >"$dir/shadow"
	lab_start "$dir/sshd.log" ip netns exec "$lab_tag-$name" \
		unshare -m --propagation private sh -ec "
		mount --bind '$dir/passwd' /etc/passwd
		mount --bind '$dir/group' /etc/group
		mount --bind '$dir/shadow' /etc/shadow
		mount -t tmpfs tmpfs /run
		mount -t tmpfs tmpfs /var/log
		PATH=\$PATH:/usr/sbin exec dropbear -F -E -s -g -P /run/pid \
			-r '$dir/hostkey' -p '$address:22'"
}
lab_up || exit 1
"$BUILD/sgbridge" key generate web --for SG_Current -c "$LAB/sgbridge.conf" \
	>"$LAB/web1/home/.ssh/authorized_keys" 2>"$LAB/err" || {
	sed 's/^/# /' "$LAB/err"
	exit 1
}
robot() {
	lab_ssh robot 203.0.113.7 "$@"
}
ok "it refuses the certificate, in plain words" eval \
	'! robot robot+ops@web1@bastion true </dev/null 2>"$LAB/err" &&
	grep -q "connection to web1 failed" "$LAB/err"'
sed -i '/security-group SG_Current/a credential key web' "$LAB/policy.conf"
"$BUILD/sgbridge" reload -c "$LAB/sgbridge.conf" >/dev/null
cat "$LAB/ssh_config" - >"$LAB/ssh_jump" <<-END
	  User robot
	  IdentityFile $LAB/users/robot
	  BindAddress 203.0.113.7
	Host web1
	  ProxyJump robot@bastion
END
jump() {
	local program=$1
	shift
	in_ns client timeout 60 "$program" -F "$LAB/ssh_jump" "$@"
}
ok "a command, both streams and its status" eval \
	'[ "$(robot robot+ops@web1@bastion "echo a; echo b >&2; exit 7" \
	2>"$LAB/err" </dev/null; echo "$?$(cat "$LAB/err")")" = "a
7b" ]' || sed 's/^/# /' "$LAB/err"
ok "the same by recorded ProxyJump" eval '[ "$(jump ssh ops@web1 \
	"echo a; exit 7" </dev/null 2>"$LAB/err"; echo $?)" = "a
7" ]'
# Newer ones hang up a terminal at the end of input: that stays open.
mkfifo "$LAB/typed"
exec 8<>"$LAB/typed"
printf 'tty; exit 3\n' >&8
ok "a shell with a terminal" eval \
	'robot -tt robot+ops@web1@bastion <"$LAB/typed" >"$LAB/out" \
	2>/dev/null; [ $? -eq 3 ] && grep -q /dev/pts "$LAB/out"'
exec 8>&-
ok "a command that dies by a signal" eval \
	'robot robot+ops@web1@bastion "kill -9 \$\$" </dev/null 2>/dev/null
	[ $? -ne 0 ]'
head -c 3000000 /dev/urandom >"$LAB/data"
there() {
	cmp -s "$LAB/data" "$LAB/web1/home/$1"
}
ok "stdin to its end, and back" eval 'robot robot+ops@web1@bastion cat \
	<"$LAB/data" 2>/dev/null | cmp -s - "$LAB/data"'
ok "scp's old protocol" eval 'lab_client_run scp robot 203.0.113.7 -O \
	"$LAB/data" robot+ops@web1@bastion:old >/dev/null 2>"$LAB/err" &&
	there old && jump scp -O ops@web1:old "$LAB/back" >/dev/null 2>&1 &&
	cmp -s "$LAB/data" "$LAB/back"'
ok "scp over sftp" eval 'lab_client_run scp robot 203.0.113.7 "$LAB/data" \
	robot+ops@web1@bastion:new >/dev/null 2>"$LAB/err" && there new' ||
	sed 's/^/# /' "$LAB/err"
ok "sftp" eval 'printf "put %s sftp\nls -l\n" "$LAB/data" | jump sftp -b - \
	ops@web1 >"$LAB/out" 2>&1 && there sftp && grep -q sftp "$LAB/out"'
ok "rsync" eval 'in_ns client timeout 60 rsync -e "ssh -F $LAB/ssh_jump" \
	"$LAB/data" ops@web1:rsync >/dev/null 2>&1 && there rsync'
ok "keys exchanged over and over" eval 'robot -o RekeyLimit=64K \
	robot+ops@web1@bastion cat <"$LAB/data" 2>/dev/null |
	cmp -s - "$LAB/data"'
ok "each is recorded" eval '[ "$(find "$LAB/recordings" -name "*.sgr" |
	wc -l)" -ge 10 ]'
lab_summary
