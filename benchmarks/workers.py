"""``python -m benchmarks.workers``: how much sooner two Celery workers have loaded the same batches than one.

A worker has one task at a time. The cluster is that of ``make test-cluster``, and needs PostgreSQL and Redis: Airflow's
own services, the S3 server and the fake repository are on the same machine, and take their part of its cores.
"""

from __future__ import annotations

import os
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from airflow_provider_imperva.testing import FakeRepository
from tests.cluster import scene
from tests.cluster.cluster import Batch, CannotStartError, Cluster, cluster, wait_for
from tests.cluster.services import WORKERS
from tests.crash.object_server import object_server

LOGS, LOGS_PER_BATCH, EVENTS_PER_LOG = 160, 16, 3500
LATENCY = 0.05
POOL_SLOTS = 16
_RUN_SECONDS = 900
_ENDED = ("success", "failed")


@dataclass(frozen=True)
class Load:
    """One load of all batches.

    :ivar seconds: from the first fetch to the end of the last batch.
    :ivar tasks: seconds of each task, by step.
    """

    seconds: float
    tasks: dict[str, list[float]]

    @property
    def in_tasks(self) -> float:
        """Seconds that tasks took, one added to the other."""
        return sum(map(sum, self.tasks.values()))

    def mean(self, step: str) -> float:
        """Seconds that a task of a step took on average."""
        return sum(self.tasks[step]) / len(self.tasks[step])


def main() -> None:
    """Measure with one worker and with two, and show."""
    console = Console()
    loads = {}
    for count in (1, 2):
        with tempfile.TemporaryDirectory() as folder, console.status(f"Loading with {count} of the workers"):
            loads[count] = _load(Path(folder), WORKERS[:count])
    table = Table("workers", "seconds", "a fetch", "a normalize", "all tasks", "tasks at once", title="Workers")
    for count, load in loads.items():
        table.add_row(
            str(count),
            f"{load.seconds:.0f}",
            f"{load.mean('fetch'):.1f} s",
            f"{load.mean('normalize'):.1f} s",
            f"{load.in_tasks:.0f} s",
            f"{load.in_tasks / load.seconds:.2f}",
        )
    console.print(table)
    console.print(
        f"Two workers are {loads[1].seconds / loads[2].seconds:.2f} times as fast as one, on {os.cpu_count()} cores. "
        f"{LOGS} logs in {-(-LOGS // LOGS_PER_BATCH)} batches, {EVENTS_PER_LOG} events each, a repository 50 ms away."
    )


def _load(folder: Path, workers: Sequence[str]) -> Load:
    (folder / "airflow").mkdir()
    with object_server(folder) as s3, FakeRepository(latency=LATENCY) as repository:
        scene.add_logs(repository, LOGS, events_per_log=EVENTS_PER_LOG, keys=folder / "keys")
        environment = scene.environment(repository, s3, logs_per_batch=LOGS_PER_BATCH, keys=folder / "keys")
        environment["AIRFLOW__CELERY__WORKER_CONCURRENCY"] = "1"
        with cluster(folder, environment, pool="imperva", slots=POOL_SLOTS, workers=workers) as started:
            wait_for(lambda: started.run_state() in _ENDED, "the run to end", seconds=_RUN_SECONDS, watch=started)
            return _measured(started)


def _measured(started: Cluster) -> Load:
    batches: list[Batch] = started.batches()
    if started.run_state() != "success" or any(batch.state != "success" for batch in batches):
        raise CannotStartError(f"the run ended as {started.run_state()}: {started.task_states()}")
    tasks = defaultdict(list)
    for batch in batches:
        tasks[batch.step].append(batch.seconds)
    ends = [(batch.ended.timestamp(), batch.seconds) for batch in batches if batch.ended]
    began = min(ended - seconds for ended, seconds in ends)
    return Load(max(ended for ended, _ in ends) - began, dict(tasks))


if __name__ == "__main__":
    main()
