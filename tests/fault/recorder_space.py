"""No inode or no block left, for recordings, their index or the trail.

usage: recorder_space.py WORK BUILD

Each of the three is a small tmpfs of its own; it is filled by somebody else and
emptied again. What was acknowledged is there; what cannot be written down is
refused; nothing has to be restarted.
"""
import glob
import json
import os
import subprocess
import sys
import time

import recorder_peer as peer

work, build = sys.argv[1], os.path.abspath(sys.argv[2])
audit, door = build + "/sgbridge-audit", work + "/socket"
env = dict(os.environ, XDG_STATE_HOME=work + "/state")
passed = failed = 0


def ok(name, good, detail=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print("not ok: %s: %s" % (name, detail), flush=True)


def use_inodes(folder):
    """Until there is none; what to take away again."""
    made = []
    try:
        while True:
            path = "%s/filler%d" % (folder, len(made))
            with open(path, "xb"):
                made.append(path)
    except OSError:
        return made


def use_blocks(folder):
    path = folder + "/filler"
    with open(path, "xb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    return [path]


def verdicts():
    done = subprocess.run([audit, "verify", "-d", work + "/rec", "--events", work + "/events",
                           "-i", work + "/reader.pem", "--writer", work + "/writers", "--json"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, check=False)
    return [json.loads(line) for line in done.stdout.splitlines()]


def raw(rec_id):
    path = glob.glob("%s/rec/*/*/*/%s.sgr" % (work, rec_id))
    return subprocess.run([audit, "export", "-i", work + "/reader.pem", "-f", "raw", *path],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env,
                          check=False).stdout


def attempt():
    """A recording that is opened, used and closed; or why not."""
    try:
        recording = peer.Recording(door)
        if recording.stream:
            recording.send(b"works")
            recording.close()
        else:
            recording.drop()
        return recording
    except OSError as error:
        return error


def works(thing):
    return getattr(thing, "closed", False)


def one(name, fill, folder):
    runs = peer.Recording(door)
    runs.send(b"before ")
    made = fill(folder)
    ok(name + ": it is full", len(made) > 0)
    refused = attempt()
    ok(name + ": a new recording is refused, or recorded as a whole",
       not works(refused) or raw(refused.rec_id) == b"works", refused)
    if fill is use_inodes and folder.endswith("/rec"):
        ok(name + ": with a reason", not works(refused) and refused.why, refused)
    try:
        runs.send(b"meanwhile")
    except OSError:
        pass
    try:
        runs.close()
    except OSError:
        runs.drop()
    for path in made:
        os.unlink(path)
    until = time.monotonic() + 15
    again = attempt()
    while not works(again) and time.monotonic() < until:
        time.sleep(0.1)  # until the recorder has looked
        again = attempt()
    ok(name + ": with room again it records", works(again), again)
    ok(name + ": what was acknowledged is there", runs.acked.startswith(b"before ") and
       raw(runs.rec_id).startswith(runs.acked), (raw(runs.rec_id), runs.acked))
    bad = [row for row in verdicts() if row["verdict"] not in ("intact", "recovered") and
           "failed" not in row["text"]]
    ok(name + ": everything verifies, or says that it failed", not bad, bad)


def main():
    peer.keys(work, audit)
    peer.configure(work + "/conf", work, work + "/rec", work + "/events")
    with open(work + "/log", "wb") as log:
        recorder = peer.start(build, work + "/conf", door, log)
    ok("it works", works(attempt()))
    for name, fill in (("inodes", use_inodes), ("blocks", use_blocks)):
        for folder in ("rec", "rec/index", "events"):
            one("%s of %s" % (name, folder), fill, work + "/" + folder)
            if recorder.poll() is not None:
                ok("the recorder lives", False, (name, folder, recorder.returncode))
                recorder = peer.start(build, work + "/conf", door, log)
    recorder.terminate()
    ok("it stops in order", recorder.wait(20) == 0)
    bad = [row for row in verdicts() if row["verdict"] not in ("intact", "recovered") and
           "failed" not in row["text"]]
    ok("everything verifies in the end", not bad, bad)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


sys.exit(main())
