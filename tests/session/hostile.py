#!/usr/bin/env python3
"""Hostile SSH clients against sgbridge-session.

usage: hostile.py PORT KEYFILE USER CASE [LOGFILE of fake_monitor]

paramiko's transport carries the encryption; what goes inside is made by hand.
Each case prints one line that tests/session/relay.sh judges.
"""
import functools
import hashlib
import re
import socket
import sys
import threading
import time

import paramiko
from paramiko import Message
from paramiko.common import (
    cMSG_CHANNEL_DATA, cMSG_CHANNEL_OPEN, cMSG_CHANNEL_REQUEST,
    cMSG_CHANNEL_WINDOW_ADJUST, cMSG_GLOBAL_REQUEST, cMSG_KEXINIT,
    cMSG_SERVICE_REQUEST, cMSG_USERAUTH_REQUEST, cMSG_USERAUTH_SUCCESS,
)


def connect(port, start=True):
    sock = socket.create_connection(("127.0.0.1", port), 10)
    transport = paramiko.Transport(sock)
    transport.daemon = True
    if start:
        transport.start_client(timeout=10)
    return transport


def login(port, keyfile, user):
    transport = connect(port)
    key = paramiko.Ed25519Key(filename=keyfile)
    transport.auth_publickey(user, key)
    return transport


def send(transport, *parts):
    """A packet, without paramiko's own waiting for a rekey to end."""
    message = Message()
    for kind, value in parts:
        getattr(message, "add_" + kind)(value)
    transport.packetizer.send_message(message)


def alive(transport, seconds=5):
    """Does the connection still answer?"""
    end = time.time() + seconds
    while time.time() < end:
        if not transport.is_active():
            return False
        time.sleep(0.05)
    return transport.is_active()


def handle(transport, handlers):
    """Handlers of our own, for what this transport is sent. Newer paramiko has
    a table for each transport, of methods that are bound to it."""
    if "_handler_table" in vars(transport):
        for number, handler in handlers.items():
            transport._handler_table[number] = functools.partial(
                handler, transport)
        return
    paramiko.Transport._handler_table = {
        **paramiko.Transport._handler_table, **handlers}


def state(transport, seconds=5):
    print("alive" if alive(transport, seconds) else "cut")


def rests(tries=20):
    """Does the session process come to wait for something? One that spins is
    running or wants to at each look, on a machine with any load."""
    with open(sys.argv[5], encoding="utf-8", errors="replace") as log:
        pid = re.findall("^session pid ([0-9]+)", log.read(), re.M)[-1]
    for _ in range(tries):
        awake = 0
        for _ in range(20):
            with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
                awake += stat.read().rsplit(")", 1)[1].split()[0] == "R"
            time.sleep(0.05)
        if awake < 5:
            return True
    return False


class Deaf:
    """A client on a narrow way, that can stop reading and go on."""

    def __init__(self, port):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1000)
        sock.settimeout(10)
        sock.connect(("127.0.0.1", port))
        self.transport = paramiko.Transport(sock)
        self.transport.daemon = True
        self.transport.start_client(timeout=10)
        self.hears = threading.Event()
        self.hears.set()
        read = self.transport.packetizer.read_message

        def read_message():
            self.hears.wait()
            return read()

        self.transport.packetizer.read_message = read_message

    def provoke(self, count):
        """Messages of no known type: each is answered."""
        self.hears.clear()
        for number in range(count):
            send(self.transport, ("byte", b"\xc0"))
            if number % 2000 == 0:
                time.sleep(0.05)


def case_deaf_before(port, keyfile, user):
    client = Deaf(port)
    send(client.transport, ("byte", cMSG_SERVICE_REQUEST),
         ("string", "ssh-userauth"))
    client.provoke(19000)
    print("rests" if rests() else "spins")


def case_deaf(port, keyfile, user):
    """Logged on; and what it reads again goes on."""
    client = Deaf(port)
    client.transport.auth_publickey(
        user, paramiko.Ed25519Key(filename=keyfile))
    client.provoke(30000)
    rest = rests()
    client.hears.set()
    channel = client.transport.open_session(timeout=30)
    channel.exec_command("echo fine")
    print("rests," if rest else "spins,",
          channel.makefile().read().decode().strip())


def case_target_rests(port, keyfile, user):
    """Logged on, and waits for what the target does to the session."""
    transport = login(port, keyfile, user)
    # Does not answer a close.
    paramiko.Transport._channel_handler_table = {
        **paramiko.Transport._channel_handler_table,
        97: lambda channel, message: None}
    channel = transport.open_session(timeout=10)
    channel.exec_command("x")
    said = channel.recv_stderr(4096)
    while b"ready" not in said and b"failed" not in said:
        more = channel.recv_stderr(4096)
        if not more:
            break
        said += more
    print("rests" if rests() else "spins")


def wait_until(condition, what):
    end = time.time() + 20
    while not condition():
        if time.time() > end:
            raise TimeoutError(what)
        time.sleep(0.02)


def logged(text):
    with open(sys.argv[5], encoding="utf-8", errors="replace") as log:
        return text in log.read()


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return False
    return True


def room():
    """The recorder's disk is not full any more."""
    path = sys.argv[5].rsplit("/", 1)[0] + "/room"
    with open(path, "w", encoding="ascii"):
        pass


def stalled(port, keyfile, user, command):
    """Logged on, and the recorder waits for its disk."""
    transport = login(port, keyfile, user)
    channel = transport.open_session(timeout=10)
    return transport, channel, lambda: (
        channel.exec_command("echo STALL''NOW; " + command),
        wait_until(lambda: logged("told to wait"), "recorder"))


def case_waits_forward(port, keyfile, user):
    """Remote forwards that are asked for, and given up, while the recorder
    waits."""
    transport, _, stall = stalled(port, keyfile, user, "cat")
    old = socket.create_server(("127.0.0.1", 0))
    new = socket.create_server(("127.0.0.1", 0))
    first, second = old.getsockname()[1], new.getsockname()[1]
    old.close()
    new.close()
    transport.request_port_forward("127.0.0.1", first)
    stall()
    send(transport, ("byte", cMSG_GLOBAL_REQUEST),
         ("string", "cancel-tcpip-forward"), ("boolean", False),
         ("string", "127.0.0.1"), ("int", first))
    granted = []
    asker = threading.Thread(daemon=True, target=lambda: granted.append(
        transport.request_port_forward("127.0.0.1", second)))
    asker.start()
    # For what should not come there is nothing to wait for.
    asker.join(1)
    meanwhile = f"{len(granted)} {listens(second)} {listens(first)}"
    room()
    asker.join(20)
    wait_until(lambda: not listens(first), "the end of the first")
    print("meanwhile", meanwhile, "then", len(granted), listens(second))


def case_waits_resize(port, keyfile, user):
    """A window that is dragged while the recorder waits."""
    transport, channel, stall = stalled(
        port, keyfile, user,
        "until [ $(stty size | tr ' ' x) = 24x299 ]; do sleep 0.1; done; "
        "echo there")
    channel.get_pty()
    stall()
    for columns in range(100, 300):
        channel.resize_pty(columns, 24)
    lives = alive(transport, 1)
    room()
    channel.settimeout(20)
    said = b""
    while b"there" not in said:
        more = channel.recv(4096)
        if not more:
            break
        said += more
    print("alive" if lives else "cut", said.split()[-1:])


def case_methods(port, keyfile, user):
    transport = connect(port)
    try:
        transport.auth_none(user)
        print("let in")
    except paramiko.BadAuthenticationType as error:
        print(",".join(error.allowed_types))


def case_password(port, keyfile, user):
    transport = connect(port)
    try:
        transport.auth_password(user, "x", fallback=False)
        print("let in")
    except paramiko.BadAuthenticationType as error:
        print(",".join(error.allowed_types))


def case_probe(port, keyfile, user):
    """A key that was only asked about, then a channel."""
    transport = connect(port)
    key = paramiko.Ed25519Key(filename=keyfile)
    send(transport, ("byte", cMSG_SERVICE_REQUEST), ("string", "ssh-userauth"))
    send(transport, ("byte", cMSG_USERAUTH_REQUEST), ("string", user),
         ("string", "ssh-connection"), ("string", "publickey"),
         ("boolean", False), ("string", "ssh-ed25519"),
         ("string", key.asbytes()))
    time.sleep(1)
    try:
        transport.open_session(timeout=3)
        print("opened")
    except (paramiko.SSHException, EOFError):
        print("refused")


def case_success(port, keyfile, user):
    """The client says that it is let in."""
    transport = connect(port)
    try:
        send(transport, ("byte", cMSG_SERVICE_REQUEST),
             ("string", "ssh-userauth"))
        send(transport, ("byte", cMSG_USERAUTH_SUCCESS))
        transport.open_session(timeout=3)
        print("opened")
    except (paramiko.SSHException, EOFError, OSError, AttributeError):
        print("refused")


def case_user_change(port, keyfile, user):
    transport = connect(port)
    send(transport, ("byte", cMSG_SERVICE_REQUEST), ("string", "ssh-userauth"))
    for name in (user, "somebody"):
        send(transport, ("byte", cMSG_USERAUTH_REQUEST), ("string", name),
             ("string", "ssh-connection"), ("string", "none"))
    state(transport)


def case_early(port, keyfile, user):
    """USERAUTH_REQUEST without a service."""
    transport = connect(port)
    send(transport, ("byte", cMSG_USERAUTH_REQUEST), ("string", user),
         ("string", "ssh-connection"), ("string", "none"))
    state(transport)


def case_service(port, keyfile, user):
    transport = connect(port)
    send(transport, ("byte", cMSG_SERVICE_REQUEST),
         ("string", "ssh-connection"))
    state(transport)


def case_preauth_flood(port, keyfile, user):
    transport = connect(port)
    send(transport, ("byte", cMSG_SERVICE_REQUEST), ("string", "ssh-userauth"))
    try:
        for _ in range(3000):
            send(transport, ("byte", b"\x02"), ("string", b"x" * 1000))
    except (EOFError, OSError):
        pass
    state(transport)


def case_tries(port, keyfile, user):
    transport = connect(port)
    tries = 0
    try:
        for tries in range(50):
            try:
                transport.auth_password(user, "x", fallback=False)
            except paramiko.BadAuthenticationType:
                pass
    except (paramiko.SSHException, EOFError):
        pass
    print("cut after", tries)


def case_second_login(port, keyfile, user):
    transport = login(port, keyfile, user)
    send(transport, ("byte", cMSG_USERAUTH_REQUEST), ("string", "root"),
         ("string", "ssh-connection"), ("string", "none"))
    try:
        channel = transport.open_session(timeout=5)
        channel.exec_command("echo still $USER")
        print(channel.makefile().read().decode().strip())
    except (paramiko.SSHException, EOFError):
        state(transport)


def case_channels(port, keyfile, user):
    transport = login(port, keyfile, user)
    opened = []
    try:
        for _ in range(100):
            opened.append(transport.open_session(timeout=5))
    except paramiko.SSHException:
        pass
    print("opened", len(opened))


def case_types(port, keyfile, user):
    transport = login(port, keyfile, user)
    refused = 0
    for kind in ("direct-streamlocal@openssh.com", "tun@openssh.com", "x11",
                 "auth-agent@openssh.com", "forwarded-tcpip", "nonsense"):
        try:
            transport.open_channel(
                kind, dest_addr=("h", 1), src_addr=("h", 1), timeout=5)
        except paramiko.SSHException:
            refused += 1
    print("refused", refused)


def case_remote_forward(port, keyfile, user):
    transport = login(port, keyfile, user)
    try:
        transport.request_port_forward("", 0)
        print("granted")
    except paramiko.SSHException:
        print("refused")


def case_rekey(port, keyfile, user):
    """KEXINIT, never finished, and data without end."""
    transport = login(port, keyfile, user)
    channel = transport.open_session(timeout=5)
    channel.exec_command("cat >/dev/null")
    # paramiko must not answer, nor mind what it is sent meanwhile
    handle(transport, {20: lambda transport, message: None})
    sent = 0
    lists = [("string", "curve25519-sha256"), ("string", "ssh-ed25519")]
    lists += [("string", "aes128-ctr")] * 2
    lists += [("string", "hmac-sha2-256-etm@openssh.com")] * 2
    lists += [("string", "none")] * 2 + [("string", "")] * 2
    try:
        send(transport, ("byte", cMSG_KEXINIT), ("bytes", b"r" * 16), *lists,
             ("boolean", False), ("int", 0))
        for _ in range(6000):
            send(transport, ("byte", cMSG_CHANNEL_DATA),
                 ("int", channel.remote_chanid), ("string", b"d" * 32000))
            sent += 32000
    except (EOFError, OSError):
        pass
    print("cut" if not alive(transport, 10) else "alive", sent)


def case_one_byte_window(port, keyfile, user):
    """A window of one byte, opened again for each that came."""
    transport = login(port, keyfile, user)
    transport._sanitize_window_size = lambda size: size
    channel = transport.open_channel("session", window_size=1)
    channel.exec_command("seq 1 300")
    got = b""
    while True:
        part = channel.recv(100)
        if not part:
            break
        if len(part) > 1:
            print("more than the window")
            return
        got += part
    print("same" if got == b"".join(b"%d\n" % i for i in range(1, 301))
          else "other", channel.recv_exit_status())


def case_one_byte_packets(port, keyfile, user):
    """Bytes, each in a packet of its own."""
    transport = login(port, keyfile, user)
    channel = transport.open_session(timeout=5)
    channel.exec_command("sha256sum")
    data = bytes(i * 7 % 251 for i in range(20000))
    # Many at once on the wire, as a fast client's would be.
    transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    for i in range(len(data)):
        send(transport, ("byte", cMSG_CHANNEL_DATA),
             ("int", channel.remote_chanid), ("string", data[i:i + 1]))
    transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
    channel.shutdown_write()
    said = channel.makefile().read().split()[0].decode()
    print("same" if said == hashlib.sha256(data).hexdigest() else "other")


def case_window(port, keyfile, user):
    """The window is wrapped around, twice."""
    transport = login(port, keyfile, user)
    channel = transport.open_session(timeout=5)
    channel.exec_command("head -c 100000 /dev/zero")
    for _ in range(3):
        send(transport, ("byte", cMSG_CHANNEL_WINDOW_ADJUST),
             ("int", channel.remote_chanid), ("int", 0xffffffff))
    got = 0
    channel.settimeout(5)
    try:
        while True:
            part = channel.recv(65536)
            if not part:
                break
            got += len(part)
    except (socket.timeout, OSError):
        pass
    print("bounded" if got <= 100000 else "too much")


def case_beyond_window(port, keyfile, user):
    """More data than was permitted, to a command that does not read."""
    transport = login(port, keyfile, user)
    channel = transport.open_session(timeout=5)
    channel.exec_command("sleep 20")
    try:
        for _ in range(1500):
            send(transport, ("byte", cMSG_CHANNEL_DATA),
                 ("int", channel.remote_chanid), ("string", b"d" * 32000))
    except (EOFError, OSError):
        pass
    state(transport)


def case_requests(port, keyfile, user):
    transport = login(port, keyfile, user)
    channel = transport.open_session(timeout=5)
    channel.get_pty()
    channel.invoke_shell()
    try:
        for _ in range(20000):
            send(transport, ("byte", cMSG_CHANNEL_REQUEST),
                 ("int", channel.remote_chanid), ("string", "window-change"),
                 ("boolean", False), ("int", 80), ("int", 24), ("int", 0),
                 ("int", 0))
    except (EOFError, OSError):
        pass
    state(transport)


def case_packet_zero(port, keyfile, user):
    """A channel whose largest packet is 0, and one that takes 10 bytes."""
    transport = login(port, keyfile, user)
    for size in (0, 10):
        send(transport, ("byte", cMSG_CHANNEL_OPEN), ("string", "session"),
             ("int", 50 + size), ("int", 1 << 20), ("int", size))
    time.sleep(3)
    for number in (0, 1):
        send(transport, ("byte", cMSG_CHANNEL_REQUEST), ("int", 43 + number),
             ("string", "exec"), ("boolean", False), ("string", "echo x"))
    state(transport, 20)


def case_odd_messages(port, keyfile, user):
    """Messages that only a server sends, and channels that do not exist."""
    transport = login(port, keyfile, user)
    for number in (6, 31, 51, 52, 53, 60, 91, 92, 99, 100):
        send(transport, ("byte", bytes([number])), ("int", 7), ("int", 7))
    for _ in range(3):
        send(transport, ("byte", b"\x61"), ("int", 4711))
    try:
        channel = transport.open_session(timeout=5)
        channel.exec_command("echo fine")
        print(channel.makefile().read().decode().strip())
    except (paramiko.SSHException, EOFError):
        state(transport)


def case_long_command(port, keyfile, user):
    transport = login(port, keyfile, user)
    channel = transport.open_session(timeout=5)
    try:
        channel.exec_command("true " + "x" * 100000)
        print("accepted")
    except paramiko.SSHException:
        print("refused")


def case_globals(port, keyfile, user):
    transport = login(port, keyfile, user)
    for _ in range(500):
        send(transport, ("byte", cMSG_GLOBAL_REQUEST),
             ("string", "keepalive@openssh.com"), ("boolean", True))
    channel = transport.open_session(timeout=5)
    channel.exec_command("echo fine")
    print(channel.makefile().read().decode().strip())


class Replies:
    """Answers to requests, in the order in which they come."""

    def __init__(self, transport, numbers):
        self.got = []
        handlers = {number: lambda _, m, text=text: self.got.append(text)
                    for number, text in numbers.items()}
        handle(transport, handlers)
        paramiko.Transport._channel_handler_table = {
            **paramiko.Transport._channel_handler_table, **handlers}

    def wait(self, count):
        end = time.time() + 20
        while len(self.got) < count and time.time() < end:
            time.sleep(0.02)
        time.sleep(0.3)  # one too many?
        return self.got


def case_answers(port, keyfile, user):
    """Each kind of request, with an answer wanted."""
    transport = login(port, keyfile, user)
    channel = transport.open_session(timeout=5)
    replies = Replies(transport, {99: "yes", 100: "no"})
    requests = [
        ("env", [("string", "SGB_A"), ("string", "b")]),
        ("pty", [("string", "vt100"), ("int", 80), ("int", 24), ("int", 0),
                 ("int", 0), ("string", "")]),
        ("break", [("int", 500)]),
        ("xon-xoff", [("boolean", True)]),
        ("nonsense", []),
        ("exec", [("string", "sleep 2")]),
    ]
    for name, parts in requests:
        name = {"pty": "pty-req"}.get(name, name)
        send(transport, ("byte", cMSG_CHANNEL_REQUEST),
             ("int", channel.remote_chanid), ("string", name),
             ("boolean", True), *parts)
        # None of these wants one.
        send(transport, ("byte", cMSG_CHANNEL_REQUEST),
             ("int", channel.remote_chanid), ("string", "nonsense"),
             ("boolean", False))
    got = replies.wait(len(requests))
    print(", ".join(f"{name} {reply}" for (name, _), reply
                    in zip(requests, got)) + "+" * (len(got) - len(requests)))


def case_global_answers(port, keyfile, user):
    transport = login(port, keyfile, user)
    replies = Replies(transport, {81: "yes", 82: "no"})
    for name in ("streamlocal-forward@openssh.com",
                 "hostkeys-prove-00@openssh.com", "nonsense",
                 "keepalive@openssh.com"):
        send(transport, ("byte", cMSG_GLOBAL_REQUEST), ("string", name),
             ("boolean", True), ("string", "/tmp/x"))
        send(transport, ("byte", cMSG_GLOBAL_REQUEST), ("string", name),
             ("boolean", False), ("string", "/tmp/x"))
    print(", ".join(replies.wait(4)))


def case_ping(port, keyfile, user):
    """ping@openssh.com was not announced; it is sent all the same."""
    transport = login(port, keyfile, user)
    for _ in range(1000):
        send(transport, ("byte", b"\xc0"), ("string", "data"))
    channel = transport.open_session(timeout=5)
    channel.exec_command("echo fine")
    print(channel.makefile().read().decode().strip())


def kexinit(transport):
    lists = [("string", "curve25519-sha256"), ("string", "ssh-ed25519")]
    lists += [("string", "aes128-ctr")] * 2
    lists += [("string", "hmac-sha2-256-etm@openssh.com")] * 2
    lists += [("string", "none")] * 2 + [("string", "")] * 2
    send(transport, ("byte", cMSG_KEXINIT), ("bytes", b"r" * 16), *lists,
         ("boolean", False), ("int", 0))


def case_rekey_slow(port, keyfile, user):
    """KEXINIT, never finished, and IGNORE now and then, so as not to look
    dead."""
    transport = login(port, keyfile, user)
    channel = transport.open_session(timeout=5)
    channel.exec_command("cat >/dev/null")
    handle(transport, {20: lambda transport, message: None})
    end = time.time() + 30
    try:
        kexinit(transport)
        while transport.is_active() and time.time() < end:
            send(transport, ("byte", b"\x02"), ("string", b"ignored"))
            time.sleep(0.2)
    except (EOFError, OSError):
        pass
    print("cut" if not alive(transport, 1) else "alive")


def main():
    port, keyfile, user, case = sys.argv[1:5]
    globals()["case_" + case](int(port), keyfile, user)


main()
