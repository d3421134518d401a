"""Two DAG files of the examples under a real scheduler and triggerer: no clock starts them, only events do."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from airflow_provider_imperva.testing import FakeRepository, forge_repository
from airflow_provider_imperva.testing.forge import FORGED_START
from tests.cluster import services
from tests.cluster.cluster import Cluster, airflow, wait_for
from tests.cluster.statsd_server import StatsdServer, statsd_server
from tests.examples import EXAMPLES

DAGS = EXAMPLES / "dags"
NAMES = ("imperva_logs_on_arrival", "imperva_daily_summary")
_SECONDS = 120
_DAY_MS = 24 * 3600 * 1000

pytestmark = [pytest.mark.slow, pytest.mark.cluster, pytest.mark.needs("postgresql"), pytest.mark.timeout(400)]


@pytest.fixture
def repository() -> Iterator[FakeRepository]:
    with FakeRepository() as started:
        yield started


@pytest.fixture
def metrics() -> Iterator[StatsdServer]:
    with statsd_server() as started:
        yield started


@pytest.fixture
def running(repository: FakeRepository, metrics: StatsdServer, tmp_path: Path) -> Iterator[Cluster]:
    """An Airflow that has both DAGs, and whose triggerer watches the repository."""
    folder = tmp_path / "dags"
    folder.mkdir()
    (tmp_path / "airflow").mkdir()
    for name in NAMES:
        shutil.copy(DAGS / f"{name}.py", folder)
    connection = {
        "conn_type": "imperva",
        "host": repository.url,
        "login": repository.login,
        "password": repository.password,
    }
    environment = metrics.environment() | {
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder),
        "AIRFLOW_CONN_IMPERVA_DEFAULT": json.dumps(connection),
        "IMPERVA_LAKE_URI": (tmp_path / "lake").as_uri(),
        "IMPERVA_POKE_SECONDS": "1",
        # DAG files are read again this often, in which the watcher's trigger comes about.
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",
    }
    with airflow(tmp_path, environment, names=services.ONE_MACHINE) as started:
        yield started


def test_logs_that_appear_are_loaded_and_summed_up(
    running: Cluster, repository: FakeRepository, metrics: StatsdServer, tmp_path: Path
) -> None:
    """The watcher fires, the load runs, its event has the summary made, and DuckDB counts the same in both tables."""
    lake = tmp_path / "lake"
    wait_for(lambda: running.query("SELECT 1 FROM trigger"), "the watcher", seconds=_SECONDS, watch=running)

    add(repository, 4, first=1, start=FORGED_START)
    wait_for(lambda: summary(lake).total() == 80, "the summary", seconds=_SECONDS, watch=running)
    assert summary(lake) == events(lake)
    unchanged = modified(lake)

    add(repository, 3, first=5, start=FORGED_START + 3 * _DAY_MS)
    wait_for(lambda: summary(lake).total() == 140, "the second summary", seconds=_SECONDS, watch=running)
    assert summary(lake) == events(lake)
    assert unchanged.items() <= modified(lake).items(), "days without new events are left as they are"

    assert metrics.total("imperva.rows", repository=repository.name) == 140, "workers send metrics too"

    told = asset_events(running, lake)
    assert [(extra["first_commit"], extra["commit"], extra["rows"]) for extra in told] == [(1, 1, 80), (2, 2, 60)]

    # However often the repository is looked at, it starts no more runs than there was work.
    time.sleep(8)
    assert running.query("SELECT dag_id, state, count(*) FROM dag_run GROUP BY dag_id, state ORDER BY dag_id") == [
        ("imperva_daily_summary", "success", 2),
        ("imperva_logs_on_arrival", "success", 2),
    ]


def add(repository: FakeRepository, count: int, *, first: int, start: int) -> None:
    """Serve logs with 20 events each, and list them all at once."""
    repository.index = "".join(f"8416_{number}.log\n" for number in range(1, first)).encode()
    for log in forge_repository(count, first=first, events_per_log=20, start=start):
        repository.add(log.name, log.content)
    repository.index = None


def summary(lake: Path) -> Counter[tuple[str, str]]:
    """Read the summary with DuckDB: events by date and class."""
    return counted(lake / "reports" / "daily_summary", "sum(events)")


def events(lake: Path) -> Counter[tuple[str, str]]:
    """Count the lake's events with DuckDB, by date and class."""
    return counted(lake / "events", "count(*)")


def counted(folder: Path, figure: str) -> Counter[tuple[str, str]]:
    if not any(folder.rglob("*.parquet")):
        return Counter()
    table = f"read_parquet('{folder}/**/*.parquet', hive_partitioning = true)"
    rows = duckdb.execute(
        f"SELECT event_date::text, event_class, {figure}::bigint FROM {table} GROUP BY ALL"
    ).fetchall()
    return Counter({(date, event_class): number for date, event_class, number in rows})


def modified(lake: Path) -> dict[Path, int]:
    """Return when each summary was written."""
    return {path: path.stat().st_mtime_ns for path in (lake / "reports").rglob("*.parquet")}


def asset_events(running: Cluster, lake: Path) -> list[dict[str, Any]]:
    """Return what the events of the lake's asset told, oldest first."""
    sql = "SELECT e.extra FROM asset_event e JOIN asset a ON a.id = e.asset_id WHERE a.uri = '{}' ORDER BY e.id"
    found = [extra for (extra,) in running.query(sql.format(f"{lake.as_uri()}/events"))]
    return [json.loads(extra) if isinstance(extra, str) else extra for extra in found]
