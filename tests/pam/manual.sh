#!/bin/bash
# The tables of the code and of the manual pages are the same:
# tests/pam/manual.sh [BUILD].
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${1:-build}
passed=0
failed=0
same() {
	if [ "$2" = "$3" ]; then
		passed=$((passed + 1))
		echo "ok $1"
	else
		failed=$((failed + 1))
		echo "not ok $1"
		diff <(echo "$2") <(echo "$3") | sed 's/^/    /'
	fi
}

same "reasons and return codes" \
	"$(sed -n 's/^X([A-Z_]*,[^"]*"\([^"]*\)",[^P]*\(PAM_[A-Z_]*\),[^P]*\(PAM_[A-Z_]*\),.*/\1 \2 \3/p' \
		pam_module/reason.def | sort)" \
	"$(sed -n 's/^\.It \([^ ]*\) Ta \(PAM_[A-Z_]*\) Ta \(PAM_[A-Z_]*\)$/\1 \2 \3/p' \
		docs/man/pam_sgbridge.8 | sort)"
same "commands of sgbridge-otp" \
	"$("$build/sgbridge-otp" --help | sed -n 's/^  \([a-z-]*\) .*/\1/p' |
		sort)" \
	"$(sed -n 's/^\.It Ic \([a-z-]*\).*/\1/p' docs/man/sgbridge-otp.8 |
		sort)"
same "options of sgbridge-otp" \
	"$(sed -n 's/^	{"\([a-z-]*\)", [a-z]*_argument.*/\1/p' \
		pam_module/sgbridge-otp.c | grep -vx help | sort)" \
	"$(grep -o 'Fl -[a-z][a-z-]*' docs/man/sgbridge-otp.8 | sed 's/Fl -//' |
		sort -u)"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
