#!/usr/bin/env python3
"""Hostile SSH servers as targets of sgbridge-session.

usage: hostile_target.py KEYFILE CASE

Prints the port it listens on, serves one connection, and leaves.
"""
import socket
import sys
import threading
import time

import paramiko
from paramiko import Message
from paramiko.common import cMSG_CHANNEL_DATA, cMSG_CHANNEL_OPEN


def send(transport, *parts):
    message = Message()
    for kind, value in parts:
        getattr(message, "add_" + kind)(value)
    transport.packetizer.send_message(message)


class Server(paramiko.ServerInterface):
    def __init__(self, case):
        self.case = case
        self.started = threading.Event()
        self.channel = None

    def get_allowed_auths(self, username):
        return "publickey"

    def check_auth_publickey(self, username, key):
        if self.case == "refuse":
            return paramiko.AUTH_FAILED
        if self.case == "slow_auth":
            time.sleep(30)
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind, chanid):
        if self.case == "slow_open":
            time.sleep(30)
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel, command):
        self.channel = channel
        self.started.set()
        return True

    def get_banner(self):
        if self.case == "banner":
            return ("\033[2J" + "x" * 200000, "en")
        return (None, None)


def case_channels(transport, server):
    """Channels that nobody asked for."""
    for number in range(2000):
        for kind in ("auth-agent@openssh.com", "session", "nonsense"):
            send(transport, ("byte", cMSG_CHANNEL_OPEN), ("string", kind),
                 ("int", 100 + number), ("int", 1 << 20), ("int", 32768))
    time.sleep(5)


def case_beyond_window(transport, server):
    """Output without end, whatever the window."""
    for _ in range(6000):
        send(transport, ("byte", cMSG_CHANNEL_DATA),
             ("int", server.channel.remote_chanid), ("string", b"d" * 32000))


def case_exit_signal(transport, server):
    channel = server.channel
    channel.send(b"bye\n")
    send(transport, ("byte", b"\x62"), ("int", channel.remote_chanid),
         ("string", "exit-signal"), ("boolean", False), ("string", "SEGV"),
         ("boolean", True), ("string", "\033]0;owned\007" * 20),
         ("string", ""))
    channel.close()
    time.sleep(2)


def case_reset(transport, server):
    server.channel.send(b"some\n")
    time.sleep(0.3)
    transport.sock.setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    transport.sock.close()


def case_banner(transport, server):
    server.channel.send(b"fine\n")
    server.channel.send_exit_status(0)
    server.channel.close()
    time.sleep(2)


def case_rekey(transport, server):
    """KEXINIT, never finished, and IGNORE now and then."""
    if "_handler_table" in vars(transport):  # newer paramiko
        transport._handler_table[20] = lambda message: None
    else:
        paramiko.Transport._handler_table = {
            **paramiko.Transport._handler_table,
            20: lambda transport, message: None}
    lists = [("string", "curve25519-sha256"), ("string", "ssh-ed25519")]
    lists += [("string", "aes128-ctr")] * 2
    lists += [("string", "hmac-sha2-256-etm@openssh.com")] * 2
    lists += [("string", "none")] * 2 + [("string", "")] * 2
    send(transport, ("byte", b"\x14"), ("bytes", b"r" * 16), *lists,
         ("boolean", False), ("int", 0))
    while transport.is_active():
        send(transport, ("byte", b"\x02"), ("string", b"ignored"))
        time.sleep(0.2)


def case_other_hostkey(transport, server):
    """Keys are exchanged anew, with another host key."""
    server.channel.send(b"before\n")
    transport.server_key_dict.clear()
    transport.add_server_key(paramiko.ECDSAKey.generate())
    transport.renegotiate_keys()
    server.channel.send(b"behind\n")
    server.channel.send_exit_status(0)
    server.channel.close()
    time.sleep(2)


def case_same_hostkey(transport, server):
    transport.renegotiate_keys()
    server.channel.send(b"behind\n")
    server.channel.send_exit_status(0)
    server.channel.close()
    time.sleep(2)


def case_globals(transport, server):
    """Keepalives, announcements of keys and nonsense without end."""
    for number in range(60000):
        name = ("keepalive@openssh.com", "hostkeys-00@openssh.com",
                "nonsense")[number % 3]
        send(transport, ("byte", b"\x50"), ("string", name),
             ("boolean", number % 3 != 1), ("string", b"x" * 50))
    server.channel.send(b"fine\n")
    server.channel.send_exit_status(0)
    server.channel.close()
    time.sleep(2)


def case_deaf(transport, server):
    """Has much to be answered, and reads none of it."""
    transport.packetizer.read_message = lambda: time.sleep(1e6)
    for number in range(30000):
        send(transport, ("byte", b"\xc0"))
        if number % 2000 == 0:
            time.sleep(0.05)
    server.channel.send_stderr(b"ready\n")
    time.sleep(60)


def case_twice(transport, server):
    """Exit twice, close twice, data after the close."""
    channel = server.channel
    channel.send(b"once\n")
    channel.send_exit_status(3)
    channel.send_exit_status(4)
    number = channel.remote_chanid
    for _ in range(2):
        send(transport, ("byte", b"\x60"), ("int", number))
        send(transport, ("byte", b"\x61"), ("int", number))
        send(transport, ("byte", cMSG_CHANNEL_DATA), ("int", number),
             ("string", b"late"))
    time.sleep(2)


def main():
    keyfile, case = sys.argv[1:]
    listener = socket.socket()
    if case == "deaf":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1000)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    print(listener.getsockname()[1], flush=True)
    sock, _ = listener.accept()
    if case == "silent":
        time.sleep(30)
        return
    if case == "half_banner":
        sock.sendall(b"SSH-2.0-x")
        time.sleep(30)
        return
    if case == "closes":
        sock.sendall(b"SSH-2.0-x\r\n")
        sock.recv(100)
        return
    if case == "no_kex":
        sock.sendall(b"SSH-2.0-x\r\n")
        time.sleep(30)
        return
    transport = paramiko.Transport(sock)
    transport.add_server_key(paramiko.Ed25519Key(filename=keyfile))
    server = Server(case)
    transport.start_server(server=server)
    server.started.wait(15)
    run = globals().get("case_" + case)
    if run:
        try:
            run(transport, server)
        except (EOFError, OSError):
            pass


main()
