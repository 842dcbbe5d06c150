#!/bin/bash
# build.sh BUILD VERSION: packages what BUILD holds as RPMs into BUILD/rpm, by
# the same spec that builds from source elsewhere. The names of what is needed
# to build are another distribution's, so they are not asked for here; what the
# programs need at run time rpm finds in them.
set -eu
cd "$(dirname "$0")/../.."
build=$(cd "$1" && pwd) version=$2
top=$build/rpm
umask 022
rm -rf "$top"
mkdir -p "$top/SOURCES" "$top/SPECS"
epoch=$(date -u -d "$(sed -n '/^%changelog/{n;s/^\* \([A-Z][a-z]* [A-Z][a-z]* [0-9]* [0-9]*\).*/\1/p}' \
	conf/rpm/sgbridge.spec)" +%s)
export SOURCE_DATE_EPOCH=$epoch
# What git knows, as it is here.
git ls-files -z | tar -c --null -T - --sort=name --owner=0 --group=0 \
	--numeric-owner --mtime="@$epoch" \
	--transform "s,^,sgbridge-$version/," --ignore-failed-read |
	gzip -9n >"$top/SOURCES/sgbridge-$version.tar.gz"
player=
[ ! -e "$build/player/asciinema-player.min.js" ] || player='--with player'
# shellcheck disable=SC2086
rpmbuild -bb --nodeps $player --define "_topdir $top" --define "sgb_build $build" \
	--define "sgb_version $version" \
	--define "_unitdir /usr/lib/systemd/system" \
	--define "_sysusersdir /usr/lib/sysusers.d" \
	--define "_tmpfilesdir /usr/lib/tmpfiles.d" conf/rpm/sgbridge.spec \
	>"$top/log" 2>&1 || {
	tail -n 20 "$top/log" >&2
	exit 1
}
find "$top/RPMS" -name '*.rpm' -exec mv {} "$top/" \;
rm -rf "$top/BUILD" "$top/BUILDROOT" "$top/RPMS" "$top/SRPMS" "$top/SPECS"
ls "$top"/*.rpm
