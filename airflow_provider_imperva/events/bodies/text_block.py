"""What the reader of a format makes of a block, as texts; and the careful way there, line by line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from airflow_provider_imperva.events.grammar.record import RejectionReason, TextRecord
from airflow_provider_imperva.events.grammar.text_columns import TextColumns
from airflow_provider_imperva.events.scan.buffers import Mask
from airflow_provider_imperva.events.scan.lines import SCANNED_BYTES, Lines
from airflow_provider_imperva.events.scan.long_lines import HEAD_BYTES, MAX_LINE_BYTES
from airflow_provider_imperva.events.schema.columns import Format

MAX_RECORD_BYTES = MAX_LINE_BYTES
"""A longer record goes to quarantine as ``too_long``, however many lines it is of."""


@dataclass(frozen=True, slots=True)
class RejectedLine:
    """A line that is not an event.

    :param number: its 1-based number in the plain body.
    :param reason: why; a code, maybe with more after a colon.
    :param content: its bytes.
    """

    number: int
    reason: str
    content: bytes

    @classmethod
    def too_long(cls, number: int, content: bytes) -> RejectedLine:
        """Reject what is too long; only its head is kept."""
        reason = f"{RejectionReason.TOO_LONG.value}: these are its first {HEAD_BYTES} bytes; raw/ has all of it"
        return cls(number, reason, content[:HEAD_BYTES])


@dataclass(frozen=True, slots=True)
class TextBlock:
    """What a block holds, before its texts become values.

    :param columns: texts of its events, by column.
    :param rejected: its lines that are not events.
    :param lines: how many events and lines there should be, counted by other means.
    """

    columns: TextColumns
    rejected: list[RejectedLine]
    lines: int


@dataclass(slots=True)
class LineByLine:
    """Lines that were read one by one.

    :param records: those that are events; ``numbers`` of their lines; ``raws``: their texts.
    :param rejected: those that are not records.
    """

    records: list[TextRecord] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    raws: list[str] = field(default_factory=list)
    rejected: list[RejectedLine] = field(default_factory=list)

    def read(self, lines: Lines, read_record: Callable[[str], TextRecord | RejectionReason]) -> None:
        """Read lines, too; whatever is in them, each becomes a record or is rejected.

        :param read_record: reads the text of one.
        """
        for index, number in enumerate(lines.numbers.tolist()):
            content = lines.text(index)
            if len(content) > MAX_RECORD_BYTES:
                self.rejected.append(RejectedLine.too_long(number, content))
                continue
            text, replaced = decoded(content)
            record = read_record(text)
            if isinstance(record, RejectionReason):
                self.rejected.append(RejectedLine(number, record.value, content))
                continue
            if b"\n" in content:
                record.warnings.append("joined_lines")
            if replaced:
                record.warnings.append("replaced_bytes")
            self.records.append(record)
            self.numbers.append(number)
            self.raws.append(text)

    def add(self, others: LineByLine) -> None:
        """Put others of the same body to these."""
        self.records += others.records
        self.numbers += others.numbers
        self.raws += others.raws
        self.rejected += others.rejected

    def columns(self, *, format_name: Format, keep_raw: bool) -> TextColumns:
        """Give the records as columns, in the order of their lines.

        :param keep_raw: whether to keep the texts.
        """
        order = sorted(range(len(self.numbers)), key=self.numbers.__getitem__)
        return TextColumns.of(
            [self.records[place] for place in order],
            format_name=format_name,
            lines=[self.numbers[place] for place in order],
            raw=[self.raws[place] for place in order] if keep_raw else None,
        )


def read_lines(
    lines: Lines,
    scan: Callable[[Lines], tuple[TextColumns, Mask]],
    read_record: Callable[[str], TextRecord | RejectionReason],
    *,
    irregular: Mask | None = None,
    format_name: Format,
    keep_raw: bool,
) -> tuple[TextColumns, list[RejectedLine]]:
    """Read lines in two ways: those that a scan takes all at once, the others with care.

    :param scan: gives the texts of the lines it takes, and which those are.
    :param read_record: reads the text of one line.
    :param irregular: which lines no scan may see.
    """
    one_by_one = LineByLine()
    scanned = scan_lines(lines, scan, read_record, one_by_one, irregular=irregular)
    if scanned is not None and not one_by_one.numbers:
        return scanned, one_by_one.rejected
    read = one_by_one.columns(format_name=format_name, keep_raw=keep_raw)
    return read if scanned is None else TextColumns.merge(scanned, read), one_by_one.rejected


def scan_lines(
    lines: Lines,
    scan: Callable[[Lines], tuple[TextColumns, Mask]],
    read_record: Callable[[str], TextRecord | RejectionReason],
    one_by_one: LineByLine,
    *,
    irregular: Mask | None = None,
) -> TextColumns | None:
    """Read lines in two ways, as :func:`read_lines` does, and keep what comes of each apart.

    :param one_by_one: is given the lines that no scan takes.
    :return: what the scan gives, if there was one.
    """
    scannable = lines.ends - lines.begins <= MAX_RECORD_BYTES
    if irregular is not None:
        scannable &= ~irregular
    if len(lines.block) > SCANNED_BYTES or not scannable.any():
        one_by_one.read(lines, read_record)
        return None
    usual = np.flatnonzero(scannable)
    scanned, taken = scan(lines if len(usual) == len(lines) else lines.take(usual))
    left = np.ones(len(lines), np.bool_)
    left[usual[taken]] = False
    if left.any():
        one_by_one.read(lines.take(left), read_record)
    return scanned


def read_each(
    lines: Lines, read_record: Callable[[str], TextRecord | RejectionReason], *, format_name: Format, keep_raw: bool
) -> tuple[TextColumns, list[RejectedLine]]:
    """Read lines one by one, and none of them in another way."""
    one_by_one = LineByLine()
    one_by_one.read(lines, read_record)
    return one_by_one.columns(format_name=format_name, keep_raw=keep_raw), one_by_one.rejected


def decoded(content: bytes) -> tuple[str, bool]:
    """Decode UTF-8; bytes that are not UTF-8 become U+FFFD, which the second value says."""
    try:
        return content.decode(), False
    except UnicodeDecodeError:
        return content.decode(errors="replace"), True
