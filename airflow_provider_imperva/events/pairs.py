r"""Where keys and values stand in a block of bytes, found for all its lines together.

Every ``=`` without a backslash before it is looked at, then the word before each, then which known key that is. The
rules are those of :mod:`~airflow_provider_imperva.events.extension`; where they ask for more than the text around one
``=``, the line is marked as odd instead, and nothing that is found in it counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from airflow_provider_imperva.events.extension import LONGEST_KEY, WORD
from airflow_provider_imperva.events.lines import Lines, Mask, Positions
from airflow_provider_imperva.events.vocabulary import Vocabulary

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int32]

_TAB, _BLANK, _QUOTE, _EQUALS, _BACKSLASH = b'\t "=\\'

_STRETCH = 2 << 20
"""How many bytes are looked at together: so few that no array needs fresh memory, so many that arrays pay.

A longer record is odd.
"""

_MOST_BLANKS = 8
"""How many blanks may stand before or after a value."""

_KEY = re.compile(WORD.pattern.encode())


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    r"""Keys and values, in the order they stand in the block.

    :param lines: index of the line each is in.
    :param keys: number of its key in the vocabulary; 0 if it is none of it.
    :param starts: where its key begins.
    :param begins: where its value begins, trimmed.
    :param ends: where its value ends, exclusive, trimmed.
    """

    lines: Places
    keys: Positions
    starts: Places
    begins: Places
    ends: Places

    @classmethod
    def find(cls, lines: Lines, vocabulary: Vocabulary, odd: Mask, *, tabs: bool) -> Pairs:
        """Cut records into pairs. What stands before the first one of a record is its header, whatever that is.

        :param lines: records, each of one line.
        :param odd: lines not to look at; others that turn out to be odd are marked in it.
        :param tabs: whether tabs stand between pairs, and nothing else does.
        """
        short = np.flatnonzero(lines.ends - lines.begins <= _STRETCH)
        cuts = np.searchsorted(lines.begins[short], np.arange(0, len(lines.block) + _STRETCH, _STRETCH))
        separators = b"\t" if tabs else b" \t" if b"\t" in lines.block else b" "
        found = [_no_pairs()]
        rest = np.ones_like(odd)
        for first, last in pairwise(cuts.tolist()):
            if first == last:
                continue
            stretch = short[first:last]
            odd_near = odd[stretch]
            near = _find_near(lines.take(stretch), vocabulary, odd_near, separators=separators, tabs=tabs)
            found.append(replace(near, lines=stretch[near.lines].astype(np.int32)))
            rest[stretch] = odd_near
        odd |= rest
        return cls(*(np.concatenate([getattr(near, field.name) for near in found]) for field in fields(cls)))

    def places(self, vocabulary: Vocabulary, odd: Mask) -> Places:
        """Which of the pairs, counted from 1 up, has the value of each key in each line: a row a key, 0 for no value.

        :param odd: of all lines; those in which a key comes twice are marked in it.
        """
        places = np.zeros(len(vocabulary.expected) * len(odd), np.int32)
        cells = self.keys * len(odd) + self.lines
        number = np.arange(1, len(cells) + 1, dtype=np.int32)
        places[cells] = number
        odd[self.lines[(places[cells] != number) & (self.keys > 0)]] = True
        places[cells[self.begins >= self.ends]] = 0
        return places.reshape(-1, len(odd))


def _no_pairs() -> Pairs:
    places, numbers = np.zeros(0, np.int32), np.zeros(0, np.int64)
    return Pairs(places, numbers, places, places, places)


def _find_near(lines: Lines, vocabulary: Vocabulary, odd: Mask, *, separators: bytes, tabs: bool) -> Pairs:
    """Find the pairs of lines that are near each other; odd ones are marked."""
    line, signs, heads = _signs(lines, odd)
    keys = vocabulary.keys.before(lines.block, signs, separators=separators)
    # The first word may begin right behind the header.
    heads = heads[keys[heads] == 0]
    keys[heads] = vocabulary.keys.before(lines.block, signs[heads], separators=b" \t|")
    starts = signs - vocabulary.keys.lengths[keys]
    unknown = np.flatnonzero(keys == 0)
    if len(unknown):
        may_be = _follow_a_tab(lines, signs, unknown) if tabs else ~_in_free_text(unknown, line, keys, vocabulary)
        unknown = unknown[may_be]
        starts[unknown] = [_start_of_word(lines.block, end, tabs=tabs) for end in signs[unknown].tolist()]
        is_pair = starts < signs
        line, keys, starts, signs = line[is_pair], keys[is_pair], starts[is_pair], signs[is_pair]
    begins, ends = _values(lines, line, starts, signs, odd)
    _check_labels(lines, vocabulary, line, keys, begins, ends, odd)
    return Pairs(line.astype(np.int32), keys, *(places.astype(np.int32) for places in (starts, begins, ends)))


def _signs(lines: Lines, odd: Mask) -> tuple[Positions, Positions, Positions]:
    """Find the equals signs that are not escaped.

    :return: index of the line each is in; where it is; and which of them are the first in a line.
    """
    text = np.frombuffer(lines.block, np.uint8)
    offset = int(lines.begins[0])
    near = text[offset : int(lines.ends[-1])]
    unescaped = near == _EQUALS
    unescaped[1:] &= near[:-1] != _BACKSLASH
    signs = np.flatnonzero(unescaped) + offset
    first = np.searchsorted(signs, lines.begins)
    counts = np.where(odd, 0, np.searchsorted(signs, lines.ends) - first)
    heads = counts.cumsum() - counts
    line = np.repeat(np.arange(len(lines)), counts)
    if len(line) < len(signs):
        signs = signs[np.arange(len(line)) + np.repeat(first - heads, counts)]
    return line, signs, heads[counts > 0]


def _in_free_text(unknown: Positions, line: Positions, keys: Positions, vocabulary: Vocabulary) -> Mask:
    """Whether unknown words stand in values that others write, and are part of them."""
    known = np.flatnonzero(keys)
    if not len(known):
        return np.zeros(len(unknown), np.bool_)
    owner = known[np.maximum(np.searchsorted(known, unknown) - 1, 0)]
    owned: Mask = (owner < unknown) & (line[owner] == line[unknown]) & vocabulary.free_text[keys[owner]]
    return owned


def _follow_a_tab(lines: Lines, signs: Positions, unknown: Positions) -> Mask:
    """Whether a tab stands between the equals signs after unknown words and the equals signs before."""
    tabs = np.flatnonzero(np.frombuffer(lines.block, np.uint8)[: lines.ends[-1]] == _TAB)
    found: Mask = np.searchsorted(tabs, signs[unknown]) > np.searchsorted(tabs, signs[unknown - 1])
    return found


def _start_of_word(block: bytes, end: int, *, tabs: bool) -> int:
    """Find where the word begins that ends at a place and could be a key; the place itself if there is none."""
    earliest = max(end - LONGEST_KEY - 1, 0)
    start = max(block.rfind(b"\t", earliest, end), -1 if tabs else block.rfind(b" ", earliest, end)) + 1
    return start if start and _KEY.fullmatch(block, start, end) else end


def _values(
    lines: Lines, line: Positions, starts: Positions, signs: Positions, odd: Mask
) -> tuple[Positions, Positions]:
    """Where the values of keys begin and end, trimmed."""
    text = np.frombuffer(lines.block, np.uint8)
    lasts = np.flatnonzero(np.append(line[1:] != line[:-1], [True] * (len(line) > 0)))
    without = np.ones(len(odd), np.bool_)
    without[line[lasts]] = False
    odd |= without
    begins = signs + 1
    ends = np.append(starts[1:] - 1, 0)[: len(line)]
    ends[lasts] = lines.ends[line[lasts]]
    first, last = text[np.minimum(begins, len(text) - 1)], text[ends - 1]
    doubtful = np.flatnonzero((first <= _QUOTE) | (last <= _BLANK))
    odd[line[_trim(text, begins, ends, doubtful)]] = True
    return begins, ends


def _check_labels(
    lines: Lines,
    vocabulary: Vocabulary,
    line: Positions,
    keys: Positions,
    begins: Positions,
    ends: Positions,
    odd: Mask,
) -> None:
    """Mark lines with labels that are not the ones expected."""
    labels = np.flatnonzero(vocabulary.expected[keys])
    expected, ends = vocabulary.expected[keys[labels]], ends[labels]
    lengths = ends - begins[labels]
    right = (lengths == vocabulary.labels.lengths[expected]) & vocabulary.labels.are(expected, lines.block, ends)
    odd[line[labels[~right & (lengths > 0)]]] = True


def _is_blank(characters: Bytes) -> Mask:
    blank: Mask = (characters == _BLANK) | (characters == _TAB)
    return blank


def _trim(text: Bytes, begins: Positions, ends: Positions, doubtful: Positions) -> Positions:
    """Take blanks off both ends of the doubtful ones of values; tells which have a quote or more blanks there."""
    for _ in range(_MOST_BLANKS):
        doubtful = doubtful[begins[doubtful] < ends[doubtful]]
        begins[doubtful] += _is_blank(text[begins[doubtful]])
        doubtful = doubtful[begins[doubtful] < ends[doubtful]]
        ends[doubtful] -= _is_blank(text[ends[doubtful] - 1])
    doubtful = doubtful[begins[doubtful] < ends[doubtful]]
    first, last = text[begins[doubtful]], text[ends[doubtful] - 1]
    left: Positions = doubtful[(first == _QUOTE) | _is_blank(first) | _is_blank(last)]
    return left
