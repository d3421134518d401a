"""Who sees which page: whoever may see a DAG sees its lake, and nobody else does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.api_fastapi.common.db.common import _get_session
from airflow.api_fastapi.core_api import security
from airflow.models.dag import DagModel
from fastapi.testclient import TestClient

from airflow_provider_imperva.audit.assessment import Level, Note
from airflow_provider_imperva.audit.summary import Summary
from airflow_provider_imperva.errors import LedgerCorruptError
from airflow_provider_imperva.plugins import web
from airflow_provider_imperva.plugins.destination import Destination

LAKES = {
    "shop": Destination(imperva_conn_id="imperva_shop", lake_uri="s3://lake", lake_conn_id=None),
    "shop & co": Destination(imperva_conn_id="imperva_shop", lake_uri="s3://lake", lake_conn_id=None),
    "bank": Destination(imperva_conn_id="imperva_bank", lake_uri="s3://lake", lake_conn_id=None),
    "hello": None,
}


class AuthManager:
    """Lets a user see some DAGs."""

    def __init__(self, *visible: str) -> None:
        self.visible = set(visible)

    def get_authorized_dag_ids(self, **_: Any) -> set[str]:
        return self.visible

    def is_authorized_dag(self, *, details: Any, **_: Any) -> bool:
        return details.id in self.visible


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """A browser of somebody who is logged in, at an Airflow with the DAGs above."""
    monkeypatch.setattr(web, "_destination", lambda dag_id, session: LAKES.get(dag_id))
    monkeypatch.setattr(web, "_hashes", lambda session: dict.fromkeys(LAKES, "1"))
    monkeypatch.setattr(web, "_KNOWN", {})
    monkeypatch.setattr(web, "_runs_since", lambda *_: {})
    monkeypatch.setattr(Destination, "read_summary", lambda self: None)
    monkeypatch.setattr(Destination, "last_look", lambda self: None)
    monkeypatch.setattr(Destination, "read_page", lambda self: f"page of {self.imperva_conn_id}".encode())
    monkeypatch.setattr(DagModel, "get_team_name", lambda *_, **__: None)
    app = web.make_app()
    app.dependency_overrides[security.get_user] = lambda: SimpleNamespace(name="anne")
    app.dependency_overrides[_get_session] = lambda: SimpleNamespace()
    with TestClient(app, raise_server_exceptions=False) as started:
        yield started


@pytest.fixture
def may_see(monkeypatch: pytest.MonkeyPatch) -> Any:
    def may_see(*dag_ids: str) -> None:
        for module in (web, security):
            monkeypatch.setattr(module, "get_auth_manager", lambda: AuthManager(*dag_ids))

    return may_see


def test_the_page_of_a_dag_is_for_those_who_may_see_the_dag(client: TestClient, may_see: Any) -> None:
    may_see("shop")
    assert client.get("/dags/shop").text.endswith("page of imperva_shop")
    refused = client.get("/dags/bank")
    assert (refused.status_code, refused.json()) == (403, {"detail": "Forbidden"})


def test_with_one_lake_in_sight_its_page_comes_at_once(client: TestClient, may_see: Any) -> None:
    """Though there are other lakes, and two DAGs for this one."""
    may_see("shop", "shop & co", "hello")
    assert client.get("/").text.endswith("page of imperva_shop")


def test_several_lakes_are_listed_each_once(client: TestClient, may_see: Any) -> None:
    may_see("shop & co", "bank", "another that is stale")
    listed = client.get("/").text
    assert '<a href="dags/shop%20%26%20co">imperva_shop</a>' in listed
    assert '<a href="dags/bank">imperva_bank</a>' in listed
    assert listed.count("<a href") == 2
    assert "<td>shop &amp; co</td>" in listed


def test_of_a_lake_no_credential_is_shown(client: TestClient, may_see: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in the list nor where the page is missing; a template of an author of DAGs is no address, and shown."""
    shop: dict[str, Any] = {"imperva_conn_id": "shop", "lake_conn_id": None}
    monkeypatch.setitem(LAKES, "shop", Destination(lake_uri="s3://key:hidden@lake/a", **shop))
    monkeypatch.setitem(LAKES, "bank", Destination(lake_uri="s3://{{ params['lake'] }}", **shop))
    monkeypatch.setattr(Destination, "read_page", lambda _: None)
    may_see("shop", "bank")
    listed, missing = client.get("/").text, client.get("/dags/shop").text
    assert "<td>a URI that cannot be used</td>" in listed
    assert "params" in listed
    assert "Not in a URI that cannot be used." in missing
    assert "hidden" not in listed + missing


def test_without_a_lake_in_sight_it_says_what_is_missing(client: TestClient, may_see: Any) -> None:
    may_see()
    assert "No DAG that you may see has a task of this provider" in client.get("/").text


def test_a_dag_that_loads_no_logs_says_so(client: TestClient, may_see: Any) -> None:
    """Airflow shows the tab on every DAG."""
    may_see("hello")
    answer = client.get("/dags/hello")
    assert answer.status_code == 404
    assert "This DAG loads no Imperva logs" in answer.text


def test_what_nobody_foresaw_quotes_nothing(client: TestClient, may_see: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Destination) -> bytes:
        raise RuntimeError("secret")

    may_see("shop")
    monkeypatch.setattr(Destination, "read_page", fail)
    answer = client.get("/dags/shop")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.headers["Cache-Control"] == "no-store"


def summary(*notes: Note, made_at: datetime, observed_at: datetime) -> Summary:
    return Summary(
        v=1,
        repository="8416_1745073",
        made_at=made_at,
        observed_at=observed_at,
        window=timedelta(hours=48),
        commit=7,
        complete="8416_103",
        notes=notes,
        states={"committed": 103},
        logs=103,
        rows=9,
        headroom_hours=48,
        lag_median=60,
        lag_p99=600,
    )


def text_of(page: str) -> str:
    return " ".join(re.sub("<[^>]*>", " ", page).split())


@pytest.mark.parametrize(("looked", "level"), [(timedelta(minutes=5), "green"), (timedelta(hours=30), "red")])
def test_above_the_page_is_how_old_it_is_and_how_the_repository_stands_now(
    client: TestClient, may_see: Any, monkeypatch: pytest.MonkeyPatch, looked: timedelta, level: str
) -> None:
    """A page that was green when it was made says nothing of a lake that nobody has looked at since."""
    now = datetime.now(UTC)
    made_at = now - timedelta(hours=40)
    monkeypatch.setattr(Destination, "read_summary", lambda _: summary(made_at=made_at, observed_at=made_at))
    monkeypatch.setattr(Destination, "last_look", lambda _: now - looked)
    monkeypatch.setattr(Destination, "read_page", lambda _: b"<html><body><h1>Coverage</h1></body>")
    asked: list[tuple[str, datetime]] = []

    def runs_since(dag_id: str, at: datetime, session: object) -> dict[str, int]:
        asked.append((dag_id, at))
        return {"success": 17, "failed": 1}

    monkeypatch.setattr(web, "_runs_since", runs_since)
    may_see("shop")
    page = client.get("/dags/shop").text
    text = text_of(page)
    assert f"{level}." in text.partition("Coverage")[0]
    assert ("Nobody has looked at the repository for 30.0 h" in text) is (level == "red")
    assert "The page below was made 40.0 h ago" in text
    assert "Since then 18 runs of this DAG ended: 17 success, 1 failed." in text
    assert page.index("<body>") < page.index("Now:") < page.index("<h1>Coverage")
    assert asked == [("shop", made_at)]


def test_a_ledger_that_is_damaged_hides_no_page(
    client: TestClient, may_see: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Destination) -> datetime:
        raise LedgerCorruptError("it is damaged", do="Restore it")

    now = datetime.now(UTC)
    monkeypatch.setattr(Destination, "read_summary", lambda _: summary(made_at=now, observed_at=now))
    monkeypatch.setattr(Destination, "last_look", fail)
    may_see("shop")
    assert client.get("/dags/shop").text.endswith("page of imperva_shop")


def test_the_list_has_the_worst_first(client: TestClient, may_see: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC)
    waiting = Note(Level.AMBER, "1 number is waiting for a private key", "its-private-key-is-missing")
    found = {"imperva_shop": summary(waiting, made_at=now, observed_at=now)}
    found["imperva_bank"] = summary(made_at=now, observed_at=now - timedelta(hours=49))
    monkeypatch.setattr(Destination, "read_summary", lambda self: found[self.imperva_conn_id])
    may_see("shop", "bank")
    text = text_of(client.get("/").text)
    assert text.index("✗ red imperva_bank Nobody has looked") < text.index("… amber imperva_shop Nothing is lost")


def test_a_dag_is_read_again_only_when_it_has_changed(
    client: TestClient, may_see: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def destination(dag_id: str, session: object) -> Destination | None:
        read.append(dag_id)
        return LAKES[dag_id]

    monkeypatch.setattr(web, "_destination", destination)
    may_see("shop", "hello")
    for version in ("1", "1", "2"):
        monkeypatch.setattr(web, "_hashes", lambda _, version=version: {"shop": version, "hello": "1"})
        client.get("/")
    assert read == ["hello", "shop", "shop"]
