#!/bin/bash
# What reading costs: verify by level and by cores, the index, and questions to
# it. COUNT small recordings and one of MIB MiB of terminal output; the figures
# of the last column are CPU seconds of the auditor's process.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${1:-build}
COUNT=${COUNT:-2000}
MIB=${MIB:-256}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_STATE_HOME="$work/state"
audit=$build/sgbridge-audit
TIMEFORMAT='%R %U %S'

measure() {
	local what=$1 bytes=$2 line real user sys status
	shift 2
	line=$({ time "$@" >/dev/null 2>"$work/err"; } 2>&1)
	status=$?
	# What found nothing took its time, too.
	if [ "$status" -gt 1 ]; then
		echo "$what: failed ($status): $(tail -n 1 "$work/err")"
		return
	fi
	read -r real user sys <<<"$line"
	awk -v w="$what" -v b="$bytes" -v r="$real" -v u="$user" -v s="$sys" \
		'BEGIN { c = u + s; printf "%-44s %8.3f s", w, r
		printf b && c ? " %8.0f MiB/s/core" : " %8s           ", \
			b && c ? b / c / 1048576 : ""
		printf " %8.3f s\n", c }'
}
"$build/tests/bench/store" --speed $((MIB * 1048576))
"$build/tests/bench/store" "$work/one" 1 $((MIB * 1048576))
"$build/tests/bench/store" "$work/many" "$COUNT" 200
file=$(ls "$work"/one/rec/*/*/*/*.sgr)
stored=$(stat -c %s "$file")
echo "one recording: $MIB MiB of output, $((stored / 1048576)) MiB stored"
cat "$file" >/dev/null
measure "verify, level 0 (bytes stored)" "$stored" "$audit" verify "$file"
measure "verify, level 1 (bytes stored)" "$stored" "$audit" verify \
	-i "$work/one/reader.pem" "$file"
measure "verify, level 1 (bytes of output)" $((MIB * 1048576)) "$audit" \
	verify -i "$work/one/reader.pem" "$file"
measure "sha256 of the same bytes" "$stored" openssl dgst -sha256 "$file"
measure "search --raw (bytes of output)" $((MIB * 1048576)) "$audit" search \
	-d "$work/one/rec" -i "$work/one/reader.pem" --raw nowhere
echo "$COUNT recordings"
many=(-d "$work/many/rec" -i "$work/many/reader.pem")
measure "verify, level 0, one thread" 0 "$audit" verify --jobs 1 \
	-d "$work/many/rec"
measure "verify, level 0, all cores" 0 "$audit" verify -d "$work/many/rec"
measure "ls, opening each for META" 0 "$audit" ls "${many[@]}" --user user1
measure "index" 0 "$audit" index "${many[@]}" --index="$work/i.db"
measure "ls --index, one user" 0 "$audit" ls --index="$work/i.db" --user user1
measure "ls --index, target and day" 0 "$audit" ls --index="$work/i.db" \
	--target web7 --since 2026-11-18 --until 2026-11-19
measure "ls --index, by a pattern" 0 "$audit" ls --index="$work/i.db" \
	--user '*7'
measure "ls --index, by status" 0 "$audit" ls --index="$work/i.db" \
	--status open
measure "ls --index, the latest without a factor" 0 "$audit" ls \
	--index="$work/i.db" --mfa no --limit 20
measure "search --index, nothing" 0 "$audit" search --index="$work/i.db" \
	nowhere-at-all

# Text of this machine, put in as "index" does from the emulator's lines on.
find /usr/share /usr/include -xdev -type f -name '*.[h1-8]' -o -name copyright \
	2>/dev/null | head -n 20000 | xargs -d '\n' cat 2>/dev/null |
	tr -cd '\11\12\40-\176' | head -c 64M >"$work/corpus"
TEXT=${TEXT:-256}
measure "$TEXT MiB of screen text into an index" 0 "$build/tests/bench/index" \
	"$work/text.db" "$TEXT" 1048576 "$work/corpus"
echo "the index: $(($(stat -c %s "$work/text.db") / 1048576)) MiB"
measure "search --index, 16 hexadecimal digits" 0 "$audit" search \
	--index="$work/text.db" "cat /var/tmp/12ab"
measure "search --index, the first 100 of many" 0 "$audit" search \
	--index="$work/text.db" --limit 100 license
measure "search --index, all of many" 0 "$audit" search \
	--index="$work/text.db" license
measure "search --index --scan, all of it" $((TEXT * 1048576)) "$audit" \
	search --index="$work/text.db" --scan nowhere-at-all
