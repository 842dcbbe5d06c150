"""Kills the recorder at random instants while sessions send.

usage: recorder_kill.py BUILD ROUNDS

After each kill: whatever a session got acknowledged is in its recording, every
file verifies up to its end or is open, and the next start ends what was open.
"""
import array
import glob
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

build, rounds = os.path.abspath(sys.argv[1]), int(sys.argv[2])
audit = build + "/sgbridge-audit"
work = tempfile.mkdtemp(prefix="sgb-kill-")
passed = failed = 0
rnd = random.Random(int(os.environ.get("SGB_SEED", "1")))


def ok(name, good, detail=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print("not ok: %s: %s" % (name, detail))


def text(data):
    return struct.pack(">I", len(data)) + data


def run(*args):
    done = subprocess.run([audit, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False, env=dict(os.environ, XDG_STATE_HOME=work + "/state"))
    return done.returncode, done.stdout, done.stderr.decode()


def prepare():
    os.chmod(work, 0o711)
    for command, key, lines in (("keygen", "reader.pem", "recipients"),
                                ("writer-keygen", "key", "writers")):
        _, out, _ = run(command, "-o", work + "/" + key)
        with open(work + "/" + lines, "wb") as file:
            file.write(out)
        os.chmod(work + "/" + lines, 0o644)
    with open(work + "/conf", "w", encoding="ascii") as file:
        file.write("recorder-user 65533:65533\nrecorder-socket %s/socket\nrecordings %s/rec\n"
                   "events %s/events\nrecipients %s/recipients\nsigning-key %s/key\n"
                   "disk-reserve 1M\naudit off\n" % ((work,) * 5))
    os.chmod(work + "/conf", 0o644)


def connect():
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.settimeout(20)
    sock.connect(work + "/socket")
    return sock


def start():
    recorder = subprocess.Popen([build + "/sgbridge-recorder", "-e", "-c", work + "/conf"],
                                stderr=subprocess.DEVNULL)
    until = time.monotonic() + 20
    while True:
        try:
            # It listens before it has recovered; it answers afterwards.
            sock = connect()
            sock.send(struct.pack(">H", 63))
            if sock.recv(70000):
                sock.close()
                return recorder
        except OSError:
            if time.monotonic() > until or recorder.poll() is not None:
                raise
        time.sleep(0.02)  # until it listens


class Session(threading.Thread):
    """One recording after the other, until the recorder is gone."""

    def __init__(self, seed):
        super().__init__()
        self.rnd, self.acked = random.Random(seed), {}

    def run(self):
        try:
            while True:
                self.one()
        except (OSError, struct.error):
            pass

    def one(self):
        monitor = connect()
        monitor.send(struct.pack(">H", 60) + text(b"c") + text(b"") + text(b"{}"))
        data, ancillary, _, _ = monitor.recvmsg(70000, 1000)
        if not ancillary:
            raise OSError("refused")
        fds = array.array("i")
        fds.frombytes(ancillary[0][2][:4])
        stream = socket.socket(fileno=fds[0])
        stream.settimeout(20)
        rec_id, sent, sizes = data[6:].decode(), b"", []
        self.acked[rec_id] = b""
        for _ in range(self.rnd.randrange(1, 60)):
            piece = self.rnd.randbytes(self.rnd.choice((1, 30, 500, 20000)))
            stream.send(struct.pack(">IB", 1, 3) + text(piece))
            sent += piece
            sizes.append(len(sent))
            answer = stream.recv(8)
            if not answer:
                return
            self.acked[rec_id] = sent[:sizes[struct.unpack(">Q", answer)[0] - 1]]
        monitor.send(struct.pack(">HI", 62, 1) + text(b"done"))
        monitor.recv(70000)
        stream.close()
        monitor.close()


def verdicts():
    code, out, err = run("verify", "-d", work + "/rec", "--events", work + "/events", "--writer",
                         work + "/writers", "-i", work + "/reader.pem", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    return code, {row.get("rec", row.get("journal")): row["verdict"] for row in rows}, err


def settle():
    """One recording to its end, until the index is signed: before that there is none to judge."""
    Session(0).one()
    until = time.monotonic() + 20
    while verdicts()[1].get("index") != "intact":
        if time.monotonic() > until:
            raise OSError("the index is never signed")
        time.sleep(0.02)  # until the recorder rests


def check(acked, after):
    code, found, err = verdicts()
    good = {"intact", "recovered"} if after else {"intact", "recovered", "open or interrupted"}
    bad = {name: verdict for name, verdict in found.items() if verdict not in good}
    ok("every verdict is good", not bad, (bad, err))
    for rec_id, data in acked.items():
        path = glob.glob("%s/rec/*/*/*/%s.sgr" % (work, rec_id))
        _, raw, _ = run("export", "-i", work + "/reader.pem", "-f", "raw", *path)
        ok("what was acknowledged is recorded", path and raw.startswith(data),
           (rec_id, len(raw), len(data)))
    return code


def forget(recorder):
    """In order, and from the beginning: a store of thousands takes long to read."""
    recorder.send_signal(signal.SIGTERM)
    ok("it stops in order", recorder.wait(20) == 0)
    for folder in ("/rec", "/events"):
        shutil.rmtree(work + folder)
    return start()


def main():
    prepare()
    recorder = start()
    settle()
    total, recordings = 0, 0
    for number in range(rounds):
        if number and number % 25 == 0:
            recorder = forget(recorder)
            settle()
        sessions = [Session(rnd.random()) for _ in range(4)]
        for session in sessions:
            session.start()
        time.sleep(rnd.random() * 0.3)  # the instant is what is random
        recorder.send_signal(signal.SIGKILL)
        recorder.wait()
        for session in sessions:
            session.join()
        acked = {name: data for session in sessions for name, data in session.acked.items()}
        total += sum(len(data) for data in acked.values())
        recordings += len(acked)
        check({}, False)
        recorder = start()
        check(acked, True)
    recorder.send_signal(signal.SIGTERM)
    ok("it stops in order", recorder.wait(20) == 0)
    ok("there was something to lose", total and recordings, (total, recordings))
    print("# %d kills, %d recordings, %d bytes acknowledged" % (rounds, recordings, total))
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


try:
    status = main()
finally:
    shutil.rmtree(work)
sys.exit(status)
