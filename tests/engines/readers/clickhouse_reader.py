"""ClickHouse as chDB, with its own reader of Delta tables."""

from __future__ import annotations

import json
import os
from typing import Any

import chdb


def version() -> str:
    """Return its version."""
    return json.loads(str(chdb.query("SELECT version() AS version", "JSONEachRow")))["version"]  # type: ignore[no-any-return]


def run(code: str) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Run a statement."""
    os.chdir("/")  # below which it may read
    described = str(chdb.query(f"DESCRIBE ({code})", "JSONEachRow"))
    types = {column["name"]: " ".join(column["type"].split()) for column in map(json.loads, described.splitlines())}
    # A String may hold any bytes.
    table = chdb.query(
        f"{code}\n{'' if 'SETTINGS' in code else 'SETTINGS'} {', ' if 'SETTINGS' in code else ''}"
        "output_format_arrow_string_as_string = 0",
        "ArrowTable",
    )
    columns = {name: _texts(values) for name, values in table.to_pydict(maps_as_pydicts="strict").items()}
    return types, [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _texts(values: list[Any]) -> list[Any]:
    """Return the values of a column as text if all of them are."""
    try:
        return [_text(value) for value in values]
    except UnicodeDecodeError:
        return values


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, list):
        return [_text(item) for item in value]
    if isinstance(value, dict):
        return {_text(key): _text(item) for key, item in value.items()}
    return value
