"""What a hold covers stays, whoever would take it out: expiry, erasure, and the deletion of what left before."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_imperva.audit.words import describe_lake
from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.lake.records import Commit, Kind
from airflow_provider_imperva.retention.holds import holds_in_force, lift_hold, set_hold
from tests.load.load_runs import Clock
from tests.retention.kept_account import KeptAccount, day_of, files_of

CASE: dict[str, Any] = {"reference": "CASE-7", "by": "legal@example.com", "why": "litigation"}
OLD = {"events": {"access": 5, "security": 5}}


def hold(account: KeptAccount, *, since: int | None = None, until: int | None = None, **more: Any) -> Commit:
    """Place a hold on days, counted back from today."""
    return set_hold(
        account.ledger,
        **{**CASE, **more},
        since=None if since is None else day_of(since).date(),
        until=None if until is None else day_of(until).date(),
        run=account.maintenance_run(),
        clock=account.clock,
    )


def lift(account: KeptAccount, reference: str = "CASE-7") -> Commit:
    return lift_hold(
        account.ledger,
        reference=reference,
        by="legal@example.com",
        why="settled",
        run=account.maintenance_run(),
        clock=account.clock,
    )


def load_days(account: KeptAccount) -> KeptAccount:
    for number, days_ago in enumerate((12, 10, 0), 1):
        account.serve_day(number, days_ago)
    account.run()
    return account


def test_it_is_an_entry_of_the_ledger_and_is_carried_along(account: KeptAccount) -> None:
    load_days(account)
    commit = hold(account, since=12, until=11)
    assert (commit.kind, commit.parts, commit.removed) == (Kind.HOLD, (), ())
    account.serve_day(4, 0)
    account.run()
    (held,) = holds_in_force(account.ledger)
    assert (held.reference, held.by, held.why) == ("CASE-7", "legal@example.com", "litigation")
    assert "Hold CASE-7" in "\n".join(describe_lake(account.verify()))
    account.assert_sound()
    lifted = lift(account)
    assert (lifted.lifts, lifted.holds, holds_in_force(account.ledger)) == ("CASE-7", (), ())
    account.assert_sound()


def test_expiry_leaves_what_it_covers_and_says_so(account: KeptAccount, caplog: pytest.LogCaptureFixture) -> None:
    load_days(account)
    hold(account, since=12, until=11)
    done = account.expire(**OLD)
    left = {part.event_date for part in account.live().values()}
    assert left == {f"{day_of(12):%Y-%m-%d}", f"{day_of(0):%Y-%m-%d}"}
    assert done.held == {"CASE-7": 2}
    assert "hold CASE-7 covers them" in caplog.text
    account.assert_sound()
    lift(account)
    assert account.expire(**OLD).commits
    assert {part.event_date for part in account.live().values()} == {f"{day_of(0):%Y-%m-%d}"}


def test_bytes_and_quarantine_that_may_be_of_its_days_stay(account: KeptAccount, clock: Clock) -> None:
    account.serve_day(1, 30, broken=1)
    account.run()
    clock.ahead = timedelta(days=7)
    hold(account, since=31, until=20)
    done = account.expire(raw=5, quarantine=5)
    assert (done.commits, done.held) == ((), {"CASE-7": 2})
    lift(account)
    assert account.expire(raw=5, quarantine=5).counts.keys() == {"raw", "quarantine"}
    account.assert_sound()


def test_what_expired_before_is_not_deleted_while_it_is_in_force(
    tabled: KeptAccount, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    load_days(tabled)
    tabled.expire(**OLD)
    old = {path for path in files_of(tabled.lake) if f"event_date={day_of(12):%Y-%m-%d}" in path}
    hold(tabled, since=12, until=12)
    clock.ahead = timedelta(days=8)
    tabled.run()
    assert old <= files_of(tabled.lake)
    assert "it is on hold (CASE-7)" in caplog.text
    tabled.assert_sound()
    lift(tabled)
    tabled.serve_day(4, 0)
    tabled.run()
    assert old.isdisjoint(files_of(tabled.lake))
    tabled.assert_sound()


def test_merged_or_replayed_parts_are_deleted_all_the_same(account: KeptAccount) -> None:
    from airflow_provider_imperva.load.normalize import NormalizeOptions
    from airflow_provider_imperva.load.replay import Selection, make_replay_plan, replay

    load_days(account)
    hold(account)
    plan = make_replay_plan(account.ledger, run=account.next_run(), selection=Selection(state="all"), take_over=False)
    assert plan is not None
    replay(account.ledger, account.keys, plan, options=NormalizeOptions())
    there = {path for path in files_of(account.lake) if path.startswith("events/")}
    assert there == set(account.live()), "their rows are in the lake elsewhere"


WRONG = [
    ({"reference": " "}, "reference is empty"),
    ({"why": ""}, "why is empty"),
    ({"since": 3, "until": 5}, "ends before it begins"),
]


@pytest.mark.parametrize(("given", "found"), WRONG)
def test_what_cannot_be_meant_is_refused(account: KeptAccount, given: dict[str, Any], found: str) -> None:
    load_days(account)
    before = files_of(account.lake)
    with pytest.raises(ConfigurationError, match=found):
        hold(account, **given)
    assert files_of(account.lake) == before


def test_a_reference_is_used_once_at_a_time(account: KeptAccount) -> None:
    with pytest.raises(ConfigurationError, match="nothing was ever loaded"):
        hold(account)
    load_days(account)
    hold(account)
    with pytest.raises(ConfigurationError, match="is in force"):
        hold(account)
    with pytest.raises(ConfigurationError, match="those in force are: CASE-7"):
        lift(account, "CASE-8")
    lift(account)
    hold(account)
