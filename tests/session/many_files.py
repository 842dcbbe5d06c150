#!/usr/bin/env python3
"""Uploads of small files as fast as a server takes them.

usage: many_files.py FILE COUNT SSH-COMMAND...

SFTP by hand over a subsystem: FILE is opened, written and closed COUNT times,
a few hundred at once. Prints how often it was closed.
"""
import struct
import subprocess
import sys

BATCH = 500


def text(data):
    return struct.pack(">I", len(data)) + data


def send(pipe, *packets):
    pipe.write(b"".join(text(p) for p in packets))
    pipe.flush()


def receive(pipe):
    head = pipe.read(4)
    if len(head) < 4:
        return None
    return pipe.read(struct.unpack(">I", head)[0])


def batch(ssh, path, size):
    """Returns how many of so many files were closed, or None at the end."""
    send(ssh.stdin, *(struct.pack(">BI", 3, i) + text(path) +
                      struct.pack(">II", 26, 0) for i in range(size)))
    handles = []
    for _ in range(size):
        answer = receive(ssh.stdout)
        if not answer or answer[0] != 102:
            return None
        handles.append(answer[5:])
    send(ssh.stdin, *(struct.pack(">BI", 6, 2000 + i) + handle +
                      struct.pack(">Q", 0) + text(b"x")
                      for i, handle in enumerate(handles)))
    send(ssh.stdin, *(struct.pack(">BI", 4, 4000 + i) + handle
                      for i, handle in enumerate(handles)))
    answers = [receive(ssh.stdout) for _ in range(2 * size)]
    return None if None in answers else size


def main():
    path, count = sys.argv[1].encode(), int(sys.argv[2])
    ssh = subprocess.Popen(sys.argv[3:], stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE)
    done = 0
    send(ssh.stdin, struct.pack(">BI", 1, 3))
    receive(ssh.stdout)
    try:
        while done < count:
            closed = batch(ssh, path, min(BATCH, count - done))
            if not closed:
                break
            done += closed
        ssh.stdin.close()
    except BrokenPipeError:
        pass
    print(done)
    ssh.wait()


main()
