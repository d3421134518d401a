r"""What begins a record of CEF or LEEF, and what stands in its header.

``CEF:0|vendor|product|version|signature id|name|code|`` or ``LEEF:1.0|vendor|product|version|event id|``. Some exports
lose the ``CEF:``. What may stand before it on the line is in :mod:`~airflow_provider_imperva.beginnings`. All that
reads or looks for headers takes it from here.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from airflow_provider_imperva.beginnings import (
    BLANK_BYTES,
    CEF_VERSION,
    LEEF_VERSION,
    SYSLOG,
    TIME,
    VENDORS,
    WAF_PRODUCT,
    WHITE_BYTES,
)
from airflow_provider_imperva.events.grammar.record import TextRecord

SIGNATURES = tuple(f"|{vendor}|{product}|" for product, vendor in VENDORS.items())
"""What distinguishes a header of Imperva's from other text, wherever it stands."""

# What WHITE_BYTES are, as the characters they are.
_WHITE = r"[ \t\r\n\x00\x0b\x0c\x1c-\x1f\x85\xa0\u200b\u2028\u2029\ufeff]"

LINE_END = re.compile(r"[\r\n\x00\x0b\x0c]")
"""What ends a line if a header follows it. Values hold all of them but LF, so by themselves they end nothing."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """Patterns for what a record of one format begins with.

    :param text: for decoded text: white space, a syslog prefix (group 1), the version and its bar (2).
    :param latin: the same for bytes read as Latin-1.
    :param after_line_end: for the bytes of a whole body: a line end, and after it what surely begins a record.
    """

    text: re.Pattern[str]
    latin: re.Pattern[str]
    after_line_end: re.Pattern[bytes]

    @classmethod
    def of(cls, version: str) -> Beginning:
        """Take the pattern of a header's first part."""
        text, latin = (re.compile(rf"{white}*(?:({SYSLOG}){white}*)?({version})") for white in (_WHITE, WHITE_BYTES))
        blanks = rf"(?:[ \t]|{BLANK_BYTES})*"
        start = rf"{blanks}(?:(?:{SYSLOG}){blanks})?(?:{version})"
        ours = "|".join(signature[1:].replace("|", r"\|") for signature in SIGNATURES)
        after = rf"\n{start}|{LINE_END.pattern}{start}(?={ours})"
        return cls(text, latin, re.compile(after.encode("ascii")))


CEF = Beginning.of(CEF_VERSION)
LEEF = Beginning.of(LEEF_VERSION)
BEGINNINGS = {"CEF": CEF, "LEEF": LEEF}

VERSION_BEFORE = re.compile(r"(?:CEF: *[0-9]{1,4}|LEEF: *[0-9][0-9.]{0,7}|0)\Z")
"""What stands before a signature where a header begins, in a text that is cut there."""

SYSLOG_BEFORE = re.compile(
    rf"(?:<[0-9]{{1,3}}>(?:(?!<[0-9]{{1,3}}>)[^\n]){{0,300}}|{TIME}(?:(?!{TIME})[^\n=]){{0,200}})\Z"
)
"""A syslog prefix without its octet count, in a text that is cut where the header begins."""

SEPARATORS = re.compile(rf"(?:{WHITE_BYTES}|#01[0-5]|\\[nr])+\Z")
"""What stands between two records on a line: white space, and line ends as rsyslog and JSON write them. In Latin-1."""

_LONGEST_VERSION = 24
_BAR = re.compile(r"\\.|\|", re.DOTALL)
_HEADER_ESCAPE = re.compile(r"\\([\\|])")
# A rule's name may hold bars. After the code there is the first key, or nothing.
_CODE = re.compile(r"(?<!\\)\|[ \t]*(-?[0-9]{0,9})[ \t]*\|(?=[ \t|]*(?:[A-Za-z_][A-Za-z0-9_.-]*[ \t]*=|\Z))")
_LONGEST_NAME = 4096
_EMPTY_PART = re.compile(r"[ \t]*\|")

# LEEF may name what stands between attributes. That can be a bar, so the name ends before the first key.
_NAMED = re.compile(r"((?:=|[^=\r\n]{0,16}?))\|(?=[ \t]*(?:[A-Za-z_][A-Za-z0-9_.-]*[ \t]*=|\Z))")
_NUMBERED = re.compile(r"(?:0?x|\\x|\\?u|%)((?:[0-9A-Fa-f]{1,2}){1,4})", re.IGNORECASE)
_IN_QUOTES = re.compile(r"""(["'\[(<])(.+)["'\])>]""", re.DOTALL)
_NO_DELIMITER = re.compile(r"[A-Za-z0-9=\\]")


@dataclass(frozen=True, slots=True)
class Start:
    """Where a record starts in its text.

    :param prefix: what stands before it.
    :param is_syslog: whether that is nothing, or what a syslog relay writes.
    :param end: after the bar of the version.
    """

    prefix: str
    is_syslog: bool
    end: int

    def note(self, record: TextRecord) -> None:
        """Keep in a record what stands before it."""
        if self.prefix:
            record.extra.append(("prefix", self.prefix))
        if not self.is_syslog:
            record.warnings.append("text_before_header")


def begin_of(text: str, beginning: Beginning) -> Start | None:
    """Find where the record starts that a text holds; None if it holds none.

    After other text than a syslog prefix, only Imperva's own headers are taken for a start.
    """
    if start := beginning.text.match(text):
        return Start((start[1] or "").strip(), True, start.end())
    places = [place for signature in SIGNATURES if (place := text.find(signature)) >= 0]
    place = min(places, default=-1)
    version = VERSION_BEFORE.search(text, max(place - _LONGEST_VERSION, 0), place) if place >= 0 else None
    if version is None or not beginning.text.match(text, version.start()):
        return None
    return Start(text[: version.start()].strip(), False, place + 1)


@dataclass(frozen=True, slots=True)
class Header:
    """A header's parts.

    :param parts: unescaped and trimmed.
    :param end: where the rest of the record begins.
    :param delimiters: what may stand between attributes, if a LEEF header names that.
    :param named: how it is named; empty if it is not.
    """

    parts: list[str]
    end: int
    delimiters: tuple[str, ...] = ()
    named: str = ""


def read_cef_header(text: str, begin: int, end: int) -> Header | None:
    """Read the six parts after the version; None if they are not all there."""
    fixed = _split(text, begin, end, parts=4)
    if fixed is None:
        return None
    parts, begin = fixed
    window = text[begin : min(end, begin + _LONGEST_NAME)]
    if parts[1] == WAF_PRODUCT and (code := _CODE.search(window)):
        named, after = [_unescaped(window[: code.start()]), code[1]], begin + code.end()
    elif rest := _split(text, begin, end, parts=2):
        named, after = rest
    else:
        return None
    # With a bar missing, the first bar of the extension would end the code.
    if "=" in named[1]:
        return None
    empty = _EMPTY_PART.match(text, after, end)
    return Header([*parts, *named], empty.end() if empty else after)


def read_leef_header(text: str, begin: int, end: int) -> Header | None:
    """Read the four parts after the version, and the delimiter if it is named; None if they are not all there."""
    split = _split(text, begin, end, parts=4)
    # With a bar missing, the first bar of the attributes would end the event id.
    if split is None or "=" in split[0][-1]:
        return None
    parts, begin = split
    named = _NAMED.match(text, begin, end)
    if named is None:
        return Header(parts, begin)
    return Header(parts, named.end(), tuple(_delimiters(named[1])), named[1].strip(" \t"))


def _delimiters(name: str) -> Iterator[str]:
    """Yield what the name of a delimiter may mean, the likeliest first: a number, a character, characters in quotes."""
    plain = name.strip(" \t")
    if not plain:
        yield from ("\t",) if name else ()
    elif number := _NUMBERED.fullmatch(plain):
        code = int(number[1], 16)
        if 0 < code <= sys.maxunicode:
            yield chr(code)
        if len(number[1]) % 2 == 0:
            yield bytes.fromhex(number[1]).decode("latin-1")
    elif plain.lower() in ("\\t", "tab"):
        yield "\t"
    elif not _NO_DELIMITER.search(plain):
        yield plain
        if inner := _IN_QUOTES.fullmatch(plain):
            yield inner[2]


def _split(text: str, begin: int, end: int, *, parts: int) -> tuple[list[str], int] | None:
    """Cut off header parts, each with a bar after it; returns them, and where the rest begins."""
    fields: list[str] = []
    for bar in _BAR.finditer(text, begin, end):
        if bar[0] != "|":
            continue
        fields.append(_unescaped(text[begin : bar.start()]))
        begin = bar.end()
        if len(fields) == parts:
            return fields, begin
    return None


def _unescaped(part: str) -> str:
    return _HEADER_ESCAPE.sub(r"\1", part).strip(" \t")
