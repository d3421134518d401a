"""The end of a JSON value that is too long to be kept: its brackets are counted, and its text is passed by."""

from __future__ import annotations

import re

import numpy as np

_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_OUTSIDE = re.compile(rf'(?:[^"]++|{_STRING.pattern})*+', re.DOTALL)
_INSIDE = re.compile(r'(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BRACKET = re.compile(rf"{_STRING.pattern}|[\[\]{{}}]", re.DOTALL)
_DEEPER, _BACK = b"[{", b"]}"


class Brackets:
    """How deep in brackets a text is, piece by piece from the bracket on that a value begins with."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False

    def close(self, text: str) -> tuple[int, bool]:
        """Look at the next piece.

        :return: how much of it was looked at, and whether the value ends there. Half of an escape at its end is to come
            again with the next piece.
        """
        place = 0
        while place < len(text):
            if self._in_string:
                end = _INSIDE.match(text, place).end()  # type: ignore[union-attr]
                if not text.endswith('"', place, end):
                    return end, False
                self._in_string, place = False, end
                continue
            end = _OUTSIDE.match(text, place).end()  # type: ignore[union-attr]
            if (close := self._end_in(text, place, end)) is not None:
                return close, True
            place = end
            if place < len(text):
                self._in_string = True
                place += 1
        return place, False

    def _end_in(self, text: str, begin: int, end: int) -> int | None:
        """Find where the value ends in a stretch of whole strings and what is between them."""
        between = _STRING.sub("", text[begin:end]).encode(errors="surrogatepass")
        characters = np.frombuffer(between, np.uint8)
        steps = np.isin(characters, list(_DEEPER)).astype(np.int32) - np.isin(characters, list(_BACK))
        steps = steps[steps != 0]
        depths = self._depth + np.cumsum(steps)
        if not len(depths) or depths.min() > 0:
            self._depth = int(depths[-1]) if len(depths) else self._depth
            return None
        for match in _BRACKET.finditer(text, begin, end):
            self._depth += 1 if match[0] in "[{" else -1 if match[0] in "]}" else 0
            if self._depth <= 0 and len(match[0]) == 1:
                return match.end()
        return None
