"""pandas with Arrow's types: with the table by way of delta-rs."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tests.engines.readers.python_code import answer_of


def version() -> str:
    """Return its version."""
    return str(pd.__version__)


def run(code: str) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Run Python; it leaves a frame."""
    frame = answer_of(code)
    types = {str(name): str(kind).replace(f" ('{name}')", "") for name, kind in frame.dtypes.items()}
    # NA, NaT and None are how pandas says null.
    columns = {name: [_value(value, types[name]) for value in frame[name]] for name in types}
    return types, [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _value(value: Any, kind: str) -> Any:
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    return dict(value) if kind.startswith("map<") else value
