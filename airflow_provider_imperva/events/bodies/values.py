"""The values of a JSON text one after the other, with hardly more of the text in memory than the value at hand.

Values are those at the top of the text and the elements of arrays there, which may be as long as they like. What a
syslog relay writes before a value at the top is not a value. Commas that
are too many, and those at the top, are like blanks, and so are control characters and the blanks of Unicode: the record
separator of RFC 7464 and what transfers leave behind. Objects keep their pairs in order, and numbers their digits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from airflow_provider_imperva.beginnings import COOKIE, OBJECTS, SYSLOG
from airflow_provider_imperva.events.bodies.brackets import Brackets
from airflow_provider_imperva.events.bodies.text_block import MAX_RECORD_BYTES
from airflow_provider_imperva.events.grammar.envelopes import EVENT_KEYS, LISTS
from airflow_provider_imperva.events.grammar.record import RejectionReason
from airflow_provider_imperva.events.scan import kernel
from airflow_provider_imperva.events.scan.long_lines import HEAD_BYTES

_BLANKS = re.compile("[\x00-\x20\x85\xa0\u2028\u2029\ufeff]*")
_BRACKET = re.compile(r'(?:[^\[\]{}"\n]++|"(?:[^"\\\n]++|\\[^\n])*+")*+([\[\]{}])')
_UNFINISHED = re.compile(
    r"-?(?:I(?:n(?:f(?:i(?:n(?:it?)?)?)?)?)?)?|t(?:ru?)?|f(?:a(?:ls?)?)?|n(?:ul?)?|Na?|\\|\\?u[0-9A-Fa-f]{0,3}",
    re.ASCII,
)
"""What a token begins with whose end is missing."""

_LEAST_COST, _COST_OF_DEPTH, _MOST_COST = 1 << 10, 1 << 18, 1 << 26
"""Characters that may be looked at for values that cannot be read; one counts as so many, and one too deep."""

MAX_ENVELOPE_BYTES = 2 * MAX_RECORD_BYTES
"""What is read as one value: an envelope holds many records, and may be longer than one of them."""

_LONGEST_TOKEN = 16
"""Characters that tell where a number, word or escape ends: what is found closer to the end of a text may change."""

_FARTHEST = 1 << 12
"""Characters of an object that may stand before its list of events, where it has to be found without reading it."""

_LAST_LINE = re.compile(r"(?<=[\n\x1e])[^\n\x1e]*\Z")
_LIST_IN_OBJECT = re.compile(rf'\{{[^\[\]]{{0,{_FARTHEST}}}?"([A-Za-z]+)"\s*:\s*\[(?=\s*\{{)')

_LONGEST_PREFIX = 512
"""Characters; more than what a syslog relay writes."""

_PREFIX = re.compile(rf"(?:#01[0-5]|[ \t])*((?:{SYSLOG})?[ \t]*{COOKIE})(?={OBJECTS})")
_EVENT_KEY = re.compile(rf'"(?:{"|".join(map(re.escape, sorted(EVENT_KEYS)))})(?:\.[^"\\]*)?"\s*:')


class Object(list[tuple[str, Any]]):
    """The pairs of an object, in order; a key may recur."""

    __slots__ = ()


class Literal(str):
    """A number as it is written."""

    __slots__ = ()


# What Python would make of numbers and repeated keys loses digits and values.
# A list of a million ones holds the same one a million times.
_literal = lru_cache(1 << 12)(Literal)
_DECODER = json.JSONDecoder(
    object_pairs_hook=Object, parse_int=_literal, parse_float=_literal, parse_constant=_literal, strict=False
)


class Values:
    """The values of a text, up to the first that cannot be read; :meth:`skip` skips that one.

    :ivar failed: why there are no more; None at the end of the text.
    :ivar is_open: whether the text ends in an array.
    :ivar prefix: what a syslog relay wrote before the value given last, or before the one that cannot be read.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        """Begin.

        :param texts: the text in order, cut anywhere.
        """
        self.failed: RejectionReason | None = None
        self.is_open = False
        self.prefix = ""
        self._texts = iter(texts)
        self._text = ""
        self._place = 0
        self._after_value = False
        # What blanks the value here has before it in its line; None if there is something else.
        self._indent: str | None = ""
        self._at_begin = True
        self._count = self._counted_up_to = self._depth_there = 0
        self._cost = 0
        self._stopped_at_end = False

    def __iter__(self) -> Iterator[tuple[Any, str]]:
        """Give each value with its text."""
        while character := self._next_character():
            if character in (",", "]" if self.is_open else "["):
                self.is_open ^= character != ","
                self._place += 1
                self._after_value = False
                continue
            if not self.is_open and character not in "[{" and self._pass_prefix():
                continue
            value, end = self._missed_comma() if self._after_value and self.is_open else self._read()
            if isinstance(value, RejectionReason):
                self.failed = value
                return
            begin, self._place = self._place, end
            self._after_value = True
            yield value, self._text[begin:end]
            self.prefix = ""

    def skip(self) -> tuple[RejectionReason, str]:
        """Pass over the value that could not be read.

        That is its text up to the bracket that closes it, if that is in its line; else up to the next line with a value
        that is indented as this one, the end of the line if this one begins within it, or the next record separator.
        In an object around a list of events it is what stands before them.

        :return: why it could not be read, and its text; of what is too long, the head of it.
        """
        reason, self.failed = self.failed or RejectionReason.BAD_JSON, None
        self._count_passed()
        self._read_ahead()
        end = self._list_begin()
        if end is not None:
            self.is_open, self._after_value = True, False
        elif reason != RejectionReason.TOO_LONG:
            end = self._bracket_end()
            self._after_value = self.is_open and end is not None
            if end is None:
                end = self._next_begin()
                at_end = end == len(self._text)
                if at_end and self._stopped_at_end and reason == RejectionReason.BAD_JSON:
                    reason = RejectionReason.TRUNCATED
                # This error makes another one about the missing end of the array around it redundant.
                if at_end or (end is not None and _ends_array(self._text[self._place : end])):
                    self.is_open = False
        if end is None:
            prefix, self.prefix = self.prefix, ""
            return RejectionReason.TOO_LONG, prefix + self._pass_by()
        text = self.prefix + self._text[self._place : end].rstrip()
        self.prefix = ""
        self._place = self._counted_up_to = end
        self._depth_there = int(self.is_open)
        return reason, text

    def _pass_by(self) -> str:
        """Pass over a value that is too long to be in memory, to where it closes or the next begins; keep its head."""
        head = self._text[self._place : self._place + HEAD_BYTES]
        brackets = Brackets() if head[:1] in ("{", "[") else None
        begin = self._begin_of_next()
        overlap = len(self._indent or "") + 3 + _LONGEST_PREFIX
        seen, first, length = 0, 1, 0
        while True:
            left = self._text[self._place :]
            looked_at, closed = brackets.close(left[seen:]) if brackets else (len(left) - seen, False)
            seen += looked_at
            match = begin.search(left, first)
            if closed or match:
                end = min(seen if closed else len(left), match.start() if match else len(left))
                by_bracket = closed and end == seen
                break
            # What is passed is neither kept nor counted.
            passed = max(len(left) - overlap, 0)
            self._place = self._counted_up_to = self._place + passed
            length += passed
            if not self._read_on():
                end, by_bracket = len(self._text) - self._place, False
                self.is_open = False
                break
            seen, first = seen - passed, 0 if passed else 1
        if not by_bracket and _ends_array(left[:end]):
            self.is_open = False
        self._after_value = self.is_open and by_bracket
        self._place = self._counted_up_to = self._place + end
        self._depth_there = int(self.is_open)
        return head[: length + end].rstrip()

    @property
    def is_costly(self) -> bool:
        """Whether so much could not be read that the rest is better read line by line."""
        return self._cost > _MOST_COST

    def rest(self) -> Iterator[str]:
        """Give the text from the value on that could not be read."""
        yield self.prefix + self._text[self._place :]
        yield from self._texts

    def count(self) -> int:
        """How many values were passed since this was asked last, counted by their brackets and quotes alone."""
        self._count_passed()
        count, self._count = self._count, 0
        return count

    def _count_passed(self) -> None:
        passed = self._text[self._counted_up_to : self._place]
        self._count += _counted(passed, depth=self._depth_there)
        self._counted_up_to, self._depth_there = self._place, int(self.is_open)

    def _next_character(self) -> str:
        """Pass over blanks; nothing comes at the end."""
        indent = "" if self._at_begin else None
        while True:
            blanks = _BLANKS.match(self._text, self._place)[0]  # type: ignore[index]
            self._place += len(blanks)
            if line := _LAST_LINE.search(blanks):
                indent = line[0]
            elif indent is not None:
                indent += blanks
            if self._place < len(self._text) or not self._read_on():
                self._indent = None if indent is None else indent.lstrip("\ufeff")
                self._at_begin = False
                return self._text[self._place : self._place + 1]

    def _pass_prefix(self) -> bool:
        """Pass over what a syslog relay wrote here, if it did; no value is in that, so none is counted."""
        while len(self._text) - self._place < _FARTHEST and self._text.find("\n", self._place) < 0:
            if not self._read_on():
                break
        match = _PREFIX.match(self._text, self._place)
        if match is None:
            return False
        self._count_passed()
        self.prefix += match[0]
        self._place = self._counted_up_to = match.end()
        return True

    def _read(self) -> tuple[Any, int]:
        """Read the value here and tell where it ends; reads on as long as more text might change what is found."""
        while True:
            value, end = _decoded(self._text, self._place)
            ahead = len(self._text) - end
            at_end = ahead < _LONGEST_TOKEN
            if not at_end or end - self._place > MAX_ENVELOPE_BYTES or not self._read_on():
                break
        if end - self._place > MAX_ENVELOPE_BYTES:
            return RejectionReason.TOO_LONG, end
        if isinstance(value, RejectionReason):
            left = self._text[end:].rstrip()
            self._stopped_at_end = at_end and (not left or _UNFINISHED.fullmatch(left) is not None)
            self._cost += _LEAST_COST + (_COST_OF_DEPTH if value == RejectionReason.TOO_DEEP else end - self._place)
            return value, end
        if self.is_open or isinstance(value, Object):
            return value, end
        self._stopped_at_end = False
        return RejectionReason.NOT_A_RECORD, end

    def _missed_comma(self) -> tuple[RejectionReason, int]:
        self._stopped_at_end = False
        return RejectionReason.BAD_JSON, self._place

    def _read_ahead(self) -> None:
        """Read the whole line, unless that is too long, and as much as may stand before a list of events."""
        while (left := len(self._text) - self._place) < 2 * _FARTHEST or (
            left <= MAX_RECORD_BYTES and self._text.find("\n", self._place) < 0
        ):
            if not self._read_on():
                break

    def _list_begin(self) -> int | None:
        """Find where the list begins in an object that cannot be read as a whole, if it is one of events."""
        if self.is_open:
            return None
        match = _LIST_IN_OBJECT.match(self._text, self._place)
        if match is None or match[1].lower() not in LISTS or _EVENT_KEY.search(self._text, self._place, match.end()):
            return None
        return match.end()

    def _bracket_end(self) -> int | None:
        """Find where the brackets of the value here close; None if not in its line."""
        place, opened = self._place, list[str]()
        while match := _BRACKET.match(self._text, place):
            if not opened and match.end() > self._place + 1:
                return None
            if match[1] in "[{":
                opened.append(match[1])
            elif not opened or opened.pop() + match[1] not in ("[]", "{}"):
                return None
            place = match.end()
            if not opened:
                return place
        return None

    def _next_begin(self) -> int | None:
        """Find where the next value may begin after the one here; None if that is too far away."""
        begin = self._begin_of_next()
        place = self._place + 1
        while not (match := begin.search(self._text, place)):
            left = len(self._text) - self._place
            if left > MAX_RECORD_BYTES:
                return None
            if not self._read_on():
                return len(self._text)
            place = self._place + max(left - len(self._indent or "") - 2 - _LONGEST_PREFIX, 1)
        return match.start()

    def _begin_of_next(self) -> re.Pattern[str]:
        if self._indent is None:
            return re.compile("[\n\x1e]")
        closing = rf"|\n[ \t]{{0,{len(self._indent) - 1}}}(?=\])" if self.is_open and self._indent else ""
        return re.compile(rf"\x1e|\n{re.escape(self._indent)}(?=(?:{_PREFIX.pattern})?[{{\[]){closing}")

    def _read_on(self) -> bool:
        """Read at least as much again as is left; a value that is read again each time still takes linear time."""
        self._count_passed()
        pieces = [self._text[self._place :]]
        left = size = len(pieces[0])
        while size <= 2 * left and (piece := next(self._texts, None)) is not None:
            pieces.append(piece)
            size += len(piece)
        if size == left:
            return False
        self._text = "".join(pieces)
        self._place = self._counted_up_to = 0
        return True


def _ends_array(passed: str) -> bool:
    return passed.rstrip(" ,\t\r\n").endswith("]")


def _decoded(text: str, place: int) -> tuple[Any, int]:
    """Read a value, or say why there is none; and how far one had to look for that."""
    try:
        return _DECODER.raw_decode(text, place)
    except RecursionError:
        return RejectionReason.TOO_DEEP, place
    except json.JSONDecodeError as error:
        # For a string without end, its beginning is reported.
        return RejectionReason.BAD_JSON, len(text) if error.msg.startswith("Unterminated") else error.pos


def _counted(text: str, *, depth: int) -> int:
    return kernel.count_values(np.frombuffer(text.encode(errors="surrogateescape"), np.uint8), depth)


def dumped(value: Any) -> str:
    """Write JSON without blanks; without recursion, so that nothing is too deep for it."""
    parts: list[str] = []
    # What is left of each list and object around, so that memory is taken for what is written only.
    stack: list[Iterator[Any]] = [iter((value,))]
    while stack:
        if (item := next(stack[-1], stack)) is stack:
            stack.pop()
        elif isinstance(item, Literal):
            parts.append(item)
        elif isinstance(item, Object):
            stack.append(_object(item))
        elif isinstance(item, list):
            stack.append(_list(item))
        else:
            parts.append(json.dumps(item, ensure_ascii=False))
    return "".join(parts)


_BEGIN, _END, _BEGIN_LIST, _END_LIST, _COMMA, _COLON = map(Literal, "{}[],:")


def _object(pairs: Object) -> Iterator[Any]:
    yield _BEGIN
    for place, (key, inner) in enumerate(pairs):
        if place:
            yield _COMMA
        yield key
        yield _COLON
        yield inner
    yield _END


def _list(items: list[Any]) -> Iterator[Any]:
    yield _BEGIN_LIST
    for place, inner in enumerate(items):
        if place:
            yield _COMMA
        yield inner
    yield _END_LIST
