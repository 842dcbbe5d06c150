#!/bin/bash
# What reading costs: verify by level and by cores, the index, and questions to
# it. COUNT small recordings, one of MIB MiB of terminal output, TEXT MiB of
# screen text; the figures of the last column are CPU seconds of the auditor's
# process. The goals are for a million recordings and 10 GiB of text: "make
# bench-large". Verdicts go to BUILD/bench.json, too.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${1:-build}
COUNT=${COUNT:-2000}
TEXT=${TEXT:-256}
MIB=${MIB:-256}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_STATE_HOME="$work/state"
audit=$build/sgbridge-audit
TIMEFORMAT='%R %U %S'

# goal WHAT FORMAT least|most BOUND VALUE
goal() {
	printf '%s\t%s\t%s\t%s\t%s\n' "$@" >>"$work/goals"
}
# Sets ms, the wall time, and rate, MiB/s of a core; "-" if it failed.
measure() {
	local what=$1 bytes=$2 line real user sys status
	shift 2
	ms=- rate=-
	line=$({ time "$@" >/dev/null 2>"$work/err"; } 2>&1)
	status=$?
	# What found nothing took its time, too.
	if [ "$status" -gt 1 ]; then
		echo "$what: failed ($status): $(tail -n 1 "$work/err")"
		return
	fi
	read -r real user sys <<<"$line"
	ms=$(awk -v r="$real" 'BEGIN { printf "%.0f", r * 1000 }')
	rate=$(awk -v b="$bytes" -v u="$user" -v s="$sys" \
		'BEGIN { print u + s ? b / (u + s) / 1048576 : "-" }')
	awk -v w="$what" -v b="$bytes" -v r="$real" -v u="$user" -v s="$sys" \
		'BEGIN { c = u + s; printf "%-44s %8.3f s", w, r
		printf b && c ? " %8.0f MiB/s/core" : " %8s           ", \
			b && c ? b / c / 1048576 : ""
		printf " %8.3f s\n", c }'
}
# The slowest of several questions; "-" if one failed.
slowest() {
	if [ "$1" = - ] || [ "$2" = - ]; then
		echo -
	else
		echo $(($1 > $2 ? $1 : $2))
	fi
}
# The writer, on lines of random words and on shell work.
tests/bench/corpus.sh >"$work/shell"
line=$("$build/tests/bench/store" --speed $((MIB * 1048576)))
echo "random words: $line"
line=$("$build/tests/bench/store" --speed $((MIB * 1048576)) "$work/shell")
echo "shell work:   $line"
speed=${line#writer: }
goal "writer, shell work: MiB/s a core" %.0f least 400 "${speed%% *}"
goal "storage, shell work: stored in 1 of" %.1f least 5 "${line##*1/}"
"$build/tests/bench/store" "$work/one" 1 $((MIB * 1048576))
"$build/tests/bench/store" "$work/many" "$COUNT" 200
file=$(ls "$work"/one/rec/*/*/*/*.sgr)
stored=$(stat -c %s "$file")
echo "one recording: $MIB MiB of output, $((stored / 1048576)) MiB stored"
cat "$file" >/dev/null
measure "verify, level 0 (bytes stored)" "$stored" "$audit" verify "$file"
goal "verify, level 0: MiB/s a core" %.0f least 1024 "$rate"
measure "verify, level 1 (bytes stored)" "$stored" "$audit" verify \
	-i "$work/one/reader.pem" "$file"
measure "verify, level 1 (bytes of output)" $((MIB * 1048576)) "$audit" \
	verify -i "$work/one/reader.pem" "$file"
goal "verify, level 1: MiB/s of output a core" %.0f least 700 "$rate"
measure "sha256 of the same bytes" "$stored" openssl dgst -sha256 "$file"
measure "search --raw (bytes of output)" $((MIB * 1048576)) "$audit" search \
	-d "$work/one/rec" -i "$work/one/reader.pem" --raw nowhere
measure "search on the screen (bytes of output)" $((MIB * 1048576)) "$audit" \
	search -d "$work/one/rec" -i "$work/one/reader.pem" nowhere
echo "$COUNT recordings"
many=(-d "$work/many/rec" -i "$work/many/reader.pem")
measure "verify, level 0, one thread" 0 "$audit" verify --jobs 1 \
	-d "$work/many/rec"
measure "verify, level 0, all cores" 0 "$audit" verify -d "$work/many/rec"
measure "ls, opening each for META" 0 "$audit" ls "${many[@]}" --user user1
measure "index" 0 "$audit" index "${many[@]}" --index="$work/i.db"
worst=0
measure "ls --index, one user" 0 "$audit" ls --index="$work/i.db" --user user1
worst=$(slowest "$worst" "$ms")
measure "ls --index, target and day" 0 "$audit" ls --index="$work/i.db" \
	--target web7 --since 2026-11-18 --until 2026-11-19
worst=$(slowest "$worst" "$ms")
measure "ls --index, by a pattern" 0 "$audit" ls --index="$work/i.db" \
	--user '*7'
worst=$(slowest "$worst" "$ms")
measure "ls --index, by status" 0 "$audit" ls --index="$work/i.db" \
	--status open
worst=$(slowest "$worst" "$ms")
measure "ls --index, the latest without a factor" 0 "$audit" ls \
	--index="$work/i.db" --mfa no --limit 20
worst=$(slowest "$worst" "$ms")
goal "the slowest of these, $COUNT recordings: ms" %.0f most 100 "$worst"
measure "search --index, nothing" 0 "$audit" search --index="$work/i.db" \
	nowhere-at-all

# Text of this machine, put in as "index" does from the emulator's lines on.
find /usr/share /usr/include -xdev -type f -name '*.[h1-8]' -o -name copyright \
	2>/dev/null | head -n 20000 | xargs -d '\n' cat 2>/dev/null |
	tr -cd '\11\12\40-\176' | head -c 64M >"$work/corpus"
measure "$TEXT MiB of screen text into an index" 0 "$build/tests/bench/index" \
	"$work/text.db" "$TEXT" 1048576 "$work/corpus"
echo "the index: $(($(stat -c %s "$work/text.db") / 1048576)) MiB"
measure "search --index, 16 hexadecimal digits" 0 "$audit" search \
	--index="$work/text.db" "cat /var/tmp/12ab"
goal "search, index of $TEXT MiB: ms" %.0f most 200 "$ms"
measure "search --index, the first 100 of many" 0 "$audit" search \
	--index="$work/text.db" --limit 100 license
measure "search --index, all of many" 0 "$audit" search \
	--index="$work/text.db" license
measure "search --index --scan, all of it" $((TEXT * 1048576)) "$audit" \
	search --index="$work/text.db" --scan nowhere-at-all
goal "search --scan, $TEXT MiB: s" %.1f most 10 \
	"$(awk -v m="$ms" 'BEGIN { print m == "-" ? m : m / 1000 }')"
/usr/bin/python3 -B tests/bench/goals.py "$work/goals" "$build/bench.json"
