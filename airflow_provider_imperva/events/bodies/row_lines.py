"""The lines of a block of W3C rows: found one way to be read, and counted another way.

What counts puts a line feed wherever a line ends and counts lines in the copy; what reads cuts lines at positions. So a
row that one of them takes for a part of something else breaks the sum.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from airflow_provider_imperva.events.grammar.directives import (
    BARE_PREFIX,
    BREAK,
    DIRECTIVE_BEGIN,
    PREFIX,
    ROW,
    ROW_BEGIN,
    continued_names,
)
from airflow_provider_imperva.events.grammar.w3c import KNOWN_NAMES
from airflow_provider_imperva.events.scan.buffers import Mask, Positions
from airflow_provider_imperva.events.scan.lines import Lines, Tally
from airflow_provider_imperva.events.schema.source import LINES_AT_MOST

_ENDS = b"\0\r\x0b\x0c\x1c\x1d\x1e\x1f"
_LINE_FEEDS = bytes.maketrans(_ENDS, b"\n" * len(_ENDS))
_TAIL = 64 << 10
_LF, _BLANK, _QUOTE, _NUMBER_SIGN = b'\n "#'
_AFTER_LF = re.compile(rb"\n(?=" + ROW_BEGIN.pattern + rb")")

_CHARACTERS = rb"\0\r\x0b\x0c\x1c-\x1f"
_END = rb"[" + _CHARACTERS + rb"]"
_SPACE = rb"[ \t" + _CHARACTERS + rb"]*"
_MARK = rb"(?:\xef\xbb\xbf)?[ \t]*"
_WORDS = rb"#[ \t]*(?:Version|Fields|Software|(?:Start-|End-)?Date|Remark)[ \t]*:"
_RELAYED = rb"(?:(?:[0-9]{1,7} )?(?:<[0-9]|[0-9]{4}-[01]|[A-Z][a-z][a-z] [ 0-3])[^\n]{0,320}?|[0-9]{1,7} )?"
_BEFORE_DIRECTIVE = re.compile(_END + rb"(?=[ \t]*" + _RELAYED + _MARK + rb"(?i:" + _WORDS + rb"))")
_AFTER_DIRECTIVE = re.compile(
    rb"^(" + _SPACE + _RELAYED + _MARK + rb"(?i:" + _WORDS + rb")[^\n" + _CHARACTERS + rb"]*)" + _END, re.MULTILINE
)
_FIRST = _MARK + rb'"[^"\n' + _CHARACTERS + rb']*"[ \t]+[-"0-9]'
_BETWEEN_ROWS = re.compile(rb'("[ \t]*)' + _END + rb"(?=" + _SPACE + _RELAYED + _FIRST + rb")")
_FIRST_VALUE = re.compile(rb'"[^"\n\0\r\x0b\x0c\x1c-\x1f]{0,30}" "')
_LINE = re.compile(rb"^[ \t\n\0\r\x0b\x0c\x1c-\x1f]*[^ \t\n\0\r\x0b\x0c\x1c-\x1f]", re.MULTILINE)
_ROW_BEGUN = re.compile(rb"^" + _SPACE + _RELAYED + _FIRST, re.MULTILINE)
_VALUES_IN_DIRECTIVE = re.compile(rb'[ \t:]"[^"]*"[ \t]+"')
_VALUE_IN_NAMES = re.compile(rb'[ \t:]"?[0-9]')


def split(block: bytes, *, bare: bool, plain: bool) -> tuple[Lines, Positions]:
    """Find the lines that hold more than blanks.

    :param bare: whether rows may be without quotes, so that every control character ends a line.
    :param plain: whether only LF ends lines, as :func:`is_plain` says.
    :return: the lines, numbered from 0 on, and how many LF stand before each.
    """
    lines = Lines.split(block, first_number=0)
    begins, ends, line_feeds = lines.begins, lines.ends, lines.numbers
    if not plain:
        pieces = [
            (first, last, number)
            for begin, end, number in zip(begins.tolist(), ends.tolist(), line_feeds.tolist(), strict=True)
            for first, last in _pieces(block, begin, end, bare=bare)
        ]
        begins, ends, line_feeds = np.array(pieces, np.int64).reshape(-1, 3).T.copy()
    return Lines(block, begins, ends, np.arange(len(begins))), line_feeds


def take_prefixes(lines: Lines, *, bare: bool) -> dict[int, bytes]:
    """Move the begins of lines after what a syslog relay wrote there.

    :param bare: whether rows may be without quotes.
    :return: what that is, by the line's index.
    """
    first = np.frombuffer(lines.block, np.uint8)[lines.begins] if len(lines) else lines.begins
    prefixes = {}
    for index in np.flatnonzero((first != _QUOTE) & (first != _NUMBER_SIGN)).tolist():
        begin, end = int(lines.begins[index]), int(lines.ends[index])
        if match := (BARE_PREFIX if bare else PREFIX).match(lines.block, begin, end):
            lines.begins[index] = match.end()
            prefixes[index] = match[0]
    return prefixes


class Numbers:
    """Numbers of rows in a body.

    A row has that of its line, where only LF ends lines. A further one on the same line has ``LINES_AT_MOST`` more than
    the one before it.
    """

    def __init__(self) -> None:
        self._line_feeds = 0
        self._line, self._begun = 0, 0

    def of(self, line_feeds: Positions, *, in_block: int) -> Positions:
        """Number the rows of the next block.

        :param line_feeds: how many LF stand before each in the block.
        :param in_block: how many LF there are in the block.
        """
        lines = self._line_feeds + 1 + line_feeds
        places = np.arange(len(lines)) - np.searchsorted(lines, lines)
        places[lines == self._line] += self._begun
        self._line_feeds += in_block
        if len(lines):
            self._line, self._begun = int(lines[-1]), int(places[-1]) + 1
        return lines + places * LINES_AT_MOST


def is_plain(block: bytes, line_feeds: int) -> bool:
    """Whether LF, one CR before it and tabs are all the control characters in a block.

    :param line_feeds: how many LF there are in it.
    """
    controls = int(np.count_nonzero(np.frombuffer(block, np.uint8) < _BLANK))
    if controls == line_feeds:
        return True
    return controls == line_feeds + block.count(b"\r\n") + block.count(b"\t")


def _pieces(block: bytes, begin: int, end: int, *, bare: bool) -> Iterator[tuple[int, int]]:
    """Cut what stands between two line feeds where a line ends all the same."""
    in_directive = None
    for match in BREAK.finditer(block, begin, end):
        last = match.start()
        while last > begin and block[last - 1] in b" \t":
            last -= 1
        if last == begin:
            begin = match.end()
            continue
        if match.end() == end:
            end = match.start()
            break
        if in_directive is None:
            in_directive = DIRECTIVE_BEGIN.match(block, begin, match.start()) is not None
        if (
            bare
            or in_directive
            or DIRECTIVE_BEGIN.match(block, match.end(), end)
            or (block[last - 1] == _QUOTE and ROW_BEGIN.match(block, match.end(), end))
        ):
            yield begin, match.start()
            begin, in_directive = match.end(), None
    if block[begin:end].strip(b" \t"):
        yield begin, end


def last_row(piece: bytes, *, bare: bool) -> int:
    """Find the last line of a piece that begins as a row does, 0 if that is the first, or none."""
    if bare:
        return _last_bare_row(piece)
    place = len(piece)
    while (place := piece.rfind(b'\n"', 0, place)) >= 0:
        if ROW.match(piece, place + 1):
            return place + 1
    place = max((match.end() for match in _AFTER_LF.finditer(piece)), default=0)
    return place or max((match.end() for match in _BETWEEN_ROWS.finditer(piece)), default=0)


def _last_bare_row(piece: bytes) -> int:
    offset = max(len(piece) - _TAIL, 0)
    tail = piece[offset:]
    if b"\n" not in tail:
        tail = tail.translate(_LINE_FEEDS)
    after = tail.rfind(b"\n", 0, -1)
    while (before := tail.rfind(b"\n", 0, max(after, 0))) >= 0:
        line = tail[before + 1 : after].strip()
        # After a directive may stand what goes on with its names.
        if line and b"#" not in line and tail[after + 1] != _LF and continued_names(line, KNOWN_NAMES) is None:
            return offset + after + 1
        after = before
    return 0


def begin_rows(lines: Lines) -> Mask:
    """Whether each line begins as a row of quoted values does."""
    begins = _first_value_ends_as_usual(lines)
    for index in np.flatnonzero(~begins).tolist():
        begins[index] = ROW.match(lines.block, lines.begins[index], lines.ends[index]) is not None
    return begins


def _first_value_ends_as_usual(lines: Lines) -> Mask:
    """Whether each line begins with a value as long as that of the first row, a date mostly, a blank and a quote."""
    rows = np.flatnonzero(lines.begin_with(b'"'))
    usual = _FIRST_VALUE.match(lines.block, lines.begins[rows[0]], lines.ends[rows[0]]) if len(rows) else None
    if usual is None:
        return np.zeros(len(lines), np.bool_)
    text = np.frombuffer(lines.block, np.uint8)
    length = len(usual[0])
    mask: Mask = lines.ends - lines.begins >= length
    for place, byte in enumerate(usual[0]):
        at = text[np.minimum(lines.begins + place, len(text) - 1)]
        mask &= at == byte if place in (0, length - 3, length - 2, length - 1) else (at != _QUOTE) & (at >= _BLANK)
    return mask


def count(text: bytes, *, bare: bool, plain: bool) -> int:
    """Count the lines in some bytes that hold more than blanks."""
    return Tally.of(text).lines if plain else len(_LINE.findall(_with_line_feeds(text, bare=bare)))


def rows_inside(text: bytes) -> int:
    """Count the rows that begin in one after its first line."""
    return max(len(_ROW_BEGUN.findall(_with_line_feeds(text, bare=False))) - 1, 0)


def _with_line_feeds(text: bytes, *, bare: bool) -> bytes:
    if bare:
        return text.translate(_LINE_FEEDS)
    text = _BEFORE_DIRECTIVE.sub(b"\n", text)
    text = _AFTER_DIRECTIVE.sub(rb"\1\n", text)
    return _BETWEEN_ROWS.sub(rb"\1\n", text)


def hides_row(directive: bytes) -> bool:
    """Whether something in a directive looks like the values of a row."""
    is_fields = directive.partition(b":")[0].lower().endswith(b"fields")
    return (_VALUE_IN_NAMES if is_fields else _VALUES_IN_DIRECTIVE).search(directive) is not None
