"""Headroom: how much time, and how many bytes, are left before the oldest log not yet fetched leaves the window.

It is an estimate. When a log was written is not known before it is fetched; it lies between the look at the index that
first listed the log and the look before that, and the earlier of the two is taken. Of the first look at a repository
there is none before, so the logs it lists count as new.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice, pairwise

import msgspec

from airflow_provider_imperva.lake.records import IN_RAW, Commit
from airflow_provider_imperva.lake.watermark import ABSENT, Prefix, Range, State
from airflow_provider_imperva.repository.names import LogName


class Headroom(msgspec.Struct, frozen=True):
    """How a repository stands, at the end of a run.

    :ivar backlog: how many logs are listed and not loaded.
    :ivar seconds: left before the oldest of those not yet fetched leaves the window; the whole window if there is none.
        Negative once it must be gone.
    :ivar bytes: how much Imperva can still write before it overwrites that one; None without a byte cap.
    :ivar logs_in_per_hour, logs_out_per_hour: logs that were listed, and loaded, over the last commits; None if they
        do not tell.
    :ivar edge_at: when the backlog meets the edge of the window if both rates stay as they are; None if it does not.
    """

    backlog: int
    seconds: float
    bytes: int | None
    logs_in_per_hour: float | None
    logs_out_per_hour: float | None
    edge_at: datetime | None

    def __str__(self) -> str:
        """Say it in words."""
        parts = [f"{self.backlog} logs wait to be loaded, {self.seconds / 3600:.1f} h before the oldest is gone"]
        if self.bytes is not None:
            parts.append(f"{self.bytes / 1e6:.0f} MB until it is overwritten")
        if self.logs_in_per_hour is not None and self.logs_out_per_hour is not None:
            parts.append(f"{self.logs_in_per_hour:.0f} logs/h come in, {self.logs_out_per_hour:.0f} go out")
        if self.edge_at:
            parts.append(f"at these rates logs are lost from {self.edge_at:%Y-%m-%d %H:%M} UTC on")
        return "; ".join(parts)


def measure(commits: Sequence[Commit], *, at: datetime, window: timedelta, window_bytes: int | None) -> Headroom:
    """Measure the headroom after a commit.

    :param commits: the last commits, oldest first, at least one.
    :param at: now, UTC.
    :param window: how long Imperva keeps a log.
    :param window_bytes: how many bytes of logs Imperva keeps; None for no bound.
    """
    last = commits[-1]
    backlog = _backlog(last)
    waiting = list(_unfetched(last))
    seconds = min((time_left(item, at=at, window=window) for item in waiting), default=window).total_seconds()
    into, out = _rates(commits)
    edge_at = None
    if backlog and into and out is not None and out < into:
        # The oldest log waiting grows older by what comes in and is not taken out.
        edge_at = at + timedelta(seconds=max(seconds, 0) / (1 - out / into))
    room = None if window_bytes is None else window_bytes - int(len(waiting) * usual_log_bytes(reversed(commits)))
    return Headroom(backlog, seconds, room, into, out, edge_at)


def time_left(listed: Range, *, at: datetime, window: timedelta) -> timedelta:
    """Return the time before logs leave the window, at the worst; negative once they must be gone."""
    # What was listed was not older than the window then.
    oldest = max(listed.after or listed.since, listed.since - window)
    return window - (at - oldest)


USUAL_LOG_BYTES = 250_000
"""Size of a log as received, until a commit has one: one covers minutes of traffic."""


def usual_log_bytes(commits: Iterable[Commit]) -> float:
    """Estimate the size of a log as received, in bytes, by what was fetched last.

    :param commits: newest first; no more of them are drawn than it takes, and no more than a hundred.
    """
    for commit in islice(commits, 100):
        if fetched := sum(count for state, count in commit.totals.logs.items() if state not in ABSENT):
            return commit.totals.raw_bytes / fetched
    return USUAL_LOG_BYTES


def _unfetched(commit: Commit) -> Iterator[Range]:
    """Yield for each log that is listed, and whose bytes are not in ``raw/``, the range it is in."""
    for name, prefix in commit.prefixes.items():
        for number, item in prefix.numbers(State.LISTED):
            if commit.open_codes.get(str(LogName(name, number))) not in IN_RAW:
                yield item


def _listed(prefixes: Iterable[Prefix]) -> list[Range]:
    return [item for prefix in prefixes for item in prefix.open if item.state is State.LISTED]


def _rates(commits: Sequence[Commit]) -> tuple[float | None, float | None]:
    """Return the logs per hour that were listed, and loaded, from the first of the commits to the last."""
    hours = (commits[-1].observed_at - commits[0].observed_at) / timedelta(hours=1)
    if hours <= 0:
        return None, None
    out = sum(_loaded(commit) for commit in commits[1:])
    grown = sum(_backlog(later) - _backlog(earlier) for earlier, later in pairwise(commits))
    return (out + grown) / hours, out / hours


def _loaded(commit: Commit) -> int:
    if commit.replaced:
        # A replay loads nothing that was waiting.
        return 0
    return sum(count for state, count in commit.totals.logs.items() if state not in (State.SKIPPED, State.UNOBSERVED))


def _backlog(commit: Commit) -> int:
    return sum(item.last - item.first + 1 for item in _listed(commit.prefixes.values()))
