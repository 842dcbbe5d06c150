"""Fills the disk of a recorder as monitor and session; see recorder_enospc.sh.

usage: recorder_fill.py WORK SGBRIDGE-AUDIT
"""
import array
import glob
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import time

work, audit = sys.argv[1:3]
passed = failed = 0


def ok(name, good, detail=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print("not ok: %s %s" % (name, detail))


def text(data):
    return struct.pack(">I", len(data)) + data


def connect():
    until = time.monotonic() + 10
    while True:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            sock.connect(work + "/socket")
            sock.settimeout(20)
            return sock
        except OSError:
            sock.close()
            if time.monotonic() > until:
                raise
            time.sleep(0.05)  # until the recorder listens


def start(monitor):
    """Returns (type of the answer, id or text, stream)."""
    monitor.send(struct.pack(">H", 60) + text(b"c-1") + text(b"") + text(b"{}"))
    data, ancillary, _, _ = monitor.recvmsg(70000, 1000)
    kind = struct.unpack(">H", data[:2])[0]
    stream = None
    if ancillary:
        fds = array.array("i")
        fds.frombytes(ancillary[0][2][:4])
        stream = socket.socket(fileno=fds[0])
        stream.settimeout(20)
    return kind, data[6:].decode(), stream


def fill(stream):
    """Sends random bytes until the stream closes; what was acknowledged."""
    rnd, sent, acked, sizes = random.Random(1), b"", 0, []
    try:
        while len(sent) < 64 << 20:
            piece = rnd.randbytes(30000)
            stream.send(struct.pack(">IB", 1, 3) + text(piece))
            sent += piece
            sizes.append(len(sent))
            answer = stream.recv(8)
            if not answer:
                break
            acked = struct.unpack(">Q", answer)[0]
    except OSError:
        pass
    return sent[:sizes[acked - 1]] if acked else b""


def recorded(rec_id):
    path = glob.glob(work + "/disk/rec/*/*/*/" + rec_id + ".sgr")[0]
    raw = subprocess.run([audit, "export", "-i", work + "/reader.pem", "-f", "raw", path],
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout
    verdict = subprocess.run([audit, "verify", path], stdout=subprocess.PIPE, check=False)
    return raw, verdict


def main():
    monitor = connect()
    kind, rec_id, stream = start(monitor)
    ok("recording opens", kind == 70, rec_id)
    acked = fill(stream)
    ok("the stream closed on a full disk", 0 < len(acked) < 3 << 20, len(acked))
    answer = monitor.recv(70000)
    ok("the monitor is told", struct.unpack(">H", answer[:2])[0] == 74, answer)
    raw, verdict = recorded(rec_id)
    ok("what was acknowledged is there", raw.startswith(acked), (len(raw), len(acked)))
    ok("the recording has its end", verdict.returncode == 0, verdict.stdout)
    other = connect()
    kind, why, _ = start(other)
    ok("a new one is refused", kind == 71, (kind, why))
    path = glob.glob(work + "/disk/rec/*/*/*/" + rec_id + ".sgr")[0]
    shutil.move(path, work + "/kept.sgr")
    third = connect()
    kind, rec_id, stream = start(third)
    ok("with room again it records", kind == 70, rec_id)
    stream.send(struct.pack(">IB", 1, 3) + text(b"again"))
    ok("and acknowledges", stream.recv(8) == struct.pack(">Q", 1))
    journals = subprocess.run([audit, "verify", "-d", work + "/disk/rec", "--events",
                               work + "/disk/events", "--writer", work + "/writers", "events"],
                              stdout=subprocess.PIPE, check=False)
    ok("index and trail are whole", journals.returncode == 0, journals.stdout)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


sys.exit(main())
