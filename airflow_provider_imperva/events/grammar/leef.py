"""One LEEF record: a header, and attributes with a delimiter between them.

Any version will do. The delimiter is a tab, or what the header names. Some exports put blanks or bars for the tabs.
"""

from __future__ import annotations

from airflow_provider_imperva.events.grammar import keys
from airflow_provider_imperva.events.grammar.extension import delimiter_of, read_pairs
from airflow_provider_imperva.events.grammar.headers import LEEF, begin_of, read_leef_header
from airflow_provider_imperva.events.grammar.record import RejectionReason, TextRecord, class_of

HEADER_COLUMNS = ("device_vendor", "device_product", "device_version", "event_name")


def is_delimited(header: str) -> bool:
    """Whether a header names a delimiter that is no tab."""
    start = begin_of(header, LEEF)
    read = read_leef_header(header, start.end, len(header)) if start else None
    return read is not None and read.delimiter not in (None, "\t")


def read_record(line: str) -> TextRecord | RejectionReason:
    """Read one record, without its line end."""
    start = begin_of(line, LEEF)
    if start is None:
        return RejectionReason.NOT_A_RECORD
    header = read_leef_header(line, start.end, len(line))
    if header is None:
        return RejectionReason.BAD_HEADER
    record = TextRecord(
        event_class=class_of(header.parts[1], header.parts[3]),
        texts={column: part for column, part in zip(HEADER_COLUMNS, header.parts, strict=True) if part},
    )
    start.note(record)
    delimiter = delimiter_of(line, header.end, len(line), keys.LEEF, named=header.delimiter)
    read_pairs(line, header.end, record, keys.LEEF, delimiter=delimiter)
    return record
