"""How much time and room is left, and when logs will be lost if nothing changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from airflow_provider_imperva.lake.headroom import measure, time_left
from airflow_provider_imperva.lake.records import Commit, OpenCode, Run, Totals
from airflow_provider_imperva.lake.watermark import Prefix, Range, State

T0 = datetime(2026, 11, 22, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
WINDOW = 48 * HOUR


def commit(
    number: int, *, at: datetime, loaded: int, listed: tuple[int, int] | None = None, since: datetime = T0
) -> Commit:
    """A commit that loaded some logs of 1 MB and leaves a range of numbers listed."""
    waiting = (Range(*listed, State.LISTED, since),) if listed else ()
    return Commit(
        v=1,
        repository="r",
        commit=number,
        previous_sha256=None,
        logs_sha256="",
        run=Run("d", "r"),
        committed_by=Run("d", "r"),
        provider_version="0",
        committed_at=at,
        observed_at=at,
        batches=(),
        failed_batches=(),
        parts=(),
        totals=Totals({State.COMMITTED: loaded}, 0, 0, 0, loaded * 1_000_000),
        open={},
        prefixes={"8416": Prefix(0, 1000, waiting)},
    )


def test_without_a_backlog_the_whole_window_is_left() -> None:
    coverage = measure([commit(1, at=T0, loaded=5)], at=T0, window=WINDOW, window_bytes=500_000_000)
    assert (coverage.backlog, coverage.seconds, coverage.bytes) == (0, WINDOW.total_seconds(), 500_000_000)
    assert coverage.edge_at is None


def test_the_oldest_log_waiting_sets_the_time_and_the_backlog_the_room() -> None:
    coverage = measure(
        [commit(1, at=T0, loaded=5, listed=(1, 100))], at=T0 + 10 * HOUR, window=WINDOW, window_bytes=500_000_000
    )
    assert (coverage.backlog, coverage.seconds, coverage.bytes) == (100, 38 * 3600, 400_000_000)


def test_what_is_in_raw_already_cannot_be_lost() -> None:
    last = msgspec.structs.replace(
        commit(1, at=T0, loaded=5, listed=(1, 3)),
        open={"8416_1.log": "whatever is said", "8416_2.log": "of it"},
        open_codes={"8416_1.log": OpenCode.FETCHED_ONLY, "8416_2.log": OpenCode.COPY_BEING_LOADED},
    )
    coverage = measure([last], at=T0 + 10 * HOUR, window=WINDOW, window_bytes=500_000_000)
    assert (coverage.backlog, coverage.seconds, coverage.bytes) == (3, 38 * 3600, 499_000_000)
    last = msgspec.structs.replace(last, open_codes=last.open_codes | {"8416_3.log": OpenCode.FETCHED_ONLY})
    coverage = measure([last], at=T0 + 10 * HOUR, window=WINDOW, window_bytes=500_000_000)
    assert (coverage.backlog, coverage.seconds, coverage.bytes) == (3, 48 * 3600, 500_000_000)


def test_no_byte_cap_no_bytes() -> None:
    assert measure([commit(1, at=T0, loaded=5)], at=T0, window=WINDOW, window_bytes=None).bytes is None


def test_a_backlog_that_grows_meets_the_edge() -> None:
    """100 logs/h come in and 50 go out: the oldest one waiting gets half an hour older each hour."""
    commits = [
        commit(1, at=T0, loaded=50, listed=(1, 100)),
        commit(2, at=T0 + 1 * HOUR, loaded=50, listed=(51, 200)),
        commit(3, at=T0 + 2 * HOUR, loaded=50, listed=(101, 300), since=T0 + 2 * HOUR),
    ]
    coverage = measure(commits, at=T0 + 2 * HOUR, window=WINDOW, window_bytes=None)
    assert (coverage.logs_in_per_hour, coverage.logs_out_per_hour) == (100, 50)
    assert coverage.edge_at == T0 + 2 * HOUR + 96 * HOUR


def test_a_backlog_that_shrinks_does_not() -> None:
    commits = [commit(1, at=T0, loaded=50, listed=(1, 100)), commit(2, at=T0 + HOUR, loaded=80, listed=(81, 110))]
    assert measure(commits, at=T0 + HOUR, window=WINDOW, window_bytes=None).edge_at is None


@pytest.mark.parametrize(
    ("after", "hours"), [(None, 47), (T0 - 10 * HOUR, 37), (T0 - 47 * HOUR, 0), (T0 - 100 * HOUR, -1)]
)
def test_a_log_may_be_as_old_as_the_look_before_it_was_listed(after: datetime | None, hours: int) -> None:
    """But not older than the window was when it was listed."""
    listed = Range(1, 1, State.LISTED, T0, after=after)
    assert time_left(listed, at=T0 + HOUR, window=WINDOW) == hours * HOUR
