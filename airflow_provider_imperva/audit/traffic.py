"""Volume and delivery lag, from the events themselves: two narrow columns, read part by part."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from typing import BinaryIO

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from airflow_provider_imperva.audit.findings import Finding, Kind
from airflow_provider_imperva.audit.history import History, Progress, silent
from airflow_provider_imperva.errors import LakeError
from airflow_provider_imperva.lake.records import Part
from airflow_provider_imperva.lake.store import Store

_READERS = 16
_SMALL = 1 << 20
"""Bytes up to which a part is read whole: one request of a store, where the ends of a part and its columns are some."""

_HOUR_MS = 3_600_000
_PER_OCTAVE = 16
"""Lags are counted in bins, so that memory does not grow with the events; these are 4 hundredths wide."""
_BINS = 32 * _PER_OCTAVE

_Counts = npt.NDArray[np.int64]


class Volume(msgspec.Struct, frozen=True):
    """How many events of a class happened in an hour, UTC."""

    hour: datetime
    event_class: str
    events: int


class Lag(msgspec.Struct, frozen=True):
    """How long events were on their way, in seconds: half of them shorter than p50, all but a hundredth than p99.

    :ivar day: of the events, UTC; None for all days together.
    :ivar listed_p50, listed_p99: from the event until the index was seen to list its log.
    :ivar loaded_p50, loaded_p99: from then until the commit that loaded it.
    """

    day: date | None
    events: int
    listed_p50: float
    listed_p99: float
    loaded_p50: float
    loaded_p99: float


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the events of the last days tell."""

    volume: tuple[Volume, ...]
    lags: tuple[Lag, ...]
    lag: Lag | None
    unread: tuple[Finding, ...]


@dataclass(slots=True)
class _Tally:
    """What one part, or many, come to: events by hour, and by day how many had which lag."""

    hours: Counter[tuple[int, str]]
    lags: defaultdict[int, _Counts]

    @classmethod
    def empty(cls) -> _Tally:
        return cls(Counter(), defaultdict(lambda: np.zeros((2, _BINS), np.int64)))

    def add(self, other: _Tally) -> None:
        self.hours.update(other.hours)
        for day, counts in other.lags.items():
            self.lags[day] = self.lags[day] + counts


@dataclass(frozen=True, slots=True)
class _Times:
    """When logs were first listed, and loaded, by name; epoch milliseconds."""

    listed: dict[str, int]
    loaded: dict[str, int]


def read_traffic(store: Store, history: History, *, days: int, progress: Progress = silent) -> Traffic:
    """Read the parts of the last days that the commits name.

    :param days: counted back from the last day that has events.
    """
    dates = {part.event_date for part, _ in history.live.parts.values() if part.event_date}
    last = date.fromisoformat(max(dates, default="0001-01-01"))
    recent_days = {day for day in dates if last - date.fromisoformat(day) < timedelta(days=days)}
    recent = [part for part, _ in history.live.parts.values() if part.event_date in recent_days]
    times = _times(history)
    total, unread = _Tally.empty(), []
    with ThreadPoolExecutor(_READERS) as pool:
        for done, tally in enumerate(pool.map(lambda part: _tally(store, part, times), recent), 1):
            progress("Reading events", done, len(recent))
            if isinstance(tally, Finding):
                unread.append(tally)
            else:
                total.add(tally)
    lags = [_lag(_day(day), counts) for day, counts in sorted(total.lags.items())]
    everything = sum(total.lags.values(), np.zeros((2, _BINS), np.int64))
    return Traffic(tuple(_volume(total.hours)), tuple(lags), _lag(None, everything) if lags else None, tuple(unread))


def _times(history: History) -> _Times:
    """Look up when each log was listed, and when it was first loaded: a replay does not make it late."""
    logs = history.logs
    logs = logs.filter(pc.and_(pc.is_valid(logs["name"]), pc.greater(logs["rows"], 0)))
    # What rows call a log that was delivered is its path.
    logs = logs.set_column(logs.column_names.index("name"), "name", pc.coalesce(logs["delivered_as"], logs["name"]))
    logs = logs.select(["name", "first_listed_at", "commit"])
    committed = {number: _ms(commit.committed_at) for number, commit in history.commits.items()}
    # From the last to the first, which so is the one that stays.
    names = logs["name"].to_pylist()[::-1]
    listed = logs["first_listed_at"].cast(pa.int64()).to_pylist()[::-1]
    loaded = [committed[number] for number in logs["commit"].to_pylist()[::-1]]
    return _Times(dict(zip(names, listed, strict=True)), dict(zip(names, loaded, strict=True)))


def _tally(store: Store, part: Part, times: _Times) -> _Tally | Finding:
    tally = _Tally.empty()
    try:
        with open_part(store, part) as file:
            parquet = pq.ParquetFile(file, read_dictionary=["src_file"])
            for batch in parquet.iter_batches(columns=["event_time", "src_file"]):
                _count(tally, batch, part.event_class or "", times)
    except FileNotFoundError:
        return Finding(Kind.MISSING, part.path, "a commit names it, and it is not there")
    except (OSError, LakeError, pa.ArrowException) as error:
        return Finding(Kind.UNREADABLE, part.path, f"it could not be read ({type(error).__name__})")
    return tally


def open_part(store: Store, part: Part) -> AbstractContextManager[BinaryIO]:
    """Open a part for reading; a small one is read whole."""
    return BytesIO(store.read(part.path)) if part.size <= _SMALL else store.reader(part.path)


def _count(tally: _Tally, batch: pa.RecordBatch, event_class: str, times: _Times) -> None:
    batch = batch.filter(pc.is_valid(batch["event_time"]))
    at = batch["event_time"].cast(pa.int64()).to_numpy()
    for hour, events in zip(*np.unique(at // _HOUR_MS, return_counts=True), strict=True):
        tally.hours[int(hour), event_class] += int(events)
    files = batch["src_file"]
    names, positions = files.dictionary.to_pylist(), files.indices.to_numpy()
    listed = np.array([times.listed.get(name, -1) for name in names], np.int64)[positions]
    loaded = np.array([times.loaded.get(name, -1) for name in names], np.int64)[positions]
    known = listed >= 0
    at, listed, loaded = at[known], listed[known], loaded[known]
    for day in np.unique(at // (24 * _HOUR_MS)):
        mine = at // (24 * _HOUR_MS) == day
        lags = ((listed - at)[mine], (loaded - listed)[mine])
        tally.lags[int(day)] = tally.lags[int(day)] + np.stack(
            [np.bincount(_bins(lag), minlength=_BINS) for lag in lags]
        )


def _bins(lag: _Counts) -> _Counts:
    """Put lags in milliseconds into bins."""
    bins: _Counts = np.clip(np.log2(np.maximum(lag, 1)) * _PER_OCTAVE, 0, _BINS - 1).astype(np.int64)
    return bins


def _seconds(counts: _Counts, share: float) -> float:
    """Return the lag that a share of the events does not exceed."""
    bin_ = int(np.searchsorted(np.cumsum(counts), share * counts.sum()))
    return float(2 ** ((bin_ + 0.5) / _PER_OCTAVE) / 1000) if bin_ else 0.0


def _lag(day: date | None, counts: _Counts) -> Lag:
    listed, loaded = counts
    return Lag(
        day,
        int(listed.sum()),
        _seconds(listed, 0.5),
        _seconds(listed, 0.99),
        _seconds(loaded, 0.5),
        _seconds(loaded, 0.99),
    )


def _volume(hours: Counter[tuple[int, str]]) -> Iterator[Volume]:
    for (hour, event_class), events in sorted(hours.items()):
        yield Volume(datetime.fromtimestamp(hour * 3600, UTC), event_class, events)


def _day(day: int) -> date:
    return datetime.fromtimestamp(day * 86_400, UTC).date()


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
