"""Coverage: how completely a repository is in the lake, how late it comes, and what is not there and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva.audit.accepted import ACCEPTED, accepted_states, with_accepted
from airflow_provider_imperva.audit.findings import Finding, Kind
from airflow_provider_imperva.audit.forwarding import forward_statuses
from airflow_provider_imperva.audit.history import History, Progress, silent
from airflow_provider_imperva.audit.numbers import LINES_SUM, UNACCOUNTED, Numbers, all_numbers, last_rows
from airflow_provider_imperva.audit.quarantined import QuarantinedLines, quarantined_by_reason
from airflow_provider_imperva.audit.states import SHOWN
from airflow_provider_imperva.audit.strip import Strip, make_strip
from airflow_provider_imperva.audit.traffic import Lag, Volume, read_traffic
from airflow_provider_imperva.audit.verdict import FINISHED
from airflow_provider_imperva.lake.forwards import ForwardStatus
from airflow_provider_imperva.lake.headroom import time_left
from airflow_provider_imperva.lake.records import Commit, Restart
from airflow_provider_imperva.lake.store import Store
from airflow_provider_imperva.lake.watermark import Range, State
from airflow_provider_imperva.repository.index import INDEX_NAME

LINES = "lines in quarantine"
"""State of a log that is loaded except for some lines."""

_FINAL = (State.EXPIRED, State.UNOBSERVED, State.QUARANTINED)
"""States of missing logs that a commit has decided; the watermark has those that are open."""


class Absence(msgspec.Struct, frozen=True):
    """A log, or consecutive numbers, that are not in ``events/`` as they should be.

    :ivar since: when it was first listed or missed, UTC; None if that is not known.
    """

    prefix: str
    first: int
    last: int
    state: str
    reason: str
    since: datetime | None = None

    @property
    def count(self) -> int:
        """How many numbers."""
        return self.last - self.first + 1

    @property
    def name(self) -> str:
        """The log's name, or both ends of the range."""
        if self.first == self.last:
            return f"{self.prefix}_{self.first}.log"
        return f"{self.prefix}_{self.first} to {self.prefix}_{self.last}"


class Headroom(msgspec.Struct, frozen=True):
    """How long, after a commit, the oldest log not yet loaded still had in the window."""

    at: datetime
    hours: float


class Sum(msgspec.Struct, frozen=True):
    """Two figures that have to be the same, in words."""

    left: str
    total: int
    right: str
    parts: int

    @property
    def holds(self) -> bool:
        """Whether they are."""
        return self.total == self.parts


class Coverage(msgspec.Struct, frozen=True):
    """How a repository stands.

    :ivar made_at: when this was found out, UTC.
    :ivar head: the last commit that can be read; ``at`` when it was made, UTC. None if there is none.
    :ivar observed_at: when the repository was last looked at, UTC, by a run that committed or by one under way.
    :ivar complete: for each prefix, the number up to which each is loaded, was skipped by Imperva, or is accepted.
    :ivar until: every event before this time, UTC, is loaded, unless it takes longer to be listed than 99 of 100 events
        of the last day did; None without events.
    :ivar accepted: how many numbers of each state somebody accepted as missing.
    :ivar quarantine: lines in quarantine by reason.
    :ivar absences: every number that is neither loaded nor skipped, by state, with the reason.
    :ivar since: from which day on volume and lag are given.
    :ivar unread: what could not be read, and is missing in all else.
    :ivar restarts: counters that began again, oldest first.
    :ivar expired_lines, erased_lines: lines that retention and erasure took out of the lake.
    :ivar forwards: how far each destination is behind that logs are forwarded to.
    """

    repository: str
    head: int | None
    at: datetime | None
    observed_at: datetime | None
    window: timedelta
    numbers: tuple[Numbers, ...]
    strips: tuple[Strip, ...]
    logs: int
    raw_bytes: int
    lines: int
    rows: int
    quarantined_lines: int
    sums: tuple[Sum, ...]
    absences: tuple[Absence, ...]
    headroom: tuple[Headroom, ...]
    volume: tuple[Volume, ...]
    lags: tuple[Lag, ...]
    lag: Lag | None
    days: int
    unread: tuple[Finding, ...]
    made_at: datetime
    complete: dict[str, int]
    until: datetime | None
    accepted: dict[str, int]
    quarantine: tuple[QuarantinedLines, ...]
    restarts: tuple[Restart, ...] = ()
    forwards: tuple[ForwardStatus, ...] = ()
    expired_lines: int = 0
    erased_lines: int = 0

    @property
    def states(self) -> dict[str, int]:
        """How many numbers are in each state, of all prefixes together."""
        counts: dict[str, int] = {}
        for item in self.numbers:
            for state, count in item.states.items():
                counts[state] = counts.get(state, 0) + count
        return counts


def measure_coverage(
    store: Store,
    history: History,
    *,
    window: timedelta,
    days: int,
    at: datetime | None = None,
    progress: Progress = silent,
) -> Coverage:
    """Find out how a repository stands; of a damaged lake, as far as it can be read.

    :param history: what its ledger says.
    :param window: how long Imperva keeps a log.
    :param days: for how many days back volume and lag are given; the events themselves are read for them.
    :param at: now, UTC; the clock's time by default.
    """
    at = at or datetime.now(UTC)
    head = history.head
    rows = last_rows(history.logs)
    numbers = tuple(all_numbers(history))
    traffic = read_traffic(store, history, days=days, progress=progress)
    logs = rows.filter(pc.and_(pc.is_valid(rows["raw_key"]), pc.is_null(rows["raw_removed"])))
    totals = {column: int(pc.sum(rows[column]).as_py() or 0) for column in LINES_SUM}
    missing = [
        Finding(Kind.MISSING, history.layout.commit(number), "the commit is missing") for number in history.missing
    ]
    return Coverage(
        repository=history.repository,
        head=head.commit if head else None,
        at=head.committed_at if head else None,
        observed_at=(observed_at := _observed_at(history)),
        window=window,
        numbers=numbers,
        strips=tuple(make_strip(history, item) for item in numbers),
        logs=len(logs),
        raw_bytes=int(pc.sum(logs["raw_bytes"]).as_py() or 0),
        **totals,
        sums=tuple(_sums(history, numbers, totals)),
        absences=tuple(_absences(head, numbers, rows)),
        headroom=tuple(_headroom(history, window)),
        volume=traffic.volume,
        lags=traffic.lags,
        lag=traffic.lag,
        days=days,
        unread=(*history.damages, *missing, *traffic.unread, *(_unread_lines(head) if head else ())),
        forwards=tuple(forward_statuses(store, history, at=at)),
        made_at=at,
        complete=dict(_complete(numbers, history)),
        until=_until(observed_at, head, traffic.lags),
        accepted=accepted_states(history, numbers),
        quarantine=quarantined_by_reason(store, history, progress=progress),
        restarts=tuple(one for _, commit in sorted(history.commits.items()) for one in commit.restarts),
    )


def _observed_at(history: History) -> datetime | None:
    """Return when the repository was last looked at."""
    return max((entry.observed_at for entry in (history.head, history.open_plan) if entry), default=None)


def _complete(numbers: Iterable[Numbers], history: History) -> Iterator[tuple[str, int]]:
    for item in numbers:
        ranges = with_accepted(history, item.prefix, item.ranges)
        missing = [part.first for part in ranges if part.state not in FINISHED | {ACCEPTED}]
        yield item.prefix, missing[0] - 1 if missing else item.highest


def _until(observed_at: datetime | None, head: Commit | None, lags: Sequence[Lag]) -> datetime | None:
    """Return until when all events are loaded: whatever happened before was listed before anything that is missing."""
    if head is None or observed_at is None or not lags:
        return None
    missing = [item.since for prefix in head.prefixes.values() for item in prefix.open if item.since]
    return min([observed_at, *missing]) - timedelta(seconds=lags[-1].listed_p99)


def absences(history: History) -> list[Absence]:
    """Return every number that is neither loaded nor skipped, by state, with the reason."""
    return list(_absences(history.head, all_numbers(history), last_rows(history.logs)))


class Group(msgspec.Struct, frozen=True):
    """What is missing in one state.

    :ivar label: the state in words; ``meaning`` in a sentence without its full stop.
    :ivar count: how many numbers.
    :ivar rows: logs and ranges; in one row those without a log that differ in nothing but their numbers.
    """

    label: str
    meaning: str
    count: int
    rows: tuple[tuple[Absence, ...], ...]


def by_state(missing: Iterable[Absence]) -> list[Group]:
    """Group what is missing by its state, the worst first."""
    groups: dict[str, dict[tuple[object, ...], list[Absence]]] = {}
    for item in missing:
        shown = SHOWN.get(item.state)
        key = (item.prefix, item.first) if shown is None or shown.has_log else (item.prefix, item.reason, item.since)
        groups.setdefault(item.state, {}).setdefault(key, []).append(item)
    order = [*SHOWN, LINES]
    return [_group(state, map(tuple, groups[state].values())) for state in sorted(groups, key=order.index)]


def _group(state: str, rows: Iterable[tuple[Absence, ...]]) -> Group:
    lists, shown = tuple(rows), SHOWN.get(state)
    label = shown.label if shown else LINES
    meaning = shown.meaning if shown else "loaded, except for lines that cannot be decoded"
    return Group(label, meaning, sum(item.count for row in lists for item in row), lists)


def _unread_lines(head: Commit) -> Iterator[Finding]:
    for line in head.unread:
        yield Finding(Kind.UNREADABLE, INDEX_NAME, f"this entry is not read: {line}")


def _sums(history: History, numbers: Iterable[Numbers], totals: dict[str, int]) -> Iterator[Sum]:
    for item in numbers:
        if item.ranges:
            first = item.ranges[0].first
            accounted = sum(count for state, count in item.states.items() if state != UNACCOUNTED)
            low = sum(part.count for part in item.ranges)
            yield Sum(
                f"numbers of {item.prefix} from {first} to {item.highest}", low, "numbers in all states", accounted
            )
    gone = " + expired + erased" if totals["expired_lines"] or totals["erased_lines"] else ""
    accounted = sum(totals[name] for name in LINES_SUM[1:])
    yield Sum("lines", totals["lines"], f"rows + lines in quarantine{gone}", accounted)
    parts = sum(part.rows for part, _ in history.live.parts.values() if part.event_class)
    yield Sum("rows of all logs", totals["rows"], "rows of all parts", parts)


def _absences(head: Commit | None, numbers: Iterable[Numbers], rows: pa.Table) -> Iterator[Absence]:
    for item in numbers:
        for part in item.ranges:
            if part.state == UNACCOUNTED:
                yield Absence(item.prefix, part.first, part.last, UNACCOUNTED, "no record says what became of it")
        opened = head.prefixes[item.prefix].open if head and item.prefix in head.prefixes else ()
        for piece in opened:
            yield from _of_open(item.prefix, piece, head.open if head else {})
        yield from _of_rows(item.prefix, rows.filter(pc.equal(rows["prefix"], item.prefix)), opened)


def _of_open(prefix: str, piece: Range, reasons: dict[str, str]) -> Iterator[Absence]:
    """Describe open numbers, together as long as the reason is the same."""
    if piece.state is State.GAP:
        yield Absence(prefix, piece.first, piece.last, piece.state, "the index does not list it", piece.since)
        return
    default = _why_open(piece)
    numbered = (
        (number, reasons.get(f"{prefix}_{number}.log", default)) for number in range(piece.first, piece.last + 1)
    )
    for reason, group in groupby(numbered, key=lambda item: item[1]):
        some = [number for number, _ in group]
        yield Absence(prefix, some[0], some[-1], piece.state, reason, piece.since)


def _why_open(piece: Range) -> str:
    if piece.state is State.DAMAGED:
        again = f" from {piece.ask_again_at:%Y-%m-%d %H:%M} UTC on" if piece.ask_again_at else ""
        return f"came damaged; asked for again{again}, while it is listed"
    return "waits for its turn" if piece.state is State.LISTED else f"encrypted for key {piece.public_key_id}"


def _of_rows(prefix: str, rows: pa.Table, opened: Iterable[Range]) -> Iterator[Absence]:
    lines = pc.and_(pc.equal(rows["state"], State.COMMITTED.value), pc.greater(rows["quarantined_lines"], 0))
    unfinished = pc.or_(pc.is_in(rows["state"], pa.array([state.value for state in _FINAL])), lines)
    columns = ["sequence", "sequence_to", "state", "reason", "first_listed_at", "quarantined_lines"]
    before: Absence | None = None
    for row in rows.filter(unfinished).select(columns).sort_by("sequence").to_pylist():
        if any(piece.first <= row["sequence"] <= piece.last for piece in opened):
            continue  # given up once, and listed after all
        item = _of_row(prefix, row)
        if before and (before.last + 1, before.state, before.reason) == (item.first, item.state, item.reason):
            item = msgspec.structs.replace(before, last=item.last)
        elif before:
            yield before
        before = item
    if before:
        yield before


def _of_row(prefix: str, row: dict[str, Any]) -> Absence:
    if row["state"] == State.COMMITTED:
        state, reason = LINES, f"{row['quarantined_lines']} of its lines in quarantine/, the others are loaded"
    else:
        state, reason = row["state"], row["reason"] or ""
    return Absence(prefix, row["sequence"], row["sequence_to"], state, reason, row["first_listed_at"])


def _headroom(history: History, window: timedelta) -> Iterator[Headroom]:
    for _, commit in sorted(history.commits.items()):
        listed = [item for prefix in commit.prefixes.values() for item in prefix.open if item.state is State.LISTED]
        left = min((time_left(item, at=commit.committed_at, window=window) for item in listed), default=window)
        yield Headroom(commit.committed_at, left / timedelta(hours=1))
