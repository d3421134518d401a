"""Where the web looks for a DAG's coverage page: where the DAG's own tasks say, and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_imperva.audit.page import render
from airflow_provider_imperva.errors import ConfigurationError, LakeError
from airflow_provider_imperva.operators.coverage import ImpervaCoverageOperator
from airflow_provider_imperva.plugins.destination import Destination
from tests.crash import object_server

CONNECTION = {"conn_type": "imperva", "host": "https://logs1.example.com/8416_1745073/", "login": "1", "password": "x"}


@pytest.fixture(autouse=True)
def connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_IMPERVA_DEFAULT", json.dumps(CONNECTION))


def to(lake: Path | str, **others: Any) -> Destination:
    uri = lake.as_uri() if isinstance(lake, Path) else lake
    return Destination(**{"imperva_conn_id": "imperva_default", "lake_uri": uri, "lake_conn_id": None} | others)


def test_it_is_that_of_the_first_task_of_ours() -> None:
    tasks = [
        SimpleNamespace(task_id="another", lake_uri="file:///etc"),
        ImpervaCoverageOperator(task_id="coverage", lake_uri="s3://lake", imperva_conn_id="shop", lake_conn_id="aws"),
    ]
    assert Destination.of(tasks) == Destination(imperva_conn_id="shop", lake_uri="s3://lake", lake_conn_id="aws")
    assert Destination.of(tasks[:1]) is None


def test_the_page_is_that_of_the_connections_repository(tmp_path: Path) -> None:
    """Of two accounts in one lake, a DAG shows its own."""
    for repository in ("8416_1745073", "another"):
        page = tmp_path / f"reports/repository={repository}/coverage.html"
        page.parent.mkdir(parents=True)
        page.write_text(repository)
    assert to(tmp_path).read_page() == b"8416_1745073"


def test_the_link_to_the_page_that_names_clients_is_left_out(tmp_path: Path) -> None:
    page = tmp_path / "reports" / "repository=8416_1745073" / "coverage.html"
    page.parent.mkdir(parents=True)
    page.write_text(render([], lake="lake", traffic="../traffic.html"))
    assert b"../traffic.html" in page.read_bytes()
    found = to(tmp_path).read_page()
    assert found
    assert b"traffic.html" not in found
    assert found.endswith(b"</html>")


def test_without_a_page_there_is_none(tmp_path: Path) -> None:
    assert to(tmp_path).read_page() is None
    assert to(tmp_path / "nowhere").read_page() is None


@pytest.mark.parametrize("repository", ["../8416", "..", "a/b", "a\\b", ""])
def test_a_repository_that_is_no_name_reads_nothing(
    repository: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty extra means the URL's; everything else that could lead out of the lake is refused."""
    connection = CONNECTION | {"extra": {"repository": repository}}
    monkeypatch.setenv("AIRFLOW_CONN_IMPERVA_DEFAULT", json.dumps(connection))
    if not repository:
        assert to(tmp_path).read_page() is None
        return
    with pytest.raises(ConfigurationError, match="letters, digits"):
        to(tmp_path).read_page()


@pytest.mark.parametrize(
    "template", [{"lake_uri": "{{ var.value.lake }}"}, {"imperva_conn_id": "{{ params.account }}"}]
)
def test_a_template_is_told(template: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="it is a template, which only a run of the DAG fills in"):
        to(tmp_path, **template).read_page()


@pytest.mark.parametrize("missing", ["imperva_conn_id", "lake_conn_id"])
def test_a_connection_that_the_api_server_does_not_know_is_told(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere: the API server knows no such connection\. Make it where"):
        to(tmp_path, **{missing: "nowhere"}).read_page()


def test_a_lake_of_an_unknown_kind_is_told() -> None:
    """Such as that of a filesystem which is installed on the workers only."""
    with pytest.raises(ConfigurationError, match="nosuch://lake: no filesystem for the lake"):
        to("nosuch://lake").read_page()


def test_a_page_comes_out_of_a_bucket_too(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a real S3 server, with the credentials of the lake's connection; a wrong one is told without its secret."""

    def connect(secret: str) -> None:
        settings = {"endpoint_url": s3_url, "region_name": "us-east-1"}
        connection = {"conn_type": "aws", "login": object_server.KEY, "password": secret, "extra": settings}
        monkeypatch.setenv("AIRFLOW_CONN_LAKE", json.dumps(connection))

    destination = to(f"s3://{object_server.BUCKET}/pages", lake_conn_id="lake")
    connect(object_server.KEY)
    assert destination.read_page() is None
    fs = object_server.object_filesystem(s3_url)
    fs.pipe_file(f"{object_server.BUCKET}/pages/reports/repository=8416_1745073/coverage.html", b"page")
    assert destination.read_page() == b"page"
    connect("not-the-secret")
    with pytest.raises(LakeError, match="the store does not accept the credentials") as caught:
        destination.read_page()
    assert "not-the-secret" not in str(caught.value)
