"""One CEF record: a header, and an extension of keys and values."""

from __future__ import annotations

from airflow_provider_imperva.beginnings import ANALYTICS_PRODUCT
from airflow_provider_imperva.events.grammar import keys
from airflow_provider_imperva.events.grammar.extension import read_pairs
from airflow_provider_imperva.events.grammar.headers import CEF, Header, begin_of, read_cef_header
from airflow_provider_imperva.events.grammar.record import RejectionReason, TextRecord, class_of

HEADER_COLUMNS = ("device_vendor", "device_product", "device_version", "signature_id", "event_name", "rule_type_code")


def keys_of(header: Header) -> keys.Keys:
    """Return the keys that a record has, by its header."""
    return keys.ANALYTICS if header.parts[1] == ANALYTICS_PRODUCT else keys.CEF


def read_record(line: str) -> TextRecord | RejectionReason:
    """Read one record, without its line end."""
    start = begin_of(line, CEF)
    if start is None:
        return RejectionReason.NOT_A_RECORD
    header = read_cef_header(line, start.end, len(line))
    if header is None:
        return RejectionReason.BAD_HEADER
    texts = {column: part for column, part in zip(HEADER_COLUMNS, header.parts, strict=True) if part}
    names = keys_of(header)
    analytics = names is keys.ANALYTICS
    record = TextRecord(event_class=class_of(header.parts[1], header.parts[4]), texts=texts)
    start.note(record)
    if analytics and (severity := texts.pop("rule_type_code", None)) is not None:
        # There it is a level (MAJOR), not the number of a rule type.
        record.extra.append(("severity", severity))
    read_pairs(line, header.end, record, names, escaped_quotes=analytics)
    return record
