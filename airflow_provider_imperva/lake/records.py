"""The records a ledger is made of, as they stand in its JSON and Parquet objects."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, TypedDict

import msgspec
import pyarrow as pa

from airflow_provider_imperva.lake.packing import VERSION as VERSION
from airflow_provider_imperva.lake.watermark import Prefix, State, Waiting


class OpenCode(StrEnum):
    """Why a log stays open for the next plan, as a code. The sentence beside it is for people only."""

    FETCHED_ONLY = "fetched_only"
    """It is in ``raw/``; an urgent plan loads nothing."""
    COPY_BEING_LOADED = "copy_being_loaded"
    """It is in ``raw/``; another repository is loading a log with the same content."""
    COPY_ABANDONED = "copy_abandoned"
    """It is in ``raw/``; another repository began to load the same content and did not finish within an hour."""
    NOT_YET = "not_yet"
    """Not found (404), although the index still lists it."""
    LAGGING = "lagging"
    """Not found (404), although it was listed minutes ago: of several servers behind one name, one lags."""
    UNAVAILABLE = "unavailable"
    """The repository gave no whole answer."""
    NOT_IN_RAW = "not_in_raw"
    """Its fetch task does not say why it did not come."""
    SEALED = "sealed"
    """Its object in ``raw/`` is encrypted, and does not decrypt: a person has to restore it."""
    NOT_FETCHED_AGAIN = "not_fetched_again"
    """It does not decode, and the repository did not answer when it was fetched once more."""
    BATCH_UNFINISHED = "batch_unfinished"
    """Its batch has no report."""
    BATCH_UNBALANCED = "batch_unbalanced"
    """The report of its batch does not add up."""
    GROWN = "grown"
    """It is in ``raw/`` and whole; the next plan loads it in the place of the part of it that is loaded."""
    REPLAY_WORSE = "replay_worse"
    """A replay would have taken it out of the lake."""


EXPECTED = frozenset({OpenCode.FETCHED_ONLY, OpenCode.COPY_BEING_LOADED, OpenCode.LAGGING, OpenCode.GROWN})
"""Reasons to stay open that resolve by themselves: they do not make a run red."""

IN_RAW = frozenset({OpenCode.FETCHED_ONLY, OpenCode.COPY_BEING_LOADED, OpenCode.GROWN})
"""Reasons that say that the log is in ``raw/`` and waits for its turn only."""


class LeftOpen(NamedTuple):
    """Why a log stays open: a code for programs and a sentence for people.

    :ivar code: one of :class:`OpenCode`; None in ledgers written before there were codes.
    """

    code: str | None
    reason: str


class OpenFields(TypedDict):
    """The two fields in which reports and commits keep why logs stay open."""

    open: dict[str, str]
    open_codes: dict[str, str]


def open_fields(left_open: Mapping[str, LeftOpen]) -> OpenFields:
    """Return the fields of a report or a commit that say which logs stay open, and why."""
    return {
        "open": {name: left.reason for name, left in left_open.items()},
        "open_codes": {name: str(left.code) for name, left in left_open.items() if left.code},
    }


class Kind(StrEnum):
    """What a plan sets out to do, and a commit did."""

    LOAD = "load"
    """New logs were loaded."""
    REPLAY = "replay"
    """Logs were loaded again from ``raw/``."""
    COMPACT = "compact"
    """Parts were merged; the rows are the same."""
    RETIRE = "retire"
    """Objects that earlier commits removed from the lake were deleted."""
    EXPIRE = "expire"
    """Rows or raw bytes were removed since a retention rule says so."""
    ERASE = "erase"
    """Rows were removed since a person asked for it."""
    HOLD = "hold"
    """A hold was placed or lifted."""
    ACCEPT = "accept"
    """Somebody accepted an exception."""
    DESTROY_KEY = "destroy_key"
    """The data key of a month was destroyed: its bytes in ``raw/`` can never be read again."""


class ProtectionFields(TypedDict):
    """The two fields of a report that say what was redacted, and by what rules."""

    redacted: dict[str, int]
    protection: dict[str, str]


class Run(msgspec.Struct, frozen=True):
    """The Airflow run (or command) that wrote a record."""

    dag_id: str
    run_id: str


class PlannedLog(msgspec.Struct, frozen=True, omit_defaults=True):
    """A log that a plan sets out to load.

    :ivar first_listed_at: when an index first named it, UTC.
    :ivar late: it had been decided as skipped, unobserved or expired before an index listed it.
    :ivar loaded: it is loaded already, and this is a replay.
    :ivar fetched_at: when its bytes came to ``raw/``, UTC, as the ledger has it; for a replay.
    :ivar last_try: it came damaged before, and has left the index or the window: what does not load now is final.
    :ivar delivered_as: what it is called where it was delivered.
    :ivar may_have_grown_into: the log that came under its path after it and is larger.
    :ivar may_have_grown_from: the one that came before it, is smaller and is loaded.
    """

    name: str
    first_listed_at: datetime
    late: bool = False
    loaded: bool = False
    fetched_at: datetime | None = None
    last_try: bool = False
    delivered_as: str | None = None
    may_have_grown_into: str | None = None
    may_have_grown_from: str | None = None


class Closed(msgspec.Struct, frozen=True, rename={"first": "from", "last": "to"}):
    """Numbers of a prefix that a plan decides without a log.

    They are skipped or unobserved; or expired, if the counter of the prefix began again before their logs were fetched.
    """

    prefix: str
    first: int
    last: int
    state: State
    since: datetime


class Restart(msgspec.Struct, frozen=True):
    """A counter of Imperva that began again, so that known names come with other bytes.

    :ivar prefix: the generation that ends; ``generation`` the one that begins.
    :ivar noticed_at: UTC.
    :ivar reason: by what it is known.
    """

    prefix: str
    generation: str
    noticed_at: datetime
    reason: str

    def __str__(self) -> str:
        """Say it in words."""
        return f"The logs of prefix {self.prefix} that are listed from now on are loaded as {self.generation}"


class BatchId(msgspec.Struct, frozen=True, order=True):
    """The batch that loaded a log last: what it reported are the log's rows and the parts they were written to.

    In commits of version 1 it is the batch that loaded the log first, since a replay wrote over the parts of that one.
    """

    commit: int
    batch: int


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """A Parquet object in ``events/`` or ``quarantine/``.

    :ivar path: below the lake's root.
    :ivar size: bytes.
    :ivar event_class, event_date: its partition; None in ``quarantine/``.
    """

    path: str
    rows: int
    size: int
    sha256: str
    event_class: str | None = None
    event_date: str | None = None


class RawObject(msgspec.Struct, frozen=True):
    """An object in ``raw/`` that a commit removed.

    :ivar path: below the lake's root.
    :ivar size: bytes.
    :ivar sha256: of the bytes, or its first digits as far as the object's name has them.
    """

    path: str
    size: int
    sha256: str


class Purpose(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a plan takes something out of the lake, or keeps it in. Never a value that was looked for.

    :ivar rule: in words, such as ``events of class access are kept for 90 days``.
    :ivar before: for each class of what a retention policy names, the first date (ISO 8601) that was kept.
    :ivar by: who asked for it; ``why``, and ``reference`` of the request.
    """

    rule: str = ""
    before: dict[str, str] = {}
    by: str = ""
    why: str = ""
    reference: str = ""

    def __str__(self) -> str:
        """Say it in words."""
        if self.rule:
            return self.rule
        return f"reference {self.reference}, asked for by {self.by}: {self.why}"


class Hold(msgspec.Struct, frozen=True, omit_defaults=True):
    """A legal hold: nothing in its scope expires, is erased, or is deleted for these reasons.

    :ivar reference: by which it is lifted again; unique among those in force.
    :ivar by: who set it, and ``why``.
    :ivar since, until: the first and last date in its scope, ISO 8601, both included; None if there is no bound.
    :ivar set_at: UTC.
    """

    reference: str
    by: str
    why: str
    set_at: datetime
    since: str | None = None
    until: str | None = None

    def covers(self, first: str, last: str | None = None) -> bool:
        """Return whether any day from ``first`` to ``last`` (ISO 8601, both included) is in its scope."""
        return (self.until is None or first <= self.until) and (self.since is None or (last or first) >= self.since)

    @property
    def scope(self) -> str:
        """Which days, in words."""
        return f"{self.since or 'the beginning'} to {self.until or 'the end'}"


class Removal(msgspec.Struct, frozen=True):
    """A commit that removed parts whose objects are still there.

    :ivar at: when it was committed, UTC: readers may hold the parts for a grace from then on.
    """

    commit: int
    at: datetime


class Acceptance(msgspec.Struct, frozen=True):
    """An exception that somebody accepts: what is lost or wrong, and stays so.

    :ivar about: numbers, such as ``8416_5`` or ``8416_5 to 8416_9``; or what a finding of a proof is about.
    :ivar by: who accepts it; ``why`` and ``reference`` on what grounds.
    :ivar at: when, UTC.
    """

    about: str
    by: str
    why: str
    reference: str
    at: datetime


class Plan(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one run set out to do.

    :ivar created_at: when it was written, UTC.
    :ivar observed_at: when the repository's index was last read and had names in it, UTC.
    :ivar listed: how many logs that index named.
    :ivar batches: the logs, oldest first, cut for the mapped tasks.
    :ivar closed: gaps that this plan's commit decides.
    :ivar prefixes: the watermark as it would be if no log of this plan were loaded.
    :ivar kind: what is to be done.
    :ivar originals: for each batch that is a replay, the one whose logs it loads again.
    :ivar inputs: for each batch that takes the place of parts, those parts.
    :ivar retires: the commits whose removed parts are to be deleted.
    :ivar purpose: why it expires or erases something, or lifts a hold.
    :ivar hold: the hold that it sets; ``lifts`` the reference of the one that it lifts.
    :ivar urgent: the headroom is so small that this plan only fetches; what it fetches is loaded by later ones.
    :ivar account_group: among whose repositories a log that comes twice is loaded once; None if they are not compared.
    :ivar restarts: counters that began again, as this plan noticed.
    :ivar unread: the first entries of the index or folder that are not read, escaped; ``unread_count`` how many there
        are.
    :ivar torn: it stands for a plan that did not read. It has as many batches as that one had begun, and none of them
        counts.
    :ivar accepts: exceptions that somebody accepts.
    :ivar destroys: the months whose data keys are destroyed once this is committed.
    """

    v: int
    repository: str
    commit: int
    run: Run
    provider_version: str
    created_at: datetime
    observed_at: datetime
    listed: int
    batches: tuple[tuple[PlannedLog, ...], ...]
    closed: tuple[Closed, ...]
    prefixes: dict[str, Prefix]
    originals: dict[int, BatchId] = msgspec.field(default_factory=dict, name="homes")
    kind: Kind = Kind.LOAD
    inputs: dict[int, tuple[Part, ...]] = {}
    retires: tuple[int, ...] = ()
    purpose: Purpose | None = None
    hold: Hold | None = None
    lifts: str | None = None
    urgent: bool = False
    account_group: str | None = None
    restarts: tuple[Restart, ...] = ()
    unread: tuple[str, ...] = ()
    unread_count: int = 0
    torn: bool = False
    accepts: tuple[Acceptance, ...] = ()
    destroys: tuple[str, ...] = ()

    @property
    def logs(self) -> int:
        """How many logs it sets out to load."""
        return sum(map(len, self.batches))

    @property
    def revises(self) -> bool:
        """Whether it changes what earlier commits decided or wrote: all that does more than to load new logs."""
        late = any(log.late for batch in self.batches for log in batch)
        return self.kind is not Kind.LOAD or bool(self.originals) or late

    def batch_name(self, batch: int) -> str:
        """Name a batch by its first and last log, as people see it: ``8416_101 to 8416_150 (50 logs)``."""
        names = [log.name.removesuffix(".log") for log in self.batches[batch]]
        return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]} ({len(names)} logs)" if names else "no log"


class LogRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of a log, or of a range of numbers without one.

    :ivar name: the log's name; None for a range.
    :ivar sequence, sequence_to: the number, or the range's ends.
    :ivar fetched_at: when its bytes came to ``raw/``, UTC.
    :ivar data_key: the month of the data key that its object in ``raw/`` is encrypted with; None if it is stored as
        received. ``stored_bytes`` and ``stored_sha256`` are of that object, ``raw_bytes`` and ``raw_sha256`` always of
        the bytes received.
    :ivar replaced_sha256: of the bytes received first, where they did not decode and others took their place.
    :ivar start_time, end_time: the header's, epoch milliseconds.
    :ivar lines: records in the plain body; ``rows + quarantined_lines + expired_lines + erased_lines`` always.
    :ivar expired_lines: how many of them a retention rule took out of ``events/`` and ``quarantine/``;
        ``erased_lines`` how many an erasure did.
    :ivar raw_removed: ``expired`` or ``erased`` if its bytes were taken out of ``raw/``.
    :ivar note_removed: whether the row in ``quarantine/`` that stood for the whole log was removed.
    :ivar reason: why it is in its state, where that is not plain; ``reason_code`` the same as a code, such as
        ``truncated``. None in ledgers written before there were codes.
    :ivar delivered_as: what it is called where it was delivered, below the folder that Imperva delivers to.
    :ivar content_sha256: of the plain body, where logs that come twice are looked for.
    :ivar rows_digest: which rows these are, as :class:`~airflow_provider_imperva.lake.digest.RowsDigest` writes it;
        None if there are none, and in ledgers of version 1.
    """

    prefix: str
    sequence: int
    sequence_to: int
    state: State
    name: str | None = None
    first_listed_at: datetime | None = None
    fetched_at: datetime | None = None
    raw_key: str | None = None
    raw_bytes: int | None = None
    raw_sha256: str | None = None
    replaced_sha256: str | None = None
    account_id: int | None = None
    config_id: int | None = None
    checksum: str | None = None
    format: str | None = None
    start_time: int | None = None
    end_time: int | None = None
    public_key_id: str | None = None
    encrypted: bool | None = None
    compressed: bool | None = None
    checksum_ok: bool | None = None
    lines: int = 0
    rows: int = 0
    quarantined_lines: int = 0
    late: bool = False
    reason: str | None = None
    delivered_as: str | None = None
    content_sha256: str | None = None
    reason_code: str | None = None
    rows_digest: str | None = None
    expired_lines: int = 0
    erased_lines: int = 0
    raw_removed: str | None = None
    note_removed: bool = False
    data_key: str | None = None
    stored_bytes: int | None = None
    stored_sha256: str | None = None

    @property
    def accounted(self) -> int:
        """How many of its lines are accounted for."""
        return self.rows + self.quarantined_lines + self.expired_lines + self.erased_lines

    def waiting(self, *, planned_at: datetime) -> Waiting | None:
        """Return what keeps the log undecided; None if it is decided.

        A damaged log is asked for again after a pause as long as it has been listed, so that the pauses double.

        :param planned_at: when the plan was made that this record is of.
        """
        if self.state is State.AWAITING_KEY:
            return Waiting(self.state, public_key_id=self.public_key_id)
        if self.state is State.DAMAGED:
            listed_for = planned_at - (self.first_listed_at or planned_at)
            pause = min(max(listed_for, _SHORTEST_PAUSE), _LONGEST_PAUSE)
            return Waiting(self.state, ask_again_at=planned_at + pause)
        return None

    def planned_again(self) -> PlannedLog:
        """Return the log as a replay plans it."""
        # Whatever has rows was listed once.
        assert self.name is not None and self.first_listed_at is not None  # noqa: S101, PT018
        return PlannedLog(
            self.name,
            self.first_listed_at,
            late=self.late,
            loaded=self.state is State.COMMITTED,
            delivered_as=self.delivered_as,
            fetched_at=self.fetched_at,
            last_try=True,
        )


_SHORTEST_PAUSE, _LONGEST_PAUSE = timedelta(minutes=10), timedelta(hours=6)

_TIME = pa.timestamp("ms", tz="UTC")
LOGS_SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("prefix", pa.string()),
        ("sequence", pa.int64()),
        ("sequence_to", pa.int64()),
        ("state", pa.string()),
        ("first_listed_at", _TIME),
        ("fetched_at", _TIME),
        ("raw_key", pa.string()),
        ("raw_bytes", pa.int64()),
        ("raw_sha256", pa.string()),
        ("replaced_sha256", pa.string()),
        ("account_id", pa.int64()),
        ("config_id", pa.int64()),
        ("checksum", pa.string()),
        ("format", pa.string()),
        ("start_time", _TIME),
        ("end_time", _TIME),
        ("public_key_id", pa.string()),
        ("encrypted", pa.bool_()),
        ("compressed", pa.bool_()),
        ("checksum_ok", pa.bool_()),
        ("lines", pa.int64()),
        ("rows", pa.int64()),
        ("quarantined_lines", pa.int64()),
        ("late", pa.bool_()),
        ("reason", pa.string()),
        ("delivered_as", pa.string()),
        ("content_sha256", pa.string()),
        ("reason_code", pa.string()),
        ("rows_digest", pa.string()),
        ("expired_lines", pa.int64()),
        ("erased_lines", pa.int64()),
        ("raw_removed", pa.string()),
        ("note_removed", pa.bool_()),
        ("data_key", pa.string()),
        ("stored_bytes", pa.int64()),
        ("stored_sha256", pa.string()),
    ],
    metadata={"imperva.ledger_version": str(VERSION)},
)
"""Schema of ``logs.parquet``, one row a :class:`LogRecord`."""


class Intent(msgspec.Struct, frozen=True, omit_defaults=True):
    """The parts a batch is about to write, noted before it does.

    :ivar outcome: SHA-256 of what the rows follow from: attempts that have the same one write the same bytes. None
        where a replay of version 1 has taken over.
    """

    v: int
    paths: tuple[str, ...]
    outcome: str | None = None


class Taken(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a batch took out of the lake for good.

    :ivar rows: of ``events/``; ``quarantined_rows`` of ``quarantine/``.
    :ivar carried_quarantined: how many rows of the removed parts in ``quarantine/`` are in the new ones as they were.
    :ivar logs: the logs whose rows or bytes these were, as they stand afterwards.
    :ivar raw: the objects in ``raw/``.
    """

    rows: int = 0
    quarantined_rows: int = 0
    carried_quarantined: int = 0
    logs: tuple[LogRecord, ...] = ()
    raw: tuple[RawObject, ...] = ()


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one batch did, written last by its normalize task.

    :ivar parts: what it wrote to ``events/`` and ``quarantine/``.
    :ivar logs: the logs it decided, and those that wait for a key.
    :ivar open: logs that stay open for the next plan, with the reason. In a replay: those that keep the batch from
        being replaced, which then has neither parts nor logs and stays as it is.
    :ivar open_codes: the reason of each as an :class:`OpenCode`; empty in ledgers written before there were codes.
    :ivar removed: the parts whose place those of this batch take.
    :ivar carried_rows: how many rows of the removed parts in ``events/`` are in the new ones as they were; those of
        logs that were loaded again do not count.
    :ivar taken: what it took out of the lake for good.
    :ivar redacted: how many values each rule of redaction changed.
    :ivar protection: the version of the rules and how pseudonyms were made, as in the metadata of the parts; empty if
        rows are as the logs have them.
    """

    v: int
    commit: int
    batch: int
    parts: tuple[Part, ...]
    logs: tuple[LogRecord, ...]
    open: dict[str, str] = {}
    open_codes: dict[str, str] = {}
    removed: tuple[Part, ...] = ()
    carried_rows: int = 0
    taken: Taken | None = None
    redacted: dict[str, int] = {}
    protection: dict[str, str] = {}

    @property
    def left_open(self) -> dict[str, LeftOpen]:
        """Why each log stays open."""
        return {name: LeftOpen(self.open_codes.get(name), reason) for name, reason in self.open.items()}

    def imbalance(self) -> str | None:
        """Describe where lines and rows do not add up; None if they do."""
        for log in (*self.logs, *(self.taken.logs if self.taken else ())):
            if log.lines != log.accounted:
                text = f"{log.name} has {log.lines} lines, but {log.rows} rows and {log.quarantined_lines} quarantined"
                gone = log.expired_lines + log.erased_lines
                return f"{text}, and {gone} were removed" if gone else text
        written = sum(part.rows for part in self.parts if part.event_class is not None)
        rows = sum(log.rows for log in self.logs) + self.carried_rows
        if written != rows:
            return f"the parts have {written} rows, the logs and the parts they replace {rows}"
        # A log that went to quarantine as a whole has one row there.
        quarantined = sum(log.quarantined_lines + (log.state is State.QUARANTINED) for log in self.logs)
        quarantined += self.taken.carried_quarantined if self.taken else 0
        written = sum(part.rows for part in self.parts if part.event_class is None)
        if written != quarantined:
            return f"the parts have {written} rows of quarantine, the logs {quarantined}"
        return self._imbalance_of_taken(self.taken) if self.taken else None

    def _imbalance_of_taken(self, taken: Taken) -> str | None:
        """Describe where what was removed is neither in the new parts nor counted as taken; None if all of it is."""
        rows = sum(part.rows for part in self.removed if part.event_class is not None)
        if rows != self.carried_rows + taken.rows:
            return f"{rows} rows were removed, {self.carried_rows} are carried over and {taken.rows} taken"
        rows = sum(part.rows for part in self.removed if part.event_class is None)
        if rows != taken.carried_quarantined + taken.quarantined_rows:
            text = f"{taken.carried_quarantined} are carried over and {taken.quarantined_rows} taken"
            return f"{rows} rows of quarantine were removed, {text}"
        return None


class Totals(msgspec.Struct, frozen=True):
    """Sums over a commit.

    :ivar logs: by state, of what this commit decided (a range counts each of its numbers).
    :ivar raw_bytes: of the logs that were fetched.
    """

    logs: dict[State, int]
    lines: int
    rows: int
    quarantined_lines: int
    raw_bytes: int


class Replaying(msgspec.Struct, frozen=True):
    """A replay that was asked for and is not done; the lake has the rows as they were before.

    Of a plan of version 1, some parts may be new and others old: no line is in them twice, but some may be in none.

    :ivar original: the batch whose logs are to be loaded again.
    :ivar commit, batch: the plan, and the batch of it, that names the logs.
    """

    original: BatchId = msgspec.field(name="home")
    commit: int
    batch: int


class Commit(msgspec.Struct, frozen=True, omit_defaults=True):
    """The one write that makes a plan's outcome true.

    :ivar previous_sha256: of the commit before, byte for byte; None in the first.
    :ivar logs_sha256: of this commit's ``logs.parquet``.
    :ivar run: who planned; ``committed_by`` who committed, where that was another.
    :ivar batches: those whose reports this commit is made of.
    :ivar failed_batches: those without one; their logs stay open.
    :ivar open: logs that were planned and stay open, with the reason.
    :ivar open_codes: the reason of each as an :class:`OpenCode`; empty in ledgers written before there were codes.
    :ivar prefixes: the watermark.
    :ivar kind: what was done.
    :ivar removed: parts of earlier commits that are no longer part of the lake.
    :ivar carried_rows: as in the reports, all batches together.
    :ivar removed_raw: objects of ``raw/`` that are no longer part of the lake.
    :ivar purpose: why something was taken out, as in the plan.
    :ivar taken_rows, taken_quarantined: how many rows were taken out of ``events/`` and ``quarantine/`` for good.
    :ivar hold: the hold that it sets; ``lifts`` the reference of the one that it lifts; ``holds`` those in force.
    :ivar retired: objects that an earlier commit removed, to be deleted from now on.
    :ivar unretired: the commits up to this one whose removed parts were not retired, oldest first.
    :ivar replaced: for each batch that was a replay, the one whose logs it loaded again. In version 1, where a replay
        wrote over the parts of that one, nothing counts that earlier commits say of its parts.
    :ivar replaying: replays that have yet to be done.
    :ivar restarts, unread, unread_count: as in the plan.
    :ivar revised: the last commit, up to this one, that changed what earlier ones had decided or written, as
        :attr:`Plan.revises` says; 0 if none did. None in ledgers written before this was noted.
    :ivar redacted: how many values each rule of redaction changed.
    :ivar protections: by what rules and pseudonyms, as in the metadata of the parts; more than one only if these
        changed while batches were under way.
    :ivar accepts, destroys: as in the plan.
    :ivar signed_by: the id of the key that signed this object, and ``signature`` what it signed it with: Ed25519, 128
        hexadecimal digits, as :mod:`~airflow_provider_imperva.seal.signature` gives it. None if it is not signed.
    """

    v: int
    repository: str
    commit: int
    previous_sha256: str | None
    logs_sha256: str
    run: Run
    committed_by: Run
    provider_version: str
    committed_at: datetime
    observed_at: datetime
    batches: tuple[int, ...]
    failed_batches: tuple[int, ...]
    parts: tuple[Part, ...]
    totals: Totals
    open: dict[str, str]
    prefixes: dict[str, Prefix]
    kind: Kind = Kind.LOAD
    removed: tuple[Part, ...] = ()
    carried_rows: int = 0
    removed_raw: tuple[RawObject, ...] = ()
    purpose: Purpose | None = None
    taken_rows: int = 0
    taken_quarantined: int = 0
    hold: Hold | None = None
    lifts: str | None = None
    holds: tuple[Hold, ...] = ()
    retired: tuple[str, ...] = ()
    unretired: tuple[Removal, ...] = ()
    replaced: dict[int, BatchId] = {}
    replaying: tuple[Replaying, ...] = ()
    open_codes: dict[str, str] = {}
    restarts: tuple[Restart, ...] = ()
    unread: tuple[str, ...] = ()
    unread_count: int = 0
    redacted: dict[str, int] = {}
    protections: tuple[dict[str, str], ...] = ()
    accepts: tuple[Acceptance, ...] = ()
    destroys: tuple[str, ...] = ()
    revised: int | None = None
    signed_by: str | None = None
    signature: str | None = None

    @property
    def stuck(self) -> list[str]:
        """The logs that stay open for a reason that people must hear of; a reason without a code is one."""
        return [name for name in self.open if self.open_codes.get(name) not in EXPECTED]

    @property
    def lost(self) -> int:
        """How many numbers this commit declares as expired or unobserved."""
        return self.totals.logs.get(State.EXPIRED, 0) + self.totals.logs.get(State.UNOBSERVED, 0)
