"""No inode or no block left, for recordings, their index or the trail; then
water marks, quotas and who may begin all the same.

usage: recorder_space.py WORK BUILD

Each of the three is a small tmpfs of its own; it is filled by somebody else and
emptied again. What was acknowledged is there; what cannot be written down is
refused; nothing has to be restarted.
"""
import glob
import json
import os
import struct
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


def take(folder, left):
    """Blocks until about so many bytes are left."""
    state = os.statvfs(folder)
    path = folder + "/filler"
    with open(path, "wb") as file:
        file.write(bytes(max(0, state.f_bavail * state.f_frsize - left)))
    return path


def person(name, kind=b"", size=0):
    """Why not, or the recording of so many bytes."""
    recording = peer.Recording(door, b'{"conn":"c","user":"%s"}' % name, kind)
    if not recording.stream:
        recording.drop()
        return recording.why
    done = 0
    while done < size:
        recording.send(os.urandom(20000))
        done += 20000
    return recording


def told(slug):
    trail = "".join(open(path, encoding="utf-8").read()
                    for path in sorted(glob.glob(work + "/events/*.jsonl")))
    return [json.loads(line)["status_id"] == 1 for line in trail.splitlines()
            if '"event":"%s"' % slug in line]


def until(what, seconds=15):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)  # until it is so
    return True


def cut_for(recording, words):
    """The monitor is told that it ended, and why."""
    try:
        data = recording.monitor.recv(70000)
    except OSError as error:
        return error
    return (struct.unpack(">H", data[:2])[0] == peer.FAILED and words in data) or data


def marks():
    """Low and high water, and who may still begin in between."""
    before = len(told("disk-low"))
    filler = take(work + "/rec", 900 << 10)
    why = person(b"alice")
    ok("below the low mark it is refused", "disk-reserve" in str(why), why)
    glass = person(b"alice", b"break-glass")
    ok("but not who comes to mend that", isinstance(glass, peer.Recording), glass)
    glass.send(b"mending")
    glass.close()
    ok("which is recorded", raw(glass.rec_id) == b"mending")
    shown = subprocess.run([audit, "show", "-d", work + "/rec", "-i", work + "/reader.pem",
                            glass.rec_id], stdout=subprocess.PIPE, env=env, check=False)
    ok("and has its class", b"break-glass" in shown.stdout, shown.stdout)
    os.unlink(filler)
    filler = take(work + "/rec", 1150 << 10)
    why = person(b"alice")
    ok("between the marks it is still refused", "disk-resume" in str(why), why)
    ok("it was told once", told("disk-low")[before:] == [False], told("disk-low"))
    os.unlink(filler)
    ok("above the high mark all may begin", until(
        lambda: isinstance(person(b"alice"), peer.Recording)))
    ok("and that is told", told("disk-low")[before:] == [False, True], told("disk-low"))
    runs = person(b"alice")
    filler = take(work + "/rec", 300 << 10)
    why = person(b"alice", b"break-glass")
    ok("deep in the reserve nobody begins", "disk-reserve" in str(why), why)
    os.unlink(filler)
    filler = take(work + "/rec", 100 << 10)
    ok("and what runs is ended, with a reason", cut_for(runs, b"disk is full") is True)
    os.unlink(filler)
    ok("its end is in it", until(lambda: not [row for row in verdicts() if row.get(
        "rec") == runs.rec_id and row["verdict"] != "intact"]), verdicts())


def quotas():
    ok("there is room again", until(lambda: isinstance(person(b"carol"), peer.Recording)))
    large = person(b"carol", size=340000)
    ok("a recording beyond its quota is ended", cut_for(large, b"recording-quota") is True)
    bob = person(b"bob", size=200000)
    ok("one of a person's", isinstance(bob, peer.Recording), bob)
    more = person(b"bob", size=240000)
    ok("and another are too much together",
       isinstance(more, peer.Recording) and cut_for(more, b"user-quota") is True)
    why = person(b"bob")
    ok("and no more today", "user-quota" in str(why), why)
    ok("others are not concerned", isinstance(person(b"dave"), peer.Recording))
    # Each ends before the recorder looks at what runs.
    short = [person(b"erin", size=60000) for _ in range(2)]
    for each in short:
        each.close()
    more = [person(b"erin", size=200000) for _ in range(2)]
    for each in more:
        if isinstance(each, peer.Recording):
            each.close()
    why = person(b"erin")
    ok("what ends quickly counts, too", "user-quota" in str(why), why)
    glass = person(b"bob", b"break-glass")
    ok("nor who comes to mend that", isinstance(glass, peer.Recording), glass)


def restarts(recorder, log):
    """Killed at once: what was counted still is."""
    for path in glob.glob(work + "/rec/*/*/*/*.sgr"):
        os.unlink(path)
    over = person(b"frank", size=180000)
    closed = person(b"frank", size=180000)
    closed.close()
    gone = person(b"grace", size=200000)
    gone.close()
    more = person(b"grace", size=220000)
    ok("used up", cut_for(more, b"user-quota") is True)
    # Moved elsewhere after its end, which is none of the quota's business.
    for each in (gone, more):
        os.unlink(glob.glob("%s/rec/*/*/*/%s.sgr" % (work, each.rec_id))[0])
    ok("noted beside the trail", os.stat(work + "/events/quota").st_mode & 0o777 == 0o600)
    recorder.kill()
    recorder.wait(20)
    over.drop()
    with open(work + "/events/quota", "ab") as file:
        file.write(b"0199c2")  # as a crash cuts a line
    recorder = peer.start(build, work + "/conf", door, log)
    why = person(b"grace")
    ok("after a restart, too", "user-quota" in str(why), why)
    why = person(b"bob")
    ok("and for who was so before", "user-quota" in str(why), why)
    last = person(b"frank", size=20000)
    ok("who has some left goes on", isinstance(last, peer.Recording), last)
    for _ in range(3):
        last.send(os.urandom(20000))
    ok("to what is left, with what the crash ended",
       cut_for(last, b"user-quota") is True)
    ok("others are not concerned", isinstance(person(b"heidi"), peer.Recording))
    recorder.kill()
    recorder.wait(20)
    with open(work + "/events/quota", "r+b") as file:
        day = int(file.readline().split()[-1])
        text = file.read()
        file.seek(0)
        file.truncate()
        file.write(b"sgbridge-quota 1 %d\n" % (day - 1) + text)
    recorder = peer.start(build, work + "/conf", door, log)
    ok("another day is not counted", isinstance(person(b"grace"), peer.Recording))
    with open(work + "/events/quota", "rb") as file:
        ok("and is gone", len(file.read().splitlines()) < 4)
    recorder.kill()
    recorder.wait(20)
    with open(work + "/events/quota", "ab") as file:
        file.write(b"what is this\n")
    recorder = peer.start(build, work + "/conf", door, log)
    ok("a damaged file keeps nobody out", isinstance(person(b"heidi"), peer.Recording))
    with open(work + "/events/quota.bad", "rb") as file:
        bad = file.read()
    with open(work + "/events/quota", "rb") as file:
        good = file.read()
    ok("it is kept, and what was good of it is in force", bad.endswith(b"what is this\n") and
       good.startswith(bad[:-13]) and b"what" not in good, (bad, good))
    with open(work + "/log", "rb") as file:
        ok("the log says so", b"quota.bad" in file.read())
    ok("and the trail", told_of_quota() == 1)
    recorder.kill()
    recorder.wait(20)
    with open(work + "/events/quota", "wb") as file:
        file.write(b"sgbridge-quota 1 %dx\n" % day)
    recorder = peer.start(build, work + "/conf", door, log)
    ok("nor one with a damaged head", isinstance(person(b"heidi"), peer.Recording))
    with open(work + "/events/quota", "rb") as file:
        ok("the new one has a head", file.readline() == b"sgbridge-quota 1 %d\n" % day)
    recorder.kill()
    recorder.wait(20)
    recorder = peer.start(build, work + "/conf", door, log)
    ok("and is good at the next start",
       isinstance(person(b"heidi"), peer.Recording) and told_of_quota() == 2)
    recorder.kill()
    recorder.wait(20)
    os.unlink(work + "/events/quota")
    os.mkdir(work + "/events/quota")
    recorder = peer.start(build, work + "/conf", door, log)
    ok("nor one that cannot be opened", isinstance(person(b"heidi"), peer.Recording))
    ok("which is told, too", told_of_quota() == 3)
    over = person(b"judith", size=420000)
    ok("and it is counted", cut_for(over, b"user-quota") is True or
       "quota" in str(person(b"judith")))
    os.rmdir(work + "/events/quota")
    recorder.kill()
    recorder.wait(20)
    return peer.start(build, work + "/conf", door, log)


def told_of_quota():
    trail = "".join(open(path, encoding="utf-8").read()
                    for path in sorted(glob.glob(work + "/events/*.jsonl")))
    return trail.count("events/quota")


def waiting(recording):
    """What the trail says of it: False, it waits; True, it goes on."""
    trail = "".join(open(path, encoding="utf-8").read()
                    for path in sorted(glob.glob(work + "/events/*.jsonl")))
    return [json.loads(line)["status_id"] == 1 for line in trail.splitlines()
            if '"event":"disk-low"' in line and recording.rec_id in line]


def patient(seconds):
    return peer.Recording(door, b'{"conn":"c","user":"ivan","client":"\\",\\"stall\\":1",'
                          b'"input":false,"stall":%d}' % seconds)


# In the place of an acknowledgement (core/record.h).
WAIT = (1 << 64) - 1


def part(data):
    return struct.pack(">IB", 1, 3) + peer.text(data)


def acked(recording, number):
    """The last acknowledgement that there is, or the one that is waited for. What
    is said of a wait is kept with the recording."""
    last = 0
    recording.words = getattr(recording, "words", [])
    recording.stream.settimeout(20 if number else 0)
    try:
        while last < number or not number:
            answer = recording.stream.recv(100)
            if not answer:
                break
            if len(answer) == 16:
                word, seconds = struct.unpack(">QQ", answer)
                recording.words.append(seconds if word == WAIT else answer)
                continue
            last = struct.unpack(">Q", answer)[0]
    except BlockingIOError:
        pass
    except OSError as error:
        last = error
    return last


def stalls():
    """A rule that says so: its sessions wait for room, and nothing is lost."""
    for path in glob.glob(work + "/rec/*/*/*/*.sgr"):
        os.unlink(path)
    held = os.urandom(30000)
    for name, left in (("deep in the reserve", 100 << 10), ("without a block", 0)):
        runs, parts = patient(60), 1 if left else 3
        runs.send(b"before ")
        filler = take(work + "/rec", left) if left else use_blocks(work + "/rec")[0]
        for _ in range(3 if not left else 0):
            runs.stream.send(part(held))
        ok(name + ": it waits", until(lambda: waiting(runs) == [False]), waiting(runs))
        for _ in range(1 if left else 0):
            runs.stream.send(part(held))
        other = person(b"judy")
        ok(name + ": others do not begin", "disk-reserve" in str(other), other)
        ok(name + ": not all is acknowledged", acked(runs, 0) < 1 + parts)
        ok(name + ": the session is told", runs.words == [60], runs.words)
        os.unlink(filler)
        ok(name + ": it goes on", acked(runs, 1 + parts) == 1 + parts)
        ok(name + ": the session is told that, first", runs.words == [60, 0], runs.words)
        ok(name + ": both are told", waiting(runs) == [False, True], waiting(runs))
        runs.stream.send(part(b" after"))
        acked(runs, 2 + parts)
        runs.close()
        ok(name + ": nothing was lost", raw(runs.rec_id) == b"before " + parts * held + b" after")
    runs = patient(2)
    runs.send(b"before")
    filler = use_blocks(work + "/rec")[0]
    for _ in range(3):
        runs.stream.send(part(held))
    ok("it does not wait for ever", cut_for(runs, b"longer than 2 s") is True)
    done = max(1, acked(runs, 9))
    os.unlink(filler)
    ok("what was acknowledged is there, and no more than was sent", raw(runs.rec_id).startswith(
        b"before" + (done - 1) * held) and done < 4 and
       (b"before" + 3 * held).startswith(raw(runs.rec_id)), done)
    gone, left = patient(60), patient(60)
    for each in (gone, left):
        each.send(b"before")
    filler = use_blocks(work + "/rec")[0]
    for each in 3 * (gone, left):
        each.stream.send(part(held))
    ok("both wait", until(lambda: waiting(gone) == waiting(left) == [False]))
    gone.drop()
    left.close()
    ok("who does not wait ends it", left.closed, left.why)
    os.unlink(filler)
    ok("all ended, and all is whole", until(lambda: not [
        row for row in verdicts() if row.get("rec") in (runs.rec_id, gone.rec_id, left.rec_id)
        and row["verdict"] != "intact"]), verdicts())
    fails(held)
    hovers()
    hasty = peer.Recording(door, b'{"conn":"c","user":"kim","client":",\\"stall\\":60"}')
    filler = take(work + "/rec", 100 << 10)
    ok("no other does", cut_for(hasty, b"disk is full") is True)
    os.unlink(filler)


def fails(held):
    """What is not durable ends it while it waits: the file ends before what it
    never got."""
    runs, state = patient(60), work + "/rec/sync"
    runs.send(b"before")
    with open(state, "wb", buffering=0) as file:
        file.write(b"hold")
        os.chmod(state, 0o666)
        ok("a sync is under way", until(lambda: os.path.getsize(state) > 4, 30))
        filler = use_blocks(work + "/rec")[0]
        for _ in range(3):
            runs.stream.send(part(held))
        ok("it waits meanwhile", until(lambda: waiting(runs) == [False]), waiting(runs))
        file.seek(0)
        file.write(b"fail")
        ok("it ends when that fails", cut_for(runs, b"durable") is True)
    os.unlink(filler)
    os.unlink(state)
    ok("it does not look tampered with", until(lambda: [
        row["verdict"] for row in verdicts() if row.get("rec") == runs.rec_id] == ["intact"]),
       [row for row in verdicts() if row.get("rec") == runs.rec_id])
    ok("what was acknowledged is there", raw(runs.rec_id).startswith(b"before"))


def hovers():
    """Room comes and goes: it waits below both marks, and so long in all."""
    runs = patient(8)
    runs.send(b"before")
    since, begun = time.monotonic(), 0
    while time.monotonic() - since < 40:
        filler = take(work + "/rec", 100 << 10)
        if not until(lambda: len(waiting(runs)) > 2 * begun, 10):
            break
        begun += 1
        if begun == 1:
            # Never more in between, as with another file: it may look then.
            os.truncate(filler, os.path.getsize(filler) - (1050 << 10))
            ok("between the marks it waits still", not until(lambda: True in waiting(runs), 2))
        os.unlink(filler)
        if not until(lambda: waiting(runs)[-1], 10):
            break
    said = waiting(runs)
    ok("room came more than once", begun > 1 and True in said, said)
    ok("all waits together are bounded", cut_for(runs, b"longer than 8 s") is True or
       cut_for(runs, b"disk is full") is True, said)
    if os.path.exists(filler):
        os.unlink(filler)


def limits():
    peer.configure(work + "/conf", work, work + "/rec", work + "/events", "1M",
                   "disk-resume 1280K\nrecording-quota 300K\nuser-quota 400K\n")
    before = dict(os.environ)
    os.environ.update(FAIL_FDATASYNC=work + "/rec/sync",
                      LD_PRELOAD=build + "/tests/fault/slow_sync.so",
                      ASAN_OPTIONS="verify_asan_link_order=0")
    with open(work + "/log", "ab") as log:
        recorder = peer.start(build, work + "/conf", door, log)
    os.environ.clear()
    os.environ.update(before)
    marks()
    stalls()
    for path in glob.glob(work + "/rec/*/*/*/*.sgr"):
        os.unlink(path)
    quotas()
    with open(work + "/log", "ab") as log:
        recorder = restarts(recorder, log)
    recorder.terminate()
    recorder.wait(20)


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
    limits()
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


sys.exit(main())
