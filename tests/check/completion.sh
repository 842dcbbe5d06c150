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
offers always never -- sgbridge --color ''
offers enrol status rotate-key -- sgbridge-otp ''
offers verify keygen writer-keygen -- sgbridge-audit ''
offers verify -- sgbridge-audit -c /etc/hosts ver
offers conf/completion/sgbridge.bash -- sgbridge -c conf/completion/sg
offers --identity -- sgbridge-audit play --ident
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
