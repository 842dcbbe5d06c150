#!/bin/bash
# The newest OpenSSH client that Debian has (sid), by its own loader and
# libraries from a folder, through both doors: what comes next year to people's
# desks must find nothing here that it no longer speaks. Its packages come
# from where this machine takes its own, and are kept beside the build.
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=${1:-build}
# shellcheck source=tests/e2e/lab.sh
. "$here/lab.sh"
# shellcheck source=tests/packages/root.sh
. "$here/../packages/root.sh"
packages='openssh-client libc6 libssl3t64 zlib1g libzstd1 libselinux1
	libpcre2-8-0 libgssapi-krb5-2 libkrb5-3 libk5crypto3 libkrb5support0
	libcom-err2 libkeyutils1 libedit2 libtinfo6 libbsd0 libmd0 libgcc-s1'

# fetch FOLDER: sid's client, unpacked there, with lists and settings of apt
# of its own.
fetch() {
	local root=$1 mirror
	read -r mirror _ < <(root_source)
	[ -n "${mirror:-}" ] || return 1
	mkdir -p "$root/apt/lists/partial" "$root/apt/archives/partial" \
		"$root/deb"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] \
$mirror sid main" >"$root/apt/sources"
	: >"$root/apt/status"
	cat >"$root/apt/conf" <<-END
		Dir::Etc::SourceList "$root/apt/sources";
		Dir::Etc::SourceParts "/dev/null";
		Dir::State "$root/apt";
		Dir::State::Lists "$root/apt/lists";
		Dir::State::status "$root/apt/status";
		Dir::Cache "$root/apt";
		APT::Sandbox::User "root";
		Acquire::Retries "1";
		Acquire::http::Timeout "20";
		Acquire::https::Timeout "20";
	END
	# shellcheck disable=SC2086
	APT_CONFIG=$root/apt/conf timeout 120 apt-get update -qq &&
		(cd "$root/deb" && APT_CONFIG=$root/apt/conf timeout 120 \
			apt-get download -qq $packages) || return 1
	for deb in "$root"/deb/*.deb; do
		dpkg-deb -x "$deb" "$root" || return 1
	done
	rm -rf "$root/apt" "$root/deb"
}

build=$(cd "$BUILD" && pwd)
archive=$build/newest-client.tar
sid=$build/newest-client
if [ -z "$(find "$archive" -mmin -1440 2>/dev/null)" ]; then
	rm -rf "$sid.new"
	mkdir -p "$sid.new"
	if fetch "$sid.new" >"$build/newest-client.log" 2>&1; then
		tar -cf "$archive.new" -C "$sid.new" . &&
			mv "$archive.new" "$archive"
	fi
	rm -rf "$sid.new"
fi
[ -f "$archive" ] || {
	tail -n 3 "$build/newest-client.log" | sed 's/^/# /'
	echo 'no network: the newest client cannot be fetched'
	exit 77
}
rm -rf "$sid"
mkdir "$sid" && tar -xf "$archive" -C "$sid" || exit 1
loader=$(find "$sid" -name 'ld-linux*.so.*' | head -n 1)
libraries=$(find "$sid" -name 'libcrypto.so.3' -printf '%h\n' | head -n 1)
# Programs under their own names: ssh starts itself for -J, scp and sftp
# start ssh.
mkdir "$sid/run"
for program in ssh scp sftp; do
	cat >"$sid/run/$program" <<-END
		#!/bin/sh
		exec '$loader' --library-path '$libraries' \
			--argv0 '$sid/run/$program' '$sid/usr/bin/$program' "\$@"
	END
	chmod 0755 "$sid/run/$program"
done
version=$("$sid/run/ssh" -V 2>&1)
echo "# $version"
lab_up || exit 1
robot() {
	local program=$1
	shift
	lab_client_run "$sid/run/$program" robot 203.0.113.7 "$@"
}
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
	in_ns client timeout 60 "$sid/run/$program" -F "$LAB/ssh_jump" "$@"
}
ok "it is newer than ours" eval \
	'[ "$version" != "$(ssh -V 2>&1)" ] && [[ $version == OpenSSH_* ]]'
ok "by name: exec, both streams, exit status" eval \
	'[ "$(robot ssh robot+ops@web1@bastion "echo a; echo b >&2; exit 7" \
	2>"$LAB/err" </dev/null; echo "$?$(grep -c "^b" "$LAB/err")")" = "a
71" ]'
ok "by recorded ProxyJump" eval \
	'[ "$(jump ssh ops@web1 "echo a; exit 7" </dev/null 2>"$LAB/err"
	echo $?)" = "a
7" ]' || sed 's/^/# /' "$LAB/err"
ok "a terminal" eval 'robot ssh -tt robot+ops@web1@bastion tty </dev/null \
	2>/dev/null | grep -q /dev/pts'
ok "two factors, and the menu behind them" eval \
	'lab_client_run "$sid/run/ssh" alice 203.0.113.9 alice@bastion hosts \
	</dev/null 2>"$LAB/err" | grep -q web1' || sed 's/^/# /' "$LAB/err"
head -c 3000000 /dev/urandom >"$LAB/data"
same() {
	cmp -s "$LAB/data" "$1"
}
# The new scp speaks SFTP, with its newest extensions; -O the old protocol.
for way in '' -O; do
	ok "scp $way by name, there and back" eval \
		'robot scp $way -S "$sid/run/ssh" "$LAB/data" \
		robot+ops@web1@bastion:one >/dev/null 2>"$LAB/err" &&
		same "$LAB/web1/home/one" && robot scp $way \
		-S "$sid/run/ssh" robot+ops@web1@bastion:one "$LAB/back" \
		>/dev/null 2>"$LAB/err" && same "$LAB/back"' ||
		sed 's/^/# /' "$LAB/err"
	ok "scp $way by ProxyJump" eval 'jump scp $way -S "$sid/run/ssh" \
		"$LAB/data" ops@web1:two >/dev/null 2>"$LAB/err" &&
		same "$LAB/web1/home/two"' || sed 's/^/# /' "$LAB/err"
	rm -f "$LAB/web1/home/one" "$LAB/web1/home/two" "$LAB/back"
done
ok "sftp" eval 'printf "put %s three\nget three %s\n" "$LAB/data" \
	"$LAB/back" | jump sftp -S "$sid/run/ssh" -b - ops@web1 \
	>"$LAB/out" 2>&1 && same "$LAB/back"'
# A limit of 64 KiB: dozens of key exchanges while bytes move.
ok "keys exchanged over and over" eval 'robot ssh \
	-o RekeyLimit=64K robot+ops@web1@bastion "cat" <"$LAB/data" \
	>"$LAB/back" 2>"$LAB/err" && same "$LAB/back"'
ok "no warning of what is old" eval 'robot ssh -o LogLevel=INFO \
	robot+ops@web1@bastion true </dev/null >"$LAB/out" 2>&1
	! grep -i "deprecated\|not using a post-quantum\|weak" "$LAB/out" ||
	! pkg-config --atleast-version=0.12 libssh'
rm -rf "$sid"
lab_summary
