"""Before it plans, the plan task sees whose ledger it is; all workers together ask for no more than a pool allows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException

from airflow_provider_imperva.dag import imperva_logs_dag
from airflow_provider_imperva.hooks.imperva import ImpervaLogHook
from airflow_provider_imperva.lake.records import Run
from airflow_provider_imperva.load.replay import Selection, make_replay_plan
from airflow_provider_imperva.operators.imperva import (
    ImpervaFetchLogsOperator,
    ImpervaNormalizeLogsOperator,
    ImpervaPlanLogsOperator,
)
from airflow_provider_imperva.testing import FakeRepository, forge_repository
from tests.load.load_runs import Account


class TaskInstance:
    """As much of a running task as the operator sees: who it is, and its XComs."""

    def __init__(self, run_id: str, told: dict[str, Any] | None = None, dag_id: str = "imperva") -> None:
        self.run_id = run_id
        self.told = told
        self.dag_id = dag_id

    def xcom_pull(self, **_: object) -> dict[str, Any] | None:
        return self.told

    def xcom_push(self, **_: object) -> None:
        pass


def connect(monkeypatch: pytest.MonkeyPatch, conn_id: str, served: FakeRepository, **extra: Any) -> None:
    fields = {"host": served.url, "login": served.login, "password": served.password, "extra": extra}
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps({"conn_type": "imperva"} | fields))


def plan(
    lake: Path,
    conn_id: str,
    *,
    told: dict[str, Any] | None = None,
    run_id: str | None = None,
    dag_id: str = "imperva",
    dag_run: object = None,
    **params: bool,
) -> list[dict[str, int]]:
    operator = ImpervaPlanLogsOperator(task_id="plan", lake_uri=lake.as_uri(), imperva_conn_id=conn_id)
    context: Any = {"ti": TaskInstance(run_id or conn_id, told, dag_id), "params": params, "dag_run": dag_run}
    return operator.execute(context)


def test_two_accounts_under_one_id_are_told_before_anything_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeRepository() as one, FakeRepository(name="9000_22") as other:
        for repository in (one, other):
            for log in forge_repository(1, events_per_log=1):
                repository.add(log.name, log.content)
        connect(monkeypatch, "one", one, repository="shop")
        connect(monkeypatch, "other", other, repository="shop")
        assert len(plan(tmp_path, "one")) == 1
        with pytest.raises(AirflowFailException, match=r"of the source 8416_1745073, not of 9000_22"):
            plan(tmp_path, "other")
        assert other.requests == []


def test_a_repository_that_comes_under_another_host_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for conn_id in ("old", "new"):
        with FakeRepository() as repository:
            connect(monkeypatch, conn_id, repository)
            with pytest.raises(AirflowSkipException):
                plan(tmp_path, conn_id)


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRepository]:
    with FakeRepository() as repository:
        for log in forge_repository(2, events_per_log=1):
            repository.add(log.name, log.content)
        connect(monkeypatch, "shop", repository)
        yield repository


def told(repository: FakeRepository, commit: int) -> dict[str, Any]:
    """What the commit task of the last run left in XCom."""
    return {"repository": repository.name, "commit": commit}


class TestOtherLake:
    """The ledger is not the one that the last run wrote to, as its XCom knows."""

    def test_a_ledger_that_ends_before_the_last_run_stops_the_plan(self, shop: FakeRepository, tmp_path: Path) -> None:
        account = Account(shop, tmp_path)
        account.run_some()
        with pytest.raises(AirflowFailException, match=r"left commit 3, and the ledger ends at 1: it is an older copy"):
            plan(tmp_path, "shop", told=told(shop, 3))
        assert account.ledger.head().plan is None
        with pytest.raises(AirflowSkipException):
            plan(tmp_path, "shop", told=told(shop, 3), go_by_ledger=True)
        with pytest.raises(AirflowSkipException):
            plan(tmp_path, "shop", told=told(shop, 1))

    def test_events_without_a_ledger_are_no_lake_to_start_anew_in(self, shop: FakeRepository, tmp_path: Path) -> None:
        account = Account(shop, tmp_path)
        account.run_some()
        shutil.rmtree(tmp_path / "ledger")
        with pytest.raises(AirflowFailException, match="left commit 1, but this lake has no ledger"):
            plan(tmp_path, "shop", told=told(shop, 1))
        with pytest.raises(AirflowFailException, match="start_anew is for an empty lake"):
            plan(tmp_path, "shop", told=told(shop, 1), start_anew=True)
        shutil.rmtree(tmp_path / "events")
        assert len(plan(tmp_path, "shop", told=told(shop, 1), start_anew=True)) == 1

    def test_while_the_ledger_is_damaged_logs_come_to_raw(self, shop: FakeRepository, tmp_path: Path) -> None:
        account = Account(shop, tmp_path)
        account.run_some()
        account.ledger.store.write(account.ledger.layout.commit(1), b"")
        account.serve(3)
        with pytest.raises(AirflowFailException, match=r"000000000001.commit.json"):
            plan(tmp_path, "shop")
        assert account.raw("8416_3.log").read_bytes() == account.forged["8416_3.log"].content


def test_of_two_dags_on_one_lake_each_names_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with FakeRepository() as repository:
        connect(monkeypatch, "one", repository)
        for first, dag_id, other in ((1, "hourly", None), (2, "on_arrival", "hourly"), (3, "hourly", "on_arrival")):
            [log] = forge_repository(1, first=first, events_per_log=1)
            repository.add(log.name, log.content)
            plan(tmp_path, "one", dag_id=dag_id)
            logged = "".join(capfd.readouterr())
            assert ("loads repository 8416_1745073 into this lake too" in logged) == bool(other)
            assert other is None or f"The DAG {other} loads repository" in logged


def test_a_replay_is_no_other_dag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """One that was made by another DAG, or on the command line, and is not committed yet."""
    with FakeRepository() as repository:
        for log in forge_repository(1, events_per_log=1):
            repository.add(log.name, log.content)
        connect(monkeypatch, "one", repository)
        account = Account(repository, tmp_path)
        account.run()
        made = make_replay_plan(
            account.ledger, run=Run("imperva_replay", "r"), selection=Selection.of(state="all"), take_over=False
        )
        assert made
        capfd.readouterr()
        with suppress(AirflowSkipException):
            plan(tmp_path, "one", dag_id=account.ledger.commit(1).run.dag_id)
        assert "into this lake too" not in "".join(capfd.readouterr())


def test_a_backfill_is_refused_before_anything_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeRepository() as repository:
        connect(monkeypatch, "one", repository)
        with pytest.raises(AirflowFailException, match="A backfill cannot load logs again"):
            plan(tmp_path, "one", dag_run=SimpleNamespace(run_type="backfill"))
        assert repository.requests == []


def test_a_refused_key_ends_the_task_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeRepository() as repository:
        connect(monkeypatch, "one", repository)
        repository.password = "another"
        with pytest.raises(AirflowFailException, match="refused the API ID and key"):
            plan(tmp_path, "one")
        with pytest.raises(AirflowFailException, match="isn't defined"):
            plan(tmp_path, "nobody")


def test_whatever_fetches_is_in_the_pool_and_what_tells_of_the_pool_is_not() -> None:
    dag = imperva_logs_dag("pooled", lake_uri="file:///lake", pool="imperva_shop", fetch_slots=3)
    held = {task.task_id: (task.pool, task.pool_slots) for task in dag.tasks}
    assert held == {
        "wait_for_logs": ("default_pool", 1),
        "plan": ("imperva_shop", 1),
        "load.fetch": ("imperva_shop", 3),
        "load.normalize": ("imperva_shop", 1),
        "commit": ("default_pool", 1),
    }


def test_without_a_pool_all_is_as_airflow_has_it() -> None:
    dag = imperva_logs_dag("free", lake_uri="file:///lake", sensor_timeout=timedelta(minutes=1))
    assert {(task.pool, task.pool_slots) for task in dag.tasks} == {("default_pool", 1)}


@pytest.mark.parametrize(
    ("pool", "slots", "wanted"), [(None, 1, 6), ("imperva_shop", 4, 4), ("imperva_shop", 1, 1), ("imperva_shop", 9, 6)]
)
def test_a_fetch_has_no_more_requests_under_way_than_it_holds_slots(
    monkeypatch: pytest.MonkeyPatch, pool: str | None, slots: int, wanted: int
) -> None:
    with FakeRepository() as repository:
        connect(monkeypatch, "imperva_default", repository, max_concurrency=6)
        operator = ImpervaFetchLogsOperator(
            task_id="fetch", lake_uri="file:///lake", batch={}, pool=pool, pool_slots=slots
        )
        assert operator._most_requests(ImpervaLogHook()) == wanted


def test_a_batch_whose_plan_is_committed_without_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Skipped, it would have the commit skipped too, and the run would be green."""
    with FakeRepository() as repository:
        for log in forge_repository(1, events_per_log=1):
            repository.add(log.name, log.content)
        connect(monkeypatch, "imperva_default", repository)
        account = Account(repository, tmp_path)
        made = account.plan()
        fetched = msgspec.to_builtins(account.fetch(made))
        account.commit(made)
        operator = ImpervaNormalizeLogsOperator(task_id="normalize", lake_uri=tmp_path.as_uri(), fetched=fetched)
        context: Any = {"ti": TaskInstance("run")}
        with pytest.raises(AirflowFailException, match="was committed without batch 0"):
            operator.execute(context)
