"""Workers die, hang and lose answers where they are told to, and what follows from that for one task."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import Run
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.load.fetch import fetch
from airflow_provider_imperva.load.plan import make_plan
from airflow_provider_imperva.options import PlanOptions
from airflow_provider_imperva.repository.client import RepositoryClient
from airflow_provider_imperva.testing import FakeRepository, Fault, VirtualClock, forge_log
from tests.simulation.simulated_workers import Disk, Fate, Killed, WorkerStore, run_until_it_hangs


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(open_store(str(tmp_path)), VirtualClock())


@pytest.mark.parametrize(("after", "written"), [(False, ["1"]), (True, ["1", "2"])])
def test_a_worker_dies_before_or_after_an_operation_and_does_nothing_more(
    disk: Disk, after: bool, written: list[str]
) -> None:
    worker = WorkerStore(disk, Fate("dies", 2, after=after))
    worker.write("1", b"")
    with pytest.raises(Killed):
        worker.write("2", b"")
    for act in (lambda: worker.write("3", b""), lambda: worker.delete(["1"]), lambda: worker.read("1")):
        with pytest.raises(Killed):
            act()
    assert [item.path.strip("/") for item in disk.store.objects("")] == written


def test_a_worker_that_loses_an_answer_lives_on(disk: Disk) -> None:
    worker = WorkerStore(disk, Fate("loses the answer", 1, after=True))
    with pytest.raises(OSError, match="broke off"):
        worker.write("1", b"x")
    assert worker.read("1") == b"x"
    worker.write("2", b"")


@pytest.fixture
def repository() -> Iterator[FakeRepository]:
    with FakeRepository() as repository:
        yield repository


def test_a_fetch_that_was_overtaken_does_not_write_over_better_bytes(disk: Disk, repository: FakeRepository) -> None:
    """It hangs with a body that came cut; another brings the whole one; then it wakes."""
    content = forge_log("CEF:0|Incapsula|SIEMintegration|1|1|Normal|0| fileId=1\n")
    repository.add("8416_1.log", content)
    repository.fail("8416_1.log", Fault(shorten=0.5))
    address: dict[str, Any] = {"url": repository.url, "login": repository.login, "password": repository.password}
    with RepositoryClient(**address) as client:
        ledger = Ledger(WorkerStore(disk), repository.name)
        run = Run("dag", "run")
        plan = make_plan(ledger, client, run=run, key_ids=frozenset(), options=PlanOptions())
        assert plan
        hanging = WorkerStore(disk, Fate("hangs", 1, after=False))

        def fetch_into(store: WorkerStore) -> None:
            fetch(Ledger(store, repository.name), client, plan, 0, max_concurrency=1, window=timedelta(hours=48))

        hung = run_until_it_hangs(hanging, lambda: fetch_into(hanging))
        assert hung, "it ended without hanging"
        fetch_into(WorkerStore(disk))
        assert hung.wake() is None
    (name,) = repository.names()
    assert disk.store.read(ledger.layout.raw(name)) == content
