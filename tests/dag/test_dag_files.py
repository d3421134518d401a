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
LAKE = "s3://bucket/lake"

PARSE = """
import json, runpy, socket, sys

def refuse(*arguments, **options):
    raise AssertionError("a DAG file opened a connection")

socket.socket.connect = refuse
dag = runpy.run_path(sys.argv[1])["dag"]
ours = sorted(name for name in sys.modules if name.startswith("airflow_provider_imperva."))
tasks = [(task.task_id, getattr(task, "imperva_conn_id", ""), getattr(task, "lake_uri", "")) for task in dag.tasks]
print("RESULT" + json.dumps([dag.dag_id, tasks, ours]))
"""


def parse(file: Path, tmp_path: Path, **settings: str) -> tuple[str, list[list[str]], set[str]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("IMPERVA_")}
    environment |= {"AIRFLOW_HOME": str(tmp_path), **settings}
    command = [sys.executable, "-c", PARSE, str(file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    dag_id, tasks, modules = json.loads(done.stdout.partition("RESULT")[2])
    return dag_id, tasks, set(modules)


def test_the_dag_reads_its_settings_from_the_environment(tmp_path: Path) -> None:
    settings = {"IMPERVA_CONN_ID": "shop", "IMPERVA_LAKE_URI": "file:///srv/lake"}
    dag_id, tasks, _ = parse(DAGS / "imperva_logs_to_parquet.py", tmp_path, **settings)
    assert dag_id == "imperva_logs_to_parquet"
    assert {task for task, _, _ in tasks} == {"wait_for_logs", "plan", "load.fetch", "load.normalize", "commit"}
    assert {(connection, lake) for _, connection, lake in tasks} == {("shop", "file:///srv/lake")}


@pytest.mark.parametrize("file", sorted(DAGS.glob("*.py")), ids=lambda file: file.stem)
def test_without_a_lake_it_says_which_setting_is_missing(file: Path, tmp_path: Path) -> None:
    """A default beside the DAG file would be lost with the version of a bundle that it is in."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("IMPERVA_")}
    environment |= {"AIRFLOW_HOME": str(tmp_path)}
    command = [sys.executable, "-c", PARSE, str(file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "ConfigurationError: the lake's URI cannot be used: it is empty" in done.stderr
    assert "IMPERVA_LAKE_URI" in done.stderr


@pytest.mark.parametrize("file", sorted(DAGS.glob("*.py")), ids=lambda file: file.stem)
def test_parsing_loads_nothing_heavy(file: Path, tmp_path: Path) -> None:
    """A scheduler parses DAG files all day: readers, clients and Arrow wait until a task runs."""
    _, _, modules = parse(file, tmp_path, IMPERVA_LAKE_URI=LAKE)
    heavy = ("repository", "container", "events", "lake", "load")
    assert [name for name in modules if name.split(".")[1] in heavy] == []


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


ALL_TOGETHER = """
import json, runpy, sys
from airflow.sdk import Asset

dags = [runpy.run_path(file)["dag"] for file in sys.argv[1:]]
assets = [outlet for dag in dags for task in dag.tasks for outlet in task.outlets]
conditions = [getattr(dag.timetable, "asset_condition", None) for dag in dags]
assets += [found for condition in conditions if condition for found in condition.objects]
print("RESULT" + json.dumps([[dag.dag_id for dag in dags], [(asset.name, asset.uri) for asset in assets]]))
"""


def test_the_examples_can_lie_in_one_folder(tmp_path: Path) -> None:
    """No two DAGs have one name, and no two assets a name or a URI in common, of which Airflow would take only one."""
    files = sorted(map(str, DAGS.glob("*.py")))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("IMPERVA_")}
    command = [sys.executable, "-c", ALL_TOGETHER, *files]
    environment |= {"AIRFLOW_HOME": str(tmp_path), "IMPERVA_LAKE_URI": LAKE}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    dag_ids, assets = json.loads(done.stdout.partition("RESULT")[2])
    assert sorted(dag_ids) == [Path(file).stem for file in files]
    events = f"{LAKE}/events"
    pairs = {(name, uri) for name, uri in assets}
    assert pairs == {(events, events), ("imperva_default_logs_to_load", "imperva_default_logs_to_load")}


def test_the_summary_is_scheduled_by_what_the_load_emits() -> None:
    """Both name the asset by themselves; if they did not agree, the summary would never be made."""
    load = imperva_logs_dag("imperva_shop", lake_uri="s3://bucket/lake")
    [outlet] = load.get_task("commit").outlets
    assert outlet == imperva_events_asset("s3://bucket/lake/")


def test_the_factory_makes_a_dag_for_any_connection_and_lake() -> None:
    dag = imperva_logs_dag("imperva_shop", imperva_conn_id="shop", lake_uri="s3://lake/imperva", lake_conn_id="aws")
    assert isinstance(dag, DAG)
    assert (dag.max_active_runs, dag.catchup) == (1, False)
    assert dag.get_task("commit").trigger_rule == "all_done"
    assert dag.get_task("commit").upstream_task_ids == {"plan", "load.normalize"}
