"""``logs.index``: the list of all logs a repository holds now, one name a line.

The index has no sizes and no times. Its order, its line ends and its final newline cannot be relied on, and a line
that is no name must neither hide the others nor pass as one: every line is checked by itself.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider_imperva.errors import InvalidIndexError
from airflow_provider_imperva.repository.names import LogName

INDEX_NAME = "logs.index"
"""Name of the index within the repository."""

_JUNK_LINES = 20
_JUNK_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class LogIndex:
    """What one look at the index gave.

    :param names: the logs listed, each once, ascending by number.
    :param junk: the first 20 lines that are no name, escaped and cut to 80 characters.
    :param junk_count: how many lines are no name.
    :param duplicates: how many lines repeat a name that came before.
    :param delivered_as: gives what a log, listed or not, is called where it was delivered; None where the name that we
        know it by is all it has.
    """

    names: tuple[LogName, ...]
    junk: tuple[str, ...]
    junk_count: int
    duplicates: int
    delivered_as: Callable[[LogName], str | None] = lambda _: None


def parse_index(body: bytes, *, about: str) -> LogIndex:
    """Read the body of ``logs.index``.

    An empty body is a valid index that lists nothing: Imperva answers so while there is no log.

    :param body: the body after HTTP decoding.
    :param about: what to call the index in an error, such as its URL.
    :raises InvalidIndexError: there are lines, but none of them is the name of a log.
    """
    names: set[LogName] = set()
    junk: list[str] = []
    junk_count = duplicates = 0
    for line in body.removeprefix(codecs.BOM_UTF8).split(b"\n"):
        line = line.strip()
        if not line:
            continue
        try:
            name = LogName.parse(line.decode("ascii"))
        except ValueError:
            junk_count += 1
            if len(junk) < _JUNK_LINES:
                junk.append(_escape(line))
        else:
            duplicates += name in names
            names.add(name)
    if junk_count and not names:
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
    )


def is_html(body: bytes) -> bool:
    """Tell whether a body begins as an HTML page does. Neither an index nor a log ever begins so."""
    start = body[:512].removeprefix(codecs.BOM_UTF8).lstrip().lower()
    return start.startswith((b"<!doctype html", b"<html"))


def _escape(line: bytes) -> str:
    # The text of a bytes literal: one line of printable ASCII, whatever came.
    return repr(line[:_JUNK_CHARACTERS])[2:-1][:_JUNK_CHARACTERS]
