"""DuckDB, with its own extension for Delta tables, which comes as a wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import duckdb_extension_delta


def version() -> str:
    """Return its version."""
    return str(duckdb.__version__)


def run(code: str) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Run statements; the last one answers."""
    folder = Path(duckdb_extension_delta.__path__[0])
    (extension,) = folder.glob("extensions/*/delta.duckdb_extension")
    with duckdb.connect(config={"allow_unsigned_extensions": "true"}) as connection:
        connection.execute(f"LOAD '{extension}'")
        *before, last = (statement for statement in code.split(";\n") if statement.strip())
        for statement in before:
            connection.execute(statement)
        relation = connection.sql(last.rstrip().removesuffix(";"))
        types = dict(zip(relation.columns, map(str, relation.types), strict=True))
        return types, [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]
