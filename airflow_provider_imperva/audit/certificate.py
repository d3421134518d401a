"""A certificate: what a lake holds of a day or month, so that another person can check it with the lake alone.

It says how the lake stood at one commit. Commits are never changed, so whoever reads the chain up to that commit comes
to the same figures, however long the lake has gone on since.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date, datetime

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva import __version__
from airflow_provider_imperva.audit.accepted import ACCEPTED, clip, with_accepted
from airflow_provider_imperva.audit.excerpt import read_excerpt
from airflow_provider_imperva.audit.history import History, Progress, silent
from airflow_provider_imperva.audit.holdings import (
    Holding,
    ObjectsRead,
    Reconciliation,
    holdings,
    named_of_period,
    read_objects,
)
from airflow_provider_imperva.audit.numbers import Numbers, all_numbers, last_rows
from airflow_provider_imperva.audit.period import Period
from airflow_provider_imperva.audit.periods import numbers_of
from airflow_provider_imperva.audit.reading import broken_chain
from airflow_provider_imperva.audit.verdict import Reason, reasons
from airflow_provider_imperva.errors import LakeError, LedgerCorruptError
from airflow_provider_imperva.lake.ledger import UNSIGNED, Signer
from airflow_provider_imperva.lake.raw import RawBytes
from airflow_provider_imperva.lake.records import Acceptance
from airflow_provider_imperva.lake.store import Store
from airflow_provider_imperva.lake.watermark import State

VERSION = 2
"""Version of the certificate's format."""

_CERTIFIED = ("name", "state", "raw_key", "raw_bytes", "raw_sha256", "lines", "rows", "quarantined_lines")


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


class Certificate(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a lake holds of a period, as its ledger stood at one commit.

    A log belongs to the period in which the index first listed it.

    :ivar logs_sha256: over the logs of the period, in order: of the JSON array, without blanks, of an array for each:
        name, state, object in ``raw/``, its size and SHA-256, lines, rows, quarantined lines.
    :ivar events: rows in ``events/`` by date and class, of the events that happened in the period.
    :ivar holdings: the objects of the period by folder: its logs as received, and the parts with their rows or of its
        dates.
    :ivar looked: whether each of these was read and hashed when the certificate was issued.
    :ivar encrypted: how many of the logs are encrypted at rest. They are hashed as they are stored, and the ledger says
        which bytes received that is; no key is needed.
    :ivar bridge: how ``rows`` and ``events`` come to each other; None unless the objects were looked at.
    :ivar complete: whether there is any number, each is loaded, was skipped by Imperva or is accepted, the repository
        was seen after the period's end, and the objects were looked at.
    :ivar reasons: why it is not complete, the worst first.
    :ivar exceptions: what somebody accepted, of all that is in the ledger; ``accepted_numbers`` how many numbers of the
        period are missing that this makes up for.
    :ivar signed_by, signature: as of a commit.
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
    expired_lines: int
    erased_lines: int
    logs_sha256: str
    events: dict[str, dict[str, int]]
    holdings: dict[str, Holding]
    looked: bool
    bridge: Reconciliation | None
    complete: bool
    reasons: tuple[Reason, ...]
    accepted_numbers: int = 0
    encrypted: int = 0
    exceptions: tuple[Acceptance, ...] = ()
    signed_by: str | None = None
    signature: str | None = None

    @property
    def happened(self) -> int:
        """How many events happened in the period."""
        return sum(sum(classes.values()) for classes in self.events.values())


def issue(
    store: Store,
    repository: str,
    period: Period,
    *,
    at: datetime,
    commit: int | None = None,
    looks: bool = True,
    signer: Signer | None = None,
    progress: Progress = silent,
) -> bytes:
    """Make a certificate: its JSON.

    :param at: now, UTC.
    :param commit: as of which commit; the last by default.
    :param looks: whether the objects of the period are read and hashed. Of what was not looked at nothing is complete.
    :param signer: signs it.
    :raises LedgerCorruptError: if the ledger is damaged, so that nothing can be certified.
    :raises LakeError: if an object of the period is missing, or is another.
    """
    history = read_excerpt(store, repository, period, last=commit, progress=progress)
    if history.head is None or history.damages or history.missing or list(broken_chain(history)):
        raise LedgerCorruptError(
            "the ledger is damaged, so nothing can be certified",
            do="Run imperva-logs verify, which names what is wrong",
            about=store.uri(history.layout.ledger),
        )
    draft = PeriodLedger(history, period)
    looked = draft.read_objects(store, progress=progress) if looks else None
    if looked and looked.findings:
        raise LakeError(
            f"{len(looked.findings)} objects of the period are not as the ledger has them, so nothing can be certified:"
            f" {looked.findings[0]}",
            do="Run imperva-logs verify, which names them all",
            about=store.uri(),
        )
    certificate = draft.certify(at=at, looked=looked is not None, bridge=looked.bridge if looked else None)
    if signer is None:
        return as_json(certificate)
    unsigned = msgspec.structs.replace(certificate, signed_by=signer.key_id, signature=UNSIGNED)
    return signer.sign(as_json(unsigned))


def as_json(certificate: Certificate) -> bytes:
    """Write a certificate as JSON."""
    return msgspec.json.format(msgspec.json.encode(certificate), indent=1)


class PeriodLedger:
    """What a ledger says of a period."""

    def __init__(self, history: History, period: Period) -> None:
        """Put it together.

        :param history: has a head.
        """
        self._history = history
        self._period = period
        self._numbers = all_numbers(history)
        self._logs = _logs_of(history, self._numbers, period)
        self.named = named_of_period(history, self._logs, period)

    def read_objects(self, store: Store, *, progress: Progress) -> ObjectsRead:
        """Read and hash every object of the period."""
        raw = RawBytes(store, self._history.layout)
        return read_objects(store, raw, self.named, self._logs, self._period, progress=progress)

    def certify(self, *, at: datetime, looked: bool, bridge: Reconciliation | None) -> Certificate:
        """Return the certificate, unsigned."""
        history, head = self._history, self._history.head
        assert head is not None  # noqa: S101
        rows = [[row[column] for column in _CERTIFIED] for row in self._logs.select(_CERTIFIED).to_pylist()]
        prefixes = dict(_prefixes(history, self._numbers, self._period))
        states = _sum_states(prefixes)
        accepted = states.pop(ACCEPTED, 0)
        if accepted:
            prefixes = dict(_prefixes(history, self._numbers, self._period, accepts=False))
        open_reasons = tuple(
            reasons(
                states or ({State.SKIPPED: accepted} if accepted else {}),
                observed_at=head.observed_at,
                end=self._period.bounds[1],
                looked=looked,
            )
        )
        return Certificate(
            v=VERSION,
            repository=history.repository,
            period=self._period,
            issued_at=at,
            provider_version=__version__,
            head=Head(head.commit, history.sha256[head.commit], head.committed_at, head.observed_at),
            prefixes=prefixes,
            logs=len(rows),
            raw_bytes=self._sum("raw_bytes"),
            lines=self._sum("lines"),
            rows=self._sum("rows"),
            quarantined_lines=self._sum("quarantined_lines"),
            expired_lines=self._sum("expired_lines"),
            erased_lines=self._sum("erased_lines"),
            logs_sha256=hashlib.sha256(msgspec.json.encode(rows)).hexdigest(),
            events=_events(history, self._period),
            holdings=holdings(self.named),
            looked=looked,
            bridge=bridge,
            complete=not open_reasons,
            reasons=open_reasons,
            accepted_numbers=accepted,
            encrypted=len(self._logs) - self._logs["data_key"].null_count,
            exceptions=tuple(history.accepted),
        )

    def _sum(self, column: str) -> int:
        return int(pc.sum(self._logs[column]).as_py() or 0)


def _sum_states(prefixes: dict[str, CertifiedPrefix]) -> dict[str, int]:
    states: dict[str, int] = {}
    for prefix in prefixes.values():
        for state, count in prefix.states.items():
            states[state] = states.get(state, 0) + count
    return states


def _prefixes(
    history: History, numbers: list[Numbers], period: Period, *, accepts: bool = True
) -> Iterator[tuple[str, CertifiedPrefix]]:
    """Yield the numbers of each prefix.

    :param accepts: whether what is missing and somebody accepted is in a state of its own.
    """
    for item in numbers:
        if bounds := numbers_of(history, item, *period.bounds):
            first, last = bounds
            certified = list(clip(item.ranges, first, last))
            if accepts:
                certified = with_accepted(history, item.prefix, certified)
            ranges = [CertifiedRange(part.first, part.last, part.state) for part in certified]
            states: dict[str, int] = {}
            for part in ranges:
                states[part.state] = states.get(part.state, 0) + part.last - part.first + 1
            yield item.prefix, CertifiedPrefix(first, last, states, tuple(ranges))


def _logs_of(history: History, numbers: list[Numbers], period: Period) -> pa.Table:
    """Return the last row of each log of a period, by prefix and number."""
    rows = last_rows(history.logs)
    rows = rows.filter(pc.is_valid(rows["name"]))
    selected = []
    for item in numbers:
        if bounds := numbers_of(history, item, *period.bounds):
            sequence = rows["sequence"]
            mine = pc.and_(pc.greater_equal(sequence, bounds[0]), pc.less_equal(sequence, bounds[1]))
            selected.append(rows.filter(pc.and_(pc.equal(rows["prefix"], item.prefix), mine)).sort_by("sequence"))
    return pa.concat_tables(selected) if selected else rows.slice(0, 0)


def _events(history: History, period: Period) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for part, _ in history.live.parts.values():
        if part.event_class and part.event_date and period.first <= date.fromisoformat(part.event_date) < period.end:
            classes = counts.setdefault(part.event_date, {})
            classes[part.event_class] = classes.get(part.event_class, 0) + part.rows
    return {day: dict(sorted(counts[day].items())) for day in sorted(counts)}
