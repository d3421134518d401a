"""The replay operator: templates and keys from Airflow, the rest from the lake; red if something was left."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException

from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.lake.commit import commit_plan
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import BatchId, Run
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.load import replay as load_replay
from airflow_provider_imperva.load.fetch import fetch
from airflow_provider_imperva.load.normalize import normalize
from airflow_provider_imperva.load.plan import make_plan
from airflow_provider_imperva.operators.replay import ImpervaReplayLogsOperator
from airflow_provider_imperva.options import WINDOW, PlanOptions
from airflow_provider_imperva.repository.client import RepositoryClient
from airflow_provider_imperva.testing import FakeRepository, KeyPair, forge_repository

Load = Callable[..., Ledger]


def context(*, map_index: int = -1) -> Any:
    """A task's context; of a mapped one with its index."""
    return {"ti": SimpleNamespace(dag_id="imperva_replay", run_id="manual", task_id="replay", map_index=map_index)}


CONTEXT = context()


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.fixture
def connect(repository: FakeRepository, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make the connection, with these keys."""

    def connect(*keys: KeyPair) -> None:
        connection = {
            "conn_type": "imperva",
            "host": repository.url,
            # No API ID and key, since nothing is fetched.
            "extra": {"private_keys": {key.public_key_id: key.private_pem() for key in keys}},
        }
        monkeypatch.setenv("AIRFLOW_CONN_IMPERVA_DEFAULT", json.dumps(connection))

    return connect


@pytest.fixture
def load(repository: FakeRepository, lake: Path) -> Load:
    """Load whatever the repository has, with these keys; without finishing, leave the plan as a dead run would."""

    def load(*keys: KeyPair, finish: bool = True) -> Ledger:
        ring = KeyRing({key.public_key_id: key.private_key for key in keys})
        with RepositoryClient(url=repository.url, login=repository.login, password=repository.password) as client:
            ledger = Ledger(open_store(str(lake)), client.repository)
            run = Run("dag", f"run-{ledger.head().next_commit}")
            plan = make_plan(ledger, client, run=run, key_ids=ring.ids, options=PlanOptions())
            assert plan is not None
            if finish:
                fetched = fetch(ledger, client, plan, 0, max_concurrency=1, window=WINDOW)
                normalize(ledger, client, ring, plan, fetched)
                commit_plan(ledger, plan, by=plan.run, provider_version="0", at=plan.created_at)
        return ledger

    return load


def operator(lake: Path, **arguments: Any) -> ImpervaReplayLogsOperator:
    return ImpervaReplayLogsOperator(task_id="replay", lake_uri=lake.as_uri(), **arguments)


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def add(repository: FakeRepository, first: int, count: int = 2, *, keys: tuple[KeyPair, ...] = ()) -> None:
    for log in forge_repository(count, first=first, events_per_log=5, keys=keys):
        repository.add(log.name, log.content)


def events(lake: Path) -> int:
    [(count,)] = duckdb.execute(
        f"SELECT count(*) FROM read_parquet('{lake}/events/repository=*/**/*.parquet')"
    ).fetchall()
    return int(count)


def test_quarantined_logs_load_with_the_connection_s_key(
    repository: FakeRepository, lake: Path, connect: Callable[..., None], load: Load, key: KeyPair
) -> None:
    add(repository, 1)
    add(repository, 3, keys=(key,))
    ledger = load(KeyPair.generate("1", bits=1024))
    connect(key)
    asked = len(repository.requests)
    value = operator(lake, state="quarantined").execute(CONTEXT)
    assert value == {"commit": 2, "batches": 1, "logs": 4, "rows": 20, "quarantined_lines": 0}
    assert events(lake) == 20
    assert ledger.commit(2).run == Run("imperva_replay", "manual replay")
    assert len(repository.requests) == asked


def test_nothing_selected_is_a_skip(
    repository: FakeRepository, lake: Path, connect: Callable[..., None], load: Load
) -> None:
    add(repository, 1)
    load()
    connect()
    with pytest.raises(AirflowSkipException, match="Nothing to replay"):
        operator(lake, sequences=["8416:500-600"], since="2020-01-01", until="").execute(CONTEXT)


def test_a_batch_that_has_to_stay_as_it_is_makes_the_task_red_after_its_commit(
    repository: FakeRepository, lake: Path, connect: Callable[..., None], load: Load, key: KeyPair
) -> None:
    add(repository, 1, keys=(key,))
    ledger = load(key)
    connect()
    with pytest.raises(AirflowFailException, match="Commit 2 is made, but 1 batches stay as they were"):
        operator(lake, logs=["8416_1.log"]).execute(CONTEXT)
    assert ledger.head().next_commit == 3
    assert events(lake) == 10


def test_a_plan_that_a_dead_run_left_is_recovered_first(
    repository: FakeRepository, lake: Path, connect: Callable[..., None], load: Load
) -> None:
    add(repository, 1)
    load()
    add(repository, 3)
    ledger = load(finish=False)
    connect()
    assert operator(lake, state="all").execute(CONTEXT)["commit"] == 3
    assert ledger.commit(2).failed_batches == (0,)
    assert ledger.commit(3).replaced == {0: BatchId(1, 0)}
    load()
    assert events(lake) == 20


def test_of_mapped_tasks_none_takes_the_plan_of_another_for_its_own(
    repository: FakeRepository, lake: Path, connect: Callable[..., None], load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are of one run and have one name: one would say that it replayed what it never looked at."""
    for first in (1, 3):
        add(repository, first)
        ledger = load()
    connect()
    with monkeypatch.context() as patched:
        patched.setattr(load_replay, "replay", interrupt)
        with pytest.raises(KeyboardInterrupt):
            operator(lake, logs=["8416_1.log"]).execute(context(map_index=0))
    operator(lake, logs=["8416_3.log"]).execute(context(map_index=1))
    assert ledger.commit(4).replaced == {0: BatchId(1, 0), 1: BatchId(2, 0)}


def test_what_selects_logs_can_be_templated() -> None:
    assert {"logs", "sequences", "since", "until", "state"} <= set(ImpervaReplayLogsOperator.template_fields)
