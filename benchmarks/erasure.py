"""``python -m benchmarks.erasure``: what it takes to erase one address from a month of merged parts.

The lake is that of :mod:`benchmarks.compaction`, merged. It has no bytes in ``raw/``. The address that most events have
is erased, from a third of the days and from all of them: the memory should be the same.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import duckdb

from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import Run
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.retention.erase import erase
from airflow_provider_imperva.retention.subject import Subject
from benchmarks.compaction import REPOSITORY, compact_lake, make_lake

_RUN = Run("benchmark", "erasure")


class _Figures(NamedTuple):
    rows: int
    parts: int
    erased: int
    seconds: float
    cpu: float
    peak: int


def main() -> None:
    """Measure, and print a table for the documentation."""
    parser = argparse.ArgumentParser(prog="benchmarks.erasure", description=__doc__)
    parser.add_argument("--commits", type=int, default=2500, help="of two parts each")
    parser.add_argument("--rows", type=int, default=1440, help="of a commit")
    parser.add_argument("--days", type=int, default=30, help="over which the commits are spread")
    parser.add_argument("--events", type=int, default=60_000, help="that are forged, to draw rows from")
    parser.add_argument("--erase", nargs=2, metavar=("LAKE", "ADDRESS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.erase:
        _erase(Path(options.erase[0]), options.erase[1])
        return
    print("| days | rows | merged parts | rows erased | seconds | CPU seconds | MB of memory at most |")
    print("| --: | --: | --: | --: | --: | --: | --: |")
    for share in (3, 1):
        with tempfile.TemporaryDirectory() as folder:
            days = options.days // share
            measured = _measure(Path(folder) / "lake", options.commits // share, options.rows, days, options.events)
        figures = f"{measured.seconds:.1f} | {measured.cpu:.1f} | {measured.peak / 2**20:.0f}"
        print(f"| {days} | {measured.rows:,} | {measured.parts} | {measured.erased:,} | {figures} |", flush=True)


def _measure(lake: Path, commits: int, rows: int, days: int, forged: int) -> _Figures:
    make_lake(lake, commits=commits, rows=rows, days=days, forged=forged)
    compact_lake(lake)
    parts = sorted(str(path) for path in lake.glob("events/repository=*/**/*.parquet"))
    counts = "SELECT client_ip, count(*) AS n, sum(count(*)) OVER () FROM read_parquet(?) GROUP BY 1"
    address, count, total = duckdb.execute(f"{counts} ORDER BY n DESC LIMIT 1", [parts]).fetchall()[0]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.erasure", "--erase", str(lake), address],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    seconds, cpu, peak, left = map(float, done.stdout.split())
    if left:
        raise SystemExit(f"{left:.0f} rows of the address are left")
    return _Figures(int(total), len(parts), count, seconds, cpu, int(peak))


def _erase(lake: Path, address: str) -> None:
    """Erase, and print seconds, CPU seconds, the peak of memory in bytes, and how many rows are left."""
    ledger = Ledger(open_store(str(lake)), REPOSITORY)
    began, cpu = time.perf_counter(), time.process_time()
    erasure = erase(
        ledger, Subject(client_ip=address), keys=KeyRing(), by="dpo", why="benchmark", reference="B-1", run=_RUN
    )
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    match = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    if erasure.commit is None:
        raise SystemExit("the address was not found")
    removed = {str(lake / part.path) for part in erasure.commit.removed}
    live = [path for path in map(str, lake.glob("events/repository=*/**/*.parquet")) if path not in removed]
    ((left,),) = duckdb.execute("SELECT count(*) FROM read_parquet(?) WHERE client_ip = ?", [live, address]).fetchall()
    print(seconds, cpu, int(match[1]) * 1024 if match else 0, left)


if __name__ == "__main__":
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    main()
