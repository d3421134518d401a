r"""The lines of a W3C body: where one ends, which begin a row, which are directives, and where a directive ends.

A line ends at LF, and at the other control characters that transfers leave behind (CR alone, NUL, form feed, ...) where
a row or a directive begins after them. Within a quoted value they are text, unless a quote stands on both sides.

A directive is a line that begins with ``#``, one of the names of the standard and a colon. Other lines with ``#`` are
not.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from airflow_provider_imperva import beginnings

CONTROLS = beginnings.CONTROLS.encode()
ROW = re.compile(beginnings.ROW.encode())
DIRECTIVE = re.compile(beginnings.DIRECTIVE.encode())

_RELAY = rf"(?:{beginnings.SYSLOG})[ \t]*"
PREFIX = re.compile(rf"{_RELAY}(?={beginnings.DIRECTIVE}|{beginnings.ROW})".encode())
"""What a syslog relay writes before a directive or a row of quoted values."""

BARE_PREFIX = re.compile(rf"(?!{beginnings.BARE_ROW}){_RELAY}(?={beginnings.DIRECTIVE}|{beginnings.BARE_ROW})".encode())
"""The same before a row without quotes. Only one that begins with date and time can be distinguished from a prefix."""

ROW_BEGIN = re.compile(rf"(?:{_RELAY})?{beginnings.ROW}".encode())
DIRECTIVE_BEGIN = re.compile(rf"(?:{_RELAY})?{beginnings.DIRECTIVE}".encode())
"""What a line begins with that holds a row or a directive, with a prefix or without."""

NAMES_BEHIND_ROW = re.compile(rb'"[ \t]*#[ \t]*Fields[ \t]*:', re.IGNORECASE)
"""Where a directive stands in the line of a row: it is ignored there, since the row may be a client's text."""

BREAK = re.compile(rb"[%b][%b \t]*" % (CONTROLS, CONTROLS))
"""Where a line may end, LF aside."""

_NAME = re.compile(r'"?[A-Za-z][^\s"]*"?')
# A row directly after the names: a value that begins as no name does, or a quote after names without quotes.
_AFTER_NAMES = re.compile(rb'[ \t:](?=[0-9]|"(?![A-Za-z]))|[^" \t:][ \t]+(?=")|(?<=[A-Za-z)])(?="[0-9])')
_AFTER_TEXT = re.compile(rb'[ \t:](?="[^"]*"[ \t]+")|(?=#[ \t]*Fields[ \t]*:)', re.IGNORECASE)
_AFTER_VERSION = re.compile(rb":[ \t]*[0-9.]+[ \t]+(?=\S)")
_AFTER_TIME = re.compile(rb":[ \t]*[0-9A-Za-z/-]+[ \t]+[0-9]{1,2}:[0-9:.]+[ \t]+(?=[0-9\"-])")


class Directive(NamedTuple):
    """A directive.

    :ivar name: in lower case.
    :ivar value: what it says.
    :ivar end: where it ends in its line: a row may stand directly after it.
    """

    name: str
    value: str
    end: int

    @classmethod
    def read(cls, line: bytes) -> Directive:
        """Read a line that begins with a directive."""
        begin = DIRECTIVE.match(line)
        if begin is None:
            raise ValueError("no directive")
        name = begin[1].decode().lower()
        after = _AFTER_NAMES if name == "fields" else _AFTER_TEXT
        ends = [match.end() for match in _matches(line, begin.end() - 1, name, after)]
        end = min(ends, default=len(line))
        return cls(name, line[begin.end() : end].decode(errors="replace").strip(), end)


def _matches(line: bytes, colon: int, name: str, after: re.Pattern[bytes]) -> list[re.Match[bytes]]:
    matches = [after.search(line, colon)]
    if name == "version":
        matches.append(_AFTER_VERSION.match(line, colon))
    elif name.endswith("date"):
        matches.append(_AFTER_TIME.match(line, colon))
    return [match for match in matches if match is not None]


def continued_names(line: bytes, known: frozenset[str]) -> str | None:
    """Read a line that goes on with the names of the ``#Fields`` before it; None if it does not.

    :param known: names of fields, in lower case. At least one of the line's has to be among them.
    """
    names = line.decode(errors="replace").strip(" \t\ufeff#\\").split()
    if not names or not all(map(_NAME.fullmatch, names)):
        return None
    return " ".join(names) if any(name.strip('"').lower() in known for name in names) else None
