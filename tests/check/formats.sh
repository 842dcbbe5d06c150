#!/bin/sh
# The tables in bastion/core and the documents say the same: kinds of evidence
# in docs/RECORDING.md and read_sgr.py, kinds of events in docs/EVENTS.md.
set -u
cd "$(dirname "$0")/../.." || exit 1
passed=0 failed=0

ok() {
	if [ "$2" = "$3" ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "not ok: $1"
		echo "$2" >/tmp/sgb-formats.$$
		echo "$3" | diff /tmp/sgb-formats.$$ -
		rm -f /tmp/sgb-formats.$$
	fi
}

kinds=$(sed -n 's/^X([A-Z_]*,[[:space:]]*\([0-9]*\),[[:space:]]*"\(.*\)").*/\1 \2/p' \
	bastion/core/record.def)
ok "kinds of evidence in docs/RECORDING.md" \
	"$(sed -n '/^| kind | slug/,/^$/s/^| \([0-9]*\) | \([a-z-]*\) |.*/\1 \2/p' \
		docs/RECORDING.md)" "$kinds"
ok "kinds of evidence in tests/read_sgr.py" \
	"$(python3 -c '
import re
source = open("tests/read_sgr.py", encoding="ascii").read()
names = re.findall("\"([a-z-]+)\"", re.search(r"KINDS = \[(.*?)\]", source, re.S).group(1))
print("\n".join("%d %s" % pair for pair in enumerate(names, 1)))')" "$kinds"
events=$(sed -n 's/^X([A-Z_]*,[[:space:]]*"\([a-z-]*\)",[[:space:]]*\([0-9]*\),[[:space:]]*\([0-9]*\), "\(.*\)")/\1 \2 \3 \4/p' \
	bastion/core/event.def)
ok "kinds of events in docs/EVENTS.md" \
	"$(sed -n '/^| slug | class/,/^$/s/^| \([a-z-]*\) | \([0-9]*\) | \([0-9]*\) | \(.*\) |$/\1 \2 \3 \4/p' \
		docs/EVENTS.md)" "$events"
ok "there are events" "$([ "$(echo "$events" | wc -l)" -gt 20 ] && echo yes)" yes
ok "there are kinds" "$([ "$(echo "$kinds" | wc -l)" -gt 20 ] && echo yes)" yes
ok "commands of sgbridge-audit are in its manual" \
	"$(sed -n 's/^\t{"\([a-z-]*\)", cmd_.*/\1/p' audit/sgbridge-audit.c | sort)" \
	"$(sed -n '/^\.Sh COMMANDS/,/^\.Sh/s/^\.It Ic \([a-z-]*\).*/\1/p' \
		docs/man/sgbridge-audit.1 | sort)"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
