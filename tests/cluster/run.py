"""``make test-cluster``: many workers load into S3, one of them is killed, and every event is there once.

PostgreSQL and Redis (Debian packages), Airflow's services with two Celery workers, an S3 server and a fake repository
are started as processes on loopback. All that they print is in ``.cluster/``.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import Commit
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.testing import FakeRepository
from tests.cluster import scene, services
from tests.cluster.cluster import Batch, CannotStartError, Cluster, cluster, wait_for
from tests.crash.object_server import BUCKET, CannotRunError, object_filesystem, object_server

FOLDER = Path(__file__).resolve().parents[2] / ".cluster"
LOGS = 400
LOGS_PER_BATCH = 40
EVENTS_PER_LOG = 250
POOL_SLOTS = 8
LATENCY = 0.05
_RUN_SECONDS = 600
_REACH_SECONDS = 0.5
"""Until what a worker has sent has reached the database."""

console = Console()


@dataclass(frozen=True)
class Kill:
    """A worker that was killed, and what it was doing.

    :ivar running: the tries that died with it.
    :ivar at: when, UTC.
    """

    worker: str
    running: list[Batch]
    at: datetime


def main() -> int:
    """Run it all; the exit code."""
    console.rule("[bold]airflow-provider-imperva: cluster")
    shutil.rmtree(FOLDER, ignore_errors=True)
    (FOLDER / "airflow").mkdir(parents=True)
    try:
        return run()
    except (CannotStartError, CannotRunError) as error:
        console.print(f"[bold red]Failed[/]: {error}", markup=True, highlight=False)
        return 1


def run() -> int:
    """Start all, load, kill, and look at what came of it."""
    began = time.monotonic()
    with object_server(FOLDER) as s3, FakeRepository(latency=LATENCY) as repository:
        repository.index = b""  # it lists nothing, so that the run has to wait for logs
        with console.status(f"Forging {LOGS} logs with {EVENTS_PER_LOG} events each"):
            expected = scene.add_logs(repository, LOGS, events_per_log=EVENTS_PER_LOG, keys=FOLDER / "keys")
        environment = scene.environment(repository, s3, logs_per_batch=LOGS_PER_BATCH, keys=FOLDER / "keys")
        console.print("Starting PostgreSQL, Redis, SeaweedFS and Airflow's services (what they print is in .cluster/)")
        with cluster(FOLDER, environment, pool="imperva", slots=POOL_SLOTS) as started:
            console.print(f"All of them run, after {time.monotonic() - began:.0f} s: {', '.join(started.processes)}")
            wait_for(
                lambda: started.has_deferred("wait_for_logs"),
                "the sensor to wait in the triggerer",
                watch=started,
            )
            console.print("The sensor waits in the triggerer. Now the repository lists its logs.")
            repository.index = None
            kill = load(started)
            state, batches = started.run_state(), started.batches()
        commits, rows = look(s3, expected)
        wrong = [
            *judge_run(state, batches, kill, commits),
            *judge_rows(rows),
            *judge_requests(repository),
        ]
    show(batches, kill, commits, rows, peak=repository.peak_requests, seconds=time.monotonic() - began)
    for complaint in wrong:
        console.print(f"[bold red]Wrong[/]: {complaint}")
    if not wrong:
        console.print("[bold green]Complete[/]: every event is in the lake once, though a worker was killed.")
    return 1 if wrong else 0


def load(started: Cluster) -> Kill:
    """Wait for the run to end, and kill a worker on the way."""
    kill: Kill | None = None
    victim = services.WORKERS[0]
    with batch_progress() as progress:
        bar = progress.add_task("batches normalized", total=-(-LOGS // LOGS_PER_BATCH))
        until = time.monotonic() + _RUN_SECONDS
        while started.run_state() not in ("success", "failed"):
            batches = started.batches()
            done = [batch for batch in batches if batch.step == "normalize" and batch.state == "success"]
            progress.update(bar, completed=len(done))
            if kill is None and (kill := kill_at_work(started, victim)):
                progress.console.print(f"[bold]Killed {victim}[/] (SIGKILL), which was at {words(kill.running)}")
            if dead := started.dead():
                raise CannotStartError(f"{dead[0]} has ended:\n{started.tail(dead[0])}")
            if time.monotonic() > until:
                raise CannotStartError(f"the run has not ended in {_RUN_SECONDS} s: {started.task_states()}")
            time.sleep(0.3)
    if kill is None:
        raise CannotStartError(f"{victim} was never seen at a second batch: no worker was killed")
    return kill


@contextmanager
def batch_progress() -> Iterator[Progress]:
    """Show how many batches are done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        yield progress


def kill_at_work(started: Cluster, victim: str) -> Kill | None:
    """Kill a worker if it has loaded a batch and is loading another; else let it go on."""
    if not at_work(started.batches(), victim):
        return None
    with started.frozen(victim):
        time.sleep(_REACH_SECONDS)
        running = at_work(started.batches(), victim)
        if not running:
            return None
        started.kill(victim)
    return Kill(victim, running, datetime.now(UTC))


def at_work(batches: list[Batch], victim: str) -> list[Batch]:
    """Return what a worker is doing, if it has loaded a batch and is loading another."""
    mine = [batch for batch in batches if batch.worker == victim]
    running = [batch for batch in mine if batch.state == "running"]
    has_loaded = any(batch.step == "normalize" and batch.state == "success" for batch in mine)
    return running if has_loaded and any(batch.step == "normalize" for batch in running) else []


@dataclass(frozen=True)
class Rows:
    """What DuckDB finds in the lake, held against what was forged."""

    expected: int
    found: int
    distinct: int
    missing: int
    foreign: int


def look(s3: str, expected: pa.Table) -> tuple[list[Commit], Rows]:
    """Copy the lake from the S3 server, and count."""
    fs = object_filesystem(s3)
    ledger = Ledger(open_store(scene.LAKE, fs=fs), "8416_1745073")
    commits = list(ledger.commits())
    fs.get(f"{BUCKET}/lake/", f"{FOLDER}/lake/", recursive=True)
    connection = duckdb.connect()
    connection.register("forged", expected)
    connection.sql(
        f"CREATE VIEW found AS SELECT src_file, CAST(src_line AS BIGINT) AS src_line, CAST(request_id AS VARCHAR) AS"
        f" request_id FROM read_parquet('{FOLDER}/lake/events/repository=*/**/*.parquet', hive_partitioning = true)"
    )

    def count(sql: str) -> int:
        [(number,)] = connection.sql(f"SELECT count(*) FROM ({sql})").fetchall()
        return int(number)

    return commits, Rows(
        expected=expected.num_rows,
        found=count("FROM found"),
        distinct=count("SELECT DISTINCT src_file, src_line FROM found"),
        missing=count("FROM forged EXCEPT ALL FROM found"),
        foreign=count("FROM found EXCEPT ALL FROM forged"),
    )


def judge_run(state: str | None, batches: list[Batch], kill: Kill, commits: list[Commit]) -> Iterator[str]:
    """Yield what is wrong with the run and its ledger."""
    if state != "success":
        yield f"the DAG run ended as {state}"
    loaded = Counter(batch.worker for batch in batches if batch.step == "normalize" and batch.state == "success")
    if sum(loaded.values()) < LOGS // LOGS_PER_BATCH:
        yield f"{sum(loaded.values())} batches were loaded, and not {LOGS // LOGS_PER_BATCH}"
    if idle := [worker for worker in services.WORKERS if not loaded[worker]]:
        yield f"{', '.join(idle)} loaded nothing"
    for lost in kill.running:
        if done_again(lost, batches) is None:
            yield f"{words([lost])} was not done again after {kill.worker} was killed"
    if [commit.failed_batches for commit in commits] != [()]:
        yield f"one commit without a failed batch was to be, and there are {len(commits)}"


def done_again(lost: Batch, batches: list[Batch]) -> Batch | None:
    """Return the later try that did what a lost one had begun."""
    for batch in batches:
        same = (batch.step, batch.number) == (lost.step, lost.number)
        if same and batch.attempt > lost.attempt and batch.state == "success":
            return batch
    return None


def judge_rows(rows: Rows) -> Iterator[str]:
    """Yield what is wrong with the lake."""
    if (rows.found, rows.distinct, rows.missing, rows.foreign) != (rows.expected, rows.expected, 0, 0):
        yield f"of {rows.expected:,} events {rows.missing:,} are missing, and {rows.foreign:,} there are not from a log"


def judge_requests(repository: FakeRepository) -> Iterator[str]:
    """Yield what is wrong with how the repository was asked."""
    if repository.peak_requests > POOL_SLOTS:
        yield f"{repository.peak_requests} requests were under way at once, and the pool allows {POOL_SLOTS}"
    asked = Counter(request.path for request in repository.requests if request.path.endswith(".log"))
    if len(asked) != LOGS:
        yield f"{len(asked)} of {LOGS} logs were asked for"


def words(batches: list[Batch]) -> str:
    """Name tries."""
    return ", ".join(f"{batch.step} of batch {batch.number} (try {batch.attempt})" for batch in batches)


def show(batches: list[Batch], kill: Kill, commits: list[Commit], rows: Rows, *, peak: int, seconds: float) -> None:
    """Print the report."""
    table = Table(title="Batches by worker", title_justify="left")
    for column in ("batch", "fetched by", "normalized by", "tries that died"):
        table.add_column(column)
    for number in sorted({batch.number for batch in batches}):
        tries = [batch for batch in batches if batch.number == number]
        done = {batch.step: batch for batch in tries if batch.state == "success"}
        died = [f"{batch.step} on {batch.worker}" for batch in tries if batch.state != "success"]
        table.add_row(
            str(number),
            *(
                f"{done[step].worker} in {done[step].seconds:.1f} s" if step in done else ""
                for step in ("fetch", "normalize")
            ),
            ", ".join(died),
        )
    console.print(table)
    loaded = Counter(batch.worker for batch in batches if batch.step == "normalize" and batch.state == "success")
    console.print("Batches loaded:", ", ".join(f"{worker} {number}" for worker, number in sorted(loaded.items())))
    for lost in kill.running:
        line = f"{kill.worker} was killed at {words([lost])}"
        if (again := done_again(lost, batches)) and again.ended:
            waited = (again.ended - kill.at).total_seconds()
            line += f"; {again.worker} had done it again {waited:.0f} s later (try {again.attempt})"
        console.print(f"{line}.")
    console.print(f"The repository saw at most {peak} requests at once; its pool has {POOL_SLOTS} slots.")
    for commit in commits:
        states = ", ".join(f"{number} {state}" for state, number in commit.totals.logs.items())
        console.print(
            f"Ledger: commit {commit.commit} of run {commit.run.run_id}: logs: {states}; {commit.totals.rows:,} rows"
        )
    counts = Table(title="What DuckDB finds in the lake", title_justify="left")
    for name in ("forged", "rows", "distinct lines", "missing", "not from a log"):
        counts.add_column(name, justify="right")
    counts.add_row(
        *(f"{number:,}" for number in (rows.expected, rows.found, rows.distinct, rows.missing, rows.foreign))
    )
    console.print(counts)
    console.print(f"It took {seconds:.0f} s.")


if __name__ == "__main__":
    sys.exit(main())
