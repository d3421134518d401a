"""The ledger read from end to end, whatever state it is in: what cannot be read is named, and the rest goes on."""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from typing import TypeAlias, TypeVar

import numpy as np
import pyarrow as pa

from airflow_provider_imperva.audit.findings import Finding, Kind
from airflow_provider_imperva.errors import ConfigurationError, LakeError, LedgerCorruptError
from airflow_provider_imperva.lake.disk import LocalStore
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.lake.ledger import decode_logs, decode_record
from airflow_provider_imperva.lake.live import LiveSet
from airflow_provider_imperva.lake.records import LOGS_SCHEMA, Acceptance, Commit, Intent, Plan, Report
from airflow_provider_imperva.lake.store import Store
from airflow_provider_imperva.seal.signature import digest_of_unsigned

_READERS = 32
_ENTRIES_AT_ONCE = 500
_ENTRIES_A_TASK = 100
_ENTRIES_A_STEP = 50
"""How many entries are read before progress is reported again, which takes time too."""

_ENTRY = re.compile(r"(\d{12})\.(?:plan\.json|commit\.json|commit\.tsr|logs\.parquet|batch-\d{4,}(?:\.parts)?\.json)")

_T = TypeVar("_T")
_Record = TypeVar("_Record", Plan, Intent, Report, Commit)

_AUDITED = [
    "name",
    "prefix",
    "sequence",
    "sequence_to",
    "state",
    "first_listed_at",
    "raw_key",
    "raw_bytes",
    "raw_sha256",
    "replaced_sha256",
    "lines",
    "rows",
    "quarantined_lines",
    "reason",
    "delivered_as",
    "rows_digest",
    "expired_lines",
    "erased_lines",
    "raw_removed",
    "note_removed",
    "data_key",
    "stored_bytes",
    "stored_sha256",
]
_ADDED = {
    "rows_digest": None,
    "content_sha256": None,
    "expired_lines": 0,
    "erased_lines": 0,
    "raw_removed": None,
    "note_removed": False,
    "data_key": None,
    "stored_bytes": None,
    "stored_sha256": None,
}
"""Columns that came with later releases, and what they are in ledgers of earlier ones."""

_PROVED = [*_AUDITED, "fetched_at", "content_sha256"]
"""The columns that only a proof looks at, too."""

LOGS = pa.schema([*(LOGS_SCHEMA.field(name) for name in _AUDITED), ("commit", pa.int64())])
"""Schema of what all commits together say of logs: the columns of ``logs.parquet`` that an audit looks at, and the
commit they are of."""

Progress: TypeAlias = Callable[[str, int, int], None]
"""Takes how far an audit is: what is being read, how much is done, and of how much."""


def silent(what: str, done: int, total: int) -> None:
    """Report no progress."""


@dataclass(frozen=True, slots=True)
class Entry:
    """All that the ledger has under one number.

    :ivar plan, commit, logs: None if missing or unreadable; of the logs the columns that an audit looks at.
    :ivar sha256: of the commit's object; ``logs_sha256`` of that of its logs.
    :ivar reports: what its batches did, by batch, as far as there is a report; empty unless they were asked for.
    :ivar intents: what its batches were about to write, likewise.
    :ivar unsigned_digest: what its commit was signed over; None if it has no signature.
    :ivar damages: what could not be read.
    :ivar with_logs: whether its logs were asked for.
    """

    number: int
    plan: Plan | None = None
    commit: Commit | None = None
    sha256: str | None = None
    logs: pa.Table | None = None
    logs_sha256: str | None = None
    reports: dict[int, Report] = field(default_factory=dict)
    intents: dict[int, Intent] = field(default_factory=dict)
    unsigned_digest: bytes | None = None
    damages: tuple[Finding, ...] = ()
    with_logs: bool = True


def repositories(store: Store, *, only: str | None = None) -> list[str]:
    """Return the ids of the repositories that a lake has a ledger of.

    :param only: the one that is asked for; by default all.
    :raises ConfigurationError: if it is not a lake, or has no ledger of that repository.
    """
    names = [name.removeprefix("repository=") for name in store.folders("ledger") if name.startswith("repository=")]
    named = [name for name in names if only in (None, name)]
    if not named:
        raise ConfigurationError(
            f"there is no ledger of {only} here, but of {', '.join(names)}" if names else "there is no ledger here",
            do="Name the root of a lake: the folder with raw/, events/ and ledger/ in it",
            about=store.uri(),
        )
    return named


def last_number(store: Store, layout: Layout) -> int:
    """Return the highest number that any object of a ledger has; 0 if there is none."""
    for thousand in reversed(store.folders(layout.ledger)):
        folder = f"{layout.ledger}/{thousand}"
        numbers = [number_of(item.path) for item in store.objects(folder)]
        # What lies in a folder that is not its own does not count as an entry.
        if in_folder := [number for number in numbers if number and layout.thousand(number) == folder]:
            return max(in_folder)
    return 0


def read_entries(
    store: Store,
    layout: Layout,
    *,
    numbers: Sequence[int],
    whole: bool = False,
    with_logs: bool = True,
    at_once: int = _ENTRIES_AT_ONCE,
    processes: int = 1,
    progress: Progress = silent,
) -> Iterator[Entry]:
    """Read entries of the ledger, in order; each is there, even if nothing of it can be read.

    :param numbers: which ones, ascending.
    :param whole: plans and reports too, which only a proof needs; else plans without a commit only.
    :param with_logs: whether to read their logs.
    :param at_once: how many are in memory while the first of them is worked on.
    :param processes: how many read side by side from a disk, where the time goes into undoing what was read. From other
        stores threads read, which wait.
    """
    if (processes := side_by_side(store, processes)) > 1:
        size = min(at_once, _ENTRIES_A_TASK)
        read = _read_by_processes(store, layout, numbers, processes, size, whole=whole, with_logs=with_logs)
    else:
        read = _read_by_threads(store, layout, numbers, at_once, whole=whole, with_logs=with_logs)
    for done, entry in enumerate(read, 1):
        yield entry
        if done % _ENTRIES_A_STEP == 0 or done == len(numbers):
            progress("Reading the ledger", done, len(numbers))


def side_by_side(store: Store, processes: int) -> int:
    """Return how many processes read entries of a store, of those that may."""
    return processes if isinstance(store, LocalStore) else 1


def _read_by_threads(
    store: Store, layout: Layout, numbers: Sequence[int], at_once: int, *, whole: bool, with_logs: bool
) -> Iterator[Entry]:
    with ThreadPoolExecutor(_READERS) as pool:
        for begin in range(0, len(numbers), at_once):
            some = numbers[begin : begin + at_once]
            yield from pool.map(lambda one: _read_entry(store, layout, one, whole=whole, with_logs=with_logs), some)


def _read_by_processes(
    store: Store, layout: Layout, numbers: Sequence[int], processes: int, size: int, *, whole: bool, with_logs: bool
) -> Iterator[Entry]:
    # Spawned, since a process that is forked while threads are at work may hang.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        ahead: deque[Future[_Parcel]] = deque()
        for begin in range(0, len(numbers), size):
            some = numbers[begin : begin + size]
            ahead.append(pool.submit(_read_some, store, layout, some, whole=whole, with_logs=with_logs))
            if len(ahead) > 2 * processes:
                yield from ahead.popleft().result().unpack()
        while ahead:
            yield from ahead.popleft().result().unpack()


def _read_some(store: Store, layout: Layout, numbers: Sequence[int], *, whole: bool, with_logs: bool) -> _Parcel:
    return _Parcel.of([_read_entry(store, layout, number, whole=whole, with_logs=with_logs) for number in numbers])


@dataclass(frozen=True, slots=True)
class _Parcel:
    """Entries on their way from one process to another, with all their logs in one table of each schema.

    To pickle a table takes as long as to read an entry, however few rows it has.

    :ivar entries: without logs.
    :ivar logs: a table for each schema.
    :ivar rows: of each entry's logs the place of their table, and how many they are; None if it has no logs.
    """

    entries: list[Entry]
    logs: list[pa.Table]
    rows: list[tuple[int, int] | None]

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> _Parcel:
        tables: dict[pa.Schema, list[pa.Table]] = {}
        for entry in entries:
            if entry.logs is not None:
                tables.setdefault(entry.logs.schema, []).append(entry.logs)
        places = {schema: place for place, schema in enumerate(tables)}
        return cls(
            [replace(entry, logs=None) for entry in entries],
            [pa.concat_tables(some).combine_chunks() for some in tables.values()],
            [None if entry.logs is None else (places[entry.logs.schema], len(entry.logs)) for entry in entries],
        )

    def unpack(self) -> Iterator[Entry]:
        begins = [0] * len(self.logs)
        for entry, rows in zip(self.entries, self.rows, strict=True):
            if rows is None:
                yield entry
                continue
            place, count = rows
            yield replace(entry, logs=self.logs[place].slice(begins[place], count))
            begins[place] += count


def _read_entry(store: Store, layout: Layout, number: int, *, whole: bool, with_logs: bool) -> Entry:
    damages: list[Finding] = []

    def read(path: str, decode: Callable[[bytes], _T]) -> tuple[_T | None, str | None]:
        sha256 = None
        try:
            content = store.read(path)
            sha256 = hashlib.sha256(content).hexdigest()
            return decode(content), sha256
        except FileNotFoundError:
            return None, None
        except LedgerCorruptError as error:
            damages.append(Finding(Kind.UNREADABLE, path, error.found))
        except (OSError, LakeError) as error:
            damages.append(Finding(Kind.UNREADABLE, path, f"the store did not give it ({type(error).__name__})"))
        return None, sha256

    def record(path: str, kind: type[_Record]) -> tuple[_Record | None, str | None]:
        return read(path, lambda content: decode_record(content, kind, about=path))

    digest: list[bytes | None] = [None]

    def decode_commit(content: bytes) -> Commit:
        digest[0] = digest_of_unsigned(content)
        return decode_record(content, Commit, about=layout.commit(number))

    commit, sha256 = read(layout.commit(number), decode_commit)
    path = layout.logs(number)
    columns = _PROVED if whole else _AUDITED
    logs, logs_sha256 = None, None
    if with_logs:
        logs, logs_sha256 = read(path, lambda content: decode_logs(content, about=path, columns=columns))
    plan = record(layout.plan(number), Plan)[0] if whole or sha256 is None else None
    reports: dict[int, Report] = {}
    intents: dict[int, Intent] = {}
    if whole and commit:
        records = {batch: record(layout.report(number, batch), Report)[0] for batch in commit.batches}
        reports = {batch: report for batch, report in records.items() if report}
        begun = {batch: record(layout.intent(number, batch), Intent)[0] for batch in commit.batches}
        intents = {batch: intent for batch, intent in begun.items() if intent}
    for name, value in _ADDED.items():
        if logs is not None and name in columns and name not in logs.schema.names:
            column = LOGS_SCHEMA.field(name)
            logs = logs.append_column(column, pa.repeat(pa.scalar(value, column.type), len(logs)))
    if logs is not None and set(columns) - set(logs.schema.names):
        damages.append(Finding(Kind.UNREADABLE, path, "it lacks columns"))
        logs = None
    return Entry(
        number, plan, commit, sha256, logs, logs_sha256, reports, intents, digest[0], tuple(damages), with_logs
    )


class History:
    """What the commits of a ledger come to, put together entry by entry.

    :ivar commits, sha256: by number, as far as they can be read; ``logs_sha256`` of the logs of each commit whose logs
        were read.
    :ivar floors: by prefix, the number up to which rows about logs may be missing, since they were not read.
    :ivar live: the parts that the lake is made of, and those that it was made of before.
    :ivar plans: those without a commit, by number.
    :ivar last: the highest number that anything in the ledger has.
    :ivar damages: what could not be read, or is missing beside a commit.
    """

    def __init__(self, repository: str, *, gather: int = _ENTRIES_AT_ONCE) -> None:
        """Begin before the first entry; the logs of so many entries are put together to one table."""
        self._gather = gather
        self.repository = repository
        self.layout = Layout(repository)
        self.commits: dict[int, Commit] = {}
        self.sha256: dict[int, str] = {}
        self.logs_sha256: dict[int, str | None] = {}
        self.floors: dict[str, int] = {}
        self.plans: dict[int, Plan] = {}
        self.damages: list[Finding] = []
        self.last = 0
        self._logs: list[pa.Table] = []
        self._latest: dict[int, pa.Table] = {}
        self.live = LiveSet()

    @classmethod
    def read(cls, store: Store, repository: str, *, last: int | None = None, progress: Progress = silent) -> History:
        """Read a ledger up to a number; to its end by default."""
        history = cls(repository)
        last = last_number(store, history.layout) if last is None else last
        for entry in read_entries(store, history.layout, numbers=range(1, last + 1), progress=progress):
            history.add(entry)
        return history

    def add(self, entry: Entry) -> None:
        """Take the next entry."""
        self.last = entry.number
        self.damages += entry.damages
        if entry.plan and not entry.commit:
            self.plans[entry.number] = entry.plan
        if entry.sha256:
            self.sha256[entry.number] = entry.sha256
        if entry.commit is None:
            return
        self.commits[entry.number] = entry.commit
        self.live.add(entry.commit)
        if entry.with_logs:
            self._add_logs(entry)

    def add_logs(self, entry: Entry) -> None:
        """Take the logs of an entry that was added without them."""
        self.damages += entry.damages
        if entry.commit:
            self._add_logs(entry)

    def _add_logs(self, entry: Entry) -> None:
        self.logs_sha256[entry.number] = entry.logs_sha256
        if entry.logs_sha256 is None and not entry.damages:
            self.damages.append(
                Finding(Kind.MISSING, self.layout.logs(entry.number), "the logs of a commit are missing")
            )
        if entry.logs is not None:
            self._latest[entry.number] = entry.logs.select(_AUDITED)
            if len(self._latest) == self._gather:
                self._gather_latest()

    def _gather_latest(self) -> None:
        """Put many small tables together to one, which takes a fraction of their memory."""
        numbers = np.repeat(list(self._latest), list(map(len, self._latest.values())))
        logs = pa.concat_tables(self._latest.values()).append_column(LOGS.field("commit"), pa.array(numbers))
        self._logs.append(logs.cast(LOGS).combine_chunks())
        self._latest.clear()

    @property
    def head(self) -> Commit | None:
        """The last commit that can be read."""
        return self.commits[max(self.commits)] if self.commits else None

    @property
    def open_plan(self) -> Plan | None:
        """The plan after the last commit: its run is under way, or has died."""
        return self.plans.get(self.last)

    @property
    def accepted(self) -> list[Acceptance]:
        """The exceptions that somebody accepted, oldest first."""
        return [item for number in sorted(self.commits) for item in self.commits[number].accepts]

    @property
    def accepted_abouts(self) -> set[str]:
        """What those are about."""
        return {item.about for item in self.accepted}

    @property
    def missing(self) -> list[int]:
        """Numbers of commits that have to be there and are not."""
        end = self.last if self.open_plan else self.last + 1
        return [number for number in range(1, end) if number not in self.sha256]

    @property
    def logs(self) -> pa.Table:
        """Every row about a log or a range, of all commits, in their order; columns of ``LOGS``."""
        if self._latest:
            self._gather_latest()
        if len(self._logs) > 1:
            self._logs = [pa.concat_tables(self._logs).combine_chunks()]
        return self._logs[0] if self._logs else LOGS.empty_table()


def number_of(path: str) -> int | None:
    """Return which entry of the ledger an object is of, by its name; None if it has no such name."""
    match = _ENTRY.fullmatch(path.rsplit("/", 1)[-1])
    return int(match[1]) if match else None
