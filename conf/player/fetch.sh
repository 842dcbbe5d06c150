#!/bin/sh
# fetch.sh FOLDER: asciinema-player for the pages of "sgbridge-audit export -f
# html", from npm, into FOLDER. What comes is what this file names by its hash,
# or nothing: a registry is not trusted. It is not in the tree and never
# needed for building; without npm or a network this says so and fails, and
# pages are without it.
set -eu
version=3.18.0
integrity=5gpt2ipFcy4NKmgkv+c/QXnJ9zMicxqWROCOuJqgwwtiYKM8Qe9hnDOvfqke5bW6M2DW/seO3uQYkQ0xeUUVtw==
out=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
archive=$work/asciinema-player-$version.tgz
if [ -n "${PLAYER_ARCHIVE:-}" ]; then
	cp "$PLAYER_ARCHIVE" "$archive"
elif command -v npm >/dev/null; then
	# No scripts of packages are run by pack; the cache stays out of HOME.
	(cd "$work" && timeout 60 npm --loglevel=error \
		--cache "$work/cache" pack --ignore-scripts --fetch-retries=0 \
		"asciinema-player@$version" >/dev/null) || {
		echo "player: npm does not give asciinema-player $version" >&2
		exit 1
	}
else
	echo "player: npm is not here (apt-get install npm), or name the" \
		"package's file in PLAYER_ARCHIVE" >&2
	exit 1
fi
got=$(openssl dgst -sha512 -binary "$archive" | base64 -w0)
[ "$got" = "$integrity" ] || {
	echo "player: asciinema-player $version is not what it was:" \
		"sha512-$got" >&2
	exit 1
}
tar -xzf "$archive" -C "$work" --no-same-owner \
	package/dist/bundle/asciinema-player.min.js \
	package/dist/bundle/asciinema-player.css package/LICENSE
mkdir -p "$out"
install -m 0644 "$work/package/dist/bundle/asciinema-player.min.js" \
	"$work/package/dist/bundle/asciinema-player.css" "$out/"
# Apache 2.0: whoever gets the player gets this.
install -m 0644 "$work/package/LICENSE" "$out/asciinema-player.apache2"
