"""Formats: how the records of a table are written as lines.

A record that was received in the format asked for goes as it was. Any other is written from its columns, under the keys
that Imperva has for them in that format, and what has no column (``extra``) under its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva.events.derived.complete import complete
from airflow_provider_imperva.events.schema.columns import COLUMNS, HEADER, LABELS, Column
from airflow_provider_imperva.forward.ecs import document

_ENCODE = msgspec.json.Encoder().encode
_ASIDE = frozenset({"raw", "event_date", "client_address_bytes", "request_headers", "response_headers"})
"""Columns that are not sent: others say the same. JSON has no bytes, and a store that indexes fields by name would get
one for each header.
"""

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")

_CEF_COLUMNS = tuple(column for column in COLUMNS if column.cef and not column.cef.startswith(HEADER))
_LEEF_COLUMNS = tuple(column for column in COLUMNS if column.leef and not column.leef.startswith(HEADER))
_CEF_HEADER = ("device_vendor", "device_product", "device_version", "signature_id", "event_name", "rule_type_code")
_LEEF_HEADER = ("device_vendor", "device_product", "device_version", "event_name")
_USUAL = {"device_vendor": "Incapsula", "device_product": "SIEMintegration", "device_version": "1", "signature_id": "1"}
"""What Imperva's own events have in their headers, for formats that have none."""

_RULE_TYPE = "ruleTypeCode"
"""Key for the one column that CEF has in its header, and LEEF nowhere."""


def as_received(events: pa.Table, exact: Mapping[int, bytes]) -> list[bytes]:
    """Write each record as it was.

    Where there are pseudonyms, no line is left: then LEEF is rewritten as LEEF, and all else as CEF.

    :param exact: the bytes of records that are not UTF-8, by number.
    """
    if events["raw"].null_count:
        writers = [_as_leef if name == "LEEF" else _as_cef for name in events["src_format"].to_pylist()]
        rows = _rows(events, times_as_text=False)
        return [write(row).encode() for write, row in zip(writers, rows, strict=True)]
    bodies = [text.encode() for text in events["raw"].to_pylist()]
    if exact:
        numbers = events["src_line"].to_pylist()
        bodies = [exact.get(number, body) for number, body in zip(numbers, bodies, strict=True)]
    return bodies


def cef(events: pa.Table, exact: Mapping[int, bytes]) -> list[bytes]:
    """Write each record as CEF."""
    return _converted(events, exact, "CEF", _as_cef)


def leef(events: pa.Table, exact: Mapping[int, bytes]) -> list[bytes]:
    """Write each record as LEEF 1.0, with tabs between the pairs."""
    return _converted(events, exact, "LEEF", _as_leef)


def json(events: pa.Table, exact: Mapping[int, bytes]) -> list[bytes]:
    """Write each record as a JSON object of the columns of ``events/`` that it has, and ``event_class``.

    Times are RFC 3339; what would be null is left out.
    """
    del exact
    return [_ENCODE(row) for row in _rows(_completed(events))]


def ecs(events: pa.Table, exact: Mapping[int, bytes]) -> list[bytes]:
    """Write each record as a JSON object of the Elastic Common Schema."""
    del exact
    return [_ENCODE(document(row)) for row in _rows(_completed(events))]


def _completed(events: pa.Table) -> pa.Table:
    """Return events with the columns that are derived from others."""
    return complete(events, events["event_class"].combine_chunks())


WRITERS: dict[str, Callable[[pa.Table, Mapping[int, bytes]], list[bytes]]] = {
    "as_received": as_received,
    "cef": cef,
    "leef": leef,
    "json": json,
    "ecs": ecs,
}
"""By the name that a destination's options have."""


def _rows(events: pa.Table, *, times_as_text: bool = True) -> Iterator[dict[str, Any]]:
    """Yield each record as a dict of the columns that it has.

    :param times_as_text: in RFC 3339; else as datetimes.
    """
    names = [name for name in events.column_names if name not in _ASIDE]
    names = [name for name in names if events[name].null_count < events.num_rows]
    columns = [_values(events[name], times_as_text=times_as_text) for name in names]
    for values in zip(*columns, strict=True):
        yield {name: value for name, value in zip(names, values, strict=True) if value is not None}


def _values(column: pa.ChunkedArray, *, times_as_text: bool) -> list[Any]:
    """Return the values of a column, by the array that is quickest to turn into them; empty lists and maps as None."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    elif pa.types.is_timestamp(column.type) and times_as_text:
        column = pc.strftime(column, format="%Y-%m-%dT%H:%M:%SZ")
    values = column.to_pylist(maps_as_pydicts="lossy")
    return [value or None for value in values] if pa.types.is_nested(column.type) else values


def _converted(
    events: pa.Table,
    exact: Mapping[int, bytes],
    wanted: Literal["CEF", "LEEF"],
    write: Callable[[dict[str, Any]], str],
) -> list[bytes]:
    if events["raw"].null_count:
        return [write(row).encode() for row in _rows(events, times_as_text=False)]
    formats = events["src_format"].to_pylist()
    bodies = as_received(events, exact)
    others = [place for place, name in enumerate(formats) if name != wanted]
    if others:
        for place, row in zip(others, _rows(events.take(others), times_as_text=False), strict=True):
            bodies[place] = write(row).encode()
    return bodies


def _as_cef(row: dict[str, Any]) -> str:
    header = "|".join(_header_text(row, name) for name in _CEF_HEADER)
    pairs = _pairs(row, _CEF_COLUMNS, "CEF")
    return f"CEF:0|{header}|" + " ".join(f"{key}={_cef_value(value)}" for key, value in pairs)


def _as_leef(row: dict[str, Any]) -> str:
    header = "|".join(_header_text(row, name) for name in _LEEF_HEADER)
    pairs = list(_pairs(row, _LEEF_COLUMNS, "LEEF"))
    if "rule_type_code" in row:
        pairs.append((_RULE_TYPE, str(row["rule_type_code"])))
    return f"LEEF:1.0|{header}|" + "\t".join(f"{key}={_leef_value(value)}" for key, value in pairs)


def _header_text(row: dict[str, Any], name: str) -> str:
    text = re.sub(r"[\r\n\t]", " ", str(row.get(name, _USUAL.get(name, ""))))
    return text.replace("\\", "\\\\").replace("|", "\\|")


def _pairs(
    row: dict[str, Any], columns: tuple[Column, ...], format_name: Literal["CEF", "LEEF"]
) -> Iterator[tuple[str, str]]:
    for column in columns:
        if column.name in row:
            key = column.key(format_name)
            yield key, _text(row[column.name], column)
            if key in LABELS:
                yield f"{key}Label", LABELS[key]
    for key, value in row.get("extra", {}).items():
        if _KEY.fullmatch(key):
            yield key, value or ""


def _text(value: Any, column: Column) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return str(round(value.timestamp() * 1000))
    if isinstance(value, list):
        # Parallel lists end in a comma, as Imperva has them.
        return "".join(f"{item or ''}," for item in value) if column.kind == "slots" else ", ".join(map(str, value))
    return str(value)


def _cef_value(value: str) -> str:
    return value.replace("\\", "\\\\").replace("=", "\\=").replace("\r", "\\r").replace("\n", "\\n")


def _leef_value(value: str) -> str:
    return _cef_value(value).replace("\t", "\\t")
