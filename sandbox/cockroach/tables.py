"""Tables as CockroachDB's commands print them.

Source: pkg/cli/clisqlexec of cockroachdb/cockroach; in JSON every value is a string there.
"""

import csv
import io
import json
from collections.abc import Sequence

FORMATS = ("table", "csv", "tsv", "json", "ndjson", "records")


def render(form: str, columns: Sequence[str], rows: Sequence[dict[str, str]]) -> str:
    """Print rows in one of `FORMATS`."""
    if form in ("csv", "tsv"):
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, delimiter="," if form == "csv" else "\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()
    if form in ("json", "ndjson"):
        lines = [json.dumps(row, sort_keys=True, separators=(",", ":")) for row in rows]
        return "".join(line + "\n" for line in lines) if form == "ndjson" else _array(lines)
    return _records(columns, rows) if form == "records" else _table(columns, rows)


def _array(lines: list[str]) -> str:
    return "[\n  " + ",\n  ".join(lines) + "\n]\n" if lines else "[\n]\n"


def _records(columns: Sequence[str], rows: Sequence[dict[str, str]]) -> str:
    width = max(map(len, columns))
    text = ""
    for number, row in enumerate(rows, 1):
        text += f"-[ RECORD {number} ]\n"
        text += "".join(f"{column:<{width}} | {row[column]}\n" for column in columns)
    return text


def _table(columns: Sequence[str], rows: Sequence[dict[str, str]]) -> str:
    widths = {column: max(len(column), *(len(row[column]) for row in rows), 0) for column in columns}
    head = " |".join(f" {column:^{widths[column]}}" for column in columns)
    rule = "+".join("-" * (widths[column] + 2) for column in columns)
    lines = [
        " |".join(f" {row[c]:{'>' if i == 0 else '<'}{widths[c]}}" for i, c in enumerate(columns))
        for row in rows
    ]
    body = "".join(f" {line.rstrip()}\n" for line in lines)
    return f" {head.rstrip()}\n-{rule}\n{body}({len(rows)} row{'' if len(rows) == 1 else 's'})\n"
