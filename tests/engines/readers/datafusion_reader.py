"""DataFusion: with the table by way of delta-rs."""

from __future__ import annotations

from typing import Any

import datafusion

from tests.engines.readers.pyarrow_reader import read
from tests.engines.readers.python_code import answer_of


def version() -> str:
    """Return its version."""
    return str(datafusion.__version__)


def run(code: str) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Run Python; it leaves a frame."""
    return read(answer_of(code).to_arrow_table())
