"""Plans that load nothing, and the deletion of what commits removed: a commit says it first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import msgspec
import pytest

from airflow_provider_imperva.errors import LedgerConflictError
from airflow_provider_imperva.lake.commit import commit_plan
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.maintenance import GRACE, plan_maintenance, retire
from airflow_provider_imperva.lake.records import Commit, Kind, Part, Report, Run, Taken
from airflow_provider_imperva.load.plan import recover
from tests.lake.ledger_records import RUN, T0, commit_of, event_parts, finish_batch, parts_of, plan_of
from tests.load.stepped_store import BrokenOffError, SteppedStore, break_off

BY = Run("imperva_maintenance", "run-9")


def merge(ledger: Ledger, last: Commit, *parts: Part, numbers: list[int]) -> Commit:
    """Put the rows of some parts into one, as compaction does."""
    plan = plan_maintenance(ledger, last, kind=Kind.COMPACT, run=BY, provider_version="0", at=T0, inputs={0: parts})
    rows = sum(part.rows for part in parts)
    with parts_of(ledger, plan, 0, numbers) as merged:
        ledger.create_intent(plan.commit, 0, merged.paths, outcome="")
        written = merged.write()
    ledger.write_report(Report(plan.v, plan.commit, 0, written, (), removed=parts, carried_rows=rows))
    return commit_of(ledger, plan)


@pytest.fixture
def merged(ledger: Ledger) -> Commit:
    """Two commits of a part each, and a third that puts them together."""
    parts: list[Part] = []
    for number in (1, 2):
        plan = ledger.create_plan(plan_of([number], commit=number, contiguous=0))
        parts += finish_batch(ledger, plan).parts
        last = commit_of(ledger, plan)
    return merge(ledger, last, *parts, numbers=[1, 2])


@pytest.fixture(autouse=True)
def the_ledger_goes_on(ledger: Ledger) -> Iterator[None]:
    yield
    head = recover(ledger, ledger.head(), run=RUN, at=T0)
    assert commit_of(ledger, ledger.create_plan(plan_of(commit=head.next_commit))).commit == head.next_commit


def retire_now(ledger: Ledger, commit: Commit, *, days: float = 0, grace: timedelta = timedelta()) -> Commit | None:
    return retire(ledger, commit, run=BY, provider_version="0", at=T0 + timedelta(days=days), grace=grace)


def test_a_plan_of_another_kind_leaves_the_watermark_as_it_is(ledger: Ledger, merged: Commit) -> None:
    before = ledger.commit(2)
    assert (merged.kind, merged.prefixes, merged.observed_at) == (Kind.COMPACT, before.prefixes, before.observed_at)
    assert (merged.carried_rows, merged.totals.rows, sum(part.rows for part in merged.parts)) == (4, 0, 4)
    assert ledger.plan(3).kind is Kind.COMPACT
    assert [item.commit for item in merged.unretired] == [3]


def test_without_a_table_what_was_removed_is_deleted_at_once(ledger: Ledger, merged: Commit) -> None:
    assert len(event_parts(ledger)) == 3
    done = retire_now(ledger, merged)
    assert done is not None
    assert (done.kind, done.unretired, done.prefixes) == (Kind.RETIRE, (), merged.prefixes)
    assert done.retired == tuple(part.path for part in merged.removed)
    assert event_parts(ledger) == ["part-000000000003-0000.parquet"]
    assert retire_now(ledger, done) is None, "there is nothing left to do"
    assert retire_now(ledger, merged) is None, "whichever commit is at hand"


def test_with_a_grace_it_stays_for_as_long(ledger: Ledger, merged: Commit) -> None:
    assert retire_now(ledger, merged, days=6.99, grace=GRACE) is None
    assert len(event_parts(ledger)) == 3
    assert retire_now(ledger, merged, days=7, grace=GRACE) is not None
    assert event_parts(ledger) == ["part-000000000003-0000.parquet"]
    assert timedelta(days=7) == GRACE


def test_each_removal_has_its_own_grace(ledger: Ledger, merged: Commit) -> None:
    plan = plan_maintenance(
        ledger, merged, kind=Kind.EXPIRE, run=BY, provider_version="0", at=T0, inputs={0: merged.parts}
    )
    ledger.write_report(Report(plan.v, plan.commit, 0, (), (), removed=merged.parts))
    expired = commit_plan(ledger, plan, by=BY, provider_version="0", at=T0 + timedelta(days=3))
    assert [item.commit for item in expired.unretired] == [3, 4]
    done = retire_now(ledger, expired, days=8, grace=GRACE)
    assert done is not None
    assert [item.commit for item in done.unretired] == [4]
    assert event_parts(ledger) == ["part-000000000003-0000.parquet"]


def test_while_a_plan_is_open_it_waits(ledger: Ledger, merged: Commit) -> None:
    ledger.create_plan(plan_of(commit=4))
    assert retire_now(ledger, merged) is None
    assert len(event_parts(ledger)) == 3


def test_a_plan_made_meanwhile_is_not_overtaken(ledger: Ledger, merged: Commit) -> None:
    ledger.create_plan(plan_of(commit=4))
    with pytest.raises(LedgerConflictError):
        plan_maintenance(ledger, merged, kind=Kind.RETIRE, run=BY, provider_version="0", at=T0, retires=(3,))


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", range(5))
def test_broken_off_anywhere_the_next_run_does_the_rest(ledger: Ledger, merged: Commit, step: int, moment: str) -> None:
    """Plan, logs, commit, two parts."""
    live = ledger.store
    ledger.store = SteppedStore(live, **{moment: break_off(step)})
    with pytest.raises(BrokenOffError):
        retire_now(ledger, merged)
    ledger.store = live
    head = recover(ledger, ledger.head(), run=RUN, at=T0)
    assert head.commit is not None
    retire(ledger, head.commit, run=RUN, provider_version="0", at=T0)
    assert event_parts(ledger) == ["part-000000000003-0000.parquet"]
    assert ledger.head().commit.unretired == ()  # type: ignore[union-attr]


def test_a_batch_whose_rows_do_not_add_up_changes_nothing(ledger: Ledger, merged: Commit) -> None:
    short = tuple(msgspec.structs.replace(part, rows=part.rows - 1) for part in merged.parts)
    plan = plan_maintenance(
        ledger, merged, kind=Kind.COMPACT, run=BY, provider_version="0", at=T0, inputs={0: merged.parts}
    )
    ledger.write_report(Report(plan.v, plan.commit, 0, short, (), removed=merged.parts, carried_rows=4))
    commit = commit_of(ledger, plan)
    assert (commit.failed_batches, commit.parts, commit.removed) == ((0,), (), ())


@pytest.mark.parametrize(("rows", "sound"), [(4, True), (5, False), (3, False)])
def test_a_batch_that_took_out_other_rows_than_it_says_changes_nothing(
    ledger: Ledger, merged: Commit, rows: int, sound: bool
) -> None:
    plan = plan_maintenance(
        ledger, merged, kind=Kind.EXPIRE, run=BY, provider_version="0", at=T0, inputs={0: merged.parts}
    )
    ledger.write_report(Report(plan.v, plan.commit, 0, (), (), removed=merged.parts, taken=Taken(rows=rows)))
    commit = commit_of(ledger, plan)
    assert (commit.failed_batches, commit.taken_rows) == (((), 4) if sound else ((0,), 0))
