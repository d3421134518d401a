"""Readers that poll the table during loads, replays and compactions only ever see what some commit left."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from airflow_provider_imperva.load.compact import compact
from airflow_provider_imperva.load.normalize import NormalizeOptions
from airflow_provider_imperva.load.replay import Selection, make_replay_plan, replay
from airflow_provider_imperva.options import CompactionOptions
from tests.load.load_runs import Account
from tests.long_form import LONG

_DUCKDB = ("duckdb==1.5.5", "duckdb-extension-delta==1.5.5")
"""The last version whose extension for Delta is a package. It reads the log with a kernel of its own."""

_POLL_BY_DUCKDB = """
import importlib.util, pathlib, sys, duckdb
table, stop = sys.argv[1:]
folder = pathlib.Path(importlib.util.find_spec("duckdb_extension_delta").submodule_search_locations[0])
connection = duckdb.connect(config={"allow_unsigned_extensions": True})
connection.execute(f"LOAD '{next(folder.rglob('delta.duckdb_extension'))}'")
while not pathlib.Path(stop).exists():
    rows, lines = connection.execute(
        f"SELECT count(event_time), count(DISTINCT (src_file, src_line)) FROM delta_scan('{table}')"
    ).fetchone()
    assert rows == lines, "a line is there twice"
    print(rows, flush=True)
"""


def run_replay(account: Account, selection: Selection) -> None:
    plan = make_replay_plan(account.ledger, run=account.next_run(), selection=selection, take_over=False)
    assert plan is not None
    replay(account.ledger, account.keys, plan, options=NormalizeOptions())


def run_compaction(account: Account) -> None:
    options = CompactionOptions(quiet=timedelta())
    for _ in compact(account.ledger, run=account.next_run(), options=options, max_wait=timedelta()):
        pass


def change_the_lake(account: Account) -> None:
    """Loads, a replay, a compaction, a replay of what was merged, and a load."""
    for number in (2, 3, 4):
        account.serve(number, events=6)
        account.run()
    run_replay(account, Selection(state="all"))
    run_compaction(account)
    run_replay(account, Selection(names=frozenset({"8416_2.log"})))
    account.serve(5, events=6)
    account.run()
    run_compaction(account)


def counts(account: Account) -> set[int]:
    """How many rows the lake has after each commit."""
    rows = 0
    found = set()
    for commit in account.ledger.commits():
        for sign, parts in ((1, commit.parts), (-1, commit.removed)):
            rows += sign * sum(part.rows for part in parts if part.event_class)
        found.add(rows)
    return found


@contextmanager
def polled_by_deltalake(account: Account, _: Path) -> Iterator[list[int]]:
    seen: list[int] = []
    failures: list[BaseException] = []
    done = threading.Event()

    def poll() -> None:
        try:
            while not done.is_set():
                table = DeltaTable(str(account.lake / "events"))
                # The files themselves, as a reader opens them after it has read the table's log.
                seen.append(sum(pq.read_metadata(path).num_rows for path in table.file_uris()))
        except BaseException as error:
            failures.append(error)

    reader = threading.Thread(target=poll)
    reader.start()
    try:
        yield seen
    finally:
        done.set()
        reader.join()
    assert failures == []


@contextmanager
def polled_by_duckdb(account: Account, folder: Path) -> Iterator[list[int]]:
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", *_DUCKDB], check=True, capture_output=True)
    seen: list[int] = []
    command = [str(python), "-c", _POLL_BY_DUCKDB, str(account.lake / "events"), str(folder / "stop")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as reader:
        assert reader.stdout
        seen.append(int(reader.stdout.readline()))  # it has started
        try:
            yield seen
        finally:
            (folder / "stop").touch()
        output, errors = reader.communicate(timeout=60)
    assert reader.returncode == 0, errors
    seen += map(int, output.split())


@pytest.mark.parametrize(
    "polled",
    [
        polled_by_deltalake,
        pytest.param(
            polled_by_duckdb,
            marks=pytest.mark.skipif(
                not LONG, reason="installs DuckDB 1.5 into an environment of its own; LONG=1 does"
            ),
        ),
    ],
)
def test_each_count_that_a_reader_sees_is_that_of_some_commit(
    account: Account, tmp_path: Path, polled: Callable[..., object]
) -> None:
    account.serve(1, events=6)
    account.run()
    with polled(account, tmp_path) as seen:  # type: ignore[attr-defined]
        change_the_lake(account)
    assert set(seen) <= counts(account)
    assert seen == sorted(seen), "no replay and no compaction takes anything away, even for a moment"
    assert len(set(seen)) > 1
