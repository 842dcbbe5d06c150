#!/usr/bin/python3
"""goals.py RESULTS JSON: judges what audit.sh measured, and adds it to JSON.

A line of RESULTS: what, format, least or most, bound, value or "-"; by tabs.
"""
import json
import sys


def cell(value, form="%.2f"):
    return "-" if value is None else form % value


def judge(rows, into):
    """Prints a verdict on each row, and appends it to into: what, format,
    whether at least or at most so much is wanted, bound, value or None."""
    print("\n%-42s %10s %12s   %s" % ("goal", "is", "shall be", "verdict"))
    for name, form, least, bound, value in rows:
        met = None
        if value is not None:
            met = value >= bound if least else value <= bound
        into.append({"goal": name, "bound": bound, "at_least": least,
                     "value": value, "met": met})
        print("%-42s %10s %12s   %s" % (
            name, cell(value, form), (">= " if least else "<= ") +
            "%g" % bound, {None: "not measured", True: "met",
                           False: "missed"}[met]))


def main():
    rows = []
    for line in open(sys.argv[1], encoding="ascii"):
        what, form, least, bound, value = line.rstrip("\n").split("\t")
        rows.append((what, form, least == "least", float(bound),
                     None if value == "-" else float(value)))
    try:
        with open(sys.argv[2], encoding="ascii") as file:
            report = json.load(file)
    except FileNotFoundError:
        report = {}
    names = [row[0] for row in rows]
    report["goals"] = [goal for goal in report.get("goals", [])
                       if goal["goal"] not in names]
    judge(rows, report["goals"])
    with open(sys.argv[2], "w", encoding="ascii") as file:
        json.dump(report, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
