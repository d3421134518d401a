r"""What an event of each format begins with, and what may stand before it: the one list of both.

Whoever cuts the header off a log asks for it, as does whoever reads the events after it. The two know nothing of each
other, so it stands below them. Patterns are texts, in Latin-1: what they match is the same in bytes.

A record of CEF begins ``CEF:0|vendor|...``, one of LEEF ``LEEF:1.0|vendor|...``. Some exports lose the ``CEF:``. A body
of W3C begins with a directive or a row, a body of JSON with a bracket. White space, a byte order mark and what a syslog
relay writes may stand before any of them.
"""

from __future__ import annotations

import re
from typing import Literal

WAF_PRODUCT = "SIEMintegration"
ANALYTICS_PRODUCT = "Attack Analytics"

VENDORS = {WAF_PRODUCT: "Incapsula", ANALYTICS_PRODUCT: "Imperva Inc"}
"""Who writes what: the two headers that Imperva's logs have."""

BLANK_BYTES = r"\xc2[\x85\xa0]|\xe2\x80[\x8b\xa8\xa9]|\xef\xbb\xbf"
"""U+0085, U+00A0, U+200B, U+2028, U+2029 and U+FEFF."""

WHITE_BYTES = rf"(?:[ \t\r\n\x00\x0b\x0c\x1c-\x1f]|{BLANK_BYTES})"

_VENDORS = "|".join(VENDORS.values())
CEF_VERSION = rf"(?:CEF: *[0-9]{{1,4}}|0(?=\|(?:{_VENDORS})\|))\|"
LEEF_VERSION = r"LEEF: *[0-9][0-9.]{0,7}\|"

_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
TIME = (
    r"(?:[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}|"
    rf"(?:{_MONTHS}) [ 0-9][0-9] (?:[0-9]{{4}} )?[0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}})"
)
SYSLOG = rf"(?:[0-9]{{1,7}} )?(?:<[0-9]{{1,3}}>[^\n]{{0,300}}?|{TIME}[^\n=]{{0,200}}?)|[0-9]{{1,7}} "
"""What a syslog relay (RFC 3164 or 5424) writes before a record, with an octet count or that alone."""

CONTROLS = r"\0\r\x0b\x0c\x1c-\x1f"
"""Control characters that end a line as LF does in W3C, for a regular expression's class."""

_MARK_AND_BLANKS = r"[ \t]*(?:\xef\xbb\xbf)?[ \t]*"

ROW = rf'{_MARK_AND_BLANKS}"[^"\n{CONTROLS}]*"[ \t]+["0-9-]'
"""What a row of quoted values begins with: its first value and the begin of another. Text of a client that goes on in
the next line hardly begins so; what ends a quoted value there, or a line of JSON, does not.
"""

BARE_ROW = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ \t]+[0-9]{2}:[0-9]{2}:[0-9]{2}[ \t]"
"""What a row of values without quotes begins with, if the first are date and time."""

DIRECTIVE = rf"{_MARK_AND_BLANKS}#[ \t]*((?i:Version|Fields|Software|Start-Date|End-Date|Date|Remark))[ \t]*:"
"""What a directive begins with: the names of the W3C's draft for extended log files, and no others."""

COOKIE = r"(?:@cee: ?)?"
"""What may stand before JSON in a message of syslog, as the Common Event Expression has it."""

OBJECTS = r"(?:\{\s*[\"}]|\[\s*[\[{])"
"""What JSON begins with after a syslog prefix, which may hold other brackets."""

# After a prefix the number has to be there, too: a sentence may hold "CEF:".
KEYED = (
    rf"(?:(?:{SYSLOG})(?=(?:CEF: *[0-9]+|LEEF: *[0-9.]+|0)\|))?"
    rf"(?:(?P<CEF>CEF:|0\|(?:{_VENDORS})\|)|(?P<LEEF>LEEF:))"
)
"""What a record of CEF or LEEF begins with, with a syslog prefix."""

_BLANKS = re.compile(rb"(?:[\s\0\x1c-\x1f]|" + BLANK_BYTES.encode() + rb")*")
_KEYED = re.compile(KEYED.encode())
_W3C = re.compile(rf"(?:(?:{SYSLOG})[ \t]*)?(?:{DIRECTIVE}|{ROW})".encode())
_JSON = re.compile(
    rf"(?:(?:{SYSLOG})?[ \t]*{COOKIE}(?={OBJECTS})|[,\s]*)"
    r"(?:\{\s*(?:[\"}]|\Z)|\[\s*(?:[\[{\"\]]|\Z|(?:-?[0-9][0-9.eE+-]*|true|false|null)\s*[,\]]))".encode()
)
_REACH = 1024


def format_at_begin(head: bytes) -> Literal["CEF", "LEEF", "W3C", "JSON"] | None:
    """Return the format of a body by what it begins with, and by that alone.

    An answer that is not a log (a page, XML, a sentence) is of none. One in JSON may still be an error:
    :func:`~airflow_provider_imperva.events.grammar.answers.classify`.

    :param head: the begin of the body; blanks, a byte order mark and a syslog prefix before the first record do not
        matter.
    """
    begin = _BLANKS.match(head).end()  # type: ignore[union-attr]
    near = head[begin : begin + _REACH]
    if keyed := _KEYED.match(near):
        return keyed.lastgroup  # type: ignore[return-value]
    if _W3C.match(head, begin):
        return "W3C"
    return "JSON" if _JSON.match(head, begin) else None
