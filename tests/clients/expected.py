#!/usr/bin/env python3
"""What haechi is to find, computed plainly: one file, read from top to bottom, all in memory.

  expected.py count  FILE TIME WHERE=VALUE GROUP SECONDS GTE    findings of an event_count
  expected.py first  FILE TIME WHERE=VALUE GROUP SECONDS        first alerts of a rule that suppresses
  expected.py new    FILE TIME WHERE=VALUE GROUP FIELD SECONDS  values of FIELD that a group has not had for so long
  expected.py rollup FILE TIME GROUP DISTINCT NUMBER SECONDS    rows of a rollup

FILE holds a JSON object a line; TIME, WHERE, GROUP, DISTINCT and NUMBER are fields of it. Events without TIME or GROUP, and lines
that are not JSON, are left out. A finding is {"group", "time" (ns), "lines"}, a first alert {"group", "time", "line", "suppressed"},
a new value {"group", "value", "time", "line"}, a row {"start" (ns), "group", "events", "distinct", "numbers", "sum", "min", "max"}; one a line.
"""

import collections
import datetime
import json
import re
import sys

SECOND = 1_000_000_000
EPOCH = datetime.datetime(1970, 1, 1)
TIME = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d+))?Z?")


def nanoseconds(written):
    date, clock, fraction = TIME.fullmatch(written).groups()
    whole = datetime.datetime.fromisoformat(f"{date} {clock}") - EPOCH
    return (whole.days * 86_400 + whole.seconds) * SECOND + int((fraction or "").ljust(9, "0")[:9])


def text(value):
    return value if isinstance(value, str) else json.dumps(value)


def events(path, time, group):
    """(line, time, group, event) of every event that has both, in the order of the file."""
    with open(path, "rb") as file:
        for number, line in enumerate(file):
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if event.get(time) is not None and event.get(group) is not None:
                yield number, nanoseconds(event[time]), text(event[group]), event


def grouped(path, time, where, group):
    """(group, its (time, line) in order) where a field has a value."""
    field, value = where.split("=", 1)
    groups = collections.defaultdict(list)
    for line, at, name, event in events(path, time, group):
        if field in event and text(event[field]) == value:
            groups[name].append((at, line))
    return [(name, sorted(found)) for name, found in sorted(groups.items())]


def first(path, time, where, group, seconds):
    span = int(seconds) * SECOND
    for name, found in grouped(path, time, where, group):
        while found:
            at, line = found[0]
            rest = [later for later in found if later[0] >= at + span]
            print(json.dumps({"group": name, "time": at, "line": line, "suppressed": len(found) - len(rest) - 1}))
            found = rest


def new(path, time, where, group, field, seconds):
    span = int(seconds) * SECOND
    key, wanted = where.split("=", 1)
    seen = {}
    found = sorted((at, line, name, text(event[field])) for line, at, name, event in events(path, time, group)
                   if key in event and text(event[key]) == wanted and event.get(field) is not None)
    for at, line, name, value in found:
        last = seen.get((name, value))
        if last is None or last + span <= at:
            print(json.dumps({"group": name, "value": value, "time": at, "line": line}))
        seen[name, value] = at


def count(path, time, where, group, seconds, least):
    span, least = int(seconds) * SECOND, int(least)
    for name, found in grouped(path, time, where, group):
        first = now = 0  # found[first:] no finding has used
        while now < len(found):
            while found[first][0] <= found[now][0] - span:
                first += 1
            if now - first + 1 < least:
                now += 1
                continue
            end = first
            while end < len(found) and found[end][0] < found[first][0] + span:
                end += 1
            print(json.dumps({"group": name, "time": found[now][0], "lines": sorted(line for _, line in found[first:end])}))
            first = now = end


def rollup(path, time, group, distinct, number, seconds):
    span = int(seconds) * SECOND
    rows = {}
    for _, at, name, event in events(path, time, group):
        row = rows.setdefault((at // span * span, name), {"events": 0, "distinct": set(), "numbers": []})
        row["events"] += 1
        if event.get(distinct) is not None:
            row["distinct"].add(text(event[distinct]))
        if re.fullmatch(r"-?\d+", text(event.get(number))):
            row["numbers"].append(int(event[number]))
    for (start, name), row in sorted(rows.items()):
        numbers = row["numbers"]
        print(json.dumps({
            "start": start, "group": name, "events": row["events"], "distinct": len(row["distinct"]), "numbers": len(numbers),
            "sum": sum(numbers) if numbers else None, "min": min(numbers, default=None), "max": max(numbers, default=None),
        }))


if len(sys.argv) < 2 or sys.argv[1] not in ("count", "first", "new", "rollup"):
    sys.exit(__doc__)
{"count": count, "first": first, "new": new, "rollup": rollup}[sys.argv[1]](*sys.argv[2:])
