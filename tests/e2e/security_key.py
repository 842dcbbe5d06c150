#!/usr/bin/python3
"""A security key in software (PROTOCOL.u2f in OpenSSH's source).

usage: security_key.py new FILE             prints a line of authorized_keys
       security_key.py login FILE HOST USER FLAGS...
Logs on with each of FLAGS in turn, as numbers (1 touched, 4 user verified)
on one connection, and prints "in" or "refused" for each.
"""
import base64
import hashlib
import socket
import struct
import sys
import threading

import paramiko
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paramiko import Message
from paramiko.common import (
    MSG_SERVICE_ACCEPT, cMSG_SERVICE_REQUEST, cMSG_USERAUTH_REQUEST)

TYPE = "sk-ssh-ed25519@openssh.com"
APPLICATION = "ssh:"


def string(value):
    value = value.encode() if isinstance(value, str) else value
    return struct.pack(">I", len(value)) + value


def load(name):
    with open(name, "rb") as file:
        return Ed25519PrivateKey.from_private_bytes(file.read())


def blob(key):
    raw = key.public_key().public_bytes(
        serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return string(TYPE) + string(raw) + string(APPLICATION)


def new(name):
    key = Ed25519PrivateKey.generate()
    with open(name, "wb") as file:
        file.write(key.private_bytes(
            serialization.Encoding.Raw, serialization.PrivateFormat.Raw,
            serialization.NoEncryption()))
    print(TYPE, base64.b64encode(blob(key)).decode())


def signature(key, data, flags):
    asserted = struct.pack(">BI", flags, 7)
    raw = key.sign(hashlib.sha256(APPLICATION.encode()).digest() + asserted +
                   hashlib.sha256(data).digest())
    return string(TYPE) + string(raw) + asserted


class Answers(paramiko.auth_handler.AuthHandler):
    """Waits for one answer at a time, and sends nothing of its own."""

    @property
    def _handler_table(self):
        # Of each kind of message; a property in newer releases.
        table = dict(super()._handler_table)
        table[MSG_SERVICE_ACCEPT] = (
            # The handler comes with it, or not.
            lambda *message: self.auth_event.set())
        return table

    def __init__(self, transport):
        super().__init__(transport)
        self.auth_event = threading.Event()
        self.auth_method = "publickey"
        transport.auth_handler = self



def login(name, host, user, flags):
    key = load(name)
    sock = socket.create_connection((host, 30022), 10,
                                    source_address=("203.0.113.7", 0))
    transport = paramiko.Transport(sock)
    transport.daemon = True
    transport.start_client(timeout=10)
    handler = Answers(transport)
    transport.packetizer.send_message(
        Message(cMSG_SERVICE_REQUEST + string("ssh-userauth")))
    if not handler.auth_event.wait(20):
        sys.exit("no service")
    for flag in flags:
        body = (cMSG_USERAUTH_REQUEST + string(user) +
                string("ssh-connection") + string("publickey") + b"\1" +
                string(TYPE) + string(blob(key)))
        signed = string(transport.session_id) + body
        message = Message(body + string(signature(key, signed, int(flag))))
        handler = Answers(transport)
        handler.username = user
        transport.packetizer.send_message(message)
        if not handler.auth_event.wait(20):
            print("no answer")
        elif handler.is_authenticated():
            print("in")
            break
        else:
            print("refused")
    transport.close()


if __name__ == "__main__":
    if sys.argv[1] == "new":
        new(sys.argv[2])
    else:
        login(sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5:])
