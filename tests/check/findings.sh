#!/bin/bash
# Exceptional logons: a scripted trail of months is judged, and what comes out
# is compared with what a person wrote down; then clocks that jump, names that
# attack, a flood, reading on, and telling the trail. The zone is Europe's, over
# both changes of its clocks.
set -u
build=$(cd "${1:-build}" && pwd)
cd "$(dirname "$0")" || exit 1
work=$(mktemp -d)
recorder=
# shellcheck disable=SC2317
leave() {
	[ -z "$recorder" ] || { kill "$recorder"; wait "$recorder"; }
	rm -rf "$work"
}
trap leave EXIT
export HOME=$work XDG_STATE_HOME=$work/state XDG_DATA_HOME=$work/share
passed=0 failed=0
ok() {
	local name=$1
	shift
	if "$@" >"$work/detail" 2>&1; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "not ok: $name"
		head -20 "$work/detail"
	fi
}
cat >"$work/conf" <<END
findings-zone Europe/Berlin
events $work/none
END
for name in calm story clock hostile flood; do
	python3 findings.py "$name" "$work/$name" || exit 1
done
findings() {
	local name=$1
	shift
	"$build/sgbridge-audit" findings -c "$work/conf" \
		--events "$work/$name" "$@"
}
# kinds NAME: "kind user" of each
kinds() {
	jq -r '.kind + " " + .user' "$work/$1.json"
}
has() {
	grep -qxF -- "$2" <(kinds "$1") || { kinds "$1"; return 1; }
}
# some FILTER FILE: one at least
some() {
	[ -n "$(jq -c "select($1)" "$work/$2.json")" ] || {
		cat "$work/$2.json"
		return 1
	}
}
status() {
	local want=$1 got
	shift
	"$@"
	got=$?
	[ "$got" = "$want" ] || { echo "status $got"; return 1; }
}

# --- what is found, and nothing else
ok "ordinary months over both changes of clocks: nothing" \
	status 1 findings calm
findings story --json >"$work/story.json"
ok "some: status 0" status 0 findings story
ok "each finding, with its facts" diff findings.expect "$work/story.json"
findings story --json >"$work/again.json"
ok "and the same when asked again" cmp "$work/story.json" "$work/again.json"
ok "by person" status 0 eval 'findings story --user dave --json >"$work/dave.json" &&
	[ "$(jq -r .user "$work/dave.json" | sort -u)" = dave ]'
ok "by time" status 1 findings story --since 2026-11-08
ok "the facts are in the text, too" eval \
	'findings story | grep -q "logons before  *588"'
sed 's/Europe.Berlin/UTC/' "$work/conf" >"$work/conf.utc"
ok "the zone decides what an hour is" eval \
	'! "$build/sgbridge-audit" findings -c "$work/conf.utc" --json \
		--events "$work/story" | cmp -s - "$work/story.json"'
ok "a zone nobody knows is refused" status 78 eval '
	sed "s/Berlin/Nowhere/" "$work/conf" >"$work/conf.bad"
	"$build/sgbridge-audit" findings -c "$work/conf.bad" --events "$work/calm"'
ok "without settings: their defaults" status 0 \
	"$build/sgbridge-audit" findings --events "$work/story"

# --- clocks
findings clock --json >"$work/clock.json"
ok "years ahead and back: the new network is told" some \
	'.kind == "new-network" and .source == "192.0.2.1"' clock
ok "and what was known stays known" eval '
	[ "$(jq -r "select(.time < \"2030\" and .user == \"alice\") | .kind" \
		"$work/clock.json")" = new-network ]'
ok "attempts at both times are told" eval \
	'[ "$(kinds clock | grep -c "refused-account erin")" = 2 ]'

# --- names
findings hostile >"$work/hostile.text"
findings hostile --json >"$work/hostile.json"
ok "hostile names: one JSON object a line" eval 'jq -e . "$work/hostile.json" >/dev/null &&
	[ "$(jq -s length "$work/hostile.json")" = "$(wc -l <"$work/hostile.json")" ]'
ok "nothing reaches the terminal" eval \
	'! LC_ALL=C grep -qP "[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80\xae" "$work/hostile.text"'
ok "a line feed in a name makes no line" eval '! grep -q "^y" "$work/hostile.text"'
ok "each locked one is told" eval \
	'[ "$(jq -r "select(.facts.account == \"locked\") | .user" "$work/hostile.json" | wc -l)" -ge 12 ]'

# --- a flood
grep -q __asan_init "$build/sgbridge-audit" || ulimit -v 300000
findings flood --json --index="$work/flood.db" >"$work/flood.json"
ok "in bounded memory" status 0 findings flood --index="$work/flood.db"
ulimit -v unlimited 2>/dev/null
ok "the flood itself is told" some '.facts.attempts >= 1000' flood
ok "the locked account in it" has flood "refused-account erin"
ok "the new network in it" has flood "new-network alice"
ok "success after failures in it" has flood "after-failures alice"
ok "who is new in it" has flood "first-key zoe"
ok "a success that the flood covers is told, not missed" has flood "after-failures zoe"
ok "with few findings for twelve thousand attempts" eval '
	[ "$(kinds flood | grep -c "refused-account name")" -le 2060 ]'
ok "and a table that is bounded" eval '[ "$(python3 -c "
import sqlite3, sys
print(sqlite3.connect(sys.argv[1]).execute(
    \"SELECT max(n) FROM (SELECT count(*) n FROM failing GROUP BY kind)\").fetchone()[0])" \
	"$work/flood.db")" -le 2049 ]'

# --- reading on
mkdir "$work/grows"
index=--index=$work/grows.db
for day in $(ls "$work/story" | head -100); do
	cp "$work/story/$day" "$work/grows/"
done
findings grows "$index" >/dev/null
for day in $(ls "$work/story" | tail -n +101); do
	cp "$work/story/$day" "$work/grows/"
done
last=$(ls "$work/grows" | tail -n 1)
# A line that is not whole yet is for the next time.
head -c -20 "$work/story/$last" >"$work/grows/$last"
findings grows "$index" >/dev/null
cp "$work/story/$last" "$work/grows/"
findings grows --json "$index" >"$work/grows.json"
ok "read in parts: the same" cmp "$work/story.json" "$work/grows.json"
ok "by other settings: judged anew" eval '
	"$build/sgbridge-audit" findings -c "$work/conf.utc" --json "$index" \
		--events "$work/grows" >"$work/utc.json"
	"$build/sgbridge-audit" findings -c "$work/conf.utc" --json \
		--events "$work/grows" | cmp - "$work/utc.json"'
ok "another trail: judged anew" eval '
	findings grows "$index" >/dev/null
	findings calm --json "$index" >"$work/calm.json" 2>"$work/err"
	[ $? = 1 ] && grep -q "made anew" "$work/err"'
sed -i '1s/"alice"/"mallo"/' "$work/grows/$last"
ok "a changed line: told, status 65" status 65 findings grows
echo 'no event' >>"$work/grows/$last"
ok "damage: told, status 65" status 65 findings grows
chmod 0644 "$work/flood.db"
ok "a baseline that others may write is refused" status 73 \
	findings flood --index="$work/flood.db"

# --- telling the trail
if [ "$(id -u)" = 0 ]; then
	chmod 0711 "$work"
	"$build/sgbridge-audit" keygen -o "$work/reader.pem" 2>/dev/null |
		grep '^x25519 ' >"$work/recipients"
	"$build/sgbridge-audit" writer-keygen -o "$work/key" >"$work/writers" \
		2>/dev/null
	cat >"$work/live.conf" <<-END
		recorder-user 65533:65533
		recorder-socket $work/socket
		recordings $work/rec
		events $work/live
		recipients $work/recipients
		signing-key $work/key
		findings $work/findings
		findings-learning 0
		disk-reserve 1M
		audit off
	END
	"$build/sgbridge-recorder" -e -c "$work/live.conf" 2>"$work/log" &
	recorder=$!
	for ((i = 0; i < 200; i++)); do
		[ -S "$work/socket" ] && break
		read -rt 0.05 <> <(:)
	done
	live() {
		"$build/sgbridge-audit" findings -c "$work/live.conf" "$@"
	}
	in_trail() {
		jq -c 'select(.unmapped.sgb.event == "finding")' \
			"$work"/live/*.jsonl
	}
	# locked_out NAME DAYS: told of days ago
	locked_out() {
		python3 - "$build" "$work/socket" "$@" <<-'END'
		import re, socket, struct, sys, time
		text = ('{"metadata":{"version":"1.3.0"},"time":%d,"status_id":2,'
		        '"user":{"name":"%s"},"src_endpoint":{"ip":"203.0.113.9"},'
		        '"unmapped":{"sgb":{"event":"auth-key","conn":"c1",'
		        '"account":"locked"}}}' % ((time.time() - 86400 * int(sys.argv[4])) *
		                                1000, sys.argv[3])).encode()
		table = open("../../bastion/core/msg.def").read()
		number = int(re.search(r"X\(REC_EVENT,\s*(\d+)", table).group(1))
		s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
		s.connect(sys.argv[2])
		s.send(struct.pack(">HI", number, len(text)) + text)
		s.recv(1000)
		END
	}
	locked_out erin 0
	ok "a finding is told" eval \
		'live --append && [ "$(in_trail | wc -l)" = 1 ]'
	ok "as a detection finding of OCSF" eval 'in_trail | jq -e "
		.class_uid == 2004 and .type_uid == 200401 and
		.finding_info.uid == \"refused-account-2\" and
		.finding_info.related_events[0].uid == \"2\" and
		.unmapped.sgb.facts.attempts == 1 and .user.name == \"erin\""'
	ok "told once" eval 'live --append && live --append &&
		[ "$(in_trail | wc -l)" = 1 ]'
	rm -rf "$work/findings"
	ok "also when the baseline is lost" eval 'live --append &&
		[ "$(in_trail | wc -l)" = 1 ]'
	rm -rf "$work/findings"
	locked_out olga 5
	locked_out rita 0
	: >"$work/audit.log"
	ok "who takes logons in first makes the baseline anew" status 1 \
		"$build/sgbridge-audit" collect -c "$work/live.conf" \
		"$work/audit.log"
	ok "and what is old is not told, what is recent is" eval '
		live --append && [ "$(in_trail | jq -r .user.name |
			sort | tr "\n" " ")" = "erin rita " ]'
	locked_out vera 5
	ok "from then on all is told, once, also by two at once" eval '
		live --append & live --append && wait $! &&
		[ "$(in_trail | jq -r .user.name |
			sort | tr "\n" " ")" = "erin rita vera " ]'
	ok "the list says that it is in the trail" eval \
		'live --json --index="$work/findings/findings.db" | jq -e .in_trail'
	ok "and the trail verifies" "$build/sgbridge-audit" verify \
		-c "$work/live.conf" --writer "$work/writers" events
	kill "$recorder"
	wait "$recorder"
	recorder=
	ok "no recorder: status 69" status 69 live --append
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
