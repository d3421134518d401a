"""One LEEF record: a header, and attributes with a delimiter between them.

Any version will do. The delimiter is a tab, or what the header names. Some exports put blanks or bars for the tabs. If
nothing of that cuts a record into attributes, it is not a record (``bad_header``): all of them would be in one column.
"""

from __future__ import annotations

import re
from itertools import pairwise

from airflow_provider_imperva.events.grammar import keys
from airflow_provider_imperva.events.grammar.extension import delimiter_of, read_pairs, spans
from airflow_provider_imperva.events.grammar.headers import LEEF, begin_of, read_leef_header
from airflow_provider_imperva.events.grammar.record import RejectionReason, TextRecord, class_of

_GLUED = re.compile(r"([A-Za-z][A-Za-z0-9]{1,62})=")
HEADER_COLUMNS = ("device_vendor", "device_product", "device_version", "event_name")


def is_delimited(header: str) -> bool:
    """Whether a header names a delimiter that is not a tab."""
    start = begin_of(header, LEEF)
    read = read_leef_header(header, start.end, len(header)) if start else None
    return read is not None and bool(read.named) and {*read.delimiters} != {"\t"}


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
    delimiter = delimiter_of(line, header.end, len(line), keys.LEEF, named=header.delimiters)
    if delimiter is None and (_is_uncut(line, header.end) or (header.named and not header.delimiters)):
        return RejectionReason.BAD_HEADER
    if header.named and not header.delimiters:
        record.warnings.append("unkeyed_text")
        record.extra.append(("unkeyed_text", header.named))
    read_pairs(line, header.end, record, keys.LEEF, delimiter=delimiter)
    return record


def _is_uncut(line: str, begin: int) -> bool:
    """Whether the first value that no client writes holds another known key if blanks separate the pairs."""
    for one, after in pairwise([*spans(line, begin, len(line), keys.LEEF, delimiter=None), None]):
        if one is not None and one.key not in keys.LEEF.free_text:
            glued = _GLUED.finditer(line, one.begin, after.start if after else len(line))
            return any(word[1].lower() in keys.LEEF.known for word in glued)
    return False
