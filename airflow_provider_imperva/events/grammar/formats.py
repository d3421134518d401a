"""Which format a body is in: its first record decides, whatever the header says and whatever stands behind it."""

from __future__ import annotations

import re

from airflow_provider_imperva.events.grammar import directives, headers
from airflow_provider_imperva.events.schema.columns import Format

_WHITE = rb"(?:[ \t\r\0\x0b\x0c\x1c-\x1f]|\xef\xbb\xbf|\xc2[\x85\xa0])*"
# Behind a prefix the number has to be there, too: a sentence may hold "CEF:".
_SYSLOG = rb"(?:" + headers.SYSLOG.encode() + rb")(?=(?:CEF: *[0-9]+|LEEF: *[0-9.]+|0)\|)"
_SIGNATURES = b"|".join(re.escape(signature.encode()) for signature in headers.SIGNATURES)
_KEYED = rb"(?:(?P<CEF>CEF:|0\|(?:Incapsula|Imperva Inc)\|)|(?P<LEEF>LEEF:))"
_ANYWHERE = re.compile(rb"(?:(?P<LEEF>LEEF: *[0-9.]+)|(?P<CEF>CEF: *[0-9]+|0))(?=" + _SIGNATURES + rb")")
_LINE = re.compile(rb"^" + _WHITE + rb"(?:" + _SYSLOG + rb")?" + _KEYED, re.MULTILINE)
_DIRECTIVE = re.compile(rb"^" + directives.DIRECTIVE.pattern, re.MULTILINE | re.IGNORECASE)

_BLANKS = re.compile(rb"(?:[\s\0\x1c-\x1f]|\xef\xbb\xbf)*")
_JSON = re.compile(
    rb'\{\s*(?:["}]|\Z)|\[\s*(?:[\[{"\]]|\Z|(?:-?[0-9][0-9.eE+-]*|true|false|null)\s*[,\]])',
)
_BARE_ROW = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}[ \t]+[0-9]{2}:[0-9]{2}:[0-9]{2}[ \t]")


def find_format(head: bytes, hint: str | None) -> Format | None:
    """Tell the format of a body by its begin.

    What a body begins with tells its format: what is in it further on may be the text of a client. Only if that is of
    no format, as the rest of a record is whose begin is missing, the first line tells it that begins like a CEF or LEEF
    record or a W3C directive, and failing that a header of Imperva's anywhere.

    :param head: the begin of the body.
    :param hint: format in the header, which the server wrote. It counts if a line in the head begins like it.
    :return: None if the body is of no known format.
    """
    first = format_at_begin(head)
    if first is not None and hint in (first, None):
        return first
    found = [(match.start(), match.lastgroup) for match in _LINE.finditer(head)]
    if first is not None:
        return hint if hint in {name for _, name in found} else first  # type: ignore[return-value]
    if directive := _DIRECTIVE.search(head):
        found.append((directive.start(), "W3C"))
    if found:
        return min(found)[1]  # type: ignore[return-value]
    begin = _BLANKS.match(head).end()  # type: ignore[union-attr]
    if hint == "W3C" and _BARE_ROW.match(head, begin):
        return "W3C"
    anywhere = _ANYWHERE.search(head)
    return anywhere.lastgroup if anywhere else None  # type: ignore[return-value]


def format_at_begin(head: bytes) -> Format | None:
    """Tell of which format a body is by what it begins with, and by that alone.

    An answer that is no log (a page, XML, a sentence) is of none. One in JSON may still be an error:
    :func:`~airflow_provider_imperva.events.grammar.answers.is_error`.

    :param head: the begin of the body; blanks, a byte order mark and a syslog prefix before the first record do not
        matter.
    """
    begin = _BLANKS.match(head).end()  # type: ignore[union-attr]
    if keyed := _LINE.match(head[begin : begin + 1024]):
        return keyed.lastgroup  # type: ignore[return-value]
    if directives.DIRECTIVE.match(head, begin) or directives.ROW.match(head, begin):
        return "W3C"
    return "JSON" if _JSON.match(head, begin) else None
