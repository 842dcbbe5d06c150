"""Several channels in one recording: all are looked at, and one can be chosen.

usage: audit_channels.py BUILD
"""
import fcntl
import json
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

from tally import ok, summary

build = os.path.abspath(sys.argv[1])
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)) + "/../fault")
sys.dont_write_bytecode = True
import recorder_peer as peer  # pylint: disable=wrong-import-position

audit = build + "/sgbridge-audit"
peer.audit = audit
work = tempfile.mkdtemp(prefix="sgb-channels-")
os.chmod(work, 0o711)
# Leaks cannot be looked for under strace.
env = dict(os.environ, HOME=work, XDG_STATE_HOME=work + "/state",
           ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0")
key = ("-d", work + "/rec", "-i", work + "/reader.pem")
OPEN, CLOSE, OUT, PTY, SHELL, EXEC, EXIT = 1, 2, 3, 6, 9, 10, 15
MANY = 300


def run(*args):
    done = subprocess.run([audit, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False, env=env, timeout=100)
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode()


def record(door, user, items):
    recording = peer.Recording(door, json.dumps({"user": user}).encode())
    for start in range(0, len(items), 100):
        for channel, kind, payload in items[start:start + 100]:
            recording.stream.send(struct.pack(">IB", channel, kind) + peer.text(payload))
        sent = min(start + 100, len(items))
        while struct.unpack(">Q", recording.stream.recv(8))[0] < sent:
            pass
    recording.close()
    return recording.rec_id


def shell(channel):
    size = struct.pack(">II", 80, 24) + peer.text(b"xterm") + peer.text(b"")
    return [(channel, OPEN, b"session"), (channel, PTY, size), (channel, SHELL, b"")]


def task(channel):
    return [(channel, OPEN, b"session"), (channel, EXEC, b"task %d" % channel),
            (channel, OUT, b"output-of-%d-end\n" % channel), (channel, EXIT, bytes(4)),
            (channel, CLOSE, b"")]


def recordings():
    peer.keys(work, audit)
    os.mkdir(work + "/rec", 0o700)
    os.chown(work + "/rec", 65533, 65533)
    os.mkdir(work + "/events", 0o700)
    os.chown(work + "/events", 65533, 65533)
    peer.configure(work + "/conf", work, work + "/rec", work + "/events", "1M")
    with open(work + "/log", "wb") as log:
        recorder = peer.start(build, work + "/conf", work + "/socket", log)
    two = shell(1) + shell(2) + [
        (1, OUT, b"$ ls\r\nin the first\r\n"), (2, OUT, b"$ cat x\r\nin the second\r\n"),
        (1, OUT, b"$ "), (2, OUT, b"more of it\r\n"), (1, CLOSE, b""), (2, CLOSE, b"")]
    # Some open together, most of them one after the other.
    several = [(channel, OPEN, b"session") for channel in (9001, 9002)]
    for channel in range(1, MANY + 1):
        several += task(channel)
    several += [(9002, OUT, b"output-of-9002-end\n"), (9001, OUT, b"output-of-9001-end\n")]
    ids = [record(work + "/socket", "two", two), record(work + "/socket", "many", several),
           record(work + "/socket", "one", shell(1) + [(1, OUT, b"alone\r\n")])]
    recorder.send_signal(signal.SIGTERM)
    recorder.wait(20)
    return ids


def all_found(rec_id):
    every = list(range(1, MANY + 1)) + [9001, 9002]
    for raw in ((), ("--raw",)):
        code, out, err = run("search", *key, "-j", *raw, "--regex", "output-of-[0-9]+-end")
        lines = [json.loads(line) for line in out.splitlines()]
        channels = sorted(line["channel"] for line in lines)
        ok("search finds each %s" % (raw,), code == 0 and channels == every, (code, err, channels))
    code, out, err = run("index", *key, "--index=" + work + "/i.db")
    ok("index", code == 0, err)
    code, out, _ = run("search", "--index=" + work + "/i.db", "-j", "output-of-")
    ok("the index has each", len(out.splitlines()) == len(every), len(out.splitlines()))
    code, out, _ = run("commands", *key, "-j", rec_id)
    ok("each command", code == 0 and len(out.splitlines()) == MANY, out[-300:])
    ok("with its status", out.count('"exit":0') == MANY, out[-300:])
    code, out, _ = run("text", *key, rec_id)
    ok("text of each", code == 0 and out.count("==> channel ") == len(every)
       and out.count("-end\n") == len(every), out[-300:])
    # As often as channels were open together, not once for each of them.
    done = subprocess.run(["strace", "-f", "-e", "trace=pread64,read", "-o", work + "/trace",
                           audit, "text", *key, rec_id], stdout=subprocess.DEVNULL, env=env,
                          timeout=100, check=False)
    with open(work + "/trace", encoding="utf-8", errors="replace") as file:
        reads = file.read().count("SGR1")
    ok("it is read few times", done.returncode == 0 and 2 <= reads <= 12, reads)


def chosen(rec_id, alone):
    first, second = "in the first", "in the second"
    os.mkdir(work + "/player")
    for name in ("asciinema-player.min.js", "asciinema-player.css"):
        with open(work + "/player/" + name, "w", encoding="ascii") as file:
            file.write(" ")
    for name in ("raw", "asciicast", "asciicast3", "ttyrec", "script", "html"):
        shown = []
        for option in ((), ("--channel", "1"), ("--channel", "2")):
            path = work + "/%s.%d" % (name, len(shown))
            code, _, err = run("export", *key, "-f", name, "--player", work + "/player", "-o",
                               path, *option, rec_id)
            with open(path, encoding="utf-8", errors="replace") as file:
                shown.append(file.read())
            other = "--channel %d" % (1 if len(shown) == 3 else 2)
            ok("%s %s names the others" % (name, option), code == 0 and other in err, err)
        if name == "html":
            ok("the page says which one it plays", "The player shows channel 2, one of 2"
               in shown[2] and shown[0] == shown[1] != shown[2])
            continue
        ok(name + ": the first unless told", first in shown[0] and second not in shown[0],
           shown[0])
        ok(name + ": the first", shown[1] == shown[0], shown[1])
        ok(name + ": the second", second in shown[2] and first not in shown[2], shown[2])
    code, out, _ = run("text", *key, "--channel", "2", rec_id)
    ok("text of one", code == 0 and out == "$ cat x\nin the second\nmore of it\n", out)
    code, out, _ = run("export", *key, "-f", "items", "--channel", "2", rec_id)
    ok("items of one", '"channel": 2' in out and '"channel": 1,' not in out, out)
    for command in (("text",), ("play", "--no-timing"), ("watch", "--no-timing"),
                    ("export", "-f", "raw"), ("export", "-f", "asciicast")):
        code, out, err = run(*command, *key, "--channel", "7", rec_id)
        ok("%s: no such channel" % (command,), code == 65 and "those that do: 1, 2" in err,
           (code, err))
    code, out, err = run("watch", *key, "--channel", "2", rec_id)
    ok("watch one", second in out and first not in out and "--channel 1" in err, (out, err))
    code, out, err = run("export", *key, "-f", "raw", alone)
    ok("one alone names none", code == 0 and "channel" not in err, err)
    code, out, err = run("export", *key, "-f", "items", rec_id)
    ok("items leave none out", code == 0 and "channel" not in err, err)
    code, out, err = run("ls", *key, "--channel", "2")
    ok("ls does not take it", code == 64 and "--channel" in err, err)
    code, out, err = run("text", *key, "--channel", "0", rec_id)
    ok("channels count from 1", code == 64, err)


def on_terminal(name, rec_id, *option):
    pid, fd = pty.fork()
    if not pid:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        os.execve(audit, [audit, name, *key, *option, rec_id], env)
    seen, end = b"", time.monotonic() + 20
    asked = False
    while time.monotonic() < end:
        if not asked and b"one of 2" in seen and b"in the" in seen:
            os.write(fd, b"q")
            asked = True
        if not select.select([fd], [], [], 0.5)[0]:
            continue
        try:
            data = os.read(fd, 65536)
        except OSError:
            data = b""
        if not data:
            break
        seen += data
    os.waitpid(pid, 0)
    os.close(fd)
    return seen


def players(rec_id):
    for name in ("play", "watch"):
        seen = on_terminal(name, rec_id)
        ok(name + ": the first", b"in the first" in seen and b"in the second" not in seen, seen)
        ok(name + ": says so", b"channel 1, one of 2" in seen, seen)
        ok(name + ": and how to see the other", b"--channel 2" in seen[-200:], seen[-300:])
        seen = on_terminal(name, rec_id, "--channel", "2")
        ok(name + ": the second", b"in the second" in seen and b"in the first" not in seen, seen)
        ok(name + ": names the first", b"--channel 1" in seen[-200:], seen[-300:])


try:
    TWO, SEVERAL, ALONE = recordings()
    all_found(SEVERAL)
    chosen(TWO, ALONE)
    players(TWO)
finally:
    shutil.rmtree(work, ignore_errors=True)
sys.exit(summary())
