"""What could not be looked at is never passed over in silence.

usage: audit_unread.py BUILD
"""
import json
import os
import shutil
import signal
import struct
import sys

from audit_room import ok, path_of, prepare, record, run, start, summary, text, work

STORE = ("-d", work + "/rec")
KEY = ("-i", work + "/reader.pem")
# One segment a piece: what is before a change still opens.
PTY = (1, 6, struct.pack(">II", 80, 24) + text(b"xterm") + text(b""))


def lines(out):
    return [json.loads(line) for line in out.splitlines()]


def wrong_key(ids):
    code, _, _ = run("keygen", "-o", work + "/stranger.pem")
    ok("a stranger's key", code == 0)
    stranger = ("-i", work + "/stranger.pem")
    for command in (("search", "needle"), ("search", "--raw", "needle"), ("ls", "--user", "alice"),
                    ("stats",)):
        code, out, err = run(*command, *STORE, *stranger)
        ok("%s: not for this key" % (command,), code == 77 and err.count("none of your keys") == 3 and
           ids[0] in err and "of 3 recordings" in err, (code, out, err))
    code, out, err = run("search", "--json", "needle", *STORE, *stranger)
    ok("for programs", code == 77 and [row["rec"] for row in lines(out) if "unread" in row] == ids,
       (code, out))
    code, out, err = run("index", *STORE, *stranger, "--index=" + work + "/stranger.db")
    ok("index: not for this key", code == 77 and "0 recordings added" in out and
       "none of your keys" in err, (code, out, err))
    code, out, err = run("ls", *STORE, *stranger)
    ok("a list without a filter shows that there is no name", code == 0 and ids[0] in out and
       not err, (code, err))


def no_permission(ids):
    path = path_of(work + "/rec", ids[1])
    key, home = work + "/theirs.pem", work + "/theirs"
    shutil.copy(work + "/reader.pem", key)
    os.mkdir(home)
    os.chown(path, 0, 0)
    os.chmod(path, 0o400)
    for mine in (key, home):
        os.chown(mine, 65533, 65533)
    for command in (("search", "needle"), ("stats",), ("index", "--index=" + home + "/a.db")):
        code, out, err = run(*command, *STORE, "-i", key, env={"XDG_STATE_HOME": home}, user=65533)
        ok("%s: not opened" % command[0], code == 65 and ids[1] in err and "not looked at" in err and
           "of 1 recordings" in err, (code, out, err))
    os.chown(path, 65533, 65533)
    os.chmod(path, 0o440)


def altered(ids):
    path = path_of(work + "/rec", ids[2])
    shutil.copy(path, path + ".good")
    os.chmod(path, 0o600)
    # Behind the first items, before the last.
    with open(path, "r+b") as file:
        file.seek(-300, os.SEEK_END)
        byte = file.read(1)
        file.seek(-300, os.SEEK_END)
        file.write(bytes((byte[0] ^ 1,)))
    for command in (("search", "first"), ("search", "--raw", "first"), ("stats", "--commands")):
        code, out, err = run(*command, *STORE, *KEY)
        ok("%s: altered" % (command,), code == 65 and ids[2] in err and "altered" in err,
           (code, out, err))
    ok("what is good of it is found", ids[2] in run("search", "first", *STORE, *KEY)[1])
    index = "--index=" + work + "/b.db"
    code, out, err = run("index", *STORE, *KEY, index, "--json")
    ok("index: altered", code == 65 and ids[2] in err and
       lines(out)[-1]["failed"] == 1 and lines(out)[-1]["added"] == 2, (code, out, err))
    code, out, err = run("index", *STORE, *KEY, index)
    ok("and each time again", code == 65 and ids[2] in err, (code, out, err))
    for command in ("commands", "files", "show"):
        code, out, err = run(command, *STORE, *KEY, ids[2])
        ok("%s: altered" % command, code == 4 and "altered" in out + err, (code, out, err))
    code, out, err = run("disclose", *STORE, *KEY, "--segments", "1", ids[2])
    ok("no key of what was altered", code == 4 and "altered" in err and '"key"' not in out,
       (code, out, err))
    code, out, err = run("disclose", *STORE, *KEY, "--segments", "0", ids[2])
    ok("but of what is before it", code == 4 and "altered" in err and '"key"' in out,
       (code, out, err))
    os.rename(path + ".good", path)
    code, out, err = run("index", *STORE, *KEY, index)
    ok("the right one is taken", code == 0 and "1 recordings added" in out, (code, out, err))


def cut(ids):
    """Good as far as it goes; the index says that it went further."""
    path = path_of(work + "/rec", ids[2])
    whole = os.path.getsize(path)
    shutil.copy(path, path + ".good")
    os.chmod(path, 0o600)
    for length in (whole - 10, whole - 400, 600):
        os.truncate(path, length)
        for command in (("search", "nowhere"), ("search", "--raw", "nowhere"), ("stats",),
                        ("stats", "--commands"), ("index", "--index=%s/e%d.db" % (work, length))):
            code, out, err = run(*command, *STORE, *KEY)
            ok("%s: %d of %d" % (command, length, whole), code == 65 and ids[2] in err and
               "of 1 recordings" in err, (code, out, err))
            if command[0] == "index":
                ok("half of it is not kept", "2 recordings added" in out and "1 failed" in out, out)
    os.rename(path + ".good", path)
    code, _, err = run("search", *STORE, *KEY, "nowhere")
    ok("whole again", code == 1 and not err, (code, err))


def long_texts(ids):
    code, out, _ = run("show", *STORE, *KEY, ids[0])
    ok("a command is shown to its end", code == 0 and "rm -rf /data" in out, out)
    code, out, _ = run("search", *STORE, *KEY, "rm -rf /data")
    ok("and found where it is", code == 0 and "rm -rf /data" in out and "... " in out, out)
    code, out, _ = run("search", *STORE, *KEY, "--regex", "rm -rf /d.*a")
    ok("by an expression, too", code == 0 and "rm -rf /data" in out, out)
    code, out, _ = run("show", *STORE, *KEY, ids[1])
    ok("what is cut says so", code == 0 and "(200 bytes more)" in out, out)


def options(ids):
    code, out, err = run("ls", *STORE, "--status", "oepn")
    ok("no such state", code == 64 and "expected open, closed" in err, (code, err))
    for command in (("verify", "--user", "nobody"), ("who-viewed", "--since", "2030-01-01"),
                    ("play", "--json", ids[0]), ("text", "--json", ids[0]),
                    ("show", "--limit", "3", ids[0])):
        code, out, err = run(*command, *STORE)
        ok("not taken: %s" % (command,), code == 64 and "does not take --" in err and "--help" in err,
           (code, out, err))
    for number in ("1.5", "0", "-1", "x", "1e3"):
        code, out, err = run("ls", *STORE, "--limit", number)
        ok("--limit %s" % number, code == 64 and "whole number" in err, (code, err))
    code, out, err = run("ls", "--nonsense")
    ok("unknown", code == 64 and "ls --help" in err, (code, err))


def for_programs(ids):
    code, out, _ = run("show", *STORE, *KEY, "--json", ids[0])
    rows = lines(out)
    ok("show --json", code == 0 and rows[0]["rec"] == ids[0] and rows[0]["meta"]["user"] == "alice" and
       [row["kind"] for row in rows[1:-1]] == ["exec", "exit"] and rows[-1]["verdict"] == "intact" and
       rows[-1]["reason"] == "the session ended", out)
    code, out, _ = run("commands", *STORE, *KEY, "--json", ids[0])
    ok("commands --json", code == 0 and lines(out)[0]["confidence"] == "exact", out)
    code, out, _ = run("disclose", *STORE, *KEY, "--json", ids[0])
    ok("disclose --json", code == 0 and lines(out)[0]["segment"] == 1, out)
    code, out, _ = run("expire", *STORE, "--json", "--keep", "default=1s", "--keep", "c=1s")
    ok("expire --json", code == 0 and all(row["what"] == "due" for row in lines(out)), out)


def who_looked(ids):
    """What was printed of a recording by a search counts as a look at it."""
    views = {"XDG_STATE_HOME": work + "/fresh"}
    code, out, _ = run("who-viewed", env=views)
    ok("nobody yet", code == 1 and not out, (code, out))
    for index in ((), ("--index=" + work + "/c.db",)):
        if index:
            run("index", *STORE, *KEY, *index)
        run("search", *STORE, *KEY, *index, "--why", "case 7", "needle", env=views)
        run("search", *STORE, *KEY, *index, "not there", env=views)
        code, out, _ = run("who-viewed", "--json", env=views)
        found = [(row["what"], row["rec"], row["why"]) for row in lines(out)]
        ok("searches %s" % (index,), code == 0 and found == [
            ("search: needle", "", "case 7"), ("search: needle", ids[1], "case 7"),
            ("search: not there", "", "")], found)
        shutil.rmtree(work + "/fresh")
    run("index", *STORE, *KEY, "--index=" + work + "/d.db", env=views)
    code, out, _ = run("who-viewed", ids[2], env=views)
    ok("the index has its text", code == 0 and "  index  " in out, out)
    code, _, err = run("verify", *STORE, "views", env=views)
    ok("the journal is whole", code == 0, err)
    with open(work + "/file", "w", encoding="ascii"):
        pass
    code, out, err = run("search", *STORE, *KEY, "needle", env={"XDG_STATE_HOME": work + "/file"})
    ok("no journal, no look", code == 73 and not out, (code, out, err))


def what_to_do(ids):
    """A message says what was expected, and what to do."""
    empty = work + "/empty"
    os.mkdir(empty)
    for command, status, words in (
            (("ls", "-d", empty), 66, "name the right folder with -d"),
            (("search", "-d", empty, *KEY, "x"), 66, "name the right folder with -d"),
            (("show", *KEY, work + "/rec/"), 66, "a folder, where a recording was expected"),
            (("search", *STORE, *KEY, "--index=" + empty + "/no.db", "x"), 66, "index\" makes it"),
            (("findings", "--events", empty), 66, "name the folder of the trail with --events"),
            (("text", *STORE, *KEY, "-o", work + "/conf", ids[1]), 73, "is not replaced"),
            (("export", *STORE, *KEY, "-f", "text", "-o", work + "/conf", ids[1]), 73,
             "is not replaced"),
            (("show", *STORE, "-i", work + "/stranger.pem", ids[1]), 77, "its recipients are ")):
        code, out, err = run(*command)
        ok("%s: says what to do" % (command,), code == status and words in err and not out,
           (code, out, err))
    code, out, _ = run("verify", "views", env={"XDG_STATE_HOME": empty})
    ok("nothing was looked at yet", code == 5 and "begins with your first look" in out, out)


def main():
    prepare()
    recorder = start()
    ids, kept = [], []
    for meta, items in (
            ({"user": "alice"}, [(1, 10, b"true" + b" " * 900 + b"; rm -rf /data"), (1, 15, b"\0\0\0\0")]),
            ({"user": "bob"}, [(1, 3, b"a needle\n"), (1, 18, b"x" * 500)]),
            ({"user": "carol"}, [PTY, (1, 3, b"first\r\n"), (1, 3, os.urandom(3000))])):
        rec_id, alive = record(meta, items)
        ids.append(rec_id)
        kept.append(alive)
    recorder.send_signal(signal.SIGTERM)
    ok("recorder stops", recorder.wait(20) == 0)
    for check in (wrong_key, no_permission, altered, cut, long_texts, options, for_programs,
                  who_looked, what_to_do):
        check(ids)
    return summary()


try:
    status = main()
finally:
    shutil.rmtree(work)
sys.exit(status)
