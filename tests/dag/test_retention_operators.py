"""Retention and erasure as tasks: what they return, and that no value is in anything that Airflow keeps."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.operators.retention import ImpervaEraseOperator, ImpervaExpireLakeOperator
from airflow_provider_imperva.retention_dag import imperva_retention_dag
from airflow_provider_imperva.seal.anchors import open_anchors
from airflow_provider_imperva.testing import FakeRepository
from tests.retention.kept_account import KeptAccount, day_of
from tests.retention.test_erase import ADDRESS, REQUEST, load

POLICY = {"events": {"access": 2, "security": 2}}


@pytest.fixture
def account(repository: FakeRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeptAccount:
    monkeypatch.setenv("AIRFLOW_CONN_IMPERVA_DEFAULT", json.dumps({"conn_type": "imperva", "host": repository.url}))
    return load(KeptAccount(repository, tmp_path / "lake"))


def context() -> Any:
    return {"ti": SimpleNamespace(dag_id="retention", run_id="manual", task_id="expire", map_index=-1)}


def eraser(account: KeptAccount, **options: Any) -> ImpervaEraseOperator:
    lake = account.lake.as_uri()
    return ImpervaEraseOperator(task_id="erase", lake_uri=lake, subject_variable="subject", **REQUEST, **options)


def test_expiring_returns_how_much_left_and_the_oldest_days(account: KeptAccount) -> None:
    task = ImpervaExpireLakeOperator(task_id="expire", lake_uri=account.lake.as_uri(), policy=POLICY, preview="true")
    would = task.execute(context())
    assert would["commits"] == []
    task.preview = "false"
    done = task.execute(context())
    assert done["rows"] == would["rows"]
    assert sum(done["rows"].values()) == 8
    assert done["commits"]
    assert {done["oldest_days"]["access"], done["oldest_days"]["security"]} <= {f"{day_of(1):%Y-%m-%d}", None}
    assert json.loads(json.dumps(done)) == done, "it can be an XCom"
    account.assert_sound()


def anchored(account: KeptAccount, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    connection = {"conn_type": "imperva", "host": account.repository.url, "extra": {"anchor": place}}
    monkeypatch.setenv("AIRFLOW_CONN_IMPERVA_DEFAULT", json.dumps(connection))


def test_their_commits_go_to_the_anchor(account: KeptAccount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    anchored(account, monkeypatch, str(tmp_path / "anchors"))
    ImpervaExpireLakeOperator(task_id="expire", lake_uri=account.lake.as_uri(), policy=POLICY).execute(context())
    noted = {anchor.commit for anchor in open_anchors(str(tmp_path / "anchors")).read()}
    made = {commit.commit for commit in account.ledger.commits() if commit.kind != "load"}
    assert noted == made
    assert len(made) >= 2, "what left is deleted by a commit of its own"


def test_an_anchor_that_does_not_answer_makes_the_task_red_after_its_commit(
    account: KeptAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    anchored(account, monkeypatch, "http://127.0.0.1:9/anchors")
    before = account.ledger.head().next_commit
    with pytest.raises(AirflowFailException, match="its hash is not at the anchor"):
        ImpervaExpireLakeOperator(task_id="expire", lake_uri=account.lake.as_uri(), policy=POLICY).execute(context())
    assert account.ledger.head().next_commit > before


def test_the_value_comes_from_a_variable_and_is_shown_nowhere(
    account: KeptAccount, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_SUBJECT", json.dumps({"client_ip": ADDRESS}))
    task = eraser(account)
    with caplog.at_level(logging.DEBUG):
        done = task.execute(context())
    assert (done["rows"], done["raw_objects"]) == (2, 2)
    rendered = {name: getattr(task, name) for name in task.template_fields}
    text = caplog.text + json.dumps(done) + repr(rendered) + repr(vars(task))
    assert ADDRESS not in text
    assert account.where(ADDRESS) == []
    account.assert_sound()


def test_what_may_be_left_makes_the_task_red_after_its_commit(
    account: KeptAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_SUBJECT", json.dumps({"client_ip": ADDRESS}))
    log = account.serve_day(9, 0, people=(ADDRESS,), events=40)
    account.repository.add(log.name, log.content[:-200])
    account.run()
    with pytest.raises(AirflowFailException, match="is made, but 1 logs name the person") as caught:
        eraser(account).execute(context())
    assert ADDRESS not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", '{"client_ip": 7}', '{"ip": "203.0.113.77"}'])
def test_a_variable_that_cannot_be_meant_is_not_shown(
    account: KeptAccount, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_SUBJECT", text)
    with pytest.raises(AirflowFailException) as caught:
        eraser(account).execute(context())
    assert "203.0.113.77" not in str(caught.value)


def test_the_factory_checks_the_policy_while_the_dag_is_parsed() -> None:
    dag = imperva_retention_dag("retention", lake_uri="/lake", policy=POLICY, tags=["more"])
    (task,) = dag.tasks
    assert isinstance(task, ImpervaExpireLakeOperator)
    assert (dag.max_active_runs, dag.catchup, task.retries) == (1, False, 2)
    assert dag.tags == {"imperva", "more"}
    with pytest.raises(ConfigurationError, match="acess"):
        imperva_retention_dag("retention", lake_uri="/lake", policy={"events": {"acess": 2}})
