"""What commits in a row changed in events/: each partition, with its rows, as an independent reader counts them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.events.parse import parse
from airflow_provider_imperva.lake.changes import changes
from airflow_provider_imperva.load import normalize as normalize_module
from airflow_provider_imperva.load.normalize import NormalizeOptions
from airflow_provider_imperva.load.replay import Selection, make_replay_plan
from airflow_provider_imperva.load.replay import replay as run_replay
from airflow_provider_imperva.testing.forge import FORGED_START, KeyPair
from tests.load.load_runs import Account

_DAY_MS = 24 * 3600 * 1000


def counted(account: Account) -> dict[tuple[str, str], int]:
    table = f"read_parquet('{account.lake}/events/repository=*/**/*.parquet', hive_partitioning = true)"
    found = duckdb.execute(f"SELECT event_class, event_date::text, count(*) FROM {table} GROUP BY ALL").fetchall()
    return {(event_class, event_date): rows for event_class, event_date, rows in found}


def test_several_commits_add_up(account: Account) -> None:
    account.serve(1, 2, events=20)
    account.run_some()
    account.serve(3, events=20, start=FORGED_START + 2 * _DAY_MS)
    account.run_some()
    both = changes(account.ledger, first=1, last=2)
    assert both.partitions == counted(account)
    assert (both.rows, both.logs) == (60, {"committed": 3})
    last = changes(account.ledger, first=2, last=2)
    assert {event_date for _, event_date in last.partitions} == {"2026-01-03"}
    assert last.rows == 20


def test_quarantine_is_no_partition_of_events(account: Account, key_pair: KeyPair, other_pair: KeyPair) -> None:
    account.keys = KeyRing({"1": other_pair.private_key})
    account.serve(1, keys=[key_pair])
    account.run_some()
    found = changes(account.ledger, first=1, last=1)
    assert (found.partitions, found.logs) == ({}, {"quarantined": 1})


def test_a_day_that_a_replay_empties_has_changed_too(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """No part of it is left for the commit to name, and whoever keeps a copy of that day has to hear of it."""
    account.serve(1, events=5)
    account.run_some()
    before = counted(account)

    def on_another_day(*arguments: Any, **options: Any) -> Any:
        for parsed in parse(*arguments, **options):
            index = parsed.events.schema.get_field_index("event_date")
            days = pa.repeat(pa.scalar(date(2025, 12, 24)), parsed.events.num_rows)
            field = parsed.events.schema.field(index)
            yield replace(parsed, events=parsed.events.set_column(index, field, days))

    monkeypatch.setattr(normalize_module, "parse", on_another_day)
    plan = make_replay_plan(account.ledger, run=account.next_run(), selection=Selection(state="all"), take_over=True)
    assert plan is not None
    run_replay(account.ledger, account.keys, plan, options=NormalizeOptions())
    found = changes(account.ledger, first=2, last=2).partitions
    assert found == dict.fromkeys(before, 0) | counted(account)
    assert {event_date for _, event_date in found} == {"2026-01-01", "2025-12-24"}
