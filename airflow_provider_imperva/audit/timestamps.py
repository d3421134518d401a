"""The timestamps of a ledger's commits, held against the times that the commits say of themselves.

A commit names the one before by its hash, so a timestamp vouches for all commits up to its own: they were there by
then. A commit that somebody makes again has another hash, and so has each one after it; an authority stamps those with
the time at which it is asked, whoever asks and whatever key they are signed by.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from airflow_provider_imperva.audit.findings import Finding, Kind
from airflow_provider_imperva.audit.history import History, number_of
from airflow_provider_imperva.audit.times import SKEW
from airflow_provider_imperva.lake.layout import TIMESTAMP
from airflow_provider_imperva.lake.store import Store
from airflow_provider_imperva.seal.timestamps import TrustedAuthorities

LATEST = timedelta(hours=1)
"""How long after a commit was made the first timestamp that vouches for it may be; what is backdated by less passes."""

_READERS = 32


@dataclass(slots=True)
class Timestamps:
    """What the timestamps of a ledger show.

    :ivar times: when an authority vouched for each commit that has a good timestamp, by number, UTC.
    """

    times: dict[int, datetime] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def first(self) -> int | None:
        """The first commit with a good timestamp; nothing is known of when those before it were made."""
        return min(self.times, default=None)


def check_timestamps(store: Store, history: History, authorities: TrustedAuthorities, *, at: datetime) -> Timestamps:
    """Check each commit from the first timestamped one on; nothing if no authority is trusted.

    :param at: now, UTC.
    """
    timestamps = Timestamps()
    if not authorities or not history.commits:
        return timestamps
    layout = history.layout
    for number, response in _read(store, history):
        path, sha256 = layout.timestamp(number), history.sha256.get(number)
        time = authorities.time_of(response, sha256) if sha256 else None
        if time:
            timestamps.times[number] = time
        else:
            objection = f"it is not a timestamp of this commit by {authorities.names}"
            timestamps.findings.append(
                Finding(Kind.SIGNATURE, path, objection if sha256 else "its commit is not there")
            )
    if timestamps.first is None:
        objection = "it has no timestamp, nor has any before it"
        timestamps.findings.append(Finding(Kind.SIGNATURE, layout.commit(max(history.commits)), objection))
    timestamps.findings += _check_times(history, timestamps, at=at)
    return timestamps


def _check_times(history: History, timestamps: Timestamps, *, at: datetime) -> Iterator[Finding]:
    """Say which commits were there later than they say, or before it, going back from the last one."""
    vouched, what = at, "no timestamp vouches for it"
    for number in sorted(history.commits, reverse=True):
        if timestamps.first is None or number < timestamps.first:
            return
        committed, path = history.commits[number].committed_at, history.layout.commit(number)
        if time := timestamps.times.get(number):
            vouched, what = (
                min(vouched, time),
                f"the first timestamp that vouches for it is of {_said(min(vouched, time))}",
            )
            if time < committed - SKEW:
                yield Finding(
                    Kind.TIME, path, f"it was timestamped {_said(time)}, before it was committed, {_said(committed)}"
                )
        if vouched - committed > LATEST:
            yield Finding(Kind.TIME, path, f"it says it was committed {_said(committed)}, and {what}")


def _read(store: Store, history: History) -> Iterator[tuple[int, bytes]]:
    """Yield the timestamps that lie in a ledger, with the number of each."""
    layout = history.layout
    paths = [
        item.path
        for folder in sorted({layout.thousand(number) for number in range(1, history.last + 1)})
        for item in store.objects(folder)
        if item.path.endswith(TIMESTAMP) and number_of(item.path)
    ]
    with ThreadPoolExecutor(_READERS) as pool:
        for path, response in zip(paths, pool.map(store.read, paths), strict=True):
            number = number_of(path)
            if number is not None and path == layout.timestamp(number):
                yield number, response


def _said(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"
