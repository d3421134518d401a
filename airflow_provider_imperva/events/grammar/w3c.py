r"""One W3C row: quoted values with a blank between them, in the order that a ``#Fields`` directive lists.

``""`` is no value. How a quote inside a value is written is not documented, so a row is cut in the first of these ways
that gives as many values as there are names:

1.  at ``" "``, if there are two quotes for each name, hence none inside a value;
2.  at closing quotes, where two quotes in a row, or a backslash and a quote, are a quote inside;
3.  at ``" "``, whatever quotes there are.

Failing all, it is no event (``field_count``): a value in the wrong column is worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from airflow_provider_imperva.events.grammar.record import NORMAL, Record, Rejection
from airflow_provider_imperva.events.schema.columns import COLUMNS

COLUMN_BY_FIELD: Mapping[str, str] = {column.w3c: column.name for column in COLUMNS if column.w3c}

_KNOWN = {name.lower(): name for name in ("date", "time", *COLUMN_BY_FIELD)}
# The standard's own spelling, as against Imperva's.
_KNOWN["cs(referer)"] = "cs(Referrer)"

QUOTED = re.compile(r'"((?:[^"\\]++|\\"?|"")*+)"(?: |$)')
"""A value and what has to follow it."""

QUOTE_INSIDE = re.compile(r'""|\\"')


@dataclass(frozen=True, slots=True)
class Layout:
    """The names of a row's values.

    :param names: known ones as real logs spell them, others as they are.
    """

    names: tuple[str, ...]

    @classmethod
    def of(cls, names: str) -> Layout:
        """Take the names of a directive."""
        return cls(tuple(_KNOWN.get(name.lower(), name) for name in names.split()))


FIRST_LAYOUT = Layout.of("""
    date time cs-vid cs-clapp cs-browsertype cs-js-support cs-co-support c-ip s-caip cs-clappsig s-capsupport s-suid
    cs(User-Agent) cs-sessionid s-siteid cs-countrycode s-tag cs-cicode s-computername cs-lat cs-long s-accountname
    cs-uri cs-postbody cs-version sc-action s-externalid cs(Referrer) s-ip s-port cs-method cs-uri-query sc-status
    s-xff cs-bytes cs-start cs-rule cs-severity cs-attacktype cs-attackid s-ruleName
""")
"""Real logs of 2017 have these; it holds for rows before any directive."""


def read_row(line: str, layout: Layout) -> Record | Rejection:
    """Read one row, without its line end."""
    line = line.strip(" \t\ufeff")
    if not line.startswith('"'):
        return Rejection.NOT_A_RECORD
    values = _cut(line, len(layout.names))
    if values is None:
        return Rejection.FIELD_COUNT
    record = Record(event_class="access", texts={})
    aside: dict[str, str] = {}
    seen: set[str] = set()
    for name, value in zip(layout.names, values, strict=True):
        text = value.strip(" \t")
        if not text:
            continue
        if name in seen:
            record.warnings.append(f"duplicate_key:{name}")
            record.extra.append((name, text))
        elif column := COLUMN_BY_FIELD.get(name):
            record.texts[column] = text
        elif name in ("date", "time"):
            aside[name] = text
        else:
            record.extra.append((name, text))
        seen.add(name)
    _use_date_and_time(aside, record)
    if record.texts.setdefault("event_name", NORMAL) == NORMAL:
        return record
    return Record("security", record.texts, record.extra, record.warnings)


def _cut(line: str, count: int) -> list[str] | None:
    plain = line[1:-1].split('" "') if len(line) > 1 and line.endswith('"') else []
    if len(plain) == count and line.count('"') == 2 * count:
        return plain
    quoted, end = [], 0
    while match := QUOTED.match(line, end):
        quoted.append(QUOTE_INSIDE.sub('"', match[1]))
        end = match.end()
    if end == len(line) and len(quoted) == count:
        return quoted
    return plain if len(plain) == count else None


def _use_date_and_time(aside: dict[str, str], record: Record) -> None:
    """Take date and time for the event's, if it has no other; keep them if they say another thing than that one."""
    start = record.texts.get("event_time")
    if start is None and len(aside) == 2:
        record.texts["event_time"] = f"{aside['date']}T{aside['time']}"
    elif aside and f"{aside.get('date')} {aside.get('time')}" != to_the_second(start or ""):
        record.extra.extend(aside.items())


def to_the_second(start: str) -> str:
    """Write a time in epoch milliseconds as date and time; empty if it is none."""
    if len(start) != 13 or not (start.isascii() and start.isdigit()):
        return ""
    return datetime.fromtimestamp(int(start) // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
