"""A certificate reads the logs of its period alone, and says what the whole ledger would."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_imperva.audit.certificate import Certificate, PeriodLedger, issue
from airflow_provider_imperva.audit.excerpt import read_excerpt
from airflow_provider_imperva.audit.history import History, repositories
from airflow_provider_imperva.audit.period import Period
from airflow_provider_imperva.errors import LedgerCorruptError
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.load.replay import Selection
from airflow_provider_imperva.testing import FakeRepository
from tests.audit.eventful_lake import replay_all
from tests.load.load_runs import Account, Clock

AT = datetime(2026, 12, 1, tzinfo=UTC)


def certified(history: History, period: Period) -> Certificate:
    return PeriodLedger(history, period).certify(at=AT, looked=False, bridge=None)


def periods(whole: History) -> list[Period]:
    """Every day that the ledger knows of, the days around them, and every month."""
    first, last = (whole.commits[number].observed_at.date() for number in (min(whole.commits), max(whole.commits)))
    days = [first + timedelta(days=number) for number in range(-1, (last - first).days + 2)]
    return [Period.parse(text) for text in dict.fromkeys([*map(str, days), *(f"{day:%Y-%m}" for day in days)])]


def test_of_every_day_and_month_it_says_what_the_whole_ledger_says(eventful_lake: Path) -> None:
    store = open_store(str(eventful_lake))
    for repository in repositories(store):
        whole = History.read(store, repository)
        for period in periods(whole):
            excerpt = read_excerpt(store, repository, period)
            assert certified(excerpt, period) == certified(whole, period), (repository, period)


def test_up_to_an_earlier_commit_too(eventful_lake: Path) -> None:
    store, repository = open_store(str(eventful_lake)), "8416_1745073"
    for last in range(1, len(History.read(store, repository).commits), 7):
        whole = History.read(store, repository, last=last)
        period = periods(whole)[-3]
        assert certified(read_excerpt(store, repository, period, last=last), period) == certified(whole, period)


def test_a_replay_after_the_period_counts(tmp_path: Path) -> None:
    """Nothing is open any more then: only the commit itself says that it changes what others have decided."""
    clock = Clock()
    with FakeRepository() as repository:
        account = Account(repository, tmp_path / "lake", clock=clock)
        account.serve(1, 2)
        day = Period.parse(f"{account.run_some().observed_at:%Y-%m-%d}")
        clock.ahead = timedelta(hours=30)
        account.serve(3)
        account.run_some()
        replay_all(account, Selection(state="all"))
    store = open_store(str(tmp_path / "lake"))
    whole = History.read(store, repository.name)
    assert not any(mark.open for mark in whole.commits[2].prefixes.values())
    excerpt = read_excerpt(store, repository.name, day)
    assert certified(excerpt, day) == certified(whole, day)
    assert excerpt.logs.to_pylist() == whole.logs.to_pylist()


def test_logs_of_other_days_are_not_read(eventful_lake: Path) -> None:
    store, repository = open_store(str(eventful_lake)), "8416_1745073"
    day = Period.parse(str(date(2026, 3, 4)))
    excerpt = read_excerpt(store, repository, day)
    assert 0 < len(excerpt.logs_sha256) < len(excerpt.commits) / 2


def test_whatever_is_wrong_with_what_it_reads_nothing_is_certified(lake: Path) -> None:
    store, layout = open_store(str(lake)), Layout("8416_1745073")
    month = Period.parse(f"{History.read(store, layout.repository).commits[2].observed_at:%Y-%m}")
    (lake / layout.logs(2)).write_bytes((lake / layout.logs(1)).read_bytes())
    with pytest.raises(LedgerCorruptError, match="nothing can be certified"):
        issue(store, layout.repository, month, at=AT, looks=False)
