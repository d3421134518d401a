"""Which format a body is in: its first record decides, whatever the header says and whatever stands after it."""

from __future__ import annotations

import re

from airflow_provider_imperva import beginnings
from airflow_provider_imperva.beginnings import format_at_begin
from airflow_provider_imperva.events.grammar import headers
from airflow_provider_imperva.events.schema.columns import Format

_WHITE = rb"(?:[ \t\r\0\x0b\x0c\x1c-\x1f]|\xef\xbb\xbf|\xc2[\x85\xa0])*"
_SIGNATURES = b"|".join(re.escape(signature.encode()) for signature in headers.SIGNATURES)
_ANYWHERE = re.compile(rb"(?:(?P<LEEF>LEEF: *[0-9.]+)|(?P<CEF>CEF: *[0-9]+|0))(?=" + _SIGNATURES + rb")")
_LINE = re.compile(rb"^" + _WHITE + beginnings.KEYED.encode(), re.MULTILINE)
_DIRECTIVE = re.compile(rb"^" + beginnings.DIRECTIVE.encode(), re.MULTILINE)
_BLANKS = re.compile(rb"(?:[\s\0\x1c-\x1f]|\xef\xbb\xbf)*")
_BARE_ROW = re.compile(rf"(?:(?:{beginnings.SYSLOG})[ \t]*)?{beginnings.BARE_ROW}".encode())


def find_format(head: bytes, hint: str | None) -> Format | None:
    """Return the format of a body by its begin.

    What a body begins with decides its format: what is in it further on may be the text of a client. Only if that is of
    no format, as the rest of a record is whose begin is missing, the first line decides that begins like a CEF or LEEF
    record or a W3C directive, and failing that a header of Imperva's anywhere.

    :param head: the begin of the body.
    :param hint: format in the header, which the server wrote. It counts if a line in the head begins like it.
    :return: None if the body is of no known format.
    """
    first = format_at_begin(head)
    if first is not None and hint in (first, None):
        return first
    candidates = [(match.start(), match.lastgroup) for match in _LINE.finditer(head)]
    if first is not None:
        return hint if hint in {name for _, name in candidates} else first  # type: ignore[return-value]
    if directive := _DIRECTIVE.search(head):
        candidates.append((directive.start(), "W3C"))
    if candidates:
        return min(candidates)[1]  # type: ignore[return-value]
    begin = _BLANKS.match(head).end()  # type: ignore[union-attr]
    if hint == "W3C" and _BARE_ROW.match(head, begin):
        return "W3C"
    anywhere = _ANYWHERE.search(head)
    return anywhere.lastgroup if anywhere else None  # type: ignore[return-value]
