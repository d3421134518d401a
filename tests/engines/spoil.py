"""Spoils a copy of a lake: what a reader does not have to open is no Parquet any more."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.engines.readers.blocks import PERIOD


def spoilt_copy(lake: Path, copy: Path) -> Path:
    """Return a copy in which only the parts of the period's first day can be read.

    A file keeps its size, which a table knows.
    """
    shutil.copytree(lake, copy)
    for part in copy.glob("events/repository=*/**/*.parquet"):
        if f"event_date={PERIOD[0]}" not in part.parts:
            part.write_bytes(b"spoilt".ljust(part.stat().st_size, b"!"))
    return copy
