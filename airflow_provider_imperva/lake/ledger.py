"""The ledger: all plans and commits of one repository, and the rules by which they are written.

Commits are numbered from 1 without a hole, and each names the SHA-256 of the one before. Plan *n* + 1 exists only if
commit *n* does. Plans and commits are created, never replaced: of two runs that race, one wins and the other is told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_imperva.errors import LedgerConflictError, LedgerCorruptError, ObjectExistsError
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.lake.packing import PACKED_VERSION, decode_packed, encode
from airflow_provider_imperva.lake.records import VERSION, Commit, Intent, Plan, Replaying, Report
from airflow_provider_imperva.lake.store import Store
from airflow_provider_imperva.lake.watermark import Prefix

_Record = TypeVar("_Record", Plan, Intent, Report, Commit)


class _Versioned(msgspec.Struct, frozen=True):
    v: int


# Made before there are threads. What msgspec knows of a type it finds out when the type is first decoded, and a thread
# that decodes it meanwhile may see half of that: it reads where nothing is, and the process is gone.
_VERSIONED = msgspec.json.Decoder(_Versioned)
_DECODERS: dict[type, msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(kind) for kind in (Plan, Intent, Report, Commit)
}


class Head(msgspec.Struct, frozen=True):
    """Where a ledger ends.

    :ivar commit: the last commit; None before the first.
    :ivar plan: the plan after it, if there is one: a run is under way, or has died.
    """

    commit: Commit | None
    plan: Plan | None

    @property
    def next_commit(self) -> int:
        """The number the next plan gets."""
        return self.commit.commit + 1 if self.commit else 1

    @property
    def prefixes(self) -> dict[str, Prefix]:
        """The watermark."""
        return dict(self.commit.prefixes) if self.commit else {}

    @property
    def replaying(self) -> tuple[Replaying, ...]:
        """The replays that have yet to be finished."""
        return self.commit.replaying if self.commit else ()


class Ledger:
    """The ledger of one repository in a lake."""

    def __init__(self, store: Store, repository: str) -> None:
        self.store = store
        self.layout = Layout(repository)

    def head(self) -> Head:
        """Find the end of the ledger.

        :raises LedgerCorruptError: if plans and commits do not follow each other, or an object is unreadable.
        """
        thousands = self.store.folders(self.layout.ledger)
        # The last folder may hold the plan of commit 1000 only, while commit 999 is in the one before.
        found = [
            item.path for thousand in thousands[-2:] for item in self.store.objects(f"{self.layout.ledger}/{thousand}")
        ]
        commit = _highest(found, ".commit.json")
        plan = _highest(found, ".plan.json")
        if commit > plan or plan > commit + 1:
            raise LedgerCorruptError(
                f"the last plan is {plan}, the last commit {commit}",
                do="restore the objects that are missing from a backup of the lake, then run again",
                about=self.store.uri(self.layout.ledger),
            )
        return Head(self.commit(commit) if commit else None, self.plan(plan) if plan > commit else None)

    def plan(self, number: int) -> Plan:
        """Read a plan."""
        return self._read(self.layout.plan(number), Plan)

    def commit(self, number: int) -> Commit:
        """Read a commit."""
        return self._read(self.layout.commit(number), Commit)

    def committed(self, number: int) -> bool:
        """Tell whether a plan is committed."""
        return self.store.exists(self.layout.commit(number))

    def commits(self, *, newest_first: bool = False) -> Iterator[Commit]:
        """Yield every commit."""
        last = self.head().next_commit - 1
        for number in range(last, 0, -1) if newest_first else range(1, last + 1):
            yield self.commit(number)

    def logs(self, number: int) -> pa.Table:
        """Read a commit's ``logs.parquet``."""
        path = self.layout.logs(number)
        return decode_logs(self.store.read(path), about=self.store.uri(path))

    def create_plan(self, plan: Plan) -> Plan:
        """Write a plan, or return the one this very run wrote before.

        :raises LedgerConflictError: if another run wrote a plan of that number first.
        """
        path = self.layout.plan(plan.commit)
        try:
            self.store.create(path, encode(plan))
        except ObjectExistsError as error:
            written = self.plan(plan.commit)
            if written.run != plan.run:
                raise LedgerConflictError(
                    f"run {written.run.run_id} wrote this plan while run {plan.run.run_id} was about to",
                    do="nothing is lost: let that run finish; see that only one run loads a repository at a time",
                    about=self.store.uri(path),
                ) from error
            return written
        return plan

    def report(self, number: int, batch: int) -> Report | None:
        """Read what a batch did; None if it has not finished."""
        return self._find(self.layout.report(number, batch), Report)

    def write_report(self, report: Report) -> None:
        """Write what a batch did, which is the last thing it does."""
        self.store.write(self.layout.report(report.commit, report.batch), encode(report))

    def intent(self, number: int, batch: int) -> tuple[str, ...]:
        """Return the parts a batch was about to write, if it came that far."""
        intent = self._find(self.layout.intent(number, batch), Intent)
        return intent.paths if intent else ()

    def create_intent(self, number: int, batch: int, paths: Iterable[str], *, outcome: str) -> bool:
        """Note which parts a batch is about to write, so that they are found again if it never reports them.

        :returns: whether this attempt may write: it is the first, or comes to the same outcome as the first.
        """
        path = self.layout.intent(number, batch)
        try:
            self.store.create(path, encode(Intent(VERSION, tuple(sorted(paths)), outcome)))
        except ObjectExistsError:
            return self._read(path, Intent).outcome == outcome
        return True

    def write_intent(self, number: int, batch: int, paths: Iterable[str]) -> None:
        """Note which parts a replay of a batch is about to write, besides those it may have."""
        self.store.write(self.layout.intent(number, batch), encode(Intent(VERSION, tuple(sorted(paths)))))

    def create_commit(self, commit: Commit) -> Commit:
        """Write a commit, or return the one that is there: whoever came first has settled the plan."""
        try:
            self.store.create(self.layout.commit(commit.commit), encode(commit))
        except ObjectExistsError:
            return self.commit(commit.commit)
        return commit

    def sha256(self, number: int) -> str:
        """Return the SHA-256 of a commit's object, which the next one names."""
        return hashlib.sha256(self.store.read(self.layout.commit(number))).hexdigest()

    def _read(self, path: str, kind: type[_Record]) -> _Record:
        record = self._find(path, kind)
        if record is None:
            raise LedgerCorruptError(
                f"the {kind.__name__.lower()} is missing",
                do="restore it from a backup of the lake, then run again",
                about=self.store.uri(path),
            )
        return record

    def _find(self, path: str, kind: type[_Record]) -> _Record | None:
        try:
            content = self.store.read(path)
        except FileNotFoundError:
            return None
        return decode_record(content, kind, about=self.store.uri(path))


def decode_record(content: bytes, kind: type[_Record], *, about: str) -> _Record:
    """Read a plan, intent, report or commit.

    :param about: its object, for the error's message.
    :raises LedgerCorruptError: if it is none, or of a ledger version this provider does not know.
    """
    try:
        # First, since a newer version may hold what this one cannot read.
        version = _VERSIONED.decode(content).v
        _check_version(version, about, highest=PACKED_VERSION if kind in (Plan, Commit) else VERSION)
        record: _Record = decode_packed(content, kind) if version == PACKED_VERSION else _DECODERS[kind].decode(content)
        return record
    except msgspec.DecodeError as error:
        raise _unreadable(kind.__name__.lower(), about) from error


def decode_logs(content: bytes, *, about: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a ``logs.parquet``: a table of ``LOGS_SCHEMA``.

    :param about: its object, for the error's message.
    :param columns: those to read, as far as they are there; all by default. Of objects as small as these, each takes
        longer than to read the object.
    :raises LedgerCorruptError: if it is none, or of a ledger version this provider does not know.
    """
    try:
        # Several times as fast as read_table for objects as small as these, of which an audit reads thousands.
        table = pq.ParquetFile(pa.BufferReader(content)).read(columns, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable("table of logs", about) from error
    _check_version(int((table.schema.metadata or {}).get(b"imperva.ledger_version", VERSION)), about)
    return table


def _unreadable(kind: str, about: str) -> LedgerCorruptError:
    return LedgerCorruptError(
        f"the object does not read as a ledger's {kind}",
        do="restore it from a backup of the lake, then run again",
        about=about,
    )


def _check_version(version: int, about: str, *, highest: int = VERSION) -> None:
    if not VERSION <= version <= highest:
        raise LedgerCorruptError(
            f"it is of ledger version {version}, and this provider knows versions up to {highest}",
            do="upgrade the provider to at least the version that last wrote to this lake",
            about=about,
        )


def _highest(paths: Iterable[str], ending: str) -> int:
    numbers = [path.rsplit("/", 1)[1].removesuffix(ending) for path in paths if path.endswith(ending)]
    # What else lies there (as ._000000000042.commit.json does, where a Mac has copied a lake) is none.
    return max((int(number) for number in numbers if number.isdecimal()), default=0)
