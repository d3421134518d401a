"""The reference page of query engines: ``python -m tests.engines.write_page`` asks the engines and writes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

NAMES = {
    "duckdb": "DuckDB",
    "polars": "polars",
    "pyarrow": "PyArrow",
    "pandas": "pandas",
    "datafusion": "DataFusion",
    "clickhouse": "ClickHouse",
    "spark": "Spark",
}
"""The engines that tests read the lake with, by the name of their how-to page."""

WAYS_ROUND = {
    ("clickhouse", "list"): "Lists cannot be null: a null becomes `[]`. Ask for `length(…) > 0`.",
    ("clickhouse", "map"): "Maps cannot be null: a null becomes `{}`. Ask for `length(…) > 0`.",
    ("clickhouse", "large_binary"): "A String holds any bytes, so text and bytes have one type.",
    ("clickhouse", "time"): "Give the day (`event_date`) beside the time.",
    ("duckdb", "time"): "Give the day (`event_date`) beside the time.",
    ("spark", "table"): "The package `delta-spark` was not to be had here, so with the table it has not been run.",
}
"""What an engine cannot read as it was written, or files that it does not skip, and the way round."""

_INTRODUCTION = """\
# Query engines

<!-- Written by `python -m tests.engines.write_page`; do not edit. -->

What engines make of a lake that has every type of column and every oddity: nulls, empty lists and maps, nulls \
within them, the ends of each type of number, times from the first millisecond of a day to its last, texts of 200 \
kB, of line feeds and of NUL, bytes that are not UTF-8, parts of an earlier release that lack columns, parts that a \
replay replaced, and a part of a run that died. The path has no nulls: an event that has no time at all lies under \
the day on which its log was fetched. `make test-engines` runs the statements of the how-to pages, compares each \
value, and holds this page against what it found.

"""


class Verdict(Protocol):
    """What a test found out about an engine."""

    @property
    def version(self) -> str:
        """Its version."""

    @property
    def ways(self) -> tuple[str, ...]:
        """``table`` and ``period`` (without the table), as far as they were run."""

    @property
    def skips(self) -> dict[str, dict[str, bool]]:
        """By way: whether files are skipped by day and by time."""

    @property
    def types(self) -> dict[str, dict[str, str]]:
        """By way, and ``quarantine``: what the engine calls each kind of column."""


def engines_page(verdicts: Mapping[str, Verdict]) -> str:
    """Write the page, in Markdown.

    :param verdicts: what was found, by the engine's name as in ``NAMES``.
    """
    notes = {key: number for number, key in enumerate((key for key in WAYS_ROUND if key[0] in verdicts), 1)}
    return _INTRODUCTION + "".join(
        f"{line}\n" for line in (*_reading(verdicts, notes), "", *_types(verdicts, notes), "", *_notes(notes))
    )


def _reading(verdicts: Mapping[str, Verdict], notes: Mapping[tuple[str, str], int]) -> Iterator[str]:
    yield "## Rows and files\n"
    asked = "committed rows only, with the table | without it | skips files by day | by time alone, with the table"
    yield f"| engine | version | {asked} |"
    yield "|---|---|---|---|---|---|"
    for name, verdict in verdicts.items():
        table = "yes" if "table" in verdict.ways else f"not run{_mark(notes, name, 'table')}"
        by_day = {True: "yes", False: "no"}[all(skips["day"] for skips in verdict.skips.values())]
        by_time = {True: "yes", False: f"no{_mark(notes, name, 'time')}"}
        hours = by_time[verdict.skips["table"]["time"]] if "table" in verdict.ways else "not run"
        page = f"[{NAMES[name]}](../how-to/read/{name}.md)"
        yield f"| {page} | {verdict.version} | {table} | yes | {by_day} | {hours} |"


def _types(verdicts: Mapping[str, Verdict], notes: Mapping[tuple[str, str], int]) -> Iterator[str]:
    yield "## Types\n"
    yield "As the engine calls them without the table. With it, times have microseconds: Delta has no milliseconds.\n"
    yield f"| in the files | {' | '.join(NAMES[name] for name in verdicts)} |"
    yield f"|---{'|---' * len(verdicts)}|"
    merged = {name: verdict.types["period"] | verdict.types["quarantine"] for name, verdict in verdicts.items()}
    for kind in next(iter(merged.values())):
        cells = [f"`{types[kind]}`{_mark(notes, name, kind.partition('<')[0])}" for name, types in merged.items()]
        yield f"| {_file_type(kind)} | {' | '.join(cells)} |"


def _file_type(kind: str) -> str:
    return kind if "in " in kind else f"`{kind}`"


def _mark(notes: Mapping[tuple[str, str], int], engine: str, about: str) -> str:
    return f" [{number}]" if (number := notes.get((engine, about))) else ""


def _notes(notes: Mapping[tuple[str, str], int]) -> Iterator[str]:
    yield "All other values are as they were written, in each engine. The exceptions, and the way round:\n"
    for key, number in notes.items():
        yield f"{number}. {NAMES[key[0]]}: {WAYS_ROUND[key]}"
