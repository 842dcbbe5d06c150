"""A recorder with a folder of its own, for tests of what its recordings say.

Imported by programs whose first argument is BUILD.
"""
import array
import glob
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time

from tally import ok, summary  # pylint: disable=unused-import

build = os.path.abspath(sys.argv[1])
audit = build + "/sgbridge-audit"
work = tempfile.mkdtemp(prefix="sgb-store-")


def text(data):
    return struct.pack(">I", len(data)) + data


def run(*args, env=None, user=None):
    places = {"XDG_STATE_HOME": work + "/state", "HOME": work}
    done = subprocess.run([audit, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False, user=user, env={**os.environ, **places, **(env or {})})
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def prepare():
    os.chmod(work, 0o711)
    code, line, _ = run("keygen", "-o", work + "/reader.pem")
    ok("keygen", code == 0 and line.startswith("x25519 "), line)
    with open(work + "/recipients", "w", encoding="ascii") as file:
        file.write(line)
    code, line, _ = run("writer-keygen", "-o", work + "/key")
    ok("writer-keygen", code == 0 and line.startswith("ed25519 "), line)
    with open(work + "/writers", "w", encoding="ascii") as file:
        file.write(line)
    code, _, err = run("keygen", "-o", work + "/key")
    ok("a key is never replaced", code == 73 and "exists" in err, err)
    with open(work + "/conf", "w", encoding="ascii") as file:
        file.write("""recorder-user 65533:65533
recorder-socket %s/socket
recordings %s/rec
events %s/events
recipients %s/recipients
signing-key %s/key
disk-reserve 1M
audit off
""" % ((work,) * 5))
    for name in ("recipients", "writers", "conf"):
        os.chmod(work + "/" + name, 0o644)


def start():
    with open(work + "/log", "wb") as log:
        recorder = subprocess.Popen([build + "/sgbridge-recorder", "-e", "-c", work + "/conf"],
                                    stderr=log)
    until = time.monotonic() + 10
    while True:
        try:
            connect().close()
            return recorder
        except OSError:
            if time.monotonic() > until or recorder.poll() is not None:
                raise
            time.sleep(0.05)  # until it listens


def connect():
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.settimeout(20)
    sock.connect(work + "/socket")
    return sock


def record(meta, items, end=True):
    """Makes a recording; returns its id and what must be kept alive."""
    monitor = connect()
    monitor.send(struct.pack(">H", 60) + text(b"c") + text(b"") + text(json.dumps(meta, ensure_ascii=False).encode()))
    data, ancillary, _, _ = monitor.recvmsg(70000, 1000)
    fds = array.array("i")
    fds.frombytes(ancillary[0][2][:4])
    stream = socket.socket(fileno=fds[0])
    for number, (channel, kind, payload) in enumerate(items, 1):
        stream.send(struct.pack(">IB", channel, kind) + text(payload))
        while struct.unpack(">Q", stream.recv(8))[0] < number:
            pass
    if end:
        monitor.send(struct.pack(">HI", 62, 1) + text(b""))
        monitor.recv(70000)
    return data[6:].decode(), (monitor, stream)


def path_of(folder, rec_id):
    return glob.glob("%s/*/*/*/%s.sgr" % (folder, rec_id))[0]
