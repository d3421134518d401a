"""The sensor and its trigger: what counts as work, told alike whether it waits here or in the triggerer."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)
from airflow.sdk import BaseHook, Connection
from airflow.triggers.base import TaskSkippedEvent, TriggerEvent
from asgiref.sync import async_to_sync

from airflow_provider_imperva.hooks.imperva import ImpervaLogHook
from airflow_provider_imperva.lake.claim import claim
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import Run
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.load.plan import make_plan
from airflow_provider_imperva.options import PlanOptions
from airflow_provider_imperva.repository.client import RepositoryClient
from airflow_provider_imperva.sensors.imperva import ImpervaLogSensor
from airflow_provider_imperva.testing import FakeRepository, Fault, forge_repository
from airflow_provider_imperva.triggers.imperva import ImpervaLogTrigger

pytestmark = pytest.mark.usefixtures("connection")


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


def sensor(lake: Path, *, deferrable: bool, timeout: float = 1, soft_fail: bool = False) -> ImpervaLogSensor:
    return ImpervaLogSensor(
        task_id="wait",
        lake_uri=lake.as_uri(),
        deferrable=deferrable,
        timeout=timeout,
        poke_interval=0.2,
        soft_fail=soft_fail,
    )


def trigger(lake: Path, *, deadline: float, lake_conn_id: str | None = None) -> ImpervaLogTrigger:
    return ImpervaLogTrigger(
        imperva_conn_id="imperva_default",
        lake_uri=lake.as_uri(),
        lake_conn_id=lake_conn_id,
        poke_interval=0.1,
        deadline=time.time() + deadline,
        plan_options={},
    )


async def first_event(given: ImpervaLogTrigger) -> TriggerEvent:
    return await anext(given.run())


def fire(given: ImpervaLogTrigger) -> dict[str, Any]:
    payload = asyncio.run(first_event(given)).payload
    assert isinstance(payload, dict)
    return payload


def add_logs(repository: FakeRepository, count: int = 2) -> None:
    for log in forge_repository(count, events_per_log=1):
        repository.add(log.name, log.content)


@pytest.mark.parametrize("deferrable", [True, False])
def test_new_logs_are_work_at_once(repository: FakeRepository, lake: Path, deferrable: bool) -> None:
    add_logs(repository)
    work = sensor(lake, deferrable=deferrable).execute({})
    assert {name: work[name] for name in ("logs", "closed_gaps", "recover")} == {
        "logs": 2,
        "closed_gaps": 0,
        "recover": None,
    }


def test_deferred_and_not_give_the_same(repository: FakeRepository, lake: Path) -> None:
    """Logs that come while it waits."""
    with pytest.raises(TaskDeferred) as deferred:
        sensor(lake, deferrable=True).execute({})
    add_logs(repository)
    event = fire(deferred.value.trigger)
    resumed = getattr(sensor(lake, deferrable=True), deferred.value.method_name)({}, event)
    assert resumed == sensor(lake, deferrable=False).execute({})


@pytest.mark.parametrize("deferrable", [True, False])
def test_time_up_with_nothing_to_do_is_a_skip(lake: Path, deferrable: bool) -> None:
    if not deferrable:
        with pytest.raises(AirflowSkipException, match="Nothing new"):
            sensor(lake, deferrable=False).execute({})
        return
    event = asyncio.run(first_event(trigger(lake, deadline=0.3)))
    assert isinstance(event, TaskSkippedEvent), "no worker has to start once more to say that there was nothing"
    with pytest.raises(AirflowSkipException, match="Nothing new"):
        sensor(lake, deferrable=True).resume({}, event.payload)


def test_a_triggerer_that_does_not_answer_makes_the_run_red(lake: Path) -> None:
    """Deferred for ever, the one active run would keep every other from beginning; skipped, nobody would hear of it."""
    with pytest.raises(TaskDeferred) as deferred:
        sensor(lake, deferrable=True, timeout=540).execute({})
    assert deferred.value.timeout is not None
    assert 540 < deferred.value.timeout.total_seconds() <= 540 + 600
    with pytest.raises(AirflowSensorTimeout, match="the triggerer did not answer"):
        # As Airflow resumes a task whose deferral has timed out.
        sensor(lake, deferrable=True).resume_execution("__fail__", {"error": "Trigger timeout"}, {})


def test_a_plan_that_a_dead_run_left_is_work(repository: FakeRepository, lake: Path) -> None:
    """Even when the repository is down: what is in raw/ already can be committed."""
    add_logs(repository)
    with RepositoryClient(url=repository.url, login=repository.login, password=repository.password) as client:
        ledger = Ledger(open_store(str(lake)), client.repository)
        make_plan(ledger, client, run=Run("dag", "dead"), key_ids=frozenset(), options=PlanOptions())
    repository.stop()
    work = {"logs": 0, "closed_gaps": 0, "recover": 1, "digest": ""}
    assert sensor(lake, deferrable=True).execute({}) == work


def resume(lake: Path, event: dict[str, Any], **options: Any) -> Any:
    """Go on as Airflow does once the trigger has fired."""
    return sensor(lake, deferrable=True, **options).resume_execution("resume", {"event": event}, {})


@pytest.mark.parametrize("soft_fail", [False, True])
@pytest.mark.parametrize("deferrable", [True, False])
def test_a_refused_key_fails_at_once_and_no_soft_fail_hides_it(
    repository: FakeRepository, lake: Path, deferrable: bool, soft_fail: bool
) -> None:
    """Asked again it would come to the same, and skipped it would look as if there was nothing to do."""
    repository.password = "another"
    with pytest.raises(AirflowFailException, match=r"refused the API ID and key \(HTTP 401\)"):
        sensor(lake, deferrable=deferrable, soft_fail=soft_fail).execute({})
    event = fire(trigger(lake, deadline=5))
    with pytest.raises(AirflowFailException, match=r"refused the API ID and key \(HTTP 401\)"):
        resume(lake, event, soft_fail=soft_fail)


@pytest.mark.parametrize(
    "fields",
    [
        {"host": "http://logs1.example.com/8416_1"},
        {"host": "https://logs1.example.com:8443/8416_1", "port": 9443},
        {"host": "https://user:hidden@logs1.example.com/8416_1"},
        {"host": "https://logs1.example.com/8416_1?x=hidden"},
        {"host": ""},
        {"login": None},
        {"password": ""},
        {"extra": ["hidden"]},
        {"extra": {"read_timeout": "soon"}},
        {"extra": {"repository": "../hidden"}},
        {"extra": {"max_concurrency": 0}},
    ],
    ids=str,
)
def test_no_soft_fail_hides_a_connection_that_cannot_work(
    repository: FakeRepository, lake: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]
) -> None:
    given = {"conn_type": "imperva", "host": repository.url, "login": "1", "password": "2"} | fields
    monkeypatch.setenv("AIRFLOW_CONN_IMPERVA_DEFAULT", json.dumps(given))
    with pytest.raises(AirflowFailException) as raised:
        sensor(lake, deferrable=False, soft_fail=True).execute({})
    assert "hidden" not in str(raised.value)
    assert repository.requests == []


@pytest.mark.parametrize("status", [401, 403])
def test_nor_a_refusal(repository: FakeRepository, lake: Path, status: int) -> None:
    repository.fail("logs.index", Fault(status=status))
    with pytest.raises(AirflowFailException, match=f"HTTP {status}"):
        sensor(lake, deferrable=False, soft_fail=True).execute({})


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_wrong_connection_fails_at_once(
    lake: Path, deferrable: bool, monkeypatch: pytest.MonkeyPatch, repository: FakeRepository
) -> None:
    for connection in ('{"conn_type": "imperva", "host": "nowhere"}', None):
        if connection is None:
            monkeypatch.delenv("AIRFLOW_CONN_IMPERVA_DEFAULT")
        else:
            monkeypatch.setenv("AIRFLOW_CONN_IMPERVA_DEFAULT", connection)
        with pytest.raises(AirflowFailException, match=r"lacks a Log Server URL|isn't defined"):
            sensor(lake, deferrable=deferrable, soft_fail=True).execute({})
        assert fire(trigger(lake, deadline=5))["final"]
    assert repository.requests == []


def test_a_ledger_of_another_source_fails_in_words(repository: FakeRepository, lake: Path) -> None:
    """At once, and not when there is something to plan: here nothing is listed, so that it would wait."""
    claim(Ledger(open_store(str(lake)), repository.name), "9000_22")
    told = f"is that of the source 9000_22, not of {repository.name}"
    for deferrable in (True, False):
        with pytest.raises(AirflowFailException, match=told):
            sensor(lake, deferrable=deferrable).execute({})
    event = fire(trigger(lake, deadline=5))
    with pytest.raises(AirflowFailException, match=told):
        resume(lake, event)


class TestBadLooks:
    """A look that meets an outage is one look: the wait goes on until its time is up."""

    @pytest.fixture(autouse=True)
    def _asks_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The client's own pauses between attempts would make each look here take 17 seconds."""
        monkeypatch.setattr("airflow_provider_imperva.repository.client._wait", lambda _: 0)

    def test_in_the_triggerer(self, repository: FakeRepository, lake: Path) -> None:
        repository.fail("logs.index", *[Fault(status=503)] * 5)
        add_logs(repository)
        assert fire(trigger(lake, deadline=20))["work"]["logs"] == 2

    @pytest.mark.parametrize(
        "fault",
        [
            *(Fault(status=status) for status in (408, 425, 429, 500, 502, 504, 507, 520)),
            Fault(status=503, retry_after="soon"),
            Fault(hang_up=True),
            Fault(cut=3),
            Fault(wrong_length=20),
        ],
        ids=str,
    )
    def test_of_any_kind(self, repository: FakeRepository, lake: Path, fault: Fault) -> None:
        repository.fail("logs.index", *[fault] * 5)
        add_logs(repository)
        assert fire(trigger(lake, deadline=20))["work"]["logs"] == 2

    def test_at_the_first_look_of_a_task_that_defers(self, repository: FakeRepository, lake: Path) -> None:
        repository.fail("logs.index", *[Fault(status=503)] * 5)
        add_logs(repository)
        with pytest.raises(TaskDeferred) as deferred:
            sensor(lake, deferrable=True, timeout=20).execute({})
        assert fire(deferred.value.trigger)["work"]["logs"] == 2

    def test_on_a_worker(self, repository: FakeRepository, lake: Path) -> None:
        repository.fail("logs.index", *[Fault(status=503)] * 5)
        add_logs(repository)
        assert sensor(lake, deferrable=False, timeout=20).execute({})["logs"] == 2

    def test_an_outage_that_lasts_is_told_when_the_time_is_up(self, repository: FakeRepository, lake: Path) -> None:
        repository.fail("logs.index", *[Fault(status=503)] * 1000)
        event = fire(trigger(lake, deadline=0.3))
        assert not event["final"]
        with pytest.raises(AirflowException, match="HTTP 503"):
            resume(lake, event)
        with pytest.raises(AirflowException, match="HTTP 503") as raised:
            sensor(lake, deferrable=False, timeout=0.3).execute({})
        assert not isinstance(raised.value, AirflowSkipException | AirflowFailException)

    def test_a_secrets_backend_that_is_down_is_waited_for(
        self, repository: FakeRepository, lake: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add_logs(repository)
        real, tried = BaseHook.aget_connection, []

        async def sometimes(conn_id: str) -> Connection:
            tried.append(conn_id)
            if len(tried) < 3:
                raise ConnectionError("vault.example.com says: hidden")
            return await real(conn_id)

        monkeypatch.setattr(ImpervaLogHook, "aget_connection", sometimes)
        assert fire(trigger(lake, deadline=20))["work"]["logs"] == 2
        assert len(tried) == 3


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_backfill_is_refused(repository: FakeRepository, lake: Path, deferrable: bool) -> None:
    add_logs(repository)
    with pytest.raises(AirflowFailException, match="A backfill cannot load logs again") as raised:
        sensor(lake, deferrable=deferrable, soft_fail=True).execute({"dag_run": SimpleNamespace(run_type="backfill")})
    assert "replay" in str(raised.value)
    assert repository.requests == []


def test_a_trigger_survives_its_serialization(lake: Path) -> None:
    """What the triggerer's database holds makes the same trigger again, and holds no secret."""
    given = trigger(lake, deadline=60)
    path, arguments = given.serialize()
    assert path == "airflow_provider_imperva.triggers.imperva.ImpervaLogTrigger"
    assert ImpervaLogTrigger(**json.loads(json.dumps(arguments))).serialize() == (path, arguments)
    assert "fake-api-key" not in json.dumps(arguments)


def test_looking_twice_changes_nothing(repository: FakeRepository, lake: Path) -> None:
    """A trigger may run twice: it writes neither to the lake nor to the ledger."""
    add_logs(repository)
    assert fire(trigger(lake, deadline=5)) == fire(trigger(lake, deadline=5))
    assert not lake.exists()


def test_a_look_asks_for_connections_over_the_triggerers_own_loop(
    repository: FakeRepository, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow 3.1 reads the answers from a stream of that loop: asked over another one, the triggerer breaks down."""
    add_logs(repository)
    loops = []

    async def answer() -> Connection:
        loops.append(asyncio.get_running_loop())
        return Connection(conn_id="lake", conn_type="generic")

    async def look() -> tuple[Any, asyncio.AbstractEventLoop]:
        event = await anext(trigger(lake, deadline=5, lake_conn_id="lake").run())
        return event.payload, asyncio.get_running_loop()

    monkeypatch.setattr(BaseHook, "get_connection", lambda _: async_to_sync(answer)())
    payload, own = asyncio.run(look())
    assert payload["work"]["logs"] == 2
    assert set(loops) == {own}


def test_looking_costs_one_request(repository: FakeRepository, lake: Path) -> None:
    sensor(lake, deferrable=False).poke({})
    assert [request.path for request in repository.requests] == [f"/{repository.name}/logs.index"]
