"""Erasure on request: a person's rows leave the lake, and so does every byte that names them.

Rows of the person leave ``events/`` and ``quarantine/``; in rows of others that mention them, the value becomes
``ERASED``. The parts concerned are rewritten under the number of the erasure's own commit. Bytes in ``raw/`` cannot
be edited, since their SHA-256 is what the ledger vouches for: the bytes of each log that names the person leave as a
whole. The ledger says how much left, who asked, why, and the reference; never the value.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_imperva import __version__
from airflow_provider_imperva.audit.inventory import walk
from airflow_provider_imperva.clock import Clock, wall_clock
from airflow_provider_imperva.container.decode import decode
from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.errors import (
    ConfigurationError,
    ContainerError,
    DataKeyError,
    DestroyedKeyError,
    HoldError,
    LakeError,
    SealedObjectError,
)
from airflow_provider_imperva.events.schema.schema import HELD_SCHEMA
from airflow_provider_imperva.lake.batch import write_batch
from airflow_provider_imperva.lake.commit import commit_plan
from airflow_provider_imperva.lake.digest import RowsDigest, digests_of
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.live import live_set
from airflow_provider_imperva.lake.maintenance import TAKES_OUT, days_of_log, plan_maintenance
from airflow_provider_imperva.lake.parts import parquet_writer
from airflow_provider_imperva.lake.records import (
    VERSION,
    Commit,
    Hold,
    Kind,
    Part,
    Purpose,
    RawObject,
    Report,
    Run,
    Taken,
)
from airflow_provider_imperva.lake.store import StoredObject
from airflow_provider_imperva.options import DecodePolicy
from airflow_provider_imperva.repository.names import LogName
from airflow_provider_imperva.retention.expire import raw_objects
from airflow_provider_imperva.retention.idle import idle_head, last_commit, stop_if_overtaken
from airflow_provider_imperva.retention.logs import OPEN, LastLogs, LogKey, TakenLogs, key_of
from airflow_provider_imperva.retention.reports import findings_about, traffic_page
from airflow_provider_imperva.retention.search import find_in_rows, is_in_bytes, text_columns, without
from airflow_provider_imperva.retention.subject import Subject
from airflow_provider_imperva.table.settle import settle

logger = logging.getLogger(__name__)

_READERS = 4
_CHUNK_BYTES = 8 << 20
_LENIENT = DecodePolicy(encrypted_checksum="warn", clear_checksum="warn")
_SEPARATOR = b"|==|\n"
_NAMED = 20
_RECURRING = [field.name for field in HELD_SCHEMA if pa.types.is_dictionary(field.type)]
_PLACE = ["src_file", "src_seq", "src_line"]


@dataclass(slots=True)
class Trace:
    """Where a person is in a lake.

    :ivar parts: those with rows of the person, or that mention them, and how many rows leave each.
    :ivar rows: how many rows leave ``events/``; ``mentions`` in how many others the value is blanked.
    :ivar quarantined_rows: how many rows leave ``quarantine/``.
    :ivar logs: the last row of ``logs.parquet`` about each log that names the person.
    :ivar raw: the objects in ``raw/`` that hold the bytes of these logs.
    :ivar findings: objects with what detections found, some of it about the person.
    :ivar waiting: parts that left the lake before, name the person, and are deleted once their grace is over.
    :ivar open_logs: logs that name the person and are not loaded yet.
    :ivar unread: logs whose bytes could not be looked into, and none of whose rows name the person.
    """

    parts: dict[Part, int] = field(default_factory=dict)
    rows: int = 0
    mentions: int = 0
    quarantined_rows: int = 0
    logs: dict[LogKey, Mapping[str, Any]] = field(default_factory=dict)
    raw: dict[LogKey, list[RawObject]] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    waiting: list[Part] = field(default_factory=list)
    open_logs: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """How much there is, for people and XCom."""
        return {
            "rows": self.rows,
            "blanked_rows": self.mentions,
            "quarantined_rows": self.quarantined_rows,
            "parts": len(self.parts),
            "logs": len(self.logs),
            "raw_objects": sum(map(len, self.raw.values())),
            "findings": len(self.findings),
            "waiting_parts": len(self.waiting),
            "open_logs": len(self.open_logs),
            "unread_logs": len(self.unread),
        }

    def warnings(self) -> Iterator[str]:
        """Describe what may be left of the person in the lake."""
        for names, why in (
            (self.open_logs, "name the person and are not loaded yet: erase again once they are"),
            (self.unread, "could not be looked into: erase with the private keys, and the key of raw/, that they need"),
        ):
            if names:
                shown = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
                yield f"{len(names)} logs {why} ({shown})"


@dataclass(frozen=True, slots=True)
class Erasure:
    """What an erasure did, or would do.

    :ivar commit: that says so; None if the person was not found, or this was a dry run.
    """

    trace: Trace
    commit: Commit | None = None


@dataclass(slots=True)
class _PartMatches:
    """What a part has of a person."""

    rows: int = 0
    mentions: int = 0
    keys: set[LogKey] = field(default_factory=set)


def erase(
    ledger: Ledger,
    subject: Subject,
    *,
    keys: KeyRing,
    by: str,
    why: str,
    reference: str,
    run: Run,
    dry_run: bool = False,
    take_over: bool = False,
    max_wait: timedelta = timedelta(),
    clock: Clock = wall_clock,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Erasure:
    """Erase a person from a repository.

    Killed anywhere, it leaves the lake as it was, or as its commit says; run again, it does the rest.

    :param keys: private keys, to look into the bytes of encrypted logs.
    :param by: who asks for it; ``why``, and the ``reference`` of the request. None of them may hold the value.
    :param run: who does it.
    :param dry_run: only find out what would leave.
    :param take_over, max_wait: as of :func:`~airflow_provider_imperva.retention.idle.idle_head`.
    :raises ConfigurationError: if a text is missing or holds the value.
    :raises HoldError: if a hold covers anything that would leave; nothing was written.
    :raises LedgerConflictError: if another run is at work, or took over; nothing has left.
    :raises ImpervaError: if the table cannot show what was committed; the next run publishes it.
    """
    _check_texts(subject, by=by, why=why, reference=reference)
    if dry_run:
        last = last_commit(ledger)
    else:
        last = idle_head(ledger, run=run, take_over=take_over, max_wait=max_wait, clock=clock)
    logs = LastLogs(ledger, last.commit)
    trace = find(ledger, subject, logs, keys=keys, progress=progress)
    _stop_if_held(last.holds, trace)
    if dry_run:
        return Erasure(trace)
    if trace.parts or trace.raw or trace.findings:
        # Before the commit: after it, nothing would tell the next run that they are still there.
        ledger.store.delete([*trace.findings, *traffic_page(ledger)])
    if not (trace.parts or trace.raw):
        return Erasure(trace)
    at = clock()
    plan = plan_maintenance(
        ledger,
        last,
        kind=Kind.ERASE,
        run=run,
        provider_version=__version__,
        at=at,
        inputs={0: tuple(trace.parts)},
        purpose=Purpose(by=by, why=why, reference=reference),
    )
    rewriting = _Rewriting(ledger, plan.commit, subject, trace, logs, progress)
    write_batch(ledger, plan, 0, paths=rewriting.paths, outcome=rewriting.outcome, write=rewriting.run)
    commit = commit_plan(ledger, plan, by=run, provider_version=__version__, at=clock())
    stop_if_overtaken(ledger, commit)
    if problem := settle(ledger, commit, run=run, clock=clock):
        raise problem
    return Erasure(trace, commit)


def _check_texts(subject: Subject, **texts: str) -> None:
    for name, text in texts.items():
        if not text.strip():
            raise ConfigurationError(f"{name} is empty", do="Say it: the ledger keeps it for auditors", about="erasure")
        if any(needle.pattern.search(text) for needle in subject.needles):
            raise ConfigurationError(
                f"{name} holds the value that is to be erased, and the ledger would keep it for ever",
                do="Write it without the value",
                about="erasure",
            )


def _stop_if_held(holds: Iterable[Hold], trace: Trace) -> None:
    """See that no hold covers anything that would leave."""
    spans = [days_of_log(row) for row in trace.logs.values()]
    for hold in holds:
        days = [part.event_date for part in (*trace.parts, *trace.waiting) if part.event_date]
        if any(map(hold.covers, days)) or any(hold.covers(*span) for span in spans):
            raise HoldError(
                f"hold {hold.reference} of {hold.by} covers some of what would be erased ({hold.scope})",
                do="Nothing was written. Ask who set the hold; once it is lifted, erase again",
                about="erasure",
            )


def find(
    ledger: Ledger,
    subject: Subject,
    logs: LastLogs,
    *,
    keys: KeyRing,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Trace:
    """Look for a person in every live part and in every object in ``raw/``; nothing is written."""
    trace = Trace()
    named: set[LogKey] = set()
    parts = [part for part, _ in live_set(ledger).parts.values()]
    with ThreadPoolExecutor(_READERS) as pool:
        for done, (part, seen) in enumerate(
            zip(parts, pool.map(lambda part: _find_in_part(ledger, part, subject), parts), strict=True), 1
        ):
            progress("Looking into parts", done, len(parts))
            if seen.keys:
                trace.parts[part] = seen.rows
                named |= seen.keys
                if part.event_class:
                    trace.rows += seen.rows
                    trace.mentions += seen.mentions
                else:
                    trace.quarantined_rows += seen.rows
    trace.waiting = [part for part in _waiting(ledger) if _find_in_part(ledger, part, subject).keys]
    trace.findings = findings_about(ledger, subject)
    in_raw, unread = _find_in_raw(ledger, subject, keys, progress)
    rows = logs.rows(named)
    if missing := named - rows.keys():
        raise LakeError(
            f"parts have rows of {len(missing)} logs that no commit names",
            do="Run imperva-logs verify, which names what is wrong; nothing was changed",
            about=ledger.store.uri(ledger.layout.ledger),
        )
    of_number = {(row["prefix"], row["sequence"]): row for row in logs.table.select(_WHERE).to_pylist()}
    named |= {key_of(row) for name in in_raw if (row := of_number.get((name.prefix, name.sequence)))}
    trace.logs = {key: row for key, row in logs.rows(named).items() if row["state"] not in OPEN}
    named_names = {row["name"] for row in trace.logs.values()}
    trace.open_logs = sorted(str(name) for name in in_raw if str(name) not in named_names)
    trace.unread = sorted(str(name) for name in unread - in_raw if str(name) not in named_names)
    there = {key: row for key, row in trace.logs.items() if row["raw_key"] and not row["raw_removed"]}
    trace.raw = raw_objects(ledger, there, gone=())
    return trace


def _waiting(ledger: Ledger) -> Iterator[Part]:
    """Yield the parts that expiry or an earlier erasure took out, and that are still there."""
    for removal in last_commit(ledger).unretired:
        commit = ledger.commit(removal.commit)
        if commit.kind in TAKES_OUT:
            yield from (part for part in commit.removed if ledger.store.exists(part.path))


_WHERE = ["name", "prefix", "sequence", "delivered_as"]


def _find_in_part(ledger: Ledger, part: Part, subject: Subject) -> _PartMatches:
    """Look for a person in a part."""
    seen = _PartMatches()
    with _whole(ledger, part) as file:
        schema = pq.ParquetFile(file).schema_arrow
        parquet = pq.ParquetFile(file, read_dictionary=[name for name in _RECURRING if name in schema.names])
        columns = [*text_columns(schema), *_PLACE]
        for group in range(parquet.num_row_groups):
            rows = parquet.read_row_group(group, columns=columns, use_threads=False)
            matches = find_in_rows(rows, subject)
            leaves = matches.own if part.event_class else matches.own | matches.mentioning
            touched = rows.filter(pa.array(matches.own | matches.mentioning)).select(_PLACE)
            seen.rows += int(leaves.sum())
            seen.mentions += int(matches.mentioning.sum()) if part.event_class else 0
            seen.keys |= set(zip(touched["src_file"].to_pylist(), touched["src_seq"].to_pylist(), strict=True))
    return seen


def _whole(ledger: Ledger, part: Part) -> BinaryIO:
    """Copy a part to a temporary file, and see that it is as its commit says: what was edited is never vouched for.

    :raises LakeError: if it is not, or not there.
    """
    copy = tempfile.TemporaryFile()  # noqa: SIM115
    try:
        with ledger.store.reader(part.path) as file:
            shutil.copyfileobj(file, copy, _CHUNK_BYTES)
        copy.seek(0)
        sha256 = hashlib.file_digest(copy, "sha256").hexdigest()
    except FileNotFoundError:
        sha256 = "missing"
    if sha256 != part.sha256:
        copy.close()
        raise LakeError(
            "a part is missing, or is not as its commit says",
            do="Run imperva-logs verify, and put right what it names; nothing was changed",
            about=ledger.store.uri(part.path),
        )
    copy.seek(0)
    return copy


def _find_in_raw(
    ledger: Ledger, subject: Subject, keys: KeyRing, progress: Callable[[str, int, int], None]
) -> tuple[set[LogName], set[LogName]]:
    """Return the logs whose bytes name a person, and those whose bytes could not be looked into."""
    items = list(walk(ledger.store, ledger.layout.raw_root))
    names: set[LogName] = set()
    unread: set[LogName] = set()
    with ThreadPoolExecutor(_READERS) as pool:
        matches = pool.map(lambda item: _names_person(ledger, item, subject, keys), items)
        for done, (item, mentions) in enumerate(zip(items, matches, strict=True), 1):
            progress("Looking into raw/", done, len(items))
            if (name := _log_of(item.path)) is not None and mentions is not False:
                (unread if mentions is None else names).add(name)
    return names, unread


def _log_of(path: str) -> LogName | None:
    """Return the log whose bytes an object in ``raw/`` holds; None for what is not a log of ours."""
    name = path.rsplit("/", 1)[-1]
    for text in (name, name.rpartition(".")[0]):
        try:
            return LogName.parse(text)
        except ValueError:
            continue
    return None


def _names_person(ledger: Ledger, item: StoredObject, subject: Subject, keys: KeyRing) -> bool | None:
    """Return whether the bytes of a log name a person; None if they cannot be read."""
    try:
        with ledger.raw.open(item.path) as file:
            if is_in_bytes(iter(lambda: file.read(_CHUNK_BYTES), b""), subject):
                return True
            file.seek(0)
            try:
                plain = decode(file, log=item.path.rsplit("/", 1)[-1], keys=keys, policy=_LENIENT)
                return is_in_bytes(plain.chunks(_CHUNK_BYTES), subject)
            except ContainerError:
                file.seek(0)
                return True if is_in_bytes(_as_far_as_it_inflates(file.read()), subject) else None
    except (FileNotFoundError, DestroyedKeyError):
        return False  # deleted meanwhile, or its data key is destroyed
    except (DataKeyError, SealedObjectError):
        return None


def _as_far_as_it_inflates(content: bytes) -> Iterator[bytes]:
    """Yield what the beginning of a damaged log holds."""
    _, separator, body = content.partition(_SEPARATOR)
    inflating = zlib.decompressobj()
    try:
        while body and separator and (plain := inflating.decompress(body, _CHUNK_BYTES)):
            yield plain
            body = inflating.unconsumed_tail
    except zlib.error:
        return


def _sorted_by(parquet: pq.ParquetFile) -> list[str]:
    """Name the columns that the footer of a part says it is sorted by."""
    declared = parquet.metadata.row_group(0).sorting_columns if parquet.num_row_groups else ()
    return [parquet.schema.column(column.column_index).path for column in declared]


@dataclass(slots=True)
class _Rewriting:
    """Rewrites what is left of parts, and reports."""

    ledger: Ledger
    commit: int
    subject: Subject
    trace: Trace
    logs: LastLogs
    progress: Callable[[str, int, int], None]

    @property
    def paths(self) -> list[str]:
        """The parts that will be written: those that are left with any row."""
        return [path for part, path in zip(self.trace.parts, self._names(), strict=True) if self._left(part)]

    @property
    def outcome(self) -> str:
        """SHA-256 of what the new parts follow from."""
        lines = [f"{part.sha256} {leaving}" for part, leaving in self.trace.parts.items()]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def _left(self, part: Part) -> int:
        return part.rows - self.trace.parts[part]

    def _names(self) -> Iterator[str]:
        layout = self.ledger.layout
        for piece, part in enumerate(self.trace.parts):
            if part.event_class and part.event_date:
                yield layout.part(
                    commit=self.commit, batch=0, event_class=part.event_class, event_date=part.event_date, piece=piece
                )
            else:
                yield layout.quarantine(commit=self.commit, batch=0, piece=piece)

    def run(self) -> Report:
        """Write the parts and return the report."""
        taken = TakenLogs(self.logs, "erased", about=self.ledger.store.uri(self.ledger.layout.ledger))
        taken.know(self.trace.logs)
        written: list[Part] = []
        for done, (part, path) in enumerate(zip(self.trace.parts, self._names(), strict=True)):
            self.progress("Rewriting parts", done, len(self.trace.parts))
            if new := self._rewrite(part, path, taken):
                written.append(new)
        taken.take_raw(self.trace.raw)
        return Report(
            VERSION,
            self.commit,
            0,
            tuple(written),
            (),
            removed=tuple(self.trace.parts),
            carried_rows=sum(part.rows for part in written if part.event_class),
            taken=Taken(
                rows=self.trace.rows,
                quarantined_rows=self.trace.quarantined_rows,
                carried_quarantined=sum(part.rows for part in written if not part.event_class),
                logs=taken.records,
                raw=tuple(item for objects in self.trace.raw.values() for item in objects),
            ),
        )

    def _rewrite(self, part: Part, path: str, taken: TakenLogs) -> Part | None:
        """Write what is left of a part, a row group at a time; None if nothing is."""
        with _whole(self.ledger, part) as file, tempfile.TemporaryFile() as new:
            parquet = pq.ParquetFile(file)
            rows = 0
            with parquet_writer(new, parquet.schema_arrow, sorted_by=_sorted_by(parquet)) as writer:
                for group in range(parquet.num_row_groups):
                    left = self._take(parquet.read_row_group(group, use_threads=False), part, taken)
                    if left.num_rows:
                        writer.write_table(left, row_group_size=left.num_rows)
                        rows += left.num_rows
            if not rows:
                return None
            size = new.tell()
            new.seek(0)
            sha256 = hashlib.file_digest(new, "sha256").hexdigest()
            new.seek(0)
            with self.ledger.store.writer(path) as target:
                shutil.copyfileobj(new, target, _CHUNK_BYTES)
        return Part(path, rows, size, sha256, part.event_class, part.event_date)

    def _take(self, rows: pa.Table, part: Part, taken: TakenLogs) -> pa.Table:
        """Return what is left of rows, and account for the others."""
        matches = find_in_rows(rows, self.subject)
        if not part.event_class:
            matches.own |= matches.mentioning
        gone = rows.filter(pa.array(matches.own)).select(_PLACE)
        if part.event_class:
            digests: dict[LogKey, RowsDigest] = digests_of(gone)
            taken.take_rows(digests)
        else:
            lines = Counter(
                (row["src_file"], row["src_seq"]) for row in gone.to_pylist() if row["src_line"] is not None
            )
            notes = [(row["src_file"], row["src_seq"]) for row in gone.to_pylist() if row["src_line"] is None]
            taken.take_quarantined(lines, notes)
        return without(rows, matches, self.subject)
