#!/usr/bin/env python3
"""What rollups are to find, by an engine that is not ours: DataFusion, over all events in one batch.

  datafusion_rollups.py QUERIES EVENTS

QUERIES is a file like tests/gold/rollups.sql. EVENTS holds a JSON object a line, plain or compressed with zstd; those without
`@timestamp` are left out. Prints {"rule", "window_start" (ns), "row"}, one a line.
"""

import datetime
import json
import re
import subprocess
import sys

import datafusion
import pyarrow

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
TYPES = {"bigint": pyarrow.int64(), "double": pyarrow.float64(), "boolean": pyarrow.bool_()}


def read_queries(path):
    """Types by column, and queries by name."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    types = re.search(r"^-- types: (.*)$", text, re.M).group(1)
    types = dict(pair.rsplit(" ", 1) for pair in types.split(", "))
    queries = re.findall(r"^-- ([^\n]*)\n(SELECT .*?);$", text, re.M | re.S)
    return types, queries


def read_events(path):
    if path.endswith(".zst"):
        with subprocess.Popen(["zstd", "-dc", path], stdout=subprocess.PIPE) as zstd:
            yield from map(json.loads, zstd.stdout)
    else:
        with open(path, "rb") as file:
            yield from map(json.loads, file)


def nanoseconds(written):
    since = datetime.datetime.fromisoformat(written.replace("Z", "+00:00")) - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000


def typed(value, of):
    """A value as a rollup reads it: text, or what the declared type makes of the text."""
    if value is None or isinstance(value, (dict, list)):
        return None
    text = value if isinstance(value, str) else json.dumps(value)
    if of == "bigint":
        return int(text) if re.fullmatch(r"[+-]?\d+", text) else None
    if of == "double":
        return float(text) if re.fullmatch(r"[+-]?\d+(\.\d+)?", text) else None
    if of == "boolean":
        return {"true": True, "1": True, "false": False, "0": False}.get(text.lower())
    return text


def table(path, columns, types):
    values = {column: [] for column in columns}
    times = []
    for event in read_events(path):
        if "@timestamp" in event:
            times.append(nanoseconds(event["@timestamp"]))
            for column, cells in values.items():
                cells.append(typed(event.get(column), types.get(column)))
    arrays = {
        column: pyarrow.array(cells, TYPES.get(types.get(column), pyarrow.string()))
        for column, cells in values.items()
    }
    arrays["_time"] = pyarrow.array(times, pyarrow.timestamp("ns"))
    return pyarrow.table(arrays)


def spelled(array):
    """Cells as haechi writes them."""
    if pyarrow.types.is_timestamp(array.type):
        for ns in array.cast(pyarrow.timestamp("ns")).cast(pyarrow.int64()).to_pylist():
            if ns is None:
                yield None
                continue
            text = (EPOCH + datetime.timedelta(seconds=ns // 1_000_000_000)).strftime("%Y-%m-%dT%H:%M:%S")
            rest = f"{ns % 1_000_000_000:09d}"
            while rest.endswith("000"):
                rest = rest[:-3]
            yield f"{text}.{rest}Z" if rest else f"{text}Z"
    else:
        yield from array.to_pylist()


def main(queries, events):
    types, queries = read_queries(queries)
    columns = sorted({name for _, sql in queries for name in re.findall(r'"([^"]+)"', sql)})
    context = datafusion.SessionContext()
    context.register_record_batches("events", [table(events, columns, types).combine_chunks().to_batches()])
    for name, sql in queries:
        sql = re.sub(r"tumble\((interval '[^']*')\)", r"date_bin(\1, _time)", sql)
        window = re.search(r"date_bin\(interval '[^']*', _time\)", sql).group(0)
        sql = sql.replace("SELECT ", f'SELECT {window} AS "window start", ', 1)
        for batch in context.sql(sql).collect():
            names = batch.schema.names[1:]
            starts = batch.column(0).cast(pyarrow.timestamp("ns")).cast(pyarrow.int64()).to_pylist()
            cells = [list(spelled(column)) for column in batch.columns[1:]]
            for at, start in enumerate(starts):
                row = dict(zip(names, (column[at] for column in cells)))
                print(json.dumps({"rule": name, "window_start": start, "row": row}))


if __name__ == "__main__":
    main(*sys.argv[1:])
