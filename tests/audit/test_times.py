"""Times in the ledger bear each other out; what cannot be is named, whoever recomputed all hashes."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from airflow_provider_imperva.audit.verify import verify_lake
from airflow_provider_imperva.lake.records import LogRecord
from airflow_provider_imperva.lake.store import open_store
from tests.audit.insider import Insider, Sealed, make_sealed_lake

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    return make_sealed_lake(tmp_path_factory.mktemp("sealed"))


@pytest.fixture
def insider(sealed: Sealed, tmp_path: Path) -> Insider:
    return Insider(Path(shutil.copytree(sealed.lake, tmp_path / "lake")))


def said(insider: Insider) -> list[str]:
    (found, _) = verify_lake(open_store(str(insider.lake))).repositories
    return [item.found for item in found.findings if item.kind == "time"]


@pytest.mark.parametrize(
    ("field", "by", "told"),
    [
        ("fetched_at", DAY, "fetched 2026-03-03"),
        ("fetched_at", -DAY, "first listed 2026-03-02"),
        ("first_listed_at", DAY, "first listed 2026-03-03"),
    ],
)
def test_a_log_is_listed_fetched_and_committed_in_this_order(
    insider: Insider, field: str, by: timedelta, told: str
) -> None:
    report = insider.report(2)

    def moved(log: LogRecord) -> LogRecord:
        return msgspec.structs.replace(log, **{field: getattr(log, field) + by})

    insider.write_report(msgspec.structs.replace(report, logs=(moved(report.logs[0]), *report.logs[1:])))
    insider.commit_anew()
    found = said(insider)
    assert found
    assert all(told in text for text in found)


@pytest.mark.parametrize(
    ("number", "by", "told"),
    [
        (3, -DAY, "before commit 2"),
        (1, 2 * DAY, "before commit 1"),
        (3, -3 * timedelta(minutes=10), "before it was planned"),
    ],
)
def test_commits_rise_and_follow_their_plans(insider: Insider, number: int, by: timedelta, told: str) -> None:
    committed = insider.ledger.commit(number).committed_at
    insider.commit_anew(times=lambda time: time + by if time == committed else time)
    assert any(told in text for text in said(insider))


def test_clocks_of_two_machines_may_differ_by_minutes(insider: Insider) -> None:
    committed = insider.ledger.commit(3).committed_at
    slower = timedelta(minutes=4)
    insider.commit_anew(times=lambda time: time - slower if time == committed else time)
    assert said(insider) == []
