"""Verify and coverage as tasks: red if the lake is not what its ledger says, and a page that verify accepts in it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException

from airflow_provider_imperva.cli import main
from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.lake.claim import claim
from airflow_provider_imperva.lake.commit import commit_plan
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import Run
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.load.fetch import fetch
from airflow_provider_imperva.load.normalize import normalize
from airflow_provider_imperva.load.plan import make_plan
from airflow_provider_imperva.operators.coverage import ImpervaCoverageOperator
from airflow_provider_imperva.operators.verify import ImpervaVerifyLakeOperator
from airflow_provider_imperva.options import WINDOW, PlanOptions
from airflow_provider_imperva.repository.client import RepositoryClient
from airflow_provider_imperva.seal.anchors import Anchor, open_anchors
from airflow_provider_imperva.testing import FakeRepository, forge_repository
from tests.seal.openssl_keys import make_keys


def context(*, last: dict[str, Any] | None = None, run_id: str = "manual") -> Any:
    """A task's context, with what the task returned in an earlier run."""
    return {"ti": SimpleNamespace(dag_id="dag", run_id=run_id, xcom_pull=lambda **_: last)}


@pytest.fixture
def load(repository: FakeRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Path]:
    """Let the repository gain two logs and load them.

    Airflow's connection has neither API ID nor key: what is asked of a lake alone needs only the repository's id.
    """
    lake = tmp_path / "lake"
    address: dict[str, Any] = {"login": repository.login, "password": repository.password}
    connection = {"conn_type": "imperva", "host": repository.url}
    monkeypatch.setenv("AIRFLOW_CONN_IMPERVA_DEFAULT", json.dumps(connection))

    def load() -> Path:
        for log in forge_repository(2, first=2 * len(repository.names()) + 1, events_per_log=5):
            repository.add(log.name, log.content)
        with RepositoryClient(url=repository.url, **address) as client:
            ledger = Ledger(open_store(str(lake)), client.repository)
            claim(ledger, client.repository)
            run = Run("dag", f"run-{ledger.head().next_commit}")
            plan = make_plan(ledger, client, run=run, key_ids=frozenset(), options=PlanOptions())
            assert plan is not None
            fetched = fetch(ledger, client, plan, 0, max_concurrency=1, window=WINDOW)
            normalize(ledger, client, KeyRing(), plan, fetched)
            commit_plan(ledger, plan, by=plan.run, provider_version="0", at=plan.created_at)
        return lake

    return load


def verify(lake: Path, **arguments: Any) -> ImpervaVerifyLakeOperator:
    return ImpervaVerifyLakeOperator(task_id="verify", lake_uri=lake.as_uri(), **arguments)


def test_a_sound_lake_gives_its_head_and_figures(load: Callable[[], Path]) -> None:
    verification = verify(load()).execute(context())
    assert verification["head"]["commit"] == 1
    assert re.fullmatch("[0-9a-f]{64}", verification["head"]["sha256"])
    assert (verification["lines"], verification["rows"], verification["objects"] - verification["hashed"]) == (
        10,
        10,
        0,
    )


def test_a_damaged_lake_makes_the_task_red_for_good(load: Callable[[], Path]) -> None:
    lake = load()
    next(lake.glob("raw/**/*.log")).write_bytes(b"")
    with pytest.raises(AirflowFailException, match=r"1 findings, altered: raw/.*\.log"):
        verify(lake).execute(context())


def test_the_next_run_demands_the_commit_that_was_noted(load: Callable[[], Path]) -> None:
    """A ledger that was made again, so that it is sound in itself, is noticed."""
    lake = load()
    noted = verify(lake).execute(context())
    load()
    assert verify(lake).execute(context(last=noted))["head"]["commit"] == 2
    forged = noted | {"head": noted["head"] | {"sha256": "0" * 64}}
    with pytest.raises(AirflowFailException, match="chain"):
        verify(lake).execute(context(last=forged))
    assert verify(lake).execute(context(last=forged | {"repository": "another"}))


def test_the_commit_that_the_loading_dag_noted_is_demanded(load: Callable[[], Path]) -> None:
    lake = load()
    head = verify(lake).execute(context())["head"]
    asked: list[dict[str, Any]] = []

    def running(sha256: str) -> Any:
        xcom = {"repository": "8416_1745073", "commit": 1, "sha256": sha256}

        def pull(**where: Any) -> Any:
            asked.append(where)
            return xcom if where.get("dag_id") == "imperva" else None

        return {"ti": SimpleNamespace(dag_id="dag", run_id="manual", xcom_pull=pull)}

    assert verify(lake, load_dag_id="imperva").execute(running(head["sha256"]))
    assert asked[-1]["task_ids"] == "commit"
    with pytest.raises(AirflowFailException, match="chain"):
        verify(lake, load_dag_id="imperva").execute(running("0" * 64))


def test_the_lake_is_held_against_keys_and_anchors(
    load: Callable[[], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, keys, place = load(), make_keys(tmp_path / "keys"), tmp_path / "anchors"
    with pytest.raises(AirflowFailException, match="signature"):
        verify(lake, public_keys=[str(keys.public)]).execute(context())
    fields = json.loads(os.environ["AIRFLOW_CONN_IMPERVA_DEFAULT"])
    monkeypatch.setenv("AIRFLOW_CONN_IMPERVA_DEFAULT", json.dumps(fields | {"extra": {"anchor": str(place)}}))
    open_anchors(str(place)).note(Anchor(9, "0" * 64, "8416_1745073"))
    with pytest.raises(AirflowFailException, match="it was noted as"):
        verify(lake).execute(context())


def test_each_run_draws_a_sample_of_its_own(load: Callable[[], Path]) -> None:
    lake = load()
    found = [verify(lake, sample="1").execute(context(run_id=run_id)) for run_id in ("one", "two", "two")]
    assert [item["hashed"] for item in found] == [1, 1, 1]
    assert found[0]["seed"] != found[1]["seed"] == found[2]["seed"]
    assert verify(lake, sample=1, seed="7").execute(context())["seed"] == 7


def test_before_the_first_plan_there_is_no_page(tmp_path: Path, load: Callable[[], Path]) -> None:
    """A page of nothing would say that nothing is missing."""
    with pytest.raises(AirflowSkipException, match="Nothing has been planned"):
        ImpervaCoverageOperator(task_id="coverage", lake_uri=(tmp_path / "new").as_uri()).execute(context())
    assert not (tmp_path / "new").exists()


def test_the_page_is_in_the_lake_and_verify_accepts_it(load: Callable[[], Path]) -> None:
    lake = load()
    found = ImpervaCoverageOperator(task_id="coverage", lake_uri=lake.as_uri(), days="3").execute(context())
    page = lake / "reports/repository=8416_1745073/coverage.html"
    assert found == {"page": str(page), "level": "green", "states": {"committed": 2}, "unread": 0}
    assert "8416_1745073" in page.read_text()
    assert main(["verify", str(lake)]) == 0
