#!/usr/bin/python3
"""A second reader of the trail, from docs/EVENTS.md ("The chain") and
docs/RECORDING.md ("A new key") alone.

usage: read_trail.py TRAIL WRITERS    ids of those writers, and of all that the
                                      trail names as following them

Exit 4: it is altered, or by somebody who is not known; 77: see read_sgr.py.
"""
import base64
import json
import sys

from read_sgr import Altered, Ed25519PublicKey, InvalidSignature, sha


def writer_id(key):
    return sha(bytes.fromhex("302a300506032b6570032100"), key).hex()[:16]


def pins(path):
    with open(path, encoding="ascii") as file:
        return [base64.b64decode(line.split()[1]) for line in file]


def follow(path, pinned):
    """Writers that a trail names, under signatures of those that are known by then."""
    known, prev, named = {writer_id(key): key for key in pinned}, "0" * 64, []
    with open(path, "rb") as file:
        lines = file.read().splitlines()
    for number, line in enumerate(lines, 1):
        event = json.loads(line)
        sgb = event["unmapped"]["sgb"]
        if sgb["prev"] != prev or sgb["writer"] not in known:
            raise Altered("line %d" % number)
        prev = sha(line).hex()
        if sgb.get("what") == "recorder-key" and sgb["event"] == "config":
            named.append(base64.b64decode(event["status_detail"].split()[-1]))
        if "sig" in sgb:
            try:
                Ed25519PublicKey.from_public_bytes(known[sgb["writer"]]).verify(
                    base64.b64decode(sgb["sig"]),
                    b"SGR1 line\0" + line[:line.rindex(b',"sig":"')])
            except InvalidSignature:
                raise Altered("signature of line %d" % number) from None
            known.update((writer_id(key), key) for key in named)
    return known


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 64
    try:
        print("\n".join(follow(sys.argv[1], pins(sys.argv[2]))))
    except Altered as error:
        print("altered: %s" % error, file=sys.stderr)
        return 4
    return 0


if __name__ == "__main__":
    sys.exit(main())
