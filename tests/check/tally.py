"""What a test counts, and the last line that tests/run.sh reads."""
_counts = [0, 0]


def ok(name, good, detail=""):
    _counts[0 if good else 1] += 1
    if not good:
        print("not ok: %s: %s" % (name, detail))


def summary():
    """The last line, and the exit code."""
    print("%d passed, %d failed" % tuple(_counts))
    return 1 if _counts[1] else 0
