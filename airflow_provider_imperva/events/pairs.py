r"""Where keys and values stand in a block of bytes, found for all its lines together.

Every ``=`` without a backslash before it is looked at, then the word before each, then which known key that is. The
rules are those of :mod:`~airflow_provider_imperva.events.extension`; where they ask for more than the text around one
``=``, the line is marked as odd instead, and nothing that is found in it counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

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


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    r"""Keys and values, in the order they stand in the block.

    :param lines: index of the line each is in.
    :param keys: number of its key in the vocabulary.
    :param begins: where its value begins, trimmed.
    :param ends: where its value ends, exclusive, trimmed.
    :param escapes: what escapes its value has: 0 none, 1 no other than ``\=``, 2 others.
    """

    lines: Places
    keys: Bytes
    begins: Places
    ends: Places
    escapes: Bytes

    @classmethod
    def find(cls, lines: Lines, starts: Positions, vocabulary: Vocabulary, odd: Mask, *, tabs: bool) -> Pairs:
        """Cut extensions into pairs.

        :param lines: records, each of one line.
        :param starts: where the extension of each begins.
        :param odd: lines not to look at; others that turn out to be odd are marked in it.
        :param tabs: whether tabs stand between pairs, and nothing else does.
        """
        short = np.flatnonzero(lines.ends - lines.begins <= _STRETCH)
        cuts = np.searchsorted(lines.begins[short], np.arange(0, len(lines.block) + _STRETCH, _STRETCH))
        found = [_no_pairs()]
        rest = np.ones_like(odd)
        for first, last in pairwise(cuts.tolist()):
            if first == last:
                continue
            stretch = short[first:last]
            odd_near = odd[stretch]
            near = _Stretch(lines.take(stretch), starts[stretch], odd_near).pairs(vocabulary, tabs=tabs)
            found.append(replace(near, lines=stretch[near.lines].astype(np.int32)))
            rest[stretch] = odd_near
        odd |= rest
        return cls(
            lines=np.concatenate([pairs.lines for pairs in found]),
            keys=np.concatenate([pairs.keys for pairs in found]),
            begins=np.concatenate([pairs.begins for pairs in found]),
            ends=np.concatenate([pairs.ends for pairs in found]),
            escapes=np.concatenate([pairs.escapes for pairs in found]),
        )

    def places(self, vocabulary: Vocabulary, odd: Mask) -> Places:
        """Where among the pairs the value of each key in each line is: a row a key, -1 for none or an empty one.

        :param odd: of all lines; those in which a key comes twice are marked in it.
        """
        places = np.full((len(vocabulary.expected), len(odd)), -1, np.int32)
        order = np.arange(len(self.lines), dtype=np.int32)
        places[self.keys, self.lines] = order
        odd[self.lines[places[self.keys, self.lines] != order]] = True
        empty = np.flatnonzero(self.begins >= self.ends)
        places[self.keys[empty], self.lines[empty]] = -1
        return places


def _no_pairs() -> Pairs:
    places, numbers = np.zeros(0, np.int32), np.zeros(0, np.uint8)
    return Pairs(places, numbers, places, places, numbers)


@dataclass(frozen=True, slots=True, eq=False)
class _Words:
    """What stands before each equals sign.

    :param lines: index of the line each is in.
    :param begins: where the word begins; behind its end, if it does not follow a blank (or tab) or the header.
    :param ends: where the equals sign is.
    """

    lines: Positions
    begins: Positions
    ends: Positions

    def take(self, which: Positions) -> _Words:
        return _Words(self.lines[which], self.begins[which], self.ends[which])


class _Stretch:
    """Lines that are near each other. Odd ones are marked in ``odd``."""

    __slots__ = ("_lines", "_odd", "_starts", "_text")

    def __init__(self, lines: Lines, starts: Positions, odd: Mask) -> None:
        self._lines = lines
        self._starts = starts
        self._odd = odd
        self._text = np.frombuffer(lines.block, np.uint8)

    def pairs(self, vocabulary: Vocabulary, *, tabs: bool) -> Pairs:
        """Find keys and values."""
        block = self._lines.block
        words = self._words(tabs=tabs)
        keys = vocabulary.keys.numbers(block, words.ends, words.ends - words.begins)
        known, unknown = np.flatnonzero(keys), np.flatnonzero(keys == 0)
        if tabs:
            # An equals sign without a tab before its word is part of a value.
            unknown = unknown[words.begins[unknown] <= words.ends[unknown]]
        elif len(known):
            # An unknown word is part of the value it stands in, if that is free text.
            owner = np.searchsorted(known, unknown) - 1
            owned = (owner >= 0) & (words.lines[known[owner]] == words.lines[unknown])
            unknown = unknown[~vocabulary.free_text[np.where(owned, keys[known[owner]], 0)]]
        self._odd[words.lines[unknown]] = True
        words, keys = words.take(known), keys[known]
        begins, ends = self._values(words)
        labels = np.flatnonzero(vocabulary.expected[keys])
        lengths = (ends - begins)[labels]
        wrong = vocabulary.labels.numbers(block, ends[labels], lengths) != vocabulary.expected[keys[labels]]
        self._odd[words.lines[labels[wrong & (lengths > 0)]]] = True
        return Pairs(
            lines=words.lines.astype(np.int32),
            keys=keys,
            begins=begins.astype(np.int32),
            ends=ends.astype(np.int32),
            escapes=self._escaped(begins, ends),
        )

    def _words(self, *, tabs: bool) -> _Words:
        lines, text = self._lines, self._text
        offset = int(lines.begins[0])
        near = text[offset : int(lines.ends[-1])]
        signs = near == _EQUALS
        signs[1:] &= near[:-1] != _BACKSLASH
        # Control characters among the marks are no part of a word, so that they may end looking back as well.
        marks = np.flatnonzero(signs | (near <= (_TAB if tabs else _BLANK)))
        kinds = near[marks]
        marks += offset
        at = np.flatnonzero(kinds == _EQUALS)
        equals = marks[at]
        first = np.searchsorted(equals, self._starts)
        counts = np.where(self._odd, 0, np.searchsorted(equals, lines.ends) - first)
        heads = counts.cumsum() - counts
        line = np.repeat(np.arange(len(lines)), counts)
        if len(line) < len(equals):
            inside = np.arange(len(line)) + np.repeat(first - heads, counts)
            equals, at = equals[inside], at[inside]
        before = at - 1
        begins = marks[before] + 1
        apart = (kinds[before] == _TAB) | (kinds[before] == (_TAB if tabs else _BLANK))
        # The first word may begin right behind the header.
        heads, starts = heads[counts > 0], self._starts[counts > 0]
        at_start = (before[heads] < 0) | (begins[heads] <= starts)
        begins[heads] = np.where(at_start, starts + (text[starts] == _BLANK), begins[heads])
        apart[heads] |= at_start
        return _Words(line, np.where(apart, begins, equals + 1), equals)

    def _values(self, words: _Words) -> tuple[Positions, Positions]:
        """Where the values of known keys begin and end, trimmed."""
        line, text, odd = words.lines, self._text, self._odd
        changes = np.flatnonzero(np.diff(line))
        firsts, lasts = np.append(0, changes + 1)[: len(line)], np.append(changes, len(line) - 1)[: len(line)]
        # Nothing but a blank may stand before the first key.
        stray = np.ones(len(odd), np.bool_)
        stray[line[firsts]] = words.begins[firsts] > self._starts[line[firsts]] + 1
        odd |= stray
        begins = words.ends + 1
        ends = np.append(words.begins[1:] - 1, 0)[: len(line)]
        ends[lasts] = self._lines.ends[line[lasts]]
        first, last = text[np.minimum(begins, len(text) - 1)], text[ends - 1]
        doubtful = np.flatnonzero((first <= _QUOTE) | (last <= _BLANK))
        wrapped = _trim(text, begins, ends, doubtful)
        odd[line[wrapped]] = True
        return begins, ends

    def _escaped(self, begins: Positions, ends: Positions) -> Bytes:
        text, last = self._text, int(self._lines.ends[-1])
        offset = int(self._lines.begins[0])
        escapes = np.zeros(len(begins), np.uint8)
        backslashes = np.flatnonzero(text[offset:last] == _BACKSLASH) + offset
        place = np.searchsorted(begins, backslashes, "right") - 1
        within = place >= 0
        within[within] = backslashes[within] < ends[place[within]]
        backslashes, place = backslashes[within], place[within]
        others = text[np.minimum(backslashes + 1, last - 1)] != _EQUALS
        escapes[place] = 1
        escapes[place[others]] = 2
        return escapes


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
