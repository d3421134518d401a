"""``python -m benchmarks.compaction``: what questions cost on small parts and on merged ones, and what merging costs.

A lake of commits every few minutes is made, with a part for access events and one for security events each. The same
questions are asked before and after ``imperva-logs compact``, by DuckDB on one core, of all files. What it reads of the
merged ones for a question about one address is counted by the system.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva import __version__
from airflow_provider_imperva.container.decode import decode
from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.events.parse import parse
from airflow_provider_imperva.events.schema.schema import PARSED_SCHEMA, QUARANTINE_SCHEMA
from airflow_provider_imperva.lake.commit import commit_plan
from airflow_provider_imperva.lake.digest import digest_of
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.log_source import source_of
from airflow_provider_imperva.lake.parts import BatchParts
from airflow_provider_imperva.lake.records import VERSION, LogRecord, Plan, PlannedLog, Report, Run
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.lake.watermark import Prefix, State
from airflow_provider_imperva.load.compact import compact
from airflow_provider_imperva.options import CompactionOptions
from airflow_provider_imperva.testing.forge import KeyPair
from benchmarks.corpus import forge_corpus

REPOSITORY = "8416_1745073"
_RUN = Run("benchmark", "benchmark")
_FIRST_DAY = date(2026, 6, 1)
_DAY_MS = 86_400_000
_SECURITY_SHARE = 10
_ASKED = 3


def main() -> None:
    """Measure, and print a table for the documentation."""
    parser = argparse.ArgumentParser(prog="benchmarks.compaction", description=__doc__)
    parser.add_argument("--commits", type=int, default=2500, help="of two parts each")
    parser.add_argument("--rows", type=int, default=1440, help="of a commit")
    parser.add_argument("--days", type=int, default=18, help="over which the commits are spread")
    parser.add_argument("--events", type=int, default=60_000, help="that are forged, to draw rows from")
    parser.add_argument("--compact", type=Path, metavar="LAKE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.compact:
        _compact(options.compact)
        return
    with tempfile.TemporaryDirectory() as folder:
        lake = Path(folder) / "lake"
        _measure(lake, commits=options.commits, rows=options.rows, days=options.days, forged=options.events)


def _measure(lake: Path, *, commits: int, rows: int, days: int, forged: int) -> None:
    make_lake(lake, commits=commits, rows=rows, days=days, forged=forged)
    files, size = _files(lake)
    before = {name: _cpu_of(question, lake, days) for name, question in _QUESTIONS.items()}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.compaction", "--compact", str(lake)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    seconds, peak = map(float, done.stdout.split())
    after = {name: _cpu_of(question, lake, days) for name, question in _QUESTIONS.items()}
    files_after, size_after = _files(lake)
    print(f"{commits * rows:,} rows of {days} days; CPU seconds, the median of {_ASKED}\n")
    print("| | small parts | merged | times cheaper |")
    print("| --- | --: | --: | --: |")
    for name in _QUESTIONS:
        print(f"| {name} | {before[name]:.3f} | {after[name]:.3f} | {before[name] / after[name]:.0f} |")
    print(f"| files | {files:,} | {files_after:,} | |")
    print(f"| MB | {size / 1e6:.1f} | {size_after / 1e6:.1f} | {size / size_after:.1f} |")
    print("\n| one address, of all merged files | rows | MB read | of all bytes |")
    print("| --- | --: | --: | --: |")
    for name, address, rows_of_address in _addresses(lake):
        for asked, question in _OF_ADDRESS.items():
            read = _bytes_read(question.format(events=_events(lake), address=address))
            print(f"| {name}: {asked} | {rows_of_address:,} | {read / 1e6:.2f} | {100 * read / size_after:.1f} % |")
    print(f"\nMerging took {seconds:.0f} CPU seconds, and {peak / 2**20:.0f} MB of memory at most.")


def _count(lake: Path, _: int) -> str:
    return f"SELECT count(*) FROM {_events(lake)}"  # noqa: S608


def _one_hour(lake: Path, days: int) -> str:
    begin = datetime(_FIRST_DAY.year, _FIRST_DAY.month, _FIRST_DAY.day, 13, tzinfo=UTC) + timedelta(days=days // 2)
    within = f"event_time >= '{begin.isoformat()}' AND event_time < '{(begin + timedelta(hours=1)).isoformat()}'"
    return f"SELECT client_ip, count(*) FROM {_events(lake)} WHERE {within} GROUP BY 1 ORDER BY 2 DESC LIMIT 10"  # noqa: S608


def _events(lake: Path) -> str:
    return f"read_parquet('{lake}/events/repository=*/**/*.parquet', hive_partitioning = true)"


_QUESTIONS: dict[str, Callable[[Path, int], str]] = {
    "top clients of one hour, of all files": _one_hour,
    "count of all rows": _count,
}


_OF_ADDRESS = {
    "how many requests": "SELECT count(*) FROM {events} WHERE client_address = '{address}'",
    "how they ended": (
        "SELECT event_class, outcome, count(*) FROM {events} WHERE client_address = '{address}' GROUP BY ALL"
    ),
    "each request": ("SELECT event_time, url, outcome, http_status FROM {events} WHERE client_address = '{address}'"),
}


def _addresses(lake: Path) -> list[tuple[str, str, int]]:
    """Return the address with the most rows and one with the fewest, and how many those are."""
    with duckdb.connect() as connection:
        addresses = connection.execute(
            f"SELECT client_address, count(*) FROM {_events(lake)} GROUP BY 1 ORDER BY 2, 1"  # noqa: S608
        ).fetchall()
    return [("the most frequent", *addresses[-1]), ("the rarest", *addresses[0])]


def _bytes_read(question: str) -> int:
    """Count the bytes that DuckDB reads from files to answer a question."""
    with duckdb.connect(config={"threads": 1}) as connection:
        before = _read_so_far()
        connection.execute(question).fetchall()
        return _read_so_far() - before


def _read_so_far() -> int:
    match = re.search(r"^rchar: (\d+)$", Path("/proc/self/io").read_text(), re.MULTILINE)
    return int(match[1]) if match else 0


def _cpu_of(question: Callable[[Path, int], str], lake: Path, days: int) -> float:
    taken = []
    for _ in range(_ASKED):
        with duckdb.connect(config={"threads": 1}) as connection:
            began = time.process_time()
            connection.execute(question(lake, days)).fetchall()
            taken.append(time.process_time() - began)
    return median(taken)


def _files(lake: Path) -> tuple[int, int]:
    sizes = [path.stat().st_size for path in lake.glob("events/repository=*/**/*.parquet")]
    return len(sizes), sum(sizes)


def compact_lake(lake: Path) -> None:
    """Merge all."""
    ledger = Ledger(open_store(str(lake)), REPOSITORY)
    for _ in compact(ledger, run=_RUN, options=CompactionOptions(quiet=timedelta())):
        pass


def _compact(lake: Path) -> None:
    """Merge all, and print the CPU seconds and the peak of memory in bytes."""
    began = time.process_time()
    compact_lake(lake)
    seconds = time.process_time() - began
    match = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    print(seconds, int(match[1]) * 1024 if match else 0)


def make_lake(lake: Path, *, commits: int, rows: int, days: int, forged: int) -> None:
    """Load forged events, a commit after the other, as many runs would have done."""
    drawn = np.random.default_rng(20261122)
    events = _forged(forged)
    ledger = Ledger(open_store(str(lake)), REPOSITORY)
    span = days * _DAY_MS // commits
    begin = int(datetime(_FIRST_DAY.year, _FIRST_DAY.month, _FIRST_DAY.day, tzinfo=UTC).timestamp() * 1000)
    for number in range(1, commits + 1):
        security = max(1, rows // _SECURITY_SHARE)
        tables = [_draw(events["access"], rows - security, drawn), _draw(events["security"], security, drawn)]
        first = begin + (number - 1) * span
        _commit(ledger, number, _log(pa.concat_tables(tables), number, first, first + span, drawn))


def _forged(events: int) -> dict[str, pa.Table]:
    """Return forged events by class, to draw rows from."""
    key = KeyPair.generate(bits=1024)
    ring = KeyRing({key.public_key_id: key.private_key})
    tables = []
    for log in forge_corpus(key, events=events, logs=6)["CEF"]:
        plain = decode(log.content, log=log.name, keys=ring)
        source = source_of(plain, file=log.name, sequence=1, fetched_at=int(time.time() * 1000))
        tables += [block.events for block in parse(plain.chunks(), source)]
    table = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
    classes = table["event_class"].cast(pa.string())
    return {name: table.filter(pc.equal(classes, name)) for name in ("access", "security")}


def _draw(events: pa.Table, rows: int, drawn: np.random.Generator) -> pa.Table:
    return events.take(pa.array(drawn.integers(0, len(events), rows)))


def _log(rows: pa.Table, number: int, first: int, last: int, drawn: np.random.Generator) -> pa.Table:
    """Give rows the times and the identity of a log."""
    times = np.sort(drawn.integers(first, last, len(rows)))
    day = datetime.fromtimestamp(first / 1000, UTC).date()
    columns: dict[str, pa.Array] = {
        "event_time": pa.array(times, pa.timestamp("ms", tz="UTC")),
        "end_time": pa.array(times + 20, pa.timestamp("ms", tz="UTC")),
        "src_file": pa.array([f"8416_{number}.log"] * len(rows)).dictionary_encode(),
        "src_seq": pa.repeat(number, len(rows)),
        "src_line": pa.array(np.arange(1, len(rows) + 1)),
        "event_date": pa.repeat(pa.scalar(day), len(rows)),
    }
    order = pa.array(drawn.permutation(len(rows)))
    rows = rows.take(order)
    for name, values in columns.items():
        field = PARSED_SCHEMA.field(name)
        rows = rows.set_column(PARSED_SCHEMA.get_field_index(name), field, values.cast(field.type))
    return rows.unify_dictionaries().combine_chunks()


def _commit(ledger: Ledger, number: int, rows: pa.Table) -> None:
    now = datetime.now(UTC)
    name = f"8416_{number}.log"
    plan = ledger.create_plan(
        Plan(
            v=VERSION,
            repository=REPOSITORY,
            commit=number,
            run=_RUN,
            provider_version=__version__,
            created_at=now,
            observed_at=now,
            listed=1,
            batches=((PlannedLog(name, now),),),
            closed=(),
            prefixes={"8416": Prefix(number, number)},
        )
    )
    record = LogRecord(
        prefix="8416",
        sequence=number,
        sequence_to=number,
        state=State.COMMITTED,
        name=name,
        lines=len(rows),
        rows=len(rows),
        rows_digest=str(digest_of(name, rows["src_line"])),
    )
    with BatchParts(ledger.store, ledger.layout, commit=number, batch=0) as parts:
        parts.add(rows, QUARANTINE_SCHEMA.empty_table())
        ledger.create_intent(number, 0, parts.paths, outcome="")
        ledger.write_report(Report(VERSION, number, 0, parts.write(), (record,)))
    commit_plan(ledger, plan, by=_RUN, provider_version=__version__, at=now)


if __name__ == "__main__":
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    main()
