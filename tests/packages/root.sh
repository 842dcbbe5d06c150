# A Debian root of its own for a test, from the sources that this machine
# uses: made by debootstrap once and kept beside the build as an archive, so
# that each test begins with the same. Sourced.
# shellcheck shell=bash disable=SC2034

# What the tests want in there beside the packages' own dependencies.
ROOT_INCLUDE=systemd,openssh-server,openssh-client,sudo,oathtool,nftables
ROOT_INCLUDE=$ROOT_INCLUDE,faketime,procps,iproute2,auditd

# Where this machine takes its packages from, asked of apt; SGB_ROOT_SUITE is
# another release than its own.
root_source() {
	apt-get indextargets \
		--format '$(REPO_URI) $(CODENAME) $(CREATED_BY) $(COMPONENT)' |
		sed -n 's/^\([^ ]*\) \([a-z]*\) Packages main$/\1 \2/p' |
		sed "1!d;${SGB_ROOT_SUITE:+s/ .*/ $SGB_ROOT_SUITE/}"
}

# root_make BUILD FOLDER: a root with apt's lists and our packages' libraries.
root_make() {
	local build=$1 root=$2 mirror suite archive log gcm=
	read -r mirror suite < <(root_source)
	[ -n "${mirror:-}" ] || return 1
	archive=$build/root-$suite.tar
	log=$build/root.log
	mkdir -p "$root"
	if [ -n "$(find "$archive" -mmin -720 2>/dev/null)" ]; then
		tar -xf "$archive" -C "$root" && return
	fi
	# A mirror may fail once.
	debootstrap --variant=minbase --include="$ROOT_INCLUDE" "$suite" \
		"$root" "$mirror" >"$log" 2>&1 ||
		{ rm -rf "$root" && mkdir "$root" && debootstrap \
			--variant=minbase --include="$ROOT_INCLUDE" "$suite" \
			"$root" "$mirror" >"$log" 2>&1; } || {
		tail -n 5 "$log" | sed 's/^/# /'
		return 1
	}
	# Nothing is started in there.
	printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
	chmod 0755 "$root/usr/sbin/policy-rc.d"
	cp -L /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null
	apt-config dump | grep -E '^Acquire::(http|https)::Proxy' \
		>"$root/etc/apt/apt.conf.d/90proxy"
	# A mirror may be a picture of some weeks ago; it is signed all the
	# same.
	echo 'Acquire::Check-Valid-Until "false";' \
		>"$root/etc/apt/apt.conf.d/90mirror"
	root_run "$root" apt-get update -q >>"$log" 2>&1 || return 1
	# Its number is the release's.
	[ "$(uname -m)" != x86_64 ] || gcm=$(root_run "$root" apt-cache \
		pkgnames libipsec-mb | grep -x 'libipsec-mb[0-9]*')
	# The libraries and what is recommended, so that each test installs from
	# its own files alone.
	root_run "$root" apt-get install -qy --no-install-recommends \
		libssh-4 libjansson4 liboath0 libqrencode4 libtsm4 \
		libsqlite3-0 libaudit1 libseccomp2 libp11-kit0 \
		libpam-pwquality ${gcm:+"$gcm"} \
		>>"$log" 2>&1
	tar -cf "$archive.new" -C "$root" . && mv "$archive.new" "$archive"
}

# root_archive BUILD: makes the archive for those who will have no network.
root_archive() {
	local work
	work=$(mktemp -d)
	root_make "$1" "$work/root"
	rm -rf --one-file-system "$work"
}

root_run() {
	local root=$1
	shift
	chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \
		HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive "$@"
}
