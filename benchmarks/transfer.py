"""``python -m benchmarks.transfer``: what the network costs, as ratios of medians of one run.

How much sooner the logs of a far repository are in ``raw/`` when they are fetched side by side, and how much longer a
load takes into a lake on S3 (SeaweedFS, on loopback) than into one on disk.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.lake.commit import commit_plan
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import Plan, Run
from airflow_provider_imperva.lake.store import Store, open_store
from airflow_provider_imperva.load.fetch import fetch
from airflow_provider_imperva.load.normalize import normalize
from airflow_provider_imperva.load.plan import make_plan
from airflow_provider_imperva.options import PlanOptions
from airflow_provider_imperva.repository.client import RepositoryClient
from airflow_provider_imperva.testing import FakeRepository, forge_repository
from tests.crash.object_server import BUCKET, object_filesystem, object_server

FETCHES, LOADS = 3, 21
"""How often each is measured. A load takes a second or two, in which a disk may well be busy with something else."""
LATENCY = 0.05
FAR_LOGS, FAR_LOG_BYTES = 500, 200_000
CONCURRENCY = 16
LOADED_LOGS, LOADED_EVENTS = 16, 3500
"""What makes a batch of some 64 MB of plain text."""

Address = Mapping[str, str]
_STOP = "stop"


def main() -> None:
    """Measure, and show."""
    console = Console()
    table = Table("", "median", "", title="Transfer")
    with tempfile.TemporaryDirectory() as folder:
        seconds, peak = _fetching(Path(folder))
        ratio = seconds[1] / seconds[CONCURRENCY]
        table.add_row(f"{FAR_LOGS} logs of {FAR_LOG_BYTES // 1000} kB, 50 ms away, one by one", _s(seconds[1]), "")
        table.add_row(f"the same, {CONCURRENCY} side by side", _s(seconds[CONCURRENCY]), f"{ratio:.1f} times as fast")
        table.add_row("the most requests under way at once", str(peak), f"{CONCURRENCY} allowed")
    with tempfile.TemporaryDirectory() as folder:
        megabytes, loads = _loading(Path(folder))
        ratio = loads["S3"] / loads["disk"]
        table.add_row(f"a load of {megabytes:.0f} MB of plain text onto disk", _s(loads["disk"]), "")
        table.add_row("the same onto S3", _s(loads["S3"]), f"{ratio:.2f} times as long")
    console.print(table)
    console.print(f"Medians of {FETCHES} and of {LOADS}, on {os.cpu_count()} cores.")


def _s(seconds: float) -> str:
    return f"{seconds:.2f} s"


def _fetching(folder: Path) -> tuple[dict[int, float], int]:
    """Fetch one by one and side by side, by turns; return the medians and the most requests at once."""
    seconds: dict[int, list[float]] = {1: [], CONCURRENCY: []}
    with _repository(_serve_blobs, LATENCY) as (address, peak):
        for run in range(FETCHES):
            for concurrency, times in seconds.items():
                ledger = Ledger(open_store(str(folder / f"{run}-{concurrency}")), "8416_1")
                with _client(address, concurrency) as client:
                    plan = _plan(ledger, client)
                    began = time.perf_counter()
                    fetch(ledger, client, plan, 0, max_concurrency=concurrency, window=timedelta(hours=48))
                    times.append(time.perf_counter() - began)
        return {concurrency: statistics.median(times) for concurrency, times in seconds.items()}, peak()


def _loading(folder: Path) -> tuple[float, dict[str, float]]:
    """Load the same batch onto disk and onto S3, by turns; return MB of plain text and the medians."""
    seconds: dict[str, list[float]] = {"disk": [], "S3": []}
    with object_server(folder) as server, _repository(_serve_events, 0.0) as (address, _):
        fs = object_filesystem(server)
        # The first of each is to get warm, and does not count.
        for run in range(LOADS + 1):
            for kind in seconds:
                store = (
                    open_store(f"s3://{BUCKET}/{run}", fs=fs) if kind == "S3" else open_store(str(folder / f"{run}"))
                )
                began = time.perf_counter()
                _load(store, address)
                seconds[kind].append(time.perf_counter() - began)
    megabytes = sum(len(event) + 1 for log in _logs() for event in log.events) / 1e6
    return megabytes, {kind: statistics.median(times[1:]) for kind, times in seconds.items()}


def _load(store: Store, address: Address) -> None:
    ledger = Ledger(store, "8416_1")
    with _client(address, CONCURRENCY) as client:
        plan = _plan(ledger, client)
        fetched = fetch(ledger, client, plan, 0, max_concurrency=CONCURRENCY, window=timedelta(hours=48))
        normalize(ledger, client, KeyRing(), plan, fetched)
        commit_plan(ledger, plan, by=plan.run, provider_version="0", at=plan.created_at)


def _plan(ledger: Ledger, client: RepositoryClient) -> Plan:
    options = PlanOptions(logs_per_batch=1000)
    plan = make_plan(ledger, client, run=Run("benchmark", "b"), key_ids=frozenset(), options=options)
    if plan is None:
        raise RuntimeError("the repository has nothing to load")
    return plan


def _client(address: Address, concurrency: int) -> RepositoryClient:
    return RepositoryClient(
        url=address["url"], login=address["login"], password=address["password"], max_concurrency=concurrency
    )


@contextmanager
def _repository(
    serve: Callable[[Connection, float], None], latency: float
) -> Iterator[tuple[Address, Callable[[], int]]]:
    """Run a repository in a process of its own; yield its address, and what asks it for the most requests at once."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs, latency))
    process.start()
    try:
        yield ours.recv(), lambda: _ask(ours)
    finally:
        ours.send(_STOP)
        process.join()


def _serve_blobs(connection: Connection, latency: float) -> None:
    contents = {f"8416_{number}.log": os.urandom(FAR_LOG_BYTES) for number in range(1, FAR_LOGS + 1)}
    _serve(connection, contents, latency)


def _serve_events(connection: Connection, latency: float) -> None:
    _serve(connection, {log.name: log.content for log in _logs()}, latency)


def _serve(connection: Connection, contents: Mapping[str, bytes], latency: float) -> None:
    with FakeRepository(name="8416_1", latency=latency) as repository:
        for name, content in contents.items():
            repository.add(name, content)
        connection.send({"url": repository.url, "login": repository.login, "password": repository.password})
        while connection.recv() != _STOP:
            connection.send(repository.peak_requests)


def _ask(ours: Connection) -> int:
    ours.send("peak")
    return int(ours.recv())


def _logs() -> Sequence[Any]:
    return list(forge_repository(LOADED_LOGS, events_per_log=LOADED_EVENTS, seed=1))


if __name__ == "__main__":
    main()
