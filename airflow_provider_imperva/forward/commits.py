"""Which logs of a commit are forwarded, and their records, read again from ``raw/``.

The lines are read as they were for loading, by the same parser: so each has the number that it has in the lake, and
what no parser takes is known. ``events/`` is not read, since its parts are replaced by replays and compaction, and have
neither the lines' order nor their bytes.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva.container.decode import PlainLog, decode
from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.errors import ContainerError, DestroyedKeyError, MissingKeyError, SealedObjectError
from airflow_provider_imperva.events.parse import parse
from airflow_provider_imperva.events.schema.source import LINES_AT_MOST
from airflow_provider_imperva.forward.destination import Replays
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.log_source import source_of
from airflow_provider_imperva.lake.records import Commit, Kind
from airflow_provider_imperva.lake.watermark import State
from airflow_provider_imperva.options import DecodePolicy
from airflow_provider_imperva.privacy.protection import Protection

logger = logging.getLogger(__name__)

_LENIENT = DecodePolicy(encrypted_checksum="warn", clear_checksum="warn")
"""Whether to load the log was decided when it was loaded."""

_BRING_LOGS = (Kind.LOAD, Kind.REPLAY)
_HAVE_LINES = (State.COMMITTED, State.QUARANTINED)
_WHAT_CHANGES = ("state", "raw_sha256", "format", "lines", "rows")
_CHUNK_BYTES = 8 << 20
_BACK = 2000
"""How many commits are looked back for what a log was before its replay."""


@dataclass(frozen=True, slots=True)
class ForwardedLog:
    """A log to forward, as its commit has it.

    :ivar file: what its lines name it in ``src_file``.
    """

    name: str
    file: str
    sequence: int
    raw_key: str
    raw_sha256: str
    fetched_at: int
    lines: int

    @classmethod
    def of(cls, row: dict[str, Any]) -> ForwardedLog:
        """Make one of a row of ``logs.parquet``."""
        return cls(
            name=row["name"],
            file=row["delivered_as"] or row["name"],
            sequence=row["sequence"],
            raw_key=row["raw_key"],
            raw_sha256=row["raw_sha256"],
            fetched_at=int(row["fetched_at"].timestamp() * 1000),
            lines=row["lines"],
        )


class UnreadLogError(Exception):
    """The bytes of a log are not in ``raw/``, or not those that the ledger names."""


class GoneLogError(UnreadLogError):
    """The bytes of a log are not in ``raw/``, or cannot be read for ever; a later commit may say why.

    :ivar by: the commit that destroyed their data key.
    """

    def __init__(self, *, by: int | None = None) -> None:
        super().__init__("its bytes are not in raw/")
        self.by = by


@dataclass(frozen=True, slots=True)
class Block:
    """Some records of a log, in order.

    :ivar events: a table of ``PARSED_SCHEMA``, with ``raw`` where lines are wanted and there are no pseudonyms.
    :ivar quarantined: a table of ``QUARANTINE_SCHEMA``.
    :ivar exact: the bytes of lines that are not UTF-8, by number; ``raw`` has U+FFFD there.
    """

    events: pa.Table
    quarantined: pa.Table
    exact: dict[int, bytes]


def logs_of(ledger: Ledger, commit: Commit, *, replays: Replays) -> list[ForwardedLog]:
    """Return the logs that a commit brought, in order of prefix and sequence.

    What only moves or removes rows brings none. A log that was loaded again counts as ``replays`` says.
    """
    if commit.kind not in _BRING_LOGS:
        return []
    rows = [
        row
        for row in ledger.logs(commit.commit).to_pylist()
        if row["name"] and row["lines"] and row["raw_key"] and row["state"] in _HAVE_LINES
    ]
    if commit.replaced and rows:
        again = _replayed(ledger, commit)
        rows = [row for row in rows if row["name"] not in again or _counts(ledger, commit, row, replays)]
    return [ForwardedLog.of(row) for row in rows]


def _replayed(ledger: Ledger, commit: Commit) -> set[str]:
    reports = (ledger.report(commit.commit, batch) for batch in commit.replaced)
    return {log.name for report in reports if report for log in report.logs if log.name}


def _counts(ledger: Ledger, commit: Commit, row: dict[str, Any], replays: Replays) -> bool:
    if replays != "changed":
        return replays == "all"
    for number in range(commit.commit - 1, max(0, commit.commit - 1 - _BACK), -1):
        logs = ledger.logs(number)
        before = logs.filter(pc.equal(logs["name"], row["name"])).to_pylist()
        if before:
            return any(before[0][name] != row[name] for name in _WHAT_CHANGES)
    return True


def read_log(
    ledger: Ledger, log: ForwardedLog, keys: KeyRing, *, lines: bool = True, protection: Protection | None = None
) -> Iterator[Block]:
    """Read the records of a log.

    :param lines: whether the lines are wanted, and not the columns alone.
    :param protection: what is done to them first, as it is to rows before they are written to the lake.
    :raises MissingKeyError: if the key that it was encrypted for is not at hand.
    :raises GoneLogError: if its bytes are not there.
    :raises UnreadLogError: if they are others than the ledger names, or no longer decode.
    """
    with ExitStack() as stack:
        try:
            file = stack.enter_context(ledger.raw.open(log.raw_key))
            # Some stores notice only now that there is no such object.
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        except FileNotFoundError:
            raise GoneLogError from None
        except DestroyedKeyError as error:
            raise GoneLogError(by=error.commit) from None
        except SealedObjectError as error:
            raise UnreadLogError(f"its bytes in raw/ do not read: {error.found}") from None
        if sha256 != log.raw_sha256:
            raise UnreadLogError("its bytes in raw/ are not those that the ledger names")
        yield from _read(file, log, keys, lines, protection)


def _read(
    file: BinaryIO, log: ForwardedLog, keys: KeyRing, lines: bool, protection: Protection | None
) -> Iterator[Block]:
    try:
        plain = decode(file, log=log.name, keys=keys, policy=_LENIENT)
    except MissingKeyError:
        raise
    except ContainerError as error:
        raise UnreadLogError(f"it does not decode any more ({error.reason})") from None
    source = source_of(plain, file=log.file, sequence=log.sequence, fetched_at=log.fetched_at)
    blocks = parse(plain.chunks(_CHUNK_BYTES), source, keep_raw=lines)
    while parsed := next(blocks, None):
        events, quarantined = _in_order(parsed.events), parsed.quarantined
        del parsed
        block = Block(events, quarantined, _exact(plain, events) if lines else {})
        del events, quarantined
        yield _protected(block, protection) if protection else block
        del block


def _protected(block: Block, protection: Protection) -> Block:
    """Take secrets out, and put pseudonyms in. A line that changes is sent as text: its exact bytes have what was."""
    protected = protection.apply(block.events, block.quarantined)
    if not block.exact:
        return Block(protected.events, protected.quarantined, {})
    numbers, before, after = (
        column.to_pylist() for column in (block.events["src_line"], block.events["raw"], protected.events["raw"])
    )
    changed = {number for number, was, now in zip(numbers, before, after, strict=True) if was != now}
    exact = {number: content for number, content in block.exact.items() if number not in changed}
    return Block(protected.events, protected.quarantined, exact)


def _in_order(events: pa.Table) -> pa.Table:
    """Bring records into the order in which they stand in the log; further ones of a line have higher numbers."""
    lines = events["src_line"].to_numpy()
    place = lines % LINES_AT_MOST
    if (np.diff(place) > 0).all():
        return events
    return events.take(np.lexsort((lines, place)))


def _exact(plain: PlainLog, events: pa.Table) -> dict[int, bytes]:
    """Find the bytes of records whose text has U+FFFD in the place of bytes that are not UTF-8.

    Where several records share a line there is no telling, and the text is sent.
    """
    warnings = events["parse_warnings"]
    if warnings.null_count == len(warnings):
        return {}
    wanted: dict[int, str] = {}
    for number, text, codes in zip(
        events["src_line"].to_pylist(), events["raw"].to_pylist(), warnings.to_pylist(), strict=True
    ):
        if codes and "replaced_bytes" in codes and number < LINES_AT_MOST:
            wanted[number] = text
    if not wanted:
        return {}
    last = max(number + text.count("\n") for number, text in wanted.items())
    first = min(wanted)
    stretch = _lines(plain, first, last)
    contents = {}
    for number, text in wanted.items():
        begin = number - first
        content = b"\n".join(stretch[begin : begin + text.count("\n") + 1]).rstrip(b"\r")
        if content.decode(errors="replace") == text:
            contents[number] = content
    return contents


def _lines(plain: PlainLog, first: int, last: int) -> list[bytes]:
    """Read some lines of a body, by their numbers, both included."""
    lines: list[bytes] = []
    number, begun = 1, b""
    for chunk in plain.chunks():
        pieces = chunk.split(b"\n")
        pieces[0] = begun + pieces[0]
        begun = pieces.pop()
        lines += [piece for place, piece in enumerate(pieces, number) if first <= place <= last]
        number += len(pieces)
        if number > last:
            return lines
    return [*lines, begun]
