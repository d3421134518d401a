"""Somebody clears a task, and Airflow does it again with all that come after it: before the commit and after it."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_imperva.lake.records import Plan, Run
from airflow_provider_imperva.load.fetch import Fetched
from airflow_provider_imperva.options import PlanOptions
from airflow_provider_imperva.testing import FakeRepository
from tests.load.load_runs import Account

TASKS = ["plan", "fetch", "normalize", "commit"]


@pytest.fixture
def account(tmp_path: Path, repository: FakeRepository) -> Account:
    account = Account(repository, tmp_path / "lake", options=PlanOptions(logs_per_batch=2))
    account.serve(1, 2, 3, 5)
    return account


def do_from(account: Account, task: str, run: Run, plan: Plan | None, fetched: list[Fetched]) -> None:
    """Do a task and all after it; what those before it handed on is kept."""
    position = TASKS.index(task)
    if position == 0:
        plan = account.plan_if_any(run)
        if plan is None:
            return
    assert plan is not None
    if position <= 1:
        fetched = [account.fetch(plan, batch) for batch in range(len(plan.batches))]
    if position <= 2:
        for one in fetched:
            account.normalize(plan, one)
    account.commit(plan)


@pytest.mark.parametrize("committed", [False, True], ids=["before the commit", "after the commit"])
@pytest.mark.parametrize("new_log", [False, True], ids=["nothing new", "a new log"])
@pytest.mark.parametrize("task", TASKS)
def test_a_cleared_task_loads_every_line_once(account: Account, task: str, new_log: bool, committed: bool) -> None:
    run = account.next_run()
    plan = account.plan(run)
    fetched = [account.fetch(plan, batch) for batch in range(len(plan.batches))]
    for one in fetched:
        account.normalize(plan, one)
    if committed:
        account.commit(plan)
    if new_log:
        account.serve(6)
    do_from(account, task, run, plan, fetched)
    account.run()
    assert account.run() is None
    assert account.rows() == account.expected()
    account.assert_balanced()
    assert sorted(account.requested()) == sorted(account.forged)


@pytest.mark.parametrize("task", TASKS[1:])
def test_a_task_cleared_after_later_runs_changes_nothing(account: Account, task: str) -> None:
    run = account.next_run()
    plan = account.plan(run)
    fetched = [account.fetch(plan, batch) for batch in range(len(plan.batches))]
    account.finish(plan)
    for number in (6, 7, 8, 9):
        account.serve(number)
        account.run()
    before = {path: path.read_bytes() for path in account.lake.rglob("*") if path.is_file()}
    do_from(account, task, run, plan, fetched)
    assert {path: path.read_bytes() for path in account.lake.rglob("*") if path.is_file()} == before
