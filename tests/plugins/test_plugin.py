"""The plugin as Airflow loads it: in every process, so it has to be light; and its pages behind a login."""

from __future__ import annotations

import subprocess
import sys

import pytest
from fastapi.testclient import TestClient

from airflow_provider_imperva.errors import LakeError
from airflow_provider_imperva.get_provider_info import get_provider_info
from airflow_provider_imperva.links import COVERAGE_ROUTE, ImpervaCoverageLink
from airflow_provider_imperva.operators.coverage import ImpervaCoverageOperator
from airflow_provider_imperva.operators.imperva import ImpervaCommitLogsOperator
from airflow_provider_imperva.plugins.imperva import ImpervaPlugin

LOAD = """
import sys
from airflow.plugins_manager import AirflowPlugin

before = set(sys.modules)
import airflow_provider_imperva.plugins.imperva

heavy = {"fastapi", "sqlalchemy", "pyarrow", "numpy", "requests", "jinja2", "fsspec", "cryptography"}
print("RESULT", sorted(heavy & (set(sys.modules) - before)))
"""


def test_loading_it_loads_nothing_heavy() -> None:
    """Scheduler, workers and every `airflow` command load plugins."""
    done = subprocess.run([sys.executable, "-c", LOAD], capture_output=True, text=True, check=False)
    assert done.stdout.partition("RESULT ")[2].strip() == "[]", done.stderr


def test_its_views_lead_to_its_application() -> None:
    """Relative to wherever Airflow is served."""
    plugin = ImpervaPlugin()
    [application] = plugin.fastapi_apps
    for view in plugin.external_views:
        assert f"/{view['href']}".startswith(f"{application['url_prefix']}/")
    assert {view["destination"] for view in plugin.external_views} == {"nav", "dag"}


@pytest.mark.parametrize("path", ["/", "/dags/imperva_logs_to_parquet", "/dags/nothing"])
def test_nothing_is_told_without_a_login(path: str) -> None:
    [application] = ImpervaPlugin().fastapi_apps
    answer = TestClient(application["app"]).get(path)
    assert (answer.status_code, answer.json()) == (401, {"detail": "Not authenticated"})


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json"])
def test_it_serves_nothing_but_its_pages(path: str) -> None:
    [application] = ImpervaPlugin().fastapi_apps
    assert TestClient(application["app"]).get(path).status_code == 404


def test_an_error_is_a_page_that_says_what_to_do() -> None:
    """With the headers that every page has, and what it quotes escaped."""
    from airflow_provider_imperva.plugins.web import show_error, show_failure

    told = show_error(None, LakeError("the <b>store</b> fails", do="look", about="s3://lake"))  # type: ignore[arg-type]
    assert told.status_code == 503
    assert b"s3://lake: the &lt;b&gt;store&lt;/b&gt; fails. look." in told.body
    unforeseen = show_failure(None, RuntimeError("secret"))  # type: ignore[arg-type]
    assert unforeseen.status_code == 500
    assert b"secret" not in unforeseen.body
    for page in (told, unforeseen):
        assert "script-src" not in page.headers["Content-Security-Policy"]
        assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; ")
        assert page.headers["Cache-Control"] == "no-store"


def test_tasks_that_have_a_page_link_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for operator in (ImpervaCommitLogsOperator, ImpervaCoverageOperator):
        assert [link.name for link in operator.operator_extra_links] == ["Coverage"]
    qualified = f"{ImpervaCoverageLink.__module__}.{ImpervaCoverageLink.__qualname__}"
    assert get_provider_info()["extra-links"] == [qualified]


@pytest.mark.parametrize(
    ("base_url", "address"),
    [
        ("https://airflow.example.com/prod/", "https://airflow.example.com/prod/dags/a%2Fb/plugin/"),
        ("", "/dags/a%2Fb/plugin/"),
    ],
)
def test_the_link_leads_to_the_dags_tab(base_url: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", base_url)
    key = type("Key", (), {"dag_id": "a/b"})()
    assert ImpervaCoverageLink().get_link(None, ti_key=key) == address + COVERAGE_ROUTE  # type: ignore[arg-type]
