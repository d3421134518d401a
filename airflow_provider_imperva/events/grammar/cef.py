r"""One CEF record: ``CEF:0|vendor|product|version|signature id|name|severity|`` and an extension of keys and values.

Some exports lose the ``CEF:``. Bars and backslashes in header parts have a backslash before them.
"""

from __future__ import annotations

import re

from airflow_provider_imperva.events.grammar import keys
from airflow_provider_imperva.events.grammar.extension import cut_at_keys, resolve
from airflow_provider_imperva.events.grammar.record import ANALYTICS_PRODUCT, Record, Rejection, class_of

HEADER_COLUMNS = ("device_vendor", "device_product", "device_version", "signature_id", "event_name", "rule_type_code")

_START = re.compile(r"[ \t\ufeff]*(?:CEF: *[0-9]+|0(?=\|(?:Incapsula|Imperva Inc)\|))\|")
_BAR = re.compile(r"\\.|\|", re.DOTALL)
_HEADER_ESCAPE = re.compile(r"\\([\\|])")


def read_record(line: str) -> Record | Rejection:
    """Read one record, without its line end."""
    start = _START.match(line)
    if start is None:
        return Rejection.NOT_A_RECORD
    header = split_header(line, start.end(), parts=len(HEADER_COLUMNS))
    # With a bar missing, the first bar of the extension would end the severity.
    if header is None or "=" in header[0][-1]:
        return Rejection.BAD_HEADER
    parts, extension = header
    texts = {column: part for column, part in zip(HEADER_COLUMNS, parts, strict=True) if part}
    analytics = parts[1] == ANALYTICS_PRODUCT
    record = Record(event_class=class_of(parts[1], parts[4]), texts=texts)
    if analytics and (severity := texts.pop("rule_type_code", None)) is not None:
        # There it is a level (MAJOR), not the number of a rule type.
        record.extra.append(("severity", severity))
    names = keys.ANALYTICS if analytics else keys.CEF
    pairs = cut_at_keys(line[extension:], record, names, escaped_quotes=analytics)
    resolve(pairs, record, names)
    return record


def split_header(line: str, begin: int, *, parts: int) -> tuple[list[str], int] | None:
    """Cut off header parts, unescaped and trimmed, each with a bar behind it; None if there are fewer.

    :return: the parts, and where the rest begins.
    """
    found: list[str] = []
    for bar in _BAR.finditer(line, begin):
        if bar[0] != "|":
            continue
        found.append(_HEADER_ESCAPE.sub(r"\1", line[begin : bar.start()]).strip(" \t"))
        begin = bar.end()
        if len(found) == parts:
            return found, begin
    return None
