"""The door: the chunks of a plain body in, tables of events and of quarantined lines out.

The body decides its format. A reader of that format yields blocks of texts by column, which become typed tables. What
no reader takes for an event goes to quarantine with its bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import pyarrow as pa

from airflow_provider_imperva.events.grammar.formats import find_format
from airflow_provider_imperva.events.scan.lines import BLOCK_BYTES
from airflow_provider_imperva.events.scan.long_lines import ShortLines
from airflow_provider_imperva.events.schema.columns import Format
from airflow_provider_imperva.events.schema.schema import PARSED_SCHEMA, QUARANTINE_SCHEMA
from airflow_provider_imperva.events.schema.source import LogSource

if TYPE_CHECKING:
    from airflow_provider_imperva.events.bodies.text_block import RejectedLine, TextBlock

HEAD_BYTES = 1 << 20
"""How much of a body is looked at for its format."""

_NONE_QUARANTINED = QUARANTINE_SCHEMA.empty_table()


@dataclass(frozen=True, slots=True)
class ParsedBlock:
    """What one block of a body holds, as typed tables.

    :param events: a table of ``PARSED_SCHEMA``: the schema's columns as they are held in memory, then ``event_class``
        and ``event_date``.
    :param quarantined: a table of ``QUARANTINE_SCHEMA``.
    :param lines: how many events, and lines that are not events, there are, blank lines aside: CEF and LEEF records
        begun and lines before the first; W3C rows without directives; JSON records, and lines from where they cannot be
        read. Counted in the bytes, by other means than reading them, so that ``lines = events + quarantined`` proves
        something. What JSON has beyond the events of earlier blocks is reported by the last.
    :param format: the format of the body; None if it has none of them, and all of it is quarantined.
    """

    events: pa.Table
    quarantined: pa.Table
    lines: int
    format: Format | None


def parse(
    chunks: Iterable[bytes], source: LogSource, *, keep_raw: bool = False, block_bytes: int = BLOCK_BYTES
) -> Iterator[ParsedBlock]:
    """Parse a plain body, one block after the other; nothing in it makes this fail.

    :param chunks: the body's bytes in order, cut anywhere; how they are cut changes no row.
    :param source: where the body came from.
    :param keep_raw: whether to keep each record's text in ``raw``.
    :param block_bytes: how much of the body is read into one table, or somewhat more; it changes no row either.
    :return: at least nothing (an empty body), else one :class:`ParsedBlock` a block.
    """
    # What reads and converts is compiled, which takes a second to import; whoever parses nothing is spared it.
    from airflow_provider_imperva.events.bodies import unknown
    from airflow_provider_imperva.events.bodies.text_block import RejectedLine
    from airflow_provider_imperva.events.typed.dates import LogDates
    from airflow_provider_imperva.events.typed.table import to_table

    remaining = iter(chunks)
    begin = b"".join(_first(remaining))
    head = begin[:HEAD_BYTES]
    format_name = find_format(head, source.format)
    body = ShortLines(chain([begin], remaining))
    dates = LogDates.of(source)
    if format_name:
        text_blocks = _read(body, format_name, source, head=head, keep_raw=keep_raw, block_bytes=block_bytes)
    else:
        text_blocks = unknown.read(body, head=head, block_bytes=block_bytes)
    for text_block in text_blocks:
        parsed = ParsedBlock(
            events=to_table(text_block.columns, source, dates),
            quarantined=_quarantined(text_block.rejected, source),
            lines=text_block.lines,
            format=format_name,
        )
        # Before the next block is read, not after.
        del text_block
        yield parsed
        del parsed
    if body.long:
        yield ParsedBlock(
            events=PARSED_SCHEMA.empty_table(),
            quarantined=_quarantined([RejectedLine.too_long(line.number, line.head) for line in body.long], source),
            lines=len(body.long),
            format=format_name,
        )


def _first(chunks: Iterator[bytes]) -> Iterator[bytes]:
    size = 0
    while size < HEAD_BYTES and (chunk := next(chunks, None)) is not None:
        size += len(chunk)
        yield chunk


def _read(
    body: ShortLines, format_name: Format, source: LogSource, *, head: bytes, keep_raw: bool, block_bytes: int
) -> Iterator[TextBlock]:
    from airflow_provider_imperva.events.bodies import keyed, objects, rows

    match format_name:
        case "CEF" | "LEEF":
            return keyed.read(body, format_name=format_name, keep_raw=keep_raw, block_bytes=block_bytes)
        case "W3C":
            return rows.read(body, head=head, names=source.fields or "", keep_raw=keep_raw, block_bytes=block_bytes)
        case "JSON":
            # One line may hold all records there are: their lengths are bounded one by one.
            return objects.read(body.chunks, keep_raw=keep_raw, block_bytes=block_bytes)


def _quarantined(rejected: list[RejectedLine], source: LogSource) -> pa.Table:
    if not rejected:
        return _NONE_QUARANTINED
    return pa.Table.from_pylist(
        [
            {
                "src_file": source.file,
                "src_seq": source.sequence,
                "src_line": line.number,
                "reason": line.reason,
                "raw": line.content,
                "src_account_id": source.account_id,
                "src_config_id": source.config_id,
                "src_format": source.format,
            }
            for line in rejected
        ],
        schema=QUARANTINE_SCHEMA,
    )
