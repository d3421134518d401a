"""Keys and values of CEF and LEEF records.

Each ``=`` of a block is looked at together with the word before it: whether that is a key, or stands in a value; where
the value of a key ends; whether the record is as nearly all are. Each step is done for all records at once.
"""

from __future__ import annotations

from string import ascii_uppercase
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva.events.grammar.extension import WORD
from airflow_provider_imperva.events.scan.buffers import (
    EARLY,
    FREE_TEXT,
    JSON,
    KEY_BEGIN,
    KEY_END,
    KIND,
    LABEL,
    LATE,
    TEXT_BEGIN,
    TEXT_END,
    UNEXPECTED,
    Bytes,
    Mask,
    Places,
    Positions,
)
from airflow_provider_imperva.events.scan.plain.spans import BLANKS, has_at, is_any, skip, span_of, strings, trim

_TAB, _BLANK, _QUOTE, _COMMA, _EQUALS, _BACKSLASH, _BAR = b'\t ",=\\|'
_WORD = f"^{WORD.pattern}$"


def find_pairs(
    text: Bytes,
    begins: Positions,
    ends: Positions,
    words: Bytes,
    known: Positions,
    tabs: bool,
    irregular: Mask,
    spans: Places,
    firsts: Positions,
    headers: Positions,
) -> None:
    """Cut records into keys and values."""
    ends = ends.copy()
    trim(text, begins.copy(), ends)
    keys = _Words.find(text, begins, ends, strings(words, known[1:, KEY_BEGIN], known[1:, KEY_END]))
    headers[keys.line[keys.is_first]] = keys.start[keys.is_first]
    at_tabs = _cut_at_tabs(text, begins, ends, keys, irregular) if tabs else np.zeros(len(begins), np.bool_)
    irregular[_with_blank_before_sign(text, begins, ends, keys, at_tabs)] = True
    if tabs:
        irregular[_with_bars(text, keys, at_tabs)] = True
    keys = keys.take(keys.is_first | np.where(at_tabs[keys.line], keys.before == _TAB, keys.before != _BAR))
    in_value = ~at_tabs[keys.line]
    in_value[in_value] = _in_values(text, ends, keys.take(in_value), known[:, KIND], irregular)
    keys = keys.take(~in_value)
    irregular[_with_sign_in_value(text, ends, keys, known[:, KIND])] = True
    irregular |= np.bincount(keys.line, minlength=len(irregular)) == 0

    irregular[_with_late_key(keys, known[:, KIND])] = True
    line, number, begin = keys.line, keys.number, keys.sign + 1
    end = np.where(keys.is_last, ends[line], np.append(keys.start[1:] - 1, 0))
    if tabs:
        irregular[_with_blanks_or_brackets(text, keys, begin, end, known[:, KIND], at_tabs)] = True
    trim(text, begin, end)
    irregular[line[_begin_json(text, begin, end) & (known[number, KIND] & JSON == 0)]] = True
    line, number, begin, end = (values[begin < end] for values in (line, number, begin, end))
    irregular[line[(text[begin] == _QUOTE) | (known[number, KIND] & UNEXPECTED > 0)]] = True
    is_label = known[number, TEXT_END] > 0
    says_so = _as_expected(strings(text, begin[is_label], end[is_label]), number[is_label], words, known)
    irregular[line[is_label][~says_so]] = True
    irregular |= _lack_or_repeat(line, number, known, len(irregular))
    kept = ~(is_label | irregular[line])
    irregular |= np.cumsum(np.bincount(line[kept], minlength=len(irregular))) > len(spans)
    kept &= ~irregular[line]
    np.cumsum(np.bincount(line[kept], minlength=len(irregular)), out=firsts[1:])
    spans[: firsts[-1]] = np.column_stack((number[kept], begin[kept], end[kept]))


class _Words(NamedTuple):
    """Words that could be keys, each directly before an ``=``, in the order they stand.

    :ivar line: the record each stands in.
    :ivar number: its number, 0 if it is not known.
    :ivar start: where it begins.
    :ivar sign: where the ``=`` stands.
    :ivar before: the byte before it: a blank, a tab or a bar.
    """

    line: Positions
    number: Positions
    start: Positions
    sign: Positions
    before: Bytes

    @classmethod
    def find(cls, text: Bytes, begins: Positions, ends: Positions, names: pa.StringArray) -> _Words:
        """Find them in some records; ``names`` are those with the numbers from 1 up."""
        marks = np.flatnonzero((text == _EQUALS) | (text == _BLANK) | (text == _TAB) | (text == _BAR))
        which = np.flatnonzero(text[marks] == _EQUALS)
        before, sign = marks[which - 1], marks[which]
        line = span_of(before, begins, ends)
        words = cls(line, np.zeros_like(line), before + 1, sign, text[before])
        is_within = (line >= 0) & (sign < np.append(ends, 0)[line])
        words = words.take(is_within & (words.before != _EQUALS) & (words.start < sign))
        texts = strings(text, words.start, words.sign)
        number = pc.fill_null(pc.index_in(pc.ascii_lower(texts), value_set=names), -1).to_numpy() + 1
        is_word = number > 0
        is_word[~is_word] = pc.match_substring_regex(texts.filter(pa.array(~is_word)), _WORD)
        return words._replace(number=number).take(is_word)

    def take(self, which: Mask) -> _Words:
        """Keep those that a mask marks."""
        line, number, start, sign = (values[which] for values in self[:4])
        return _Words(line, number, start, sign, self.before[which])

    @property
    def is_first(self) -> Mask:
        """Whether each is the first of its record."""
        return np.diff(self.line, prepend=-1) > 0

    @property
    def is_last(self) -> Mask:
        """Whether each is the last of its record."""
        return np.diff(self.line, append=np.iinfo(np.int64).max) > 0


def _cut_at_tabs(text: Bytes, begins: Positions, ends: Positions, words: _Words, irregular: Mask) -> Mask:
    """Return which records have tabs after their first key; one where no word follows a tab is irregular."""
    tabs = np.flatnonzero(text == _TAB)
    line = span_of(tabs, begins, ends)
    first_sign = np.append(ends, 0)
    first_sign[words.line[words.is_first]] = words.sign[words.is_first]
    count = np.bincount(line[(line >= 0) & (tabs > first_sign[line])], minlength=len(irregular))
    irregular |= count != np.bincount(words.line[(words.before == _TAB) & ~words.is_first], minlength=len(irregular))
    return count > 0


def _with_blank_before_sign(text: Bytes, begins: Positions, ends: Positions, words: _Words, at_tabs: Mask) -> Positions:
    """Return the records, but those cut at tabs, in which a blank stands before an ``=`` after the first key."""
    signs = np.flatnonzero(text == _EQUALS)
    signs = signs[is_any(text[signs - 1], BLANKS)]
    line = span_of(signs, begins, ends)
    first_sign = np.full(len(ends) + 1, len(text))
    first_sign[words.line[words.is_first]] = words.sign[words.is_first]
    which: Positions = line[(line >= 0) & (signs > first_sign[line] + 1) & ~np.append(at_tabs, True)[line]]
    return which


def _with_bars(text: Bytes, words: _Words, at_tabs: Mask) -> Positions:
    """Return the records not cut at tabs in which a known key stands after a bar."""
    known = words.take((words.number > 0) & ~words.is_first & ~at_tabs[words.line])
    after_bars = np.flatnonzero(text == _BAR) + 1
    skip(text, after_bars, np.full(len(after_bars), len(text)), BLANKS)
    which: Positions = known.line[np.isin(known.start, after_bars)]
    return which


def _with_sign_in_value(text: Bytes, ends: Positions, words: _Words, kinds: Positions) -> Positions:
    """Return which records have an ``=`` in the value of a known key that is of no free text."""
    signs = np.flatnonzero(text == _EQUALS)
    owner = np.searchsorted(words.sign, signs) - 1
    # Those after keys are nearly all, and are found at once, since both are in order.
    is_other = (owner >= 0) & (np.append(words.sign, -1)[owner + 1] != signs) & (text[signs - 1] != _BACKSLASH)
    signs, owner = signs[is_other], owner[is_other]
    is_within = signs < ends[words.line[owner]]
    which: Positions = words.line[
        owner[is_within & (words.number[owner] > 0) & (kinds[words.number[owner]] & FREE_TEXT == 0)]
    ]
    return which


def _with_late_key(words: _Words, kinds: Positions) -> Positions:
    """Return the records in which a late key follows an early one, maybe with unknown ones between."""
    known = words.take(words.number > 0)
    kind = kinds[known.number]
    follows = (kind[:-1] & EARLY > 0) & (kind[1:] & LATE > 0) & (known.line[:-1] == known.line[1:])
    which: Positions = known.line[1:][follows]
    return which


def _with_blanks_or_brackets(
    text: Bytes, words: _Words, begins: Positions, ends: Positions, kinds: Positions, at_tabs: Mask
) -> Positions:
    """Return which of the records cut at tabs may have blanks for tabs, or tabs in brackets.

    In those the first value that no client writes has an ``=`` in it, or the brackets of a value do not close in it.
    """
    values = np.flatnonzero(at_tabs[words.line])
    line = words.line[values]
    plain = values[kinds[words.number[values]] & FREE_TEXT == 0]
    first = plain[np.diff(words.line[plain], prepend=-1) > 0]
    signs = np.flatnonzero(text == _EQUALS)
    has_sign = np.searchsorted(signs, ends[first]) > np.searchsorted(signs, begins[first])
    opening = begins[values].copy()
    skip(text, opening, ends[values], b" ,")
    opens = has_at(text, opening, ends[values], b"[{")
    closes = _json_ends(text, opening[opens], ends[values][opens])
    return np.concatenate((words.line[first[has_sign]], line[opens][closes < 0]))


def _begin_json(text: Bytes, begins: Positions, ends: Positions) -> Mask:
    """Return which values may begin as JSON does: with a bracket, but not as in ``[US]``."""
    is_code = has_at(text, begins, ends, b"[") & has_at(text, begins + 1, ends, ascii_uppercase.encode())
    mask: Mask = has_at(text, begins, ends, b"[{") & ~is_code
    return mask


def _in_values(text: Bytes, ends: Positions, words: _Words, kinds: Positions, irregular: Mask) -> Mask:
    """Return which unknown words stand in the value of the known key before them.

    In free text all do; in JSON, those before its end. If that does not come before the next known key, the record is
    irregular.
    """
    known = words.take(words.number > 0)
    kind = kinds[known.number]
    end = np.where(known.is_last, ends[known.line], np.append(known.start[1:], 0))
    json = np.flatnonzero(kind & JSON > 0)
    opening = known.sign[json] + 1
    skip(text, opening, end[json], b" ,")
    opens = has_at(text, opening, end[json], b"[{")
    json = json[opens]
    value_end = np.where(kind & FREE_TEXT > 0, end, 0)
    value_end[json] = _json_ends(text, opening[opens], end[json])
    irregular[known.line[value_end < 0]] = True
    # A word with no known key before it gets -1: the element that no record has.
    before = np.cumsum(words.number > 0) - 1
    has_key = np.append(known.line, -1)[before] == words.line
    in_values: Mask = (words.number == 0) & has_key & (words.start < np.append(value_end, 0)[before])
    return in_values


def _json_ends(text: Bytes, openings: Positions, ends: Positions) -> Positions:
    """Return where the brackets that open at some places are closed; -1 where they are not.

    A quote or bracket after a backslash does not count. After a close, another one may open, maybe after commas.
    """
    marks = np.flatnonzero(is_any(text, b'"[]{}'))
    marks = marks[text[marks - 1] != _BACKSLASH]
    begin, stop = np.searchsorted(marks, openings), np.searchsorted(marks, ends)
    which = np.repeat(np.arange(len(openings)), stop - begin)
    first = np.cumsum(stop - begin) - (stop - begin)
    marks = marks[np.arange(len(which)) + (begin - first)[which]]
    byte = text[marks]
    quotes = np.cumsum(byte == _QUOTE)
    in_string = (quotes - quotes[first][which]) % 2 == 1
    step = np.where(is_any(byte, b"[{"), 1, np.where(in_string | (byte == _QUOTE), 0, -1))
    step[in_string] = 0
    depth = np.cumsum(step)
    closes = (step < 0) & (depth == depth[first][which] - 1)
    close, which = marks[closes] + 1, which[closes]
    following = close.copy()
    skip(text, following, ends[which], b" ,")
    goes_on = has_at(text, close, ends[which], b"[{,") & has_at(text, following, ends[which], b"[{")
    close, which = close[~goes_on], which[~goes_on]
    closings = np.full(len(openings), -1)
    # Of several closes the first counts, which is written last.
    closings[which[::-1]] = close[::-1]
    return closings


def _as_expected(texts: pa.StringArray, number: Positions, words: Bytes, known: Positions) -> Mask:
    """Return which values of labels are what is expected of the keys with these numbers."""
    labels = np.flatnonzero(known[:, TEXT_END])
    expected = strings(words, known[labels, TEXT_BEGIN], known[labels, TEXT_END])
    wanted = expected.take(pa.array(np.searchsorted(labels, number)))
    says_so: Mask = pc.equal(texts, wanted).to_numpy(zero_copy_only=False)
    return says_so


def _lack_or_repeat(line: Positions, number: Positions, known: Positions, lines: int) -> Mask:
    """Return which records lack the label of a key that they have, or have a known key twice."""
    has = np.zeros((lines, len(known)), np.bool_)
    has[line, number] = True
    labelled = np.flatnonzero(known[:, LABEL])
    lack = (has[:, labelled] & ~has[:, known[labelled, LABEL]]).any(axis=1)
    repeat = np.bincount(line[number > 0], minlength=lines) > np.count_nonzero(has[:, 1:], axis=1)
    mask: Mask = lack | repeat
    return mask
