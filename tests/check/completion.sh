#!/bin/bash
# The completion offers what the programs know, by asking them.
set -u
cd "$(dirname "$0")/../.." || exit 1
PATH=$(cd "${1:-build}" && pwd):$PATH
passed=0 failed=0
# shellcheck source=conf/completion/sgbridge.bash
. conf/completion/sgbridge.bash
# offers WORDS... -- LINE...: LINE's last word completes to these at least.
offers() {
	local want=() word name
	while [ "$1" != -- ]; do
		want+=("$1")
		shift
	done
	shift
	name="\"$*\" completes to ${want[*]}"
	COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
	_sgbridge
	for word in "${want[@]}"; do
		case " ${COMPREPLY[*]} " in
		*" $word "*) ;;
		*)
			failed=$((failed + 1))
			echo "not ok $name: ${COMPREPLY[*]}"
			return
			;;
		esac
	done
	passed=$((passed + 1))
	echo "ok $name"
}
offers check explain sessions reload -- sgbridge ''
offers explain -- sgbridge ex
offers --json --policy -- sgbridge check --
offers from to via -- sgbridge explain alice ''
offers host-key user-ca recorder master -- sgbridge rotate ''
offers generate import list rotate delete -- sgbridge key ''
offers web1 web2 -- sgbridge -c conf/sgbridge.conf -p conf/policy.conf \
	host-keys ''
offers always never -- sgbridge --color ''
offers enrol status rotate-key -- sgbridge-otp ''
offers verify keygen writer-keygen -- sgbridge-audit ''
offers verify -- sgbridge-audit -c /etc/hosts ver
offers conf/completion/sgbridge.bash -- sgbridge -c conf/completion/sg
offers --identity -- sgbridge-audit play --ident
offers --status --json -- sgbridge-forward --
# Ids of recordings, of the folder that the line names.
store=$(mktemp -d)
rec=01a2076e-1188-7d39-adbd-ed06d37d8a16
mkdir -p "$store/2026/11/23"
cp tests/vectors/shells/bash.sgr "$store/2026/11/23/$rec.sgr"
offers "$rec" -- sgbridge-audit show -d "$store" ''
offers "$rec" -- sgbridge-audit play --dir "$store" 01a
# The other shells: the same questions, asked of their own completion.
same() {
	local shell=$1 name="$1: \"$3\" completes to $2" got
	got=$(case $shell in
	fish) fish --no-config -c "source conf/completion/sgbridge.fish
		complete -C '$3'" ;;
	zsh) zsh -fc "
		compadd() { shift; print -l -- \${(P)1} }
		_describe() { print -l \${(P)2%%:*} }
		_files() { : }
		words=($3 ${4:-}) CURRENT=\$#words
		[ -z '${4:-}' ] || words[CURRENT]=${4:-}
		. conf/completion/sgbridge.zsh" ;;
	esac 2>&1 | cut -f1)
	if grep -qxe "$2" <<<"$got"; then
		passed=$((passed + 1))
		echo "ok $name"
	else
		failed=$((failed + 1))
		echo "not ok $name: $got"
	fi
}
if command -v fish >/dev/null; then
	same fish explain 'sgbridge ex'
	same fish --policy 'sgbridge check --po'
	same fish rotate-key 'sgbridge-otp ro'
	same fish verify 'sgbridge-audit ver'
	same fish rotate 'sgbridge key ro'
	same fish from 'sgbridge explain alice f'
	same fish "$rec" "sgbridge-audit show -d $store 01"
	same fish --status 'sgbridge-forward --st'
fi
if command -v zsh >/dev/null; then
	same zsh explain 'sgbridge ex'
	same zsh --policy 'sgbridge check --po'
	same zsh rotate-key 'sgbridge-otp ro'
	same zsh verify 'sgbridge-audit ver'
	same zsh rotate 'sgbridge key ro'
	same zsh from 'sgbridge explain alice f'
	same zsh "$rec" "sgbridge-audit show -d $store" 01
	same zsh --status 'sgbridge-forward --st'
fi
rm -rf "$store"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
