"""Cuts the power of a recorder's disk at random instants.

usage: power_cut.py WORK BUILD ROUNDS

WORK/outer is XFS, and on it the image of an ext4 on which the recorder writes.
A clone of that image is what the disk had at one instant: no page that was not
written yet is in it, and its journal is not replayed. Each clone is mounted and
must hold what had been promised to be durable before it was made.
"""
import glob
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import threading
import time

import recorder_peer as peer

work, build, rounds = sys.argv[1], os.path.abspath(sys.argv[2]), int(sys.argv[3])
audit, door = build + "/sgbridge-audit", work + "/socket"
image, clone = work + "/outer/image", work + "/outer/clone"
rnd = random.Random(int(os.environ.get("SGB_SEED", "1")))
env = dict(os.environ, XDG_STATE_HOME=work + "/state")
passed = failed = 0
lost = {"bytes": 0, "recordings": 0, "cut": 0, "closed": 0, "events": 0}


def ok(name, good, detail=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print("not ok: %s: %s" % (name, detail), flush=True)


class Person(threading.Thread):
    """One recording after the other, some closed in order, until told."""

    def __init__(self, seed):
        super().__init__()
        self.rnd, self.recordings, self.over, self.events = random.Random(seed), [], False, []

    def run(self):
        while not self.over:
            recording = peer.Recording(door)
            self.recordings.append(recording)
            for _ in range(self.rnd.randrange(1, 40)):
                if self.over:
                    break
                recording.send(self.rnd.randbytes(self.rnd.choice((1, 30, 500, 20000))))
                time.sleep(self.rnd.random() * 0.01)  # as people do
            number = self.rnd.randrange(1 << 40)
            if recording.event(number):
                self.events.append(number)
            if not self.over:
                recording.close()


def promised(people):
    """What was answered until now: it must survive from here on."""
    opened, closed, events = [], [], []
    for person in people:
        events += list(person.events)
        for recording in list(person.recordings):
            if recording.closed:
                closed.append(recording)
            elif recording.rec_id and recording.acked:
                opened.append(recording)
    return opened, closed, events


def verify(conf, *more):
    done = subprocess.run([audit, "verify", "-c", conf, "-i", work + "/reader.pem", "--writer",
                           work + "/writers", "--json", *more], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env=env, check=False)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {row.get("rec", row.get("journal")): row["verdict"] for row in rows}


def raw(path):
    return subprocess.run([audit, "export", "-i", work + "/reader.pem", "-f", "raw", path],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env,
                          check=False).stdout


def check_clone(opened, closed, events):
    """As after the power came back: mount, start, look."""
    there = work + "/after"
    subprocess.run(["mount", "-o", "loop", clone, there], check=True)
    try:
        conf = work + "/after.conf"
        peer.configure(conf, work, there + "/rec", there + "/events")
        with open(conf, encoding="ascii") as file:
            moved = file.read().replace(door, door + ".after")
        with open(conf, "w", encoding="ascii") as file:
            file.write(moved)
        found = {os.path.basename(path)[:-4]: path
                 for path in glob.glob(there + "/rec/*/*/*/*.sgr")}
        before = {path: verify(conf, path) for path in found.values()}
        bad = [row for row in before.values() if not set(row.values()) <= {
            "intact", "recovered", "open or interrupted"}]
        # One whose header is not whole was used by nobody.
        used = {recording.rec_id for recording in opened + closed}
        bad = [row for row in bad if set(row) & used]
        ok("each file verifies as far as it goes", not bad, bad)
        with open(work + "/after.log", "wb") as log:
            recorder = peer.start(build, conf, door + ".after", log)
        recorder.terminate()
        recorder.wait()
        verdicts = verify(conf)
        ok("after its start all is intact or its loss is stated",
           set(verdicts.values()) <= {"intact", "recovered"}, verdicts)
        found = {os.path.basename(path)[:-4]: path
                 for path in glob.glob(there + "/rec/*/*/*/*.sgr")}
        for recording in closed:
            ok("what was closed is whole", verdicts.get(recording.rec_id) == "intact" and
               raw(found[recording.rec_id]) == recording.sent, recording.rec_id)
        for recording in opened:
            held = raw(found[recording.rec_id]) if recording.rec_id in found else None
            ok("what was opened is there, and nothing else in it",
               held is not None and recording.sent.startswith(held),
               (recording.rec_id, held and len(held), len(recording.sent)))
            lost["recordings"] += 1
            lost["cut"] += verdicts.get(recording.rec_id) == "recovered"
        trail = "".join(open(path, encoding="utf-8").read()
                        for path in glob.glob(there + "/events/*.jsonl"))
        lost["closed"] += len(closed)
        lost["events"] += len(events)
        ok("no event that was answered is lost", all("n%d." % number in trail
                                                     for number in events))
    finally:
        subprocess.run(["umount", there], check=True)


def checkpoints(path):
    """Bytes of evidence that each CHECKPOINT of a file speaks of."""
    with open(path, "rb") as file:
        data = file.read()
    at, found = 16 + struct.unpack("<I", data[12:16])[0] + 16, []
    while at + 16 <= len(data):
        kind, body = data[at], struct.unpack("<I", data[at + 12:at + 16])[0]
        if kind == 0x20:
            found.append(struct.unpack("<Q", data[at + 48:at + 56])[0])
        at += 16 + body + 16
    return found


def on_disk(rec_id):
    """What a cut now would leave of a recording: its bytes, and the checkpoints."""
    subprocess.run(["cp", "--reflink=always", image, clone], check=True)
    subprocess.run(["mount", "-o", "loop", clone, work + "/after"], check=True)
    try:
        path = glob.glob("%s/after/rec/*/*/*/%s.sgr" % (work, rec_id))[0]
        return raw(path), checkpoints(path)
    finally:
        subprocess.run(["umount", work + "/after"], check=True)
        os.unlink(clone)


def is_due():
    """docs/RECORDING.md: a checkpoint, and with it all before on the disk, every 5 s
    and every 1 MiB. A second and a message more are what its loop takes."""
    bulk, slow = peer.Recording(door), peer.Recording(door)
    for _ in range(160):
        bulk.send(rnd.randbytes(20000))
    began, early = time.monotonic(), b""
    while time.monotonic() < began + 7:
        slow.send(rnd.randbytes(30))
        if time.monotonic() < began + 1:
            early = slow.acked
        time.sleep(0.1)  # as people do
    held, _ = on_disk(slow.rec_id)
    # Where all is slow; three times the 5 s are something else.
    while not held.startswith(early) and time.monotonic() < began + 15:
        held, _ = on_disk(slow.rec_id)
    ok("what was answered 6 s ago is on the disk", early and held.startswith(early) and
       slow.sent.startswith(held), (len(held), len(early)))
    held, marks = on_disk(bulk.rec_id)
    ok("a checkpoint after each 1 MiB", len(marks) > 3 and all(
        two - one < (1 << 20) + 65536 for one, two in zip(marks, marks[1:])), marks)
    ok("and less than that is lost", len(held) + (1 << 20) + 65536 > len(bulk.acked) and
       bulk.sent.startswith(held), (len(held), len(bulk.acked)))
    for recording in (bulk, slow):
        recording.close()
        ok("closed in order", recording.closed)


def forget(recorder):
    """In order, and from the beginning: the disk is small."""
    recorder.terminate()
    ok("it stops in order", recorder.wait(20) == 0)
    for folder in ("/disk/rec", "/disk/events"):
        shutil.rmtree(work + folder)
    with open(work + "/log", "wb") as log:
        return peer.start(build, work + "/conf", door, log)


def main():
    peer.keys(work, audit)
    for folder in ("disk", "after"):
        os.makedirs(work + "/" + folder, exist_ok=True)
    peer.configure(work + "/conf", work, work + "/disk/rec", work + "/disk/events")
    with open(work + "/log", "wb") as log:
        recorder = peer.start(build, work + "/conf", door, log)
    is_due()
    people = []
    for number in range(rounds):
        if number and number % 5 == 0:
            recorder = forget(recorder)
        people = [Person(rnd.random()) for _ in range(4)]
        for person in people:
            person.start()
        time.sleep(0.1 + rnd.random() * 0.7)  # the instant is what is random
        told = promised(people)
        snapshots = [recording.acked for recording in told[0]]
        subprocess.run(["cp", "--reflink=always", image, clone], check=True)
        for person in people:
            person.over = True
        for person in people:
            person.join()
        lost["bytes"] += sum(len(data) for data in snapshots)
        check_clone(*told)
        for person in people:
            for recording in person.recordings:
                recording.drop()
        os.unlink(clone)
    recorder.terminate()
    ok("it stops in order", recorder.wait(20) == 0)
    ok("there was something to lose", all(lost.values()), lost)
    print("# %d cuts, %s" % (rounds, lost))
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


sys.exit(main())
