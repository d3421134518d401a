"""A certificate: what a lake holds of a day or month, so that another person can check it with the lake alone.

It says how the lake stood at one commit. Commits are never changed, so whoever reads the chain up to that commit comes
to the same figures, however long the lake has gone on since.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva import __version__
from airflow_provider_imperva.audit.findings import Finding, Kind
from airflow_provider_imperva.audit.history import History, Progress, last_number, silent
from airflow_provider_imperva.audit.numbers import Numbers, Stretch, all_numbers, last_rows
from airflow_provider_imperva.audit.objects import Named, check_bytes
from airflow_provider_imperva.audit.periods import numbers_of
from airflow_provider_imperva.errors import ConfigurationError, LedgerCorruptError
from airflow_provider_imperva.lake.store import Store
from airflow_provider_imperva.lake.watermark import State

VERSION = 1
"""Version of the certificate's format."""

_CERTIFIED = ("name", "state", "raw_key", "raw_bytes", "raw_sha256", "lines", "rows", "quarantined_lines")


class Period(msgspec.Struct, frozen=True, rename={"first": "from", "end": "to"}):
    """Whole days, UTC; the end is not in it."""

    first: date
    end: date

    @classmethod
    def parse(cls, text: str) -> Period:
        """Read a month (``2026-11``) or a day (``2026-11-22``).

        :raises ConfigurationError: if it is neither.
        """
        try:
            if re.fullmatch(r"\d{4}-\d{2}", text):
                first = date.fromisoformat(f"{text}-01")
                return cls(first, (first + timedelta(days=31)).replace(day=1))
            first = date.fromisoformat(text)
            return cls(first, first + timedelta(days=1))
        except (ValueError, OverflowError):
            raise ConfigurationError("no month and no day", do="Write 2026-11 or 2026-11-22", about=text) from None

    @property
    def bounds(self) -> tuple[datetime, datetime]:
        """The first moment in it, and the first after it."""
        return datetime.combine(self.first, time(), UTC), datetime.combine(self.end, time(), UTC)


class Head(msgspec.Struct, frozen=True):
    """The commit that a certificate is of.

    :ivar observed_at: when the repository had last been seen.
    """

    commit: int
    sha256: str
    committed_at: datetime
    observed_at: datetime


class CertifiedRange(msgspec.Struct, frozen=True, rename={"first": "from", "last": "to"}):
    """Consecutive numbers in one state."""

    first: int
    last: int
    state: str


class CertifiedPrefix(msgspec.Struct, frozen=True, rename={"first": "from", "last": "to"}):
    """The numbers of one prefix that were first listed in the period: all of them, each in one state."""

    first: int
    last: int
    states: dict[str, int]
    ranges: tuple[CertifiedRange, ...]


class Certificate(msgspec.Struct, frozen=True):
    """What a lake holds of a period, as its ledger stood at one commit.

    A log belongs to the period in which the index first listed it.

    :ivar logs_sha256: over the logs of the period, in order: of the JSON array, without blanks, of an array for each:
        name, state, object in ``raw/``, its size and SHA-256, lines, rows, quarantined lines.
    :ivar events: rows in ``events/`` by date and class, of the events that happened in the period.
    :ivar complete: whether there is any number, each is loaded, or was skipped by Imperva, and the repository was seen
        after the period's end.
    """

    v: int
    repository: str
    period: Period
    issued_at: datetime
    provider_version: str
    head: Head
    prefixes: dict[str, CertifiedPrefix]
    logs: int
    raw_bytes: int
    lines: int
    rows: int
    quarantined_lines: int
    logs_sha256: str
    events: dict[str, dict[str, int]]
    complete: bool


def issue(
    store: Store,
    repository: str,
    period: Period,
    *,
    at: datetime,
    commit: int | None = None,
    progress: Progress = silent,
) -> Certificate:
    """Make a certificate.

    :param at: now, UTC.
    :param commit: as of which commit; the last by default.
    :raises LedgerCorruptError: if the ledger is damaged, so that nothing can be certified.
    """
    history = History.read(store, repository, last=commit, progress=progress)
    certificate = _certify(history, period, at=at)
    if certificate is None or history.damages or history.missing or _breaks(history):
        raise LedgerCorruptError(
            "the ledger is damaged, so nothing can be certified",
            do="run imperva-logs verify, which names what is wrong",
            about=store.uri(history.layout.ledger),
        )
    return certificate


def check(store: Store, certificate: Certificate, *, progress: Progress = silent) -> Iterator[Finding]:
    """Check a certificate against a lake: the chain up to its commit, each figure, and each log's bytes in ``raw/``."""
    about = f"certificate of {certificate.repository} for {certificate.period.first} to {certificate.period.end}"
    last = min(certificate.head.commit, last_number(store, History(certificate.repository).layout))
    history = History.read(store, certificate.repository, last=last, progress=progress)
    yield from history.damages
    for number in history.missing:
        yield Finding(Kind.MISSING, history.layout.commit(number), "the commit is missing")
    yield from _breaks(history)
    there = history.sha256.get(certificate.head.commit)
    if there != certificate.head.sha256:
        found = f"its SHA-256 is {there}" if there else "it is not there"
        yield Finding(
            Kind.CHAIN,
            history.layout.commit(certificate.head.commit),
            f"{found}, the certificate has {certificate.head.sha256}",
        )
    again = _certify(history, certificate.period, at=certificate.issued_at)
    if again is None:
        return
    for name in Certificate.__struct_fields__:
        if name not in ("issued_at", "provider_version", "head") and getattr(again, name) != getattr(certificate, name):
            yield Finding(Kind.CONTRADICTION, about, f"its {name} are not what the ledger says")
    named = [
        Named(row["raw_key"], row["raw_bytes"], row["raw_sha256"], f"commit {row['commit']}", is_part=False)
        for row in _logs_of(history, all_numbers(history), certificate.period).to_pylist()
        if row["raw_key"]
    ]
    for done, checked in enumerate(check_bytes(store, named), 1):
        progress("Hashing logs", done, len(named))
        yield from checked.findings


def _breaks(history: History) -> list[Finding]:
    """Return where the chain is broken."""
    found = []
    for number, commit in history.commits.items():
        path = history.layout.commit(number)
        if commit.commit != number or commit.previous_sha256 != history.sha256.get(number - 1):
            found.append(Finding(Kind.CHAIN, path, "it does not follow the commit before"))
        if history.logs_sha256.get(number) != commit.logs_sha256:
            found.append(Finding(Kind.ALTERED, history.layout.logs(number), "its SHA-256 is not that in its commit"))
    return found


def _certify(history: History, period: Period, *, at: datetime) -> Certificate | None:
    head = history.head
    if head is None:
        return None
    numbers = all_numbers(history)
    logs = _logs_of(history, numbers, period)
    rows = [[row[column] for column in _CERTIFIED] for row in logs.select(_CERTIFIED).to_pylist()]
    prefixes = dict(_prefixes(history, numbers, period))
    finished = {State.COMMITTED, State.DUPLICATE, State.SKIPPED}
    _, end = period.bounds
    return Certificate(
        v=VERSION,
        repository=history.repository,
        period=period,
        issued_at=at,
        provider_version=__version__,
        head=Head(head.commit, history.sha256[head.commit], head.committed_at, head.observed_at),
        prefixes=prefixes,
        logs=len(rows),
        **{
            column: int(pc.sum(logs[column]).as_py() or 0)
            for column in ("raw_bytes", "lines", "rows", "quarantined_lines")
        },
        logs_sha256=hashlib.sha256(msgspec.json.encode(rows)).hexdigest(),
        events=_events(history, period),
        complete=bool(prefixes)
        and all(finished.issuperset(item.states) for item in prefixes.values())
        and head.observed_at >= end,
    )


def _prefixes(history: History, numbers: list[Numbers], period: Period) -> Iterator[tuple[str, CertifiedPrefix]]:
    for item in numbers:
        if bounds := numbers_of(history, item, *period.bounds):
            first, last = bounds
            ranges = [
                CertifiedRange(part.first, part.last, part.state) for part in _within(item.stretches, first, last)
            ]
            states: dict[str, int] = {}
            for part in ranges:
                states[part.state] = states.get(part.state, 0) + part.last - part.first + 1
            yield item.prefix, CertifiedPrefix(first, last, states, tuple(ranges))


def _within(stretches: tuple[Stretch, ...], first: int, last: int) -> Iterator[Stretch]:
    for item in stretches:
        if item.first <= last and item.last >= first:
            yield Stretch(max(item.first, first), min(item.last, last), item.state)


def _logs_of(history: History, numbers: list[Numbers], period: Period) -> pa.Table:
    """Return the last row of each log of a period, by prefix and number."""
    rows = last_rows(history.logs)
    rows = rows.filter(pc.is_valid(rows["name"]))
    found = []
    for item in numbers:
        if bounds := numbers_of(history, item, *period.bounds):
            sequence = rows["sequence"]
            mine = pc.and_(pc.greater_equal(sequence, bounds[0]), pc.less_equal(sequence, bounds[1]))
            found.append(rows.filter(pc.and_(pc.equal(rows["prefix"], item.prefix), mine)).sort_by("sequence"))
    return pa.concat_tables(found) if found else rows.slice(0, 0)


def _events(history: History, period: Period) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for part, _ in history.live.parts.values():
        if part.event_class and part.event_date and period.first <= date.fromisoformat(part.event_date) < period.end:
            classes = found.setdefault(part.event_date, {})
            classes[part.event_class] = classes.get(part.event_class, 0) + part.rows
    return {day: dict(sorted(found[day].items())) for day in sorted(found)}
