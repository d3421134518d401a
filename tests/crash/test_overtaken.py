"""A run hangs before each of its durable operations in turn while others go on; it wakes up, and nothing is doubled."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_imperva.errors import LedgerConflictError
from airflow_provider_imperva.lake.commit import SWEPT_COMMITS
from airflow_provider_imperva.lake.records import Run
from airflow_provider_imperva.testing import KeyPair
from tests.crash.crash_runs import CrashAccount
from tests.crash.test_crash_points import PLAYS, STRIDE, Play, Scene, begin, numbered, operations, settle, some_of

# Hundreds of runs each, on a machine that may have better things to do.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

Others = Callable[[CrashAccount, Play, Run], None]


def another_run(account: CrashAccount, play: Play, run: Run) -> None:
    account.serve(50)
    account.run()


def several_runs(account: CrashAccount, play: Play, run: Run) -> None:
    """More of them than commits look back for what a zombie wrote."""
    for number in range(50, 51 + SWEPT_COMMITS):
        account.serve(number)
        account.run()


def the_same_tasks(account: CrashAccount, play: Play, run: Run) -> None:
    """Airflow took the tasks for dead and started them again."""
    play.step(account, run)


@pytest.fixture
def scene(tmp_path: Path, key_pair: KeyPair, other_pair: KeyPair) -> Scene:
    return Scene(tmp_path, None, None, key_pair, other_pair)


OTHERS: list[Others] = [another_run, several_runs, the_same_tasks]


@pytest.mark.parametrize("others", OTHERS)
@pytest.mark.parametrize("name", PLAYS)
def test_a_run_that_is_overtaken_at_any_operation_doubles_nothing(
    scene: Scene, name: str, others: Others, record_property: Callable[[str, object], None]
) -> None:
    points, play = operations(scene, name), PLAYS[name]
    tried = some_of(points, OTHERS.index(others) * STRIDE // len(OTHERS))
    for number, repository in numbered(tried):
        try:
            zombie = begin(scene, play, repository, str(number))
            run = zombie.next_run()

            def hang(reached: int, done: bool) -> None:
                if (reached, done) == (number, False):  # noqa: B023
                    quick = scene.account(repository, str(number))  # noqa: B023
                    quick.forged, quick.spoiled, quick.keys = zombie.forged, zombie.spoiled, zombie.keys  # noqa: B023
                    others(quick, play, run)  # noqa: B023

            zombie.store.let(hang)
            with contextlib.suppress(LedgerConflictError):  # it was told that others were quicker
                play.step(zombie, run)
            settle(zombie, scene, play)
        except BaseException as error:
            error.add_note(f"overtaken before operation {number} of {points}")
            raise
    record_property("crash points", len(tried))
