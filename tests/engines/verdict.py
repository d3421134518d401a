"""What an engine's findings say, held against what the lake is known to have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from airflow_provider_imperva.events.schema.schema import QUARANTINE_SCHEMA, SCHEMA
from tests.engines.oddities import OddLake
from tests.engines.readers.blocks import PERIOD
from tests.engines.readers.cells import Row

WAYS = ("table", "period")
"""With the table, and without it."""

_TYPES = {field.name: field.type for field in SCHEMA}
_IN_PATH = {"repository": "in the path: text", "event_class": "in the path: text", "event_date": "in the path: date"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an engine makes of a lake.

    :ivar version: its version.
    :ivar ways: which of ``WAYS`` it has here.
    :ivar wrong_rows: ways and what is wrong with which rows they show; empty if these are the committed ones.
    :ivar wrong_cells: kinds of columns, and what became of which values; empty if all are as they were written.
    :ivar skips: whether it opens no file of another day, by way: asked for a ``day``, for ``hours`` as its page asks
        for them, and for a ``time`` without its day.
    :ivar types: what it calls each kind of column, by way.
    """

    version: str
    ways: tuple[str, ...]
    wrong_rows: dict[str, str]
    wrong_cells: dict[str, set[str]]
    skips: dict[str, dict[str, bool]]
    types: dict[str, dict[str, str]]


def kind_of(column: str, *, is_quarantine: bool = False) -> str:
    """Name the kind of a column of events or of quarantine: its Arrow type as it is stored."""
    if column in _IN_PATH:
        return _IN_PATH[column]
    kind = QUARANTINE_SCHEMA.field(column).type if is_quarantine else _TYPES[column]
    return f"{kind.value_type} in a dictionary" if pa.types.is_dictionary(kind) else str(kind)


def judge(answer: Mapping[str, Any], lake: OddLake) -> Verdict:
    """Hold what an engine found against the lake."""
    found = answer["found"]
    in_period = [row for row in lake.committed if PERIOD[0] <= row["event_date"] <= PERIOD[1]]
    first_day = [row for row in lake.committed if row["event_date"] == PERIOD[0]]
    hours = [row for row in first_day if row["event_time"] and _hour(row) in range(2, 5)]
    expected = {
        "table": in_period,
        "period": in_period,
        "own": in_period,
        "hours": hours,
        "quarantine": lake.quarantined,
        "table of a spoilt lake": first_day,
        "period of a spoilt lake": first_day,
        "hours of a spoilt lake": hours,
        "time of a spoilt lake": hours,
    }
    readable = {name: block for name, block in found.items() if "error" not in block}
    wrong_rows = {
        name: block["error"] for name, block in found.items() if name not in readable and "spoilt" not in name
    }
    wrong_cells: dict[str, set[str]] = {}
    for name, block in readable.items():
        if wrong := _wrong_rows(expected[name], block["rows"]):
            wrong_rows[name] = wrong
        for column, told in _wrong_cells(expected[name], block["rows"]):
            wrong_cells.setdefault(kind_of(column, is_quarantine=name == "quarantine"), set()).add(told)
    ways = tuple(way for way in WAYS if way in found)
    skips = {
        way: {"day": f"{way} of a spoilt lake" in readable}
        | ({by: f"{by} of a spoilt lake" in readable for by in ("hours", "time")} if way == "table" else {})
        for way in ways
    }
    types = {
        way: {kind_of(column): name for column, name in readable[way]["types"].items()}
        for way in ways
        if way in readable
    }
    if "quarantine" in readable:
        types["quarantine"] = {kind_of("raw", is_quarantine=True): readable["quarantine"]["types"]["raw"]}
    return Verdict(answer["version"], ways, wrong_rows, wrong_cells, skips, types)


def _hour(row: Row) -> int:
    return int(row["event_time"]) // 3_600_000_000 % 24


def _identity(row: Row) -> tuple[Any, ...]:
    return row["src_file"], row["src_line"]


def _wrong_rows(expected: list[Row], rows: list[Row]) -> str:
    wanted, seen = sorted(map(_identity, expected)), sorted(map(_identity, rows))
    if wanted == seen:
        return ""
    missing, foreign = set(wanted) - set(seen), set(seen) - set(wanted)
    return f"{len(seen)} rows for {len(wanted)}: {len(missing)} are missing, {len(foreign)} are foreign"


def _wrong_cells(expected: list[Row], rows: list[Row]) -> Iterable[tuple[str, str]]:
    known = {_identity(row): row for row in expected}
    for row in rows:
        for name, value in known.get(_identity(row), {}).items():
            if name not in row:
                yield name, "the column is missing"
            elif row[name] != value or type(row[name]) is not type(value):
                yield name, f"{_short(value)} becomes {_short(row[name])}"


def _short(value: Any) -> str:
    text = "null" if value is None else str(value)
    return text if len(text) < 40 else f"{text[:40]}..."
