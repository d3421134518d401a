"""The operator and the factory that export to OCSF: from connections to files, skipped if there is nothing to do."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_provider_imperva.assets import imperva_events_asset
from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.ocsf_dag import imperva_ocsf_dag
from airflow_provider_imperva.operators.ocsf import ImpervaExportOcsfOperator
from airflow_provider_imperva.testing import FakeRepository
from tests.load.load_runs import Account

LAKE = "s3://bucket/lake"
CONTEXT: Any = {"ti": SimpleNamespace(dag_id="ocsf", run_id="run", task_id="export")}


def export(lake: Path, target: Path) -> Any:
    operator = ImpervaExportOcsfOperator(task_id="export", lake_uri=lake.as_uri(), target_uri=target.as_uri())
    return operator.execute(CONTEXT)


@pytest.mark.usefixtures("connection")
def test_it_exports_what_is_committed_and_then_skips(repository: FakeRepository, tmp_path: Path) -> None:
    account = Account(repository, tmp_path / "lake")
    account.serve(1, 2)
    account.run_some()
    told = export(account.lake, tmp_path / "out")
    assert told == {"repository": "8416_1745073", "name": "ocsf", "commits": 1, "rows": 10, "pending": 0}
    assert list((tmp_path / "out").rglob("*.parquet"))
    with pytest.raises(AirflowSkipException, match="every commit was exported"):
        export(account.lake, tmp_path / "out")


def test_the_dag_runs_with_each_commit() -> None:
    dag = imperva_ocsf_dag("ocsf", lake_uri=LAKE, target_uri="s3://other/ocsf")
    assert dag.task_ids == ["export"]
    assert imperva_events_asset(LAKE).uri in str(dag.timetable.asset_condition)


@pytest.mark.parametrize("options", [{"version": "1.2"}, {"layout": "security_lake"}, {"colour": "red"}])
def test_what_cannot_be_meant_shows_when_the_file_is_parsed(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="OCSF export"):
        imperva_ocsf_dag("ocsf", lake_uri=LAKE, target_uri="s3://other/ocsf", options=options)
