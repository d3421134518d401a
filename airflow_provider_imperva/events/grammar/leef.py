r"""One LEEF record: ``LEEF:version|vendor|product|version|event id|`` and attributes, ``key=value`` with tabs between.

Any version will do. Some exports lose the tabs, so attributes without any are cut at keys as a CEF extension is.
"""

from __future__ import annotations

import re

from airflow_provider_imperva.events.grammar import keys
from airflow_provider_imperva.events.grammar.cef import split_header
from airflow_provider_imperva.events.grammar.extension import cut_at_keys, cut_at_tabs, resolve
from airflow_provider_imperva.events.grammar.record import Record, Rejection, class_of

HEADER_COLUMNS = ("device_vendor", "device_product", "device_version", "event_name")

_START = re.compile(r"[ \t\ufeff]*LEEF: *[0-9][0-9.]*\|")
# LEEF 2.0 may name its delimiter in one more part.
_DELIMITER = re.compile(r"(?:0?x0?9|\\t|\t)?\|")


def read_record(line: str) -> Record | Rejection:
    """Read one record, without its line end."""
    start = _START.match(line)
    if start is None:
        return Rejection.NOT_A_RECORD
    header = split_header(line, start.end(), parts=len(HEADER_COLUMNS))
    # With a bar missing, the first bar of the attributes would end the event id.
    if header is None or "=" in header[0][-1]:
        return Rejection.BAD_HEADER
    parts, begin = header
    if delimiter := _DELIMITER.match(line, begin):
        begin = delimiter.end()
    record = Record(
        event_class=class_of(parts[1], parts[3]),
        texts={column: part for column, part in zip(HEADER_COLUMNS, parts, strict=True) if part},
    )
    attributes = line[begin:]
    cut = cut_at_tabs if "\t" in attributes.strip(" \t") else cut_at_keys
    resolve(cut(attributes, record, keys.LEEF), record, keys.LEEF)
    return record
