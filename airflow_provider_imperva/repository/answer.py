"""What an HTTP answer of the repository means: the error a status stands for, and the body without its encoding."""

from __future__ import annotations

import gzip
import re
import zlib
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from io import BytesIO

from requests import Response

from airflow_provider_imperva.errors import (
    AuthenticationError,
    IndexNotFoundError,
    LogNotFoundError,
    RepositoryError,
)
from airflow_provider_imperva.repository.index import INDEX_NAME

_PASSING = frozenset({408, 425, 429})  # besides all of 5xx
_MAX_RETRY_AFTER = 120.0  # seconds


class IncompleteAnswerError(Exception):
    """What another attempt may put right."""

    def __init__(self, problem: str, *, retry_after: float | None = None) -> None:
        super().__init__(problem)
        self.retry_after = retry_after


def decode(body: bytes, encoding: str, *, most: int, about: str) -> bytes:
    """Undo a content encoding that came although none was asked for.

    :param most: how many bytes it may come to.
    :raises RepositoryError: if it comes to more.
    """
    encoding = encoding.strip().lower()
    if encoding in {"", "identity"}:
        return body
    if encoding not in {"gzip", "x-gzip"}:
        raise IncompleteAnswerError("the body is in a content encoding that was not asked for and is not gzip")
    try:
        with gzip.open(BytesIO(body)) as file:
            content = file.read(most + 1)
    except (OSError, EOFError, zlib.error):
        raise IncompleteAnswerError("the body is announced as gzip and does not inflate") from None
    if len(content) > most:
        raise too_large(most, about=about)
    return content


def too_large(most: int, *, about: str) -> RepositoryError:
    """Return the error that an answer has more bytes than any log."""
    return RepositoryError(
        f"the answer is larger than {most:,} bytes, and was not read to its end",
        do="See what the server or a proxy in between sends: Imperva keeps 500 MB of logs in all",
        about=about,
    )


def refusal(response: Response, *, name: str, about: str) -> Exception:
    """Return what a status other than 200 means."""
    status = response.status_code
    if status >= 500 or status in _PASSING:
        return IncompleteAnswerError(f"HTTP {status}", retry_after=_retry_after(response.headers.get("Retry-After")))
    if status in {401, 403}:
        return AuthenticationError(
            f"the repository refused the API ID and key (HTTP {status})",
            do="Set login and password of the connection to the API ID and API key of the log set-up page, not to those"
            " of a console user; a key that was regenerated replaces the old one at once",
            about=about,
        )
    if status == 404 and name == INDEX_NAME:
        return IndexNotFoundError(
            "there is no index (HTTP 404)",
            do="If logging was enabled just now, wait: the first index takes minutes to a few hours. Else compare the"
            " Log Server URL with the one in the Imperva console; if it is the same, open a case with Imperva support",
            about=about,
        )
    if status in {404, 410}:
        return LogNotFoundError(
            f"there is no such log (HTTP {status})",
            do="Read the index again: a log it still lists will come, one it no longer lists has left the window and"
            " cannot be fetched any more",
            about=about,
        )
    return RepositoryError(
        f"an answer that is neither a body nor a refusal known of Imperva (HTTP {status})",
        do="Compare the Log Server URL with the one in the Imperva console, and see what a proxy in between answers",
        about=about,
    )


def _retry_after(text: str | None) -> float | None:
    """Read a ``Retry-After`` header, in seconds or as an HTTP date, as seconds from now; at most 120."""
    if text is None:
        return None
    try:
        if re.fullmatch(r"\s*[0-9]{1,9}\s*", text):
            seconds = float(text)
        else:
            when = parsedate_to_datetime(text)
            seconds = (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    except ValueError:
        return None
    return min(max(seconds, 0.0), _MAX_RETRY_AFTER)
