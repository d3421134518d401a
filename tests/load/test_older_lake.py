"""A lake of ledger version 1, whose replays wrote over the parts of the batch that first loaded a log."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_imperva.audit.verify import verify_lake
from airflow_provider_imperva.lake.records import BatchId
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.load.normalize import NormalizeOptions
from airflow_provider_imperva.load.replay import Selection, find_batches, make_replay_plan, replay
from airflow_provider_imperva.options import PlanOptions
from tests.load.load_runs import Account

_NEW = {"kind", "removed", "carried_rows", "retired", "unretired", "inputs", "retires"}


@pytest.fixture
def older(account: Account) -> Account:
    """Two batches of two logs each, loaded by an older release."""
    account.options = PlanOptions(logs_per_batch=2)
    account.serve(1, 2, 3, 4)
    account.run()
    for path in sorted(account.lake.glob("ledger/**/*.json")):
        if path.name != "claim.json":
            make_older(path)
    return account


def make_older(path: Path) -> None:
    record = json.loads(path.read_text())
    record = {key: value for key, value in record.items() if key not in _NEW} | {"v": 1}
    path.write_text(json.dumps(record))


def write_older(account: Account, ending: str, record: dict[str, Any]) -> None:
    folder = account.lake / account.ledger.layout.thousand(2)
    (folder / f"000000000002.{ending}").write_text(json.dumps(record | {"v": 1}))


def plan_replay_of_both(account: Account) -> None:
    """Write the plan of an older release's replay."""
    plan = json.loads((account.lake / account.ledger.layout.plan(1)).read_text())
    prefixes = json.loads((account.lake / account.ledger.layout.commit(1)).read_text())["prefixes"]
    homes = {"0": {"commit": 1, "batch": 0}, "1": {"commit": 1, "batch": 1}}
    run = {"dag_id": "imperva-logs replay", "run_id": "older"}
    write_older(account, "plan.json", plan | {"commit": 2, "run": run, "prefixes": prefixes, "homes": homes})


def parts_of(account: Account, batch: int) -> list[Path]:
    return sorted(account.lake.glob(f"events/**/part-000000000001-{batch:04d}.parquet"))


def spoil_first_batch(account: Account) -> None:
    """Leave the parts of the first batch as a replay that died between two of them does."""
    *_, last = parts_of(account, 0)
    stray = last.parent.with_name("event_date=2020-01-01") / last.name
    stray.parent.mkdir()
    shutil.move(last, stray)
    intent = [str(path.relative_to(account.lake)) for path in (last, stray, *parts_of(account, 0))]
    path = account.lake / account.ledger.layout.intent(1, 0)
    path.write_text(json.dumps({"v": 1, "paths": sorted(set(intent))}))


def test_it_goes_on_as_it_is(older: Account) -> None:
    older.serve(5)
    older.run()
    assert older.rows() == older.expected()
    assert verify_lake(open_store(str(older.lake))).ok
    assert older.ledger.commit(1).v == 1


def test_a_replay_replaces_its_parts(older: Account) -> None:
    before = set(older.parts())
    plan = make_replay_plan(older.ledger, run=older.next_run(), selection=Selection(state="all"), take_over=True)
    assert plan is not None
    commit = replay(older.ledger, older.keys, plan, options=NormalizeOptions())
    assert {part.path for part in commit.removed} == before
    older.assert_balanced()
    assert verify_lake(open_store(str(older.lake))).ok


@pytest.mark.parametrize("moment", ["planned", "committed"])
def test_a_replay_that_broke_off_halfway_is_done_by_the_next_runs(older: Account, moment: str) -> None:
    plan_replay_of_both(older)
    spoil_first_batch(older)
    if moment == "committed":
        commit = json.loads((older.lake / older.ledger.layout.commit(1)).read_text())
        ends = [{"home": {"commit": 1, "batch": batch}, "commit": 2, "batch": batch} for batch in (0, 1)]
        shutil.copy(older.lake / older.ledger.layout.logs(1), older.lake / older.ledger.layout.logs(2))
        commit |= {"commit": 2, "previous_sha256": older.ledger.sha256(1), "replaying": ends}
        commit |= {"batches": [], "failed_batches": [0, 1], "parts": []}
        write_older(older, "commit.json", commit)
    verification = verify_lake(open_store(str(older.lake))).repositories[0]
    assert "1-0, 1-1" in " ".join(verification.notes), "its parts are not judged until then"
    older.serve(5)
    older.run()
    older.run()
    assert older.rows() == older.expected()
    older.assert_balanced()
    if moment == "planned":
        assert verify_lake(open_store(str(older.lake))).ok


def test_a_replay_that_had_reported_is_committed_as_it_reported(older: Account) -> None:
    """The parts that it left out are no part of the lake, although the first commit names them."""
    plan_replay_of_both(older)
    for batch in (0, 1):
        report = json.loads((older.lake / older.ledger.layout.report(1, batch)).read_text())
        write_older(older, f"batch-{batch:04d}.json", report | {"commit": 2})
    folder = "events/repository=8416_1745073/event_class=other/event_date=2026-01-01"
    left_out = {"path": f"{folder}/part-000000000001-0000.parquet", "rows": 0, "size": 1, "sha256": ""}
    first = older.lake / older.ledger.layout.report(1, 0)
    report = json.loads(first.read_text())
    first.write_text(json.dumps(report | {"parts": [*report["parts"], left_out]}))
    older.run()
    commit = older.ledger.commit(2)
    assert commit.replaced == {0: BatchId(1, 0), 1: BatchId(1, 1)}
    assert [part.path for part in commit.removed] == [left_out["path"]]
    assert older.rows() == older.expected()
    batches = find_batches(older.ledger, Selection(state="all"))
    assert set(batches) == {BatchId(2, 0), BatchId(2, 1)}
