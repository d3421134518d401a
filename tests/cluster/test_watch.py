"""A run that can never go on, and a lake that nobody loads: a real scheduler tells of both."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk import DAG

from airflow_provider_imperva.testing import FakeRepository
from tests.cluster import services
from tests.cluster.cluster import CannotStartError, Cluster, airflow, wait_for

DAG_FILE = """
import os
from datetime import timedelta

from airflow_provider_imperva.dag import imperva_logs_dag, imperva_watch_dag
from airflow_provider_imperva.deadline import imperva_deadline_alert

LAKE = os.environ["IMPERVA_LAKE_URI"]

loads = imperva_logs_dag(
    "loads",
    lake_uri=LAKE,
    schedule=timedelta(minutes=10),
    task_options={"wait_for_logs": {"pool": "nobody_made_it"}},
    deadline=imperva_deadline_alert(timedelta(seconds=5)),
)
idles = imperva_logs_dag("idles", lake_uri=LAKE, schedule="@once", sensor_timeout=timedelta(seconds=5))
watches = imperva_watch_dag("watches", lake_uri=LAKE, schedule=timedelta(minutes=1))
hangs = imperva_logs_dag(
    "hangs",
    lake_uri=LAKE,
    schedule="@once",
    task_options={"wait_for_logs": {"pool": "nobody_made_it"}},
    dagrun_timeout=timedelta(seconds=20),
)
no_pool = imperva_logs_dag("no_pool", lake_uri=LAKE, schedule="@once", pool="nobody_made_it")
small_pool = imperva_logs_dag("small_pool", lake_uri=LAKE, schedule="@once", pool="small", fetch_slots=8)
"""
_SECONDS = 240

pytestmark = [pytest.mark.slow, pytest.mark.cluster, pytest.mark.needs("postgresql"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    home = tmp_path_factory.mktemp("cluster")
    folder = home / "dags"
    folder.mkdir()
    (home / "airflow").mkdir()
    (folder / "both.py").write_text(DAG_FILE)
    with FakeRepository() as repository:
        connection = {
            "conn_type": "imperva",
            "host": repository.url,
            "login": repository.login,
            "password": repository.password,
        }
        environment = {
            "AIRFLOW__CORE__DAGS_FOLDER": str(folder),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW_CONN_IMPERVA_DEFAULT": json.dumps(connection),
            "IMPERVA_LAKE_URI": (home / "lake").as_uri(),
        }
        pools = [services.create_pool("small", 2)]
        with airflow(home, environment, names=services.ONE_MACHINE, set_up=pools) as started:
            yield started


def test_an_idle_run_starts_one_task_once(running: Cluster) -> None:
    """The others are skipped by the scheduler, and the end of the wait comes from the triggerer."""

    def ended() -> bool:
        return running.query("SELECT state FROM dag_run WHERE dag_id = 'idles'") == [("success",)]

    wait_for(ended, "the end of the idle run", seconds=_SECONDS, watch=running)
    tasks = running.query("SELECT task_id, state, hostname <> '' FROM task_instance WHERE dag_id = 'idles'")
    assert {state for _, state, _ in tasks} == {"skipped"}
    assert [task for task, _, started in tasks if started] == ["wait_for_logs"]
    # Of its last attempt, since on a busy machine Airflow may have given up the first before it ran.
    log = max(running.folder.rglob("dag_id=idles/**/attempt=?.log")).read_text(errors="replace")
    assert log.count("Filling up the DagBag") == 1, "a worker has started it once, and not once more to end it"


def test_a_run_that_cannot_go_on_and_a_lake_that_nobody_loads_are_told(running: Cluster) -> None:
    """The one run waits for a pool that nobody has made, so that none of its tasks ever fails."""

    def watch_failed() -> bool:
        sql = "SELECT state FROM task_instance WHERE dag_id = 'watches' AND try_number = 1"
        return ("failed",) in running.query(sql)

    def deadline_told() -> bool:
        log = (running.folder / "triggerer.log").read_text(errors="replace")
        return "has not ended 0:00:05 after it was queued" in log

    wait_for(watch_failed, "the watch", seconds=_SECONDS, watch=running)
    wait_for(deadline_told, "the deadline alert", seconds=_SECONDS, watch=running)
    assert running.query("SELECT DISTINCT state FROM dag_run WHERE dag_id = 'loads'") == [("running",)]

    def hanging_ended() -> bool:
        return running.query("SELECT state FROM dag_run WHERE dag_id = 'hangs'") == [("failed",)]

    wait_for(hanging_ended, "the end of the run that hangs", seconds=_SECONDS, watch=running)
    states = running.query("SELECT DISTINCT state FROM task_instance WHERE dag_id = 'hangs'")
    assert states == [("skipped",)], "none of its tasks is to be started any more"
    [(tries,)] = running.query("SELECT max(try_number) FROM task_instance WHERE dag_id = 'watches'")
    assert tries == 1, "nobody has to wait for retries to hear of it"


@pytest.mark.parametrize(
    ("dag", "found"),
    [
        ("no_pool", "the pool nobody_made_it does not exist, and the task load.fetch is in it"),
        ("small_pool", "the pool small has 2 slots, and the task load.fetch takes 8"),
    ],
)
def test_a_pool_that_is_missing_or_too_small_fails_the_first_task(running: Cluster, dag: str, found: str) -> None:
    """At once and without retries, instead of a run that hangs."""

    def failed() -> bool:
        return running.query(f"SELECT state FROM dag_run WHERE dag_id = '{dag}'") == [("failed",)]

    wait_for(failed, "the end of the run", seconds=_SECONDS, watch=running)
    tasks = dict(running.query(f"SELECT task_id, state FROM task_instance WHERE dag_id = '{dag}'"))
    assert tasks.pop("wait_for_logs") == "failed"
    assert set(tasks.values()) == {"upstream_failed"}
    (log,) = running.folder.rglob(f"dag_id={dag}/**/task_id=wait_for_logs/attempt=1.log")
    assert found in log.read_text(errors="replace")


def test_a_backfill_is_refused_by_airflow_itself(running: Cluster) -> None:
    """Before it makes a run."""
    if "allowed_run_types" not in inspect.signature(DAG).parameters:
        pytest.skip("this Airflow cannot shut them out; the first task refuses (tests/dag/test_sensor.py)")
    wait_for(
        lambda: bool(running.query("SELECT 1 FROM dag WHERE dag_id = 'loads'")),
        "the DAG",
        seconds=_SECONDS,
        watch=running,
    )
    until = datetime.now(UTC).replace(microsecond=0, tzinfo=None)
    since = until - timedelta(hours=1)
    dates = ["--from-date", since.isoformat(), "--to-date", until.isoformat()]
    with pytest.raises(CannotStartError, match="does not allow backfill runs"):
        running.run(["airflow", "backfill", "create", "--dag-id", "loads", *dates])
    assert running.query("SELECT count(*) FROM backfill") == [(0,)]
    assert running.query("SELECT count(*) FROM dag_run WHERE run_type = 'backfill'") == [(0,)]
