#!/bin/bash
# The pictures are drawn, and show what there is: the processes are the rows of
# the table in ARCHITECTURE.md with their users, and the topology has every
# group and instance of the example policy.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${1:-build}
command -v dot >/dev/null || {
	echo "graphviz is not here"
	exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# shellcheck source=tests/check/ok.sh
. tests/check/ok.sh
draw() {
	dot -Tsvg "$1" -o "$work/$(basename "$1" .dot).svg" 2>"$work/err"
	cat "$work/err"
	[ ! -s "$work/err" ]
}
for dot in docs/*.dot; do
	ok "$dot is drawn without a warning" draw "$dot"
done
# "NAME|USER" of the table, and of the nodes.
sed -n '/^## Processes/,/^    client/p' docs/ARCHITECTURE.md |
	sed -n 's/^| `\([^`]*\)` | \([^|]*\) |.*/\1|\2/p' | sort >"$work/table"
sed -n 's/.*"\([^"]*\)" \[class=process, label="\1\\n\([^"]*\)"\];/\1|\2/p' \
	docs/processes.dot | sort >"$work/nodes"
ok "the table has processes" [ -s "$work/table" ]
ok "the picture has them, with their users" diff "$work/table" "$work/nodes"
# Who forks whom is in sysusers and in the units, not in a picture alone.
ok "users of their own are made" eval \
	'grep -q _sgb-session conf/sysusers.conf &&
	grep -q _sgb-recorder conf/sysusers.conf'

"$build/sgbridge" topology show --svg --policy conf/policy.conf \
	>"$work/topology.svg" 2>"$work/err"
cat >"$work/texts.py" <<'END'
import re, sys, xml.etree.ElementTree as tree
for path in sys.argv[1:]:
    root = tree.parse(path).getroot()
    assert root.tag.endswith("svg"), root.tag
    for node in root.iter():
        assert not node.tag.endswith("script"), path
texts = " ".join(t.text or "" for t in root.iter() if t.tag.endswith("text"))
policy = re.sub(r"#.*", "", open("conf/policy.conf").read())
names = re.findall(r"^\s*(?:security-group|instance)\s+(\S+)", policy, re.M)
assert len(names) > 3, names
missing = [n for n in names if n not in texts]
sys.exit("not in the picture: " + " ".join(missing) if missing else 0)
END
ok "the topology shows each group and instance of the example" \
	python3 "$work/texts.py" "$work/processes.svg" "$work/topology.svg"
ok_summary
