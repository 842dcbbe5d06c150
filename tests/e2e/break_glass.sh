#!/bin/bash
# A rule with on-record-failure break-glass: let in where the disk's reserve
# keeps others out, recorded, and loud about it.
# shellcheck disable=SC2016 # conditions are for "ok" to evaluate
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=${1:-build}
# shellcheck source=tests/e2e/lab.sh
. "$here/lab.sh"
export LAB_POLICY_EXTRA='
permit Robots from 192.0.2.66 to SG_Current as ops {
 	mfa               never
 	allow             exec
 	on-record-failure break-glass
}'
lab_up || exit 1
export XDG_STATE_HOME=$LAB/state
say() {
	lab_ssh robot "$1" robot+ops@web1@bastion echo "$2" 2>"$LAB/err"
}
trail() {
	cat "$LAB"/events/*.jsonl
}
audited() {
	"$BUILD/sgbridge-audit" "$1" -d "$LAB/recordings" \
		-i "$LAB/auditor.key" "${@:2}" 2>/dev/null
}
ok "others come in quietly" eval \
	'[ "$(say 203.0.113.7 quiet)" = quiet ] && ! trail | grep break-glass'
# Of what is free it wants half as much again: nobody has that, but half of it
# is there.
free=$(df --output=avail -B1024 "$LAB" | tail -n 1)
sed -i "s/^disk-reserve.*/disk-reserve $((free + free / 2))K/" \
	"$LAB/sgbridge.conf"
kill "$LAB_RECORDER"
wait_for eval "! kill -0 $LAB_RECORDER 2>/dev/null"
rm -f "$LAB/recorder"
lab_start "$LAB/recorder2.log" ip netns exec "$lab_tag-bastion" \
	"$BUILD/sgbridge-recorder" -e -c "$LAB/sgbridge.conf"
wait_for test -S "$LAB/recorder"
ok "below the reserve others are refused" eval \
	'[ -z "$(say 203.0.113.7 never)" ]'
ok "the log has why" grep -q 'recording refused: less than disk-reserve' \
	"$LAB/recorder2.log"
ok "who comes to mend it gets in" eval '[ "$(say 192.0.2.66 mend)" = mend ]'
ok "the trail is loud" eval \
	'trail | grep "\"event\":\"break-glass\"" | grep -q "\"robot\""'
ok "syslog is loud" grep -q 'break-glass: robot to web1' "$LAB/bastion.log"
ok "the low mark is in the trail" eval 'trail | grep -q "\"disk-low\""'
ok "it is recorded" eval 'audited search "echo mend" | grep -q exec'
ok "under its class" eval \
	'audited show "$(audited search --json "echo mend" | head -n 1 |
	jq -r .rec)" | grep -q "retention class *break-glass"'
lab_summary
