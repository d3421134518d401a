"""Anchors: the heads of ledgers, kept at a second place that whoever can write to the lake cannot write to.

A place is a folder or a bucket, or an HTTP service. In a folder each head is one object whose name says all that is
compared, so that a listing reads a year of them::

    <place>/repository=<r>/<commit // 1000, 9 digits>/<commit, 12 digits>-<SHA-256>.json

An HTTP service gets each head by POST, as JSON, and answers GET with all that it was given: a JSON array, or an object
a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Protocol

import msgspec
import requests

from airflow_provider_imperva.errors import ConfigurationError, LakeError, ObjectExistsError
from airflow_provider_imperva.lake.store import Store, open_store
from airflow_provider_imperva.uri import LakeUri

VERSION = 1
"""Version of the format of an anchor."""

_NAME = re.compile(r"(\d{12})-([0-9a-f]{64})\.json")
_TIMEOUTS = (5, 15)
_LOOPBACK = re.compile(r"http://(localhost|127\.\d+\.\d+\.\d+|\[::1\])[:/]")


class Anchor(msgspec.Struct, frozen=True, omit_defaults=True):
    """A commit that was noted elsewhere: a chain that was rewritten, or cut off before it, does not have it.

    :ivar sha256: of the commit's object.
    :ivar repository: None where the only one that is looked at is meant.
    :ivar repositories: those that the lake had a ledger of; none if they were not noted.
    :ivar noted_at: UTC; None if it was not noted.
    """

    commit: int
    sha256: str
    repository: str | None = None
    repositories: tuple[str, ...] = ()
    noted_at: datetime | None = None
    v: int = VERSION


class Anchors(Protocol):
    """A place outside of the lake that heads are noted at."""

    def note(self, anchor: Anchor) -> None:
        """Note a head; :raises LakeError: if the place does not take it."""

    def read(self) -> list[Anchor]:
        """Return all that were noted; :raises LakeError: if the place does not give them."""


def open_anchors(url: str, *, store: Store | None = None, token: str | None = None) -> Anchors:
    """Open a place.

    :param url: a folder or a bucket, as a lake's URI, or an HTTP service: https, or http on loopback.
    :param store: the folder or bucket, where it has been opened with its credentials.
    :param token: goes with each request to an HTTP service, as a bearer token.
    :raises ConfigurationError: if it is none of these.
    """
    if not url.startswith(("http://", "https://")):
        return _Folder(store or open_store(str(LakeUri.parse(url))))
    if not url.startswith("https://") and not _LOOPBACK.match(url):
        raise ConfigurationError("the anchor's URL is not https", do="Give an https URL, or a folder", about=url)
    if "@" in url.split("/")[2]:
        raise ConfigurationError("the anchor's URL holds a user or a password", do="Give a token beside the URL")
    return _Service(url, token)


class _Folder:
    def __init__(self, store: Store) -> None:
        self._store = store

    def note(self, anchor: Anchor) -> None:
        folder = f"repository={anchor.repository}/{anchor.commit // 1000:09d}"
        with suppress(ObjectExistsError):
            self._store.create(f"{folder}/{anchor.commit:012d}-{anchor.sha256}.json", msgspec.json.encode(anchor))

    def read(self) -> list[Anchor]:
        return [
            anchor for name in self._store.folders("") if name.startswith("repository=") for anchor in self._of(name)
        ]

    def _of(self, name: str) -> Iterator[Anchor]:
        paths = [item.path for folder in self._store.folders(name) for item in self._store.objects(f"{name}/{folder}")]
        repository = name.removeprefix("repository=")
        named = sorted(path for path in paths if _NAME.fullmatch(path.rsplit("/", 1)[1]))
        for path in named[:-1]:
            match = _NAME.fullmatch(path.rsplit("/", 1)[1])
            assert match  # noqa: S101
            yield Anchor(int(match[1]), match[2], repository)
        # Which repositories there were, the last one of each says.
        yield from (_decode(self._store.read(path), about=self._store.uri(path)) for path in named[-1:])


class _Service:
    def __init__(self, url: str, token: str | None) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def note(self, anchor: Anchor) -> None:
        headers = self._headers | {"Content-Type": "application/json"}
        self._ask("POST", headers=headers, content=msgspec.json.encode(anchor))

    def read(self) -> list[Anchor]:
        content = self._ask("GET", headers=self._headers).strip()
        if not content:
            return []
        try:
            if content.startswith(b"["):
                return msgspec.json.decode(content, type=list[Anchor])
            return msgspec.json.Decoder(Anchor).decode_lines(content)
        except msgspec.DecodeError:
            raise _no_anchor(self._url) from None

    def _ask(self, method: str, *, headers: dict[str, str], content: bytes | None = None) -> bytes:
        try:
            answer = requests.request(
                method, self._url, headers=headers, data=content, timeout=_TIMEOUTS, allow_redirects=False
            )
        except requests.RequestException as error:
            raise _unavailable(self._url, type(error).__name__) from None
        if not answer.ok or answer.is_redirect:
            raise _unavailable(self._url, f"HTTP {answer.status_code}")
        return answer.content


def of_repository(anchors: Iterable[Anchor], repository: str) -> list[Anchor]:
    """Return the anchors that are about one repository."""
    return [anchor for anchor in anchors if anchor.repository in (None, repository)]


def _decode(content: bytes, *, about: str) -> Anchor:
    try:
        return msgspec.json.decode(content, type=Anchor)
    except msgspec.DecodeError:
        raise _no_anchor(about) from None


def _no_anchor(about: str) -> LakeError:
    return LakeError(
        "what is there does not read as an anchor", do="Name the place that heads are sent to", about=about
    )


def _unavailable(url: str, why: str) -> LakeError:
    return LakeError(
        f"the place of the anchors did not answer as it should ({why})",
        do="See that it can be reached, and takes POST and GET",
        about=url,
    )
