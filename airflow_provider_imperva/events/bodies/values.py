"""The values of a JSON text one after the other, with hardly more of the text in memory than the value at hand.

Values are those at the top of the text and the elements of arrays there, which may be as long as they like. Commas that
are too many, and those at the top, are like blanks. Objects keep their pairs in order, and numbers their digits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from airflow_provider_imperva.events.bodies.reading import MAX_RECORD_BYTES
from airflow_provider_imperva.events.grammar.record import Rejection
from airflow_provider_imperva.events.scan import kernel

_BLANKS = re.compile("[ \t\r\n\x0b\x0c\ufeff]*")
_LONGEST_TOKEN = 16
"""Characters that tell where a number, word or escape ends: what is found closer to the end of a text may change."""


class Object(list[tuple[str, Any]]):
    """The pairs of an object, in order; a key may recur."""


class Literal(str):
    """A number as it is written."""

    __slots__ = ()


# What Python would make of numbers and repeated keys loses digits and values.
_DECODER = json.JSONDecoder(
    object_pairs_hook=Object, parse_int=Literal, parse_float=Literal, parse_constant=Literal, strict=False
)


class Values:
    """The values of a text, up to the first that cannot be read. To be gone through once.

    :ivar failed: why there are no more; None at the end of the text.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        """Begin.

        :param texts: the text in order, cut anywhere.
        """
        self.failed: Rejection | None = None
        self._texts = iter(texts)
        self._text = ""
        self._place = 0
        self._in_array = False
        self._count = self._counted_up_to = self._depth_there = 0

    def __iter__(self) -> Iterator[tuple[Any, str]]:
        """Give each value with its text."""
        behind_value = False
        while character := self._next_character():
            if character in (",", "]" if self._in_array else "["):
                self._in_array ^= character != ","
                self._place += 1
                behind_value = False
                continue
            found, end = (Rejection.BAD_JSON, 0) if behind_value and self._in_array else self._read()
            if isinstance(found, Rejection):
                self.failed = found
                return
            begin, self._place = self._place, end
            behind_value = True
            yield found, self._text[begin:end]

    def rest(self) -> Iterator[str]:
        """Give the text from the value on that could not be read."""
        yield self._text[self._place :]
        yield from self._texts

    def count(self) -> int:
        """How many values were passed, counted by their brackets and quotes alone."""
        passed = self._text[self._counted_up_to : self._place]
        self._count += _counted(passed, depth=self._depth_there, level=1)
        self._counted_up_to, self._depth_there = self._place, int(self._in_array)
        return self._count

    def _next_character(self) -> str:
        """Pass over blanks; nothing comes at the end."""
        while True:
            self._place = _BLANKS.match(self._text, self._place).end()  # type: ignore[union-attr]
            if self._place < len(self._text) or not self._read_on():
                return self._text[self._place : self._place + 1]

    def _read(self) -> tuple[Any, int]:
        """Read the value here and tell where it ends; reads on as long as more text might change what is found."""
        while True:
            found, end = _decoded(self._text, self._place)
            ahead = len(self._text) - end
            if ahead >= _LONGEST_TOKEN or end - self._place > MAX_RECORD_BYTES or not self._read_on():
                break
        if end - self._place > MAX_RECORD_BYTES:
            return Rejection.TOO_LONG, end
        if self._in_array or isinstance(found, Object | Rejection):
            return found, end
        return Rejection.NOT_A_RECORD, end

    def _read_on(self) -> bool:
        """Read at least as much again as is left; a value that is read anew each time still takes linear time."""
        self.count()
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


def _decoded(text: str, place: int) -> tuple[Any, int]:
    """Read a value, or say why there is none; and how far one had to look for that."""
    try:
        return _DECODER.raw_decode(text, place)
    except RecursionError:
        return Rejection.TOO_DEEP, place
    except json.JSONDecodeError as error:
        # Of a string without end its begin is told.
        return Rejection.BAD_JSON, len(text) if error.msg.startswith("Unterminated") else error.pos


def count_items(text: str) -> int:
    """How many elements the only list in an object has, counted by brackets and quotes alone.

    :param text: the object.
    """
    return _counted(text, depth=0, level=2) - 1


def _counted(text: str, *, depth: int, level: int) -> int:
    return kernel.count_values(np.frombuffer(text.encode(errors="surrogateescape"), np.uint8), depth, level)


def dumped(value: Any) -> str:
    """Write JSON without blanks; without recursion, so that nothing is too deep for it."""
    parts: list[str] = []
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, Literal):
            parts.append(item)
        elif isinstance(item, Object):
            stack.append(Literal("}"))
            for place, (key, inner) in reversed(list(enumerate(item))):
                stack += [inner, Literal(f"{',' if place else ''}{json.dumps(key, ensure_ascii=False)}:")]
            stack.append(Literal("{"))
        elif isinstance(item, list):
            stack.append(Literal("]"))
            for place, inner in reversed(list(enumerate(item))):
                stack += [inner, Literal("," if place else "")]
            stack.append(Literal("["))
        else:
            parts.append(json.dumps(item, ensure_ascii=False))
    return "".join(parts)
