"""The header of a log: what it says, and where it ends and the body begins.

Imperva writes ``key:value`` lines, then a line ``|==|``, then the body. Logs in formats other than CEF, LEEF and W3C
come without all that: the body alone.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import BinaryIO

from airflow_provider_imperva.beginnings import format_at_begin
from airflow_provider_imperva.container.body import Body
from airflow_provider_imperva.errors import TruncatedError

HEADER_LIMIT = 64 * 1024
"""The separator must begin within this many bytes; a real header takes well below one KiB."""

_DIRECTIVE = "#"
_BOM = "\ufeff"
_SEPARATOR = re.compile(rb"^\|==\|", re.MULTILINE)
_LINE_END = re.compile(rb"[ \t]{0,8}\r?\n")
_LINE_END_BYTES = 10

_NUMBERS = {
    "accountid": "account_id",
    "configid": "config_id",
    "starttime": "start_time",
    "endtime": "end_time",
}
_TEXTS = {
    "checksum": "checksum",
    "format": "format",
    "publickeyid": "public_key_id",
    "key": "wrapped_key",
    "fields": "fields",
    "#fields": "fields",
}
_TIMES = {"starttime": "startTime", "endtime": "endTime"}
_KNOWN = _NUMBERS.keys() | _TEXTS.keys()
_HEADER = re.compile(
    rb"(?:" + "|".join(sorted(map(re.escape, _KNOWN))).encode() + rb"):[^\n]{0,4096}\n"
    rb"(?:[^\n:|]{1,64}:[^\n]{0,4096}\n){0,20}\|==\|",
    re.IGNORECASE,
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DIGITS_OF_SECONDS = 10
_INT64_MAX = 2**63 - 1
_LATEST = 253_402_300_799_999
"""The end of the year 9999 in epoch milliseconds: no program that reads the lake has a name for a later moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogHeader:
    """What the header of a log says; None where it says nothing.

    :param account_id: account the log belongs to.
    :param config_id: the account's log configuration.
    :param checksum: MD5 of the plain body, lower-case hex.
    :param format: ``CEF``, ``LEEF`` or ``W3C``, as written.
    :param start_time: bounds of the log in time with ``end_time``, epoch milliseconds.
    :param public_key_id: which uploaded public key the log was encrypted for, as written.
    :param wrapped_key: the log's AES key, encrypted for that public key, in Base64.
    :param fields: the names of the values in a W3C row, with blanks between them.
    :param warnings: codes about its times: ``epoch_seconds:startTime``, ``bad_time:startTime``, and so for ``endTime``.
    :param unknown: every other line by its key as written; numbers that do not read, times that no calendar has, and
        repeated keys are here too.
    """

    account_id: int | None = None
    config_id: int | None = None
    checksum: str | None = None
    format: str | None = None
    start_time: int | None = None
    end_time: int | None = None
    public_key_id: str | None = None
    wrapped_key: str | None = field(default=None, repr=False)
    fields: str | None = None
    warnings: tuple[str, ...] = ()
    unknown: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)

    @property
    def encrypted(self) -> bool:
        """Whether it names a key at all; Imperva leaves both lines out of, or empty in, clear logs."""
        return self.public_key_id is not None or self.wrapped_key is not None


def split_container(file: BinaryIO, *, log: str) -> tuple[LogHeader | None, Body]:
    """Cut a log in two at its first separator.

    Only the first one counts, and only before any event: an attacker can put ``|==|`` into a URL, but not before the
    header.

    :param file: the log as received, seekable.
    :param log: its name, for messages.
    :returns: the header, None for a log without one; and the body, which is read from ``file``.
    :raises TruncatedError: the log ends within its header.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    top = file.read(HEADER_LIMIT + _LINE_END_BYTES)
    whole = Body(file, 0, size)
    separator = _SEPARATOR.search(top, 0, HEADER_LIMIT)
    head = top[: separator.start() if separator else HEADER_LIMIT].decode("utf-8", "replace")
    lines = [line.strip() for line in head.removeprefix(_BOM).split("\n") if line.strip()]
    if begins_like_events(top) and not (separator and _is_header_of_w3c(lines)):
        return None, whole
    if separator is None:
        if lines and _is_known(lines[0]):
            raise TruncatedError(
                f"{size} bytes that begin like a header, but no line |==| ends it",
                do="Fetch the log again while the repository has it",
                about=log,
            )
        return None, whole
    if lines and not any(map(_is_known, lines)):
        # Text of some other kind that happens to hold such a line; nothing of it may get lost.
        return None, whole
    line_end = _LINE_END.match(top, separator.end())
    start = line_end.end() if line_end else separator.end()
    return _parse(lines), Body(file, start, size - start)


def begins_like_header(content: bytes) -> bool:
    """Whether content begins with a line of a header."""
    line, line_end, _ = content[:HEADER_LIMIT].removeprefix(_BOM.encode()).lstrip().partition(b"\n")
    return bool(line_end) and _is_known(line.decode("utf-8", "replace"))


def header_starts(content: bytes) -> list[int]:
    """Where headers that end in a separator begin, ascending; a log that is one object has one of them at most."""
    return [header.start() for header in _HEADER.finditer(content)]


def begins_like_events(content: bytes) -> bool:
    """Whether content begins as a body of events does (some exports lose ``CEF:``)."""
    return format_at_begin(content[:HEADER_LIMIT]) is not None


def _is_header_of_w3c(lines: list[str]) -> bool:
    """Whether lines are those of a header although the first is a directive; in a body, rows would be among them."""
    others = [line for line in lines if not line.startswith(_DIRECTIVE)]
    return bool(others) and all(map(_is_known, others))


def _is_known(line: str) -> bool:
    key, colon, _ = line.partition(":")
    return bool(colon) and key.strip().lower() in _KNOWN


def _parse(lines: list[str]) -> LogHeader:
    numbers: dict[str, int] = {}
    texts: dict[str, str] = {}
    unknown: dict[str, str] = {}
    warnings: list[str] = []
    for line in lines:
        key, _, value = (part.strip() for part in line.partition(":"))
        folded = key.lower()
        if not value and folded in _KNOWN:
            continue
        number = _number(value, most=_INT64_MAX)
        if folded in _TIMES:
            number, code = _time(value)
            warnings += [f"{code}:{_TIMES[folded]}"] if code else []
        if (name := _NUMBERS.get(folded)) and name not in numbers and number is not None:
            numbers[name] = number
        elif (name := _TEXTS.get(folded)) and name not in texts:
            texts[name] = value.lower() if name == "checksum" else value
        else:
            unknown[key] = value
    return LogHeader(
        account_id=numbers.get("account_id"),
        config_id=numbers.get("config_id"),
        start_time=numbers.get("start_time"),
        end_time=numbers.get("end_time"),
        checksum=texts.get("checksum"),
        format=texts.get("format"),
        public_key_id=texts.get("public_key_id"),
        wrapped_key=texts.get("wrapped_key"),
        fields=texts.get("fields"),
        warnings=tuple(dict.fromkeys(warnings)),
        unknown=MappingProxyType(unknown),
    )


def _time(text: str) -> tuple[int | None, str]:
    """Read a time as epoch milliseconds; and return a code for what is unusual about it.

    Imperva writes milliseconds. Its page says "UNIX epoch time", which is why others write seconds.
    """
    number = _number(text, most=_LATEST)
    if number is not None and len(text) == _DIGITS_OF_SECONDS:
        return number * 1000, "epoch_seconds"
    if number is None and _DATE.match(text):
        with suppress(ValueError, OverflowError):
            moment = datetime.fromisoformat(text)
            number = round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
            number = number if 0 < number <= _LATEST else None
    return (number, "") if number else (None, "bad_time")


def _number(text: str, *, most: int) -> int | None:
    """Read a number; None if it is not one or too large."""
    # int() takes much more: underscores, signs, digits of other scripts, and a million digits in quadratic time.
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        return None
    number = int(text)
    return number if number <= most else None
