"""The metrics: what a real run sends is what the documentation lists, and what the dashboard asks for."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from airflow_provider_imperva.metrics import FORWARD_METRICS, METRICS, Metric
from airflow_provider_imperva.testing import FakeRepository, forge_log, forge_repository
from tests.cluster.otlp_server import otlp_server
from tests.cluster.statsd_server import statsd_server
from tests.dag.airflow_home import AirflowHome
from tests.examples import EXAMPLES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reference" / "metrics.md").read_text()
DASHBOARD = json.loads((EXAMPLES / "grafana" / "imperva.json").read_text())


def row(metric: Metric) -> str:
    tags = ", ".join(f"`{tag}`" for tag in metric.tags)
    return f"| `{metric.name}` | {metric.kind} | {metric.unit} | {tags} | {metric.meaning} |"


def test_the_page_lists_every_metric_and_no_other() -> None:
    table = [line for line in PAGE.splitlines() if line.startswith("| `imperva.")]
    assert table == [row(metric) for metric in (*METRICS, *FORWARD_METRICS)]


@pytest.fixture
def all_that_happens(repository: FakeRepository) -> FakeRepository:
    """Make the repository one whose logs make every metric tell something: 160 rows, a broken line, a broken log."""
    logs = list(forge_repository(3, events_per_log=40))
    for log in logs:
        repository.add(log.name, log.content)
    body = "\n".join(["no record at all", *logs[0].events])
    repository.add("8416_4.log", forge_log(body))
    repository.add("8416_5.log", b"no container of any kind")
    return repository


@pytest.mark.airflow
@pytest.mark.slow
def test_a_run_sends_what_is_documented(home: AirflowHome, all_that_happens: FakeRepository) -> None:
    """Every metric of the page, with its kind and tags, and none besides; the figures are those of the ledger."""
    with statsd_server() as server:
        output = home.run_dag(all_that_happens, home.environment(all_that_happens) | server.environment())
    assert home.last_run()[0] == "success", output
    sent = {(one.name, one.kind, tuple(sorted(one.tags))) for one in server.ours()}
    assert sent == {(metric.name, metric.kind, tuple(sorted(metric.tags))) for metric in METRICS}

    totals = home.last_commit()["totals"]
    assert {tag: server.total("imperva.logs", state=tag) for tag in totals["logs"]} == totals["logs"]
    assert server.total("imperva.rows") == totals["rows"] == 160
    assert server.total("imperva.quarantined_lines") == totals["quarantined_lines"] == 1
    assert server.total("imperva.raw_bytes") == server.total("imperva.fetched_bytes") == totals["raw_bytes"]
    assert server.total("imperva.commits", outcome="complete", repository=all_that_happens.name) == 1
    lags = [one.value for one in server.ours() if one.name == "imperva.delivery_lag"]
    assert len(lags) == totals["logs"]["committed"]


@pytest.mark.airflow
@pytest.mark.cluster
@pytest.mark.slow
def test_opentelemetry_gets_the_same_metrics(home: AirflowHome, all_that_happens: FakeRepository) -> None:
    with otlp_server() as server:
        # In a process of its own: where metrics go is decided when Airflow is loaded.
        environment = home.environment(all_that_happens) | server.environment()
        process = home.start("dags", "test", "imperva_test", environment=environment)
        output, _ = process.communicate(timeout=240)
    assert home.last_run()[0] == "success", output
    assert {(one.name, tuple(sorted(one.tags))) for one in server.ours()} == {
        (metric.name, tuple(sorted(metric.tags))) for metric in METRICS
    }
    last = {one.name: one.value for one in server.ours()}
    assert (last["imperva.rows"], last["imperva.quarantined_lines"], last["imperva.backlog_logs"]) == (160, 1, 0)


class TestDashboard:
    def test_its_queries_name_documented_metrics_only(self) -> None:
        documented = set(re.findall(r"`(airflow_\w+)`", PAGE))
        asked = {name for query in queries() for name in re.findall(r"airflow_\w+", query)}
        assert asked
        assert asked <= documented

    def test_every_metric_of_ours_is_on_it(self) -> None:
        asked = " ".join(queries())
        assert [metric.name for metric in METRICS if f"airflow_{metric.name.replace('.', '_')}" not in asked] == []

    def test_the_source_is_left_to_whoever_imports_it(self) -> None:
        [source, *_] = DASHBOARD["templating"]["list"]
        assert (source["type"], source["query"]) == ("datasource", "prometheus")
        used = {panel["datasource"]["uid"] for panel in panels()} | {
            target["datasource"]["uid"] for panel in panels() for target in panel["targets"]
        }
        assert used == {"${" + source["name"] + "}"}

    def test_panels_have_numbers_of_their_own_and_do_not_overlap(self) -> None:
        assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
        cells = [
            (x, y)
            for panel in DASHBOARD["panels"]
            for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
            for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
        ]
        assert len(cells) == len(set(cells))
        assert max(x for x, _ in cells) < 24


def panels() -> list[dict]:  # type: ignore[type-arg]
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def queries() -> list[str]:
    variables = [variable["query"] for variable in DASHBOARD["templating"]["list"] if variable["type"] == "query"]
    return [target["expr"] for panel in panels() for target in panel["targets"]] + [
        found["query"] if isinstance(found, dict) else found for found in variables
    ]
