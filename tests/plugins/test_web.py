"""Who sees which page: whoever may see a DAG sees its lake, and nobody else does."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.api_fastapi.common.db.common import _get_session
from airflow.api_fastapi.core_api import security
from airflow.models.dag import DagModel
from fastapi.testclient import TestClient

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
    monkeypatch.setattr(Destination, "read_page", lambda self: f"page of {self.imperva_conn_id}".encode())
    monkeypatch.setattr(DagModel, "get_team_name", lambda *_, **__: None)
    app = web.make_app()
    app.dependency_overrides[security.get_user] = lambda: SimpleNamespace(name="anne")
    app.dependency_overrides[_get_session] = lambda: SimpleNamespace(scalars=lambda _: iter(LAKES))
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
    assert client.get("/dags/shop").text == "page of imperva_shop"
    refused = client.get("/dags/bank")
    assert (refused.status_code, refused.json()) == (403, {"detail": "Forbidden"})


def test_with_one_lake_in_sight_its_page_comes_at_once(client: TestClient, may_see: Any) -> None:
    """Though there are other lakes, and two DAGs for this one."""
    may_see("shop", "shop & co", "hello")
    assert client.get("/").text == "page of imperva_shop"


def test_several_lakes_are_listed_each_once(client: TestClient, may_see: Any) -> None:
    may_see("shop & co", "bank", "another that has no tag")
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
    assert "None that you may see has the tag imperva" in client.get("/").text


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
