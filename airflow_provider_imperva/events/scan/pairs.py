r"""Where keys and values stand in the lines of a block.

The rules are those of :mod:`~airflow_provider_imperva.events.grammar.extension`. Where they ask for more than the
kernel does, the line is marked as irregular instead, and nothing of it is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from airflow_provider_imperva.events.scan import kernel
from airflow_provider_imperva.events.scan.buffers import Mask, Places, Positions
from airflow_provider_imperva.events.scan.lines import Lines
from airflow_provider_imperva.events.scan.vocabulary import Vocabulary

_UNKNOWN_KEYS = 32
"""For how many unknown keys in each line there is room."""


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Keys and values, in the order they stand in the block; without labels, which are those expected.

    :param spans: for each pair its ``NUMBER``, that of its key, 0 if that is not in the vocabulary; ``BEGIN`` and
        ``END`` of its value, trimmed and never empty.
    :param firsts: the first row of each line, and the number of rows.
    :param headers: where the header of each line ends, which is what stands before its first key, whatever that is.
    """

    spans: Places
    firsts: Positions
    headers: Positions

    @classmethod
    def find(cls, lines: Lines, vocabulary: Vocabulary, irregular: Mask, *, tabs: bool) -> Pairs:
        """Cut records into pairs.

        :param lines: records, each of one line of UTF-8.
        :param irregular: lines not to look at; others that turn out to be irregular are marked too. They have no pairs.
        :param tabs: whether pairs may have tabs between them, and values blanks.
        """
        # A pair has four bytes at least, with the blank before it. Lines with more pairs than there is room for are
        # irregular.
        room = min(len(lines.block) // 4 + 1, len(lines) * (len(vocabulary.known) + _UNKNOWN_KEYS))
        spans = np.empty((room, 3), np.int32)
        firsts = np.zeros(len(lines) + 1, np.int64)
        headers = lines.begins.copy()
        kernel.find_pairs(
            np.frombuffer(lines.block, np.uint8),
            lines.begins,
            lines.ends,
            vocabulary.words,
            vocabulary.known,
            tabs,
            irregular,
            spans,
            firsts,
            headers,
        )
        return cls(spans[: firsts[-1]], firsts, headers)
