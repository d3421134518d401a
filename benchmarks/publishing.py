"""``python -m benchmarks.publishing``: the CPU that it takes to publish a commit to a table of so many commits."""

from __future__ import annotations

import argparse
import tempfile
import time
from itertools import islice
from pathlib import Path
from statistics import median

from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.options import TableKind
from airflow_provider_imperva.table.changes import changes
from airflow_provider_imperva.table.publish import create_table, open_table
from benchmarks.compaction import REPOSITORY, make_lake

_KINDS: tuple[TableKind, ...] = ("delta", "iceberg")
_MEASURED = 40


def main() -> None:
    """Measure, and print a table for the documentation."""
    parser = argparse.ArgumentParser(prog="benchmarks.publishing", description=__doc__)
    parser.add_argument("--commits", type=int, default=100, help="that the table shows when measuring begins")
    commits = parser.parse_args().commits
    print(f"milliseconds of CPU, the last {_MEASURED} commits\n")
    print("| table | median | mean |")
    print("| --- | --: | --: |")
    with tempfile.TemporaryDirectory() as folder:
        for kind in _KINDS:
            taken = _measure(Path(folder) / kind, kind, commits=commits)
            print(f"| {kind} | {1000 * median(taken):.0f} | {1000 * sum(taken) / len(taken):.0f} |", flush=True)


def _measure(lake: Path, kind: TableKind, *, commits: int) -> list[float]:
    """Publish one commit after the other, each by a table that is opened anew, as a task does."""
    make_lake(lake, commits=commits + _MEASURED, rows=10, days=2, forged=1000)
    ledger = Ledger(open_store(str(lake)), REPOSITORY)
    create_table(ledger.store, kind)
    taken = []
    for number in range(commits + _MEASURED):
        began = time.process_time()
        table = open_table(ledger.store)
        table.add_columns()
        # As of none, all would come at once.
        for change in islice(changes(ledger, table.published(REPOSITORY) or 0), 1):
            table.write(change)
        taken.append(time.process_time() - began)
        assert open_table(ledger.store).published(REPOSITORY) == number + 1  # noqa: S101
    return taken[-_MEASURED:]


if __name__ == "__main__":
    main()
