"""Digests of rows: which rows of a log there are, whatever files they are in and in whatever order.

A row's identity is (``src_file``, ``src_line``). Its hash is a number of 64 bits; all arithmetic is modulo 2**64::

    file = the first 8 bytes of SHA-256(src_file in UTF-8), as a little-endian number
    hash = mix(file + src_line * 0x9E3779B97F4A7C15)
    mix(z): z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9; z = (z ^ z >> 27) * 0x94D049BB133111EB; z ^ z >> 31

``mix`` is the finalizer of SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014). The
digest of a set of rows is their number, the sum of their hashes, and the exclusive or of their hashes. It shows a row
that is missing, there twice, or another's. Against somebody who makes up rows to match, only the SHA-256 of each part
protects.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_Hashes = npt.NDArray[np.uint64]
_SUM = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class RowsDigest:
    """The digest of some rows; digests of rows in different files are added up.

    :ivar rows: how many there are.
    :ivar total, mixed: sum and exclusive or of their hashes.
    """

    rows: int = 0
    total: int = 0
    mixed: int = 0

    def __add__(self, other: RowsDigest) -> RowsDigest:
        """Return the digest of both sets of rows together."""
        return RowsDigest(self.rows + other.rows, (self.total + other.total) & _SUM, self.mixed ^ other.mixed)

    def __sub__(self, other: RowsDigest) -> RowsDigest:
        """Return the digest of what is left once some of the rows are taken away."""
        return RowsDigest(self.rows - other.rows, (self.total - other.total) & _SUM, self.mixed ^ other.mixed)

    @classmethod
    def parse(cls, rows: int, text: str) -> RowsDigest:
        """Read what :meth:`__str__` wrote."""
        return cls(rows, int(text[:16], 16), int(text[16:], 16))

    def __str__(self) -> str:
        """Write sum and exclusive or as 16 hexadecimal digits each; the number of rows is written beside it."""
        return f"{self.total:016x}{self.mixed:016x}"


def digest_of(file: str, lines: pa.ChunkedArray | pa.Array) -> RowsDigest:
    """Return the digest of rows of one log.

    :param file: their ``src_file``.
    :param lines: their ``src_line``, an integer array without nulls.
    """
    hashes = _hashes(np.uint64(_of_file(file)), lines.to_numpy(zero_copy_only=False))
    return RowsDigest(len(hashes), int(hashes.sum(dtype=np.uint64)), int(np.bitwise_xor.reduce(hashes)))


def digests_of(rows: pa.Table) -> dict[tuple[str, int], RowsDigest]:
    """Return the digest of each log's rows, by (``src_file``, ``src_seq``).

    :param rows: has the columns ``src_file``, ``src_seq`` and ``src_line``.
    """
    if not rows.num_rows:
        return {}
    files = rows["src_file"].combine_chunks().dictionary_encode()
    of_file = np.array([_of_file(name) for name in files.dictionary.to_pylist()], np.uint64)
    indices = files.indices.to_numpy()
    hashes = _hashes(of_file[indices], rows["src_line"].to_numpy())
    sequences = rows["src_seq"].to_numpy()
    order = np.lexsort((sequences, indices))
    hashes, indices, sequences = hashes[order], indices[order], sequences[order]
    begins = np.flatnonzero(np.diff(indices, prepend=-1) | np.diff(sequences, prepend=-1))
    totals = np.add.reduceat(hashes, begins)
    mixed = np.bitwise_xor.reduceat(hashes, begins)
    counts = np.diff(begins, append=len(hashes))
    names = files.dictionary.to_pylist()
    return {
        (names[indices[begin]], int(sequences[begin])): RowsDigest(int(count), int(total), int(mix))
        for begin, count, total, mix in zip(begins, counts, totals, mixed, strict=True)
    }


def _of_file(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")


def _hashes(files: np.uint64 | _Hashes, lines: npt.NDArray[np.int64]) -> _Hashes:
    # Arrays of numbers wrap around without a word; a single number would warn.
    mixed: _Hashes = lines.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed += files
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed
