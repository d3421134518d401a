"""Field ids: the numbers by which Iceberg, and whoever reads a part as Iceberg does, finds a column.

A number means the same column for ever, in each part and each table. Source: Apache Iceberg Table Spec, "Schemas" and
"Appendix A: Parquet".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType

import pyarrow as pa

from airflow_provider_imperva.events.schema.schema import SCHEMA

PARTITION_IDS = MappingProxyType({"repository": 1, "event_class": 2, "event_date": 3})
"""Of the columns that are in the path only."""

_KEY = b"PARQUET:field_id"
"""Where Arrow has a field's id, which its Parquet writer takes from there and its reader puts there."""

_NONE: Mapping[str, int] = MappingProxyType({})
_FIRST_AT_THE_END = "extra"
"""New columns come before this one, so those before it are counted from the first one, and the others from it."""

_STEP = 10
_AT_THE_END, _AT_THE_BEGINNING = 100, 1000


@cache
def field_ids() -> Mapping[str, int]:
    """Return the id of each column, and of what it consists of: ``x.element``, ``x.key``, ``x.value``, ``x.member``."""
    end = SCHEMA.get_field_index(_FIRST_AT_THE_END)
    ids = dict(PARTITION_IDS)
    for index, field in enumerate(SCHEMA):
        number = _AT_THE_BEGINNING + _STEP * index if index < end else _AT_THE_END + _STEP * (index - end)
        ids[field.name] = number
        for offset, inner in enumerate(_inner(field.type), 1):
            ids[f"{field.name}.{inner}"] = number + offset
    return MappingProxyType(ids)


def with_field_ids(schema: pa.Schema) -> pa.Schema:
    """Return a schema whose fields have their ids in their metadata; one that is not a column has none."""
    return pa.schema([_numbered(field, field_ids()) for field in schema], metadata=schema.metadata)


def without_field_ids(schema: pa.Schema) -> pa.Schema:
    """Return a schema whose fields have no metadata."""
    return pa.schema([_numbered(field, _NONE) for field in schema], metadata=schema.metadata)


def _numbered(field: pa.Field, ids: Mapping[str, int], path: str = "") -> pa.Field:
    path = path or field.name
    kind = field.type
    if pa.types.is_list(kind):
        kind = pa.list_(_numbered(kind.value_field, ids, f"{path}.element"))
    elif pa.types.is_map(kind):
        kind = pa.map_(
            _numbered(kind.key_field, ids, f"{path}.key"),
            _numbered(kind.item_field, ids, f"{path}.value"),
        )
    elif pa.types.is_struct(kind):
        kind = pa.struct([_numbered(member, ids, f"{path}.{member.name}") for member in kind])
    metadata = {_KEY: str(ids[path]).encode()} if path in ids else None
    return pa.field(field.name, kind, nullable=field.nullable, metadata=metadata)


def _inner(kind: pa.DataType) -> Iterator[str]:
    """Yield the paths of what a type consists of, however deep."""
    parts: dict[str, pa.DataType] = {}
    if pa.types.is_list(kind):
        parts = {"element": kind.value_type}
    elif pa.types.is_map(kind):
        parts = {"key": kind.key_type, "value": kind.item_type}
    elif pa.types.is_struct(kind):
        parts = {member.name: member.type for member in kind}
    for name, inner in parts.items():
        yield name
        yield from (f"{name}.{path}" for path in _inner(inner))
