"""Where records of CEF and LEEF begin and end, in lines that are not simply one record each.

A line ends at LF. A line that begins as a record does (:mod:`~airflow_provider_imperva.events.grammar.headers`) begins
one. What else is in the lines is decided by these rules:

1.  A line that begins no record belongs to the record before it if that is visibly open at the end of the line before:
    in a bracket, in a quote, or in a client's text that can hold line ends. Otherwise, if Imperva's header stands in
    it, it begins a record, with other text before it. Otherwise it does not.
2.  Imperva's header that stands within a line after CR, NUL, form feed or vertical tab, maybe with white space and a
    syslog prefix between, begins a record: those end lines in some transfers.
3.  Any other header of Imperva's within a record may be a record whose line end was lost, or text that a client wrote.

    *   Within brackets that close after it, it is text.
    *   After a value that the client did not write, it begins a record, if the record before it has all that every
        event has, or if the client wrote nothing in it so far.
    *   In a client's text, after all that every event has, the record before it is one, and the rest is refused.
    *   Otherwise both are refused. So is what follows in the line, up to a header before which what every event has
        came once more than headers were refused. The record there is marked as one that follows.

4.  A signature without a whole header is text in a client's text; elsewhere both sides are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from airflow_provider_imperva.events.grammar import cef, headers, keys
from airflow_provider_imperva.events.grammar.extension import Span, delimiter_of, spans
from airflow_provider_imperva.events.grammar.headers import Header, read_cef_header, read_leef_header
from airflow_provider_imperva.events.grammar.keys import Keys
from airflow_provider_imperva.events.grammar.record import RejectionReason

_REACH = 64 << 10
_REACH_BEHIND, _MANY = 1 << 10, 16
"""How far the brackets of a value are looked for here, and how far in records after so many of the same lines: with no
bound, what a client writes could take time that grows with its square."""

_LONGEST_PREFIX, _LONGEST_VERSION, _MOST_SEPARATORS = 400, 24, 64
_DIGITS = re.compile(r"[0-9]{1,7}\Z")
_NEXT_FRAME = re.compile(r"[0-9]{1,7} (?:<[0-9]|CEF:|LEEF:)|[\r\n]|\Z")
_FIRST_WORD = re.compile(r"[ \t]*[^ \t]+(?=[ \t])")
_PAIR_OR_END = re.compile(r"[ \t]*(?:[A-Za-z_][A-Za-z0-9_.-]*[ \t]*=|\Z|[\r\n])")


@dataclass(slots=True, eq=False)
class Piece:
    """A record, or text that is not a record.

    :param begin: where it begins in the text, and where it ends.
    :param line: index of the line that it begins on.
    :param refused: why it is not an event; None for what is to be read as a record.
    :param warnings: codes for ``parse_warnings``.
    """

    begin: int
    end: int
    line: int
    refused: RejectionReason | None = None
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Cut:
    """What some lines were cut into.

    :param pieces: in the order they stand there.
    :param folded: how many lines and signatures were knowingly taken for a part of the piece they stand in.
    """

    pieces: list[Piece]
    folded: int


def cut(text: str, lines: Sequence[tuple[int, int]], format_name: Literal["CEF", "LEEF"]) -> Cut:
    """Cut some lines into records.

    :param text: bytes read as Latin-1.
    :param lines: where each line begins and ends, blank ones left out.
    """
    return _Cutter(text, format_name).cut(lines)


def signatures(text: str, begin: int, end: int) -> list[int]:
    """Find the signatures between two places."""
    places = []
    for signature in headers.SIGNATURES:
        place = text.find(signature, begin, end)
        while place >= 0:
            places.append(place)
            place = text.find(signature, place + 1, end)
    return sorted(places)


@dataclass(slots=True, eq=False)
class _Record:
    """A record on its way: what is known of it so far.

    :param piece: what becomes of it.
    :param keys: its keys; None if its header is malformed.
    :param imperva: whether its header is one of Imperva's.
    """

    piece: Piece
    keys: Keys | None
    imperva: bool
    ahead: Iterator[Span]
    spans: list[Span] = field(default_factory=list)
    after: Span | None = None

    def at(self, place: int) -> Span | None:
        """Find the pair that a place is in."""
        while self.after is None or self.after.begin <= place:
            if self.after is not None:
                self.spans.append(self.after)
            self.after = next(self.ahead, None)
            if self.after is None:
                break
        return self.spans[-1] if self.spans else None

    def forget(self, place: int) -> Span | None:
        """Forget pairs after a place, since it ends there; returns the last one that is left."""
        while self.spans and self.spans[-1].begin > place:
            self.spans.pop()
        return self.spans[-1] if self.spans else None

    def is_known(self, span: Span) -> bool:
        """Whether the key of a pair is known."""
        return self.keys is not None and span.key.lower() in self.keys.known


class _Cutter:
    """Goes through some lines once."""

    def __init__(self, text: str, format_name: Literal["CEF", "LEEF"]) -> None:
        self._text = text
        self._is_leef = format_name == "LEEF"
        self._beginning = headers.BEGINNINGS[format_name].latin
        self._pieces: list[Piece] = []
        self._folded = 0
        self._record: _Record | None = None
        # Headers refused one after the other, what came of each key since the first of them, and up to where.
        self._headers, self._given, self._counted = 0, dict[str, int](), 0

    def cut(self, lines: Sequence[tuple[int, int]]) -> Cut:
        """Cut the lines."""
        last_end = 0
        for line, (begin, end) in enumerate(lines):
            self._cut_line(line, begin, end, last_end)
            last_end = end
        return Cut(self._pieces, self._folded)

    def _cut_line(self, line: int, begin: int, end: int, last_end: int) -> None:
        signs = signatures(self._text, begin, end)
        if start := self._beginning.match(self._text, begin, end):
            own = bool(signs) and signs[0] == start.end() - 1
            record = self._begin(start.start(1) if start[1] else start.start(2), start.end(), end, line, imperva=own)
            # The first signature in another vendor's record is counted as the one that its line begins with.
            self._folded -= bool(signs) and not own
            signs = signs[own:]
        elif self._record is not None and self._is_open(self._record, last_end):
            record = self._record
            record.piece.end = end
            self._folded += not signs
        elif signs and self._version(begin, signs[0], end) is not None:
            record = self._begin(begin, signs[0] + 1, end, line, imperva=True)
            signs = signs[1:]
        else:
            self._record = None
            self._pieces.append(Piece(begin, end, line, RejectionReason.NOT_A_RECORD))
            self._folded += max(len(signs) - 1, 0)
            return
        for place in signs:
            record = self._decide(record, place, end, line)

    def _begin(self, begin: int, header: int, end: int, line: int, *, imperva: bool) -> _Record:
        """Begin a record, which goes on to the end of its line for the time being.

        :param header: where its header begins, after the version.
        """
        read = self._header(header, end)
        ahead: Iterator[Span] = iter(())
        names = None
        if read is not None:
            names = keys.LEEF if self._is_leef else cef.keys_of(read)
            named = delimiter_of(self._text, read.end, end, names, named=read.delimiters) if self._is_leef else None
            reach = _REACH if len(self._pieces) < _MANY else _REACH_BEHIND
            ahead = spans(self._text, read.end, len(self._text), names, delimiter=named, reach=reach)
        self._record = _Record(Piece(begin, end, line), names, imperva, ahead)
        self._pieces.append(self._record.piece)
        return self._record

    def _header(self, begin: int, end: int) -> Header | None:
        return (read_leef_header if self._is_leef else read_cef_header)(self._text, begin, end)

    def _version(self, begin: int, signature: int, end: int) -> int | None:
        """Find where the version before a signature begins, if the two begin a record."""
        earliest = max(begin, signature - _LONGEST_VERSION)
        match = headers.VERSION_BEFORE.search(self._text, earliest, signature)
        start = self._beginning.match(self._text, match.start(), end) if match else None
        return start.start(2) if start and start.end() == signature + 1 else None

    def _is_open(self, record: _Record, place: int) -> bool:
        """Whether a record is visibly not at its end at the end of a line."""
        span = record.at(place)
        if span is None or record.keys is None:
            return False
        if span.close == -1 or span.close > place:
            return True
        if span.key in record.keys.goes_on and (span.close == span.begin or not self._is_complete(record, place)):
            return True
        return self._in_quotes(span, place)

    def _is_complete(self, record: _Record, place: int) -> bool:
        """Whether a record has all that every event has, before a place."""
        starts = [span.start for span in record.spans] + [place]
        ended = zip(record.spans, starts[1:], strict=True)
        given = {span.key for span, end in ended if self._text[span.begin : end].strip()}
        return record.keys is not None and given.issuperset(record.keys.required)

    def _decide(self, record: _Record, signature: int, end: int, line: int) -> _Record:
        """Decide what a signature within a record is; returns the record that goes on after it."""
        version = self._version(record.piece.begin, signature, end)
        header = self._header(signature + 1, end) if version is not None else None
        whole = header is not None and _PAIR_OR_END.match(self._text, header.end) is not None
        place = signature if version is None else version
        begin = self._begin_of_prefix(record, record.at(place), place, end)
        span = record.forget(begin)
        between = headers.SEPARATORS.search(self._text, max(record.piece.begin, begin - _MOST_SEPARATORS), begin)
        stop = between.start() if between else begin
        if whole and between and headers.LINE_END.search(between[0]):
            record.piece.end = stop
            return self._begin(begin, signature + 1, end, line, imperva=True)
        if span is not None and span.close > place:
            return self._fold(record, span)
        text = span if span is not None and self._is_text(record, span, stop) else None
        if text is not None and not (whole and record.imperva):
            return self._fold(record, text)
        if not record.imperva:
            record.piece.refused = RejectionReason.AMBIGUOUS_HEADER
            self._folded += 1
            return record
        complete = self._is_complete(record, stop)
        unclear = not whole or (not complete and (text is not None or self._has_client_text(record)))
        was_refused = record.piece.refused is not None
        unclear |= was_refused and not self._is_settled(record, stop)
        if unclear:
            record.piece.refused = RejectionReason.AMBIGUOUS_HEADER
        elif text is not None:
            record.piece.warnings.append(f"header_in_text:{text.key}")
        record.piece.end = stop
        after = self._begin(begin, signature + 1, end, line, imperva=True)
        if text is not None or unclear:
            after.piece.refused = RejectionReason.AMBIGUOUS_HEADER
            if not was_refused:
                self._headers, self._given, self._counted = 0, {}, stop
            self._headers += 1
        elif was_refused:
            after.piece.warnings.append("follows_incomplete")
        return after

    def _is_settled(self, record: _Record, place: int) -> bool:
        """Whether what every event has came once more than headers were refused: their record is at its end then."""
        if record.keys is None:
            return False
        for key in record.keys.required:
            more = sum(self._text.count(f"{blank}{key}=", self._counted, place) for blank in "| \t")
            self._given[key] = self._given.get(key, 0) + more
        self._counted = place
        return min(self._given.values()) > self._headers

    def _is_text(self, record: _Record, span: Span, place: int) -> bool:
        """Whether a place in a value may be in text that a client wrote, or that is not at its end."""
        if span.begin < span.close <= place or record.keys is None:
            return False
        return span.close == -1 or span.key in record.keys.client or self._in_quotes(span, place)

    def _fold(self, record: _Record, span: Span) -> _Record:
        """Take a signature for text."""
        self._folded += 1
        record.piece.warnings.append(f"header_in_text:{span.key}")
        return record

    def _in_quotes(self, span: Span, place: int) -> bool:
        value = self._text[span.begin : place].lstrip()
        return value[:1] == '"' and value.count('"') % 2 == 1

    def _has_client_text(self, record: _Record) -> bool:
        return record.keys is None or any(span.key in record.keys.client for span in record.spans)

    def _begin_of_prefix(self, record: _Record, span: Span | None, place: int, end: int) -> int:
        """Find where begins what stands before a header: a syslog prefix, or all after a value of one word."""
        # What looks like a pair may be the structured data of a prefix.
        known = next((one.begin for one in reversed(record.spans) if record.is_known(one)), record.piece.begin)
        earliest = max(known, place - _LONGEST_PREFIX)
        prefix = headers.SYSLOG_BEFORE.search(self._text, earliest, place)
        begin = self._without_count(earliest, prefix.start() if prefix else place, end)
        if span is not None and record.keys is not None and span.key in record.keys.one_word:
            word = _FIRST_WORD.match(self._text, span.begin, begin)
            begin = word.end() if word else begin
        return begin

    def _without_count(self, earliest: int, begin: int, end: int) -> int:
        """Find where the octet count before a message begins, which may be glued to the digits of a value."""
        digits = _DIGITS.search(self._text, earliest, begin - 1) if self._text[begin - 1 : begin] == " " else None
        for start in range(digits.start(), digits.end()) if digits else ():
            frame = begin + int(self._text[start : begin - 1])
            if frame <= end + _MOST_SEPARATORS and _NEXT_FRAME.match(self._text, frame):
                return start
        return begin
