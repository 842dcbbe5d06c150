#!/usr/bin/python3
"""What strangers send before they are anybody.

usage: preauth.py HOST CASE [ARGUMENT...]

Prints a line that tests/e2e/preauth.sh judges: "closed" for a connection that
the bastion ended, "open" for one that it did not in time, "spoke
N" where it answered with a message that it should not have.
"""
import os
import socket
import struct
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

HOST = sys.argv[1]
BANNER = b"SSH-2.0-OpenSSH_9.2\r\n"
KEX = (b"curve25519-sha256", b"ssh-ed25519", b"aes128-ctr", b"aes128-ctr",
       b"hmac-sha2-256-etm@openssh.com", b"hmac-sha2-256-etm@openssh.com",
       b"none", b"none", b"", b"")
KEXINIT, NEWKEYS, ECDH_INIT, ECDH_REPLY = 20, 21, 30, 31


def connect():
    sock = socket.create_connection((HOST, 30022), 10,
                                    source_address=("203.0.113.7", 0))
    # Those that are expected to stay open need not be watched for long.
    sock.settimeout(2 if sys.argv[2] in ("odd", "lax") else 10)
    return sock


def string(value):
    return struct.pack(">I", len(value)) + value


def packet(payload, padding=None):
    pad = padding if padding is not None else 8 - (len(payload) + 5) % 8
    if padding is None and pad < 4:
        pad += 8
    return struct.pack(">IB", len(payload) + pad + 1, pad) + payload + bytes(pad)


def kexinit(lists=KEX, guess=0):
    return (bytes([KEXINIT]) + os.urandom(16) +
            b"".join(string(value) for value in lists) +
            bytes([guess]) + bytes(4))


def strict(lists=KEX):
    return (lists[0] + b",kex-strict-c-v00@openssh.com",) + tuple(lists[1:])


def messages(sock):
    """Message numbers that come in the clear, until the end. None: no end."""
    data, got = b"", []
    try:
        while True:
            part = sock.recv(65536)
            if not part:
                return got, True
            data += part
            if b"\n" in data and data.startswith(b"SSH-"):
                data = data[data.index(b"\n") + 1:]
            while len(data) > 5 and not data.startswith(b"SSH-"):
                size = struct.unpack(">I", data[:4])[0]
                if size > 40000 or len(data) < size + 4:
                    break
                got.append(data[5])
                data = data[size + 4:]
    except socket.timeout:
        return got, False
    except OSError:
        return got, True


def verdict(sock, allowed=(1, 3, KEXINIT)):
    got, closed = messages(sock)
    extra = [number for number in got if number not in allowed]
    if extra:
        return f"spoke {extra[0]}"
    return "closed" if closed else "open"


def send(sock, *parts):
    """As much as it takes; the other end may have had enough."""
    try:
        for part in parts:
            sock.sendall(part)
    except OSError:
        pass


def each(cases, allowed=(1, 3, KEXINIT)):
    """All at once; what they all say, or which one says something else."""
    said = {}

    def run(name, parts):
        sock = connect()
        send(sock, *parts)
        said[name] = verdict(sock, allowed)
        sock.close()

    threads = [threading.Thread(target=run, args=case)
               for case in cases.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(set(said.values())) == 1:
        return next(iter(said.values()))
    return " ".join(f"{name}:{word}" for name, word in said.items())


def case_silent(count):
    socks = [connect() for _ in range(int(count))]
    print(*set(verdict(sock) for sock in socks))


def case_drip(what):
    """A byte at a time, never idle, never done."""
    sock = connect()
    data = b"SSH-2.0-" + b"x" * 200
    if what == "kexinit":
        sock.sendall(BANNER)
        data = packet(kexinit())
    sock.settimeout(0.25)
    end = time.time() + 30
    for byte in data:
        try:
            sock.sendall(bytes([byte]))
            while sock.recv(4096):
                pass
            print("closed")
            return
        except socket.timeout:
            if time.time() > end:
                break
        except OSError:
            print("closed")
            return
    print("open")


def case_banners():
    print(each({
        "long": [b"SSH-2.0-" + b"x" * 8192 + b"\r\n"],
        "endless": [b"SSH-2.0-" + b"x" * 100000],
        "old": [b"SSH-1.5-old\r\n"],
        "none": [b"GET / HTTP/1.0\r\n\r\n", packet(kexinit())],
        "lines": [b"line\r\n" * 1000 + BANNER, packet(bytes([99]))],
    }))


def case_names():
    """Software strings for the log to be careful with."""
    for name in (b"\x1b]0;owned\x07", b"%n%n%s", b"\x9b31m", b"a\x00b"):
        sock = connect()
        send(sock, b"SSH-2.0-" + name + b"\r\n", packet(kexinit()),
             packet(bytes([NEWKEYS])))
        verdict(sock)
    print("done")


def case_lengths():
    cases = {str(size): [BANNER, struct.pack(">I", size) + b"\4" + bytes(99)]
             for size in (0, 1, 1 << 19, 1 << 28, 0xffffffff)}
    cases["padding"] = [BANNER, struct.pack(">IB", 12, 200) + bytes(11)]
    print(each(cases))


def case_odd():
    """No payload; a length that is not of the block's size. RFC 4253 has no
    such packets; libssh passes over them. Nothing comes of it."""
    print(each({
        "empty": [BANNER, struct.pack(">IB", 12, 11) + bytes(11)],
        "odd": [BANNER, struct.pack(">IB", 13, 4) + bytes(12)],
    }))


def case_kexinit():
    def one(*lists):
        return [BANNER, packet(kexinit(lists)), packet(bytes([NEWKEYS]))]

    cases = {
        "long": one(b"x" * 30000, *KEX[1:]),
        "many": one(b",".join(b"a%d" % i for i in range(5000)), *KEX[1:]),
        "empty": one(*[b""] * 10),
        "unknown": one(*[b"none"] * 10),
        "comma": one(KEX[0] + b",", *KEX[1:]),
        "doubled": one(*[b",".join([name] * 900) for name in KEX]),
        "bytes": one(*[bytes(range(256))] * 10),
        "cut": [BANNER, packet(kexinit()[:60])],
        "compressed": one(*KEX[:6], b"zlib", b"zlib", b"", b""),
        "weak": one(b"diffie-hellman-group1-sha1", b"ssh-rsa", b"3des-cbc",
                    b"3des-cbc", b"hmac-sha1", b"hmac-sha1", *KEX[6:]),
    }
    print(each(cases))


def case_order():
    """Out of order in the exchange; with strict order also what is harmless
    elsewhere (Terrapin, CVE-2023-48795)."""
    start = [BANNER, packet(kexinit())]
    hard = [BANNER, packet(kexinit(strict()))]
    init = packet(bytes([ECDH_INIT]) + string(b"\x09" + bytes(31)))
    ignore = packet(b"\2" + string(b"x"))
    newkeys = packet(bytes([NEWKEYS]))
    cases = {
        "twice": start + [packet(kexinit())] * 2,
        "early": start + [packet(bytes([NEWKEYS]))],
        "doubled": start + [init, init, packet(bytes([NEWKEYS]))] * 2,
        "zero": start + [packet(bytes([ECDH_INIT]) + string(bytes(32)))],
        "one": start + [packet(bytes([ECDH_INIT]) +
                               string(b"\1" + bytes(31)))],
        "short": start + [packet(bytes([ECDH_INIT]) + string(bytes(31)))],
        "service": start + [packet(b"\5" + string(b"ssh-userauth"))],
        "auth": start + [packet(b"\x32" + string(b"robot") +
                                string(b"ssh-connection") + string(b"none"))],
        "success": start + [packet(b"\x34")],
        "ignore": hard + [ignore, init, newkeys],
        "debug": hard + [packet(b"\4\0" + string(b"x") + string(b"")), init,
                         newkeys],
    }
    # An answer to a first, good message is in order.
    print(each(cases, (1, 3, KEXINIT, NEWKEYS, ECDH_REPLY)))


def case_lax():
    """The same without strict order, for which IGNORE is nothing special."""
    print(each({"ignore": [BANNER, packet(kexinit()),
                           packet(b"\2" + string(b"x")),
                           packet(bytes([ECDH_INIT]) +
                                  string(b"\x09" + bytes(31))),
                           packet(bytes([NEWKEYS]))]},
               (1, 3, KEXINIT, NEWKEYS, ECDH_REPLY)))


def case_guesses():
    """Key exchanges that are guessed wrong, again and again."""
    sock = connect()
    wrong = (b"diffie-hellman-group14-sha256,curve25519-sha256",) + KEX[1:]
    send(sock, BANNER)
    for _ in range(2000):
        send(sock, packet(kexinit(wrong, 1)),
             packet(bytes([ECDH_INIT]) + string(bytes(32))))
    print(verdict(sock))


def case_ignore():
    """IGNORE without end, in the clear."""
    sock = connect()
    send(sock, BANNER, packet(kexinit()))
    junk = packet(b"\2" + string(bytes(32000))) * 10
    try:
        for _ in range(40000):
            sock.sendall(junk)
        print("open")
    except OSError:
        print("closed")


class Middle:
    """Between a client and the bastion: cuts, or bends, at a place."""

    def __init__(self, port, act):
        self.act = act
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            client = self.listener.accept()[0]
            server = connect()
            state = {"bytes": [0, 0], "pieces": 0}
            for pair in ((0, client, server), (1, server, client)):
                threading.Thread(target=self.pump, args=(state, *pair),
                                 daemon=True).start()

    def pump(self, state, way, source, sink):
        source.settimeout(40)
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                state["pieces"] += 1
                data = self.act(state, way, data)
                if data is None:
                    break
                state["bytes"][way] += len(data)
                sink.sendall(data)
        except OSError:
            pass
        for sock in (source, sink):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        print(*state["bytes"], flush=True)


def case_middle(kind, way, place, port):
    """Serves until killed. kind flip: one bit of the byte at this place of
    way (0: to the bastion); kind cut: closed after so many pieces."""
    way, place = int(way), int(place)

    def flip(state, this, data):
        at = place - state["bytes"][this]
        if this != way or not 0 <= at < len(data):
            return data
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]

    def cut(state, this, data):
        return None if state["pieces"] > place else data

    Middle(int(port), {"flip": flip, "cut": cut}[kind])
    print("ready", flush=True)
    time.sleep(600)


def case_cookies(count):
    """Random numbers of that many session processes: the cookies of their
    KEXINIT (RFC 4253 section 7.1), and how many of them are different."""
    def one(_):
        sock = connect()
        send(sock, BANNER)
        data = b""
        try:
            while b"\n" not in data or len(data) < data.index(b"\n") + 23:
                part = sock.recv(65536)
                if not part:
                    return None
                data += part
        except OSError:
            return None
        sock.close()
        at = data.index(b"\n") + 1
        return data[at + 6:at + 22] if data[at + 5] == KEXINIT else None

    with ThreadPoolExecutor(16) as pool:
        got = list(pool.map(one, range(int(count))))
    print(sum(cookie is not None for cookie in got),
          len(set(got) - {None}))


def case_offers():
    """What the bastion offers, as words."""
    sock = connect()
    sock.sendall(BANNER)
    data = b""
    while len(data) < 500:
        data += sock.recv(65536)
    data = data[data.index(b"\n") + 1:]
    at, lists = 22, []
    for _ in range(10):
        size = struct.unpack(">I", data[at:at + 4])[0]
        lists.append(data[at + 4:at + 4 + size].decode())
        at += 4 + size
    print("\n".join(lists))


globals()["case_" + sys.argv[2]](*sys.argv[3:])
