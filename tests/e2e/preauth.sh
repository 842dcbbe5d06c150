#!/bin/bash
# Before authentication: strangers that say nothing, drip, lie about lengths,
# exchange keys out of order or without end, bend what passes, and vanish in
# the middle. Each costs its own connection, nothing stays behind, and people
# log on all the same. (facts: the groups pre-auth and authentication)
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=${1:-build}
# shellcheck source=tests/e2e/lab.sh
. "$here/lab.sh"
lab_up || exit 1
stranger() {
	in_ns client timeout 120 "$here/preauth.py" 203.0.113.1 "$@" 2>"$LAB/err"
}
robot() {
	lab_ssh robot 203.0.113.7 "$@"
}
says() { # wanted case...
	local want=$1 got
	shift
	got=$(stranger "$@")
	[ "$got" = "$want" ] && return
	echo "# $got"
	sed 's/^/# /' "$LAB/err" | tail -3
	return 1
}
sessions() {
	"$BUILD/sgbridge" sessions --json -c "$LAB/sgbridge.conf" |
		grep -c '"id"'
}
processes() {
	ip netns pids "$lab_tag-bastion" | while read -r pid; do
		cat "/proc/$pid/comm" 2>/dev/null
	done | grep -c '^sgbridge-sessio'
}
quiet() {
	# One is kept ready for whoever comes next.
	[ "$(sessions)" = 0 ] && [ "$(processes)" -le 1 ]
}
settings() {
	sed -i "/^$1/d" "$LAB/sgbridge.conf"
	echo "$1 $2" >>"$LAB/sgbridge.conf"
	"$BUILD/sgbridge" reload -c "$LAB/sgbridge.conf" >/dev/null
}

# --- time is absolute
settings login-grace 3s
ok "150 that say nothing are closed" says closed silent 150
ok "a banner that drips is closed" says closed drip banner
ok "a key exchange that drips is closed" says closed drip kexinit
settings login-grace 60s

# --- form
ok "banners that are none" says closed banners
ok "lengths and padding that lie" says closed lengths
ok "lists of algorithms of every ill kind" says closed kexinit
ok "messages out of order" says closed order
ok "IGNORE in a lax exchange is nothing special" says open lax
ok "packets without payload, or of no block's size: nothing" says open odd
ok "wrong guesses without end" says closed guesses
ok "IGNORE without end" says closed ignore
stranger names >/dev/null
ok "what strangers call themselves is escaped in the log" eval \
	'! LC_ALL=C grep -aq "$(printf "\033\\|\233\\|\007")" "$LAB/bastion.log"'
ok "nothing of it is left" wait_for quiet

# --- what is offered
stranger offers >"$LAB/offers"
ok "no SHA-1, no CBC, no group exchange, no compression" eval \
	'! grep -qE "sha1|cbc|group1|group14|group-exchange|zlib|3des|arcfour|md5|ssh-rsa|ssh-dss" \
	"$LAB/offers"'
ok "strict order of the key exchange is offered" \
	grep -q 'kex-strict-s-v00@openssh.com' "$LAB/offers"
weak() {
	! robot "$@" robot+ops@web1@bastion echo REACHED </dev/null 2>&1 |
		grep -q REACHED
}
for option in KexAlgorithms=diffie-hellman-group14-sha1 Ciphers=3des-cbc \
	Ciphers=aes128-cbc MACs=hmac-sha1 HostKeyAlgorithms=ssh-rsa; do
	ok "only $option: no connection" weak -o "$option" \
		-o Ciphers="${option#Ciphers=}"
done

# --- somebody in the middle
settings login-grace 5s
middle() { # kind way place: what robot's command says then
	local kind=$1 way=$2 place=$3 port pid
	port=$((20000 + RANDOM % 20000))
	in_ns client "$here/preauth.py" 203.0.113.1 middle "$kind" "$way" \
		"$place" "$port" >"$LAB/middle" 2>&1 &
	pid=$!
	wait_for grep -q ready "$LAB/middle" || return 2
	in_ns client timeout 30 ssh -F "$LAB/ssh_config" -i "$LAB/users/robot" \
		-o HostKeyAlias=sgbridge -p "$port" \
		robot+ops@web1@127.0.0.1 "echo plain; cat >/dev/null; echo end" \
		</dev/null >"$LAB/out.$place.$way" 2>/dev/null
	local status=$?
	kill "$pid"
	wait "$pid" 2>/dev/null
	return "$status"
}
ok "somebody who only listens changes nothing" middle flip 0 99999999
# How far each side had got when somebody only listened.
read -r sent got <<<"$(grep -E '^[0-9]+ [0-9]+$' "$LAB/middle" | tail -n 1)"
flipped() {
	local place way most
	[ "${sent:-0}" -gt 1000 ] && [ "${got:-0}" -gt 1000 ] || return 1
	for way in 0 1; do
		most=$((way ? got : sent))
		for place in 4 20 26 40 120 700 1100 1500 1700 1900 2100 2400 \
			2700; do
			[ "$place" -lt $((most - 200)) ] || break
			middle flip "$way" "$place" && {
				echo "# way $way, byte $place: logged on"
				return 1
			}
			! grep -qvx 'plain\|end' "$LAB/out.$place.$way" || {
				echo "# way $way, byte $place: bent text"
				return 1
			}
		done
	done
}
ok "a bit bent anywhere ends the connection, and bends no text" flipped
resets() {
	local pieces
	for pieces in 0 1 2 3 4 5 6 7 8 9 10 12 14 16 18 20 24 28; do
		middle cut 0 "$pieces"
	done
	wait_for quiet && lab_port_open 10.0.1.11 22
}
ok "cut after each piece of a login: nothing stays behind" resets
finished() {
	# A recording that began ends, and says how.
	"$BUILD/sgbridge-audit" verify -c "$LAB/sgbridge.conf" >"$LAB/out" 2>&1
}
ok "and every recording of it was closed" wait_for finished

settings login-grace 60s

# --- and it was nobody else's affair
ok "no session process crashed" eval \
	'! grep -aq "event=session-crash" "$LAB/bastion.log"'
ok "people log on" eval \
	'[ "$(robot robot+ops@web1@bastion echo in </dev/null)" = in ]'
lab_summary
