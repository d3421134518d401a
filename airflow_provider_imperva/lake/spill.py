"""Rows on their way into parts: in memory while they are few, in a temporary file once they are many."""

from __future__ import annotations

import mmap
import tempfile
from dataclasses import replace
from itertools import accumulate

import pyarrow as pa

from airflow_provider_imperva.errors import LakeError
from airflow_provider_imperva.lake.groups import Block

MEMORY_BYTES = 96 << 20
"""Arrow bytes that stay in memory; a small batch never touches the disk."""


class Rows:
    """Blocks of one schema in the order they came.

    The temporary file is in the folder that ``TMPDIR`` names. It has no name, so it is gone with the process, however
    that ends.

    :param memory_bytes: Arrow bytes that stay in memory.
    """

    def __init__(self, *, memory_bytes: int = MEMORY_BYTES) -> None:
        self._memory_bytes = memory_bytes
        self._in_memory: list[Block] = []
        self._on_disk: list[Block] = []
        self._size = 0
        self._file: _TableFile | None = None

    def add(self, rows: pa.Table) -> None:
        """Take over a table that is not empty.

        :raises LakeError: if the temporary file cannot be written.
        """
        block = Block.of(rows)
        self._in_memory.append(block)
        self._size += sum(block.sizes)
        if self._size >= self._memory_bytes:
            self._move_to_disk()

    def keep(self, count: int) -> None:
        """Drop all but the first blocks; what they take of the temporary file is given up with it."""
        self._in_memory = self._in_memory[: max(count - len(self._on_disk), 0)]
        self._on_disk = self._on_disk[:count]
        self._size = sum(size for block in self._in_memory for size in block.sizes)

    def _move_to_disk(self) -> None:
        self._on_disk += self._stored(self._in_memory)
        self._in_memory.clear()
        pa.default_memory_pool().release_unused()
        self._size = 0

    def _stored(self, blocks: list[Block]) -> list[Block]:
        """Write blocks to the file, and return them as they stand in it."""
        self._file = self._file or _TableFile()
        # In one stream, which has each dictionary once; but not in one piece, for which all of it would be copied.
        whole = self._file.append(pa.concat_tables([block.table for block in blocks]).unify_dictionaries())
        begins = accumulate((block.table.num_rows for block in blocks), initial=0)
        return [
            replace(block, table=whole.slice(begin, block.table.num_rows))
            for block, begin in zip(blocks, begins, strict=False)
        ]

    def finish(self) -> None:
        """Take no more; if some rows are on the disk, the rest goes there too."""
        if self._on_disk and self._in_memory:
            self._move_to_disk()

    @property
    def blocks(self) -> list[Block]:
        """The blocks."""
        return self._on_disk + self._in_memory

    def forget(self) -> None:
        """Give back the memory of what was looked at in tables on the disk; to look again is to read again."""
        if self._file:
            self._file.forget()

    def close(self) -> None:
        """Give up the temporary file."""
        if self._file:
            self._file.close()


class _TableFile:
    """A nameless file that tables are appended to, and read from where they stand."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        self._maps: list[mmap.mmap] = []

    def append(self, table: pa.Table) -> pa.Table:
        """Write a table, and return it as it stands in the file: its values are read when they are looked at."""
        try:
            begin = _page_after(self._file.tell())
            self._file.seek(begin)
            # A stream for each, since within one a column has the same dictionary throughout.
            with pa.ipc.new_stream(self._file, table.schema) as writer:
                writer.write_table(table)
            self._file.flush()
        except OSError as error:
            raise LakeError(
                f"the rows of a batch could not be set aside ({error.strerror or type(error).__name__})",
                do="Make room there, or set TMPDIR to a folder that has it",
                about=tempfile.gettempdir(),
            ) from error
        pages = mmap.mmap(self._file.fileno(), self._file.tell() - begin, access=mmap.ACCESS_READ, offset=begin)
        self._maps.append(pages)
        return pa.ipc.open_stream(pa.py_buffer(pages)).read_all()

    def forget(self) -> None:
        for pages in self._maps:
            pages.madvise(mmap.MADV_DONTNEED)

    def close(self) -> None:
        self._file.close()


def _page_after(position: int) -> int:
    """Round up to where a map may begin."""
    return -(-position // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
