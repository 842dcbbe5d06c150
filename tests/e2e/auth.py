#!/usr/bin/python3
"""Logging on by hand, message by message.

usage: auth.py HOST KEYFILE CASE [ARGUMENT...]

paramiko's transport encrypts; the messages are made here. Prints what
tests/e2e/auth.sh judges: numbers and bodies of answers (RFC 4252, RFC 4256),
or "cut".
"""
import hashlib
import queue
import socket
import struct
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import paramiko
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from paramiko import Message

HOST, KEYFILE, CASE = sys.argv[1:4]
SERVICE, REQUEST, INFO_RESPONSE = b"\x05", b"\x32", b"\x3d"


def string(value):
    value = value.encode() if isinstance(value, str) else value
    return struct.pack(">I", len(value)) + value


class Raw:
    """A connection whose answers are put in a queue as they are."""

    def __init__(self, source="203.0.113.9"):
        sock = socket.create_connection((HOST, 30022), 10,
                                        source_address=(source, 0))
        self.transport = paramiko.Transport(sock)
        self.transport.daemon = True
        self.answers = queue.Queue()
        # The class's, or in newer versions the instance's own: those are
        # called without the transport.
        table = dict(self.transport._handler_table)
        for number in (6, *range(50, 80)):
            table[number] = (lambda *args, number=number:
                             self.answers.put((number, args[-1].asbytes())))
        # An instance attribute: other connections keep theirs.
        self.transport._handler_table = table
        self.transport.start_client(timeout=10)

    def send(self, *parts):
        try:
            self.transport.packetizer.send_message(Message(b"".join(parts)))
        except (EOFError, OSError):
            pass

    def answer(self, seconds=10):
        end = time.time() + seconds
        while time.time() < end:
            try:
                number, body = self.answers.get(timeout=0.05)
                if number == 53:  # a banner
                    continue
                return number, body
            except queue.Empty:
                if not self.transport.is_active():
                    return "cut", b""
        return "silent", b""

    def service(self, name="ssh-userauth"):
        self.send(SERVICE, string(name))
        return self.answer()

    def close(self):
        self.transport.close()


def load(name=KEYFILE):
    with open(name, "rb") as file:
        return serialization.load_ssh_private_key(file.read(), None)


def public(key):
    raw = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    import base64
    return raw.split()[0].decode(), base64.b64decode(raw.split()[1])


def key_request(raw, user, key, signed=True, service="ssh-connection",
                method="publickey", session=None, algorithm=None, extra=b"",
                sign=None):
    kind, blob = public(key)
    algorithm = algorithm or kind
    body = (REQUEST + string(user) + string(service) + string(method) +
            (b"\1" if signed else b"\0") + string(algorithm) + string(blob) +
            extra)
    if not signed:
        return raw.send(body)
    data = string(session or raw.transport.session_id) + body
    signature = sign(data) if sign else string(kind) + string(key.sign(data))
    return raw.send(body, string(signature))


def case_look(*users):
    """What each user is answered: to a probe, to a signature, to the other
    methods. One word for each, equal where the bytes are."""
    key = load()
    for user in users:
        got = []
        raw = Raw()
        raw.service()
        raw.send(REQUEST, string(user), string("ssh-connection"),
                 string("none"))
        got.append(raw.answer())
        for signed in (False, True):
            key_request(raw, user, key, signed)
            got.append(raw.answer())
        raw.send(REQUEST, string(user), string("ssh-connection"),
                 string("keyboard-interactive"), string(""), string(""))
        got.append(raw.answer())
        raw.send(REQUEST, string(user), string("ssh-connection"),
                 string("password"), b"\0", string("x"))
        got.append(raw.answer())
        raw.close()
        numbers = ",".join(str(number) for number, _ in got)
        print(numbers, hashlib.sha256(repr(got).encode()).hexdigest()[:16])


def case_time(rounds, *users):
    """How often one user's answer takes longer than the first one's, with
    turns taken: 0.5 is as often as not."""
    key = load()
    taken = {user: [] for user in users}
    for _ in range(int(rounds)):
        for user in users:
            raw = Raw()
            raw.service()
            start = time.perf_counter()
            key_request(raw, user, key)
            raw.answer()
            taken[user].append(time.perf_counter() - start)
            raw.close()
    first = taken[users[0]]
    for user in users[1:]:
        more = sum((a > b) + (a == b) / 2
                   for a in taken[user] for b in first)
        print(f"{more / len(first) / len(taken[user]):.2f}")


def one(user, **how):
    """The number of the answer to one signed request."""
    raw = Raw(how.pop("source", "203.0.113.7"))
    raw.service()
    key_request(raw, user, how.pop("key", None) or load(), **how)
    print(raw.answer()[0])
    raw.close()


def case_good():
    one("robot")


def case_good_as(user):
    one(user, source="203.0.113.9")


def case_other_session():
    """A signature made for another connection."""
    one("robot", session=b"x" * 32)


def case_hostbound():
    """With another host's key inside (PROTOCOL in OpenSSH's source)."""
    one("robot", method="publickey-hostbound-v00@openssh.com",
        extra=string(public(load())[1]))


def case_other_service():
    one("robot", service="ssh-userauth")


def case_rsa(rsa_file, how):
    """An RSA key that is the user's, signed with SHA-1 or SHA-512."""
    key = load(rsa_file)
    name, digest = {"sha1": ("ssh-rsa", hashes.SHA1()),
                    "sha512": ("rsa-sha2-512", hashes.SHA512())}[how]
    one("robot", key=key, algorithm=name,
        sign=lambda data: string(name) + string(
            key.sign(data, padding.PKCS1v15(), digest)))


def case_blobs():
    """Keys that are none, as probes."""
    kind, blob = public(load())
    rsa = "ssh-rsa"
    bad = [
        (kind, b""), (kind, blob[:-1]),
        (kind, string(kind) + string(bytes(31))),
        (rsa, string(rsa) + string(b"\3") + string(b"\xff" * 256)),
        (rsa, string(rsa) + string(b"\1") + string(b"\0" + b"\xff" * 256)),
        (rsa, string(rsa) + string(b"\3") + string(b"\0" + b"\xfe" * 256)),
        (rsa, string(rsa) + string(b"") + string(b"")),
        (rsa, string(rsa) + string(b"\1\0\1") +
         string(b"\0" + b"\xff" * 2048)),
        ("ssh-dss", string("ssh-dss") + string(b"\1") * 4),
        ("x" * 20000, string("x" * 20000)),
    ]
    said = set()
    for name, data in bad:
        raw = Raw("203.0.113.7")
        raw.service()
        raw.send(REQUEST, string("robot"), string("ssh-connection"),
                 string("publickey"), b"\0", string(name), string(data))
        number = raw.answer(2)[0]
        # libssh drops some of them without a word; nothing comes of it.
        said.add("open" if number in (52, 60) else "refused")
        raw.close()
    print(*said)


def case_names():
    """Names that are none."""
    key = load()
    said = set()
    for user in (b"", b"x" * 100000, b"../robot", b"/robot", b"-robot",
                 b"robot\n", b"robot\x1b", b"%s", b"robot\0", b"Robot",
                 b"robot.", b"robot ", "rob\u00f6t".encode(), b"robot+",
                 b"robot+a+b", b"robot+[::1", b"robot+web1:0"):
        raw = Raw("203.0.113.7")
        raw.service()
        key_request(raw, user, key)
        number = raw.answer(2)[0]
        said.add("in" if number == 52 else "refused")
        raw.close()
    print(*said)


def case_kbd_first():
    """The second factor before the first: no prompt, whoever asks."""
    raw = Raw()
    raw.service()
    raw.send(REQUEST, string("alice"), string("ssh-connection"),
             string("keyboard-interactive"), string(""), string(""))
    print(raw.answer()[0])


def case_responses(count):
    """This many answers to one prompt."""
    raw = Raw()
    raw.service()
    key_request(raw, "alice", load())
    first = raw.answer()[0]
    raw.send(REQUEST, string("alice"), string("ssh-connection"),
             string("keyboard-interactive"), string(""), string(""))
    second = raw.answer()[0]
    raw.send(INFO_RESPONSE, struct.pack(">I", int(count)),
             string("000000") * min(int(count), 3))
    print(first, second, raw.answer(3)[0])


def case_responses_wrong():
    """A wrong key, and then the second factor."""
    raw = Raw()
    raw.service()
    key_request(raw, "alice", load())
    first = raw.answer()[0]
    raw.send(REQUEST, string("alice"), string("ssh-connection"),
             string("keyboard-interactive"), string(""), string(""))
    print(first, raw.answer()[0])


def leave(source):
    """A wrong code, and gone before anybody can say so."""
    raw = Raw(source)
    raw.service()
    key_request(raw, "alice", load())
    if raw.answer()[0] != 51:
        return "no key"
    raw.send(REQUEST, string("alice"), string("ssh-connection"),
             string("keyboard-interactive"), string(""), string(""))
    if raw.answer()[0] != 60:
        return "no prompt"
    raw.send(INFO_RESPONSE, struct.pack(">I", 1), string("000000"))
    raw.transport.sock.shutdown(socket.SHUT_RDWR)
    raw.close()
    return "left"


def case_leave(count, *sources):
    """That many from each of these addresses, 20 at once."""
    with ThreadPoolExecutor(20) as pool:
        said = list(pool.map(leave, sources * int(count)))
    for word in sorted(set(said)):
        print(word, said.count(word))


def case_unasked():
    """An answer that no prompt asked for."""
    raw = Raw()
    raw.service()
    key_request(raw, "alice", load())
    first = raw.answer()[0]
    raw.send(INFO_RESPONSE, struct.pack(">I", 1), string("000000"))
    print(first, raw.answer(5)[0])


def case_server_only():
    """Messages that are a server's to send: still nobody."""
    raw = Raw("203.0.113.7")
    raw.service()
    for number in (6, 31, 51, 52, 53, 60, 91, 92, 99, 100):
        raw.send(bytes([number]), bytes(64))
    raw.send(b"\x5a", string("session"), struct.pack(">III", 0, 1 << 20, 32768))
    print("in" if raw.answer(2)[0] == 91 else "refused")


globals()["case_" + CASE](*sys.argv[4:])
