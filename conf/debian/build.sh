#!/bin/bash
# build.sh BUILD VERSION: assembles the Debian packages of BUILD into
# BUILD/deb. Files come from `make install`, so that what is packaged is what
# is tested; they are stripped, dated by the changelog, and owned by root.
# The same input gives the same bytes.
set -eu
cd "$(dirname "$0")/../.."
build=$1 version=$2
here=conf/debian
out=$build/deb
umask 022
SOURCE_DATE_EPOCH=$(dpkg-parsechangelog -l "$here/changelog" -S Timestamp)
export SOURCE_DATE_EPOCH
[ "$(dpkg-parsechangelog -l "$here/changelog" -S Version)" = "$version" ] || {
	echo "$here/changelog is not about version $version" >&2
	exit 1
}
arch=$(dpkg --print-architecture)
rm -rf "$out"
mkdir -p "$out/stage" "$out/source/debian"
make --no-print-directory BUILD="$build" VERSION="$version" \
	DESTDIR="$PWD/$out/stage" install >"$out/install.log"
cp "$here/control" "$here/changelog" "$out/source/debian/"

# take PACKAGE: moves the files of its list out of the stage; the package
# sgbridge is last and has all manual pages that are left.
take() {
	local package=$1 root=$out/$1 pattern path
	while read -r pattern; do
		# Patterns in the list are meant.
		# shellcheck disable=SC2231
		for path in "$out"/stage$pattern; do
			if [ ! -e "$path" ]; then
				path=${path#"$out/stage"}
				[ "$path" != /usr/share/sgbridge/player ] ||
					path="player (make player)"
				echo "$package: no $path" >&2
				continue
			fi
			path=${path#"$out/stage"}
			mkdir -p "$root${path%/*}"
			mv "$out/stage$path" "$root$path"
		done
	done <"$here/$package.install"
}
finish() {
	local package=$1 root=$out/$1 file name
	install -d "$root/DEBIAN" "$root/usr/share/doc/$package"
	install -m 0644 "$here/copyright" "$root/usr/share/doc/$package/"
	gzip -9n <"$here/changelog" >"$root/usr/share/doc/$package/changelog.gz"
	find "$root" -path '*/man/*' -type f -exec gzip -9n {} +
	find "$root" -type f \( -path '*bin/*' -o -path '*/libexec/*' -o \
		-name '*.so' \) -exec strip --strip-unneeded \
		--remove-section=.comment {} +
	for name in preinst postinst prerm postrm; do
		[ ! -e "$here/$package.$name" ] ||
			install -m 0755 "$here/$package.$name" \
				"$root/DEBIAN/$name"
	done
	[ ! -e "$here/$package.lintian-overrides" ] ||
		install -D -m 0644 "$here/$package.lintian-overrides" \
			"$root/usr/share/lintian/overrides/$package"
	control "$package" >"$root/DEBIAN/control"
	(cd "$root" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' |
		sort -z | xargs -0 md5sum >DEBIAN/md5sums)
	find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
	file=$out/${package}_${version}_$arch.deb
	dpkg-deb --root-owner-group -Zxz --build "$root" "$file" >/dev/null
	echo "$file"
}
# The libraries of the programs, by the packages that they come from.
libraries() {
	local package=$1
	(
		cd "$out/source"
		find "../$package" -type f \( -path '*bin/*' -o \
			-path '*/libexec/*' -o -name '*.so' \) -print0 |
			xargs -0 dpkg-shlibdeps -O \
				2>"../$package.shlibs"
	) | sed 's/^shlibs:Depends=//'
}
control() {
	local package=$1 depends
	depends=$(libraries "$package")
	[ -n "$depends" ] || {
		cat "$out/$package.shlibs" >&2
		return 1
	}
	echo "Package: $package"
	echo "Source: sgbridge"
	echo "Version: $version"
	sed -n '/^Maintainer:/p;/^Section:/p;/^Priority:/p' "$here/control"
	echo "Installed-Size: $(du -ks --apparent-size "$out/$package" |
		cut -f1)"
	sed -n "/^Package: $package\$/,/^\$/p" "$here/control" |
		sed "1d;/^\$/d;s/\${shlibs:Depends}/$depends/
			s/\${binary:Version}/$version/
			s/^Architecture: any/Architecture: $arch/"
}
take libpam-sgbridge
install -d -m 0755 "$out/libpam-sgbridge/etc/sgbridge" \
	"$out/libpam-sgbridge/var/lib/sgbridge"
install -d -m 0700 "$out/libpam-sgbridge/var/lib/sgbridge/otp"
take sgbridge-audit
take sgbridge
mkdir -p "$out/sgbridge/usr/share"
mv "$out/stage/usr/share/man" "$out/sgbridge/usr/share/"
find "$out/sgbridge" -type d -empty -delete
left=$(find "$out/stage" -type f)
[ -z "$left" ] || {
	echo "in no package: $left" >&2
	exit 1
}
for package in sgbridge libpam-sgbridge sgbridge-audit; do
	finish "$package"
done
rm -rf "$out/stage" "$out/source"
