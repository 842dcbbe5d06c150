#!/bin/bash
# The spec makes three packages with the files, modes and scripts that Debian's
# have, the same bytes each time; what is installed into a folder runs; and the
# module is not removed while a PAM service names it.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${1:-build}
command -v rpmbuild >/dev/null || {
	echo "rpm is not here"
	exit 77
}
[ "$(id -u)" = 0 ] || {
	echo "needs root, for chroot"
	exit 77
}
work=$(mktemp -d)
trap 'umount -R "$work/host" 2>/dev/null; rm -rf --one-file-system "$work"' EXIT
# shellcheck source=tests/check/ok.sh
. tests/check/ok.sh
version=$(sed -n 's/^VERSION := //p' Makefile)
pack() { conf/rpm/build.sh "$build" "$version"; }
ok "the spec builds" pack
ok "the same bytes again" eval 'sha256sum "$build"/rpm/*.rpm >"$work/sums" &&
	pack && sha256sum -c "$work/sums"'
if command -v rpmlint >/dev/null; then
	# Not this distribution's: its dictionary of licences and of folders
	# does not know rpm's hosts.
	ok "rpmlint finds no error in the spec" eval \
		'rpmlint conf/rpm/sgbridge.spec | tee "$work/lint" |
		grep -q " 0 errors"'
fi
one() { ls "$build/rpm/$1-$version"-*.rpm; }
list() { rpm -qp --qf "[%{FILEMODES:perms} %{FILENAMES}\n]" "$(one "$1")"; }
has() { list "$1" | grep -qxE -e "$2"; }
ok "the proxy is in sgbridge" has sgbridge '-rwxr-xr-x /usr/sbin/sgbridged'
ok "its helpers too" has sgbridge \
	'-rwxr-xr-x /usr/libexec/sgbridge/sgbridge-session'
ok "the module is in pam-sgbridge" has pam-sgbridge \
	'-rw-r--r-- /.*/security/pam_sgbridge.so'
ok "the folder of secrets is root's alone" has pam-sgbridge \
	'drwx------ /var/lib/sgbridge/otp'
ok "the auditor's command is in sgbridge-audit" has sgbridge-audit \
	'-rwxr-xr-x /usr/bin/sgbridge-audit'
ok "no key, setting or recording is anybody's to delete" eval \
	'! { list sgbridge; list pam-sgbridge; list sgbridge-audit; } |
	grep -E " /(etc/sgbridge|var/lib/sgbridge)/." | grep -v "/otp$"'
deb_files() {
	find "$work/stage" -type f -printf '/%P\n' | sort
}
whole() {
	make -s BUILD="$build" DESTDIR="$work/stage" install >/dev/null &&
		{ list sgbridge; list pam-sgbridge; list sgbridge-audit; } |
		sed -n 's/^-[^ ]* //p' | sed 's/\.gz$//; s,.*/,,' | sort \
			>"$work/in" &&
		deb_files | sed 's,.*/,,' | sort >"$work/installed" &&
		diff "$work/installed" "$work/in"
}
ok "what make install installs is in a package, once" whole
ok "units, manual pages" eval 'has sgbridge ".* .*/sgbridged.service" &&
	has sgbridge ".* .*/man8/sgbridged.8(.gz)?"'
ok "it needs the libraries that it links" eval 'rpm -qp --requires \
	"$(one sgbridge)" | grep -q "^libssh.so.4" &&
	rpm -qp --requires "$(one sgbridge)" | grep -q "^pam-sgbridge = "'

# What the programs link, by the names that are asked for before building.
needs() {
	rpmspec -q --buildrequires "$@" conf/rpm/sgbridge.spec
}
asked_for() {
	local library name status=0
	needs >"$work/needs" || return
	for library in $(readelf -d "$build"/sgbridge* "$build/pam_sgbridge.so" |
		sed -n 's/.*NEEDED.*\[\(.*\)\.so.*/\1/p' | sort -u); do
		case $library in
		libc | libm | ld-linux* | libgcc_s | lib*san) continue ;;
		libIPSec_MB) name=intel-ipsec-mb-devel ;;
		libpam) name=pam-devel ;;
		libtsm) name=libtsm-devel ;;
		libssh | libssl | libcrypto | libseccomp | libzstd | \
			libqrencode | liboath) name="pkgconfig($library)" ;;
		libp11-kit) name='pkgconfig(p11-kit-1)' ;;
		libjansson | libsqlite3 | libaudit)
			name="pkgconfig(${library#lib})" ;;
		*) name="a package with $library" ;;
		esac
		sed 's/ .*//' "$work/needs" | grep -qxF "$name" && continue
		echo "no BuildRequires: $name"
		status=1
	done
	return "$status"
}
ok "what it is linked with is asked for before" asked_for
# The next version, with the player of exported pages, which goes to who exports
# them; this is not it.
next=$version.1
with_player() {
	local folder=$work/build entry player=/usr/share/sgbridge/player
	mkdir -p "$folder/player"
	for entry in "$build"/*; do
		case ${entry##*/} in rpm | player) continue ;; esac
		ln -s "$(readlink -f "$entry")" "$folder/" || return
	done
	for entry in min.js css apache2; do
		echo "not it" >"$folder/player/asciinema-player.$entry"
	done
	conf/rpm/build.sh "$folder" "$next" &&
		rpm -qpl "$folder/rpm/sgbridge-audit-$next"-*.rpm |
		grep -xF "$player/asciinema-player.min.js" &&
		! rpm -qpl "$folder/rpm/sgbridge-$next"-*.rpm | grep player &&
		rpm -qp --provides "$folder/rpm/sgbridge-audit-$next"-*.rpm |
		grep -qxF "bundled(asciinema-player) = $(sed -n 's/^version=//p' \
			conf/player/fetch.sh)" &&
		needs --with player | grep -qx openssl
}
ok "the player, where there is one, is in sgbridge-audit" with_player

# --- installed, in a copy-on-write view of this host, where the stand-in for
# systemctl notes what it is told
mkdir "$work/host" "$work/tmp"
mount -t tmpfs tmpfs "$work/tmp"
mkdir "$work/tmp/up" "$work/tmp/work"
layered() {
	mount -t overlay overlay -o "lowerdir=/,upperdir=$work/tmp/up,workdir=$work/tmp/work" \
		"$work/host"
}
if layered 2>/dev/null; then
	# shellcheck source=tests/check/rpm_scripts.sh
	. tests/check/rpm_scripts.sh
	umount -R "$work/host"
else
	echo "# not tried: no overlay to install into"
fi
umount "$work/tmp"
ok_summary
