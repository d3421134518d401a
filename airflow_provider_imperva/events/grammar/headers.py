r"""What begins a record of CEF or LEEF, and what stands in its header.

``CEF:0|vendor|product|version|signature id|name|code|`` or ``LEEF:1.0|vendor|product|version|event id|``. Some exports
lose the ``CEF:``. Anything may stand before it on the line: white space, a byte order mark, a syslog prefix of RFC 3164
or 5424, an octet count. All that reads or looks for headers takes it from here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from airflow_provider_imperva.events.grammar.record import ANALYTICS_PRODUCT, WAF_PRODUCT, TextRecord

VENDORS = {WAF_PRODUCT: "Incapsula", ANALYTICS_PRODUCT: "Imperva Inc"}
"""Who writes what: the two headers that Imperva's logs have."""

SIGNATURES = tuple(f"|{vendor}|{product}|" for product, vendor in VENDORS.items())
"""What tells a header of Imperva's apart from other text, wherever it stands."""

# U+0085, U+00A0, U+200B, U+2028, U+2029 and U+FEFF, as the characters they are and as their bytes in Latin-1.
_WHITE = r"[ \t\r\n\x00\x0b\x0c\x1c-\x1f\x85\xa0\u200b\u2028\u2029\ufeff]"
_BLANK_BYTES = r"\xc2[\x85\xa0]|\xe2\x80[\x8b\xa8\xa9]|\xef\xbb\xbf"
_WHITE_BYTES = rf"(?:[ \t\r\n\x00\x0b\x0c\x1c-\x1f]|{_BLANK_BYTES})"

_VENDORS = "|".join(VENDORS.values())
_CEF = rf"(?:CEF: *[0-9]{{1,4}}|0(?=\|(?:{_VENDORS})\|))\|"
_LEEF = r"LEEF: *[0-9][0-9.]{0,7}\|"
_TIME = (
    r"(?:[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}|"
    r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 0-9][0-9] (?:[0-9]{4} )?[0-9]{2}:[0-9]{2}:[0-9]{2})"
)
SYSLOG = rf"(?:[0-9]{{1,7}} )?(?:<[0-9]{{1,3}}>[^\n]{{0,300}}?|{_TIME}[^\n=]{{0,200}}?)|[0-9]{{1,7}} "
"""What a syslog relay writes before a record, with an octet count or that alone."""


LINE_END = re.compile(r"[\r\n\x00\x0b\x0c]")
"""What ends a line if a header follows it. Values hold all of them but LF, so by themselves they end nothing."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """Patterns for what a record of one format begins with.

    :param text: for decoded text: white space, a syslog prefix (group 1), the version and its bar (2).
    :param latin: the same for bytes read as Latin-1.
    :param behind_line_end: for the bytes of a whole body: a line end, and behind it what surely begins a record.
    """

    text: re.Pattern[str]
    latin: re.Pattern[str]
    behind_line_end: re.Pattern[bytes]

    @classmethod
    def of(cls, version: str) -> Beginning:
        """Take the pattern of a header's first part."""
        text, latin = (re.compile(rf"{white}*(?:({SYSLOG}){white}*)?({version})") for white in (_WHITE, _WHITE_BYTES))
        blanks = rf"(?:[ \t]|{_BLANK_BYTES})*"
        start = rf"{blanks}(?:(?:{SYSLOG}){blanks})?(?:{version})"
        ours = "|".join(signature[1:].replace("|", r"\|") for signature in SIGNATURES)
        behind = rf"\n{start}|{LINE_END.pattern}{start}(?={ours})"
        return cls(text, latin, re.compile(behind.encode("ascii")))


CEF = Beginning.of(_CEF)
LEEF = Beginning.of(_LEEF)
BEGINNINGS = {"CEF": CEF, "LEEF": LEEF}

VERSION_BEFORE = re.compile(r"(?:CEF: *[0-9]{1,4}|LEEF: *[0-9][0-9.]{0,7}|0)\Z")
"""What stands before a signature where a header begins, in a text that is cut there."""

SYSLOG_BEFORE = re.compile(
    rf"(?:<[0-9]{{1,3}}>(?:(?!<[0-9]{{1,3}}>)[^\n]){{0,300}}|{_TIME}(?:(?!{_TIME})[^\n=]){{0,200}})\Z"
)
"""A syslog prefix without its octet count, in a text that is cut where the header begins."""

SEPARATORS = re.compile(rf"(?:{_WHITE_BYTES}|#01[0-5])+\Z")
"""What stands between two records on a line: white space, and line ends as rsyslog writes them. In Latin-1."""

_LONGEST_VERSION = 24
_BAR = re.compile(r"\\.|\|", re.DOTALL)
_HEADER_ESCAPE = re.compile(r"\\([\\|])")
# A rule's name may hold bars. Behind the code there is the first key, or nothing.
_CODE = re.compile(r"(?<!\\)\|[ \t]*(-?[0-9]{0,9})[ \t]*\|(?=[ \t|]*(?:[A-Za-z_][A-Za-z0-9_.-]*[ \t]*=|\Z))")
_LONGEST_NAME = 4096
_EMPTY_PART = re.compile(r"[ \t]*\|")

# LEEF may name what stands between attributes, as a character or by its number.
_DELIMITER = re.compile(r"(?:(?:0?x([0-9A-Fa-f]{1,4}))|(\\t|[^\sA-Za-z0-9|=\\]{1,3}|\t))?\|")


@dataclass(frozen=True, slots=True)
class Start:
    """Where a record starts in its text.

    :param prefix: what stands before it.
    :param is_syslog: whether that is nothing, or what a syslog relay writes.
    :param end: behind the bar of the version.
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

    Behind other text than a syslog prefix, only Imperva's own headers are taken for a start.
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
    :param delimiter: what stands between attributes, if a LEEF header names it.
    """

    parts: list[str]
    end: int
    delimiter: str | None = None


def read_cef_header(text: str, begin: int, end: int) -> Header | None:
    """Read the six parts behind the version; None if they are not all there."""
    fixed = _split(text, begin, end, parts=4)
    if fixed is None:
        return None
    parts, begin = fixed
    window = text[begin : min(end, begin + _LONGEST_NAME)]
    if parts[1] == WAF_PRODUCT and (code := _CODE.search(window)):
        named, behind = [_unescaped(window[: code.start()]), code[1]], begin + code.end()
    elif rest := _split(text, begin, end, parts=2):
        named, behind = rest
    else:
        return None
    # With a bar missing, the first bar of the extension would end the code.
    if "=" in named[1]:
        return None
    empty = _EMPTY_PART.match(text, behind, end)
    return Header([*parts, *named], empty.end() if empty else behind)


def read_leef_header(text: str, begin: int, end: int) -> Header | None:
    """Read the four parts behind the version, and the delimiter if it is named; None if they are not all there."""
    found = _split(text, begin, end, parts=4)
    # With a bar missing, the first bar of the attributes would end the event id.
    if found is None or "=" in found[0][-1]:
        return None
    parts, begin = found
    named = _DELIMITER.match(text, begin, end)
    if named is None:
        return Header(parts, begin)
    delimiter = chr(int(named[1], 16)) if named[1] else named[2]
    return Header(parts, named.end(), "\t" if delimiter == "\\t" else delimiter)


def _split(text: str, begin: int, end: int, *, parts: int) -> tuple[list[str], int] | None:
    """Cut off header parts, each with a bar behind it; tells where the rest begins, too."""
    found: list[str] = []
    for bar in _BAR.finditer(text, begin, end):
        if bar[0] != "|":
            continue
        found.append(_unescaped(text[begin : bar.start()]))
        begin = bar.end()
        if len(found) == parts:
            return found, begin
    return None


def _unescaped(part: str) -> str:
    return _HEADER_ESCAPE.sub(r"\1", part).strip(" \t")
