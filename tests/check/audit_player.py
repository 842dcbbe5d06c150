"""Plays a recording on a pseudo-terminal and presses keys.

usage: audit_player.py BUILD
"""
import fcntl
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
work = tempfile.mkdtemp(prefix="sgb-player-")
env = dict(os.environ, HOME=work, XDG_STATE_HOME=work + "/state")
with open(audit, "rb") as audit_bytes:
    sanitized = b"__asan_init" in audit_bytes.read()


def run(*args):
    subprocess.run([audit, *args], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   check=True, env=env)


class Player:
    def __init__(self, *args, program=(audit,)):
        self.outer, self.inner = pty.openpty()
        self.size(24, 100)
        self.before = termios.tcgetattr(self.inner)
        self.process = subprocess.Popen(
            [*program, *args], stdin=self.inner, stdout=self.inner, stderr=self.inner, env=env,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.seen = b""

    def size(self, rows, cols):
        fcntl.ioctl(self.outer, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def until(self, pattern):
        """Reads until the pattern comes; forgets what was before its end."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            found = re.search(pattern, self.seen, re.S)
            if found:
                self.seen = self.seen[found.end():]
                return True
            if select.select([self.outer], [], [], 0.5)[0]:
                try:
                    self.seen += os.read(self.outer, 65536)
                except OSError:
                    break
            elif self.process.poll() is not None:
                break
        return bool(re.search(pattern, self.seen, re.S))

    def press(self, keys):
        os.write(self.outer, keys)

    def end(self, name, status=None):
        until = time.monotonic() + 20
        while self.process.poll() is None and time.monotonic() < until:
            if select.select([self.outer], [], [], 0.2)[0]:
                self.seen += os.read(self.outer, 65536)
        ok(name + ": ends", self.process.poll() is not None)
        while select.select([self.outer], [], [], 0)[0]:
            self.seen += os.read(self.outer, 65536)
        ok(name + ": leaves its screen", b"\x1b[?1049l" in self.seen, self.seen[-200:])
        ok(name + ": the cursor is back", b"\x1b[?25h" in self.seen)
        ok(name + ": the terminal is as it was",
           termios.tcgetattr(self.inner) == self.before, termios.tcgetattr(self.inner))
        if self.process.poll() is None:
            self.process.kill()
        code = self.process.wait()
        ok(name + ": its status", status is None or code == status, code)
        os.close(self.inner)
        os.close(self.outer)


def prepare():
    run("keygen", "-o", work + "/reader.pem")
    run("writer-keygen", "-o", work + "/key")
    events = [[0.5, "o", "$ "], [2, "o", "ls -l\r\n"], [2.1, "o", "first needle\r\n$ "],
              [30, "o", "id\r\n"], [30.1, "o", "second needle \u001b]0;evil\u0007\r\n$ "],
              [60, "o", "w\r\n"], [61, "o", "third NEEDLE\r\n$ "], [90, "o", "exit\r\n"]]
    with open(work + "/cast", "w", encoding="ascii") as file:
        file.write('{"version": 2, "width": 80, "height": 20}\n')
        file.write("".join(json.dumps(event) + "\n" for event in events))
    run("import", "--key", work + "/key", "-i", work + "/reader.pem", "-o", work + "/rec.sgr",
        work + "/cast")
    with open(work + "/cast", "w", encoding="ascii") as file:
        file.write('{"version": 2, "width": 80, "height": 20}\n')
        for number in range(60000):
            file.write('[%.3f, "o", "\\r$ line %d"]\n' % (number / 10, number))
    run("import", "--key", work + "/key", "-i", work + "/reader.pem", "-o", work + "/long.sgr",
        work + "/cast")


play = ("play", "-i", work + "/reader.pem", work + "/rec.sgr")


def keys():
    player = Player(*play)
    ok("starts", player.until(rb"00:00 / 01:30"))
    player.press(b" ")
    ok("pauses", player.until(rb"paused"))
    player.press(b"/needle\r")
    ok("search forward", player.until(rb"first needle.* 00:02 / 01:30"), player.seen[-300:])
    player.press(b"n")
    ok("next", player.until(rb"second needle.* 00:30 / 01:30"), player.seen[-300:])
    player.press(b"n")
    ok("letter case does not matter", player.until(rb"third NEEDLE.* 01:01 / 01:30"),
       player.seen[-300:])
    player.press(b"N")
    ok("backward", player.until(rb" 00:30 / 01:30"), player.seen[-300:])
    player.press(b"?first\r")
    ok("search backward", player.until(rb" 00:02 / 01:30"), player.seen[-300:])
    player.press(b"/nowhere\r")
    ok("what is not there", player.until(rb" 00:02 / 01:30[^\r]*not found"), player.seen[-300:])
    player.press(b"/abc\x1b")
    player.press(b")")
    ok("to the next command", player.until(rb" 00:30 / 01:30"), player.seen[-300:])
    player.press(b")")
    ok("and the next", player.until(rb" 01:00 / 01:30"), player.seen[-300:])
    player.press(b"(")
    ok("and back", player.until(rb" 00:30 / 01:30"), player.seen[-300:])
    player.press(b"l")
    ok("ten seconds on", player.until(rb" 00:(30|40|60) / 01:30"), player.seen[-300:])
    player.press(b".")
    ok("a step", player.until(rb" 01:0[01] / 01:30"), player.seen[-300:])
    player.press(b"]")
    ok("faster", player.until(rb" x2"))
    player.seen = b""
    player.size(10, 40)
    os.kill(player.process.pid, signal.SIGWINCH)
    ok("a smaller window is painted again", player.until(rb"\x1b\[2J.*\x1b\[10;1H"),
       player.seen[-300:])
    player.press(b"g")
    ok("from the start", player.until(rb" 00:0[0-2] / 01:30"), player.seen[-300:])
    ok("no byte of the target's", b"evil" not in player.seen and b"\x1b]" not in player.seen)
    player.press(b"q")
    player.end("q", 0)


def in_raw_mode(player):
    return not termios.tcgetattr(player.inner)[3] & (termios.ICANON | termios.ECHO)


def stopping():
    """Control-Z and fg, under a shell with job control."""
    player = Player(program=("bash", "--norc", "--noediting", "-i"))
    player.press(b"PS1='sh'; PS1+='ell> '\r")
    ok("a shell", player.until(rb"shell> $"), player.seen[-300:])
    cooked = termios.tcgetattr(player.inner)
    player.press(" ".join((audit, *play)).encode() + b"\r")
    ok("starts in it", player.until(rb"00:00 / 01:30"), player.seen[-300:])
    for _ in range(2):
        ok("has the terminal", in_raw_mode(player))
        player.press(b"\x1a")
        ok("control-Z leaves its screen", player.until(rb"\x1b\[\?25h\x1b\[\?1049l"),
           player.seen[-300:])
        ok("it is stopped", player.until(rb"Stopped.*shell> $"), player.seen[-300:])
        ok("the shell has its terminal", termios.tcgetattr(player.inner) == cooked)
        player.press(b"fg\r")
        ok("it is painted again", player.until(rb"\x1b\[\?1049h.* / 01:30"), player.seen[-300:])
        player.press(b"g/needle\r")
        ok("keys and emulators work", player.until(rb"first needle.* 00:02 / 01:30"),
           player.seen[-300:])
    player.press(b"q")
    ok("q ends it", player.until(rb"\x1b\[\?1049l.*shell> $"), player.seen[-300:])
    ok("the terminal is as it was", termios.tcgetattr(player.inner) == cooked)
    player.seen += b"\x1b[?1049l\x1b[?25h"
    player.press(b"exit\r")
    player.end("the shell", 0)
    # Nobody could continue it: it is the only one of its session.
    player = Player(*play)
    player.until(rb"00:00 / 01:30")
    player.press(b"\x1a")
    ok("control-Z without a shell", player.until(rb"\x1b\[\?1049h.* / 01:30"), player.seen[-300:])
    player.press(b"q")
    player.end("and q", 0)


def cage(child):
    """What an emulator may do: compute, and talk to the player."""
    with open("/proc/%d/status" % child, encoding="ascii") as file:
        status = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
    with open("/proc/%d/limits" % child, encoding="ascii") as file:
        limits = {line[:26].strip(): line[26:].split()[:2] for line in file}
    files = {int(name): os.readlink("/proc/%d/fd/%s" % (child, name))
             for name in os.listdir("/proc/%d/fd" % child)}
    ok("an emulator gains nothing", status["NoNewPrivs"] == "1", status["NoNewPrivs"])
    ok("it leaves no core", limits["Max core file size"] == ["0", "0"], limits)
    ok("it has one socket and nothing else", sorted(files) == [0, 1, 2, 3] and
       files[3].startswith("socket:") and {files[fd] for fd in range(3)} == {"/dev/null"}, files)
    ignored = int(status["SigIgn"], 16)
    ok("a terminal's keys are not its", all(ignored >> number - 1 & 1 for number in (
        signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGHUP)), status["SigIgn"])
    if sanitized:  # its runtime does more, and is not confined
        return
    ok("it has a filter", status["Seccomp"] == "2", status["Seccomp"])
    ok("its memory is limited", limits["Max address space"] == [str(512 << 20)] * 2, limits)
    ok("it writes no file", limits["Max file size"] == ["0", "0"], limits)
    ok("it starts nothing", limits["Max processes"] == ["0", "0"], limits)


def endings():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGSEGV,
                   signal.SIGABRT):
        player = Player(*play)
        player.until(rb"00:00 / 01:30")
        os.kill(player.process.pid, number)
        player.end(signal.Signals(number).name)
    player = Player(*play)
    player.until(rb"00:00 / 01:30")
    player.press(b"\x03")
    player.end("control-C", 0)
    # While it looks for something: its emulators get the key, too.
    for what, key in (("searching", b"/nowhere\r"), ("looking for commands", b")")):
        player = Player("play", "-i", work + "/reader.pem", work + "/long.sgr")
        player.until(rb"00:00 / 1")
        player.press(key)
        ok(what + ": it says so", player.until(what.encode()), player.seen[-300:])
        player.press(b"\x03")
        player.end("control-C while " + what, 0)
    player = Player(*play)
    player.until(rb"00:00 / 01:30")
    with open("/proc/%d/task/%d/children" % (player.process.pid, player.process.pid),
              encoding="ascii") as file:
        children = [int(pid) for pid in file.read().split()]
    ok("there are emulators", children)
    for child in children:
        cage(child)
    for child in children:
        os.kill(child, signal.SIGKILL)
    player.press(b".")
    player.end("a dead emulator")
    player = Player("watch", "-i", work + "/reader.pem", work + "/cut.sgr")
    ok("watch shows", player.until(rb"live"), player.seen[-300:])
    os.kill(player.process.pid, signal.SIGTERM)
    player.end("watch and SIGTERM")


try:
    prepare()
    with open(work + "/rec.sgr", "rb") as whole, open(work + "/cut.sgr", "wb") as cut:
        cut.write(whole.read()[:-170])
    keys()
    stopping()
    endings()
finally:
    shutil.rmtree(work)
sys.exit(summary())
