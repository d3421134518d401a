"""Merging, deleting what was merged, and a replay of merged logs die at their durable operations, for real."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from airflow_provider_imperva.errors import LakeError
from airflow_provider_imperva.lake.records import Run
from airflow_provider_imperva.options import PlanOptions, TableKind
from airflow_provider_imperva.testing import FakeRepository
from tests.crash.crash_runs import (
    CrashAccount,
    LakeAddress,
    Servers,
    Step,
    assert_all_is_well,
    die,
    merge_and_retire,
    merge_parts,
    replay_all,
    rows_shown,
)
from tests.crash.stopping_store import Moment, StopAt, nothing_happens
from tests.crash.test_crash_points import STRIDE
from tests.long_form import LONG

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


STEPS: dict[str, Step] = {"merge, then retire": merge_and_retire, "replay of what was merged": replay_all}


@dataclass(frozen=True)
class Built:
    """A lake in which a step can begin.

    :ivar operations: how many the step has; ``of_table`` those of them that write to the table.
    """

    account: CrashAccount
    operations: int
    of_table: list[int]


def build(address: LakeAddress, repository: FakeRepository, step: Step, table: TableKind) -> CrashAccount:
    """Three commits of two parts each, in a table; for a replay they are merged."""
    account = open_account(address, repository, table)
    for number in (1, 2, 3):
        account.serve(number, events=8, security_share=0.5, seed=number)
        account.run()
    if step is replay_all:
        merge_parts(account, account.next_run())
    account.store.let(nothing_happens)
    account.table_operations.clear()
    return account


def open_account(address: LakeAddress, repository: FakeRepository, table: TableKind) -> CrashAccount:
    return CrashAccount(repository, address.folder, options=PlanOptions(), address=address, table=table)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, TableKind], Built]:
    """Build the lake on disk in which a step begins, once."""

    @cache
    def build_once(name: str, table: TableKind) -> Built:
        folder = tmp_path_factory.mktemp("built")
        with FakeRepository() as repository:
            account = build(LakeAddress(folder / "lake"), repository, STEPS[name], table)
            counted = account
            if table == "delta":
                shutil.copytree(account.lake, folder / "count")
                counted = open_account(LakeAddress(folder / "count"), repository, table)
            STEPS[name](counted, Run("dag", "count"))
        return Built(account, counted.store.operations, counted.table_operations)

    return build_once


def count_operations(address: LakeAddress, name: str) -> Built:
    """Count what a step has to do where the table is in a REST catalog."""
    with FakeRepository() as repository:
        account = build(address, repository, STEPS[name], "iceberg")
        STEPS[name](account, Run("dag", "count"))
    return Built(account, account.store.operations, account.table_operations)


def begin(address: LakeAddress, repository: FakeRepository, step: Step, built: CrashAccount) -> CrashAccount:
    assert isinstance(built.table, str)
    # The paths in an Iceberg table are absolute.
    if address.server or built.table == "iceberg":
        return build(address, repository, step, built.table)
    shutil.copytree(built.lake, address.folder)
    account = open_account(address, repository, built.table)
    account.forged = dict(built.forged)
    for log in account.forged.values():
        repository.add(log.name, log.content)
    return account


def assert_the_table_is_whole(account: CrashAccount) -> None:
    assert rows_shown(account) == account.expected()


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


LONG_ONLY = pytest.mark.skipif(not LONG, reason="LONG=1 tries it")


@pytest.mark.parametrize(
    ("name", "place", "moment", "table"),
    [
        *((name, "disk", moment, "delta") for name in STEPS for moment in (Moment.KILLED_BEFORE, Moment.KILLED_AFTER)),
        ("merge, then retire", "S3", Moment.KILLED_AFTER, "delta"),
        ("merge, then retire", "disk", Moment.KILLED_AFTER, "iceberg"),
        pytest.param("replay of what was merged", "S3", Moment.KILLED_AFTER, "delta", marks=LONG_ONLY),
        pytest.param("merge, then retire", "disk", Moment.KILLED_BEFORE, "iceberg", marks=LONG_ONLY),
        pytest.param("replay of what was merged", "disk", Moment.KILLED_AFTER, "iceberg", marks=LONG_ONLY),
        *(pytest.param(name, "S3", Moment.KILLED_AFTER, "iceberg", marks=LONG_ONLY) for name in STEPS),
        *(pytest.param(name, "disk", Moment.ANSWER_LOST, "delta", marks=LONG_ONLY) for name in STEPS),
    ],
)
def test_compaction_that_stops_at_any_operation_loses_nothing_and_doubles_nothing(
    servers: Servers,
    tmp_path: Path,
    built: Callable[[str, TableKind], Built],
    name: str,
    place: str,
    moment: Moment,
    table: TableKind,
    record_property: Callable[[str, object], None],
) -> None:
    urls = servers(place, table)
    # A REST catalog writes the table's metadata by itself.
    catalog = LakeAddress(tmp_path / "count", *urls) if urls[1] else None
    lake = count_operations(catalog, name) if catalog else built(name, table)
    # The long form tries all of them, the short one one.
    points = lake.operations
    stride = 1 if STRIDE == 1 else points
    tried = list(range(1 + (7 * list(Moment).index(moment) + len(name)) % stride, points + 1, stride))
    if table == "iceberg":
        # What is no operation of the table is tried with the other one.
        tried = lake.of_table if STRIDE == 1 else lake.of_table[-1:]
    for number in tried:
        with FakeRepository() as repository:
            account = begin(LakeAddress(tmp_path / str(number), *urls), repository, STEPS[name], lake.account)
            try:
                survive(account, STEPS[name], at=StopAt(number, moment))
            except BaseException as error:
                error.add_note(f"{moment} operation {number} of {points}")
                raise
    record_property("crash points", len(tried))
