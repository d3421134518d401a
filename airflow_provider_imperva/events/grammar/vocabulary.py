"""The keys of a format as small numbers, from 1 up, as a compiled loop can look them up; 0 is no known key."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from airflow_provider_imperva.events.grammar.keys import Keys
from airflow_provider_imperva.events.schema.columns import LABELS

LONGEST = 24
"""Bytes a known word may have: three machine words. No key and no label has more."""

SLOT_BITS = 12

LENGTH, KIND, LABEL, TEXT_LENGTH, WORD, _, _, TEXT = range(8)
"""What is told of a key: its bytes; what it is; the key of the label that its value must have, 0 for none; the bytes
of the text that its value must be, that of a label, 0 for any; then the key, capitals folded, and that text."""

FREE_TEXT, JSON, STRANGE = 1, 2, 4
"""What a key can be: one in whose value an unknown key is none; one whose value is JSON; one without a column."""

_Numbers = npt.NDArray[np.int64]
_Words = npt.NDArray[np.uint64]


class Vocabulary(NamedTuple):
    """What is known of each key.

    Words are held as three machine words, the last eight bytes first.

    :ivar known: a row of ``LENGTH``, ``KIND`` and so on for each number, int64.
    :ivar slots: numbers by slot; ``factor``: what a key's first machine word is multiplied by to give its slot.
    """

    known: _Numbers
    slots: _Numbers
    factor: np.uint64

    @classmethod
    def of(cls, names: Keys) -> Vocabulary:
        """Take the keys of a format."""
        keys = [key for _, key in names.numbered]
        number = {key: place for place, key in names.numbered}
        labels = {key: f"{key}Label" for key in LABELS}
        known = np.zeros((len(keys) + 1, TEXT + 3), np.int64)
        known[1:, LENGTH] = [len(key) for key in keys]
        words = _folded(_words(["", *keys]))
        known[:, WORD : WORD + 3] = words.view(np.int64)
        known[[number[key] for key in names.free_text if key in number], KIND] |= FREE_TEXT
        known[[number[key] for key in names.json], KIND] |= JSON
        known[[number[key] for key in {*keys} - {*names.columns} - {*labels.values()}], KIND] |= STRANGE
        known[[number[key] for key in labels], LABEL] = [number[label] for label in labels.values()]
        labelling = [number[label] for label in labels.values()]
        known[labelling, TEXT_LENGTH] = [len(text) for text in LABELS.values()]
        known[labelling, TEXT : TEXT + 3] = _words([*LABELS.values()]).view(np.int64)
        return cls(known, *_slots(words[:, 0]))


def _folded(words: _Words) -> _Words:
    return words | ((words & np.uint64(0x4040404040404040)) >> np.uint64(1))


def _words(texts: Sequence[str]) -> _Words:
    parts = [[text.encode()[::-1][part : part + 8][::-1] for part in range(0, LONGEST, 8)] for text in texts]
    return np.array([[int.from_bytes(part, "little") for part in word] for word in parts], np.uint64)


def _slots(words: _Words) -> tuple[_Numbers, np.uint64]:
    """Find a factor that gives each word a slot of its own."""
    if len(np.unique(words)) < len(words):
        raise ValueError("two keys have the same last eight bytes")
    factors = random.Random(1)  # noqa: S311 (any factor does that tells the words apart)
    taken: _Words = words[:0]
    while len(np.unique(taken)) < len(words):
        factor = np.uint64(factors.getrandbits(64) | 1)
        taken = (words * factor) >> np.uint64(64 - SLOT_BITS)
    slots = np.zeros(1 << SLOT_BITS, np.int64)
    slots[taken.astype(np.int64)] = np.arange(len(words))
    return slots, factor
