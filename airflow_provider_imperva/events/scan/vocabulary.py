"""The keys of a format as small numbers, from 1 up, laid out in two buffers for the kernel; 0 is an unknown key."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from airflow_provider_imperva.events.grammar.keys import Keys
from airflow_provider_imperva.events.scan.buffers import (
    EARLY,
    FREE_TEXT,
    JSON,
    KEY_BEGIN,
    KIND,
    LABEL,
    LATE,
    TEXT_BEGIN,
    TEXT_END,
    UNEXPECTED,
    Bytes,
    Positions,
)
from airflow_provider_imperva.events.schema.columns import LABELS


class Vocabulary(NamedTuple):
    """What is known of each key.

    :ivar words: the names of all keys in lower case, and the texts of labels.
    :ivar known: a row of ``KEY_BEGIN``, ``KEY_END`` and so on for each number, int64.
    """

    words: Bytes
    known: Positions

    @classmethod
    def of(cls, names: Keys) -> Vocabulary:
        """Take the keys of a format."""
        number = {key: place for place, key in names.numbered}
        labels = {key: f"{key}Label" for key in LABELS}
        known = np.zeros((len(number) + 1, TEXT_END + 1), np.int64)
        words = bytearray()

        def place(word: str) -> tuple[int, int]:
            begin = len(words)
            words.extend(word.encode())
            return begin, len(words)

        for key, row in number.items():
            known[row, KEY_BEGIN : KEY_BEGIN + 2] = place(key.lower())
        known[[number[key] for key in names.free_text if key in number], KIND] |= FREE_TEXT
        known[[number[key] for key in names.json], KIND] |= JSON
        known[[number[key] for key in names.goes_on if key in number], KIND] |= EARLY
        known[[number[key] for key in names.late], KIND] |= LATE
        known[[number[key] for key in {*number} - {*names.columns} - {*labels.values()}], KIND] |= UNEXPECTED
        for key, label in labels.items():
            known[number[key], LABEL] = number[label]
            known[number[label], TEXT_BEGIN : TEXT_BEGIN + 2] = place(LABELS[key])
        return cls(np.frombuffer(bytes(words), np.uint8), known)
