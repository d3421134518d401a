"""Merging, deleting what was merged, and a replay of merged logs die at their durable operations, for real."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_imperva.errors import LakeError
from airflow_provider_imperva.lake.records import Run
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.options import PlanOptions
from airflow_provider_imperva.testing import FakeRepository
from tests.crash.crash_runs import (
    CrashAccount,
    LakeAddress,
    Step,
    assert_all_is_well,
    die,
    merge_and_retire,
    merge_parts,
    replay_all,
)
from tests.crash.stopping_store import Moment, StopAt, nothing_happens
from tests.crash.test_crash_points import STRIDE
from tests.long_form import LONG
from tests.table.table_reader import rows_of_table

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def build(address: LakeAddress, repository: FakeRepository, step: Step) -> CrashAccount:
    """Three commits of two parts each, in a table; for a replay they are merged."""
    account = open_account(address, repository)
    for number in (1, 2, 3):
        account.serve(number, events=8, security_share=0.5, seed=number)
        account.run()
    if step is replay_all:
        merge_parts(account, account.next_run())
    account.store.let(nothing_happens)
    return account


def open_account(address: LakeAddress, repository: FakeRepository) -> CrashAccount:
    return CrashAccount(repository, address.folder, options=PlanOptions(), address=address, table=True)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[CrashAccount, int]]:
    """For each step a lake on disk, and how many operations the step has there."""
    found = {}
    for name, step in STEPS.items():
        folder = tmp_path_factory.mktemp("built")
        with FakeRepository() as repository:
            account = build(LakeAddress(folder / "lake"), repository, step)
            shutil.copytree(account.lake, folder / "count")
            counted = open_account(LakeAddress(folder / "count"), repository)
            step(counted, Run("dag", "count"))
        found[name] = account, counted.store.operations
    return found


def begin(address: LakeAddress, repository: FakeRepository, step: Step, built: CrashAccount) -> CrashAccount:
    if address.server:
        return build(address, repository, step)
    shutil.copytree(built.lake, address.folder)
    account = open_account(address, repository)
    account.forged = dict(built.forged)
    for log in account.forged.values():
        repository.add(log.name, log.content)
    return account


def assert_the_table_is_whole(account: CrashAccount) -> None:
    assert rows_of_table(open_store(str(account.address.look())), account.address.look()) == account.expected()


def survive(account: CrashAccount, step: Step, *, at: StopAt) -> None:
    if at.moment.kills:
        die(account, step, keys=[], hook=at)
        assert_the_table_is_whole(account)
    else:
        account.store.let(at)
        run = account.next_run()
        with contextlib.suppress(ConnectionResetError, LakeError):
            step(account, run)
        assert account.store.operations >= at.number
        assert_the_table_is_whole(account)
        step(account, run)
    account.settle()
    assert_all_is_well(account)
    merge_parts(account, account.next_run())
    assert_all_is_well(account)
    assert len([path for path in account.parts() if path.startswith("events/")]) == 2


STEPS: dict[str, Step] = {"merge, then retire": merge_and_retire, "replay of what was merged": replay_all}


LONG_ONLY = pytest.mark.skipif(not LONG, reason="LONG=1 tries it")


@pytest.mark.parametrize(
    ("name", "place", "moment"),
    [
        *((name, "disk", moment) for name in STEPS for moment in (Moment.KILLED_BEFORE, Moment.KILLED_AFTER)),
        ("merge, then retire", "S3", Moment.KILLED_AFTER),
        pytest.param("replay of what was merged", "S3", Moment.KILLED_AFTER, marks=LONG_ONLY),
        *(pytest.param(name, "disk", Moment.ANSWER_LOST, marks=LONG_ONLY) for name in STEPS),
    ],
)
def test_compaction_that_stops_at_any_operation_loses_nothing_and_doubles_nothing(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    built: dict[str, tuple[CrashAccount, int]],
    name: str,
    place: str,
    moment: Moment,
    record_property: Callable[[str, object], None],
) -> None:
    server = request.getfixturevalue("s3_url") if place == "S3" else None
    account, points = built[name]
    # The long form tries all of them, the short one one.
    stride = 1 if STRIDE == 1 else points
    tried = range(1 + (7 * list(Moment).index(moment) + len(name)) % stride, points + 1, stride)
    for number in tried:
        with FakeRepository() as repository:
            lake = begin(LakeAddress(tmp_path / str(number), server), repository, STEPS[name], account)
            try:
                survive(lake, STEPS[name], at=StopAt(number, moment))
            except BaseException as error:
                error.add_note(f"{moment} operation {number} of {points}")
                raise
    record_property("crash points", len(tried))
