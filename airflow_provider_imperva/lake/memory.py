"""Memory that stays with the process while a batch is normalized."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa


@contextmanager
def memory_kept() -> Iterator[None]:
    """Let Arrow take memory from the C library, which reuses what one log freed for the next one.

    Arrow's default, mimalloc, returns freed memory to the system within milliseconds. The system then clears it before
    the next log gets it: several bytes for each byte of plain text. The GNU C library keeps up to 64 MiB.
    """
    before = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        yield
    finally:
        pa.set_memory_pool(before)
