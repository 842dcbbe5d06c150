#!/usr/bin/python3
"""An SSH agent that passes everything to another one and writes down what it
was asked, or answers as it should not.

usage: agent.py SOCKET REAL MODE LOG [SECURITY-KEY]
MODE is a file, read at each request: "pass", or what to do instead:
  garbage  a signature that is none     bytes    no message at all
  long     one longer than any          more     an answer, and a byte behind
  other    a signature by another key   sha1     one of SHA-1
  never    no answer to a signature     silent   no answer at all
  die      goes away when it should sign
  early    an answer before any question
SECURITY-KEY is a key of security_key.py, which this agent has as well.
"""
import os
import socket
import struct
import sys
import threading

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

# What is beside this; and nothing is left there.
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
PLACE, REAL, MODE, LOG = sys.argv[1:5]
NAMES = {11: "keys", 13: "sign", 27: "extension"}


def string(value):
    return struct.pack(">I", len(value)) + value


def take(data):
    size = struct.unpack(">I", data[:4])[0]
    return data[4:4 + size], data[4 + size:]


def mode():
    with open(MODE) as file:
        return file.read().strip()


def note(*words):
    with open(LOG, "a") as file:
        print(*words, file=file)


def exactly(sock, size):
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def message(sock):
    return exactly(sock, struct.unpack(">I", exactly(sock, 4))[0])


class SecurityKey:
    def __init__(self, name):
        import security_key
        self.module, self.key = security_key, security_key.load(name)
        self.blob = security_key.blob(self.key)

    def sign(self, data):
        return self.module.signature(self.key, data, 1)


KEY = SecurityKey(sys.argv[5]) if len(sys.argv) > 5 else None


def wrong(what, blob, data):
    """The body of an answer that no good agent gives."""
    kind = take(blob)[0]
    if what == "garbage":
        return b"\x0e" + string(string(kind) + string(b"x" * 64))
    if what == "other":
        key = ed25519.Ed25519PrivateKey.generate()
        return b"\x0e" + string(string(kind) + string(key.sign(data)))
    if what == "sha1":
        key = rsa.generate_private_key(65537, 2048)
        made = key.sign(data, padding.PKCS1v15(), hashes.SHA1())
        return b"\x0e" + string(string(b"ssh-rsa") + string(made))
    return None


def answer(client, real, request, what):
    if request[0] == 13:
        blob, rest = take(request[1:])
        data = take(rest)[0]
        if what == "die":
            raise EOFError
        if what == "never":
            return
        body = wrong(what, blob, data)
        if not body and KEY and blob == KEY.blob:
            body = b"\x0e" + string(KEY.sign(data))
        if body:
            client.sendall(string(body))
            return
    if what == "silent":
        return
    if what == "bytes":
        client.sendall(b"SSH-2.0-nobody\r\n" * 40)
        return
    if what == "long":
        client.sendall(struct.pack(">I", 300000) + b"\x0c" + bytes(299999))
        return
    real.sendall(string(request))
    body = message(real)
    if request[0] == 11 and KEY:
        count = struct.unpack(">I", body[1:5])[0] + 1
        body = (b"\x0c" + struct.pack(">I", count) + string(KEY.blob) +
                string(b"security key") + body[5:])
    client.sendall(string(body) + (b"\x05" if what == "more" else b""))


def serve(client):
    real = socket.socket(socket.AF_UNIX)
    real.connect(REAL)
    try:
        if mode() == "early":
            client.sendall(string(b"\x05"))
        while True:
            request = message(client)
            note(NAMES.get(request[0], request[0]))
            # Binds of sessions are between the client and its agent.
            what = "pass" if request[0] == 27 else mode()
            answer(client, real, request, what)
    except (EOFError, OSError):
        pass
    client.close()
    real.close()


def main():
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(PLACE)
    listener.listen(16)
    while True:
        threading.Thread(
            target=serve, args=(listener.accept()[0],), daemon=True).start()


main()
