"""A trail without a recorder: adds lines, checks what a receiver wrote.

usage: trail.py add FOLDER COUNT [DAY [TEXT]]    goes on where the trail ends
       trail.py check RAW FIRST LAST [FOLDER]    every line there, in order
       trail.py stall ADDRESS PORT               takes and never reads
       trail.py certs FOLDER                     two CAs and what they signed
"""
import base64
import datetime
import glob
import hashlib
import json
import re
import socket
import sys


def last_line(folder):
    for name in sorted(glob.glob(folder + "/*.jsonl"), reverse=True):
        lines = open(name, "rb").read().splitlines()
        if lines:
            seq = int(re.match(rb'{"metadata":{"sequence":(\d+),', lines[-1])[1])
            return seq, hashlib.sha256(lines[-1]).hexdigest()
    return 0, "0" * 64


def line(seq, prev, text, signed):
    body = json.dumps({
        "metadata": {"sequence": seq, "version": "1.3.0"},
        "time": 1795183200000 + seq,
        "time_dt": "2026-11-23T14:00:00.%03dZ" % (seq % 1000),
        "severity_id": 3 if seq % 2 else 1,
        "message": "logon",
        "status_detail": text,
        "actor": {"user": {"name": "alice"}},
        "session": {"uid": "0123456789abcdef"},
        "unmapped": {"sgb": {"event": "logon", "conn": "c-%d" % seq,
                             "what": "x" * (seq % 300)}},
    }, separators=(",", ":"), ensure_ascii=False)
    chain = ',"writer":"00112233445566aa","prev":"%s"' % prev
    if signed:
        chain += ',"sig":"%s"' % base64.b64encode(bytes(64)).decode()
    return (body[:-3] + chain + "}}}").encode()


def add(folder, count, day="2026-11-23", text="why not"):
    seq, prev = last_line(folder)
    with open("%s/%s.jsonl" % (folder, day), "ab", buffering=0) as out:
        group = b""
        for i in range(1, count + 1):
            seq += 1
            signed = i % 7 == 0 or i == count
            one = line(seq, prev, text, signed)
            prev = hashlib.sha256(one).hexdigest()
            group += one + b"\n"
            if signed:
                out.write(group)
                group = b""
    return 0


def trail(folder):
    lines = {}
    for name in glob.glob(folder + "/*.jsonl"):
        for one in open(name, "rb").read().splitlines():
            found = re.match(rb'{"metadata":{"sequence":(\d+),', one)
            if found:
                lines[int(found[1])] = one
    return lines


HEADER = re.compile(
    rb'<(\d+)>1 (\S+) lab sgbridge - (\S+) \[sgbridge@32473 seq="(\d+)" '
    rb'writer="([0-9a-f]{16})" head="([0-9a-f]{64})"(?: session="([^ ]*?)")?'
    rb'(?: cut="(\d+)")?\] (.*)$', re.S)


def check(raw, first, last, folder=None):
    """Numbers in the order of their first coming, and messages as written."""
    seen, come, known = [], set(), trail(folder) if folder else {}
    for one in open(raw, "rb").read().splitlines():
        found = HEADER.match(one)
        if not found:
            if b" forward-gap " in one or not one:
                continue
            print("# no message of ours: %r" % one[:200])
            return 1
        seq, text = int(found[4]), found[9]
        if not seen or seq > seen[-1]:
            seen.append(seq)
            come.add(seq)
        elif seq not in come:
            print("# %d came after %d" % (seq, seen[-1]))
            return 1
        if seq not in known or found[8]:
            continue
        if any(byte > 127 for byte in known[seq]):
            if not text.startswith(b"\xef\xbb\xbf"):
                print("# %d: no BOM" % seq)
                return 1
            text = text[3:]
        if text != known[seq] or \
                found[6].decode() != hashlib.sha256(text).hexdigest():
            print("# %d: not the line of the trail: %r" % (seq, text[:200]))
            return 1
    want = list(range(first, last + 1))
    have = [seq for seq in seen if first <= seq <= last]
    if have != want:
        missing = sorted(set(want) - set(have))
        print("# %d of %d, first missing %s" % (len(have), len(want),
                                                missing[:5]))
        return 1
    return 0


def stall(address, port):
    server = socket.create_server((address, port))
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peers = []
    while True:
        peers.append(server.accept()[0])


def certs(folder):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID
    now = datetime.datetime.now(datetime.timezone.utc)

    def make(name, issuer=None, san=None, days=2, ca=False):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signer = issuer or (subject, key)
        builder = x509.CertificateBuilder().subject_name(subject) \
            .issuer_name(signer[0]).public_key(key.public_key()) \
            .serial_number(x509.random_serial_number()) \
            .not_valid_before(now - datetime.timedelta(days=5)) \
            .not_valid_after(now + datetime.timedelta(days=days)) \
            .add_extension(x509.BasicConstraints(ca, None), True)
        if san:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([x509.DNSName(san)]), False)
        cert = builder.sign(signer[1], hashes.SHA256())
        base = "%s/%s" % (folder, name)
        open(base + ".pem", "wb").write(
            cert.public_bytes(serialization.Encoding.PEM))
        open(base + ".key", "wb").write(key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()))
        return subject, key

    ca = make("ca", ca=True)
    other = make("other", ca=True)
    make("good", ca, "logs.example.org")
    make("wrong", ca, "else.example.org")
    make("expired", ca, "logs.example.org", days=-1)
    make("stranger", other, "logs.example.org")
    make("bastion", ca)


if __name__ == "__main__":
    verb, args = sys.argv[1], sys.argv[2:]
    args = [int(arg) if arg.isdigit() else arg for arg in args]
    sys.exit(globals()[verb](*args))
