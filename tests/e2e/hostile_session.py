#!/usr/bin/python3 -I
# A session process that was taken over: it stands in for sgbridge-session and
# tries what SCENARIO beside it says, as root even. What it sees goes to LOG
# beside it, a line each; hostile.sh judges. Messages: bastion/core/msg.def.
import base64
import os
import select
import signal
import socket
import struct
import sys
import time

from cryptography.hazmat.primitives.serialization import load_ssh_private_key

HERE = os.path.dirname(sys.argv[0])
LINK = socket.socket(fileno=3)


def log(*words):
    with open(HERE + '/log', 'a') as out:
        print(*words, file=out)


def text(value):
    if isinstance(value, str):
        value = value.encode()
    return struct.pack('>I', len(value)) + value


def send(kind, body=b''):
    LINK.send(struct.pack('>H', kind) + body)


def receive():
    data, fds, _, _ = socket.recv_fds(LINK, 140000, 4)
    if not data:
        log('link closed')
        sys.exit(0)
    return struct.unpack('>H', data[:2])[0], data[2:], fds


def drain():
    while True:
        log('got', receive()[0])


SESSION_ID = bytes(range(32))


# The host key is the monitor's; what it signs first is the session's id.
def host_sign(data=SESSION_ID, key=0, bits=0):
    send(58, struct.pack('>II', key, bits) + text(data))
    return receive()[0] == 39


# What it would have of a real login of the robot's: RFC 4252 section 7.
def claim(name, signed=None, signature=None, session_id=SESSION_ID):
    with open(HERE + '/robot.pub') as key:
        blob = base64.b64decode(key.read().split()[1])
    message = (text(session_id) + b'\x32' + text(signed or name) +
               text('ssh-connection') + text('publickey') + b'\x01' +
               text('ssh-ed25519') + text(blob))
    if signature is None:
        with open(HERE + '/robot', 'rb') as key:
            signature = load_ssh_private_key(key.read(), None).sign(message)
    send(41, text(name) + text('ssh-ed25519') + text(blob) + b'\x01' +
         text(message) + text(signature))
    return struct.unpack('>I', receive()[1][:4])[0]


def prove(name):
    host_sign()
    log('auth', claim(name))


def target(name):
    prove(name)
    send(44)
    kind, _, fds = receive()
    log('target', kind)
    return socket.socket(fileno=fds[2]) if len(fds) > 2 else None


TARGET_ID = b'\x11' * 32


# What the target would have proved in the key exchange; session is what this
# process says instead of what the key signed.
def host_key(name='web1', session=TARGET_ID, by=None):
    with open(HERE + '/' + (by or name), 'rb') as key:
        signature = load_ssh_private_key(key.read(), None).sign(TARGET_ID)
    with open(HERE + '/' + name + '.pub') as key:
        blob = base64.b64decode(key.read().split()[1])
    send(53, text(blob) + text(session) + text(signature))
    return struct.unpack('>I', receive()[1][:4])[0]


def identity(agent):
    agent.sendall(struct.pack('>IB', 1, 11))
    want = struct.unpack('>I', agent.recv(4))[0]
    data = b''
    while len(data) < want:
        data += agent.recv(want - len(data))
    length = struct.unpack('>I', data[5:9])[0]
    return data[9:9 + length]


def sign(agent, cert, user='ops', session=TARGET_ID, service='ssh-connection',
         flag=b'\x01', extra=b'',
         algorithm='ssh-ed25519-cert-v01@openssh.com'):
    data = (text(session) + bytes([50]) + text(user) + text(service) +
            text('publickey') + flag +
            text(algorithm) + text(cert) + extra)
    request = bytes([13]) + text(cert) + text(data) + struct.pack('>I', 0)
    try:
        agent.sendall(struct.pack('>I', len(request)) + request)
        answer = agent.recv(400)
    except OSError:
        answer = b''
    return 'signed' if answer[4:5] == b'\x0e' else 'refused'


# Claims of a key without what proves it.
def claims(_):
    log('before the host key signed', claim('robot'))
    log('the host key', int(host_sign()))
    log('no signature', claim('robot', signature=b''))
    log('no key', claim('robot', signature=bytes(64)))
    log("another's name", claim('robot', signed='alice'))
    log('a good one', claim('robot'))


# Another session's proof.
def replays(_):
    host_sign()
    log('one', claim('alice'))
    log('other session', claim('robot', session_id=bytes(32)))


# The host key as an oracle: what is no exchange hash, and a second one before
# the login, which would be another session's.
def oracle(words):
    if words[1] == 'second':
        log('first', int(host_sign()))
        log('second', int(host_sign(bytes(32))))
    elif words[1] == 'long':
        log('long', int(host_sign(bytes(33))))
    elif words[1] == 'digest':
        log('digest', int(host_sign(bits=256)))
    else:
        log('key', int(host_sign(key=7)))


def silent(_):
    LINK.close()
    log('closed')
    time.sleep(120)


def drip(_):
    agent = target('robot+ops@web1')
    agent.sendall(struct.pack('>I', 20000))
    log('dripping')
    for _ in range(60):
        agent.send(b'\x00')
        time.sleep(0.5)


def late(_):
    agent = target('robot+ops@web1')
    cert = identity(agent)
    host_key()
    log('ready')
    receive()
    log('after the end:', sign(agent, cert))
    drain()


def other(_):
    agent = target('robot+ops@web1')
    cert = identity(agent)
    log('no host key:', sign(agent, cert))
    log('host key', host_key())
    log('root:', sign(agent, cert, user='root'))
    log('service:', sign(agent, cert, service='ssh-userauth'))
    log('no signature flag:', sign(agent, cert, flag=b'\x00'))
    log('more behind:', sign(agent, cert, extra=b'\x00'))
    log('other certificate:', sign(agent, cert[:-1] + bytes([cert[-1] ^ 1])))
    # Of another host: the user's own, say, who has it sign what he likes.
    log('other host:', sign(agent, cert, session=b'\x33' * 32))
    log('own:', sign(agent, cert))
    log('second session:', sign(agent, cert, session=b'\x22' * 32))


def take(data):
    size = struct.unpack('>I', data[:4])[0]
    return data[4:4 + size], data[4 + size:]


# What the monitor wants the user's agent to sign.
def asked():
    kind, body, _ = receive()
    data = take(take(body)[1])[0]
    user = take(take(data)[1][1:])[0]
    log('asked:', kind, user.decode())
    return data


def give(signature):
    send(111, text(signature))
    kind, body, _ = receive()
    return kind == 112 and struct.unpack('>I', body[:4])[0]


# The user's own key, whose agent is asked by this process.
def own(words):
    agent = target('robot+ops@own1')
    key = identity(agent)
    want = {'algorithm': 'ssh-ed25519'}
    if words[1] == 'unasked':
        send(111, text(b''))
        drain()
    log('no host key:', sign(agent, key, **want))
    log('host key', host_key())
    log('root:', sign(agent, key, user='root', **want))
    log('at once:', sign(agent, key, **want))
    data = asked()
    log('again:', sign(agent, key, **want))
    with open(HERE + '/robot', 'rb') as file:
        made = load_ssh_private_key(file.read(), None).sign(data)
    if words[1] == 'bad':
        made = made[:-1] + bytes([made[-1] ^ 1])
    log('given:', int(give(text('ssh-ed25519') + text(made))))
    log('then:', sign(agent, key, **want))
    log('other session:', sign(agent, key, session=b'\x22' * 32, **want))
    log('done')


# The right key, and an id that it did not sign.
def invents(words):
    agent = target('robot+ops@web1')
    cert = identity(agent)
    if words[1] == 'id':
        log('host key', host_key(session=b'\x33' * 32))
    else:
        log('host key', host_key(by='robot'))
    log('invented:', sign(agent, cert, session=b'\x33' * 32))
    log('its own:', sign(agent, cert))


def wrong_host(_):
    agent = target('robot+ops@web1')
    cert = identity(agent)
    log('wrong host key', host_key('robot'))
    log('wrong host:', sign(agent, cert))
    send(53, text(b'x'))
    drain()


def stale(_):
    target('robot+ops@dead1')
    log('ready')
    while not os.path.exists(HERE + '/go'):
        time.sleep(0.05)
    send(47, struct.pack('>II', 1, 5) + text('uptime') + struct.pack('>I', 0))
    drain()


# A forward that is said to be closed, and used on.
def keeps(_):
    prove('robot')
    send(45, text('port1') + struct.pack('>I', 3389))
    kind, body, fds = receive()
    if kind != 26:
        log('forward', kind, body)
        return
    forward = socket.socket(fileno=fds[0])
    forward.setblocking(True)
    log('before:', 'sent' if forward.send(b'x') else 'refused')
    send(48, body[:4] + struct.pack('>IQQ', 8, 1, 0) + text(''))
    # Whatever is answered comes after it.
    send(45, text('port1') + struct.pack('>I', 9))
    receive()
    try:
        log('after:', 'sent' if forward.send(b'x') else 'refused')
    except OSError:
        log('after:', 'refused')


def reports(_):
    for number in range(3000):
        send(48, struct.pack('>IIQQ', 0, 5, 1, 1) + text('/etc/%d' % number))
    log('all sent')


# Says of itself that something is odd.
def odd(_):
    for number in range(3000):
        send(48, struct.pack('>IIQQ', 0, 7, 0, 0) + text('odd %d' % number))
    log('all sent')


def phase(words):
    send(int(words[1]), bytes.fromhex(words[2]) if len(words) > 2 else b'')
    drain()


# Beside a target that was named at the door, with that one's proofs.
def beside(words):
    prove('robot+ops@web1')
    phase(words)


def deaf(_):
    prove('robot')
    try:
        while True:
            send(49, struct.pack('>I', 1) + text('hosts'))
    except OSError:
        log('link broken')


# The cradle's side (bastion/session_cradle.c), honestly: somebody sees each
# session to its end, and ends it when its monitor says so or is gone.
def guard(watch):
    pid = os.fork()
    if pid == 0:
        return
    os.close(LINK.fileno())
    pidfd = os.pidfd_open(pid)
    socket.send_fds(watch, [struct.pack('>H', 101)], [pidfd])
    if watch in select.select([pidfd, watch], [], [])[0]:
        os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    try:
        watch.send(struct.pack('>HI', 102, status))
    except OSError:
        pass
    os._exit(0)


def cradle():
    global LINK
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        data, fds, _, _ = socket.recv_fds(LINK, 16, 4)
        if not data:
            sys.exit(0)
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            LINK.close()
            LINK = socket.socket(fileno=fds[0])
            guard(socket.socket(fileno=fds[2]))
            return
        for fd in fds:
            os.close(fd)


def main():
    cradle()
    receive()
    with open(HERE + '/scenario') as file:
        words = file.read().split()
    try:
        globals()[words[0]](words)
    except OSError as error:
        log('error', error.__class__.__name__)


main()
