"""PyArrow: with the table by way of delta-rs."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from tests.engines.readers.python_code import answer_of


def version() -> str:
    """Return its version."""
    return str(pa.__version__)


def run(code: str) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Run Python; it leaves a table."""
    return read(answer_of(code))


def read(table: pa.Table) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Return a table's types and rows."""
    # A map's type names the column that it is of.
    types = {field.name: str(field.type).replace(f" ('{field.name}')", "") for field in table.schema}
    return types, table.to_pylist(maps_as_pydicts="strict")
