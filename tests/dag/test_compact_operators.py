"""Compaction as tasks: planned, merged side by side, committed; or all in one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowSkipException

from airflow_provider_imperva.audit.verify import verify_lake
from airflow_provider_imperva.compact_dag import imperva_compact_dag
from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.operators.compact import (
    ImpervaCommitCompactionOperator,
    ImpervaCompactLakeOperator,
    ImpervaMergePartsOperator,
    ImpervaPlanCompactionOperator,
)
from airflow_provider_imperva.testing import FakeRepository
from tests.dag.airflow_home import AirflowHome
from tests.load.load_runs import Account
from tests.long_form import LONG

AT_ONCE: dict[str, Any] = {"options": {"quiet": timedelta()}}


class Task(SimpleNamespace):
    """What a task instance of one run knows."""

    def __init__(self) -> None:
        super().__init__(dag_id="imperva_compact", run_id="manual", map_index=-1, xcom={})

    def xcom_push(self, *, key: str, value: object) -> None:
        self.xcom[key] = value

    def xcom_pull(self, *, task_ids: str, key: str) -> object:
        return self.xcom.get(key) if task_ids == "plan" else None


@pytest.fixture
def context() -> Any:
    return {"ti": Task()}


@pytest.fixture
def account(repository: FakeRepository, connection: None, tmp_path: Path) -> Iterator[Account]:
    account = Account(repository, tmp_path / "lake")
    for number in (1, 2):
        account.serve(number, events=5, security_share=0.4)
        account.run()
    yield account
    assert account.rows() == account.expected()
    assert verify_lake(open_store(str(account.lake))).ok


def made(kind: Any, account: Account, **arguments: Any) -> Any:
    return kind(task_id="any", lake_uri=account.lake.as_uri(), **arguments)


def test_each_batch_is_a_task_of_its_own(account: Account, context: Any) -> None:
    batches = made(ImpervaPlanCompactionOperator, account, **AT_ONCE).execute(context)
    assert batches == [{"commit": 3, "batch": 0}, {"commit": 3, "batch": 1}]
    figures = [made(ImpervaMergePartsOperator, account, batch=batch).execute(context) for batch in reversed(batches)]
    assert [one["merged"] for one in figures] == [2, 2]
    done = made(ImpervaCommitCompactionOperator, account).execute(context)
    assert done == {"commit": 3, "merged": 4, "parts": 2, "rows": 10}
    with pytest.raises(AirflowSkipException, match="Nothing to merge"):
        made(ImpervaPlanCompactionOperator, account, **AT_ONCE).execute(context)


def test_one_that_a_load_overtakes_is_no_failure(account: Account, context: Any) -> None:
    batches = made(ImpervaPlanCompactionOperator, account, **AT_ONCE).execute(context)
    made(ImpervaMergePartsOperator, account, batch=batches[0]).execute(context)
    account.serve(3)
    account.run()
    with pytest.raises(AirflowSkipException, match="committed without batch 1"):
        made(ImpervaMergePartsOperator, account, batch=batches[1]).execute(context)
    assert made(ImpervaCommitCompactionOperator, account).execute(context)["parts"] == 1


def test_a_batch_that_fails_makes_the_run_red_after_the_commit(account: Account, context: Any) -> None:
    batches = made(ImpervaPlanCompactionOperator, account, **AT_ONCE).execute(context)
    made(ImpervaMergePartsOperator, account, batch=batches[1]).execute(context)
    with pytest.raises(AirflowException, match="Commit 3 is made, but 1 of 2 batches are left"):
        made(ImpervaCommitCompactionOperator, account).execute(context)
    assert account.ledger.head().next_commit > 3


def test_without_a_plan_there_is_nothing_to_commit(account: Account, context: Any) -> None:
    with pytest.raises(AirflowSkipException, match="Nothing was planned"):
        made(ImpervaCommitCompactionOperator, account).execute(context)


def test_one_task_does_it_all(account: Account, context: Any) -> None:
    done = made(ImpervaCompactLakeOperator, account, **AT_ONCE).execute(context)
    assert done == {"merged": 4, "parts": 2, "rows": 10, "commit": 3}
    with pytest.raises(AirflowSkipException, match="Nothing to merge"):
        made(ImpervaCompactLakeOperator, account, **AT_ONCE).execute(context)


def test_wrong_options_are_refused_while_the_dag_is_parsed() -> None:
    with pytest.raises(ConfigurationError, match="the nearest name is 'quiet'"):
        imperva_compact_dag("any", lake_uri="s3://lake", options={"quit": timedelta()})
    with pytest.raises(ConfigurationError, match="Set run_for above 0"):
        ImpervaCompactLakeOperator(task_id="any", lake_uri="s3://lake", run_for=timedelta())


DAG_FILE = """
import datetime, os
from airflow_provider_imperva.compact_dag import imperva_compact_dag

dag = imperva_compact_dag(
    "imperva_test",
    lake_uri=os.environ["IMPERVA_LAKE_URI"],
    schedule=None,
    options={"quiet": datetime.timedelta()},
    default_args={"retries": 0},
)
"""


@pytest.mark.skipif(not LONG, reason="LONG=1 starts Airflow for it")
@pytest.mark.slow
@pytest.mark.airflow
def test_a_real_airflow_maps_the_batches(home: AirflowHome, repository: FakeRepository) -> None:
    account = Account(repository, home.lake)
    for number in (1, 2):
        account.serve(number, events=5, security_share=0.4)
        account.run()
    (home.folder / "dags" / "imperva_test.py").write_text(DAG_FILE)
    output = home.run_dag(repository)
    assert home.last_run()[0] == "success", output
    assert len(account.parts()) == 2
    assert account.rows() == account.expected()
