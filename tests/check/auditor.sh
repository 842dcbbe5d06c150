#!/bin/bash
# The command blocks of docs/AUDITOR.md are run as they stand there (but for
# places), where an auditor has her key and a copy of what a bastion of the
# laboratory recorded; and what docs/MIGRATION.md has auditors take in.
set -u
cd "$(dirname "$0")/../.." || exit 1
BUILD=${1:-build}
[ "$(id -u)" = 0 ] || {
	echo "needs root, for network namespaces"
	exit 77
}
for tool in jq rsync softhsm2-util pkcs11-tool; do
	command -v $tool >/dev/null || {
		echo "needs $tool"
		exit 77
	}
done
# shellcheck source=tests/e2e/lab.sh
. tests/e2e/lab.sh
# shellcheck source=tests/block.sh
. tests/block.sh
module=/usr/lib/softhsm/libsofthsm2.so

# at_desk FILE NAME [PLACES]: a block, at erin's desk. Of commands like NONE
# status 1 is an answer: there is nothing of this kind.
at_desk() {
	local text
	text=$(block "$1" "$2" | sed "${3:-}")
	[ -n "$text" ] || return 1
	(cd "$LAB/erin" && HOME=$LAB/erin PATH=$BUILD:$PATH \
		SOFTHSM2_CONF=$LAB/softhsm.conf XDG_STATE_HOME='' \
		NONE=${NONE:-} bash -c 'trap '"'"'none $? || exit'"'"' ERR
			none() {
				[ "$1" -eq 1 ] && [ -n "$NONE" ] &&
					[[ $BASH_COMMAND =~ $NONE ]]
			}
			'"$text"'
			:' >"$LAB/said" 2>&1) && return
	sed 's/^/# /' "$LAB/said"
	return 1
}
auditor() {
	at_desk docs/AUDITOR.md "$@"
}
said() {
	grep -qE -- "$1" "$LAB/said" && return
	sed 's/^/# /' "$LAB/said"
	return 1
}
# Recordings are for her key as well.
eval "$(declare -f lab_keys | sed '1s/lab_keys/plain_keys/')"
lab_keys() {
	mkdir "$LAB/erin"
	plain_keys
	ok "a key" eval 'auditor key && said "^x25519 "'
	grep '^x25519 ' "$LAB/said" >>"$LAB/recipients"
}
LAB_POLICY_EXTRA='permit Robots from 203.0.113.7 to SG_Current as root { mfa never; allow shell }'
lab_up || exit 1

mkdir "$LAB/tokens"
printf 'directories.tokendir = %s/tokens\nobjectstore.backend = file\n' \
	"$LAB" >"$LAB/softhsm.conf"
printf 4711 >"$LAB/pin"
chmod 0600 "$LAB/pin"
export SOFTHSM2_CONF=$LAB/softhsm.conf
softhsm2-util --init-token --free --label erin --so-pin 1234 --pin 4711 \
	>/dev/null 2>&1
pkcs11-tool --module $module --token-label erin --login --pin 4711 \
	--keypairgen --key-type EC:prime256v1 --label reader --id 01 \
	--usage-derive >/dev/null 2>&1
ok "a key on a token" eval \
	'auditor token "s,FILE,$module\&pin-source=file:$LAB/pin," &&
	said "^p256 "'

# --- something to look at, and somebody who is refused
lab_ssh robot 203.0.113.7 -tt robot+ops@web1@bastion >"$LAB/out" 2>&1 <<-'END'
	echo 'drop table users'
	echo more
	exit
END
LAB_CODE=000000 lab_ssh alice 203.0.113.9 alice+ops@web1@bastion true \
	</dev/null >"$LAB/out" 2>&1
lab_ssh robot 203.0.113.7 robot+nobody@web1@bastion true </dev/null \
	>"$LAB/out" 2>&1
"$BUILD/sgbridge" reload -c "$LAB/sgbridge.conf"
mkfifo "$LAB/hold"
lab_start "$LAB/live" bash -c ". tests/e2e/lab.sh; lab_tag=$lab_tag LAB=$LAB
	exec 0<>'$LAB/hold'
	lab_ssh robot 203.0.113.7 -tt robot+ops@web1@bastion"
live=$LAB_LAST
echo 'echo live-$((6 * 7))' >"$LAB/hold"
wait_for grep -q live-42 "$LAB/live"
# shellcheck disable=SC2034
reference=$(jq -r '.unmapped.sgb.ref // empty' "$LAB"/events/*.jsonl |
	head -n 1)

# --- what runs is watched through a pipe
growing() {
	file=$(find "$LAB/recordings" -name '*.sgr' -perm 0600)
	[ -n "$file" ]
}
ok "a recording grows" wait_for growing
growing
# The recorder closes it after its session's client has gone.
lab_start "$LAB/closing" bash -c ". tests/e2e/lab.sh
	tail --pid=$live -f /dev/null
	wait_for eval '[ \$(stat -c %a $file) != 600 ]'"
closing=$LAB_LAST
watching() {
	auditor watch "s,ssh bastion sudo tail,tail --pid=$closing,
		s,/var.*/ID.sgr,$file,"
}
watching >"$LAB/watching" 2>&1 &
watcher=$!
seen() {
	echo 'echo seen-$((6 * 7))' >"$LAB/hold"
	grep -q seen-42 "$LAB/said"
}
ok "watched live" wait_for seen
echo exit >"$LAB/hold"
ok "to its end" wait "$watcher"

# --- what is sent, and each night
ok "a copy" eval 'auditor copy "s,/var/lib/sgbridge/,$LAB/,g
	s,erin@auditor:,.,"'
sed 's/^/Nov 24 01:00:00 bastion sgbridge-recorder[1]: /' "$LAB/recorder.log" \
	>"$LAB/erin/syslog.1"
ok "the lines that say how far it went" eval \
	'auditor heads && [ -s "$LAB/erin/heads" ]'
signer=$(openssl pkey -in "$LAB/recorder_key" -pubout -outform DER |
	tail -c 32 | base64)
echo "ed25519 $signer lab" >"$LAB/erin/writers"
ok "each night" auditor night
NONE='^sgbridge-audit (ls .*--(login|status)|findings) '
ok "each week" eval 'auditor week && said "robot .* exempt" &&
	said "^ +[0-9]+ .* robot\$" && said " stats  -\$"'
NONE=''
ok "the trail: who was refused, and when the policy changed" eval \
	'auditor trail && said "alice" && said "\"event\":\"config\""'
touch "$LAB/erin/auth.log" "$LAB/erin/audit.log"
ok "one login" eval 'auditor login "s,7F3K2,$reference," && said "robot"'

# --- one question
id=$(cd "$LAB/erin" && HOME=$LAB/erin "$BUILD/sgbridge-audit" ls --json \
	-d recordings | grep -oE '[0-9a-f]{8}-[0-9a-f-]{27}' | sort | head -n 1)
NONE='^sgbridge-audit (commands|files) '
ok "one question" eval 'auditor question "s,0199c2,$id," &&
	said "drop table users"'
NONE=''
ok "handing it on" eval 'auditor hand-on "s,0199c2,$id,;s,3-5,0-0," &&
	grep -q "<html" "$LAB/erin/INC-7.html"'
find "$LAB/recordings" -name "$id.sgr" -exec cp {} "$LAB/erin/" \;
ok "and what the other side does" auditor disclosed "s,0199c2,$id,"
# --- what another bastion recorded
(cd "$LAB/erin" && HOME=$LAB/erin "$BUILD/sgbridge-audit" export \
	-d recordings -f ttyrec -o old.ttyrec "$id")
cp "$LAB/erin/.config/sgbridge/identity.pem" "$LAB/erin/auditor.key"
ok "taken in, as imported" at_desk docs/MIGRATION.md import
lab_summary
