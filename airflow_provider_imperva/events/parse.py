"""The door: the chunks of a plain body in, tables of events and of quarantined lines out.

Lines end at LF and nowhere else, since values hold every other character that some call a line end. A line of nothing
but white space is dropped; its number is not given to another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from airflow_provider_imperva.events.cef import read_record
from airflow_provider_imperva.events.fields import Fields
from airflow_provider_imperva.events.record import Record, Rejection
from airflow_provider_imperva.events.schema import QUARANTINE_SCHEMA
from airflow_provider_imperva.events.source import LogSource
from airflow_provider_imperva.events.table import to_table

BLOCK_BYTES = 8 << 20
"""How much is read into one table: enough that whole-array work pays, little enough that memory stays flat."""

MAX_LINE_BYTES = 256 << 20
"""A longer line goes to quarantine as ``too_long``: no column could hold its texts."""

_LINE = re.compile(rb"\n[ \t\r\x0b\x0c]*[^ \t\r\x0b\x0c\n]")


@dataclass(frozen=True, slots=True)
class Parsed:
    """What one block of a body holds.

    :param events: a table of ``PARSED_SCHEMA``: the schema's columns, then ``event_class`` and ``event_date``.
    :param quarantined: a table of ``QUARANTINE_SCHEMA``.
    :param lines: how many lines there are, blank ones aside. Counted in the bytes, by other means than parsing, so
        that ``lines = events + quarantined`` proves something.
    """

    events: pa.Table
    quarantined: pa.Table
    lines: int


def parse(chunks: Iterable[bytes], source: LogSource, *, keep_raw: bool = False) -> Iterator[Parsed]:
    """Parse a plain body, one block after the other; nothing in it makes this fail.

    :param chunks: the body's bytes in order, cut anywhere; how they are cut changes no row.
    :param source: where the body came from.
    :param keep_raw: whether to keep each record's line in ``raw``.
    :return: at least nothing (an empty body), else one :class:`Parsed` a block of ``BLOCK_BYTES`` or some more.
    """
    line_ends = 0
    for block in _blocks(chunks):
        yield _parse_block(block, source, line_ends=line_ends, keep_raw=keep_raw)
        line_ends += block.count(b"\n")


def _blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Gather chunks into blocks of whole lines; only the last may lack its LF."""
    pieces: list[bytes] = []
    size = 0
    for chunk in chunks:
        for begin in range(0, len(chunk), BLOCK_BYTES):
            piece = chunk[begin : begin + BLOCK_BYTES]
            size += len(piece)
            cut = piece.rfind(b"\n") + 1 if size >= BLOCK_BYTES else 0
            if cut:
                yield b"".join([*pieces, piece[:cut]])
                pieces, size = [], len(piece) - cut
                piece = piece[cut:]
            pieces.append(piece)
    if size:
        yield b"".join(pieces)


def _parse_block(block: bytes, source: LogSource, *, line_ends: int, keep_raw: bool) -> Parsed:
    records: list[Record] = []
    numbers: list[int] = []
    raws: list[str] = []
    rejected: list[tuple[int, Rejection, bytes]] = []
    for number, line in enumerate(block.split(b"\n"), line_ends + 1):
        if not line.strip():
            continue
        if len(line) > MAX_LINE_BYTES:
            rejected.append((number, Rejection.TOO_LONG, line))
            continue
        text, replaced = _decode(line.removesuffix(b"\r"))
        record = read_record(text)
        if isinstance(record, Rejection):
            rejected.append((number, record, line))
            continue
        if replaced:
            record.warnings.append("replaced_bytes")
        records.append(record)
        numbers.append(number)
        raws.append(text)
    fields = Fields.of(records, format_name="CEF", lines=numbers, raw=raws if keep_raw else None)
    return Parsed(
        events=to_table(fields, source),
        quarantined=_quarantined(rejected, source),
        lines=len(_LINE.findall(b"\n" + block)),
    )


def _decode(line: bytes) -> tuple[str, bool]:
    """Decode UTF-8; bytes that are none become U+FFFD, which the second value tells."""
    try:
        return line.decode(), False
    except UnicodeDecodeError:
        return line.decode(errors="replace"), True


def _quarantined(rejected: list[tuple[int, Rejection, bytes]], source: LogSource) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "src_file": source.file,
                "src_seq": source.sequence,
                "src_line": number,
                "reason": reason.value,
                "raw": line,
                "src_account_id": source.account_id,
                "src_config_id": source.config_id,
                "src_format": source.format,
            }
            for number, reason, line in rejected
        ],
        schema=QUARANTINE_SCHEMA,
    )
