"""How long it takes from a log being listed to its events being queryable, in a real Airflow that is idle otherwise.

Run by ``make latency``, which prints the table of docs/benchmarks.md. Airflow's services run on this machine, with
PostgreSQL and the LocalExecutor; so whatever else the machine does is in the figures. Events are queryable when the
commit that names their parts is written.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.testing import FakeRepository, forge_repository
from tests.cluster import services
from tests.cluster.cluster import CannotStartError, Cluster, airflow, wait_for

WAYS: dict[str, tuple[str, dict[str, str]]] = {
    "by schedule": ("imperva_logs_to_parquet", {}),
    "on arrival": ("imperva_logs_on_arrival", {}),
}
"""The examples that are measured, as they are."""

_EXAMPLES = Path(__file__).parents[1] / "airflow_provider_imperva" / "examples" / "dags"
_EVENTS_PER_LOG = 200
_BETWEEN = (15.0, 45.0)
"""Seconds between two logs, at random, so that they hit every moment of a run and of the pauses between looks."""

_PATIENCE = 900


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="how long logs are published, each way")
    parser.add_argument("--way", choices=WAYS, action="append", help="only this one")
    arguments = parser.parse_args()
    print(
        f"| way | logs | p50 | p99 | longest | runs | task starts of an idle run | load of the machine |\n{'|---' * 8}|"
    )
    for way in arguments.way or WAYS:
        dag_id, settings = WAYS[way]
        try:
            with _airflow(dag_id, settings) as (cluster, repository, lake):
                print(f"| {way} {_measured(cluster, repository, lake, dag_id, minutes=arguments.minutes)}", flush=True)
        except CannotStartError as error:
            sys.exit(f"Airflow does not start: {error}")
    return 0


@contextmanager
def _airflow(dag_id: str, settings: dict[str, str]) -> Iterator[tuple[Cluster, FakeRepository, Path]]:
    with tempfile.TemporaryDirectory() as folder, FakeRepository() as repository:
        home = Path(folder)
        (home / "airflow").mkdir()
        dags = home / "dags"
        dags.mkdir()
        (dags / f"{dag_id}.py").write_text((_EXAMPLES / f"{dag_id}.py").read_text())
        connection = {
            "conn_type": "imperva",
            "host": repository.url,
            "login": repository.login,
            "password": repository.password,
        }
        environment = settings | {
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW_CONN_IMPERVA_DEFAULT": json.dumps(connection),
            "IMPERVA_LAKE_URI": (home / "lake").as_uri(),
        }
        with airflow(home, environment, names=services.ONE_MACHINE) as cluster:
            yield cluster, repository, home / "lake"


def _measured(cluster: Cluster, repository: FakeRepository, lake: Path, dag_id: str, *, minutes: float) -> str:
    ledger = Ledger(open_store(str(lake)), repository.name)
    pauses = random.Random(7)  # noqa: S311
    listed: dict[str, float] = {}

    def publish(number: int) -> None:
        (log,) = forge_repository(1, first=number, events_per_log=_EVENTS_PER_LOG, seed=number)
        repository.add(log.name, log.content)
        listed[log.name] = time.time()

    def all_are_queryable() -> bool:
        return listed.keys() <= _queryable(ledger, lake).keys()

    # The first one waits for Airflow to have started.
    publish(1)
    wait_for(all_are_queryable, "the first log", seconds=_PATIENCE, watch=cluster)
    listed.clear()
    load = []
    number, end = 2, time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        time.sleep(pauses.uniform(*_BETWEEN))
        publish(number)
        load.append(os.getloadavg()[0])
        number += 1
    wait_for(all_are_queryable, "the last log", seconds=_PATIENCE, watch=cluster)
    queryable = _queryable(ledger, lake)
    seconds = sorted(queryable[name] - at for name, at in listed.items())
    [(runs,)] = cluster.query(f"SELECT count(*) FROM dag_run WHERE dag_id = '{dag_id}'")  # noqa: S608
    p50, p99 = (_percentile(seconds, share) for share in (0.50, 0.99))
    return (
        f"| {len(seconds)} | {p50:.0f} s | {p99:.0f} s | {seconds[-1]:.0f} s | {runs} | {_idle_starts(cluster, dag_id)}"
        f" | {statistics.mean(load):.1f} |"
    )


def _queryable(ledger: Ledger, lake: Path) -> dict[str, float]:
    """Return when each log's events were queryable: when the commit that names their parts was written."""
    return {
        name: (lake / ledger.layout.commit(commit.commit)).stat().st_mtime
        for commit in ledger.commits()
        for name in ledger.logs(commit.commit)["name"].to_pylist()
    }


def _percentile(ascending: list[float], share: float) -> float:
    return ascending[min(int(share * len(ascending)), len(ascending) - 1)]


def _idle_starts(cluster: Cluster, dag_id: str) -> str:
    """Return the most tasks that a worker started in a run that loaded nothing."""
    started = f"SELECT sum((hostname <> '')::int) AS tasks FROM task_instance WHERE dag_id = '{dag_id}'"  # noqa: S608
    idle = f"{started} GROUP BY run_id HAVING bool_and(state = 'skipped')"
    [(most,)] = cluster.query(f"SELECT max(tasks) FROM ({idle}) AS runs")  # noqa: S608
    return "no idle run" if most is None else str(most)


if __name__ == "__main__":
    sys.exit(main())
