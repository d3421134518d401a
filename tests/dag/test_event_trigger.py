"""The trigger of the asset watcher: an event for other work, not for each log nor for the same work again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowNotFoundException
from airflow.sdk import Connection
from airflow.triggers.base import BaseEventTrigger

from airflow_provider_imperva.hooks.imperva import ImpervaLogHook
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import Run
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.load.plan import make_plan
from airflow_provider_imperva.options import PlanOptions
from airflow_provider_imperva.repository.client import RepositoryClient
from airflow_provider_imperva.testing import FakeRepository, forge_repository
from airflow_provider_imperva.triggers.event import ImpervaLogEventTrigger, Watch

pytestmark = pytest.mark.usefixtures("connection")

_LOOKS = 0.3
"""Seconds in which the trigger has looked several times."""


def trigger(lake: Path, **options: Any) -> ImpervaLogEventTrigger:
    return ImpervaLogEventTrigger(
        imperva_conn_id="imperva_default",
        lake_uri=lake.as_uri(),
        **{"poke_interval": 0.02, "min_interval": 0, **options},
    )


def add(repository: FakeRepository, *, first: int, count: int = 2) -> None:
    for log in forge_repository(count, first=first, events_per_log=1):
        repository.add(log.name, log.content)


class Triggerer:
    """Runs a trigger, and gathers what it fires."""

    def __init__(self, given: ImpervaLogEventTrigger) -> None:
        self.fired: list[dict[str, Any]] = []
        self._given = given

    async def _run(self) -> None:
        async for event in self._given.run():
            self.fired.append(event.payload)

    async def __aenter__(self) -> Triggerer:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()

    async def until(self, events: int) -> None:
        """Wait for as many events, then for a while longer, in which no other may come."""
        async with asyncio.timeout(20):
            while len(self.fired) < events:
                assert not self._task.done(), self._task.result()
                await asyncio.sleep(0.01)
        await asyncio.sleep(_LOOKS)


def test_it_fires_once_for_a_backlog_and_again_when_there_is_more(repository: FakeRepository, tmp_path: Path) -> None:
    async def watch() -> list[int]:
        async with Triggerer(trigger(tmp_path)) as running:
            await running.until(0)
            assert running.fired == [], "nothing to load"
            add(repository, first=1, count=3)
            # The logs may have come one by one between two looks.
            await running.until(1)
            before = len(running.fired)
            await asyncio.sleep(_LOOKS)
            assert len(running.fired) == before, "the same backlog"
            add(repository, first=4, count=1)
            await running.until(before + 1)
            return [event["logs"] for event in running.fired]

    logs = asyncio.run(watch())
    assert logs[-2:] == [3, 4]


def test_two_triggerers_say_the_same_and_change_nothing(repository: FakeRepository, tmp_path: Path) -> None:
    add(repository, first=1)

    async def watch() -> None:
        async with Triggerer(trigger(tmp_path)) as one, Triggerer(trigger(tmp_path)) as other:
            await one.until(1)
            await other.until(1)
            assert one.fired == other.fired
            assert len(one.fired) == 1

    asyncio.run(watch())
    assert list(tmp_path.rglob("*")) == []


def test_a_repository_that_cannot_be_read_is_an_event(repository: FakeRepository, tmp_path: Path) -> None:
    """Then the run fails, and people hear of it; a trigger that dies would only be missed when logs are lost."""
    repository.password = "another"

    async def watch() -> list[dict[str, Any]]:
        async with Triggerer(trigger(tmp_path)) as running:
            await running.until(1)
            return running.fired

    [event] = asyncio.run(watch())
    assert "refused the API ID and key (HTTP 401)" in event["error"]


@pytest.mark.parametrize("trouble", ["no connection", "secrets backend"])
def test_it_survives_any_error_of_a_look_and_says_it(
    trouble: str, repository: FakeRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on when the trouble is over: nobody starts a trigger again that has ended."""
    add(repository, first=1, count=2)
    real, broken = ImpervaLogHook.aget_connection, [True]

    async def sometimes(conn_id: str) -> Connection:
        if broken and trouble == "no connection":
            raise AirflowNotFoundException(f"The conn_id `{conn_id}` isn't defined")
        if broken:
            raise ConnectionError("the vault's own words: hidden")
        return await real(conn_id)

    monkeypatch.setattr(ImpervaLogHook, "aget_connection", sometimes)

    async def watch() -> list[dict[str, Any]]:
        async with Triggerer(trigger(tmp_path)) as running:
            await running.until(1)
            broken.clear()
            await running.until(2)
            return running.fired

    error, work = asyncio.run(watch())[:2]
    assert ("isn't defined" if trouble == "no connection" else "ConnectionError") in error["error"]
    assert "hidden" not in error["error"]
    assert work["logs"] == 2


def test_a_run_under_way_is_no_event(repository: FakeRepository, tmp_path: Path) -> None:
    add(repository, first=1)
    with RepositoryClient(url=repository.url, login=repository.login, password=repository.password) as client:
        ledger = Ledger(open_store(str(tmp_path)), client.repository)
        make_plan(ledger, client, run=Run("dag", "run"), key_ids=frozenset(), options=PlanOptions())

    async def watch() -> list[dict[str, Any]]:
        async with Triggerer(trigger(tmp_path)) as running:
            await running.until(0)
            return running.fired

    assert asyncio.run(watch()) == []


def test_it_survives_its_serialization(tmp_path: Path) -> None:
    given = trigger(tmp_path, plan_options={"max_logs": 5})
    path, arguments = given.serialize()
    assert isinstance(given, BaseEventTrigger)
    assert path == "airflow_provider_imperva.triggers.event.ImpervaLogEventTrigger"
    again = ImpervaLogEventTrigger(**arguments)
    assert again.serialize() == (path, arguments)
    assert BaseEventTrigger.hash(path, arguments) == BaseEventTrigger.hash(*again.serialize())


@pytest.fixture
def watch() -> Watch:
    return Watch(min_interval=300, remind_interval=3600)


def work(digest: str) -> dict[str, Any]:
    return {"logs": 1, "closed_gaps": 0, "recover": None, "digest": digest}


def recovery(plan: int) -> dict[str, Any]:
    return {"logs": 0, "closed_gaps": 0, "recover": plan, "digest": ""}


class TestWatch:
    def test_other_work_waits_until_the_least_time_has_passed(self, watch: Watch) -> None:
        assert watch.is_due(work("a"), at=0)
        assert not watch.is_due(work("b"), at=299)
        assert watch.is_due(work("b"), at=300)

    def test_the_same_work_is_told_again_only_as_a_reminder(self, watch: Watch) -> None:
        """The run that it was told for may have failed, and in a quiet account nothing else would start another."""
        assert [at for at in range(0, 9000, 60) if watch.is_due(work("a"), at=at)] == [0, 3600, 7200]

    def test_what_a_run_leaves_behind_does_not_start_runs_in_a_row(self, watch: Watch) -> None:
        """A log that never comes is left after each run, and each run has a plan."""
        assert watch.is_due(work("stuck"), at=0)
        looks = [recovery(1), work("stuck"), recovery(2), work("stuck")]
        assert not any(watch.is_due(found, at=300 * number) for number, found in enumerate(looks, 1))

    def test_a_plan_that_stays_is_that_of_a_dead_run(self, watch: Watch) -> None:
        assert [at for at in range(0, 4000, 60) if watch.is_due(recovery(1), at=at)] == [3600]

    def test_recovering_a_dead_run_does_not_make_its_work_new(self, watch: Watch) -> None:
        """What was told before the run died, and is still there once its plan is recovered, waits for the reminder."""
        assert watch.is_due(work("a"), at=0)
        assert [at for at in range(60, 4000, 60) if watch.is_due(recovery(1), at=at)] == [3660]
        assert [at for at in range(4020, 8000, 60) if watch.is_due(work("a"), at=at)] == [7260]

    def test_a_run_of_another_plan_is_given_its_time(self, watch: Watch) -> None:
        assert not watch.is_due(recovery(1), at=0)
        assert not watch.is_due(recovery(2), at=3000)
        assert not watch.is_due(recovery(2), at=3700)
        assert watch.is_due(recovery(2), at=6600)
