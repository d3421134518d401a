r"""How a secret stands beside its name: patterns for parameters, JSON, headers, XML and multipart forms.

All patterns are in the syntax of RE2, which takes time in proportion to a text's length whatever the text is: clients
choose what is in a log.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

REDACTED = "REDACTED"
"""What takes the place of a secret."""

ESCAPED_UNRESERVED = r"%(?:25)*(?:2[de]|3[0-9]|4[1-9a-f]|5[0-9af]|6[1-9a-f]|7[0-9ae])"
"""A percent-encoded character that does not have to be encoded (RFC 3986, 2.3); decoding it gives an equivalent URI."""

BEFORE_ANY = r"(?:\b|\\u00(?:26|3[bf])|\\[rnt]|%(?:25)*(?:0[ad]|2[0-9a-f]|3[a-f]|40|5[b-e]|60|7[b-e]))"
"""Where a name or a token may begin: at the border of a word, or after an escaped delimiter."""

BLANK = r"(?:[\s+]|%(?:25)*(?:20|2b))"
"""A blank, encoded or not."""

_DEPTHS = (1, 2)
"""How often a nested parameter may be encoded. Decoding once and looking again is depth 1."""

_AFTER_NAME = r"(?:[\[\]0-9]|%(?:25)*5[bd])*"
"""Brackets and numbers after a name: ``token[]``, ``user[password]``, ``token2``."""

_JSON_TEXT = r'(?:[^"\\]|\\.)+'

_QUOTES = ((1, 1), (2, 1), (3, 1), (0, 2), (1, 2))
"""How quotes of JSON stand where the text is in a text of JSON itself, in a line of CEF, which doubles backslashes, or
in a row of W3C, which doubles quotes: how many backslashes and how many quotes.
"""

_JSON_OTHER = r'(?:[^"\'\s,\[\]{}\\&][^,\s\]}"\\&]*|\[[^\]]*\]?|\{[^{}]*\}?)'
"""A number, a word, a list or an object without objects in it."""

_LINE_END = r"(?:\r?\n|\\r\\n|\\n)"


class Replacement(NamedTuple):
    r"""A pattern, and what takes its place.

    :ivar by: ``\1`` in it is the pattern's first group.
    :ivar needs: what is in every text that the pattern matches, in lower case. To look for it costs next to nothing,
        and to compile a pattern does not.
    """

    pattern: str
    by: str
    needs: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedSecrets:
    """Values that are secret because of their names.

    :ivar names: a pattern of the names, whatever their case.
    :ivar value: a pattern of one character of an unencoded value of a parameter.
    :ivar shortest: the least characters of a value.
    :ivar has_blanks: whether a value of a parameter may hold blanks.
    :ivar has_lines: whether a name and a colon make a header, whose value goes to the end of the line.
    :ivar has_colons: whether a name, a colon and a blank stand before a value in text.
    """

    names: str
    value: str = r'(?:[^&;\s"<>\\]|\\[^u"\s])'
    shortest: int = 1
    has_blanks: bool = True
    has_lines: bool = False
    has_colons: bool = False

    def in_values(self) -> tuple[Replacement, ...]:
        """Return what to replace in the value of one column."""
        # Whole lines of headers first: what takes a part of one would leave the rest without its name.
        return (*self._others(), *self._parameters(line=False), *self._json(line=False))

    def in_lines(self) -> tuple[Replacement, ...]:
        """Return what to replace in a whole line, in which blanks, tabs or quotes end the value of a column."""
        return (*self._others(), *self._parameters(line=True), *self._json(line=True))

    def _parameters(self, *, line: bool) -> Iterator[Replacement]:
        name = rf"(?:{self.names}){_AFTER_NAME}"
        least = f"{{{self.shortest},}}"
        quoted = r"""\\?"[^"]+"|'[^'&\s]+'|""" if self.shortest == 1 else ""
        value = f"(?:{quoted}{self.value}{least})"
        if self.has_blanks and not line:
            begin, text = rf"((?:^|[&?])(?:[\w.-]*\[)?{name}=)", r'[^&;"<>\r\n]+'
            # A semicolon is in the value unless what follows it is a parameter.
            yield Replacement(rf'(?i){begin}{text}(?:;[^=&;"<>\r\n]+)+(&|$)', rf"\1{REDACTED}\2", ";")
            yield _kept(begin + text, needs="=")
        if self.has_blanks and line:
            # Words that follow belong to the value, unless an equals sign makes one of them the name of the next.
            words = r'(?: +[^=&;\s"<>\\]+)*'
            pattern = rf'(?i)({BEFORE_ANY}{name}\\?=){value}{words}([\s&;"<>\\]|$)'
            yield Replacement(pattern, rf"\1{REDACTED}\2", "=")
        yield _kept(rf"({BEFORE_ANY}{name}\\?=){value}", needs="=")
        for depth in _DEPTHS:
            sign = _encoded(depth, "3d")
            yield _kept(rf"({BEFORE_ANY}{name}{sign})(?:{_nested(depth)}){least}", needs=sign)

    def _json(self, *, line: bool) -> Iterator[Replacement]:
        name = rf"{BEFORE_ANY}(?:{self.names})"
        colon = r"\s*:\s*"
        yield _kept(rf'({name}"{colon}"){_JSON_TEXT if not line else _escaped_text(0, 1)}', needs='"')
        yield Replacement(rf'(?i)({name}"{colon}){_JSON_OTHER}', rf'\1"{REDACTED}"', '"')
        for backslashes, quotes in _QUOTES:
            quote = "\\" * backslashes + '"' * quotes
            pattern = re.escape(quote)
            text = _escaped_text(backslashes, quotes)
            yield _kept(rf"({name}{pattern}{colon}{pattern}){text}", needs=quote)
            by = quote.replace("\\", r"\\")
            yield Replacement(rf"(?i)({name}{pattern}{colon}){_JSON_OTHER}", rf"\1{by}{REDACTED}{by}", quote)
        yield _kept(rf"({name}'{colon}')[^']+", needs="'")
        for depth in _DEPTHS:
            quote, backslash, code = (_encoded(depth, code) for code in ("22", "5c", "3a"))
            colon = rf"{BLANK}*(?::|{code}){BLANK}*"
            inside = rf'(?:{backslash}{quote}|[^%&"\s]|{_no_quote(depth)})+'
            yield _kept(rf"({name}{quote}{colon}{quote}){inside}", needs=quote)
            yield Replacement(rf"(?i)({name}{quote}{colon})[0-9a-z.-]+", rf"\1{quote}{REDACTED}{quote}", quote)

    def _others(self) -> Iterator[Replacement]:
        names = self.names
        yield _kept(rf"(<(?:[\w-]+[:-])?(?:{names})(?:\s[^<>]*)?>(?:<!\[CDATA\[)?)[^<>\]]+", needs="<")
        yield _kept(
            rf'(name\\?=\\*"?(?:{names}){_AFTER_NAME}\\*"[^\r\n\\]*(?:{_LINE_END}[^\r\n\\]+)*{_LINE_END}{{2}})[^\r\n\\]+',
            needs="name",
        )
        if self.has_lines:
            yield _kept(rf"""((?:^|[\s,;{{|='"])(?:{names})\s*:\s*)[^\s"][^\r\n"]*""", needs=":")
        if self.has_colons:
            yield _kept(rf"""({BEFORE_ANY}(?:{names})\s*:\s+)(?:'[^']+'|[^\s&,;"'<>{{}}\[\]]+)""", needs=":")

    def hint(self) -> str:
        """Return a pattern that is quickly found, and is in every text in which something is to be replaced."""
        return rf"""(?i:(?:{self._stems})[\[\]"'\\=:%>0-9\s+])"""

    @property
    def _stems(self) -> str:
        """The names without the other letters that may stand around them, so that little is looked for."""
        return re.sub(r"\\w\*(?=[a-z_\[])", "", self.names)

    def screen(self) -> str:
        """Return a pattern that is in every text in which something is to be replaced, and in few others."""
        names = self._stems
        signs = r"""(?:["'\\\s+]|%(?:25)*2[027b])*(?:[=:>]|%(?:25)*3[ad])"""
        form = r'\\*"[^\r\n]*[\r\n\\]'
        return rf"(?i:(?:{names}){_AFTER_NAME}(?:{signs}|{form}|\s[^<>]*>))"


def _kept(pattern: str, *, needs: str) -> Replacement:
    """Replace what comes after a pattern's only group, whatever the case of its letters."""
    return Replacement(f"(?i){pattern}", rf"\1{REDACTED}", needs)


def _escaped_text(backslashes: int, quotes: int) -> str:
    """Return a pattern of a text whose quotes have so many backslashes; one that has more belongs to the text."""
    return rf'(?:[^"\\]|\\+[^"\\]|\\{{{backslashes + 1},}}"{{{quotes}}})+'


def _encoded(depth: int, code: str) -> str:
    return f"%{'25' * (depth - 1)}{code}"


def _nested(depth: int) -> str:
    """Return a pattern of one character of a value that is encoded so often; it ends at a delimiter of any depth."""
    return rf'[^&\s"<>%]|%(?:{_no_delimiter(depth)})'


def _no_delimiter(depth: int) -> str:
    """Return a pattern of what follows a percent sign unless it is a line end, a quote, ``&``, ``<`` or ``>``."""
    if depth == 1:
        return "0[^ad]|2[^26]|3[^ce]|[^023%]"
    return rf"0[^ad]|2[^256]|3[^ce]|[^023%]|25(?:{_no_delimiter(depth - 1)})"


def _no_quote(depth: int) -> str:
    if depth == 1:
        return "%(?:[^2%]|2[^2])"
    return "%(?:[^2%]|2[^25]|25(?:[^2%]|2[^2]))"
