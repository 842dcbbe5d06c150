#!/usr/bin/env python3
"""findings.py CASE FOLDER: a scripted event trail. Months of ordinary days,
and what is exceptional among them; chained as docs/EVENTS.md says, unsigned.
The same call gives the same bytes."""
import datetime
import hashlib
import json
import os
import sys
import zoneinfo

UTC = datetime.timezone.utc
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
WRITER = "0" * 16


class Trail:
    def __init__(self, folder):
        self.folder = folder
        self.seq = 0
        self.prev = "0" * 64
        self.day = ""
        self.file = None
        os.makedirs(folder, exist_ok=True)

    def put(self, when, slug, ok=True, **more):
        """when: aware datetime. The file never goes back, like the
        recorder's."""
        self.seq += 1
        ms = int(when.timestamp() * 1000)
        day = when.astimezone(UTC).strftime("%Y-%m-%d")
        if day > self.day:
            if self.file:
                self.file.close()
            self.day = day
            self.file = open(f"{self.folder}/{day}.jsonl", "a",
                             encoding="ascii")
        user = more.get("user", "")
        sgb = {"event": slug, "conn": f"{self.seq:016x}"}
        for name in ("key_fp", "mfa", "login", "account", "kernel_audit"):
            if more.get(name):
                sgb[name] = more[name]
        event = {"metadata": {"sequence": self.seq, "version": "1.3.0"},
                 "time": ms, "status_id": 1 if ok else 2}
        if more.get("reason"):
            event["status_detail"] = more["reason"]
        if user:
            event["user"] = {"name": user}
        if more.get("source"):
            event["src_endpoint"] = {"ip": more["source"]}
        if more.get("target"):
            event["dst_endpoint"] = {"hostname": more["target"]}
        event["unmapped"] = {"sgb": sgb}
        # DEL too, as the recorder has it.
        text = json.dumps(event, separators=(",", ":")).replace(
            "\x7f", "\\u007f")
        line = (text[:-3] + f',"writer":"{WRITER}","prev":"{self.prev}"' +
                "}}}")
        self.prev = hashlib.sha256(line.encode()).hexdigest()
        self.file.write(line + "\n")

    def close(self):
        self.file.close()


KEYS = {"alice": "SHA256:alice", "bob": "SHA256:bob", "carol": "SHA256:carol",
        "robot": "SHA256:robot"}
NETS = {"alice": "203.0.113.9", "bob": "203.0.113.20",
        "carol": "2001:db8:7::9", "robot": "203.0.113.7"}


def logon(trail, when, user, **more):
    more = {"user": user, "source": NETS.get(user, "203.0.113.50"),
            "key_fp": KEYS.get(user, "SHA256:" + user),
            "mfa": "exempt" if user == "robot" else "totp", **more}
    trail.put(when, "auth-key", **more)
    trail.put(when, "logon", **more)
    return more


def reach(trail, when, more, target, ok=True):
    trail.put(when, "target-open" if ok else "access", ok,
              **{**more, "target": target, "login": "ops"})


def local(day, hour, minute=0):
    return datetime.datetime(day.year, day.month, day.day, hour, minute,
                             tzinfo=BERLIN)


def workdays(first, last):
    day = first
    while day <= last:
        if day.weekday() < 5:
            yield day
        day += datetime.timedelta(days=1)


def ordinary(trail, day):
    """08 to 16 o'clock by the clock on the wall, in summer and winter."""
    for n, user in enumerate(("alice", "bob", "carol")):
        for hour in (8, 12, 16):
            when = local(day, hour, 10 * n + day.day % 10)
            reach(trail, when, logon(trail, when, user), f"web{n}")
    when = local(day, 8, 55)
    more = logon(trail, when, "bob")
    for n in range(8):
        reach(trail, when, more, "db%d" % n)
    when = local(day, 17, 0)
    more = logon(trail, when, "robot")
    for n in range(20):
        reach(trail, when, more, "fleet%d" % n)


def months(trail):
    date = datetime.date
    # Over both changes of the clock: 2026-03-29 and 2026-10-25.
    for day in workdays(date(2026, 2, 2), date(2026, 10, 30)):
        ordinary(trail, day)


def exceptional(trail):
    day = datetime.date(2026, 11, 2)  # a Monday
    logon(trail, local(day, 9, 1), "alice", source="198.51.100.77")
    logon(trail, local(day, 9, 2), "alice", key_fp="SHA256:alice-new")
    logon(trail, local(day, 3, 7), "bob")
    reach(trail, local(day, 9, 30),
          logon(trail, local(day, 9, 30), "carol", mfa="none"), "web2")
    reach(trail, local(day, 9, 40), logon(trail, local(day, 9, 40), "robot"),
          "db1")
    when = local(day, 10)
    more = logon(trail, when, "bob")
    for n in range(25):
        reach(trail, when + datetime.timedelta(seconds=n), more,
              "scan%02d" % n, n % 5 != 0)
    for n in range(12):
        trail.put(local(day, 11, n), "logon", False, user="alice",
                  source="203.0.113.9", reason="second factor refused")
    logon(trail, local(day, 11, 13), "alice")
    for n in range(11):
        trail.put(local(day, 12, n), "auth-key", False, user="guess%d" % n,
                  source="198.51.100.9", account="unknown")
    logon(trail, local(day, 12, 20), "dave", source="198.51.100.9")
    trail.put(local(day, 13), "auth-key", False, user="erin",
              source="203.0.113.9", account="locked", reason="locked")
    # A Saturday, at an hour that is usual on other days.
    logon(trail, local(datetime.date(2026, 11, 7), 9), "alice")


def calm(trail):
    months(trail)


def story(trail):
    months(trail)
    exceptional(trail)


def clock(trail):
    """The clock goes ahead by years and comes back: what is known stays
    known, and what is new is told."""
    months(trail)
    day = datetime.date(2026, 11, 2)
    logon(trail, local(datetime.date(2035, 5, 7), 9), "alice")
    for n in range(3):
        logon(trail, local(day, 9, n), "alice")
    logon(trail, local(day, 9, 5), "alice", source="192.0.2.1")
    trail.put(local(datetime.date(1970, 1, 2), 9), "logon", user="bob",
              source=NETS["bob"], key_fp=KEYS["bob"], mfa="totp")
    trail.put(local(datetime.date(2035, 1, 2), 9), "auth-key", False,
              user="erin", source="192.0.2.9", account="locked")
    trail.put(local(day, 10), "auth-key", False, user="erin",
              source="192.0.2.9", account="locked")


def hostile(trail):
    months(trail)
    day = datetime.date(2026, 11, 2)
    names = ["<script>alert(1)</script>", "\x1b]0;owned\x07", 'a"b\\c',
             "x\ny", "\u202egnp.exe", "\x7f\x9b31m", "' OR 1=1 --",
             "a" * 299, "\u00ff\u00fe", "*", "%s%n", "erin locked 10.0.0.0/8"]
    for n, name in enumerate(names):
        trail.put(local(day, 9, n), "auth-key", False, user=name,
                  source="198.51.100.9", account="unknown", reason=name)
        trail.put(local(day, 10, n), "auth-key", False, user=name,
                  source="192.0.2.%d" % n, account="locked", reason=name)
        more = {"user": name, "source": "203.0.113.9", "key_fp": name,
                "mfa": name[:30]}
        trail.put(local(day, 11, n), "logon", **more)
        reach(trail, local(day, 11, n), more, name)


def flood(trail):
    """Names and networks without number, and one locked account, one new
    network and one scan among them."""
    months(trail)
    start = local(datetime.date(2026, 11, 2), 9)
    step = datetime.timedelta(milliseconds=50)
    for n in range(12000):
        trail.put(start + n * step, "auth-key", False,
                  user="name%d" % n, account="unknown",
                  source="2001:db8:%x::1" % (0x100 + n % 5000))
        if n == 9000:
            trail.put(start + n * step, "auth-key", False, user="erin",
                      source="198.51.100.9", account="locked")
            for _ in range(15):
                trail.put(start + n * step, "logon", False, user="alice",
                          source="198.51.100.9")
        if n == 11000:
            logon(trail, start + n * step, "alice", source="198.51.100.9")
            # A person that nobody knew, from one of too many networks.
            logon(trail, start + n * step, "zoe", source="192.0.2.200")


def main():
    trail = Trail(sys.argv[2])
    {"calm": calm, "story": story, "clock": clock, "hostile": hostile,
     "flood": flood}[sys.argv[1]](trail)
    trail.close()


main()
