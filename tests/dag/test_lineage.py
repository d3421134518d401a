"""Lineage: what Airflow's OpenLineage provider says of a real run, from the repository to the lake's events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from airflow_provider_imperva.events.schema.schema import SCHEMA
from airflow_provider_imperva.lineage import Dataset, Lineage
from airflow_provider_imperva.testing import FakeRepository, forge_log, forge_repository
from tests.dag.airflow_home import AirflowHome


@pytest.mark.parametrize(
    ("uri", "namespace", "name"),
    [
        ("s3://bucket/lake/events", "s3://bucket", "lake/events"),
        ("s3://bucket", "s3://bucket", "/"),
        ("file:///srv/lake/events", "file", "/srv/lake/events"),
        ("gs://bucket/lake", "gs://bucket", "lake"),
    ],
)
def test_datasets_are_named_as_openlineage_names_them(uri: str, namespace: str, name: str) -> None:
    """Else what reads the lake would be told of another dataset than what writes it."""
    assert Dataset.at(uri) == Dataset(namespace, name)


@pytest.mark.parametrize(
    ("url", "namespace", "name"),
    [
        ("https://logs1.incapsula.com/8416_1745073/", "imperva://logs1.incapsula.com", "8416_1745073"),
        ("s3://bucket/imperva/", "s3://bucket", "imperva"),
    ],
)
def test_logs_come_from_the_repository_or_from_where_it_delivers_to(url: str, namespace: str, name: str) -> None:
    lineage = Lineage.of_fetch(url, "s3a://bucket/lake/", repository="8416_1745073", received=5)
    assert lineage.inputs == (Dataset(namespace, name),)
    assert lineage.outputs == (Dataset("s3://bucket", "lake/raw/repository=8416_1745073", size=5),)


@pytest.mark.airflow
@pytest.mark.slow
def test_a_run_tells_openlineage_what_went_where(home: AirflowHome, repository: FakeRepository, tmp_path: Path) -> None:
    """Read from the file that OpenLineage's own transport writes."""
    logs = list(forge_repository(2, events_per_log=40))
    for log in logs:
        repository.add(log.name, log.content)
    repository.add("8416_3.log", forge_log("\n".join(["no record at all", *logs[0].events])))
    events = run(home, repository, tmp_path / "lineage.json")

    fetch, normalize, commit = (completed(events, task) for task in ("load.fetch", "load.normalize", "commit"))
    lake = str(home.lake)
    raw = ("file", f"{lake}/raw/repository={repository.name}")
    host = repository.url.partition("://")[2].partition("/")[0]
    assert names(fetch["inputs"]) == [(f"imperva://{host}", repository.name)]
    assert names(fetch["outputs"]) == names(normalize["inputs"]) == [raw]
    assert names(normalize["outputs"]) == [("file", f"{lake}/events"), ("file", f"{lake}/quarantine")]
    # By way of the asset, which is another road to the same name.
    assert names(commit["outputs"]) == [("file", f"{lake}/events")]

    received, written, quarantined = (statistics(found) for found in (fetch["outputs"][0], *normalize["outputs"]))
    assert received["size"] == sum(path.stat().st_size for path in home.lake.glob("raw/**/*.log"))
    parts = list(home.lake.glob("events/repository=*/**/*.parquet"))
    assert written["rowCount"] == sum(pq.ParquetFile(part).metadata.num_rows for part in parts) == 120
    assert (written["size"], written["fileCount"]) == (sum(part.stat().st_size for part in parts), len(parts))
    assert quarantined["rowCount"] == 1

    fields = {field["name"]: field["type"] for field in normalize["outputs"][0]["facets"]["schema"]["fields"]}
    assert list(fields) == [*SCHEMA.names, "repository", "event_class", "event_date"]
    types = [fields[name] for name in ("event_time", "rule_names", "extra", "event_date")]
    assert types == ["timestamp", "array<string>", "map<string,string>", "date"]


def run(home: AirflowHome, repository: FakeRepository, file: Path) -> list[dict[str, Any]]:
    """Run the DAG with OpenLineage switched on; returns all its events."""
    transport = {"type": "file", "log_file_path": str(file), "append": True}
    environment = home.environment(repository) | {
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport),
        "AIRFLOW__OPENLINEAGE__NAMESPACE": "tests",
    }
    output = home.run_dag(repository, environment)
    assert home.last_run()[0] == "success", output
    assert file.exists(), output
    return [json.loads(line) for line in file.read_text().splitlines() if line]


def completed(events: list[dict[str, Any]], task: str) -> dict[str, Any]:
    [found] = [
        event
        for event in events
        if event["eventType"] == "COMPLETE" and event["job"]["name"].endswith(f"imperva_test.{task}")
    ]
    return found


def names(datasets: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(dataset["namespace"], dataset["name"]) for dataset in datasets]


def statistics(dataset: dict[str, Any]) -> dict[str, Any]:
    found = dataset["outputFacets"]["outputStatistics"]
    assert isinstance(found, dict)
    return found
