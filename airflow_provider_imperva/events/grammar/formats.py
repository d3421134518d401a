"""Which format a body is in: what it begins with decides, whatever the header says."""

from __future__ import annotations

import re

from airflow_provider_imperva.events.schema.columns import Format

_WHITE = rb"[ \t\r\x0b\x0c\xef\xbb\xbf]*"
_RECORD = re.compile(rb"^" + _WHITE + rb"(?:(?P<CEF>CEF:|0\|(?:Incapsula|Imperva Inc)\|)|(?P<LEEF>LEEF:)|"
                     rb"(?P<W3C>#[A-Za-z-]+:))", re.MULTILINE)  # fmt: skip
_FIRST = re.compile(rb"[\s\xef\xbb\xbf]*(?:(?P<W3C>\")|(?P<JSON>[\[{]))")


def find_format(head: bytes, hint: str | None) -> Format | None:
    """Tell the format of a body by its begin.

    The first line that begins like a CEF or LEEF record or a W3C directive tells it, since no JSON and no W3C row
    begins so. Failing that, a quote at the begin is a W3C row and a bracket is JSON.

    :param head: the begin of the body.
    :param hint: format in the header. It counts only if the body begins like it; the first line is not much to go by.
    :return: None if the body is of no known format.
    """
    weak, strong = _FIRST.match(head), _RECORD.search(head)
    begins_like: Format | None = weak.lastgroup if weak else None  # type: ignore[assignment]
    if begins_like is not None and (hint == begins_like or strong is None):
        return begins_like
    return strong.lastgroup if strong else None  # type: ignore[return-value]
