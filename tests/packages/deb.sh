#!/bin/bash
# The Debian packages in a root of their own, made by debootstrap from the
# sources that this machine uses: install, upgrade, refuse to lock anybody
# out, remove, purge. Nothing of the host is changed.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${1:-build}
for tool in debootstrap dpkg-deb apt-get; do
	command -v $tool >/dev/null || {
		echo "$tool is not here: apt-get install debootstrap dpkg-dev"
		exit 77
	}
done
[ "$(id -u)" = 0 ] || {
	echo "needs root, for chroot"
	exit 77
}
work=$(mktemp -d)
root=$work/root
trap 'umount "$root/proc" 2>/dev/null; rm -rf "$work"' EXIT
# shellcheck source=tests/check/ok.sh
. tests/check/ok.sh
arch=$(dpkg --print-architecture)
version=$(sed -n 's/^VERSION := //p' Makefile)
next=$version+next
in_root() {
	chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \
		HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive "$@"
}

packages() {
	make --no-print-directory BUILD="$build" deb
}
ok "make deb" packages
same() {
	sha256sum "$build"/deb/*.deb >"$work/sums" && packages &&
		sha256sum -c "$work/sums"
}
ok "the packages are the same bytes each time" same
if command -v lintian >/dev/null; then
	ok "lintian has nothing to say" eval 'lintian --allow-root \
		--fail-on error,warning "$build"/deb/*.deb && ! [ -s "$work/out" ]'
fi

# Where this machine takes its packages from, asked of apt.
read -r mirror suite < <(apt-get indextargets \
	--format '$(REPO_URI) $(CODENAME) $(CREATED_BY) $(COMPONENT)' |
	sed -n 's/^\([^ ]*\) \([a-z]*\) Packages main$/\1 \2/p' | head -n 1)
if [ -z "${mirror:-}" ] || ! debootstrap --variant=minbase \
	--include=systemd "$suite" "$root" "$mirror" >"$work/log" 2>&1; then
	tail -n 5 "$work/log" 2>/dev/null | sed 's/^/# /'
	echo "no root could be made from this machine's package sources"
	[ "$failed" -eq 0 ] && exit 77
	exit 1
fi
mount -t proc proc "$root/proc"
mkdir -p "$root/debs" "$root/etc/apt/apt.conf.d"
cp "$build"/deb/*.deb "$root/debs/"
# Nothing is started in there.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 0755 "$root/usr/sbin/policy-rc.d"
cp -L /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null
apt-config dump | grep -E '^Acquire::(http|https)::Proxy' \
	>"$root/etc/apt/apt.conf.d/90proxy"

ok "apt-get knows packages" in_root apt-get update -q
ok "install, with what they depend on" in_root apt-get install -qy \
	--no-install-recommends "/debs/sgbridge_${version}_$arch.deb" \
	"/debs/libpam-sgbridge_${version}_$arch.deb" \
	"/debs/sgbridge-audit_${version}_$arch.deb"
ok "nothing is left half configured" eval \
	'[ -z "$(in_root dpkg --audit)" ]'
ok "every program finds its libraries" in_root sh -c '
	for f in /usr/sbin/sgbridge* /usr/bin/sgbridge-audit \
		/usr/libexec/sgbridge/* /lib/*/security/pam_sgbridge.so; do
		! ldd "$f" | grep "not found" || exit 1
	done'
ok "users and folders are made, each its owner's alone" in_root sh -c '
	id _sgb-session && id _sgb-recorder &&
	[ "$(stat -c %U:%a /var/lib/sgbridge/recordings)" = \
		_sgb-recorder:700 ] &&
	[ "$(stat -c %U:%a /var/lib/sgbridge/otp)" = root:700 ] &&
	[ "$(stat -c %U:%a /etc/sgbridge)" = root:755 ]'
ok "units are enabled" in_root sh -c '
	systemctl is-enabled sgbridged.service sgbridge-recorder.service'
ok "no key and no settings are invented" eval \
	'[ -z "$(find "$root/etc/sgbridge" -type f)" ]'
ok "no PAM service file is changed" eval \
	'! grep -rl pam_sgbridge "$root/etc/pam.d"'
ok "guides are there, under the names that they and the manual use" \
	in_root sh -ec 'cd /usr/share/doc/sgbridge
	for file in README.md SECURITY.md $(grep -oE "docs/[A-Z]+\.md" \
		README.md); do [ -s "$file" ] || { echo "no $file"; exit 1; }; done'
ok "manual pages are where man looks" in_root sh -c '
	ls /usr/share/man/man8/sgbridged.8.gz \
		/usr/share/man/man8/pam_sgbridge.8.gz'

# --- what an administrator has made, and what must outlive everything
configured() {
	local doc=/usr/share/doc/sgbridge/examples
	in_root sh -ec "
		cp $doc/sgbridge.conf /etc/sgbridge/
		cp $doc/pam.d/sgbridge /etc/pam.d/
		sgbridge-otp master-key -o /etc/sgbridge/master.key
		sgbridge-audit writer-keygen -o /etc/sgbridge/recorder_key
		echo evidence >/var/lib/sgbridge/recordings/one.sgr
		chown _sgb-recorder: /var/lib/sgbridge/recordings/one.sgr
		echo record >/var/lib/sgbridge/otp/alice
		echo key >/etc/sgbridge/authorized_keys/alice"
	(cd "$root" && find etc/sgbridge var/lib/sgbridge -type f -exec \
		sha256sum {} + | sort >"$work/kept")
	[ "$(wc -l <"$work/kept")" -ge 6 ]
}
kept() {
	(cd "$root" && sha256sum -c "$work/kept")
}
ok "settings, keys and records are made" configured

# --- upgrade to the same programs with the next number
next_version() {
	local file dir=$work/next
	for file in "$build"/deb/*.deb; do
		rm -rf "$dir"
		dpkg-deb -R "$file" "$dir"
		sed -i "s/^Version: .*/Version: $next/;s/(= $version)/(= $next)/" \
			"$dir/DEBIAN/control"
		dpkg-deb --root-owner-group -Znone -b "$dir" \
			"$root/debs/" >/dev/null || return 1
	done
}
ok "the next version" next_version
ok "upgrade" in_root sh -c "dpkg -i /debs/*_${next}_*.deb"
ok "upgrade keeps everything" kept
ok "a second upgrade changes nothing" in_root sh -c \
	"dpkg -i /debs/*_${next}_*.deb"
ok "going back to the old version works" in_root sh -c \
	"dpkg -i /debs/*_${version}_*.deb"
ok "units are still enabled" in_root systemctl is-enabled \
	sgbridged.service sgbridge-recorder.service

# --- removing the module must not lock anybody out
guarded() {
	echo 'auth requisite pam_sgbridge.so' >"$root/etc/pam.d/sshd"
	! in_root dpkg -r sgbridge libpam-sgbridge >"$work/refusal" 2>&1 &&
		grep -q 'etc/pam.d/sshd still uses the module' \
			"$work/refusal" &&
		[ -n "$(ls "$root"/lib/*/security/pam_sgbridge.so)" ]
}
ok "the module is not removed while sshd's PAM service needs it" guarded
released() {
	# The command that the refusal names.
	local line
	line=$(sed -n 's/^  \(sed .*\)/\1/p' "$work/refusal")
	in_root sh -c "$line" && grep -q '^#auth' "$root/etc/pam.d/sshd" &&
		in_root dpkg -r sgbridge libpam-sgbridge sgbridge-audit
}
ok "it is, after the command that the refusal names" released
ok "remove keeps everything" kept
ok "remove takes the programs" eval \
	'[ -z "$(find "$root/usr/sbin" "$root/usr/bin" "$root/usr/libexec" \
		-name "sgbridge*")" ]'
ok "purge" eval 'in_root dpkg -P sgbridge libpam-sgbridge sgbridge-audit \
	>"$work/purge" 2>&1'
ok "purge keeps recordings, keys, factors and settings" kept
ok "and says so, with the command that deletes" eval \
	'grep -q "rm -r /var/lib/sgbridge" "$work/purge" &&
	grep -q "rm -r /etc/sgbridge" "$work/purge"'
ok "their owner still has a name" in_root id _sgb-recorder
ok "install after purge" in_root sh -c "dpkg -i /debs/*_${version}_*.deb"
ok "finds everything as it was" kept
# Whatever somebody enabled; a link's name tells, its contents are nothing.
clean() {
	in_root systemctl enable sgbridged.socket sgbridge-nftables \
		sgbridge-forward && [ -n "$(links)" ] &&
		rm -r "$root/etc/sgbridge" "$root/var/lib/sgbridge" &&
		in_root dpkg -P sgbridge libpam-sgbridge sgbridge-audit
}
links() {
	find "$root/etc/systemd" "$root/var/lib/systemd" -name '*sgbridge*'
}
ok "purge of an empty installation" clean
ok "leaves nothing of systemd's" eval 'links; [ -z "$(links)" ]'
ok_summary
