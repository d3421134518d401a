"""The bytes of logs as received: the one place that writes and reads them, encrypted or not."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO, cast

from airflow_provider_imperva.clock import Clock, wall_clock
from airflow_provider_imperva.lake.data_keys import DataKeys, MasterKeys
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.lake.sealed import MAGIC, Seal, SealedReader, seal
from airflow_provider_imperva.lake.store import Store

_SMALL_BYTES = 16 << 20
"""Objects up to this size come in one request; of larger ones only what is looked at is in memory."""


class RawBytes:
    """The objects in ``raw/`` of one repository.

    :param master: what their data keys are wrapped by; None if it was not given. Then what is encrypted cannot be read.
    """

    def __init__(
        self, store: Store, layout: Layout, *, master: MasterKeys | None = None, clock: Clock = wall_clock
    ) -> None:
        self._store = store
        self.keys = DataKeys(store, layout, master=master, clock=clock)

    def create(self, path: str, content: bytes) -> None:
        """Write what was received; encrypted, if there is a key.

        :raises ObjectExistsError: if there is such an object; its bytes are untouched.
        :raises DataKeyError: if the key of this month does not open.
        """
        if self.keys.encrypts:
            name, key = self.keys.current()
            content = seal(content, key=key, name=name, path=path)
        self._store.create(path, content)

    @contextmanager
    def open(self, path: str, *, size: int | None = None) -> Iterator[BinaryIO]:
        """Open what was received, seekable. :func:`seal_of` returns how it is stored.

        :param size: of the object as stored, where it is known: a small one comes in one request.
        :raises FileNotFoundError: if there is none.
        :raises SealedObjectError: here or when it is read: if it is encrypted and not as it was written.
        :raises DataKeyError: when it is read: if it is encrypted and its key is not at hand.
        """
        with ExitStack() as stack:
            if size is not None and size <= _SMALL_BYTES:
                file: BinaryIO = io.BytesIO(self._store.read(path))
            else:
                file = stack.enter_context(self._store.reader(path))
            if file.read(len(MAGIC)) == MAGIC:
                sealed = SealedReader(file, key=self.keys.key, path=path)
                file = cast(BinaryIO, stack.enter_context(io.BufferedReader(sealed)))
            else:
                file.seek(0)
            yield file


def seal_of(file: BinaryIO) -> Seal | None:
    """Return how an object that :meth:`RawBytes.open` gave is encrypted; None if it is stored as received."""
    sealed = getattr(file, "raw", None)
    return sealed.seal() if isinstance(sealed, SealedReader) else None
