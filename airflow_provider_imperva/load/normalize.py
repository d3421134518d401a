"""Normalizing: a batch's logs from ``raw/`` to Parquet parts, and the report of what became of each."""

from __future__ import annotations

import hashlib
import io
import logging
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import msgspec

from airflow_provider_imperva import __version__
from airflow_provider_imperva.beginnings import format_at_begin
from airflow_provider_imperva.container.decode import PlainLog, decode
from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.errors import (
    ChecksumError,
    ContainerError,
    ImpervaError,
    LogNotFoundError,
    MissingKeyError,
    NotALogError,
    ObjectExistsError,
    RepositoryError,
    SealedObjectError,
    TooLargeError,
    TruncatedError,
    WrongKeyError,
)
from airflow_provider_imperva.events.grammar.answers import Answer, classify
from airflow_provider_imperva.events.grammar.formats import find_format
from airflow_provider_imperva.events.grammar.record import RejectionReason
from airflow_provider_imperva.events.parse import HEAD_BYTES, parse
from airflow_provider_imperva.events.schema.source import LogSource
from airflow_provider_imperva.lake.arrivals import PREFIX
from airflow_provider_imperva.lake.batch import stop_if_overtaken, write_batch
from airflow_provider_imperva.lake.contents import Contents, CopyPendingError, sha256_of
from airflow_provider_imperva.lake.digest import RowsDigest, digest_of
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.log_source import source_of
from airflow_provider_imperva.lake.memory import memory_kept
from airflow_provider_imperva.lake.parts import BatchParts, UnwritableRowsError, quarantined_log
from airflow_provider_imperva.lake.raw import RawBytes, seal_of
from airflow_provider_imperva.lake.records import (
    VERSION,
    LeftOpen,
    LogRecord,
    OpenCode,
    Part,
    Plan,
    PlannedLog,
    Report,
    open_fields,
)
from airflow_provider_imperva.lake.sealed import Seal
from airflow_provider_imperva.lake.store import StoredObject
from airflow_provider_imperva.lake.watermark import State
from airflow_provider_imperva.load.fetch import Fetched
from airflow_provider_imperva.load.growth import GrownError, begins_with
from airflow_provider_imperva.load.origin import LogOrigin
from airflow_provider_imperva.load.plan import batch_logs
from airflow_provider_imperva.load.restored import stop_if_older_than_events
from airflow_provider_imperva.load.rewrite import kept_as_they_are, replaced_parts
from airflow_provider_imperva.load.siblings import EARLIER, LATER, Siblings
from airflow_provider_imperva.options import DecodePolicy
from airflow_provider_imperva.privacy.protection import Protection
from airflow_provider_imperva.repository.names import LogName

logger = logging.getLogger(__name__)

_ASK_AGAIN = "Ask for the log again while the repository has it"
_REPLAY_IT = "Ask for the log again while the repository has it; if it is a log after all, replay it"
_UNKNOWN_FORMAT = "unknown_format: the body is neither CEF, LEEF, W3C nor JSON; its lines are in quarantine/"
_NEEDS_A_PERSON = (WrongKeyError, TooLargeError)
"""What no other answer of the repository will put right."""

_CLOCKS_DIFFER = timedelta(hours=1)
_COMMITS_LOOKED_AT = 20
_CHUNK_BYTES = 8 * 2**20


@dataclass(frozen=True, slots=True)
class NormalizeOptions:
    """How logs become rows.

    :ivar policy: what a wrong checksum means, and how large a body may get.
    :ivar keep_raw: whether each row carries its line in the column ``raw``.
    :ivar protection: what is redacted, and what has pseudonyms.
    """

    policy: DecodePolicy = field(default_factory=DecodePolicy)
    keep_raw: bool = False
    protection: Protection = field(default_factory=Protection)


@memory_kept()
def normalize(
    ledger: Ledger,
    client: LogOrigin | None,
    keys: KeyRing,
    plan: Plan,
    fetched: Fetched,
    *,
    options: NormalizeOptions = NormalizeOptions(),
    refetch: bool = False,
    on_log: Callable[[], None] = lambda: None,
) -> Report:
    """Turn the logs of a batch into parts, and report.

    Doing it again gives the same parts under the same names; a batch that has reported is left as it is. A batch that
    is a replay says which parts its own take the place of.

    :param client: to fetch once more what does not decode; a replay needs none.
    :param refetch: whether a replay fetches, too.
    :param on_log: called after each log, for a progress bar.
    :raises LedgerConflictError: if the plan was committed without this batch, or another attempt at it came to another
        outcome and has not reported; then nothing is written.
    """
    batch = fetched.batch
    if report := ledger.finished(plan.commit, batch):
        return report
    client = None if batch in plan.originals and not refetch else client
    refused: frozenset[str] = frozenset()
    given_up: set[str] = set()
    bound: str | None = None
    while True:
        with _parts(ledger, plan, batch, options) as parts:
            records, left_open = _read(
                ledger, client, keys, plan, fetched, parts, options=options, on_log=on_log, refused=refused
            )
            # What follows from rows that cannot be written is the same for every attempt.
            bound = bound or _outcome(records, left_open, options)
            try:
                return _settle(ledger, plan, batch, parts, records, left_open, outcome=bound, given_up=given_up)
            except UnwritableRowsError as error:
                if error.logs <= refused:
                    raise
                logger.error("%s", error)
                refused |= error.logs
                given_up.update(parts.paths)


def _parts(ledger: Ledger, plan: Plan, batch: int, options: NormalizeOptions) -> BatchParts:
    protection = options.protection.metadata
    return BatchParts(ledger.store, ledger.layout, commit=plan.commit, batch=batch, protection=protection)


def _settle(
    ledger: Ledger,
    plan: Plan,
    batch: int,
    parts: BatchParts,
    records: list[LogRecord],
    left_open: dict[str, LeftOpen],
    *,
    outcome: str,
    given_up: set[str],
) -> Report:
    """Write what became of a batch; a replay that would make anything worse leaves all as it is."""
    if batch not in plan.originals:
        return _write(ledger, plan, batch, parts, records, left_open, outcome=outcome, given_up=given_up)
    kept = kept_as_they_are(plan, batch, records, left_open)
    stop_if_overtaken(ledger, plan, batch)
    if kept:
        report = Report(VERSION, plan.commit, batch, (), (), **open_fields(kept))
        ledger.write_report(report)
        return report
    removed = replaced_parts(ledger, plan, batch)
    return _write(ledger, plan, batch, parts, records, left_open, outcome=outcome, given_up=given_up, removed=removed)


def _read(
    ledger: Ledger,
    client: LogOrigin | None,
    keys: KeyRing,
    plan: Plan,
    fetched: Fetched,
    parts: BatchParts,
    *,
    options: NormalizeOptions,
    on_log: Callable[[], None],
    refused: Collection[str],
) -> tuple[list[LogRecord], dict[str, LeftOpen]]:
    """Bring the rows of a batch together; return what became of its logs, and which stay open and why."""
    batch = fetched.batch
    absent = _absent(fetched)
    raw = _raw_objects(ledger, plan, batch)
    contents = Contents(ledger, plan.account_group) if plan.account_group else None
    has_headers = cache(partial(_have_headers, ledger))
    records: list[LogRecord] = []
    left_open: dict[str, LeftOpen] = {}
    doubts: Counter[str] = Counter()
    # What is in raw/ is loaded, whatever the fetch says: another attempt may have brought it after all.
    present = [raw[path] for _, name in batch_logs(plan, batch) if (path := ledger.layout.raw(name)) in raw]
    with closing(_open_ahead(ledger.raw, [] if plan.urgent else present)) as opened:
        for log, name in batch_logs(plan, batch):
            raw_key = ledger.layout.raw(name)
            if plan.urgent and raw_key in raw:
                left_open[log.name] = _FETCHED_ONLY
            elif item := raw.get(raw_key):
                fetched_at = log.fetched_at or _came_at(item, log, plan)
                siblings = Siblings.of(ledger, name, plan.prefixes)
                one = _Normalization(
                    ledger,
                    # Under a name of a generation that has ended, the repository has other logs.
                    None if siblings.is_ended else client,
                    keys,
                    parts,
                    options,
                    contents,
                    has_headers,
                    log,
                    name,
                    raw_key,
                    fetched_at,
                    plan.created_at,
                    batch in plan.originals,
                    siblings,
                    refused,
                    doubts,
                )
                file, received = next(opened)
                if isinstance(received, SealedObjectError):
                    logger.error("%s", received)
                    left_open[log.name] = LeftOpen(
                        OpenCode.SEALED, f"its object in raw/ does not read: {received.found}"
                    )
                    on_log()
                    continue
                try:
                    records.append(one.run(file, received))
                except (CopyPendingError, GrownError) as error:
                    logger.info("%s", error)
                    left_open[log.name] = LeftOpen(error.reason, str(error))
                except RepositoryError as error:
                    logger.warning("%s", error)
                    left_open[log.name] = LeftOpen(
                        OpenCode.NOT_FETCHED_AGAIN, "it does not decode, and could not be fetched once more"
                    )
            elif log.name in fetched.expired:
                records.append(
                    _record(
                        log,
                        name,
                        State.EXPIRED,
                        reason="not found (404), and no longer in the index",
                        reason_code="expired",
                    )
                )
            else:
                left_open[log.name] = absent.get(log.name, _NOT_IN_RAW)
            on_log()
    for reason, count in doubts.items():
        if count > 1:
            logger.warning("Batch %d: %d logs do not decode (%s); the first is named above", batch, count, reason)
    return records, left_open


def _came_at(item: StoredObject, log: PlannedLog, plan: Plan) -> datetime:
    """Return when a log came: no store is believed that says it came before it could be asked for."""
    return plan.created_at if item.modified < log.first_listed_at - _CLOCKS_DIFFER else item.modified


def _have_headers(ledger: Ledger, prefix: str) -> bool:
    """Whether the last logs of a prefix that were loaded have a header."""
    for commit in islice(ledger.commits(newest_first=True), _COMMITS_LOOKED_AT):
        logs = ledger.logs(commit.commit).select(["prefix", "state", "checksum"]).to_pylist()
        if loaded := [log for log in logs if log["prefix"] == prefix and log["state"] == State.COMMITTED]:
            return any(log["checksum"] for log in loaded)
    return False


def _open_ahead(
    raw: RawBytes, items: Sequence[StoredObject]
) -> Generator[tuple[BinaryIO, _Received | SealedObjectError], None, None]:
    """Open objects in order, each while the one before is worked on: a store far away is waited for only once.

    A file is open until the next one is asked for. A small object comes in one request. Of an object that does not
    decrypt comes the error, so that the others are loaded.
    """

    def open_one(item: StoredObject) -> tuple[ExitStack, BinaryIO, _Received | SealedObjectError]:
        with ExitStack() as stack:
            try:
                file = stack.enter_context(raw.open(item.path, size=item.size))
                received: _Received | SealedObjectError = _Received.of(file)
            except SealedObjectError as error:
                file, received = io.BytesIO(), error
            return stack.pop_all(), file, received

    with ThreadPoolExecutor(max_workers=1) as ahead:
        opening: Future[tuple[ExitStack, BinaryIO, _Received | SealedObjectError]] | None = None
        for item in (*items, None):
            opened, opening = opening, ahead.submit(open_one, item) if item else None
            if opened:
                stack, file, received = opened.result()
                with stack:
                    yield file, received


_FETCHED_ONLY = LeftOpen(OpenCode.FETCHED_ONLY, "fetched; a later plan loads it, since the headroom is critical")
_NOT_IN_RAW = LeftOpen(OpenCode.NOT_IN_RAW, "its bytes are not in raw/")


def _absent(fetched: Fetched) -> dict[str, LeftOpen]:
    lagging = LeftOpen(OpenCode.LAGGING, "not found (404), but listed minutes ago: this index lags behind another")
    not_yet = dict.fromkeys(fetched.lagging, lagging)
    not_yet |= dict.fromkeys(fetched.not_yet, LeftOpen(OpenCode.NOT_YET, "not found (404), but still in the index"))
    no_answer = LeftOpen(OpenCode.UNAVAILABLE, "the repository gave no whole answer")
    return not_yet | dict.fromkeys(fetched.unavailable, no_answer)


def _raw_objects(ledger: Ledger, plan: Plan, batch: int) -> dict[str, StoredObject]:
    folders = {ledger.layout.raw_folder(name) for _, name in batch_logs(plan, batch)}
    return {item.path: item for folder in folders for item in ledger.store.objects(folder)}


def _write(
    ledger: Ledger,
    plan: Plan,
    batch: int,
    parts: BatchParts,
    records: list[LogRecord],
    left_open: dict[str, LeftOpen],
    *,
    outcome: str,
    given_up: set[str],
    removed: tuple[Part, ...] = (),
) -> Report:
    """Write the parts of a batch, and report.

    :param given_up: parts that were begun before it turned out that some of their rows cannot be written.
    """

    def write() -> Report:
        stop_if_older_than_events(ledger, {path.rpartition("/")[0] for path in parts.paths}, head=plan.commit)
        if given_up:
            ledger.replace_intent(plan.commit, batch, given_up.union(parts.paths), outcome=outcome)
        written = parts.write()
        if given_up:
            ledger.store.delete(given_up.difference(parts.paths))
            ledger.replace_intent(plan.commit, batch, parts.paths, outcome=outcome)
        return Report(
            VERSION,
            plan.commit,
            batch,
            written,
            tuple(records),
            **open_fields(left_open),
            removed=removed,
            **parts.protected(),
        )

    return write_batch(ledger, plan, batch, paths=parts.paths, outcome=outcome, write=write)


def _outcome(records: list[LogRecord], left_open: dict[str, LeftOpen], options: NormalizeOptions) -> str:
    """Return the SHA-256 of all that the rows of a batch follow from, besides the bytes of its logs."""
    # Which bytes were there before those that are loaded is in no row.
    logs = [msgspec.structs.replace(record, replaced_sha256=None) for record in records]
    decided = msgspec.json.encode((__version__, options.keep_raw, options.protection.fingerprint, logs, left_open))
    return hashlib.sha256(decided).hexdigest()


def _place_of(error: Exception) -> str:
    """Return which error it is and where it was raised, without its text, which may hold some of the log's."""
    *_, place = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} in {Path(place.filename).name}:{place.lineno}"


@dataclass(frozen=True, slots=True)
class _Received:
    """A log's bytes as received: how many, and which; and how they are stored, if they are encrypted."""

    size: int
    sha256: str
    seal: Seal | None = field(default=None, compare=False)

    @classmethod
    def of(cls, file: BinaryIO) -> _Received:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        return cls(file.seek(0, io.SEEK_END), sha256, seal_of(file))


class _Trust(Enum):
    """What is loaded although another answer of the repository may be better."""

    NONE = 0
    BUT_CHECKSUM = 1
    """A log whose checksum is wrong."""
    AT_LAST = 2
    """That, a log that ends within a record, and lines of no format: there is no other answer to come."""


@dataclass(frozen=True, slots=True)
class _Normalization:
    """One log on its way from ``raw/`` into the parts of its batch."""

    ledger: Ledger
    client: LogOrigin | None
    keys: KeyRing
    parts: BatchParts
    options: NormalizeOptions
    contents: Contents | None
    has_headers: Callable[[str], bool]
    log: PlannedLog
    name: LogName
    raw_key: str
    fetched_at: datetime
    planned_at: datetime
    is_replay: bool
    siblings: Siblings
    refused: Collection[str]
    """The logs, by ``src_file``, whose rows cannot be written."""
    doubts: Counter[str]
    """How many logs of the batch do not decode, by reason; the task's log has the first of each in full."""

    def run(self, file: BinaryIO, received: _Received) -> LogRecord:
        """Load the log; from other bytes of it if these are doubtful and better ones are to be had.

        :raises RepositoryError: if the repository gave no answer that would tell.
        :raises CopyPendingError: if a log with the same content is being loaded.
        :raises GrownError: if it is a delivered file that has grown, and a part of it is loaded.
        """
        earlier = None if self.is_replay else self.log.may_have_grown_from
        if earlier is None:
            return self._decide(file, received)
        mark = self.parts.mark()
        record = self._decide(file, received)
        if record.state is not State.COMMITTED:
            return record
        if not begins_with(self.ledger, self.name, LogName.parse(earlier)):
            logger.warning("%s came under the path of %s with other bytes, and is loaded beside it", self.name, earlier)
            return record
        self.parts.drop(mark)
        raise GrownError(
            f"it begins with the bytes of {earlier}, which are loaded",
            do="Nothing: the next plan puts its rows in the place of those",
            about=self.log.name,
        )

    def _decide(self, file: BinaryIO, received: _Received) -> LogRecord:
        sibling = self.siblings.with_same_bytes(size=received.size, sha256=received.sha256)
        if sibling and not self.log.loaded:
            return self._is_sibling(received, sibling)
        if later := self.log.may_have_grown_into:
            same = begins_with(self.ledger, LogName.parse(later), self.name)
            if same or (same is None and not self.log.last_try):
                return self._grown(received, later, has_come=same is True)
            # Another file, which took the place of this one, or one that was lost: it will never be finished.
            log = msgspec.structs.replace(self.log, may_have_grown_into=None, last_try=True)
            return replace(self, log=log)._decide(file, received)
        try:
            return self._load(file, received)
        except ContainerError as error:
            self.doubts[error.reason] += 1
            logger.log(logging.WARNING if self.doubts[error.reason] == 1 else logging.DEBUG, "%s", error)
            doubt = error
        record = self._load_beside(received)
        if record is None and self._fetch_again(received):
            record = self._load_beside(received)
        return record or self._settle(file, received, doubt)

    def _grown(self, received: _Received, later: str, *, has_come: bool) -> LogRecord:
        """Keep a delivered log that was seen before it was whole."""
        if has_come:
            reason = f"it is what {later} begins with, which is the same file after it had grown"
            return self._kept(received, State.DUPLICATE, reason=reason, reason_code="grown")
        reason = f"its file is larger by now, and {later}, which that is, has not come yet"
        return self._kept(received, State.DAMAGED, reason=reason, reason_code="grown")

    def _settle(self, file: BinaryIO, received: _Received, doubt: ContainerError) -> LogRecord:
        """Decide on a log of which no better bytes are to be had now."""
        if isinstance(doubt, MissingKeyError):
            return self._kept(
                received,
                State.AWAITING_KEY,
                reason=str(doubt),
                reason_code=doubt.reason,
                public_key_id=doubt.public_key_id,
            )
        alike = {} if self.log.loaded else dict(self.siblings.alike(self.raw_key))
        if sibling := next((other for other, is_same in alike.items() if is_same), None):
            return self._is_sibling(received, sibling)
        may_come = self._may_come(doubt)
        is_checksum_alone = isinstance(doubt, ChecksumError) and not self._may_be_under_way()
        # A wrong checksum may be wrong itself. The policy says whether the log is loaded all the same.
        if None not in alike.values() and (not may_come or (is_checksum_alone and not self.siblings.is_ended)):
            try:
                return self._load(file, received, trust=_Trust.AT_LAST if not may_come else _Trust.BUT_CHECKSUM)
            except ContainerError as error:
                doubt = error
        if may_come:
            logger.warning("%s: what came is in raw/; the log is asked for again while it is listed", self.name)
            return self._kept(received, State.DAMAGED, reason=f"{doubt.reason}: {doubt}", reason_code=doubt.reason)
        return self._quarantine(received, doubt)

    def _may_come(self, doubt: ContainerError) -> bool:
        """Return whether better bytes of the log, or a sibling that it may be, are still to come."""
        waits = self.client is not None or (self.siblings.is_ended and not self.is_replay)
        return waits and not self.log.last_try and not isinstance(doubt, _NEEDS_A_PERSON)

    def _is_sibling(self, received: _Received, sibling: LogName, *, replaced: str | None = None) -> LogRecord:
        """Keep a log that is the same one as a sibling."""
        is_later = sibling > self.name
        reason = (
            f"it is {sibling}: it was still listed when the counter of its prefix began again, and came once more"
            if is_later
            else f"it is {sibling}, which was still listed when the counter of its prefix began again"
        )
        code = LATER if is_later else EARLIER
        return self._kept(received, State.DUPLICATE, reason=reason, reason_code=code, replaced_sha256=replaced)

    def _may_be_under_way(self) -> bool:
        """Return whether a delivered log may be seen before its upload has ended."""
        settled = self.client.settled if self.client else None
        return settled is not None and self.planned_at - self.log.first_listed_at <= settled

    def _load(
        self,
        content: bytes | BinaryIO,
        received: _Received,
        *,
        replaced: str | None = None,
        trust: _Trust = _Trust.NONE,
    ) -> LogRecord:
        """Decode and parse bytes of the log.

        :param replaced: SHA-256 of the bytes whose place these take.
        :param trust: what is loaded although another answer may be better; the policy has to let it.
        :raises ContainerError: the bytes do not decode, or are doubtful.
        """
        plain = self._decode(content)
        self._stop_if_doubtful(plain, trust=trust)
        at_last = trust is _Trust.AT_LAST
        return self._parse(received, plain, replaced=replaced, may_be_cut=at_last or plain.checksum_ok is True)

    def _decode(self, content: bytes | BinaryIO) -> PlainLog:
        return decode(content, log=str(self.name), keys=self.keys, policy=self.options.policy)

    def _stop_if_doubtful(self, plain: PlainLog, *, trust: _Trust = _Trust.NONE) -> None:
        """Refuse what another answer may put right.

        :raises ContainerError: if the checksum is wrong, or this is what some server sent in place of the log.
        """
        if plain.checksum_ok is False and trust is _Trust.NONE:
            raise ChecksumError(
                f"the {plain.size} bytes of the plain body do not have the checksum that the header names",
                do=_ASK_AGAIN,
                about=str(self.name),
            )
        if self.log.loaded:
            return
        head = next(plain.chunks(HEAD_BYTES), b"")
        if head and find_format(head, plain.header.format if plain.header else None) is None:
            if trust is _Trust.AT_LAST:
                return  # its lines go to quarantine, one by one
            raise NotALogError("the body is neither CEF, LEEF, W3C nor JSON", do=_ASK_AGAIN, about=str(self.name))
        in_json = format_at_begin(head) == "JSON" and plain.checksum_ok is not True
        answer = classify(head) if in_json else None
        if answer is Answer.ERROR:
            raise NotALogError("an error in JSON instead of a log", do=_ASK_AGAIN, about=str(self.name))
        if self.is_replay:
            return  # by somebody who has looked at it
        if answer is Answer.UNKNOWN:
            raise NotALogError("JSON that has nothing of an event", do=_REPLAY_IT, about=str(self.name))
        if plain.header is None and not in_json and self.name.prefix != PREFIX and self.has_headers(self.name.prefix):
            raise NotALogError(
                "it lacks the header that other logs of its prefix have", do=_REPLAY_IT, about=str(self.name)
            )

    def _load_beside(self, first: _Received) -> LogRecord | None:
        """Load the log from other bytes of it that were received after the first; None if none of them will do."""
        layout = self.ledger.layout
        for item in self.ledger.store.objects(layout.raw_folder(self.name)):
            if not layout.is_beside(item.path, self.name):
                continue
            with self.ledger.raw.open(item.path) as file:
                other = replace(self, raw_key=item.path, fetched_at=self.log.fetched_at or item.modified)
                received = _Received.of(file)
                sibling = self.siblings.with_same_bytes(size=received.size, sha256=received.sha256)
                if sibling and not self.log.loaded:
                    return other._is_sibling(received, sibling, replaced=first.sha256)
                try:
                    return other._load(file, received, replaced=first.sha256)
                except ContainerError as error:
                    logger.warning("%s", error)
        return None

    def _fetch_again(self, received: _Received) -> bool:
        """Put other bytes of the log beside the first, if the repository has any, and they will do.

        Never in the place of the first: a task that hangs here and wakes up days later would change what the ledger
        has the hash of.

        :raises RepositoryError: if there was no answer that would tell.
        """
        if self.client is None:
            return False
        logger.info("%s is fetched once more", self.name)
        try:
            content = self.client.read_log(self.name)
            other = _Received.of(io.BytesIO(content))
            if other == received:
                return False
            self._stop_if_doubtful(self._decode(content))
        except MissingKeyError:
            # Which of them are whole only the key can tell.
            logger.warning(
                "%s came with other bytes than before; both are kept until its private key is there", self.name
            )
        except (LogNotFoundError, ContainerError) as error:
            logger.warning("%s", error)
            return False
        with suppress(ObjectExistsError):
            self.ledger.raw.create(self.ledger.layout.raw_beside(self.name, other.sha256), content)
        return True

    def _parse(self, received: _Received, plain: PlainLog, *, replaced: str | None, may_be_cut: bool) -> LogRecord:
        """Turn the plain body into rows of the batch.

        :param may_be_cut: load the body although its last record does not end.
        :raises TruncatedError: if it does not, and nothing else is a reason to load it; then the batch has none of its
            rows.
        """
        header = plain.header
        sha256 = None
        if self.contents and plain.size:
            sha256 = sha256_of(plain.chunks())
            # A replay takes no log out that is in the lake.
            if not self.log.loaded and (first := self.contents.copied_from(sha256, self.log.name)):
                return self._kept(
                    received,
                    State.DUPLICATE,
                    reason=f"its content is that of {first}",
                    reason_code="copy",
                    content_sha256=sha256,
                    start_time=header.start_time if header else None,
                    end_time=header.end_time if header else None,
                )
        if self._file in self.refused:
            return self._unforeseen(received, "Parquet refuses its rows", replaced=replaced)
        source = self._source(plain)
        mark = self.parts.mark()
        lines = quarantined = 0
        rows = RowsDigest()
        unknown = None
        blocks = parse(plain.chunks(_CHUNK_BYTES), source, keep_raw=self.options.keep_raw)
        try:
            while parsed := next(blocks, None):
                # Nothing of a log is written anywhere before this, but to raw/.
                clean = self.options.protection.apply(parsed.events, parsed.quarantined)
                self.parts.add(clean.events, clean.quarantined, redacted=clean.counts)
                del clean
                lines += parsed.lines
                rows += digest_of(self._file, parsed.events["src_line"])
                quarantined += parsed.quarantined.num_rows
                if not may_be_cut and RejectionReason.TRUNCATED in parsed.quarantined["reason"].to_pylist():
                    raise TruncatedError("the last record does not end", do=_ASK_AGAIN, about=str(self.name))
                if parsed.format is None:
                    unknown = _UNKNOWN_FORMAT
                # Before the next block is read, not after.
                del parsed
        except TruncatedError:
            self.parts.drop(mark)
            raise
        except (ImpervaError, OSError, MemoryError):
            raise
        except Exception as error:
            # It must not keep its batch from being loaded, run after run.
            self.parts.drop(mark)
            return self._unforeseen(received, _place_of(error), replaced=replaced)
        if not lines and plain.checksum_ok is not True and not self.log.loaded:
            raise TruncatedError(
                "there is no event in it, and no checksum shows that it is whole", do=_ASK_AGAIN, about=str(self.name)
            )
        if unknown:
            logger.error("%s: %s", self.name, unknown)
            self._note_in_quarantine(unknown)
        return self._kept(
            received,
            State.QUARANTINED if unknown else State.COMMITTED,
            reason=unknown,
            reason_code="unknown_format" if unknown else None,
            replaced_sha256=replaced,
            account_id=source.account_id,
            config_id=source.config_id,
            checksum=header.checksum if header else None,
            format=source.format,
            start_time=source.start_time,
            end_time=source.end_time,
            public_key_id=header.public_key_id if header else None,
            encrypted=plain.encrypted,
            compressed=plain.compressed,
            checksum_ok=plain.checksum_ok,
            lines=lines,
            rows=rows.rows,
            rows_digest=str(rows) if rows.rows else None,
            quarantined_lines=quarantined,
            content_sha256=sha256,
        )

    def _unforeseen(self, received: _Received, what: str, *, replaced: str | None) -> LogRecord:
        reason = f"unforeseen_error: {what}; report it, and replay the log once it is mended"
        logger.error("%s: %s. Its bytes stay in raw/.", self.name, reason)
        self._note_in_quarantine(reason)
        return self._kept(
            received, State.QUARANTINED, reason=reason, reason_code="unforeseen_error", replaced_sha256=replaced
        )

    def _source(self, plain: PlainLog) -> LogSource:
        fetched_at = int(self.fetched_at.timestamp() * 1000)
        return source_of(plain, file=self._file, sequence=self.name.sequence, fetched_at=fetched_at)

    @property
    def _file(self) -> str:
        """What people know the log by; its number tells apart what was delivered twice under a name."""
        return self.log.delivered_as or self.log.name

    def _quarantine(self, received: _Received, error: ContainerError) -> LogRecord:
        logger.error("%s Its bytes stay in raw/.", error)
        reason = f"{error.reason}: {error}"
        self._note_in_quarantine(reason)
        return self._kept(received, State.QUARANTINED, reason=reason, reason_code=error.reason)

    def _note_in_quarantine(self, reason: str) -> None:
        self.parts.add_quarantined(quarantined_log(file=self._file, sequence=self.name.sequence, reason=reason))

    def _kept(self, received: _Received, state: State, **fields: object) -> LogRecord:
        return _record(
            self.log,
            self.name,
            state,
            fetched_at=self.fetched_at,
            raw_key=self.raw_key,
            raw_bytes=received.size,
            raw_sha256=received.sha256,
            data_key=seal.month if (seal := received.seal) else None,
            stored_bytes=seal.size if seal else None,
            stored_sha256=seal.sha256 if seal else None,
            **fields,
        )


def _record(log: PlannedLog, name: LogName, state: State, **fields: object) -> LogRecord:
    return LogRecord(
        prefix=name.prefix,
        sequence=name.sequence,
        sequence_to=name.sequence,
        state=state,
        name=log.name,
        first_listed_at=log.first_listed_at,
        late=log.late,
        delivered_as=log.delivered_as,
        **fields,  # type: ignore[arg-type]
    )
