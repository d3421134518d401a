"""Both implementations of the kernel, each for as long as a test wants it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from airflow_provider_imperva.events.scan import kernel, plain

READERS = ("compiled", "plain")


@contextmanager
def reading_with(reader: str) -> Iterator[None]:
    """Let one of them read; skip the test if it is the compiled one and there is none."""
    if reader == "plain":
        chosen = plain
    else:
        chosen = pytest.importorskip(f"{kernel.__package__}._kernel", reason="the extension is not compiled")
    with pytest.MonkeyPatch.context() as patch:
        for name in plain.__all__:
            patch.setattr(kernel, name, getattr(chosen, name))
        yield
