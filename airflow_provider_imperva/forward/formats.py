"""Formats: how the records of a table are written as lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
import pyarrow as pa

_ENCODE = msgspec.json.Encoder().encode
_ASIDE = frozenset({"raw", "event_date"})


def as_received(events: pa.Table, exact: Mapping[int, bytes]) -> list[bytes]:
    """Write each record as it was.

    :param exact: the bytes of records that are not UTF-8, by number.
    """
    bodies = [text.encode() for text in events["raw"].to_pylist()]
    if exact:
        numbers = events["src_line"].to_pylist()
        bodies = [exact.get(number, body) for number, body in zip(numbers, bodies, strict=True)]
    return bodies


def json(events: pa.Table, exact: Mapping[int, bytes]) -> list[bytes]:
    """Write each record as a JSON object of the columns of ``events/`` that it has, and ``event_class``.

    Times are RFC 3339; what would be null is left out.
    """
    del exact
    columns = [name for name in events.column_names if name not in _ASIDE]
    columns = [name for name in columns if events[name].null_count < events.num_rows]
    rows = events.select(columns).to_pylist(maps_as_pydicts="lossy")
    return [_ENCODE({name: value for name, value in row.items() if value not in (None, {}, [])}) for row in rows]


WRITERS: dict[str, Callable[[pa.Table, Mapping[int, bytes]], list[bytes]]] = {
    "as_received": as_received,
    "json": json,
}
"""By the name that a destination's options have."""
