"""Hostile recordings, stores and indexes against every command.

usage: audit_hostile.py BUILD
"""
import glob
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile

audit = os.path.abspath(sys.argv[1]) + "/sgbridge-audit"
work = tempfile.mkdtemp(prefix="sgb-hostile-")
env = dict(os.environ, HOME=work, XDG_STATE_HOME=work + "/state", XDG_DATA_HOME=work + "/data")
passed = failed = 0
NASTY = "\x1b]0;evil\x07\x1b[2J\u009b3J\u202egpj\u2066x\U000e0041\r\n\x00\x7f"
BAD = [b"\x1b", b"\x07", b"\x00", b"\x7f", b"\xc2\x9b", b"\xe2\x80\xae", b"\xe2\x81\xa6",
       b"\r"]


def ok(name, good, detail=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print("not ok: %s: %s" % (name, detail))


def run(*args, timeout=120):
    done = subprocess.run([audit, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False, env=env, timeout=timeout)
    return done.returncode, done.stdout, done.stderr


def clean(name, *args, codes=(0, 1)):
    code, out, err = run(*args)
    found = [byte for byte in BAD if byte in out + err]
    ok(name + " is escaped", not found, (found, out[:300], err[:300]))
    ok(name + " answers", code in codes, (code, err[:300]))
    if "--json" in args:
        try:
            for line in out.splitlines():
                json.loads(line)
        except ValueError:
            ok(name + " is JSON", False, out[:300])
    return out


def prepare():
    run("keygen", "-o", work + "/reader.pem")
    run("writer-keygen", "-o", work + "/key")
    os.makedirs(work + "/rec/index")
    for number in range(3):
        with open(work + "/cast", "w", encoding="ascii") as file:
            file.write('{"version": 2, "width": 80, "height": 24}\n')
            for code, text in (("o", "$ "), ("o", "echo " + NASTY + "\r\n"), ("m", NASTY),
                               ("o", NASTY + "needle %d\r\n" % number), ("i", NASTY)):
                file.write(json.dumps([number, code, text]) + "\n")
        run("import", "--key", work + "/key", "-i", work + "/reader.pem", "--user",
            "u" + NASTY.replace("\0", ""), "--target", "t" + NASTY.replace("\0", ""),
            "--why", NASTY.replace("\0", ""), "-o", work + "/one.sgr", work + "/cast")
        _, out, _ = run("verify", work + "/one.sgr")
        rec_id = out.split()[0].decode()
        stamp = int(rec_id[:8] + rec_id[9:13], 16) // 1000
        day = subprocess.run(["date", "-u", "-d", "@%d" % stamp, "+%Y/%m/%d"], check=True,
                             stdout=subprocess.PIPE).stdout.decode().strip()
        os.makedirs(work + "/rec/" + day, exist_ok=True)
        os.rename(work + "/one.sgr", "%s/rec/%s/%s.sgr" % (work, day, rec_id))
    os.rmdir(work + "/rec/index")
    return sorted(glob.glob(work + "/rec/*/*/*/*.sgr"))


def commands(files):
    key = ("-d", work + "/rec", "-i", work + "/reader.pem")
    one = os.path.basename(files[0])[:-4]
    for json_too in ((), ("--json",)):
        kind = " in JSON" if json_too else ""
        for command in ("ls", "stats", "verify"):
            clean(command + kind, command, *key, *json_too, codes=(0, 5, 6))
        for command in ("show", "text", "commands", "files", "watch", "play"):
            more = () if command in ("show", "text", "watch", "play") else json_too
            clean(command + kind, command, *key, *more, one)
        clean("search" + kind, "search", *key, *json_too, "needle")
        clean("search --raw" + kind, "search", *key, *json_too, "--raw", "evil")
        clean("who-viewed" + kind, "who-viewed", *json_too, "--journal",
              work + "/state/sgbridge/views")
        clean("index" + kind, "index", *key)
        clean("search --index" + kind, "search", *json_too, "--index", "needle")
        clean("ls --index" + kind, "ls", *json_too, "--index")
    for kind in ("asciicast", "asciicast3", "items", "html", "text"):
        clean("export " + kind, "export", *key, "-f", kind, one)
    clean("a name", "verify", work + "/" + NASTY.replace("\0", "") + ".sgr", codes=(66,))
    clean("a command", NASTY.replace("\0", ""), codes=(64,))
    _, out, _ = run("who-viewed", "--journal", work + "/state/sgbridge/views")
    for what in ("ls", "stats", "show", "text", "commands", "files", "watch", "play",
                 "search: needle", "index", "export", "import"):
        ok("looking with %s is written down" % what, b"  %s  " % what.encode() in out, out[-500:])


def indexes():
    key = ("-d", work + "/rec", "-i", work + "/reader.pem")
    path = work + "/data/sgbridge/index.db"
    _, out, _ = run("search", "--index", "NEEDLE")
    ok("the index finds", out.count(b"needle") >= 3, out)
    _, out, _ = run("ls", "--index", "--user", "u*")
    ok("ls out of the index", out.count(b"\n") == 4, out)
    code, out, _ = run("ls", "--index", "--user", "nobody")
    ok("and its filters", code == 1, out)
    code, out, _ = run("index", *key)
    ok("once is enough", code == 0 and out.startswith(b"0 recordings"), out)
    # Killed at any moment it goes on, and is whole.
    for number in range(12):
        if number % 3 == 0 and os.path.exists(path):
            os.unlink(path)
        with subprocess.Popen([audit, "index", *key], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, env=env) as process:
            try:
                process.wait(0.004 * (number + 1))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
    code, _, err = run("index", *key)
    with sqlite3.connect("file:%s?mode=ro" % path, uri=True) as database:
        ok("whole after being killed", code == 0 and
           database.execute("PRAGMA integrity_check").fetchone()[0] == "ok" and
           database.execute("SELECT count(*) FROM recording").fetchone()[0] == 3, err)
    _, out, _ = run("search", "--index", "needle 2")
    ok("and finds what is in it", out.count(b"needle 2") == 1, out)

    def forget():
        for left in glob.glob(work + "/evil.db*"):
            os.unlink(left)

    def tampered(name, sql, words):
        forget()
        shutil.copy(path, work + "/evil.db")
        with sqlite3.connect(work + "/evil.db") as database:
            database.executescript(sql)
        got, text, wrong = run("search", "--index=" + work + "/evil.db", "needle")
        ok(name, got == 66 and words in wrong and not text, (got, text, wrong))

    tampered("a view", "CREATE VIEW v AS SELECT 1", b"not one of this version")
    tampered("a trigger", "CREATE TRIGGER t AFTER DELETE ON block BEGIN SELECT 1; END",
             b"not one of this version")
    tampered("a table of a stranger", "CREATE TABLE x(y)", b"not one of this version")
    tampered("another version", "PRAGMA user_version = 77", b"not one of this version")
    forget()
    shutil.copy(path, work + "/evil.db")
    with sqlite3.connect(work + "/evil.db") as database:
        database.execute("UPDATE recording SET id = ?||n, meta = ?", (NASTY, NASTY))
    for more in ((), ("--json",)):
        clean("a tampered row", "search", *more, "--index=" + work + "/evil.db", "needle",
              codes=(66,))
        clean("a tampered row", "ls", *more, "--index=" + work + "/evil.db")
    def evil_text(line):
        with open(work + "/nasty", "w", encoding="utf-8") as file:
            file.write(line + "\n")
        packed = subprocess.run(["zstd", "-qc", work + "/nasty"], check=True,
                                stdout=subprocess.PIPE)
        forget()
        shutil.copy(path, work + "/evil.db")
        with sqlite3.connect(work + "/evil.db") as database:
            database.execute("UPDATE block SET text = ?", (packed.stdout,))

    evil_text("needle\0" + "hidden")
    for more in ((), ("--json",)):
        clean("a text that ends within a line", "search", *more,
              "--index=" + work + "/evil.db", "needle", codes=(66,))
    evil_text("needle" + NASTY.replace("\n", "").replace("\0", ""))
    for more in ((), ("--json",)):
        out = clean("a tampered text", "search", *more, "--index=" + work + "/evil.db", "needle")
        ok("and is found", out.count(b"needle") == 3, out)
    os.chmod(work + "/evil.db", 0o644)
    code, _, err = run("search", "--index=" + work + "/evil.db", "needle")
    ok("an index that others may read", code == 66 and b"0600" in err, err)
    with open(work + "/evil.db", "wb") as file:
        file.write(b"SQLite format 3\0" + os.urandom(9000))
    os.chmod(work + "/evil.db", 0o600)
    code, _, err = run("search", "--index=" + work + "/evil.db", "needle")
    ok("an index of noise", code == 66, err)


def stores(files):
    """Files that are none, where recordings belong."""
    folder = os.path.dirname(files[0])
    name = "%s/01a20810-e09c-7ac2-9b5b-c498f2083e%s.sgr"
    os.symlink("/etc/shadow", name % (folder, "01"))
    os.mkfifo(name % (folder, "02"))
    os.mkdir(name % (folder, "03"))
    with open(name % (folder, "04"), "wb") as file:
        file.truncate(1 << 40)  # a hole
    with open(name % (folder, "05"), "wb") as file:
        file.write(os.urandom(5000))
    os.symlink("..", folder + "/../99")
    key = ("-d", work + "/rec", "-i", work + "/reader.pem")
    for command in (("ls",), ("verify",), ("stats",), ("index",), ("search", "needle")):
        code, out, err = run(*command[:1], *key, *command[1:])
        ok(command[0] + " in a strange folder", code in (0, 1, 4, 5, 6, 65) and b"root:" not in out,
           (code, out[-300:], err[-300:]))
    _, out, _ = run("search", *key, "needle")
    ok("and the good ones are read", out.count(b"needle") >= 3, out)
    os.makedirs(work + "/rec/index")
    os.mkfifo(work + "/rec/index/2026-01.jsonl")
    code, _, err = run("ls", *key)
    ok("a FIFO for an index", code in (0, 1), err)


try:
    recordings = prepare()
    commands(recordings)
    indexes()
    stores(recordings)
finally:
    shutil.rmtree(work)
print("%d passed, %d failed" % (passed, failed))
sys.exit(1 if failed else 0)
