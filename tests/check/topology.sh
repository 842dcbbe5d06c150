#!/bin/bash
# sgbridge topology on the sample exports: what comes out is a policy, what
# cannot be said is named with its place, and show, check and drift see what
# was put there for them to see.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=$(cd "${1:-build}" && pwd) || exit 1
passed=0 failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd tests/topology || exit 1
sgb() {
	"$build/sgbridge" "$@" --color never 2>&1
}
# ok NAME STATUS PATTERN COMMAND...: exit status, and a line that matches.
ok() {
	local name=$1 want=$2 pattern=$3 out status
	shift 3
	out=$("$@" 2>&1)
	status=$?
	if [ "$status" -eq "$want" ] && grep -qE -- "$pattern" <<<"$out"; then
		passed=$((passed + 1))
		echo "ok $name"
	else
		failed=$((failed + 1))
		echo "not ok $name: status $status, wanted $want and /$pattern/"
		printf '%s\n' "$out" | sed 's/^/# /'
	fi
}
json() {
	"$build/sgbridge" "$@" | python3 -m json.tool
}

# --- import: policy on stdout, everything else on stderr
for cloud in aliyun aws; do
	"$build/sgbridge" topology import $cloud $cloud-*.json \
		>"$work/$cloud.conf" 2>"$work/$cloud.err"
	ok "$cloud: the status says that not all could be said" 0 '' \
		test $? -eq 1
	ok "$cloud: the result is a policy" 1 ': 0 errors' \
		sgb check "$work/$cloud.conf"
	ok "$cloud: the result is as it was" 0 '' \
		diff $cloud.conf "$work/$cloud.conf"
	ok "$cloud: and so are the reports" 0 '' \
		diff $cloud.err "$work/$cloud.err"
done
conf=$work/aliyun.conf
ok "a device is no file" 2 '/dev/null: error: not a regular file' \
	sgb topology import aliyun /dev/null
ok "one wrong file is enough" 2 'aliyun.conf:1:8: error' \
	sgb topology import aliyun aliyun-*.json "$conf"
echo '{"Region": "x"}' >"$work/other.json"
ok "JSON of something else" 2 'other.json: error: expected Describe' \
	sgb topology import aliyun "$work/other.json"
echo '{"SecurityGroups": [' >"$work/cut.json"
ok "half a file" 2 'cut.json:2:0: error:' \
	sgb topology import aws "$work/cut.json"
ok "no file" 2 'No such file' sgb topology import aws "$work/none.json"
ok "no cloud" 2 'usage' sgb topology import azure aws-groups.json
ok "a word misspelt" 2 'unknown command "topology shwo"' sgb topology shwo

# --- show
ok "show: an instance" 0 \
	'^win_1 +10.0.1.30 +3389 +SG_Current +production +open' \
	sgb topology show -p "$conf"
ok "show: a rule" 0 '^SG_Current +50 +accept +udp +1-65535 +10.1.0.0/16' \
	sgb topology show -p "$conf"
ok "show's JSON is JSON" 0 '"instance": "win_1"' \
	json topology show --json -p "$conf"
ok "show's picture" 0 '"group SG_Bridge" -> "group SG_Current" .*tcp 22' \
	sgb topology show --dot -p "$conf"
ok "show draws it itself" 0 '<text [^>]*>win_1</text>' \
	sgb topology show --svg -p "$conf"
svg() {
	sgb topology show --svg -p "$1" >"$work/picture.svg" &&
		python3 - "$work/picture.svg" <<'END'
import sys, xml.dom.minidom
doc = xml.dom.minidom.parse(sys.argv[1])
box = [float(n) for n in doc.documentElement.getAttribute("viewBox").split()]
ends = set()
for path in doc.getElementsByTagName("path"):
    if path.hasAttribute("marker-end"):
        end = tuple(path.getAttribute("d").split()[-2:])
        assert end not in ends, "two arrows end in one place"
        ends.add(end)
for rect in doc.getElementsByTagName("rect"):
    if rect.hasAttribute("class"):
        x, y, w, h = (float(rect.getAttribute(n))
                      for n in ("x", "y", "width", "height"))
        assert 0 <= x and x + w <= box[2] and 0 <= y and y + h <= box[3]
print(len(ends), "arrows")
END
}
arrows=$(sgb topology show --dot -p "$conf" | grep -c -- '-> .*label="[atu]')
ok "an XML parser reads it, each arrow with an end of its own" 0 \
	"^$arrows arrows\$" svg "$conf"
{
	for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
		printf 'security-group G%u {\n instance i%u 10.0.0.%u\n' $i $i $i
		printf ' accept tcp 1-9 from G%u, any\n drop all from G%u\n}\n' \
			$((i % 12 + 1)) $i
	done
} >"$work/circle.conf"
chmod 644 "$work/circle.conf"
ok "groups in a circle" 0 '^36 arrows$' svg "$work/circle.conf"
if command -v dot >/dev/null; then
	ok "Graphviz draws it" 0 '<svg' \
		sh -c "'$build/sgbridge' topology show --dot -p '$conf' |
			dot -Tsvg"
fi

# --- check
cat >"$work/bad.conf" <<'END'
security-group SG_Bridge {
	instance jump1 10.0.0.5
	accept tcp 22 from any
}
security-group SG_Prod {
	zone production
	instance web1 10.0.1.11
	isolated
	accept tcp 22 from SG_Bridge
	accept tcp 3389 from 0.0.0.0/0 priority 5
	accept tcp 80 from SG_Test priority 7
	drop   tcp 20-90 from any priority 6
	accept tcp 5432 from SG_Test priority 8
	accept tcp 22 from SG_Nobody priority 9
	accept tcp 443 from 10.0.0.0/8 priority 10
	accept tcp 443 from 10.0.9.0/24 priority 11
}
security-group SG_Test {
	zone test
	instance test1 10.0.3.1
	instance test2 10.0.3.2
}
security-group SG_Nobody { accept tcp 1 from SG_Bridge }
END
chmod 644 "$work/bad.conf"
bad() {
	ok "check: $1" 1 "$2" sgb topology check -p "$work/bad.conf"
}
bad "the bastion is open" 'bad.conf:3:21: .*open to the world'
bad "a login port for everybody" 'bad.conf:10:23: .*restricts nobody'
bad "around the bastion" 'bad.conf:7:11: .*port 3389 is open from anywhere'
bad "members of one group" 'bad.conf:20:11: .*port 22 is open from 10.0.3.2, which is test2'
bad "another zone" 'bad.conf:13:23: .*zone production is open from test1'
bad "an empty group" 'bad.conf:14:21: .*no instance is in SG_Nobody'
bad "rules for nobody" 'bad.conf:23:35: .*no instance is in this group'
bad "a rule that never decides" 'bad.conf:11:9: .*bad.conf:12 is asked first'
bad "a network inside another" 'bad.conf:16:9: .*bad.conf:15 is asked first'
ok "check: what is dropped is not open" 1 '^0$' \
	sh -c "'$build/sgbridge' topology check -p '$work/bad.conf' |
		grep -c 'bad.conf:11:.*production is open'"
ok "check's JSON is JSON" 0 '"code": "zone-crossing"' \
	json topology check --json -p "$work/bad.conf"
cat >"$work/good.conf" <<'END'
network office 203.0.113.0/24
security-group SG_Bridge {
	instance jump1 10.0.0.5
	accept tcp 22 from office
}
security-group SG_Prod {
	zone production
	instance web1 10.0.1.11
	isolated
	accept tcp 22 from SG_Bridge
}
END
chmod 644 "$work/good.conf"
ok "check: a good topology" 0 ': 0 warnings' \
	sgb topology check -p "$work/good.conf"

# --- reach
ok "reach: the bastion" 0 '^open: good.conf:10' \
	sgb topology reach jump1 web1 -p "$work/good.conf"
ok "reach: nobody else" 1 '^closed: no group rule' \
	sgb topology reach 10.0.9.9 web1:22 -p "$work/good.conf"
ok "reach: no such instance" 2 'no instance "web9"' \
	sgb topology reach jump1 web9 -p "$work/good.conf"

ok "reach's JSON is JSON" 0 '"verdict": "open"' \
	json topology reach jump1 web1 --json -p "$work/good.conf"
ok "import's JSON is JSON" 0 '"unexpressed": [1-9]' \
	json topology import aliyun aliyun-*.json --json
# part NAME STATUS RULE...: 0 if port 22 of web1 is open around the bastion.
open="'$build/sgbridge' topology check -p '$work/part.conf' |
	grep -q 'port 22 is open from'"
part() {
	local name=$1 want=$2
	shift 2
	{
		sed '/accept tcp 22 from SG_Bridge/,$d' "$work/good.conf"
		printf '\t%s\n' 'accept tcp 22 from SG_Bridge' "$@" '}'
	} >"$work/part.conf"
	chmod 644 "$work/part.conf"
	ok "check: $name" "$want" '' sh -c "$open"
}
part "a network whose beginning is dropped" 0 \
	'accept tcp 22 from 10.0.0.0/8 priority 9' 'drop tcp 22 from 10.0.0.0/24'
part "whose middle alone is open" 0 \
	'accept tcp 22 from 10.0.0.0/8 priority 9' \
	'drop tcp 22 from 10.0.0.0/9, 10.192.0.0/10'
part "that is dropped in all its parts" 1 \
	'accept tcp 22 from 10.0.0.0/8 priority 9' \
	'drop tcp 22 from 10.0.0.0/9, 10.128.0.0/9'
part "that begins with the bastion" 0 'accept tcp 22 from 10.0.0.5, 10.0.0.4/30'
part "that is the bastion" 1 'accept tcp 22 from 10.0.0.5'
part "half of the world" 0 \
	'accept tcp 22 from any priority 9' 'drop tcp 22 from 0.0.0.0/1'
part "the other half, too" 1 \
	'accept tcp 22 from any priority 9' \
	'drop tcp 22 from 0.0.0.0/1, 128.0.0.0/1'
part "up to the last address" 1 \
	'accept tcp 22 from 255.255.255.0/24 priority 9' \
	'drop tcp 22 from 255.255.255.0/24'

# --- drift
cat >"$work/plain.json" <<'END'
{"SecurityGroupId": "sg-1", "SecurityGroupName": "SG_Prod",
 "InnerAccessPolicy": "Drop", "Permissions": {"Permission": [
 {"IpProtocol": "TCP", "PortRange": "22/22", "Policy": "Accept",
  "Priority": 1, "SourceCidrIp": "10.0.0.5"}]}}
END
cat >"$work/hosts.json" <<'END'
{"Instances": {"Instance": [{"InstanceId": "i-1", "InstanceName": "web1",
 "SecurityGroupIds": {"SecurityGroupId": ["sg-1"]},
 "InnerIpAddress": {"IpAddress": ["10.0.1.11"]}}]}}
END
drift() {
	sgb topology drift "$work/plain.json" "$work/hosts.json" \
		-p "$work/ours.conf" "$@"
}
cat >"$work/ours.conf" <<'END'
network bastion1 10.0.0.5
security-group SG_Prod {
	isolated
	instance frontend 10.0.1.11
	accept tcp 22 from bastion1
}
END
chmod 644 "$work/ours.conf"
ok "drift: none, whatever the names" 0 'as in the cloud$' drift
sed 's/isolated/&; via frontend/; s/10.0.1.11/& { via direct }/' \
	"$work/ours.conf" >"$work/ours_via.conf"
chmod 644 "$work/ours_via.conf"
ok "drift: a way is the policy's own affair" 0 'as in the cloud$' \
	drift -p "$work/ours_via.conf"
sed -i 's/22 from/22, 23 from/; s/10.0.1.11/10.0.1.12/' "$work/ours.conf"
ok "drift: a rule of ours" 1 \
	'^only declared +SG_Prod +accept tcp 23 from 10.0.0.5/32 priority 1 +ours.conf:5' \
	drift
ok "drift: an instance of theirs" 1 \
	'^only in the cloud +SG_Prod +instance 10.0.1.11 +web1' drift
ok "drift's JSON is JSON" 0 '"drift": "only declared"' \
	json topology drift "$work/plain.json" "$work/hosts.json" --json \
	-p "$work/ours.conf"
ok "drift: the import itself" 1 'as far as a policy can say' \
	sgb topology drift aliyun-*.json -p "$conf"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
