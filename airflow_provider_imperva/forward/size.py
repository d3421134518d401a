"""Events that are larger than a destination takes."""

from __future__ import annotations

from typing import Literal


def fitted(body: bytes, *, largest: int, how: Literal["truncate", "split", "reject"]) -> list[bytes]:
    """Cut a body that is too large; a character of UTF-8 is never cut in two.

    :return: the pieces to send in its place; none if it is rejected.
    """
    if how == "reject":
        return []
    if how == "truncate":
        return [body[: _cut(body, 0, largest)]]
    pieces = []
    begin = 0
    while begin < len(body):
        end = _cut(body, begin, largest)
        pieces.append(body[begin:end])
        begin = end
    return pieces


def _cut(body: bytes, begin: int, largest: int) -> int:
    """Find where a piece may end: not before a continuation byte, unless there are more of them than UTF-8 has."""
    end = begin + largest
    if end >= len(body):
        return len(body)
    for place in range(end, max(end - 4, begin), -1):
        if body[place] & 0xC0 != 0x80:
            return place
    return end
