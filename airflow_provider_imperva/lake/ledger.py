"""The ledger: all plans and commits of one repository, and the rules by which they are written.

Commits are numbered from 1 without a hole, and each names the SHA-256 of the one before. Plan *n* + 1 exists only if
commit *n* does. Plans and commits are created, never replaced: of two runs that race, one wins and the other gets an
error.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeAlias, TypeVar

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_imperva.errors import (
    ImpervaError,
    LedgerConflictError,
    LedgerCorruptError,
    ObjectExistsError,
    TornPlanError,
    UnreadableObjectError,
)
from airflow_provider_imperva.lake.data_keys import MasterKeys
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.lake.packing import PACKED_VERSION, decode_packed, encode, is_packed
from airflow_provider_imperva.lake.partitions import parts_named
from airflow_provider_imperva.lake.raw import RawBytes
from airflow_provider_imperva.lake.records import VERSION, Commit, Intent, Plan, Replaying, Report
from airflow_provider_imperva.lake.store import Store, StoredObject
from airflow_provider_imperva.lake.watermark import Prefix

logger = logging.getLogger(__name__)

_Record = TypeVar("_Record", Plan, Intent, Report, Commit)


_THOUSAND = re.compile(r"\d{9}")
_OF_A_BATCH = re.compile(r"(\d{12})\.batch-(\d{4,})(?:\.parts)?\.json")


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


class Signer(Protocol):
    """What signs commits, such as a :class:`~airflow_provider_imperva.seal.signature.SigningKey`."""

    @property
    def key_id(self) -> str:
        """Which key it is."""

    def sign(self, content: bytes) -> bytes:
        """Put the signature into a record that has :data:`UNSIGNED` in its place."""


NoteHead: TypeAlias = Callable[[str, int, str, tuple[str, ...]], None]
"""Notes a head: repository, commit, SHA-256 of its object, and all repositories that the lake has.

It raises an :class:`~airflow_provider_imperva.errors.ImpervaError` if the place does not take it.
"""

Stamp: TypeAlias = Callable[[bytes], bytes]
"""Has a commit's object timestamped, and returns the timestamp.

It raises an :class:`~airflow_provider_imperva.errors.ImpervaError` if the authority does not answer.
"""

UNSIGNED = "0" * 128
"""What stands in the place of a signature while it is made."""


class Ledger:
    """The ledger of one repository in a lake.

    :param signer: signs each commit that is written; without it commits are not signed.
    :param note_head: takes each commit that is made, to note it in a place outside of the lake.
    :param stamp: has each commit that is made timestamped; the timestamp lies beside the commit.
    :param master: what the data keys of ``raw/`` are wrapped by; without it new objects there are not encrypted.
    :ivar raw: the bytes as received, decrypted.
    :ivar unsealed: what ``note_head`` and ``stamp`` refused of the last commit that was made here, in words; it is made
        all the same.
    """

    def __init__(
        self,
        store: Store,
        repository: str,
        *,
        signer: Signer | None = None,
        note_head: NoteHead | None = None,
        stamp: Stamp | None = None,
        master: MasterKeys | None = None,
    ) -> None:
        self.store = store
        self.layout = Layout(repository)
        self.raw = RawBytes(store, self.layout, master=master)
        self._signer = signer
        self._note_head = note_head
        self._stamp = stamp
        self.unsealed: tuple[str, ...] = ()

    def head(self, *, with_plan: bool = True) -> Head:
        """Find the end of the ledger.

        :param with_plan: whether to read the plan without a commit, if there is one.

        :raises LedgerCorruptError: if plans and commits do not follow each other, or an object is unreadable. It is a
            :class:`TornPlanError` if that object is the plan without a commit.
        """
        # What others put beside these folders, such as a copy of the ledger, is not part of it.
        thousands = [name for name in self.store.folders(self.layout.ledger) if _THOUSAND.fullmatch(name)]
        # The last folder may hold the plan of commit 1000 only, while commit 999 is in the one before.
        names = [
            item.path for thousand in thousands[-2:] for item in self.store.objects(f"{self.layout.ledger}/{thousand}")
        ]
        commit = _highest(names, ".commit.json")
        plan = _highest(names, ".plan.json")
        if commit > plan or plan > commit + 1:
            raise LedgerCorruptError(
                f"the last plan is {plan}, the last commit {commit}",
                do="Restore the objects that are missing from a backup of the lake, then run again",
                about=self.store.uri(self.layout.ledger),
            )
        last = self.commit(commit) if commit else None
        return Head(last, self._open_plan(plan) if with_plan and plan > commit else None)

    def _open_plan(self, number: int) -> Plan:
        try:
            return self.plan(number)
        except UnreadableObjectError as error:
            raise TornPlanError(
                f"plan {number} does not read, and it has no commit",
                do="The next run replaces it by a plan that loads nothing, and loads its logs itself; nothing is lost",
                about=error.about,
            ) from error

    def plan(self, number: int) -> Plan:
        """Read a plan."""
        return self._read(self.layout.plan(number), Plan)

    def commit(self, number: int) -> Commit:
        """Read a commit."""
        return self._read(self.layout.commit(number), Commit)

    def committed(self, number: int) -> bool:
        """Return whether a plan is committed."""
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

    def replace_torn_plan(self, plan: Plan) -> None:
        """Put a plan in the place of one that does not read and has no commit, which loses nothing that counts."""
        self.store.write(self.layout.plan(plan.commit), encode(plan))

    def batches_begun(self, number: int) -> int:
        """Return how many batches a plan must have had, by the objects that its batches wrote to the ledger."""
        named = (_OF_A_BATCH.fullmatch(item.path.rsplit("/", 1)[1]) for item in self._objects(number))
        return max((int(match[2]) + 1 for match in named if match and int(match[1]) == number), default=0)

    def _objects(self, number: int) -> list[StoredObject]:
        return self.store.objects(self.layout.thousand(number))

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
                    do="Nothing is lost: let that run finish; see that only one run loads a repository at a time",
                    about=self.store.uri(path),
                ) from error
            return written
        return plan

    def finished(self, number: int, batch: int) -> Report | None:
        """Read what a batch of the open plan did; None if it has not finished, or its report does not read.

        Nothing rests on that report yet, so the batch counts as one that did not finish, and its logs are loaded again.
        """
        try:
            return self.report(number, batch)
        except UnreadableObjectError as error:
            logger.warning("%s: %s. Batch %d counts as not finished", error.about, error.found, batch)
            return None

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

    def parts_begun(self, number: int, batch: int) -> tuple[str, ...]:
        """Return the parts that an unfinished batch may have written: those of its intent.

        If that does not read, the parts are found by their names.
        """
        try:
            return self.intent(number, batch)
        except UnreadableObjectError as error:
            logger.warning("%s: %s. The parts of batch %d are looked for by name", error.about, error.found, batch)
            return tuple(parts_named(self.store, self.layout, commit=number, batch=batch))

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

    def replace_intent(self, number: int, batch: int, paths: Iterable[str], *, outcome: str) -> None:
        """Note other parts for a batch that has an intent, since some rows turned out not to be writable."""
        self.store.write(self.layout.intent(number, batch), encode(Intent(VERSION, tuple(sorted(paths)), outcome)))

    def create_commit(self, commit: Commit) -> Commit:
        """Write a commit, or return the one that is there: whoever came first has settled the plan."""
        if self._signer:
            commit = msgspec.structs.replace(commit, signed_by=self._signer.key_id, signature=UNSIGNED)
        content = self._signer.sign(encode(commit)) if self._signer else encode(commit)
        try:
            self.store.create(self.layout.commit(commit.commit), content)
        except ObjectExistsError:
            return self.commit(commit.commit)
        return decode_record(content, Commit, about="") if self._signer else commit

    def seal(self, number: int, repositories: Sequence[str]) -> None:
        """Have a commit noted outside of the lake, and timestamped, if that is set up; what refuses stops nothing.

        :param repositories: all that the lake has.
        """
        unsealed = []
        content = self.store.read(self.layout.commit(number)) if self._note_head or self._stamp else b""
        if self._note_head:
            try:
                sha256 = hashlib.sha256(content).hexdigest()
                self._note_head(self.layout.repository, number, sha256, tuple(repositories))
            except ImpervaError as error:
                unsealed.append(f"its hash is not at the anchor: {error}")
        if self._stamp and not self.store.exists(self.layout.timestamp(number)):
            try:
                timestamp = self._stamp(content)
                with suppress(ObjectExistsError):
                    self.store.create(self.layout.timestamp(number), timestamp)
            except ImpervaError as error:
                unsealed.append(f"it has no timestamp: {error}")
        for why in unsealed:
            logger.error("Commit %d is made, but %s", number, why)
        self.unsealed = tuple(unsealed)

    def sha256(self, number: int) -> str:
        """Return the SHA-256 of a commit's object, which the next one names."""
        return hashlib.sha256(self.store.read(self.layout.commit(number))).hexdigest()

    def _read(self, path: str, kind: type[_Record]) -> _Record:
        record = self._find(path, kind)
        if record is None:
            raise LedgerCorruptError(
                f"the {kind.__name__.lower()} is missing",
                do="Restore it from a backup of the lake, then run again",
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
    :raises LedgerCorruptError: if it is not one, or of a ledger version this provider does not know.
    """
    try:
        # First, since a newer version may hold what this one cannot read.
        version = _VERSIONED.decode(content).v
    except msgspec.DecodeError as error:
        raise _unreadable(kind.__name__.lower(), about) from error
    _check_version(version, about, highest=PACKED_VERSION if kind in (Plan, Commit) else VERSION)
    try:
        packed = kind in (Plan, Commit) and is_packed(content, version)
        record: _Record = decode_packed(content, kind) if packed else _DECODERS[kind].decode(content)
        return record
    except msgspec.DecodeError as error:
        raise _unreadable(kind.__name__.lower(), about) from error


def decode_logs(content: bytes, *, about: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a ``logs.parquet``: a table of ``LOGS_SCHEMA``.

    :param about: its object, for the error's message.
    :param columns: those to read, as far as they are there; all by default. Of objects as small as these, each takes
        longer than to read the object.
    :raises LedgerCorruptError: if it is not one, or of a ledger version this provider does not know.
    """
    try:
        # Several times as fast as read_table for objects as small as these, of which an audit reads thousands.
        table = pq.ParquetFile(pa.BufferReader(content)).read(columns, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable("table of logs", about) from error
    _check_version(int((table.schema.metadata or {}).get(b"imperva.ledger_version", 1)), about)
    return table


def _unreadable(kind: str, about: str) -> LedgerCorruptError:
    return UnreadableObjectError(
        f"the object does not read as a ledger's {kind}",
        do="Restore it from a backup of the lake, then run again",
        about=about,
    )


def _check_version(version: int, about: str, *, highest: int = VERSION) -> None:
    if not 1 <= version <= highest:
        raise LedgerCorruptError(
            f"it is of ledger version {version}, in a form that this provider does not know",
            do="Upgrade the provider to at least the version that last wrote to this lake",
            about=about,
        )


def _highest(paths: Iterable[str], ending: str) -> int:
    numbers = [path.rsplit("/", 1)[1].removesuffix(ending) for path in paths if path.endswith(ending)]
    # What else lies there (as ._000000000042.commit.json does, where a Mac has copied a lake) does not count.
    return max((int(number) for number in numbers if number.isdecimal()), default=0)
