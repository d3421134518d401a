"""The example that builds on the lake: its table says what the events say, however often and late it is made."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from airflow_provider_imperva.testing import FakeRepository
from airflow_provider_imperva.testing.forge import FORGED_START
from tests.examples import EXAMPLES
from tests.load.load_runs import Account

DAG_FILE = EXAMPLES / "dags" / "imperva_daily_summary.py"
_DAY_MS = 24 * 3600 * 1000
_COLUMNS = "repository, event_date::text, event_class, site_name, outcome"


@dataclass
class Event:
    """As much of an asset event as the task sees."""

    extra: dict[str, Any]


@pytest.fixture
def account(repository: FakeRepository, tmp_path: Path) -> Account:
    return Account(repository, tmp_path / "lake")


@pytest.fixture
def summarize(account: Account, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, dict[str, int]]]:
    """What the DAG's task runs, with the lake of the account."""
    monkeypatch.setenv("IMPERVA_LAKE_URI", account.lake.as_uri())
    dag = runpy.run_path(str(DAG_FILE))["dag"]

    def run(*dates: str) -> dict[str, dict[str, int]]:
        partitions = [{"event_class": "access", "event_date": date, "rows": 1} for date in dates]
        extra = {"repository": account.repository.name, "first_commit": 1, "partitions": partitions}
        events = {"lake": [Event(extra | {"more_partitions": 0})]} if dates else {}
        found = dag.get_task("summarize").python_callable(triggering_asset_events=events)
        assert isinstance(found, dict)
        return found

    return run


def summary(account: Account) -> list[tuple[Any, ...]]:
    glob = f"{account.lake}/reports/daily_summary/**/*.parquet"
    table = f"read_parquet('{glob}', hive_partitioning = true)"
    return duckdb.execute(f"SELECT {_COLUMNS}, events, response_bytes FROM {table} ORDER BY ALL").fetchall()


def events(account: Account) -> list[tuple[Any, ...]]:
    table = f"read_parquet('{account.lake}/events/repository=*/**/*.parquet', hive_partitioning = true)"
    figures = "count(*), sum(response_bytes)::bigint"
    return duckdb.execute(f"SELECT {_COLUMNS}, {figures} FROM {table} GROUP BY ALL ORDER BY ALL").fetchall()


def load_two_days(account: Account) -> None:
    account.serve(1, 2, events=60)
    account.serve(3, events=60, start=FORGED_START + _DAY_MS)
    account.run_some()


def test_by_hand_it_sums_up_every_day(account: Account, summarize: Callable[..., Any]) -> None:
    load_two_days(account)
    assert summarize() == {account.repository.name: {"2026-01-01": 120, "2026-01-02": 60}}
    assert summary(account) == events(account)


def test_doing_a_day_again_comes_to_the_same(account: Account, summarize: Callable[..., Any]) -> None:
    load_two_days(account)
    summarize()
    account.serve(4, events=30)
    account.run_some()
    for _ in range(2):
        assert summarize("2026-01-01") == {account.repository.name: {"2026-01-01": 150}}
        assert summary(account) == events(account)


def test_days_that_did_not_change_are_left_alone(account: Account, summarize: Callable[..., Any]) -> None:
    load_two_days(account)
    summarize("2026-01-02")
    assert {row[1] for row in summary(account)} == {"2026-01-02"}


def test_what_is_in_no_commit_is_not_counted(account: Account, summarize: Callable[..., Any]) -> None:
    """A run that is under way may die, and its parts go away again."""
    load_two_days(account)
    committed = events(account)
    account.serve(4, events=30)
    plan = account.plan()
    account.normalize(plan, account.fetch(plan))
    assert events(account) != committed
    summarize()
    assert summary(account) == committed


def test_what_was_replaced_is_not_counted(account: Account, summarize: Callable[..., Any]) -> None:
    """The files that a compaction has merged stay for some days, for queries under way."""
    load_two_days(account)
    committed = events(account)
    (part,) = account.lake.glob("events/**/event_class=access/event_date=2026-01-02/*.parquet")
    part.with_name("part-000000000001-0099.parquet").write_bytes(part.read_bytes())
    assert events(account) != committed
    summarize()
    assert summary(account) == committed


def test_a_day_without_events_has_no_summary(account: Account, summarize: Callable[..., Any]) -> None:
    """A replay may have taken the last of them to another day."""
    load_two_days(account)
    summarize()
    for part in account.lake.glob("events/**/event_date=2026-01-02/*.parquet"):
        part.unlink()
    summarize("2026-01-02")
    assert {row[1] for row in summary(account)} == {"2026-01-01"}
