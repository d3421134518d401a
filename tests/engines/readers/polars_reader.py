"""polars: with the table by way of delta-rs."""

from __future__ import annotations

from typing import Any

import polars as pl

from tests.engines.readers.python_code import answer_of


def version() -> str:
    """Return its version."""
    return str(pl.__version__)


def run(code: str) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Run Python; it leaves a lazy frame."""
    frame = answer_of(code).collect()
    return {name: str(kind) for name, kind in frame.schema.items()}, frame.to_dicts()
