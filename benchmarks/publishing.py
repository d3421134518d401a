"""``python -m benchmarks.publishing``: the CPU that publishing a commit takes, to a young table and to one of a year.

The first is published commit by commit. For the second a table is made that has the merged parts of a year; the last
days are published commit by commit, with a compaction a day, so that it has the small parts of a day, and remembers
what a week of compactions removed. Its log is as long as one that keeps thirty days of versions.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from statistics import median

import msgspec

from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import Part
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.options import TableKind
from airflow_provider_imperva.table.changes import Change, changes
from airflow_provider_imperva.table.publish import create_table, open_table
from benchmarks.compaction import REPOSITORY, make_lake

_KINDS: tuple[TableKind, ...] = ("delta", "iceberg")
_A_DAY = 144
_DAYS = 347
"""50,000 commits."""

_PUBLISHED_DAYS = 8
"""A table remembers for a week what was removed."""

_LOGGED_DAYS = 30
_FIRST_DAY = date(2025, 1, 1)


def main() -> None:
    """Measure, and print a table for the documentation."""
    parser = argparse.ArgumentParser(prog="benchmarks.publishing", description=__doc__)
    parser.add_argument("--commits", type=int, default=100, help="that the young table shows when measuring begins")
    parser.add_argument("--measured", type=int, default=40, help="how many commits are measured, the last ones")
    parser.add_argument("--only", choices=_KINDS, help="one kind of table")
    parser.add_argument("--year", action="store_true", help="measure a table of a year, too")
    options = parser.parse_args()
    print(f"milliseconds of CPU, the last {options.measured} commits\n")
    print("| table | commits | median | mean |")
    print("| --- | --: | --: | --: |")
    with tempfile.TemporaryDirectory() as folder:
        for kind in _KINDS if options.only is None else (options.only,):
            young = Path(folder) / kind
            _print_row(kind, options.commits, _measure(young, kind, commits=options.commits, measured=options.measured))
            if options.year:
                old = Path(folder) / f"{kind}-old"
                _print_row(kind, _DAYS * _A_DAY, _measure_old(old, kind, drawn_from=young, measured=options.measured))


def _print_row(kind: str, commits: int, taken: list[float]) -> None:
    print(f"| {kind} | {commits:,} | {1000 * median(taken):.0f} | {1000 * sum(taken) / len(taken):.0f} |", flush=True)


def _measure(lake: Path, kind: TableKind, *, commits: int, measured: int) -> list[float]:
    """Publish one commit after the other, each by a table that is reopened, as a task does."""
    make_lake(lake, commits=commits + measured, rows=10, days=2, forged=1000)
    ledger = Ledger(open_store(str(lake)), REPOSITORY)
    create_table(ledger.store, kind)
    taken = []
    for number in range(commits + measured):
        began = time.process_time()
        table = open_table(ledger.store)
        table.add_columns()
        # As of none, all would come at once.
        for change in islice(changes(ledger, table.published(REPOSITORY) or 0), 1):
            table.write(change)
        taken.append(time.process_time() - began)
        assert open_table(ledger.store).published(REPOSITORY) == number + 1  # noqa: S101
    return taken[-measured:]


def _measure_old(lake: Path, kind: TableKind, *, drawn_from: Path, measured: int) -> list[float]:
    """Publish the last days of a year.

    :param drawn_from: a lake whose first parts stand for all parts.
    """
    parts = _Parts(lake, drawn_from)
    store = open_store(str(lake))
    create_table(store, kind)
    first = _DAYS - _PUBLISHED_DAYS
    merged = tuple(part for day in range(first) for part in parts.of(day, "merged"))
    open_table(store).write(_change(first * _A_DAY, merged))
    if kind == "delta":
        _lengthen_log(lake / "events/_delta_log")
    taken = []
    for change in _last_days(parts, first):
        began = time.process_time()
        table = open_table(store)
        table.add_columns()
        table.write(change)
        if not change.removed:
            taken.append(time.process_time() - began)
    return taken[-measured:]


def _last_days(parts: _Parts, first: int) -> Iterator[Change]:
    for day in range(first, _DAYS):
        small: list[Part] = []
        for number in range(day * _A_DAY + 1, (day + 1) * _A_DAY):
            added = parts.of(day, f"{number}")
            small += added
            yield _change(number, added)
        if day < _DAYS - 1:
            yield _change((day + 1) * _A_DAY, parts.of(day, "merged"), removed=tuple(small))


def _change(commit: int, added: tuple[Part, ...], *, removed: tuple[Part, ...] = ()) -> Change:
    return Change(
        repository=REPOSITORY,
        commit=commit,
        sha256="5" * 64,
        committed_at=datetime.now(UTC),
        added=added,
        removed=removed,
        same_rows=bool(removed),
    )


class _Parts:
    """Parts that all are the same two files, one a class."""

    def __init__(self, lake: Path, drawn_from: Path) -> None:
        self._lake = lake
        ledger = Ledger(open_store(str(drawn_from)), REPOSITORY)
        self._drawn = [(drawn_from / part.path, part) for part in ledger.commit(1).parts]

    def of(self, day: int, name: str) -> tuple[Part, ...]:
        parts = []
        for file, part in self._drawn:
            when = f"{_FIRST_DAY + timedelta(day)}"
            folder = f"events/repository={REPOSITORY}/event_class={part.event_class}/event_date={when}"
            path = f"{folder}/part-{name}.parquet"
            (self._lake / folder).mkdir(parents=True, exist_ok=True)
            os.link(file, self._lake / path)
            parts.append(msgspec.structs.replace(part, path=path, event_date=when))
        return tuple(parts)


def _lengthen_log(log: Path) -> None:
    """Let a Delta log have the versions that a year leaves; a checkpoint stands for those that are not read."""
    from deltalake import DeltaTable

    DeltaTable(str(log.parent)).create_checkpoint()
    hint = json.loads((log / "_last_checkpoint").read_text())
    version, last = hint["version"], (_DAYS - _PUBLISHED_DAYS) * _A_DAY
    for suffix in ("json", "checkpoint.parquet"):
        (log / f"{version:020d}.{suffix}").rename(log / f"{last:020d}.{suffix}")
    (log / "_last_checkpoint").write_text(json.dumps(hint | {"version": last}))
    for number in range(last - (_LOGGED_DAYS - _PUBLISHED_DAYS) * _A_DAY, last):
        os.link(log / f"{0:020d}.json", log / f"{number:020d}.json")
        if number % 10 == 0:
            os.link(log / f"{last:020d}.checkpoint.parquet", log / f"{number:020d}.checkpoint.parquet")
    (log / f"{0:020d}.json").unlink()


if __name__ == "__main__":
    main()
