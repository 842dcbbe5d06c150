#!/bin/bash
# An include never crosses a privilege boundary: a file includes "core/..."
# and headers of its own folder, nothing else of ours; and bastion/ alone has
# three programs that must not include each other's headers.
set -u
cd "$(dirname "$0")/../.." || exit 1
passed=0 failed=0
verdict() {
	if [ -z "$2" ]; then
		passed=$((passed + 1))
		echo "ok $1"
	else
		failed=$((failed + 1))
		echo "not ok $1"
		printf '%s\n' "$2" | sed 's/^/# /'
	fi
}

# Every quoted include is core/... or a file beside the one that includes it.
wrong=$(git ls-files 'bastion/*.[ch]' 'pam_module/*.[ch]' 'audit/*.[ch]' |
	while read -r file; do
		sed -n 's/^#include "\([^"]*\)".*/\1/p' "$file" |
			while read -r header; do
				case $header in
				core/places.h) ;; # the Makefile's
				core/*) [ -e "bastion/$header" ] ;;
				*/*) false ;;
				*) [ -e "$(dirname "$file")/$header" ] ;;
				esac || echo "$file includes $header"
			done
	done)
verdict "parts include core/ and themselves" "$wrong"

wrong=$(git grep -nE '#include "(monitor|session|daemon)' -- 'bastion/core/*')
verdict "core/ includes no program" "$wrong"

# none OWNERS HEADERS: files of one program include no header of another.
crossing() {
	git ls-files "bastion/$1*.[ch]" | xargs -r grep -nHE \
		"#include \"($2)[_.a-z]*h\"" 2>/dev/null
}
verdict "the session includes neither monitor nor daemon" \
	"$(crossing session 'monitor|daemon|sources|cert|authkeys')"
verdict "the daemon includes neither monitor nor session" \
	"$(crossing daemon 'monitor|session|authkeys')"
verdict "the monitor includes neither session nor daemon" \
	"$(crossing monitor 'session|daemon|sources')"

# Only the session may know libssh; only it and nobody else parses SSH.
wrong=$(git grep -lE '#include <libssh/' -- '*.c' '*.h' |
	grep -v -E '^(bastion/session|tests/)')
verdict "libssh is included by the session alone" "$wrong"
wrong=$(git grep -lE '#include <openssl/ssl' -- '*.c' '*.h' |
	grep -v -E '^audit/forward_tls\.c')
verdict "TLS is spoken by the forwarder's children alone" "$wrong"
wrong=$(git grep -lE '#include "forward' -- 'audit/*' |
	grep -v -E '^audit/(sgbridge-)?forward')
verdict "nobody but the forwarder includes the forwarder" "$wrong"
wrong=$(git grep -lE '#include <security/' -- '*.c' '*.h' |
	grep -v -E '^(pam_module/|bastion/monitor_pam|tests/)')
verdict "PAM is included by the module and the monitor's login alone" "$wrong"
wrong=$(git grep -nE '\b(getaddrinfo|gethostbyname|inet_aton|inet_addr)\(' -- \
	'bastion/*' 'pam_module/*' 'audit/*')
verdict "nobody asks the DNS" "$wrong"
wrong=$(git grep -nE '\b(system|popen|strcat|sprintf|gets|alloca)\(' -- \
	'bastion/*.c' 'pam_module/*.c' 'audit/*.c')
verdict "no shell, no unbounded copies" "$wrong"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
