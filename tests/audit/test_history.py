"""The ledger read from end to end: nothing asked for twice or in vain, and the same however the reading is cut."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from airflow_provider_imperva.audit.coverage import measure_coverage
from airflow_provider_imperva.audit.history import LOGS, History, last_number, read_entries
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.lake.store import open_store
from tests.lake.s3_front import BUCKET, moto_server

REPOSITORY = "8416_1745073"
WINDOW = timedelta(hours=48)


@pytest.mark.parametrize("entries_at_once", [1, 2, 3])
def test_rows_are_those_of_the_commits_in_their_order(small_lake: Path, entries_at_once: int) -> None:
    """They are gathered some at a time, and the last ones when they are asked for."""
    store, history = open_store(str(small_lake)), History(REPOSITORY, gather=entries_at_once)
    for entry in read_entries(store, history.layout, numbers=range(1, 6), at_once=entries_at_once):
        history.add(entry)
    logs = history.logs
    assert logs.schema.equals(LOGS)
    assert list(zip(logs["commit"].to_pylist(), logs["sequence"].to_pylist(), strict=True)) == [
        *((1, number) for number in (1, 2, 3, 5)),
        *((2, number) for number in (6, 7, 8)),
        (3, 9),
        *((4, number) for number in (10, 11)),
        *((5, number) for number in (6, 7, 8)),
    ]


def test_coverage_on_s3_asks_once_for_each_object(small_lake: Path) -> None:
    """Commits, their logs and small parts; requests are what it takes its time for."""
    with moto_server() as front:
        fs = front.filesystem()
        fs.put(f"{small_lake}/", f"{BUCKET}/lake/", recursive=True)
        front.requests.clear()
        store = open_store(f"s3://{BUCKET}/lake", fs=fs)
        coverage = measure_coverage(store, History.read(store, REPOSITORY), window=WINDOW, days=30)
        asked = Counter(request.path for request in front.requests if "list-type" not in request.query)
    assert coverage.unread == ()
    assert set(asked.values()) == {1}
    assert {path.rsplit(".", 2)[-2] for path in asked if "/ledger/" in path} == {"commit", "logs"}
    assert sum("/events/" in path for path in asked) == len(list(small_lake.glob("events/repository=*/**/*.parquet")))


def test_progress_is_told_to_its_end(small_lake: Path) -> None:
    told: dict[str, tuple[int, int]] = {}

    def progress(what: str, done: int, total: int) -> None:
        told[what] = (done, total)

    store = open_store(str(small_lake))
    measure_coverage(
        store, History.read(store, REPOSITORY, progress=progress), window=WINDOW, days=30, progress=progress
    )
    parts = len(list(small_lake.glob("events/repository=*/**/*.parquet")))
    quarantine = len(list(small_lake.glob("quarantine/**/*.parquet")))
    assert told == {
        "Reading the ledger": (6, 6),
        "Reading events": (parts, parts),
        "Reading quarantine": (quarantine, quarantine),
    }


def test_processes_read_what_threads_do(eventful_lake: Path) -> None:
    store, layout = open_store(str(eventful_lake)), Layout("8416_1745073")
    numbers = range(1, last_number(store, layout) + 1)
    by_threads, by_processes = (
        list(read_entries(store, layout, numbers=numbers, whole=True, at_once=7, processes=processes))
        for processes in (1, 2)
    )
    assert len(by_threads) > 20
    assert by_processes == by_threads
