"""What was on the screen is found in the recording and in the index.

usage: audit_screen.py BUILD
"""
import fcntl
import glob
import json
import os
import pty
import re
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

audit = os.path.abspath(sys.argv[1]) + "/sgbridge-audit"
work = tempfile.mkdtemp(prefix="sgb-screen-")
env = {"PATH": os.environ["PATH"], "HOME": work, "TERM": "xterm", "PS1": "$ ", "ENV": "",
       "LC_ALL": "C.UTF-8", "SHELL": "/bin/sh", "TMUX_TMPDIR": work, "LESS": ""}
LINES = "".join("line %d\r\n" % number for number in range(60))
FEW = "".join("line %d\r\n" % number for number in range(20))


def run(*args):
    done = subprocess.run([audit, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False, env=env, timeout=60)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def take(user, path):
    """A recording of its own in the store, its user the case's name."""
    out = work + "/one.sgr"
    code, _, err = run("import", "--key", work + "/key", "-i", work + "/reader.pem", "--user",
                       user, "-o", out, path)
    ok(user + ": imported", code == 0, err)
    rec_id = run("verify", out)[1].split()[0]
    day = time.strftime("%Y/%m/%d", time.gmtime(int(rec_id[:8] + rec_id[9:13], 16) // 1000))
    os.makedirs(work + "/rec/" + day, exist_ok=True)
    os.rename(out, work + "/rec/%s/%s.sgr" % (day, rec_id))
    return rec_id


def cast(user, *events):
    """Text, or (columns, rows); half a second apart."""
    with open(work + "/cast", "w", encoding="utf-8") as file:
        file.write('{"version": 2, "width": 80, "height": 24}\n')
        for number, event in enumerate(events):
            code, text = ("o", event) if isinstance(event, str) else ("r", "%dx%d" % event)
            file.write(json.dumps([number / 2, code, text]) + "\n")
    return take(user, work + "/cast")


class Terminal:
    """A program on a terminal, recorded as ttyrec."""

    def __init__(self, *argv):
        self.seen, self.chunks = b"", []
        self.pid, self.fd = pty.fork()
        if not self.pid:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
            os.execvpe(argv[0], argv, env)

    def until(self, pattern):
        end = time.monotonic() + 20
        while not re.search(pattern, self.seen) and time.monotonic() < end:
            if not select.select([self.fd], [], [], 0.5)[0]:
                continue
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                data = b""
            if not data:
                return
            self.chunks.append((time.time(), data))
            self.seen += data
        ok("the program says %r" % pattern, re.search(pattern, self.seen), self.seen[-300:])
        self.seen = b""

    def press(self, keys, pattern):
        os.write(self.fd, keys)
        self.until(pattern)

    def end(self, user):
        os.close(self.fd)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        with open(work + "/tty", "wb") as file:
            for when, data in self.chunks:
                file.write(struct.pack("<III", int(when), int(when % 1 * 1e6), len(data)) + data)
        return take(user, work + "/tty")


def programs():
    """Each shows a word on its first page and goes on to others."""
    with open(work + "/page", "w", encoding="ascii") as file:
        file.write("first of the page\n" + "".join("row %d\n" % row for row in range(200)))
    terminal = Terminal("less", work + "/page")
    terminal.until(b"row 20")
    terminal.press(b" ", b"row 43")
    terminal.press(b"G", b"row 199")
    terminal.press(b"q", b"1049l|\\[K")
    shown = {"less": (terminal.end("less"), "first of the page", "row 30", "row 199")}
    terminal = Terminal("tmux", "-L", "sgb%d" % os.getpid(), "-f", "/dev/null", "new-session",
                        "/bin/sh")
    try:
        terminal.until(b"\\$ ")
        terminal.press(b"echo first$((1 + 1))of\r", b"first2of")
        terminal.press(b"seq -f row-%g 1 200\r", b"row-200")
        terminal.press(b"clear; echo la''st\r", b"last")
    finally:
        subprocess.run(["tmux", "-L", "sgb%d" % os.getpid(), "kill-server"], check=False, env=env)
    shown["tmux"] = terminal.end("tmux"), "first2of", "row-199", "last"
    return shown


CASES = {
    "control": ["$ cat x\r\n", "needle77\r\n$ "],
    "long-line": ["x" * 6000 + "needle77" + "y" * 300 + "\r\n$ "],
    "longer": ["x" * 40000 + "needle77" + "y" * 300 + "\r\n$ "],
    "over-the-cut": ["x" * 16380 + "needle77" + "y" * 300 + "\r\n$ "],
    "after-it": ["x" * 6000 + "\r\nneedle77\r\n$ "],
    "less-like": ["\x1b[?1049h\x1b[H", "needle77\r\n", LINES, "\x1b[?1049l$ "],
    "vi-like": ["\x1b[?1049h\x1b[H", "needle77\r\n", "\x1b[2J\x1b[Hother", "\x1b[?1049l$ "],
    "clear": ["needle77\r\n", "\x1b[2J\x1b[Hother page"],
    "shrink": ["needle77\r\n" + FEW + "$ ", (80, 5), "ls\r\n"],
    "shrink-clear": ["needle77\r\n" + FEW + "$ ", (80, 5), "clear\r\n\x1b[H\x1b[2J"],
    "narrow": ["z" * 70 + "needle77", (40, 24), "\x1b[H\x1b[2J"],
    "SU": ["needle77\r\n" + FEW, "\x1b[5S", "$ "],
    "DL": ["needle77\r\nother", "\x1b[H\x1b[M", "\r\n$ "],
    "IL": ["\x1b[24;1Hneedle77\x1b[H\x1b[3L$ "],
    "RI": ["\x1b[24;1Hneedle77\x1b[H" + "\x1bM" * 3 + "$ "],
    "ED-home": ["needle77\r\nother", "\x1b[H\x1b[J", "\r\n$ "],
    "ED-middle": ["head\r\nneedle77\r\nother", "\x1b[2;1H\x1b[J", "\r\n$ "],
    "EL": ["needle77", "\r\x1b[K", "done\r\n$ "],
    "progress": ["needle77 10%", "\r100% finished ok", "\r\n$ "],
    "built": ["\x1b[5;10Hneed", "\x1b[5;14Hle77\r\n$ "],
    "region": ["\x1b[1;10r" + "needle77\r\n" + LINES + "\x1b[r$ "],
    "edge": ["$ " + "z" * 74 + "needle77\r\n$ "],
}


def cases():
    ids = {name: cast(name, *events) for name, events in CASES.items()}
    key = ("-d", work + "/rec", "-i", work + "/reader.pem")
    shown = programs()
    code, _, err = run("index", *key, "--index=" + work + "/i.db")
    ok("index", code == 0, err)
    found = {}
    for where in (key, ("--index=" + work + "/i.db",)):
        code, out, err = run("search", *where, "-j", "needle77")
        ok("search", code == 0, err)
        found = {json.loads(line)["rec"] for line in out.splitlines()}
        for name, rec_id in ids.items():
            ok("%s: found%s" % (name, "" if where == key else " in the index"), rec_id in found)
        for name, (rec_id, *words) in shown.items():
            for word in words:
                out = run("search", *where, "-j", "--limit", "100", word)[1]
                ok("%s: %s" % (name, word), rec_id in out, out)
    for name, (rec_id, *words) in shown.items():
        code, out, err = run("text", *key, rec_id)
        ok("text of " + name, code == 0 and all(word in out for word in words), out[:2000])
    # Once, however often the screen is drawn.
    out = run("text", *key, shown["less"][0])[1]
    ok("a row is told once", out.count("first of the page") == 1, out)
    out = run("text", *key, ids["progress"])[1]
    ok("text leaves out what was overwritten", "needle77" not in out and "100%" in out, out)


try:
    run("keygen", "-o", work + "/reader.pem")
    run("writer-keygen", "-o", work + "/key")
    cases()
    ok("there are recordings", len(glob.glob(work + "/rec/*/*/*/*.sgr")) == len(CASES) + 2)
finally:
    shutil.rmtree(work, ignore_errors=True)
sys.exit(summary())
