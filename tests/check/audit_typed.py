"""A recording with input, in which three passwords were typed without echo: no
view, search, index or export shows them. Each way is shown to find what was on
the screen, so that it could.

usage: audit_typed.py BUILD
"""
import json
import os
import re
import shutil
import signal
import struct
import sys

from audit_room import ok, prepare, record, run, start, summary, text, work

PTY, SHELL, EXEC, OUT, ERR, IN = 6, 9, 10, 3, 4, 5
PASTED, KEYS, PIPED = "pasted-in-the-dark", "keybykeyinthedark", "piped-in-the-dark"
SHOWN = "Password for alice"


def typed_shell():
    """A terminal: one password in one piece, one key by key."""
    items = [(1, PTY, struct.pack(">II", 80, 24) + text(b"xterm") + text(b"")), (1, SHELL, b""),
             (1, OUT, b"$ ")]
    for key in "sudo id":
        items += [(1, IN, key.encode()), (1, OUT, key.encode())]
    items += [(1, IN, b"\r"), (1, OUT, b"\r\n" + SHOWN.encode() + b": "),
              (1, IN, PASTED.encode() + b"\r"), (1, OUT, b"\r\nuid=0(root)\r\n$ "),
              (1, OUT, b"passwd\r\n" + SHOWN.encode() + b": ")]
    items += [(1, IN, key.encode()) for key in KEYS]
    return items + [(1, IN, b"\r"), (1, OUT, b"\r\nchanged\r\n$ "), (1, 2, b"")]


def typed_pipe():
    """No terminal: into a command."""
    return [(1, EXEC, b"sudo -S id"), (1, ERR, SHOWN.encode() + b": "),
            (1, IN, PIPED.encode() + b"\n"), (1, OUT, b"uid=0(root)\n"), (1, 2, b"")]


def casts(out):
    """The texts of all events of a cast, wherever it is, joined."""
    joined = ""
    for line in out.splitlines():
        event = re.fullmatch(r'\[[0-9.]+, *"[a-z]", *("(?:[^"\\]|\\.)*")\]', line.strip())
        if event:
            joined += json.loads(event.group(1))
    return joined


def hides(name, out, shown=SHOWN):
    everything = out + "\n" + casts(out)
    ok(name + " shows the screen", shown in everything, out[:500])
    found = [word for word in (PASTED, KEYS, PIPED) if word in everything]
    ok(name + " shows nothing typed in the dark", not found, (found, out[:500]))


def found(name, *args):
    """A search: the question after it."""
    code, out, err = run(*args, SHOWN)
    ok(name + " finds the screen", code == 0 and SHOWN in out, (code, out, err))
    for word in (PASTED, KEYS, PIPED, PASTED[:9], KEYS[:9], PIPED[:9]):
        code, out, err = run(*args, word)
        ok("%s does not find %s" % (name, word), code == 1 and not out, (code, out, err))


def searches(key):
    found("search", "search", *key)
    found("search --raw", "search", *key, "--raw")
    code, out, err = run("search", *key, "--regex", "in.?the.?dark")
    ok("search --regex", code == 1 and not out, (code, out, err))
    database = work + "/i.db"
    code, _, err = run("index", *key, "--index=" + database)
    ok("index", code == 0 and os.path.exists(database), err)
    found("search --index", "search", "--index=" + database)


def views(name, key, rec_id, shown):
    for command, words in (("text", SHOWN), ("show", shown), ("watch", SHOWN)):
        code, out, err = run(command, *key, rec_id)
        ok(command, code == 0, (code, err))
        hides("%s of %s" % (command, name), out, words)
    for more in ((), ("--json",)):
        code, out, err = run("commands", *key, *more, rec_id)
        ok("commands", code in ((0, 1) if shown == "alice" else (0,)), (code, err))
        hides("commands of " + name, out, "" if shown == "alice" else shown)


def exports(of, key, rec_id):
    os.makedirs(work + "/player", exist_ok=True)
    for name in ("asciinema-player.min.js", "asciinema-player.css"):
        with open(work + "/player/" + name, "w", encoding="ascii") as file:
            file.write("var AsciinemaPlayer={};\n")
    for kind, more in (("asciicast", ()), ("asciicast3", ()), ("html", ("--player", "none")),
                       ("html", ("--player", work + "/player")), ("text", ()), ("script", ()),
                       ("raw", ()), ("ttyrec", ())):
        path = "%s/out-%s-%s" % (work, kind, rec_id)
        code, _, err = run("export", *key, "-f", kind, *more, "-o", path, rec_id)
        with open(path, encoding="utf-8", errors="replace") as file:
            out = file.read()
        os.unlink(path)
        ok("export -f " + kind, code == 0, err)
        hides("export of %s -f %s %s" % (of, kind, " ".join(more)), out)


def main():
    prepare()
    recorder = start()
    made = [("a shell", "alice", record({"user": "alice", "input": True}, typed_shell())),
            ("a command", "sudo -S id", record({"user": "alice", "input": True}, typed_pipe()))]
    recorder.send_signal(signal.SIGTERM)
    ok("recorder stops", recorder.wait(20) == 0)
    key = ("-d", work + "/rec", "-i", work + "/reader.pem")
    evidence = ""
    for name, shown, (rec_id, _) in made:
        _, out, _ = run("export", *key, "-f", "items", rec_id)
        evidence += "".join(bytes.fromhex(item["hex"]).decode() for item in
                            map(json.loads, out.splitlines()[1:]) if item.get("kind") == "in")
        views(name, key, rec_id, shown)
        exports(name, key, rec_id)
    ok("the evidence has what was typed", evidence ==
       "sudo id\r%s\r%s\r%s\n" % (PASTED, KEYS, PIPED), evidence)
    searches(key)
    return summary()


try:
    status = main()
finally:
    shutil.rmtree(work)
sys.exit(status)
