"""A pool that is missing, or has fewer slots than a task takes, fails the first task: else the run would hang."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.models.dagrun import DagRun
from airflow.models.pool import Pool
from airflow.providers.common.compat.sdk import AirflowFailException
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from airflow_provider_imperva.dag import imperva_logs_dag
from airflow_provider_imperva.plugins.imperva import ImpervaPlugin
from airflow_provider_imperva.plugins.pools import on_dag_run_running
from airflow_provider_imperva.retries import POOLS_FOUND
from airflow_provider_imperva.sensors.imperva import ImpervaLogSensor


def found(dag: Any, pools: dict[str, int], *, conf: dict[str, Any] | None = None) -> dict[str, Any]:
    """Start a run as the scheduler does, with these pools in its database, and return the run's ``conf``."""
    engine = create_engine("sqlite://")
    Pool.__table__.create(engine)
    with Session(engine, autoflush=False) as session:
        for name, slots in {"default_pool": 128, **pools}.items():
            session.execute(Pool.__table__.insert().values(pool=name, slots=slots, include_deferred=False))
        run = DagRun(dag_id=dag.dag_id, run_id="one", run_type="manual", conf=conf)
        run.dag = dag
        session.add(run)
        on_dag_run_running(run)
        session.expunge(run)
    return run.conf or {}


def dag_of(**settings: Any) -> Any:
    return imperva_logs_dag("shop", lake_uri="file:///lake", **settings)


def test_a_pool_that_does_not_exist() -> None:
    told = found(dag_of(pool="shop", fetch_slots=4), {})
    assert told == {POOLS_FOUND: ["the pool shop does not exist, and the task load.fetch is in it"]}


def test_a_pool_smaller_than_fetch_slots() -> None:
    told = found(dag_of(pool="shop", fetch_slots=8), {"shop": 7}, conf={"start_anew": True})
    assert told == {"start_anew": True, POOLS_FOUND: ["the pool shop has 7 slots, and the task load.fetch takes 8"]}


@pytest.mark.parametrize("slots", [8, 9, -1])
def test_a_pool_that_is_large_enough_or_has_no_bound(slots: int) -> None:
    assert found(dag_of(pool="shop", fetch_slots=8), {"shop": slots}) == {}
    assert found(dag_of(), {}) == {}


def test_a_pool_of_a_single_task_is_looked_at_too() -> None:
    told = found(dag_of(task_options={"commit": {"pool": "heavy"}}), {})
    assert told == {POOLS_FOUND: ["the pool heavy does not exist, and the task commit is in it"]}


def test_other_dags_are_left_alone() -> None:
    from airflow.sdk import DAG, BaseOperator

    with DAG("other") as other:
        BaseOperator(task_id="one", pool="nobody_made_it")
    assert found(other, {}) == {}


@pytest.mark.parametrize("deferrable", [True, False])
def test_the_first_task_fails_for_good_and_says_what_to_do(deferrable: bool) -> None:
    sensor = ImpervaLogSensor(task_id="wait", lake_uri="file:///lake", deferrable=deferrable, soft_fail=True)
    run = SimpleNamespace(run_type="scheduled", conf={POOLS_FOUND: ["the pool shop does not exist"]})
    with pytest.raises(AirflowFailException, match=r"the pool shop does not exist.*airflow pools set"):
        sensor.execute({"dag_run": run})


def test_it_is_in_no_pool_that_could_hold_it_up() -> None:
    assert dag_of(pool="shop").get_task("wait_for_logs").pool == "default_pool"


def test_airflow_is_told_of_the_listener() -> None:
    (listener,) = ImpervaPlugin.listeners
    assert vars(listener)["on_dag_run_running"] is on_dag_run_running
