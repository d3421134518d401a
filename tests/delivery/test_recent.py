"""Of a bucket that keeps everything only what may be new is listed, and once a day all of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_imperva.delivery.recent import Recent
from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.load import delivered
from airflow_provider_imperva.load.delivered import DeliveredLogs
from tests.delivery.conftest import KINDS
from tests.delivery.inbox import NO_REPOSITORY, Deliveries


@dataclass
class Large(Deliveries):
    """Deliveries to a bucket whose names tell what is new, with a clock that can be put forward."""

    listing: str = "rising"
    ahead: timedelta = field(default_factory=timedelta)
    listed: list[str | None] = field(default_factory=list)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    @contextmanager
    def client(self) -> Iterator[DeliveredLogs]:  # type: ignore[override]
        recent = Recent.parse(self.listing, about="s3://any/")
        with self.inbox.open(recent=recent, clock=self.now) as folder:
            listing = folder.listing

            def listed(*, after: str | None = None) -> Any:
                self.listed.append(after)
                return listing(after=after)

            folder.listing = listed  # type: ignore[method-assign]
            yield DeliveredLogs(folder, self.ledger)


@pytest.fixture
def large(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Large:
    monkeypatch.setattr(delivered, "OVERLAP", 2)
    return Large(NO_REPOSITORY, tmp_path / "lake", inbox=KINDS["S3"](request))


def test_only_names_above_the_last_are_listed_and_once_a_day_all(large: Large) -> None:
    for number in (10, 20, 30, 40):
        large.deliver(f"{number}.log", number)
    large.run_some()
    assert set(large.listed) == {None}, "the first time, all of it"
    large.listed.clear()
    large.deliver("35.log", 35)
    large.deliver("50.log", 50)
    large.run_some()
    assert set(large.listed) == {"30.log"}
    assert large.rows() == large.expected(), "one that came late, within the overlap, too"

    large.deliver("15.log", 15)
    assert large.run() is None, "its name says that it is old"
    large.ahead = timedelta(hours=25)
    large.listed.clear()
    commit = large.run_some()
    assert large.listed[0] is None
    assert commit.totals.logs == {"committed": 1}
    assert large.rows() == large.expected()
    large.listed.clear()
    assert large.run() is None
    assert large.listed == ["40.log"]


def test_a_look_does_not_list_all_again_and_again(large: Large) -> None:
    for number in (10, 20, 30):
        large.deliver(f"{number}.log", number)
    large.run_some()
    large.ahead = timedelta(hours=25)
    large.listed.clear()
    for _ in range(3):
        assert large.work() is None
    assert large.listed == [None, "20.log", "20.log"]


def test_folders_of_days(large: Large) -> None:
    large.listing = "%Y/%m/%d"
    today = datetime.now(UTC)
    old, yesterday = (f"{today - timedelta(days=days):%Y/%m/%d}" for days in (9, 1))
    large.deliver(f"{old}/zz.log", 1)
    large.run_some()
    large.deliver(f"{yesterday}/aa.log", 2)
    large.deliver(f"{today:%Y/%m/%d}/bb.log", 3)
    large.deliver(f"{old}/yy.log", 4)
    assert large.run_some().totals.logs == {"committed": 2}
    large.ahead = timedelta(days=1)
    assert large.run_some().totals.logs == {"committed": 1}
    assert large.rows() == large.expected()


def test_where_loaded_objects_do_not_stay_all_is_listed(large: Large) -> None:
    with large.inbox.open(recent=Recent(), after_commit="delete") as folder:
        assert not folder.has_recent


@pytest.mark.parametrize("text", ["rise", "%Y", "%q/%d", "%Y/%m", "logs/"])
def test_a_setting_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="extra 'listing'"):
        Recent.parse(text, about="s3://any/")
