"""DAG files: quick to parse, open nothing, and five lines make one of your own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_imperva.assets import imperva_events_asset
from airflow_provider_imperva.dag import imperva_coverage_dag, imperva_logs_dag
from tests.examples import EXAMPLES

DAGS = EXAMPLES / "dags"
FILES = sorted(DAGS.glob("*.py"))
LAKE, PACKAGE = "s3://bucket/lake", "airflow_provider_imperva"

# One process parses all files, each three times: to import Airflow takes longer than all of that.
PARSE = """
import json, os, runpy, socket, sys
from airflow.sdk import Asset

def refuse(*arguments, **options):
    raise AssertionError("a DAG file opened a connection")

def parse(file, **settings):
    for name in [name for name in os.environ if name.startswith("IMPERVA_")]:
        del os.environ[name]
    os.environ.update(settings)
    before = set(sys.modules)
    try:
        dag = runpy.run_path(file)["dag"]
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    condition = getattr(dag.timetable, "asset_condition", None)
    assets = [outlet for task in dag.tasks for outlet in task.outlets] + list(condition.objects if condition else [])
    return {
        "dag_id": dag.dag_id,
        "tasks": [
            (task.task_id, getattr(task, "imperva_conn_id", ""), getattr(task, "lake_uri", "")) for task in dag.tasks
        ],
        "assets": [(asset.name, asset.uri) for asset in assets],
        "modules": sorted(set(sys.modules) - before),
    }

socket.socket.connect = refuse
print("RESULT" + json.dumps({
    file: {name: parse(file, **settings) for name, settings in json.loads(sys.argv[1]).items()} for file in sys.argv[2:]
}))
"""
SETTINGS = {
    "only a lake": {"IMPERVA_LAKE_URI": LAKE},
    "a shop": {"IMPERVA_CONN_ID": "shop", "IMPERVA_LAKE_URI": "file:///srv/lake"},
    "nothing": {},
}


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What came of each file, by its name, with each of the settings."""
    environment = os.environ | {"AIRFLOW_HOME": str(tmp_path_factory.mktemp("airflow"))}
    command = [sys.executable, "-c", PARSE, json.dumps(SETTINGS), *map(str, FILES)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.partition("RESULT")[2])
    return {Path(file).stem: of_file for file, of_file in found.items()}


def test_the_dag_reads_its_settings_from_the_environment(parsed: dict[str, dict[str, Any]]) -> None:
    found = parsed["imperva_logs_to_parquet"]["a shop"]
    assert found["dag_id"] == "imperva_logs_to_parquet"
    assert {task for task, _, _ in found["tasks"]} == {
        "wait_for_logs",
        "plan",
        "load.fetch",
        "load.normalize",
        "commit",
    }
    assert {(connection, lake) for _, connection, lake in found["tasks"]} == {("shop", "file:///srv/lake")}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_without_a_lake_it_says_which_setting_is_missing(file: Path, parsed: dict[str, dict[str, Any]]) -> None:
    """A default beside the DAG file would be lost with the version of a bundle that it is in."""
    error = parsed[file.stem]["nothing"]["error"]
    assert error.startswith("ConfigurationError: the lake's URI cannot be used: it is empty")
    assert "IMPERVA_LAKE_URI" in error


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_parsing_loads_nothing_heavy(file: Path, parsed: dict[str, dict[str, Any]]) -> None:
    """A scheduler parses DAG files all day: readers, clients and Arrow wait until a task runs."""
    ours = [
        name.split(".")[1] for name in parsed[file.stem]["only a lake"]["modules"] if name.startswith(f"{PACKAGE}.")
    ]
    assert set(ours) & {"repository", "container", "events", "lake", "load"} == set()


def test_what_parsing_loads_is_seen(parsed: dict[str, dict[str, Any]]) -> None:
    """Otherwise the test above could not fail; what one file has loaded, no later one loads again."""
    assert f"{PACKAGE}.dag" in [name for found in parsed.values() for name in found["only a lake"]["modules"]]


def test_every_dag_and_task_says_what_it_does() -> None:
    """Airflow shows it; names in backquotes would each be a block of its own there."""
    loads = imperva_logs_dag("imperva_shop", lake_uri="s3://lake/imperva")
    shows = imperva_coverage_dag("imperva_shop_coverage", lake_uri="s3://lake/imperva")
    for text in (loads.doc_md, *(task.doc_md for task in loads.tasks), shows.doc_md):
        assert text
        assert "`" not in text


def test_the_coverage_dag_takes_lake_and_connections_as_the_loading_one_does() -> None:
    lake: dict[str, Any] = {"lake_uri": "s3://lake/imperva", "imperva_conn_id": "shop", "lake_conn_id": "aws_lake"}
    shows = imperva_coverage_dag("imperva_shop_coverage", **lake, schedule=timedelta(days=1), max_active_tasks=3)
    (task,) = shows.tasks
    assert {name: getattr(task, name) for name in lake} == lake
    assert shows.schedule == timedelta(days=1)
    assert shows.max_active_tasks == 3
    assert "imperva" in shows.tags, "or the navigation does not list it"


def test_the_examples_can_lie_in_one_folder(parsed: dict[str, dict[str, Any]]) -> None:
    """No two DAGs have one name, and no two assets a name or a URI in common, of which Airflow would take only one."""
    found = [of_file["only a lake"] for of_file in parsed.values()]
    assert sorted(one["dag_id"] for one in found) == [file.stem for file in FILES]
    events = f"{LAKE}/events"
    pairs = {(name, uri) for one in found for name, uri in one["assets"]}
    assert pairs == {
        ("Imperva events in s3://bucket/lake", events),
        ("imperva_default_logs_to_load", "imperva_default_logs_to_load"),
    }


def test_the_summary_is_scheduled_by_what_the_load_emits() -> None:
    """Both name the asset by themselves; if they did not agree, the summary would never be made."""
    load = imperva_logs_dag("imperva_shop", lake_uri="s3://bucket/lake")
    [outlet] = load.get_task("commit").outlets
    assert outlet == imperva_events_asset("s3://bucket/lake/")


def test_the_factory_makes_a_dag_for_any_connection_and_lake() -> None:
    dag = imperva_logs_dag("imperva_shop", imperva_conn_id="shop", lake_uri="s3://lake/imperva", lake_conn_id="aws")
    assert isinstance(dag, DAG)
    assert (dag.max_active_runs, dag.catchup) == (1, False)
    assert dag.get_task("commit").trigger_rule == "all_done_min_one_success"
    assert dag.get_task("commit").upstream_task_ids == {"plan", "load.normalize"}
