"""What a reader of one format makes of a block, and the careful way there: line by line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from airflow_provider_imperva.events.grammar.fields import Fields
from airflow_provider_imperva.events.grammar.record import Record, Rejection
from airflow_provider_imperva.events.scan.buffers import Mask
from airflow_provider_imperva.events.scan.lines import SCANNED_BYTES, Lines
from airflow_provider_imperva.events.schema.columns import Format

MAX_RECORD_BYTES = 256 << 20
"""A longer record goes to quarantine as ``too_long``: no column could hold its texts."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line that is no event.

    :param number: its 1-based number in the plain body.
    :param reason: why; a code, maybe with more after a colon.
    :param content: its bytes.
    """

    number: int
    reason: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Reading:
    """What a block holds.

    :param fields: its events.
    :param rejected: its lines that are none.
    :param lines: how many events and lines there should be, counted by other means.
    """

    fields: Fields
    rejected: list[Rejected]
    lines: int


def read_lines(
    lines: Lines,
    scan: Callable[[Lines], tuple[Fields, Mask]],
    read_record: Callable[[str], Record | Rejection],
    *,
    odd: Mask | None = None,
    format_name: Format,
    keep_raw: bool,
) -> tuple[Fields, list[Rejected]]:
    """Read lines in two ways: those that a scan takes all at once, the others with care.

    :param scan: gives the fields of the lines it takes, and which those are.
    :param read_record: reads the text of one line.
    :param odd: which lines no scan may see.
    """
    scannable = lines.ends - lines.begins <= MAX_RECORD_BYTES
    if odd is not None:
        scannable &= ~odd
    if len(lines.block) > SCANNED_BYTES or not scannable.any():
        return read_each(lines, read_record, format_name=format_name, keep_raw=keep_raw)
    usual = np.flatnonzero(scannable)
    scanned, taken = scan(lines if len(usual) == len(lines) else lines.take(usual))
    left = np.ones(len(lines), np.bool_)
    left[usual[taken]] = False
    if not left.any():
        return scanned, []
    read, rejected = read_each(lines.take(left), read_record, format_name=format_name, keep_raw=keep_raw)
    return Fields.merge(scanned, read), rejected


def read_each(
    lines: Lines, read_record: Callable[[str], Record | Rejection], *, format_name: Format, keep_raw: bool
) -> tuple[Fields, list[Rejected]]:
    """Read lines one by one; whatever is in them, each becomes a row or is rejected.

    :param read_record: reads the text of one.
    :param keep_raw: whether to keep the texts.
    """
    records: list[Record] = []
    numbers: list[int] = []
    raws: list[str] = []
    rejected: list[Rejected] = []
    for index, number in enumerate(lines.numbers.tolist()):
        content = lines.text(index)
        text, replaced = decoded(content) if len(content) <= MAX_RECORD_BYTES else ("", False)
        record = read_record(text) if len(content) <= MAX_RECORD_BYTES else Rejection.TOO_LONG
        if isinstance(record, Rejection):
            rejected.append(Rejected(number, record.value, content))
            continue
        if b"\n" in content:
            record.warnings.append("joined_lines")
        if replaced:
            record.warnings.append("replaced_bytes")
        records.append(record)
        numbers.append(number)
        raws.append(text)
    return Fields.of(records, format_name=format_name, lines=numbers, raw=raws if keep_raw else None), rejected


def decoded(content: bytes) -> tuple[str, bool]:
    """Decode UTF-8; bytes that are none become U+FFFD, which the second value tells."""
    try:
        return content.decode(), False
    except UnicodeDecodeError:
        return content.decode(errors="replace"), True
