"""Words in a block of bytes: known ones are told by machine words, by a hash of their last eight bytes at first."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from airflow_provider_imperva.events.lines import Mask, Positions

LONGEST = 24
"""Bytes a word may have: three machine words. No key and no label has more."""

MachineWords = npt.NDArray[np.uint64]

_PARTS = range(LONGEST // 8)
_ONES = np.uint64(0x0101010101010101)
_HIGH_BITS, _OTHER_BITS = np.uint64(0x8080808080808080), np.uint64(0x7F7F7F7F7F7F7F7F)
_CAPITALS = np.uint64(0x4040404040404040)
_SLOT_BITS = 12


class Words:
    """Known words of ASCII, by numbers from 1 up; 0 is none.

    :param words: in the order of their numbers.
    :param fold: whether case does not matter.
    """

    __slots__ = ("_fold", "_masks", "_parts", "lengths")

    def __init__(self, words: Sequence[str], *, fold: bool = False) -> None:
        self._fold = fold
        # By part, the last one first, and number. In memory order a word's last bytes are a machine word's high ones.
        padded = np.array([list(word.encode().rjust(LONGEST, b"\0")) for word in ("", *words)], np.uint8)
        self._parts = [self._folded(part.copy()) for part in padded.view("<u8").T[::-1]]
        self._masks = [part.copy() for part in (255 * (padded > 0)).astype(np.uint8).view("<u8").T[::-1]]
        self.lengths: Positions = np.array([0, *map(len, words)])

    def are(self, numbers: Positions, block: bytes, ends: Positions) -> Mask:
        """Whether known words end at given places.

        :param numbers: which word at each place; for 0 it is none.
        :param block: the bytes. No word is known that ends in its first ``LONGEST``.
        :param ends: the places, exclusive.
        """
        same: Mask = (numbers > 0) & (ends > LONGEST)
        self._compare(same, numbers, block, ends, parts=_PARTS)
        return same

    def _compare(self, same: Mask, numbers: Positions, block: bytes, ends: Positions, *, parts: range) -> None:
        """Compare words that are the same so far by some of their machine words."""
        windows = _windows(block)
        which = np.flatnonzero(same)
        for part in parts:
            which = which[(self.lengths > 8 * part)[numbers[which]]]
            number = numbers[which]
            found = windows[ends[which] - 8 * (part + 1)] & self._masks[part][number]
            same[which] &= self._folded(found) == self._parts[part][number]

    def _folded(self, words: MachineWords) -> MachineWords:
        # No byte but a capital letter becomes a small letter, and none becomes a digit.
        return words | ((words & _CAPITALS) >> np.uint64(1)) if self._fold else words


class WordTable(Words):
    """Known words that are looked for: a hash without collisions finds one, then every byte is compared.

    :param words: no two of them with the same last eight bytes.
    """

    __slots__ = ("_factor", "_numbers")

    def __init__(self, words: Sequence[str], *, fold: bool = False) -> None:
        super().__init__(words, fold=fold)
        last = self._parts[0][1:]
        if len(np.unique(last)) < len(words):
            raise ValueError("two words have the same last eight bytes")
        factors = random.Random(1)  # noqa: S311 (any factor does that tells the words apart)
        slots = np.zeros(0, np.int64)
        while len(np.unique(slots)) < len(words):
            self._factor = np.uint64(factors.getrandbits(64) | 1)
            slots = self._slots(last)
        self._numbers = np.zeros(1 << _SLOT_BITS, np.int64)
        self._numbers[slots] = np.arange(1, len(words) + 1)

    def before(self, block: bytes, ends: Positions, *, separators: bytes) -> Positions:
        """Number of the known word that stands between a separator and each of some places; 0 if there is none.

        :param block: the bytes. No word is known that ends in its first ``LONGEST``.
        :param ends: where each word would end, exclusive, in rising order.
        :param separators: bytes of ASCII that no word has.
        """
        early = int(np.searchsorted(ends, LONGEST, "right"))
        late = ends[early:]
        last = self._folded(_after_last(separators, _windows(block)[late - 8]))
        found = self._numbers[self._slots(last)]
        same = self._parts[0][found] == last
        self._compare(same, found, block, late, parts=_PARTS[1:])
        is_separator = np.zeros(256, np.bool_)
        is_separator[list(separators)] = True
        same &= is_separator[np.frombuffer(block, np.uint8)[late - self.lengths[found] - 1]]
        return np.concatenate((np.zeros(early, np.int64), found * same))

    def _slots(self, last: MachineWords) -> Positions:
        slots: MachineWords = (last * self._factor) >> np.uint64(64 - _SLOT_BITS)
        return slots.view(np.int64)


def _windows(block: bytes) -> MachineWords:
    """Overlapping machine words, one beginning at each byte."""
    return np.ndarray((max(len(block) - 7, 0),), "<u8", block, 0, (1,))


def _after_last(separators: bytes, words: MachineWords) -> MachineWords:
    """Keep what comes after the last separator in each machine word, with zeros before it."""
    found = np.zeros_like(words)
    for separator in separators:
        # The high bit of each byte that is one: adding carries into it, and never beyond, if any other bit differs.
        differ = words ^ (_ONES * np.uint64(separator))
        found |= ~(((differ & _OTHER_BITS) + _OTHER_BITS) | differ | _OTHER_BITS)
    for shift in (8, 16, 32):
        found |= found >> np.uint64(shift)
    return words & ~((found >> np.uint64(7)) * np.uint64(255))
