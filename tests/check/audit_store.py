"""A folder of recordings, changed in every way that verify must find.

usage: audit_store.py BUILD
"""
import glob
import json
import os
import pty
import shutil
import signal
import struct
import subprocess
import sys
import time

from audit_room import audit, build, ok, path_of, prepare, record, run, start, summary, text, work


def verify(folder, *more):
    code, out, err = run("verify", "-d", folder, "--writer", work + "/writers", *more)
    return code, out + err


def changed(name, change, code, words, *more):
    """What is said of a copy of the store that was changed."""
    copy = work + "/copy"
    shutil.copytree(work + "/rec", copy)
    for root, folders, files in os.walk(copy):
        for entry in folders + files:
            os.chmod(os.path.join(root, entry), 0o700)
    change(copy)
    got, out = verify(copy, *more)
    ok(name, got == code and words in out, (got, out))
    shutil.rmtree(copy)


def edit_lines(folder, change):
    path = sorted(glob.glob(folder + "/index/*.jsonl"))[-1]
    with open(path, "rb") as file:
        lines = file.read().splitlines(keepends=True)
    with open(path, "wb") as file:
        file.write(b"".join(change(lines)))


def truncate(path, size):
    with open(path, "rb+") as file:
        file.truncate(size)


def changes(ids):
    one, two = ids[0], ids[1]
    changed("untouched", lambda d: None, 0, "intact")
    changed("deleted", lambda d: os.unlink(path_of(d, one)), 5, one + "  missing")
    changed("cut after its end",
            lambda d: truncate(path_of(d, one), os.path.getsize(path_of(d, one)) - 160),
            4, one + "  altered: cut after its end")
    changed("cut to its header", lambda d: truncate(path_of(d, one), 900), 4, one + "  altered")
    changed("replaced by another",
            lambda d: shutil.copy(path_of(d, two), path_of(d, one)), 4, "renamed")
    changed("index line deleted", lambda d: edit_lines(d, lambda l: l[:1] + l[2:]), 4,
            "lines are missing")
    changed("index lines swapped", lambda d: edit_lines(d, lambda l: [l[1], l[0]] + l[2:]), 4,
            "altered")
    changed("index rolled back", lambda d: edit_lines(d, lambda l: l[:-2]), 4, "not in the index")
    changed("index line changed",
            lambda d: edit_lines(d, lambda l: [l[0].replace(b"open", b"opel")] + l[1:]), 4,
            "altered")
    changed("index torn", lambda d: edit_lines(d, lambda l: l[:-1] + [l[-1][:-9]]), 3,
            "ends inside a line")


def signers(ids):
    """Whoever cuts a recording can sign an end of his own."""
    _, line, _ = run("writer-keygen", "-o", work + "/evil")
    with open(work + "/both", "w", encoding="ascii") as file, \
            open(work + "/writers", encoding="ascii") as writers:
        file.write(writers.read() + line)
    os.chmod(work + "/both", 0o644)
    for signer, verdict in (("evil", 6), ("key", 0)):
        path = work + "/cut.sgr"
        shutil.copy(path_of(work + "/rec", ids[2]), path)
        os.chmod(path, 0o600)
        truncate(path, os.path.getsize(path) - 100)
        code, out, _ = run("recover", "-i", work + "/" + signer, path)
        ok("recover", code == 0, out)
        code, out, _ = run("verify", "--writer", work + "/writers", path)
        ok("ended by %s, writer pinned" % signer, code == verdict and "ended by " in out, out)
        code, out, _ = run("verify", path)
        ok("ended by %s, no pins" % signer, code == verdict, out)
        code, out, _ = run("verify", "--writer", work + "/both", "-j", path)
        line = json.loads(out)
        ok("ended by %s, both pinned" % signer, code == 0 and line["pinned"], out)
        ok("and the end's signer is named",
           (line["writer"] == line["ended_by"]) == (signer == "key"), out)
        code, out, _ = run("verify", "-i", work + "/reader.pem", path)
        ok("ended by %s, level 1" % signer, code == verdict, out)
        os.unlink(path)


def changed_and_named(name, rec_id, change, code, words):
    """The same for one recording by its id: it rests on the index."""
    changed(name, change, code, words, rec_id)


def index_of_lies(ids):
    def purge(folder):
        os.unlink(path_of(folder, ids[0]))
        edit_lines(folder, lambda l: [
            line.replace(b'"op":"close"', b'"op":"purged"') if ids[0].encode() in line else line
            for line in l])

    def reopen(folder):
        path = path_of(folder, ids[2])
        truncate(path, os.path.getsize(path) - 100)
        edit_lines(folder, lambda l: [
            line for line in l if ids[2].encode() not in line or b'"op":"open"' in line])

    def fail(folder):
        edit_lines(folder, lambda l: [
            line.replace(b'"op":"close"', b'"op":"failed"') for line in l])

    changed_and_named("untouched, by its id", ids[0], lambda d: None, 0, "intact")
    changed_and_named("deleted, and said to be purged", ids[0], purge, 6, "the index is not proved")
    changed_and_named("cut, and its end not in the index", ids[2], reopen, 6,
                      "the index is not proved")
    changed_and_named("said to have failed", ids[0], fail, 6, "the index says that")
    changed_and_named("no index line is signed", ids[0], lambda d: edit_lines(d, lambda l: []), 4,
                      "not in the index")
    changed("no index", lambda d: shutil.rmtree(d + "/index"), 5, "index")


def nobody_pinned():
    """Without a key that is known nothing is proved."""
    os.mkdir(work + "/nothing")
    code, out, _ = run("verify", "-d", work + "/nothing", "--events", work + "/events", "events")
    ok("a trail and no known key", code == 6 and "unverifiable" in out, out)
    code, out, _ = run("verify", "-d", work + "/rec", "--events", work + "/events", "events")
    ok("keys of the recordings' own", code == 0 and out.count("(not pinned)") == 2, out)
    code, out = verify(work + "/rec", "--events", work + "/events", "events")
    ok("pinned", code == 0 and "signed by" in out and "(not pinned)" not in out, out)
    path = glob.glob(work + "/events/*.jsonl")[0]
    with open(path, "rb") as file:
        lines = file.read()
    with open(path, "wb") as file:
        file.write(lines.splitlines(keepends=True)[0].split(b',"sig"')[0] + b"}}}\n")
    code, out = verify(work + "/rec", "--events", work + "/events", "events")
    ok("a trail without signatures", code == 6 and "0 of 1 lines" in out, out)
    with open(path, "wb") as file:
        file.write(lines)


def rolled_back(ids):
    """The latest recordings are gone, and so is what the index said of them."""
    def change(folder):
        for rec_id in ids[2:]:
            os.unlink(path_of(folder, rec_id))
        edit_lines(folder, lambda l: [line for line in l if line.count(ids[0].encode()) or
                                      line.count(ids[1].encode())])
    return change


def emptied(folder):
    shutil.rmtree(folder)
    os.mkdir(folder)


def trail_tells(ids):
    """Without anybody else's list, a trail that is whole tells what there was."""
    trail = ("--events", work + "/events")
    changed("the trail and the recordings agree", lambda d: None, 0, "intact", *trail)
    changed("rolled back, says the trail", rolled_back(ids), 4, "rolled back", *trail)
    changed("and which are gone", rolled_back(ids), 4, ids[3] + "  missing", *trail)
    changed("and without it nobody would", rolled_back(ids), 0, "intact")
    changed("an empty folder", emptied, 5, ids[0] + "  missing", *trail)
    changed("an empty folder that nobody knows of", emptied, 5, "missing: no journal in")


def heads(ids):
    """What others were told can't be taken back."""
    def told(name, change, code, words, *more):
        changed(name, change, code, words, "--heads", work + "/log", *more)

    events = ("--events", work + "/events")
    with open(work + "/log", encoding="utf-8") as file:
        log = file.read()
    ok("heads were told", log.count(": head rec ") >= len(ids) and ": head trail " in log and
       ": head index " in log, log)
    told("all heads are there", lambda d: None, 0, "intact", *events)
    told("one recording's head", lambda d: None, 0, "intact", ids[0])
    told("the trail is not named", lambda d: None, 6, "--events")
    told("recordings rolled back with the index", rolled_back(ids), 4, "rolled back", *events)
    told("and they are named", rolled_back(ids), 4, ids[3] + "  missing", *events)
    with open(work + "/log", "w", encoding="ascii") as file:
        file.write("type=TRUSTED_APP msg=audit(1:2): pid=1 msg='op=sgbridge:head acct=? what=\"rec\" "
                   "id=\"%s\" number=\"2\" hash=\"%s\" exe=x'\n" % (ids[0], "ab" * 32))
    told("another head in the kernel's log", lambda d: None, 4, "rolled back")
    with open(work + "/log", "w", encoding="ascii") as file:
        file.write("sgbridge-recorder: head rec nonsense\n")
    told("a list that is none", lambda d: None, 65, ":1:")
    with open(work + "/log", "w", encoding="utf-8") as file:
        file.write(log)


def trail():
    code, out = verify(work + "/rec", "--events", work + "/events", "events")
    ok("trail intact", code == 0 and "events" in out, out)
    path = glob.glob(work + "/events/*.jsonl")[0]
    with open(path, "rb") as file:
        lines = file.read().splitlines(keepends=True)
    for line in lines:
        event = json.loads(line)
        ok("trail line is OCSF", event["class_uid"] and event["metadata"]["sequence"], line)
    with open(path, "wb") as file:
        file.write(b"".join(lines[:2] + lines[3:]))
    code, out = verify(work + "/rec", "--events", work + "/events", "events")
    ok("trail line deleted", code == 4 and ":3: after sequence 2 comes 4" in out, out)
    with open(path, "wb") as file:
        file.write(b"".join(lines))


def reading(ids):
    key = ("-d", work + "/rec", "-i", work + "/reader.pem")
    code, out, _ = run("ls", *key, "--user", "mal*", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    ok("ls filters", code == 0 and [row["rec"] for row in rows] == [ids[1]], out)
    code, out, _ = run("ls", *key)
    ok("ls escapes", "\x1b" not in out and "\\u001b" in out, out)
    code, out, _ = run("ls", *key, "--mfa", "yes")
    ok("ls mfa", ids[0] in out and ids[1] not in out, out)
    code, out, _ = run("show", *key, ids[0])
    ok("show", code == 0 and "alice" in out and "uname -a" in out, out)
    code, out, _ = run("text", *key, ids[1])
    ok("text has no escape", code == 0 and "\x1b" not in out and "overtyped" in out, out)
    code, out, _ = run("search", *key, "NEEDLE")
    ok("search finds the screen", code == 0 and ids[0] in out and ids[1] not in out, out)
    code, out, _ = run("search", *key, "hidden-by-cr")
    ok("overwritten text was on the screen", code == 0 and ids[1] in out, out)
    code, out, _ = run("search", *key, "--raw", "hidden-by-cr")
    ok("and in the bytes", code == 0 and ids[1] in out, out)
    code, out, _ = run("search", *key, "--regex", "need.e [0-9]+")
    ok("search by expression", code == 0 and ids[0] in out, out)
    code, out, _ = run("export", *key, ids[1])
    events = [json.loads(line) for line in out.splitlines()]
    ok("asciicast is JSON", code == 0 and events[0]["version"] == 2, out[:200])
    code, out, _ = run("export", *key, "-f", "html", "--player", "none", ids[1])
    ok("html is escaped", code == 0 and "<script" not in out and "&lt;/pre&gt;&lt;script" in out and
       "\x1b" not in out, out)
    code, out, err = run("show", "-d", work + "/rec", "-i", work + "/key", ids[0])
    ok("a wrong key says so", code == 65, err)
    run("keygen", "-o", work + "/stranger.pem")
    code, out, err = run("text", "-d", work + "/rec", "-i", work + "/stranger.pem", ids[0])
    ok("a stranger reads nothing", code == 77 and not out, err)
    code, out, _ = run("who-viewed", "--journal", work + "/state/sgbridge/views", ids[0])
    ok("viewing was written down", code == 0 and "show" in out, out)
    code, out, _ = run("verify", "-d", work + "/rec", "views")
    ok("the journal of views is whole", code == 0 and "views" in out, out)
    journal = glob.glob(work + "/state/sgbridge/views/*.jsonl")[0]
    with open(journal, "rb") as file:
        lines = file.read().splitlines(keepends=True)
    with open(journal, "wb") as file:
        file.write(b"".join(lines[:1] + lines[2:]))
    code, out, _ = run("verify", "-d", work + "/rec", "views")
    ok("a view taken out is found", code == 4, out)
    with open(journal, "wb") as file:
        file.write(b"".join(lines))
    code, out, _ = run("files", *key, ids[0])
    ok("files", code == 0 and "/etc/motd" in out, out)
    code, _, err = run("text", *key, "--journal", "/proc/nowhere", ids[0])
    ok("no viewing without a journal", code == 73, err)
    code, out, _ = run("verify", *key, "--json")
    ok("level 1", code == 0 and out.count('"level":1') == len(ids), out)


def terminal(*args):
    """The output of a command whose standard output is a terminal."""
    outer, inner = pty.openpty()
    done = subprocess.run([audit, *args], stdout=inner, stderr=subprocess.PIPE, check=False,
                          env=dict(os.environ, XDG_STATE_HOME=work + "/state", HOME=work))
    os.close(inner)
    os.set_blocking(outer, False)
    try:
        out = os.read(outer, 65536)
    except OSError:
        out = b""
    os.close(outer)
    return done.returncode, out, done.stderr.decode()


def raw_bytes(ids):
    """No byte of a recording reaches a terminal as it is."""
    key = ("-d", work + "/rec", "-i", work + "/reader.pem")
    for kind in ("raw", "ttyrec"):
        code, out, err = terminal("export", *key, "-f", kind, ids[1])
        ok("%s to a terminal" % kind, code == 64 and not out and "-o" in err, (code, out, err))
    for kind in ("asciicast", "asciicast3", "items", "html"):
        code, out, err = terminal("export", *key, "-f", kind, ids[1])
        ok("%s to a terminal" % kind, code == 0 and out and b"\x1b" not in out and
           b"\xc2\x9b" not in out and b"\xe2\x80\xae" not in out, (code, out, err))
    code, out, _ = run("export", *key, ids[1])
    text_of = "".join(json.loads(line)[2] for line in out.splitlines()[1:])
    ok("asciicast means the same", "\x9b3J" in text_of and "\u202e" in text_of and
       "\U000e0041" in text_of, out)
    os.mkdir(work + "/views")
    with open(work + "/views/2026-11.jsonl", "w", encoding="ascii") as file:
        file.write('{"seq":1,"time":"\\u001b]0;evil\\u0007","who":"x","what":"y","rec":"z","why":""}\n')
    code, out, _ = run("who-viewed", "--journal", work + "/views")
    ok("the time of a view is text", code == 0 and "\x1b" not in out and "evil" in out, out)


def disclosing(ids):
    store = ("-d", work + "/rec")
    for segment, shown, hidden in (("0", "alice", "uname"), ("1", "uname", "alice")):
        part = work + "/part" + segment
        code, _, err = run("disclose", *store, "-i", work + "/reader.pem", "--segments", segment,
                           "-o", part, ids[0])
        ok("disclose", code == 0 and os.stat(part).st_mode & 0o777 == 0o600, err)
        code, out, err = run("show", *store, "--disclosed", part, ids[0])
        ok("segment %s alone opens" % segment, code == 0 and shown in out and hidden not in out,
           out + err)
    code, out, _ = run("verify", *store, "--disclosed", work + "/part1", "-j", ids[0])
    line = json.loads(out)
    ok("verify says how much was opened", code == 0 and line["level"] == 0 and
       line["opened"] == 1 and line["segments"] > 1, out)
    code, out, _ = run("verify", *store, "--disclosed", work + "/part1", ids[0])
    ok("in words", code == 0 and "1 of %d segments" % line["segments"] in out and
       "your key" not in out, out)
    code, _, err = run("show", *store, "--disclosed", work + "/part1", ids[1])
    ok("and for no other recording", code == 65 and "another recording" in err, err)
    with open(work + "/part1", encoding="ascii") as file:
        text_of = file.read()
    with open(work + "/part1", "w", encoding="ascii") as file:
        file.write(json.dumps(dict(json.loads(text_of),
                                   keys=[{"segment": 1, "key": "00" * 32}])))
    code, out, _ = run("show", *store, "--disclosed", work + "/part1", ids[0])
    ok("a wrong key opens nothing", code == 4 and "uname" not in out, out)


def watching(ids):
    """A file that grows, and a pipe."""
    key = ("-i", work + "/reader.pem")
    with open(path_of(work + "/rec", ids[0]), "rb") as file:
        whole = file.read()
    for split in (700, len(whole) - 170, len(whole) - 3):
        watch = subprocess.Popen([audit, "watch", *key, "-"], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 env=dict(os.environ, XDG_STATE_HOME=work + "/state", HOME=work))
        watch.stdin.write(whole[:split])
        watch.stdin.flush()
        out, err = watch.communicate(whole[split:], timeout=60)
        ok("watch in two pieces", watch.returncode == 0 and b"a needle 42" in out and
           b"intact" in err, (out, err))
    growing = work + "/growing.sgr"
    with open(growing, "wb") as file:
        file.write(whole[:-400])
    with subprocess.Popen([audit, "watch", *key, growing], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE,
                          env=dict(os.environ, XDG_STATE_HOME=work + "/state",
                                   HOME=work)) as watch:
        with open(growing, "ab") as file:
            file.write(whole[-400:])
        out, err = watch.communicate(timeout=60)
        ok("watch a growing file", watch.returncode == 0 and b"intact" in err, (out, err))
    code, out, err = subprocess_input(whole[:-170], "watch", *key, "-")
    ok("a pipe that ends early", code == 3 and "open or interrupted" in err, (code, err))
    code, out, err = subprocess_input(b"nonsense" * 50, "watch", *key, "-")
    ok("a pipe without a recording", code == 65 and not out, (code, err))
    code, out, _ = run("who-viewed", "--journal", work + "/state/sgbridge/views", ids[0])
    ok("watching was written down", code == 0 and "  watch  " in out, out)


def subprocess_input(data, *args):
    done = subprocess.run([audit, *args], input=data, stdout=subprocess.PIPE, check=False,
                          stderr=subprocess.PIPE, env=dict(os.environ, HOME=work,
                                                           XDG_STATE_HOME=work + "/state"))
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def sums():
    key = ("-d", work + "/rec", "-i", work + "/reader.pem")
    code, out, _ = run("stats", *key, "--commands")
    ok("stats", code == 0 and "alice" in out and "\x1b" not in out and "\\u001b" in out, out)
    code, out, _ = run("stats", *key, "--json", "--by", "user", "--commands", "--user", "a*")
    row = json.loads(out)
    ok("stats as JSON", row["user"] == "alice" and row["sessions"] == 1 and
       row["commands"] == 1 and row["evidence"] > 0, out)
    code, out, _ = run("stats", "-d", work + "/rec", "--json", "--by", "day")
    ok("stats by day need no key", code == 0 and json.loads(out)["sessions"] == 4, out)
    code, _, err = run("stats", *key, "--by", "weather")
    ok("stats by nonsense", code == 64, err)


def expiring(ids):
    """What is deleted by rule is explained, and what is held stays."""
    copy = work + "/copy"
    shutil.copytree(work + "/rec", copy)
    for root, folders, files in os.walk(copy):
        for entry in folders + files:
            os.chmod(os.path.join(root, entry), 0o700)
    index = sorted(glob.glob(copy + "/index/*.jsonl"))[-1]
    code, line, _ = run("writer-keygen", "-o", work + "/archive")
    with open(work + "/pins", "w", encoding="ascii") as file, \
            open(work + "/writers", encoding="ascii") as writers:
        file.write(writers.read() + line)
    os.chmod(work + "/pins", 0o644)
    sign = ("--key", work + "/archive", "--why", "data\x1b[2J protection")
    until = time.time() + 2
    while time.time() < until:  # one second must be over for --keep 1s
        time.sleep(0.1)
    code, out, _ = run("expire", "-d", copy, "--keep", "default=1s")
    ok("a dry run deletes nothing", code == 0 and ids[1] in out and path_of(copy, ids[1]), out)
    ok("and writes nothing", not os.path.exists(copy + "/retention"))
    code, out, _ = run("expire", "-d", copy, "--keep", "default=30d")
    ok("what is young is not due", code == 0 and out.startswith("0 due"), out)
    code, out, _ = run("expire", "-d", copy, "--keep", "other=1s")
    ok("a class that is not named is kept", code == 0 and out.startswith("0 due"), out)
    code, _, err = run("expire", "-d", copy, "--keep", "default=1s", "--yes")
    ok("deleting needs a key and a reason", code == 64 and path_of(copy, ids[1]), err)
    code, _, err = run("expire", "-d", copy, "--hold", ids[0], *sign)
    ok("hold", code == 0, err)
    code, out, _ = run("expire", "-d", copy, "--keep", "default=1s", "--yes", *sign)
    ok("what is held stays", code == 0 and path_of(copy, ids[0]) and "on hold" in out, out)
    ok("the others go", not glob.glob("%s/*/*/*/%s.sgr" % (copy, ids[1])), out)
    ok("one without an orderly end in the index stays", "deleted" in out, out)
    with open(index, "rb") as file:
        ok("the index is as it was", file.read() == open(sorted(glob.glob(
            work + "/rec/index/*.jsonl"))[-1], "rb").read())
    code, out, _ = run("verify", "-d", copy, "--writer", work + "/pins")
    ok("what is gone is explained", code == 0 and ids[1] + "  intact: deleted by rule" in out, out)
    code, out, _ = run("verify", "-d", copy, "--writer", work + "/writers")
    ok("but not by a key that is not pinned", code == 6 and "not proved" in out, out)
    code, out, _ = run("expire", "-d", copy, "--release", ids[0], *sign)
    code, out, _ = run("expire", "-d", copy, "--keep", "default=1s", "--yes", *sign)
    ok("released and deleted", code == 0 and ids[0] in out and "\x1b" not in out, out)
    shutil.rmtree(copy)


def main():
    prepare()
    recorder = start()
    hostile = b"\x1b]0;evil\x07\x1b[31mred\x1b[0m hidden-by-cr\rovertyped-it-all-here\r\n\xff\r\n</pre><script>alert(1)" \
        b"\xc2\x9b3J\xe2\x80\xaegnp\xf3\xa0\x81\x81"
    ids, kept = [], []
    for meta, items in (
            ({"user": "alice", "mfa": "totp"},
             [(1, 10, b"uname -a"), (1, 18, b'{"path":"/etc/motd"}'), (1, 3, b"a needle 42\n"), (1, 15, b"\0\0\0\0")]),
            ({"user": "mallory\x1b[2J", "mfa": "", "note": "\u009b2J"},
             [(1, 6, struct.pack(">II", 80, 24) + text(b"xterm") + text(b"")), (1, 3, hostile)]),
            ({"user": "carol"}, [(1, 3, b"x" * 5000)])):
        rec_id, alive = record(meta, items)
        ids.append(rec_id)
        kept.append(alive)
    code, out = verify(work + "/rec")
    ok("verify while it runs", code == 0, out)
    rec_id, alive = record({"user": "dave"}, [(1, 3, b"still open")], end=False)
    code, out = verify(work + "/rec")
    ok("a running one is open", code == 3 and rec_id + "  open or interrupted" in out, out)
    recorder.send_signal(signal.SIGTERM)
    ok("recorder stops", recorder.wait(20) == 0)
    ids.append(rec_id)
    changes(ids)
    signers(ids)
    index_of_lies(ids)
    trail_tells(ids)
    heads(ids)
    trail()
    nobody_pinned()
    reading(ids)
    raw_bytes(ids)
    disclosing(ids)
    watching(ids)
    sums()
    expiring(ids)
    return summary()


try:
    status = main()
finally:
    shutil.rmtree(work)
sys.exit(status)
