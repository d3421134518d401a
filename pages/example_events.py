"""The reference page with one event in each format, and its row: ``python -m pages.example_events`` writes it."""

from __future__ import annotations

import sys
from typing import Any

from airflow_provider_imperva.events.parse import parse
from airflow_provider_imperva.events.schema.columns import COLUMNS
from airflow_provider_imperva.events.schema.source import LogSource
from airflow_provider_imperva.testing.formats import Format, write_body, write_event

FORMATS: tuple[Format, ...] = ("CEF", "LEEF", "W3C", "JSON")

# All of it is made up.
_FIELDS = {
    "fileId": "443000270123456789",
    "sourceServiceName": "shop.example",
    "siteid": "1509732",
    "suid": "50005477",
    "requestClientApplication": "Mozilla/5.0",
    "deviceFacility": "mia",
    "ccode": "IL",
    "Customer": "Shop Ltd",
    "start": "1700000000123",
    "request": "shop.example/basket",
    "requestMethod": "POST",
    "qstr": "id=1",
    "cn1": "403",
    "app": "HTTPS",
    "act": "REQ_BLOCKED_SECURITY",
    "deviceExternalId": "98765432109876543",
    "sip": "192.0.2.80",
    "spt": "443",
    "in": "1234",
    "xff": "198.51.100.7",
    "cpt": "51234",
    "src": "203.0.113.9",
    "ver": "TLSv1.3",
}

_INTRODUCTION = """\
# Example events

<!-- Written by `python -m pages.example_events`; do not edit. A test reads each line again and compares. -->

The same request, blocked as an SQL injection, as Imperva writes it in each format, and the row that it becomes. All \
of it is made up. What each column means is on [Columns](schema.md), how lines are read on [Grammar](grammar.md).
"""


def body(format_name: Format) -> str:
    """Return a log's plain body with the event in it."""
    return write_body(format_name, [write_event(format_name, name="SQL Injection", code=3, fields=_FIELDS)])


def row_of(text: str, format_name: str) -> dict[str, Any]:
    """Read a body with one event, and return its row; only columns that have a value, as text."""
    source = LogSource(file="8416_1.log", sequence=1, format=None if format_name == "JSON" else format_name)
    [block] = parse([text.encode()], source)
    [row] = block.events.to_pylist()
    return {name: _text(value) for name, value in row.items() if value not in (None, [], "")}


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return f"{value:%Y-%m-%d %H:%M:%S.%f}"[:-3] if hasattr(value, "strftime") else str(value)


def page() -> str:
    """Return the page."""
    rows = {name: row_of(body(name), name) for name in FORMATS}
    lines = [_INTRODUCTION]
    for name in FORMATS:
        lines += [f"## {name}\n", f"```text\n{body(name).rstrip()}\n```\n"]
    lines += ["## The row\n", "Empty cells: the format has no such key.\n"]
    lines += [f"| column | {' | '.join(FORMATS)} |", f"|---|{'---|' * len(FORMATS)}"]
    for column in COLUMNS:
        cells = [rows[name].get(column.name, "") for name in FORMATS]
        if any(cells):
            shown = [f"`{cell}`" if cell else "" for cell in cells]
            lines.append(f"| `{column.name}` | {' | '.join(shown)} |")
    return "\n".join([*lines, ""])


def main() -> int:
    """Write the page to standard output."""
    sys.stdout.write(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
