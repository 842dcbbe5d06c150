"""The index: the same answers as without it, and what damage does to it.

usage: audit_index.py BUILD
"""
import glob
import json
import os
import pty
import random
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile

audit = os.path.abspath(sys.argv[1]) + "/sgbridge-audit"
work = tempfile.mkdtemp(prefix="sgb-index-")
env = dict(os.environ, HOME=work, XDG_STATE_HOME=work + "/state", XDG_DATA_HOME=work + "/data")
index = work + "/i.db"
key = ("-d", work + "/rec", "-i", work + "/reader.pem")
passed = failed = 0
rnd = random.Random(7)
WORDS = ("Error kernel: systemd[1] GET /var/log/syslog 10.0.1.7 caf\u00e9 \u4f60\u597d DROP table "
         "customers \"quoted\" 100% a_b O'Neil * ( make[1]: --force ~/.ssh x").split()


def ok(name, good, detail=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print("not ok: %s: %s" % (name, detail))


def small():
    if not sanitized:  # its runtime reserves addresses
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))


def run(*args, limit=None):
    done = subprocess.run([audit, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False, env=env, timeout=120, preexec_fn=limit)
    return done.returncode, done.stdout, done.stderr


def cast():
    events = []
    for _ in range(rnd.randrange(600, 1500)):
        line = " ".join(rnd.choice(WORDS) for _ in range(rnd.randrange(1, 30)))
        events.append(line + " %x\r\n" % rnd.randrange(1 << 24))
    with open(work + "/cast", "w", encoding="utf-8") as file:
        file.write('{"version": 2, "width": 80, "height": 24}\n')
        for number, text in enumerate(events):
            file.write(json.dumps([number / 10, "o", text]) + "\n")
    return "".join(events)


def add_one(user):
    text = cast()
    run("import", "--key", work + "/key", "-i", work + "/reader.pem", "--user", user,
        "--target", "web1", "-o", work + "/one.sgr", work + "/cast")
    _, out, _ = run("verify", work + "/one.sgr")
    rec_id = out.split()[0].decode()
    stamp = int(rec_id[:8] + rec_id[9:13], 16) // 1000
    day = subprocess.run(["date", "-u", "-d", "@%d" % stamp, "+%Y/%m/%d"], check=True,
                         stdout=subprocess.PIPE).stdout.decode().strip()
    os.makedirs(work + "/rec/" + day, exist_ok=True)
    os.rename(work + "/one.sgr", "%s/rec/%s/%s.sgr" % (work, day, rec_id))
    return text


def rows(out):
    """Commands are derived for the index alone."""
    found = [line for line in out.splitlines() if b'"where":"command"' not in line]
    return sorted(found)


def same(name, *question):
    code, out, err = run("search", *key, "--json", *question)
    want = rows(out)
    for more in ((), ("--scan",), ("--jobs", "1"), ("--scan", "--jobs", "5")):
        got = run("search", "--index=" + index, "--json", *more, *question)
        ok("%s %s %r" % (name, more, question), rows(got[1]) == want and
           got[0] in (0, 1) and code in (0, 1), (len(rows(got[1])), len(want), got[2], err))
    return len(want)


def questions(text):
    hits = 0
    for _ in range(12):
        at, size = rnd.randrange(len(text) - 60), rnd.randrange(1, 40)
        piece = text[at:at + size].split("\r")[0] or "x"
        hits += same("a piece", rnd.choice((piece, piece.upper(), piece.lower())))
    for fixed in ("nowhere at all", "x", "--", '"', "drop TABLE", "\u4f60", "caf\u00e9", "%",
                  "imported", "a\nb", "~/.ssh x"):
        hits += same("a question", "--", fixed)
    hits += same("an expression", "--regex", "^[ck].*(drop|table) [0-9a-f]+$")
    hits += same("a person", "--user", "al*", "kernel")
    hits += same("a person", "--user", "bob", "kernel")
    same("nobody", "--user", "carol", "kernel")
    same("no time", "--until", "2001-01-01", "kernel")
    ok("there were hits to speak of", hits > 1000, hits)


def count(sql):
    with sqlite3.connect("file:%s?mode=ro" % index, uri=True) as database:
        return database.execute(sql).fetchone()[0]


def grows():
    text = add_one("bob")
    code, out, _ = run("index", *key, "--index=" + index)
    ok("one more", code == 0 and out.startswith(b"1 recordings"), out)
    same("what is new", text[500:520].split("\r")[0])
    # As if one had grown since: it is replaced, and its old blocks mean nothing.
    with sqlite3.connect(index) as database:
        database.execute("UPDATE recording SET size = size - 1 WHERE user = 'bob'")
    blocks = count("SELECT count(*) FROM block")
    run("index", *key, "--index=" + index)
    ok("replaced, not added", count("SELECT count(*) FROM block") == blocks)
    same("what was replaced", "customers")


def lists(name, *filters):
    """ls says the same with the index, and how many."""
    want = run("ls", *key, "--json", *filters)
    got = run("ls", "--index=" + index, "--json", *filters)
    ok("ls %s %r" % (name, filters), want[:2] == got[:2], (want, got))
    return len(want[1].splitlines())


def filters():
    """Patterns become names; the answer is that of the recordings."""
    counts = [lists("by pattern", "--user", each) for each in (
        "alice", "al*", "*l*", "*", "a?an", "[ab]*", "[!a]*", "al\\ice", "carol", "", "?", "b*b")]
    ok("patterns", counts == [1, 2, 2, 3, 1, 3, 1, 1, 0, 0, 0, 1], counts)
    counts = [lists("by two", "--user", "al*", "--target", each) for each in ("web*", "*2", "web1")]
    ok("two patterns", counts == [2, 0, 2], counts)
    counts = [lists("by what is not known", *each) for each in (
        ("--login", "*"), ("--login", "ops"), ("--mfa", "no"), ("--mfa", "yes"),
        ("--until", "2001-01-01"), ("--since", "1h"), ("--user", "*b", "--mfa", "no"))]
    ok("what is not known", counts == [3, 0, 3, 0, 0, 3, 1], counts)
    every = run("ls", *key, "--json")[1].splitlines(True)
    for number in (1, 2, 3, 9):
        for more in (key, ("--index=" + index,)):
            ok("the latest %d" % number, run("ls", *more, "--json", "--limit", str(number))[1] ==
               b"".join(every[-number:]))
        lists("of some, the latest", "--user", "al*", "--limit", str(number))
    code, out, _ = run("ls", "--index=" + index, "--limit", "0")
    ok("none are no limit", code == 64 and not out, out)
    for size in (1, 7):
        want = run("search", "--index=" + index, "--json", "kernel")[1].splitlines(True)[:size]
        for more in (("--jobs", "1"), ("--jobs", "3"), ("--scan",)):
            got = run("search", "--index=" + index, "--json", *more, "--limit", str(size),
                      "kernel")[1]
            ok("the first %d" % size, got == b"".join(want), got)
        got = run("search", *key, "--json", "--limit", str(size), "kernel")
        ok("and without an index", got[0] == 0 and len(got[1].splitlines()) == size, got)


def state(number):
    with sqlite3.connect(index) as database:
        database.execute("UPDATE recording SET state = ? WHERE user = 'bob'", (number,))


def statuses():
    state(1)
    code, out, _ = run("ls", "--index=" + index, "--json", "--status", "open")
    ok("by status", code == 0 and len(out.splitlines()) == 1 and b'"bob"' in out, out)
    code, out, _ = run("ls", "--index=" + index, "--json", "--status", "open", "--user", "al*")
    ok("and by who", code == 1 and not out, out)
    code, out, _ = run("ls", "--index=" + index, "--json", "--status", "nonsense")
    ok("no such status", code == 64 and not out, out)
    state(0)


def plans():
    """What a million recordings rest on: no question looks at all of them."""
    with sqlite3.connect("file:%s?mode=ro" % index, uri=True) as database:
        for what in ("user", "source", "target", "login", "mfa", "state"):
            plan = database.execute(
                "EXPLAIN QUERY PLAN SELECT id FROM recording WHERE 1 AND %s IN (?, ?) AND "
                "start_ns >= ? AND start_ns < ? ORDER BY start_ns" % what, (1, 2, 3, 4)).fetchall()
            ok("there is an index for " + what, any("by_%s (%s=?" % (what, what) in row[3]
                                                    for row in plan), plan)


def version_3(path):
    shutil.copy(index, path)
    with sqlite3.connect(path) as database:
        database.executescript("DROP INDEX by_state; DROP INDEX by_mfa; DROP TABLE name;"
                               "PRAGMA user_version = 3;")


def hold():
    """Another writes to an index of the version before while it is to be brought up to date."""
    version_3(work + "/held.db")
    writer = sqlite3.connect(work + "/held.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("UPDATE recording SET reason = 77")
    # It waits for the other, for seconds: they are used for what comes next.
    return writer, subprocess.Popen([audit, "index", *key, "--index=" + work + "/held.db"],
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)


def held(writer, waits):
    out, err = waits.communicate(timeout=60)
    ok("an index that another uses is left alone", waits.returncode == 73 and not out and
       b"locked" in err and b"damaged" not in err, (waits.returncode, out, err))
    writer.execute("COMMIT")
    writer.close()
    ok("and not kept aside", not os.path.exists(work + "/held.db.old"))
    with sqlite3.connect(work + "/held.db") as database:
        have = database.execute("SELECT min(reason), max(reason) FROM recording").fetchall()
    ok("what the other wrote is in it", have == [(77, 77)], have)
    code, out, err = run("index", *key, "--index=" + work + "/held.db")
    ok("and later it is brought up to date", code == 0 and out.startswith(b"0 ") and not err,
       (code, out, err))


def earlier():
    """An index of the version before is brought up to date, not made anew."""
    version_3(work + "/old.db")
    code, out, err = run("ls", "--index=" + work + "/old.db")
    ok("it is not read as it is", code == 66 and b"earlier version" in err, (code, out, err))
    code, out, err = run("index", *key, "--index=" + work + "/old.db")
    ok("nothing is put in again", code == 0 and out.startswith(b"0 ") and not err, (out, err))
    ok("it is not kept aside", not os.path.exists(work + "/old.db.old"))
    for question in (("--user", "al*"), ("--target", "*1"), ("--mfa", "no"), ("--user", "*b")):
        ok("and it answers", run("ls", "--index=" + work + "/old.db", *question)[:2] ==
           run("ls", "--index=" + index, *question)[:2], question)
    with sqlite3.connect(work + "/old.db") as database:
        have = database.execute("SELECT * FROM name ORDER BY kind, text").fetchall()
    with sqlite3.connect(index) as database:
        want = database.execute("SELECT * FROM name ORDER BY kind, text").fetchall()
    ok("the names are the same", have == want and len(want) > 4, (have, want))


def bombs():
    """What expands to more than a block, and what is no block."""
    with open(work + "/zeros", "wb") as file:
        file.truncate(1 << 30)
    told = subprocess.run(["zstd", "-qc", work + "/zeros"], check=True, stdout=subprocess.PIPE)
    with open(work + "/zeros", "rb") as file:
        untold = subprocess.run(["zstd", "-qc"], check=True, stdin=file, stdout=subprocess.PIPE)
    for blob in (told.stdout, untold.stdout, told.stdout[:4] + b"\xc0" + b"\xff" * 8 +
                 told.stdout[13:]):
        bad("a bomb", "text", blob)
        bad("a bomb of lines", "lines", blob)
    bad("noise", "text", os.urandom(5000))
    bad("nothing", "text", b"")
    bad("noise for lines", "lines", os.urandom(50))
    bad("null", "text", None)


def bad(name, column, blob):
    shutil.copy(index, work + "/evil.db")
    with sqlite3.connect(work + "/evil.db") as database:
        database.execute("UPDATE block SET %s = ?" % column, (blob,))
    for more in ((), ("--scan",)):
        code, out, err = run("search", "--index=" + work + "/evil.db", *more, "customers",
                             limit=small)
        ok(name, code == 66 and b"--rebuild" in err and not out, (code, err, out[:200]))
    os.unlink(work + "/evil.db")


def damage():
    size = os.path.getsize(index)
    for number in range(6):
        shutil.copy(index, work + "/hurt.db")
        with open(work + "/hurt.db", "r+b") as file:
            for _ in range(1 + 20 * number):
                file.seek(rnd.randrange(100, size - 600))
                file.write(os.urandom(500))
        code, _, err = run("search", "--index=" + work + "/hurt.db", "customers", limit=small)
        ok("a damaged index is no crash", code in (0, 1, 66), (code, err))
        code, out, err = run("index", *key, "--index=" + work + "/hurt.db")
        ok("it is made anew, with a word", code == 0 and
           (b"anew" in err or out.startswith(b"0 ")), (code, out, err))
    ok("and then it is whole", b"anew" in err and rows(run(
        "search", "--index=" + work + "/hurt.db", "--json", "customers")[1]) == rows(run(
            "search", "--index=" + index, "--json", "customers")[1]))
    with open(work + "/hurt.db", "wb") as file:
        file.write(os.urandom(9000))
    code, out, err = run("index", *key, "--index=" + work + "/hurt.db")
    ok("noise is no index", code == 0 and b"anew" in err and out.startswith(b"3 "), (out, err))
    ok("and is kept", os.path.getsize(work + "/hurt.db.old") == 9000)
    code, out, err = run("index", *key, "--rebuild", "--index=" + work + "/hurt.db")
    ok("made anew when asked", code == 0 and out.startswith(b"3 ") and not err, (out, err))
    os.chmod(work + "/hurt.db", 0o644)
    code, _, err = run("index", *key, "--rebuild", "--index=" + work + "/hurt.db")
    ok("others' files stay", code == 73 and b"0600" in err and os.path.exists(work + "/hurt.db"),
       (code, err))


def on_terminal(*args):
    """Its standard error on a terminal: what came there, and its output."""
    outer, inner = pty.openpty()
    with subprocess.Popen([audit, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=inner, env=env) as process:
        os.close(inner)
        seen = b""
        while True:
            try:
                data = os.read(outer, 65536)
            except OSError:  # the last one that had it open is gone
                break
            if not data:
                break
            seen += data
        out = process.stdout.read()
    os.close(outer)
    return process.returncode, seen, out


def progress():
    """A count that goes up to all of them, in a line that is cleared."""
    there = len(glob.glob(work + "/rec/*/*/*/*.sgr"))
    for args in (("verify", "-d", work + "/rec", "--jobs", "1"),
                 ("verify", "-d", work + "/rec", "--jobs", "3"),
                 ("index", *key, "--index=" + work + "/counted.db")):
        name = args[0] + " " + args[-1]
        # Imported ones are in no journal, which verify says.
        expected = 5 if args[0] == "verify" else 0
        code, seen, out = on_terminal(*args)
        counts = [(int(at), int(of)) for at, of in re.findall(rb"\r?(\d+) of (\d+)", seen)]
        ok(name + ": counts", code == expected and counts and counts == sorted(counts)
           and {of for _, of in counts} == {there}, (code, seen, out))
        ok(name + ": to the end", counts[-1:] == [(there, there)], seen)
        ok(name + ": its line is cleared", seen.endswith(b"\r\x1b[K")
           and b"\n" not in seen, seen)
        ok(name + ": and is not in the output", not re.search(rb"\d of \d|[\r\x1b]", out), out)
    code, out, err = run("verify", "-d", work + "/rec")
    ok("none without a terminal", code == 5 and not err and len(out.splitlines()) == there + 1,
       (code, err, out))


with open(audit, "rb") as program:
    sanitized = b"__asan_init" in program.read()
try:
    run("keygen", "-o", work + "/reader.pem")
    run("writer-keygen", "-o", work + "/key")
    first = add_one("alice") + add_one("alan")
    status, told, wrong = run("index", *key, "--index=" + index)
    ok("the index is made", status == 0 and told.startswith(b"2 "), (told, wrong))
    progress()
    questions(first)
    grows()
    filters()
    statuses()
    plans()
    waiting = hold()
    earlier()
    bombs()
    held(*waiting)
    damage()
    ok("nothing is left", not glob.glob(work + "/*-journal"))
finally:
    shutil.rmtree(work)
print("%d passed, %d failed" % (passed, failed))
sys.exit(1 if failed else 0)
