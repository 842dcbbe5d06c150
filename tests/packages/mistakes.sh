#!/bin/bash
# An administrator makes mistakes on a host of its own, from the packages: each
# is refused before anything changes, or heals itself. Then an upgrade under a
# session that goes on, and setup's questions answered at a terminal.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/packages/host.sh
. tests/packages/host.sh
# shellcheck source=tests/block.sh
. tests/block.sh
host_begin "$@"

etc() {
	(cd "$R" && find etc -path etc/ld.so.cache -prune -o -type f \
		-printf '%p %m %u %g ' -exec sha256sum {} \; | sort)
}
unchanged() { etc | diff "$W/before" - && old_login alice true; }
# refused PATTERN: setup says no, for that reason, and has changed nothing.
refused() {
	if setup_answers || ! grep -qiE "$1" "$W/out" || ! unchanged; then
		sed 's/^/# /' "$W/out"
		return 1
	fi
}
etc >"$W/before"
# After a reload sshd is away for a moment.
sshd_up() {
	wait_for test -s "$R/run/sshd.pid" &&
		wait_for bash -c 'exec 3<>/dev/tcp/203.0.113.1/22'
}
# The guard's time has to pass first.
healed() {
	local tries
	for tries in 1 2 3 4; do
		wait_for old_login alice true 2>/dev/null && unchanged && return
	done
	echo "# not after $tries rounds"
	return 1
}
# in_root is a shell's; what it started has the signal to get.
hup_recorder() {
	kill -HUP "$(ps -o pid= --ppid "$RECORDER" | tr -d ' ')"
}

# --- who would be locked out is told so before anything happens
answers | sed 's,^network.*,network 198.51.100.0/24,' >"$R/root/answers"
ok "networks without the administrator's address: refused" refused '203\.0\.113\.9'
answers | sed 's,^network.*,network 203.0.113.9/24,' >"$R/root/answers"
ok "a network that is none: refused" refused '203\.0\.113\.(9|0)/24'
answers | grep -v '^recipient' >"$R/root/answers"
ok "no recipient: refused" refused 'recipient'
answers | sed 's/^recipient.*/recipient ssh-ed25519 AAAA auditor/' \
	>"$R/root/answers"
ok "a recipient that is none: refused" refused 'recipient'

# --- the wrong address believed: the trial, made from there, works, and the
# administrator is out. Nobody can confirm, and so it heals.
WITHIN=8s answers | sed 's,^network.*,network 198.51.100.0/24,
	s,^admin-address.*,admin-address  198.51.100.7,' >"$R/root/answers"
ok "the wrong address, believed" setup_answers
ok "locks the administrator out" eval '! new_login 0 true 2>/dev/null'
ok "and heals by itself" healed

# --- a clock that is dead: the telephone's, a year behind
cat >"$R/root/late" <<'END'
#!/bin/sh
exec faketime -f -365d /root/code
END
chmod 0700 "$R/root/late"
answers | sed 's,^code-command.*,code-command /root/late,' >"$R/root/answers"
ok "codes of another year: the trial fails, and all is put back" \
	refused 'tried|trial|put back|log'

# --- sshd broken by hand
echo 'Frobnicate yes' >"$R/etc/ssh/sshd_config.d/by-hand.conf"
etc >"$W/before"
answers >"$R/root/answers"
ok "an sshd that is broken before is not built upon" eval \
	'! setup_answers && etc | diff "$W/before" -'
ok "and its sshd is left running" old_login alice true
rm "$R/etc/ssh/sshd_config.d/by-hand.conf"
etc >"$W/before"
WITHIN=12s answers >"$R/root/answers"
ok "setup, and then sshd is broken by hand" eval 'setup_answers && sshd_up &&
	echo "Frobnicate yes" >>"$R/etc/ssh/sshd_config.d/00-sgbridge.conf" &&
	in_root sgbridge doctor --json | grep -q "\"code\":\"sshd-unreadable\"" &&
	pid=$(cat "$R/run/sshd.pid") && kill -HUP "$pid" &&
	wait_for eval "! kill -0 $pid"'
ok "sshd is down" eval '! old_login alice true 2>/dev/null'
ok "and comes back with what was put back" healed

# --- a good one, to go on with
start_instance
answers >"$R/root/answers"
ok "setup, and confirmed" eval 'setup_answers && sshd_up &&
	new_login -30 sudo sgbridge setup --confirm'
start_bastion
enter() { [ "$(proxy_login "$1" alice+ops@web1 id -un 2>"$W/err")" = ops ]; }
mkfifo "$W/hold"
printf '[203.0.113.1]:30022 %s\n' "$(cut -d' ' -f1,2 \
	"$R/etc/sgbridge/ssh_host_ed25519_key.pub")" >>"$W/known_hosts"
exec 7<>"$W/hold"
LATER=0 SECRET=$R/root/alice.json SSH_ASKPASS=$W/askpass \
	SSH_ASKPASS_REQUIRE=force DISPLAY=:0 timeout 300 ssh \
	-F "$W/ssh_config" -p 30022 alice+ops@web1@203.0.113.1 \
	'echo ready; cat' <&7 >"$W/live" 2>"$W/live.err" &
live=$!
ok "through the proxy, to stay" wait_for grep -q ready "$W/live"

# --- nobody left to read recordings
cp "$R/etc/sgbridge/recipients" "$W/recipients"
echo '# nobody' >"$R/etc/sgbridge/recipients"
ok "no recipient any more: doctor says so, with the command" eval \
	'in_root sgbridge doctor >"$W/out"; [ $? = 2 ] &&
	grep -q "no recipient" "$W/out" && grep -q "keygen" "$W/out"'
ok "a recorder that runs keeps those it knows" eval \
	'hup_recorder && wait_for grep -q "stay as they were" \
	"$W/recorder.log"'
cp "$W/recipients" "$R/etc/sgbridge/recipients"
ok "and takes them again" eval 'hup_recorder && enter 30'

# --- an upgrade under a session that goes on
ok "the packages are installed once more" in_root sh -c \
	'dpkg -i /debs/*.deb >/dev/null'
kill "$DAEMON"
wait "$DAEMON" 2>/dev/null
in_root /usr/sbin/sgbridged -e >"$W/sgbridged2.log" 2>&1 &
DAEMON=$!
ok "the new daemon answers" wait_for in_root sgbridge status
ok "the session went on" eval 'echo more >&7 && wait_for grep -q more "$W/live"'
ok "doctor knows that it runs the old program" eval \
	'in_root sgbridge doctor --json | grep -q "\"code\":\"process-old\""'
exec 7>&-
kill "$live" 2>/dev/null
wait "$live" 2>/dev/null
stop_bastion
ok "undo" in_root sgbridge setup --undo

# --- the questions, at a terminal, and the console's answer
recovery() {
	in_root sh -ec "$(block docs/RECOVERY.md "$1")"
}
cat >"$W/talk.py" <<'END'
import os, pty, re, select, subprocess, sys, time
root, recipient, pin, *command = sys.argv[1:]
table = {"Unix account": "alice", "address that this": "203.0.113.9",
         "networks that people": "203.0.113.0/24",
         "instances:": "web1 10.0.1.11 ops " + pin,
         "auditors' lines": recipient,
         "administrator's public key": "/root/alice.pub"}
pid, fd = pty.fork()
if pid == 0:
    os.chroot(root)
    os.chdir("/")
    os.execve("/usr/sbin/" + command[0], command,
              {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root",
               "LC_ALL": "C"})
said, seen, told, last, end = "", 0, set(), 0, time.time() + 200


def code():
    """Of the first step that was not used: each counts once."""
    global last
    secret = re.findall(r"secret=([A-Z2-7]+)", said)[-1]
    while int(time.time()) // 30 + 1 <= last:
        time.sleep(0.5)
    last = max(last + 1, int(time.time()) // 30)
    return subprocess.run(["oathtool", "--totp", "-b", "--now",
                           "@%d" % (last * 30), secret], check=True,
                          stdout=subprocess.PIPE, text=True).stdout.strip()


def reply(question):
    for words, answer in table.items():
        if words in question:
            told.add(words)
            # A list ends with an empty line.
            del table[words]
            return answer
    if "secret=" in said:
        return code()
    return "yes" if "(yes/no)" in question else ""


while time.time() < end:
    if select.select([fd], [], [], 0.5)[0]:
        try:
            data = os.read(fd, 65536).decode(errors="replace")
        except OSError:
            break
        if not data:
            break
        said += data
        continue
    # Quiet, at the end of a line that is not ended: it waits for us.
    question = said[seen:]
    if question.strip() and question[-1] not in "\r\n":
        seen = len(said)
        os.write(fd, (reply(question.splitlines()[-1]) + "\n").encode())
sys.stdout.write(said)
if time.time() >= end:
    os.kill(pid, 9)
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
sys.exit(status or (0 if len(told) == 6 else 3))
END
# Whoever comes in as another one, has no key in this home.
mv "$R/home/alice/.ssh/authorized_keys" "$R/root/alice.pub"
talk() {
	local words
	read -ra words < <(block docs/QUICKSTART.md setup)
	[ "${words[*]}" = "$(block README.md setup)" ] || return 1
	python3 "$W/talk.py" "$R" "$(cat "$W/recipient")" "$(instance_pin)" \
		"${words[@]}" >"$W/talk" || {
		tail -n 40 "$W/talk" | sed 's/^/# /'
		return 1
	}
}
ok "setup asks at a terminal, and does it" talk
cp -p "$R/root/alice.pub" "$R/home/alice/.ssh/authorized_keys"
ok "it asked for the key that this home has not" cmp "$R/root/alice.pub" \
	"$R/etc/sgbridge/authorized_keys/alice"
ok "it showed the changes first" grep -q "^+AuthenticationMethods" "$W/talk"
ok "and tried the new login" grep -q "tried sshd" "$W/talk"
ok "a key alone is refused now" eval '! old_login alice true 2>/dev/null'
ok "the console can confirm, where the network is at fault" \
	recovery confirm-console
ok "undo, again" recovery undo
ok "and all is as it was" unchanged
host_end
