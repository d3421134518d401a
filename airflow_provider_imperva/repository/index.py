"""``logs.index``: the list of all logs a repository holds now, one name a line.

The index has no sizes and no times. Its order, its line ends and its final newline cannot be relied on. Every line is
checked by itself, since a line that is not a name must neither hide the others nor be taken for one. A name in a form
that we do not know is a name all the same, in case the vendor changes the form.
"""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from airflow_provider_imperva.errors import InvalidIndexError
from airflow_provider_imperva.repository.names import LogName

INDEX_NAME = "logs.index"
"""Name of the index within the repository."""

_SAFE_NAME = re.compile(rb"(?=[^0-9]*[0-9])(?=.*[._-])[A-Za-z0-9][A-Za-z0-9._-]{3,199}")
"""What may be the name of a log in a form that we do not know; it has a digit, as a word of an error page has not."""

_NO_CONTENT = re.compile(rb"[^|{}\"]+")
"""Words that are not taken for text of a log: those have these characters, or blanks."""

_CUT_NAME = re.compile(rb"[0-9]{1,19}(?:_(?:[0-9]{1,19}(?:\.(?:l(?:o)?)?)?)?)?")
"""The beginning of a log's name, with which an index ends that was cut off."""

_JUNK_LINES = 20
_JUNK_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class LogIndex:
    """What one look at the index gave.

    :param names: the logs listed, each once, ascending by number.
    :param junk: the first 20 lines that are not a name, escaped and cut to 80 characters.
    :param junk_count: how many lines are not a name.
    :param duplicates: how many lines repeat a name that came before.
    :param unknown: the other lines that would do as a file's name, each once, in order.
    :param unsafe: of the others, the first 20, escaped; of what may be text of a log, the size and the SHA-256 only.
        ``unsafe_count`` how many there are. Of a delivery folder: what is stuck under the name of an upload.
    :param unfinished: the last line if it may be the beginning of a name: the index does not end with a line end.
    :param delivered_as: gives what a log, listed or not, is called where it was delivered; None where the name that we
        know it by is all it has.
    :param came_again_as: gives the newest log that came under the path of a delivered one after it, and whether it is
        larger; None if there is none.
    :param came_before: gives the smaller logs that came under the path of a delivered one before it, newest first.
    """

    names: tuple[LogName, ...]
    junk: tuple[str, ...]
    junk_count: int
    duplicates: int
    unknown: tuple[str, ...] = ()
    unsafe: tuple[str, ...] = ()
    unsafe_count: int = 0
    unfinished: str | None = None
    delivered_as: Callable[[LogName], str | None] = lambda _: None
    came_again_as: Callable[[LogName], tuple[LogName, bool] | None] = lambda _: None
    came_before: Callable[[LogName], Sequence[LogName]] = lambda _: ()

    def with_doubts(self, doubts: Sequence[str]) -> LogIndex:
        """Return the same with names that may be those of other logs among what is not read."""
        unsafe = (*doubts, *self.unsafe)[:_JUNK_LINES]
        return replace(self, unsafe=unsafe, unsafe_count=self.unsafe_count + len(doubts))


def parse_index(body: bytes, *, about: str) -> LogIndex:
    """Read the body of ``logs.index``.

    An empty body is a valid index that lists nothing: Imperva answers so while there is no log.

    :param body: the body after HTTP decoding.
    :param about: what to call the index in an error, such as its URL.
    :raises InvalidIndexError: there are lines, but none of them is the name of a log, and not all would do as the name
        of a file.
    """
    names: set[LogName] = set()
    junk: list[str] = []
    unsafe: list[str] = []
    unknown: set[str] = set()
    junk_count = unsafe_count = duplicates = 0
    lines = body.removeprefix(codecs.BOM_UTF8).split(b"\n")
    last = lines[-1].strip()
    unfinished = last.decode() if _CUT_NAME.fullmatch(last) else None
    for line in lines:
        line = line.strip()
        if not line:
            continue
        try:
            name = LogName.listed(line.decode("ascii"))
        except ValueError:
            junk_count += 1
            if len(junk) < _JUNK_LINES:
                junk.append(_escape(line))
            if _SAFE_NAME.fullmatch(line):
                unknown.add(line.decode())
            else:
                unsafe_count += 1
                if len(unsafe) < _JUNK_LINES:
                    unsafe.append(_show(line))
        else:
            duplicates += name in names
            names.add(name)
    if unfinished:
        unknown.discard(unfinished)
    if junk_count and not names and (unsafe_count or not unknown):
        looks = "; it looks like an HTML page" if is_html(body) else ""
        raise InvalidIndexError(
            f"{junk_count} lines came as the index, none of them the name of a log{looks}",
            do="Open the Log Server URL in a browser with the API ID and key: it must list names such as 8416_179.log."
            " A login or maintenance page may also come from a proxy in between",
            about=about,
        )
    return LogIndex(
        names=tuple(sorted(names, key=lambda name: name.numbers)),
        junk=tuple(junk),
        junk_count=junk_count,
        duplicates=duplicates,
        unknown=tuple(sorted(unknown)),
        unsafe=tuple(unsafe),
        unsafe_count=unsafe_count,
        unfinished=unfinished,
    )


def is_html(body: bytes) -> bool:
    """Return whether a body begins as a page in HTML or XML does. Neither an index nor a log ever begins so."""
    start = body[:512].removeprefix(codecs.BOM_UTF8).lstrip().lower()
    return start.startswith((b"<!doctype", b"<html", b"<head", b"<!--", b"<?xml"))


def _show(line: bytes) -> str:
    """Show a line that people are to look at, but no text of a log, which could have come in place of the index."""
    word = line.split(maxsplit=1)[0]
    if len(word) > _JUNK_CHARACTERS or not _NO_CONTENT.fullmatch(word):
        return f"({len(line)} bytes, SHA-256 {hashlib.sha256(line).hexdigest()[:16]})"
    return _escape(word) if word == line else f"{_escape(word)} (and {len(line) - len(word)} more bytes)"


def _escape(line: bytes) -> str:
    # The text of a bytes literal: one line of printable ASCII, whatever came.
    return repr(line[:_JUNK_CHARACTERS])[2:-1][:_JUNK_CHARACTERS]
