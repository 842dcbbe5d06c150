#!/usr/bin/python3
"""A second reader of the recording container, from docs/RECORDING.md alone.

usage: read_sgr.py FILE.sgr IDENTITY.pem      prints items as JSON lines
       read_sgr.py --check FOLDER             compares with FOLDER/*.expect

It exists to show that the page suffices. Exit 77: what it needs is missing.
"""
import glob
import hashlib
import hmac
import json
import os
import struct
import subprocess
import sys

try:
    from cryptography.exceptions import InvalidSignature, InvalidTag
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, padding
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
except ImportError:
    print("read_sgr.py: needs python3-cryptography", file=sys.stderr)
    sys.exit(77)

KINDS = [None, "open", "close", "out", "err", "in", "pty", "resize", "env", "shell", "exec",
         "subsystem", "signal", "eof-in", "eof-out", "exit", "exit-signal", "totals", "file",
         "file-op", "forward", "refused", "note", "banner", "algorithms", "gap"]
CHECKPOINT, CLOSE, RECOVERED, META, EVENTS = 0x20, 0x2E, 0x2F, 0x40, 0x41
ZSTD, PADDED, INPUT = 2, 4, 8


class Altered(Exception):
    pass


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def extract(salt, ikm):
    return hmac.new(salt, ikm, hashlib.sha256).digest()


def expand(prk, info):
    return hmac.new(prk, info + b"\1", hashlib.sha256).digest()


def recipient(key):
    """Kind of stanza and public key as bytes."""
    public, enc, form = key.public_key(), serialization.Encoding, serialization.PublicFormat
    if isinstance(key, X25519PrivateKey):
        return 1, public.public_bytes(enc.Raw, form.Raw)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return 2, public.public_bytes(enc.X962, form.UncompressedPoint)
    return 3, public.public_bytes(enc.DER, form.SubjectPublicKeyInfo)


def zstd(stream):
    """Expands a flushed, unfinished stream with the zstd program."""
    run = subprocess.run(["zstd", "-dcq"], input=stream, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, check=False)
    return run.stdout


class Header:
    def __init__(self, data):
        if data[:8] != b"\x89SGR1\r\n\x1a":
            raise Altered("not a recording")
        major, _, self.flags, length = struct.unpack("<BBHI", data[8:16])
        if major != 1 or self.flags & ~4:
            raise Altered("another version")
        self.raw = data[:16 + length]
        self.link = sha(self.raw)
        self.end = 16 + length + 16
        if data[16 + length:self.end] != self.link[:16]:
            raise Altered("header")
        self.fields, self.stanzas, at = {}, [], 16
        while at < 16 + length:
            kind, size = struct.unpack_from("<HH", self.raw, at)
            value = self.raw[at + 4:at + 4 + size]
            if kind == 0x10:
                self.stanzas.append(value)
            else:
                self.fields[kind] = value
            if kind == 0x1F:
                self.mac_at = at
            at += 4 + size
        self.rec_id, self.writer_key = self.fields[1], self.fields[9]
        prefix = bytes.fromhex("302a300506032b6570032100")
        if sha(prefix, self.writer_key) != self.fields[2]:
            raise Altered("writer id")

    def secret(self, kind, prefix, key):
        """What the prefix of a stanza and a private key have in common."""
        if kind == 1:
            return key.exchange(X25519PublicKey.from_public_bytes(prefix))
        if kind == 2:
            point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), prefix)
            return key.exchange(ec.ECDH(), point)
        oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
        return key.decrypt(prefix, oaep)

    def share(self, stanza, key):
        kind, public = recipient(key)
        if stanza[0] != kind or stanza[4:20] != sha(public)[:16]:
            return None
        prefix, sealed = stanza[20:-48], stanza[-48:]
        label = (b"x25519", b"p256", b"rsa")[kind - 1]
        kek = expand(extract(prefix + public, self.secret(kind, prefix, key)),
                     b"SGR1 " + label + self.rec_id)
        return AESGCM(kek).decrypt(bytes(12), sealed, None)

    def file_key(self, keys):
        shares = {}
        for stanza in self.stanzas:
            for key in keys:
                share = self.share(stanza, key)
                if share:
                    shares[stanza[1]] = share
        if 0 not in shares or (self.flags & 4 and 1 not in shares):
            raise Altered("no key fits")
        other = shares[1] if self.flags & 4 else bytes(32)
        key = bytes(a ^ b for a, b in zip(shares[0], other))
        if expand(key, b"SGR1 commit") != self.fields[0x1E]:
            raise Altered("commitment")
        mac_key = expand(key, b"SGR1 header")
        if hmac.new(mac_key, self.raw[:self.mac_at], hashlib.sha256).digest() != self.fields[0x1F]:
            raise Altered("header MAC")
        return key


def frames(data, header):
    """Yields (number, type, flags, segment, head, body, link before); checks."""
    at, link, number = header.end, header.link, 0
    while at < len(data):
        head = data[at:at + 16]
        if len(head) < 16:
            return
        kind, flags, _, segment, index, size = struct.unpack("<BBHIII", head)
        body = data[at + 16:at + 16 + size]
        if len(data) < at + 32 + size:
            return
        after = sha(link, sha(head, body))
        if index != number or data[at + 16 + size:at + 32 + size] != after[:16]:
            raise Altered("frame %d" % number)
        if kind in (CHECKPOINT, CLOSE, RECOVERED):
            signer = body[64:96] if kind == RECOVERED else header.writer_key
            message = b"SGR1 signed frame\0" + header.rec_id + head + link + body[:-64]
            try:
                Ed25519PublicKey.from_public_bytes(signer).verify(body[-64:], message)
            except InvalidSignature:
                raise Altered("signature of frame %d" % number) from None
        yield number, kind, flags, segment, head, body, link
        at, link, number = at + 32 + size, after, number + 1


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def items(plain):
    now, at = varint(plain, 0)
    while at < len(plain):
        channel, at = varint(plain, at)
        delta, at = varint(plain, at)
        kind, at = plain[at], at + 1
        size, at = varint(plain, at)
        now += delta
        yield channel, now, kind, plain[at:at + size]
        at += size


class Reader:
    def __init__(self, data, keys):
        self.data, self.header = data, Header(data)
        self.chain = extract(self.header.rec_id, self.header.file_key(keys))
        self.segment, self.streams, self.end, self.meta = 0, {}, "open", None

    def go_to(self, segment):
        while self.segment < segment:
            self.chain = expand(self.chain, b"SGR1 next")
            self.segment += 1
            self.streams = {}

    def open(self, number, flags, segment, head, body, link):
        self.go_to(segment)
        key = expand(self.chain, b"SGR1 seg" + struct.pack("<I", segment))
        nonce = bytes(8) + struct.pack("<I", number)
        try:
            plain = AESGCM(key).decrypt(nonce, body, self.header.rec_id + head + link)
        except InvalidTag:
            raise Altered("tag of frame %d" % number) from None
        if flags & PADDED:
            plain = plain[4:4 + struct.unpack("<I", plain[:4])[0]]
        if flags & ZSTD:
            packed, done = self.streams.get(flags & INPUT, (b"", 0))
            packed += plain
            whole = zstd(packed)
            plain = whole[done:]
            self.streams[flags & INPUT] = (packed, len(whole))
        return plain

    def read(self):
        for number, kind, flags, segment, head, body, link in frames(self.data, self.header):
            if kind == CLOSE:
                self.end = "intact"
            elif kind == RECOVERED:
                self.end = "recovered"
            elif kind >= 0x40:
                plain = self.open(number, flags, segment, head, body, link)
                if kind == META:
                    self.meta = plain.decode()
                elif kind == EVENTS:
                    yield from items(plain)


def dump(path, identities):
    keys = []
    for name in identities:
        with open(name, "rb") as file:
            keys.append(serialization.load_pem_private_key(file.read(), None))
    with open(path, "rb") as file:
        reader = Reader(file.read(), keys)
    lines = [json.dumps({"channel": channel, "us": us, "kind": KINDS[kind], "hex": data.hex()})
             for channel, us, kind, data in reader.read()]
    return ['{"meta": %s}' % reader.meta] + lines + [json.dumps({"end": reader.end})]


def check(folder):
    failures = 0
    vectors = sorted(glob.glob(os.path.join(folder, "*.sgr")))
    for path in vectors:
        with open(path[:-4] + ".expect", encoding="ascii") as file:
            expect = file.read().splitlines()
        try:
            got = dump(path, sorted(glob.glob(os.path.join(folder, "identity*.pem"))))
        except Altered as error:
            got = [json.dumps({"altered": str(error)})]
        if expect[0].startswith("sha256 "):
            got = ["sha256 " + sha("\n".join(got + [""]).encode()).hex()]
        good = got == expect
        failures += not good
        print("%s %s" % ("ok  " if good else "FAIL", os.path.basename(path)))
    return 1 if failures or not vectors else 0


def main():
    if subprocess.run(["sh", "-c", "command -v zstd >/dev/null"], check=False).returncode:
        print("read_sgr.py: needs zstd", file=sys.stderr)
        return 77
    if len(sys.argv) == 3 and sys.argv[1] == "--check":
        return check(sys.argv[2])
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 64
    try:
        print("\n".join(dump(sys.argv[1], sys.argv[2:])))
    except Altered as error:
        print("altered: %s" % error, file=sys.stderr)
        return 4
    return 0


if __name__ == "__main__":
    sys.exit(main())
