"""The pod template and the DAG of the page Install: the template is one that Airflow takes, and the DAG names it."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "docs" / "kubernetes"


@pytest.fixture(scope="module")
def pod() -> Any:
    return yaml.safe_load((FOLDER / "imperva-pod.yaml").read_text())


def test_the_container_is_the_one_that_airflow_looks_for(pod: Any) -> None:
    assert (pod["apiVersion"], pod["kind"]) == ("v1", "Pod")
    [container] = pod["spec"]["containers"]
    assert container["name"] == "base"
    assert pod["spec"]["restartPolicy"] == "Never"


def test_keys_are_mounted_as_the_provider_reads_them(pod: Any) -> None:
    """A folder for each publicKeyId, with its key in it."""
    [volume] = pod["spec"]["volumes"]
    [mount] = pod["spec"]["containers"][0]["volumeMounts"]
    assert mount["name"] == volume["name"]
    assert mount["readOnly"]
    assert [item["path"] for item in volume["secret"]["items"]] == ["1/Private.key"]
    assert volume["secret"]["defaultMode"] == 0o440


def test_the_dag_gives_its_tasks_the_template() -> None:
    dag = runpy.run_path(str(FOLDER / "imperva_on_kubernetes.py"))["dag"]
    named = {
        task.task_id: Path(task.executor_config["pod_template_file"]).name for task in dag.tasks if task.executor_config
    }
    assert named == dict.fromkeys(["plan", "load.fetch", "load.normalize", "commit"], "imperva-pod.yaml")
