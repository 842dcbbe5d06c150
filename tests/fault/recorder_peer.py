"""Monitor and session towards a recorder, for tests of what it keeps."""
import array
import atexit
import os
import socket
import struct
import subprocess
import time

OPEN, EVENT, CLOSE, STATUS = 60, 61, 62, 63
OPENED, REFUSED, EVENT_OK, CLOSED, FAILED, BUSY = 70, 71, 72, 73, 74, 78


def text(data):
    return struct.pack(">I", len(data)) + data


class Closed(OSError):
    pass


class Recording:
    """One connection of a monitor, and the stream of its session."""

    def __init__(self, door, meta=b"{}", kind=b""):
        self.monitor = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.monitor.settimeout(20)
        self.stream, self.rec_id, self.why = None, None, ""
        self.sent, self.sizes, self.acked, self.closed = b"", [], b"", False
        self.monitor.connect(door)
        self.ask(OPEN, text(b"c") + text(kind) + text(meta))

    def ask(self, kind, body):
        """The answer's type; what it brings is kept."""
        self.monitor.send(struct.pack(">H", kind) + body)
        while True:
            data, ancillary, _, _ = self.monitor.recvmsg(70000, 1000)
            if not data:
                raise Closed("the recorder is gone")
            answer = struct.unpack(">H", data[:2])[0]
            if answer != BUSY:
                break
        if answer == OPENED:
            fds = array.array("i")
            fds.frombytes(ancillary[0][2][:4])
            self.stream = socket.socket(fileno=fds[0])
            self.stream.settimeout(20)
            self.rec_id = data[6:].decode()
        elif answer in (REFUSED, FAILED):
            self.why = data[6:].decode()
        return answer

    def send(self, data):
        """Evidence; returns when it is acknowledged."""
        self.stream.send(struct.pack(">IB", 1, 3) + text(data))
        self.sent += data
        self.sizes.append(len(self.sent))
        answer = self.stream.recv(8)
        if not answer:
            raise Closed("the stream was closed")
        self.acked = self.sent[:self.sizes[struct.unpack(">Q", answer)[0] - 1]]

    def event(self, number):
        return self.ask(EVENT, text(EVENT_JSON % number)) == EVENT_OK

    def close(self):
        self.closed = self.ask(CLOSE, struct.pack(">I", 1) + text(b"done")) == CLOSED
        self.drop()

    def drop(self):
        if self.stream:
            self.stream.close()
        self.monitor.close()


# As the trail wants it: the recorder adds the rest.
EVENT_JSON = b'{"metadata":{"version":"1.4.0"},"unmapped":{"sgb":{"event":"test","n":"n%d."}}}'


def keys(work, audit):
    """Readers' and writer's keys with what others need of them."""
    for command, key, lines in (("keygen", "reader.pem", "recipients"),
                                ("writer-keygen", "key", "writers")):
        done = subprocess.run([audit, command, "-o", work + "/" + key], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, check=True)
        with open(work + "/" + lines, "wb") as file:
            file.write(done.stdout)
        os.chmod(work + "/" + lines, 0o644)


def configure(path, work, disk, events, reserve="64K", more=""):
    with open(path, "w", encoding="ascii") as file:
        file.write("recorder-user 65533:65533\nrecorder-socket %s/socket\nrecordings %s\n"
                   "events %s\nrecipients %s/recipients\nsigning-key %s/key\n"
                   "disk-reserve %s\naudit off\n%s" % (work, disk, events, work, work, reserve,
                                                       more))
    os.chmod(path, 0o644)


def start(build, conf, door, log):
    """A recorder that answers."""
    recorder = subprocess.Popen([build + "/sgbridge-recorder", "-e", "-c", conf], stderr=log)
    atexit.register(lambda: recorder.poll() is None and recorder.kill())
    until = time.monotonic() + 20
    while True:
        try:
            # It listens before it has recovered; it answers afterwards.
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            sock.settimeout(20)
            sock.connect(door)
            sock.send(struct.pack(">H", STATUS))
            if sock.recv(70000):
                sock.close()
                return recorder
        except OSError:
            if time.monotonic() > until or recorder.poll() is not None:
                raise
        time.sleep(0.02)  # until it listens
