"""One recorder, many sessions: how much memory it takes.

usage: recorder_many.py BUILD COUNT

The bounds are of the whole process, above what it takes without a session: 400
KiB for each that sends (docs/PERFORMANCE.md has what it is), next to nothing
for one that is open and silent, and no more when they send twice as much.
"""
import os
import random
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time

import recorder_peer as peer

build, count = os.path.abspath(sys.argv[1]), int(sys.argv[2])
audit = build + "/sgbridge-audit"
# In memory: how long a disk takes to sync is not asked here.
work = tempfile.mkdtemp(prefix="sgb-many-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK)
                        else None)
door = work + "/socket"
passed = failed = 0
with open(build + "/sgbridge-recorder", "rb") as program:
    sanitized = b"__asan_init" in program.read()


def ok(name, good, detail=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print("not ok: %s: %s" % (name, detail), flush=True)


def listing():
    """Terminal output: lines that resemble each other, none like the other."""
    rnd = random.Random(1)
    return b"".join(b"-rw-r--r-- 1 root root %d file-%d.txt\r\n" % (rnd.randrange(1 << 30), i)
                    for i in range(2000))


class Memory:
    """Of a process, in KiB above what it was at first."""

    def __init__(self, pid):
        self.pid, self.base = pid, 0
        self.base = self.now()

    def field(self, name):
        with open("/proc/%d/status" % self.pid, encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith(name + ":"))

    def now(self):
        return self.field("VmRSS") - self.base

    def peak(self):
        return self.field("VmHWM") - self.base


def bounded(name, kib, each):
    # AddressSanitizer keeps what is freed, and more than there was beside it.
    ok(name, sanitized or kib <= each * count, "%d KiB, %.1f each" % (kib, kib / count))


def all_send(recordings, text, size):
    """All at once, then all answers."""
    for number, recording in enumerate(recordings):
        at = number * 331 % 20000
        recording.stream.send(struct.pack(">IB", 1, 3) + peer.text(text[at:at + size]))
    ok("all are answered", all(recording.stream.recv(8) for recording in recordings))


def grows(recorder):
    """Open, send, send more, close; the memory at each step."""
    memory, text = Memory(recorder.pid), listing()
    recordings = [peer.Recording(door) for _ in range(count)]
    ok("all are open", all(recording.stream for recording in recordings))
    bounded("open and silent", memory.now(), 16)
    opened = memory.now()
    all_send(recordings, text, 100)
    small = memory.peak()
    for _ in range(7):
        all_send(recordings, text, 60000)
    bounded("all send", memory.peak(), 400)
    full = memory.peak()
    for _ in range(7):
        all_send(recordings, text, 60000)
    bounded("twice as much takes no more", memory.peak() - full, 16)
    for recording in recordings:
        recording.close()
    ok("all are closed", all(recording.closed for recording in recordings))
    # When nothing came for a second.
    until = time.monotonic() + 20
    while memory.now() > 16 * count and time.monotonic() < until:
        time.sleep(0.1)  # until it rests
    bounded("given back", memory.now(), 16)
    print("# %d recordings, KiB each: %.1f open, %.1f with a little sent, %.1f with much" % (
        count, opened / count, small / count, full / count))


def main():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = max(hard, 4 * count + 100)
    resource.setrlimit(resource.RLIMIT_NOFILE, (need, need))
    os.chmod(work, 0o711)
    peer.keys(work, audit)
    peer.configure(work + "/conf", work, work + "/rec", work + "/events")
    with open(work + "/log", "wb") as log:
        recorder = peer.start(build, work + "/conf", door, log)
    grows(recorder)
    recorder.terminate()
    ok("it stops in order", recorder.wait(20) == 0)
    done = subprocess.run([audit, "verify", "-d", work + "/rec", "--writer", work + "/writers"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                          env=dict(os.environ, XDG_STATE_HOME=work + "/state"))
    ok("and each is intact", done.returncode == 0 and
       done.stdout.count(b"  intact") >= count, (done.returncode, done.stdout[-300:]))
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


try:
    status = main()
finally:
    shutil.rmtree(work)
sys.exit(status)
