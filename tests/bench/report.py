#!/usr/bin/python3
"""report.py RESULTS JSON: what bench.sh measured, as a table, and all of it."""
import json
import os
import sys
from collections import defaultdict
from statistics import median

from goals import cell, judge

PATHS = [("direct", "direct"), ("jump", "ssh -J (sshd)"),
         ("force", "ForceCommand ssh"), ("plain", "plain libssh"),
         ("sgbridge", "sgbridge"),
         ("sgjump", "sgbridge, ssh -J")]
WHATS = [("exec_down", "exec down"), ("exec_up", "exec up"),
         ("sftp_down", "sftp get"), ("sftp_up", "sftp put")]


def read(path):
    timed, counts, loads = [], defaultdict(dict), defaultdict(list)
    for line in open(path, encoding="ascii"):
        kind, *rest = line.split(maxsplit=3 if line.startswith("load") else -1)
        if kind == "timed":
            what, way, cipher, mib, wall, cpu, recorder, foreign = rest
            timed.append({"what": what, "path": way, "cipher": cipher,
                          "mib": int(mib), "seconds": int(wall) / 1e9,
                          "bastion_cpu": int(cpu) / 1e9,
                          "recorder_cpu": int(recorder) / 1e9,
                          "foreign_cpu": int(foreign) / 1e9})
        elif kind == "count":
            seen = counts[rest[0]].get(rest[1], 0)
            counts[rest[0]][rest[1]] = max(seen, int(rest[2]))
        elif kind == "load" and len(rest) == 3:
            loads[rest[0] + " " + rest[1]].append(json.loads(rest[2]))
    return timed, counts, loads


def runs(timed, what, way, cipher=None):
    return [t for t in timed if t["what"] == what and t["path"] == way and
            cipher in (None, t["cipher"])]


def middle(rows, value):
    return median([value(r) for r in rows]) if rows else None


def bulk(timed, out):
    for cipher in dict.fromkeys(t["cipher"] for t in timed if t["mib"]):
        print("\n%s: rate as a ratio to direct, CPU of the bastion (of it the "
              "recorder) in s/GiB" % cipher)
        print("%-18s" % "" + "".join("%22s" % title for _, title in WHATS))
        for way, title in PATHS:
            line = "%-18s" % title
            for what, _ in WHATS:
                rows = runs(timed, what, way, cipher)
                rate = middle(rows, lambda r: r["mib"] / r["seconds"])
                base = middle(runs(timed, what, "direct", cipher),
                              lambda r: r["mib"] / r["seconds"])
                cpu = middle(rows, lambda r: r["bastion_cpu"] /
                             r["mib"] * 1024)
                rec = middle(rows, lambda r: r["recorder_cpu"] /
                             r["mib"] * 1024)
                if rate is None or base is None:
                    line += "%22s" % "-"
                    continue
                out.append({"cipher": cipher, "what": what, "path": way,
                            "mib_per_second": rate, "ratio": rate / base,
                            "cpu_s_per_gib": cpu,
                            "recorder_s_per_gib": rec})
                line += "%22s" % (
                    "%.0f MiB/s" % rate if way == "direct" else
                    "%.2f  %.2f (%.2f)" % (rate / base, cpu, rec))
            print(line)


def single(timed, counts, loads, out):
    print("\n%-18s %16s %8s %9s %9s %9s %16s %10s" % (
        "", "connect ms", "CPU ms", "idle KiB", "busy KiB", "stall KiB",
        "key p50, p99 us", "logins"))
    base = middle(runs(timed, "connect", "direct"), lambda r: r["seconds"])
    for way, title in PATHS + [("sshd", "sshd, no target")]:
        rows = runs(timed, "connect", way)
        wall = middle(rows, lambda r: r["seconds"])
        row = {"path": way,
               "connect_ms": wall and wall * 1e3,
               "connect_ratio": wall and wall / base,
               "connect_cpu_ms": middle(
                   rows, lambda r: r["bastion_cpu"] * 1e3),
               "idle_kib": counts["idle_kib"].get(way),
               "busy_kib": counts["busy_kib"].get(way),
               "stalled_kib": counts["stalled_kib"].get(way),
               "key_p50_us": middle(loads["echo " + way],
                                    lambda r: r["echo_us"]["p50"]),
               "key_p99_us": middle(loads["echo " + way],
                                    lambda r: r["echo_us"]["p99"]),
               "logins_ms": middle(loads["logins " + way],
                                   lambda r: r["all_ms"]),
               "logins_failed": sum(r["failed"]
                                    for r in loads["logins " + way])}
        out.append(row)
        keys = "-" if row["key_p50_us"] is None else "%.0f, %.0f" % (
            row["key_p50_us"], row["key_p99_us"])
        print("%-18s %16s %8s %9s %9s %9s %16s %10s" % (
            title, "-" if wall is None else "%.0f (%.2f)" % (
                wall * 1e3, wall / base),
            cell(row["connect_cpu_ms"] if way != "direct" else None, "%.1f"),
            cell(row["idle_kib"], "%d"), cell(row["busy_kib"], "%d"),
            cell(row["stalled_kib"], "%d"), keys,
            cell(row["logins_ms"], "%d ms")))
        if row["logins_failed"]:
            print("  %d logins failed" % row["logins_failed"])


def ratios(report, ciphers, whats, other, figure="mib_per_second"):
    """The bastion's figure by another path's, wherever both were measured."""
    seen = {(r["cipher"], r["what"], r["path"]): r[figure]
            for r in report["bulk"]}
    return [value / seen[cipher, what, other]
            for (cipher, what, path), value in seen.items()
            if path == "sgbridge" and cipher[:6] in ciphers and
            what[:4] in whats and seen.get((cipher, what, other))]


def bulk_cpu(report, what):
    return [r["cpu_s_per_gib"] for r in report["bulk"]
            if r["path"] == "sgbridge" and r["cipher"].startswith("aes") and
            r["what"].startswith(what)]


def worst(values, least):
    return (min if least else max)(values) if values else None


def compared(a, b, how):
    return None if a is None or b is None else how(a, b)


def goals(report):
    """Each goal of the bastion: what, its value here, its bound, and whether
    at least or at most so much is wanted. Of several the worst counts."""
    by = {row["path"]: row for row in report["other"]}
    us, jump, direct, sshd = (by[w] for w in
                              ("sgbridge", "jump", "direct", "sshd"))
    gcm, both = ("aes128", "aes256"), ("exec", "sftp")
    many = report["loads"].get("many sgbridge")
    rows = [
        ("bulk, AES-GCM: rate by direct", "%.2f", True, 0.9,
         worst(ratios(report, gcm, both, "direct"), True)),
        ("bulk, AES-GCM: rate by ssh -J", "%.2f", True, 1.7,
         worst(ratios(report, gcm, both, "jump"), True)),
        ("bulk, AES-GCM: rate by ForceCommand", "%.2f", True, 2.0,
         worst(ratios(report, gcm, both, "force"), True)),
        ("files, AES-GCM: CPU, s/GiB", "%.2f", False, 1.1,
         worst(bulk_cpu(report, "sftp"), False)),
        ("exec, AES-GCM: CPU, s/GiB", "%.2f", False, 2.0,
         worst(bulk_cpu(report, "exec"), False)),
        ("chacha20: rate by direct", "%.2f", True, 0.7,
         worst(ratios(report, ("chacha",), both, "direct"), True)),
        ("connect: time by direct", "%.2f", False, 1.0, us["connect_ratio"]),
        ("connect: time by ssh -J", "%.2f", False, 0.65,
         compared(us["connect_ms"], jump["connect_ms"], lambda a, b: a / b)),
        ("connect: CPU, ms", "%.1f", False, 20, us["connect_cpu_ms"]),
        ("key: median above direct, us", "%.0f", False, 100,
         compared(us["key_p50_us"], direct["key_p50_us"],
                  lambda a, b: a - b)),
        ("key: p99 by ssh -J", "%.2f", False, 1.0,
         compared(us["key_p99_us"], jump["key_p99_us"], lambda a, b: a / b)),
        ("idle session, KiB", "%d", False, 1024, us["idle_kib"]),
        ("busy session, KiB", "%d", False, 2048, us["busy_kib"]),
        ("recorder, a session that prints, KiB", "%d", False, 400,
         report["counts"]["recorder_kib"].get("sgbridge")),
        ("reader that stands still, KiB", "%d", False, 12288,
         us["stalled_kib"]),
        ("sessions at once, open in the end", "%d", True, 2000,
         many[0]["alive"] if many else None),
        ("logins at once: time by sshd", "%.2f", False, 1.2,
         compared(us["logins_ms"], sshd["logins_ms"], lambda a, b: a / b)),
        ("logins at once: failed", "%d", False, 0,
         us["logins_failed"] if us["logins_ms"] else None),
    ]
    judge(rows, report["goals"])


def main():
    timed, counts, loads = read(sys.argv[1])
    report = {"machine": os.uname().version, "cores": os.cpu_count(),
              "bulk": [], "other": [], "goals": [], "runs": timed,
              "counts": counts, "loads": loads}
    bulk(timed, report["bulk"])
    single(timed, counts, loads, report["other"])
    for run in loads["many sgbridge"]:
        print("\n%d sessions at once: %d failed, %d open in the end, all "
              "there after %.1f s, login p50 %.0f ms p99 %.0f, key p50 %.0f us p99 %.0f, "
              "%d KiB each, of them %d of the recorder" % (
                  run["sessions"], run["failed"], run["alive"],
                  run["all_ms"] / 1e3,
                  run["login_ms"]["p50"], run["login_ms"]["p99"],
                  run["echo_us"]["p50"], run["echo_us"]["p99"],
                  counts["many_kib"]["sgbridge"],
                  counts["many_recorder_kib"]["sgbridge"]))
    loadshare = [r["foreign_cpu"] / r["seconds"] / os.cpu_count()
                 for r in timed if r["mib"]]
    if loadshare:
        report["foreign"] = {"median": median(loadshare),
                             "max": max(loadshare)}
        print("\nforeign load: %.0f%% of the machine at the median, %.0f%% "
              "at most" % (100 * median(loadshare), 100 * max(loadshare)))
    goals(report)
    with open(sys.argv[2], "w", encoding="ascii") as file:
        json.dump(report, file, indent=1)
        file.write("\n")


main()
