"""Syslog messages: the header that stands before a line, by RFC 5424 or RFC 3164."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, TypeAlias

from airflow_provider_imperva.forward.event import Event

Header: TypeAlias = Literal["rfc5424", "rfc3164", "none"]

_FACILITIES = "kern user mail daemon auth syslog lpr news uucp cron authpriv ftp ntp audit alert clock"
_SEVERITIES = "emerg alert crit err warning notice info debug"

_LOCAL = [f"local{number}" for number in range(8)]

FACILITIES = {name: code for code, name in enumerate([*_FACILITIES.split(), *_LOCAL])}
"""Codes of RFC 5424, table 1, by the names that syslog daemons use."""

SEVERITIES = {name: code for code, name in enumerate(_SEVERITIES.split())}
"""Codes of RFC 5424, table 2."""

_UID = b'[imperva@32473 uid="'
"""Structured data with the event's id. 32473 is the enterprise number that RFC 5612 sets aside for such uses."""

_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def message_writer(
    header: Header, *, facility: str, severity: str, host_name: str, app_name: str
) -> Callable[[Event], bytes]:
    """Return what writes an event as a syslog message.

    RFC 5424 has a place for the event's id beside the line; RFC 3164 and a bare line do not.
    """
    priority = FACILITIES[facility] * 8 + SEVERITIES[severity]
    if header == "none":
        return lambda event: event.body
    if header == "rfc3164":
        before, after = f"<{priority}>", f" {host_name} {app_name}: "
        return lambda event: f"{before}{_bsd_time(_seconds(event))}{after}".encode() + event.body

    begin, middle = f"<{priority}>1 ".encode(), f" {host_name} {app_name} - - ".encode() + _UID

    def write(event: Event) -> bytes:
        uid = event.id.encode("utf-8", "replace")
        if b'"' in uid or b"\\" in uid or b"]" in uid:
            uid = uid.replace(b"\\", rb"\\").replace(b'"', rb"\"").replace(b"]", rb"\]")
        return b'%b%b%b%b"] %b' % (begin, _time(event.time), middle, uid, event.body)

    return write


def _time(milliseconds: int | None) -> bytes:
    if milliseconds is None:
        return b"-"
    seconds, rest = divmod(milliseconds, 1000)
    return b"%b.%03dZ" % (_second(seconds), rest)


@lru_cache(maxsize=4096)
def _second(seconds: int) -> bytes:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}".encode()


def _seconds(event: Event) -> int:
    return int(datetime.now(UTC).timestamp()) if event.time is None else event.time // 1000


@lru_cache(maxsize=4096)
def _bsd_time(seconds: int) -> str:
    """Write a time as RFC 3164 has it, whatever the locale: without year and zone; it is UTC."""
    time = datetime.fromtimestamp(seconds, UTC)
    return f"{_MONTHS[time.month - 1]} {time.day:2d} {time:%H:%M:%S}"
