"""Kills recorder, session, monitor or daemon while real clients copy and type.

usage: session_kill.py LAB TAG BUILD ROUNDS

After each kill, at a random instant: every recording verifies to its end or to
where it was cut, which is stated; and what a client received is the beginning
of what its recording holds.
"""
import glob
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

lab, tag, build = sys.argv[1:4]
rounds = int(sys.argv[4])
rnd = random.Random(int(os.environ.get("SGB_SEED", "1")))
audit = build + "/sgbridge-audit"
env = dict(os.environ, XDG_STATE_HOME=lab + "/state")
passed = failed = 0
started = {}
totals = {"bytes": 0, "clients": 0, "killed": {}}


def ok(name, good, detail=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print("not ok: %s: %s" % (name, detail), flush=True)


def start(name):
    """The recorder or the daemon, in the bastion's namespace."""
    with open("%s/%s.again.log" % (lab, name), "ab") as log:
        process = subprocess.Popen(
            ["ip", "netns", "exec", tag + "-bastion", build + "/" + name, "-e", "-c",
             lab + "/sgbridge.conf"], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    started[name] = process


def until(what, seconds=30):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)  # until it is so
    return True


def pids(name):
    """Of a program in this laboratory's bastion; comm has 15 characters."""
    done = subprocess.run(["ip", "netns", "pids", tag + "-bastion"], stdout=subprocess.PIPE,
                          check=False)
    found = []
    for pid in done.stdout.split():
        try:
            with open("/proc/%d/comm" % int(pid), encoding="ascii") as file:
                if file.read().strip() == name[:15]:
                    found.append(int(pid))
        except OSError:
            pass
    return found


class Client(threading.Thread):
    """A person at a terminal, or a program's output, as bytes."""

    def __init__(self, number):
        super().__init__()
        self.received, self.status, self.process = b"", None, None
        self.typing = number % 2 == 0
        command = [] if self.typing else [
            "i=0; while [ $i -lt 4000 ]; do i=$((i+1)); echo %d $i %s; done" % (
                number, "x" * rnd.randrange(120))]
        if number % 4 == 1:
            command = ["head -c 700000 /dev/urandom | base64 -w 0"]
        self.args = ["ip", "netns", "exec", tag + "-client", "ssh", "-F", lab + "/ssh_config",
                     "-o", "BindAddress=203.0.113.7", "-i", lab + "/users/robot",
                     *(["-tt"] if self.typing or number % 4 == 3 else []),
                     "robot+ops@web1@bastion", *command]
        self.words = ["echo %d %d\n" % (number, rnd.randrange(1 << 30)) for _ in range(200)]

    def run(self):
        self.process = subprocess.Popen(self.args, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL)
        typist = threading.Thread(target=self.type)
        typist.start()
        while True:
            piece = os.read(self.process.stdout.fileno(), 65536)
            if not piece:
                break
            self.received += piece
        self.status = self.process.wait()
        typist.join()

    def type(self):
        try:
            if self.typing:
                for word in self.words:
                    self.process.stdin.write(word.encode())
                    self.process.stdin.flush()
                    time.sleep(0.005)  # as fast as nobody types
                self.process.stdin.write(b"exit\n")
            self.process.stdin.close()
        except OSError:
            pass

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.kill()


def files():
    return set(glob.glob(lab + "/recordings/*/*/*/*.sgr"))


def verdicts(paths):
    done = subprocess.run([audit, "verify", "-i", lab + "/auditor.key", "--writer",
                           lab + "/writers", "--json", *paths], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env=env, check=False)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {row["rec"]: row["verdict"] for row in rows}, done.stderr


def raw(path):
    done = subprocess.run([audit, "export", "-i", lab + "/auditor.key", "-f", "raw", path],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env, check=False)
    return done.stdout


def ended(paths):
    """The recorder ends what was left when the others are gone."""
    return all(verdict in ("intact", "recovered") for verdict in verdicts(paths)[0].values())


def kill(victim):
    candidates = pids(victim)
    if not candidates:
        return False
    os.kill(rnd.choice(candidates), signal.SIGKILL)
    totals["killed"][victim] = totals["killed"].get(victim, 0) + 1
    return True


def revive():
    """As systemd would."""
    for name, door in (("sgbridge-recorder", "recorder"), ("sgbridged", "control")):
        if pids(name):
            continue
        # Only so one can see that it listens again.
        if os.path.exists(lab + "/" + door):
            os.unlink(lab + "/" + door)
        start(name)
        ok("%s comes back" % name, until(lambda: os.path.exists(lab + "/" + door)))


def one_round(number, victim):
    old = files()
    clients = [Client(4 * number + place) for place in range(3)]
    for client in clients:
        client.start()
    until(lambda: any(client.received for client in clients), 20)
    time.sleep(rnd.random() * 0.4)  # the instant is what is random
    ok("there is one to kill", kill(victim), victim)
    for client in clients:
        client.join(15)
        client.end()
        client.join()
    revive()
    new = files() - old
    ok("every recording is ended", not new or until(lambda: ended(new)),
       (victim, verdicts(new)))
    held = [raw(path) for path in new]
    for client in clients:
        totals["clients"] += 1
        totals["bytes"] += len(client.received)
        ok("what a client received is recorded", not client.received or any(
            text.startswith(client.received) for text in held),
           (victim, number, len(client.received), [len(text) for text in held]))


def last_word():
    """The whole store: nothing missing, index and trail whole."""
    done = subprocess.run([audit, "verify", "-d", lab + "/recordings", "--events",
                           lab + "/events", "-i", lab + "/auditor.key", "--writer",
                           lab + "/writers", "--json"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env=env, check=False)
    bad = [line for line in done.stdout.splitlines()
           if json.loads(line)["verdict"] not in ("intact", "recovered")]
    ok("the whole store verifies", not bad and done.returncode == 0, (bad, done.stderr))


try:
    victims = ("sgbridge-recorder", "sgbridge-session", "sgbridge-monitor", "sgbridged")
    for index in range(rounds):
        one_round(index, victims[index % len(victims)])
    last_word()
    ok("clients received something", totals["bytes"] > 10000 * rounds, totals)
finally:
    for process in started.values():
        process.terminate()
    for process in started.values():
        process.wait()
print("# %s" % totals)
print("%d passed, %d failed" % (passed, failed))
sys.exit(1 if failed else 0)
