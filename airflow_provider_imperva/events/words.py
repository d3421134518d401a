"""Words that end at given places in a block of bytes: compared as machine words, keys told apart by a hash."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

LONGEST = 24
"""Bytes a word may have: three machine words. No key and no label has more."""

Positions = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

# How many of a machine word's eight bytes are the text's, the last ones: in memory order those are the high ones.
_KEPT = np.array([[0] * (8 - n) + [255] * n for n in range(9)], np.uint8).view("<u8").ravel()
_UPPER = np.uint64(0x4040404040404040)
_ONE = np.uint64(1)
_SLOT_BITS = 12


class WordTable:
    """Numbers for known words of ASCII: a hash without collisions finds one, then every byte is compared.

    :param words: the known words; the number of a word is its place here plus one.
    :param fold: whether case does not matter.
    """

    __slots__ = ("_factor", "_fold", "_lengths", "_numbers", "_parts")

    def __init__(self, words: Sequence[str], *, fold: bool = False) -> None:
        self._fold = fold
        padded = np.array([list(word.encode().rjust(LONGEST, b"\0")) for word in ("", *words)], np.uint8)
        self._parts = [self._folded(part.copy()) for part in padded.view("<u8").T[::-1]]
        self._lengths = np.array([0, *map(len, words)])
        factors = random.Random(1)  # noqa: S311 (any factor does that tells the words apart)
        slots: Words = np.zeros(0, np.uint64)
        while len(np.unique(slots)) < len(words):
            self._factor = np.uint64(factors.getrandbits(64) | 1)
            slots = self._slots(self._parts[0][1:], self._lengths[1:])
        self._numbers = np.zeros(1 << _SLOT_BITS, np.uint8)
        self._numbers[slots] = np.arange(1, len(words) + 1)

    def numbers(self, block: bytes, ends: Positions, lengths: Positions) -> npt.NDArray[np.uint8]:
        """Number of the known word that each text is; 0 if it is none.

        :param block: the bytes the texts are in. None is looked for in its first ``LONGEST`` bytes.
        :param ends: where each text ends, exclusive, in rising order.
        :param lengths: of each text; a negative one is of none.
        """
        early = int(np.searchsorted(ends, LONGEST))
        ends, lengths = ends[early:], lengths[early:]
        last = self._part(block, ends, lengths, 0)
        numbers = self._numbers[self._slots(last, lengths)]
        numbers *= (self._parts[0][numbers] == last) & (self._lengths[numbers] == lengths)
        for part in (1, 2):
            longer = np.flatnonzero((self._lengths > 8 * part)[numbers])
            found = self._part(block, ends[longer], lengths[longer], part)
            numbers[longer] *= self._parts[part][numbers[longer]] == found
        return np.concatenate([np.zeros(early, np.uint8), numbers])

    def _slots(self, last: Words, lengths: Positions) -> Words:
        return ((last + lengths.view(np.uint64)) * self._factor) >> np.uint64(64 - _SLOT_BITS)

    def _part(self, block: bytes, ends: Positions, lengths: Positions, part: int) -> Words:
        """Gather a machine word of each text, the last one for part 0, with zeros before the text."""
        # Overlapping machine words, one beginning at each byte.
        windows: Words = np.ndarray((max(len(block) - 7, 0),), "<u8", block, 0, (1,))
        return self._folded(windows[ends - 8 * (part + 1)] & _KEPT[np.clip(lengths - 8 * part, 0, 8)])

    def _folded(self, words: Words) -> Words:
        # No byte but a capital letter becomes a small letter, and none becomes a digit.
        return words | ((words & _UPPER) >> _ONE) if self._fold else words
