"""The bucket or folder that Imperva delivers logs to, on any filesystem fsspec speaks.

What is delivered has a name that says nothing. What identifies it are its path, its size and its *version*: the ETag on
an object store, the time of the last change elsewhere. So what is rewritten under its old name is another object.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from types import TracebackType
from typing import Any, Self

import fsspec
import msgspec

from airflow_provider_imperva.clock import Clock, wall_clock
from airflow_provider_imperva.delivery.recent import Recent
from airflow_provider_imperva.delivery.uploads import is_partial
from airflow_provider_imperva.errors import (
    AuthenticationError,
    ConfigurationError,
    ImpervaError,
    LogNotFoundError,
    RepositoryUnavailableError,
)
from airflow_provider_imperva.extras import install_command

SETTLED = timedelta(minutes=1)
"""How long an object has to lie unchanged before it is taken: an upload may be under way, or a test of the console."""

_GONE = "it is gone"
_ANEW = "it has been rewritten since it was listed"

_ESCAPE = 0xDC00
_NO_TEXT = re.compile("[\udc80-\udcff]")
_ESCAPED = re.compile("%([89A-F][0-9A-F])")

SMALLEST_LOG = 64
"""Bytes. The header of a log alone takes more; less is a placeholder, or what the console tests the connection with."""


class DeliveredObject(msgspec.Struct, frozen=True, array_like=True):
    """What a delivered object is known by.

    :ivar path: below the folder that Imperva delivers to. A byte of it that is not UTF-8 is written as ``%FF``.
    :ivar size: bytes.
    :ivar version: its ETag, or when it was last changed.
    """

    path: str
    size: int
    version: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """An object that is not taken for a log as it is.

    :ivar path: below the folder that Imperva delivers to.
    :ivar why: what is wrong with it, in words.
    :ivar modified: when it was last changed, UTC.
    """

    path: str
    why: str
    modified: datetime


@dataclass(frozen=True, slots=True)
class Listing:
    """What lies in a delivery folder.

    :ivar objects: what was delivered and has not changed for the settle time, oldest first.
    :ivar waiting: what may become a log: uploads under way by their names, and what is too small for one.
    """

    objects: tuple[DeliveredObject, ...]
    waiting: tuple[Waiting, ...]


class DeliveryFolder:
    """The objects that were delivered to a folder, at any depth.

    Any number of threads may use it, if the filesystem allows for that.

    :param connect: opens the filesystem, with its credentials; called when it is first needed.
    :param root: the folder in it; in an object store, with the bucket.
    :param in_bucket: whether it is an object store, which lists all depths at once and has no folders to make.
    :param url: its address, for messages; without credentials, with a final slash.
    :param ignore: patterns (``*``, ``?``) of paths below the folder that are not logs.
    :param after_commit: what becomes of an object once it is loaded: ``keep``, ``delete``, or ``move:`` and another
        folder of the bucket or server.
    :param settled: how long an object has to be unchanged before it is taken.
    :param clock: shows whether it has been.
    :param recent: decides which objects may be new, so that not all have to be listed each time.
    :raises ConfigurationError: if ``after_commit`` is none of these, or would move logs to where they are listed.
    """

    def __init__(
        self,
        connect: Callable[[], Any],
        root: str,
        *,
        in_bucket: bool,
        url: str,
        ignore: Iterable[str] = (),
        after_commit: str = "keep",
        settled: timedelta = SETTLED,
        clock: Clock = wall_clock,
        recent: Recent | None = None,
    ) -> None:
        self.url = url
        self.clock = clock
        self._recent = recent
        self._connect = connect
        self._connected: Any = None
        self._connecting = threading.Lock()
        self._making = threading.Lock()
        self._root = root.rstrip("/")
        self._in_bucket = in_bucket
        self._ignore = tuple(ignore)
        self._after_commit, self._moved = self._disposal(after_commit)
        self._settled = settled

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(self._connected, contextlib.AbstractContextManager):
            self._connected.__exit__(kind, error, trace)

    @property
    def _fs(self) -> Any:
        with self._connecting:
            if self._connected is None:
                self._connected = self._connect()
            return self._connected

    @property
    def keeps(self) -> bool:
        """Whether objects stay where they are once they are loaded."""
        return self._after_commit == "keep"

    @property
    def has_recent(self) -> bool:
        """Whether :meth:`listing` can list only those objects that may be new."""
        return self._recent is not None and self.keeps and self._in_bucket

    @property
    def settled(self) -> timedelta:
        """How long an object has to be unchanged before it is taken."""
        return self._settled

    def objects(self) -> list[DeliveredObject]:
        """List what has been delivered and has not changed for the settle time, oldest first.

        :raises RepositoryError: as :meth:`listing`.
        """
        return list(self.listing().objects)

    def listing(self, *, after: str | None = None) -> Listing:
        """List what has been delivered, and what may become a log.

        :param after: path of a known object; list only those objects that may be newer, if that is known. None for
            all.
        :raises AuthenticationError: if the store refuses us.
        :raises ConfigurationError: if there is no such bucket or folder.
        :raises RepositoryUnavailableError: if no whole listing came; never is a part of one taken for all.
        """
        latest = self.clock() - self._settled
        with _clear_errors(self.url):
            self._fs.invalidate_cache()
            try:
                entries = [entry for entry in self._entries(after) if entry["type"] == "file"]
            except FileNotFoundError:
                raise ConfigurationError(
                    "there is no such bucket or folder",
                    do="Correct the connection's host, or create it; configure the same place at Imperva",
                    about=self.url,
                ) from None
            by_age = sorted(
                ((_modified(entry), self._object(entry)) for entry in entries), key=lambda pair: (pair[0], pair[1].path)
            )
        objects, waiting = [], []
        for modified, item in by_age:
            if any(fnmatchcase(item.path, pattern) for pattern in self._ignore) or item.path.endswith("/"):
                continue
            if why := _why_no_log(item):
                waiting.append(Waiting(item.path, why, modified))
            elif modified <= latest:
                objects.append(item)
        return Listing(tuple(objects), tuple(waiting))

    def read(self, item: DeliveredObject) -> bytes:
        """Return an object's bytes.

        :raises LogNotFoundError: if it is gone, or is not the one that was listed any more.
        :raises AuthenticationError: if the store refuses us.
        :raises RepositoryUnavailableError: if it could not be read.
        """
        about = f"{self.url}{item.path!a}"
        with _clear_errors(about):
            path = self._find(item)
            try:
                content: bytes = self._fs.cat_file(path)
            except FileNotFoundError:
                raise _gone(_GONE, about) from None
            # After it was read, since it may change while it is.
            self._see_unchanged(item, path, about)
        if len(content) != item.size:
            raise _gone(_ANEW, about)
        return content

    def dispose(self, item: DeliveredObject) -> None:
        """Delete or move an object that is loaded.

        :raises LogNotFoundError: if it is gone, or is not the one that was listed any more.
        :raises RepositoryError: if that fails.
        """
        if self.keeps:
            return
        about = f"{self.url}{item.path!a}"
        with _clear_errors(about):
            path = self._find(item)
            self._see_unchanged(item, path, about)
            if self._moved is not None:
                self._move(path, f"{self._moved}/{item.path}", version=item.version)
            else:
                self._fs.rm_file(path)

    def _find(self, item: DeliveredObject) -> str:
        """Return where an object is; its path may stand for one that is not text."""
        path = f"{self._root}/{item.path}"
        # The keys of object stores are always text.
        if self._in_bucket or (other := f"{self._root}/{as_named(item.path)}") == path:
            return path
        self._fs.invalidate_cache()
        with contextlib.suppress(FileNotFoundError, UnicodeError):
            if self._object(self._fs.info(other) | {"name": other}) == item:
                return other
        return path

    def _see_unchanged(self, item: DeliveredObject, path: str, about: str) -> None:
        self._fs.invalidate_cache()
        try:
            now = self._object(self._fs.info(path) | {"name": path})
        except FileNotFoundError:
            raise _gone(_GONE, about) from None
        if now != item:
            raise _gone(_ANEW, about)

    def _move(self, source: str, target: str, *, version: str) -> None:
        self._fs.invalidate_cache()
        if self._fs.exists(target):
            # An older version under the same name stays.
            target = f"{target}.{version}"
        if self._in_bucket:
            self._fs.cp_file(source, target)
            self._fs.rm_file(source)
        else:
            with self._making:
                # Of two that make a folder at once over SFTP, one fails.
                self._fs.makedirs(target.rpartition("/")[0], exist_ok=True)
            self._fs.mv(source, target)

    def _disposal(self, text: str) -> tuple[str, str | None]:
        kind, _, folder = text.partition(":")
        folder = folder.strip("/")
        if kind not in {"keep", "delete", "move"} or (kind == "move") != bool(folder):
            raise ConfigurationError(
                "after_commit is none of keep, delete and move:<folder>",
                do="Write one of them; the folder is one of the same bucket or server, from its top",
                about=self.url,
            )
        if kind != "move":
            return kind, None
        target = f"{self._bucket}/{folder}" if self._in_bucket else f"/{folder}"
        if f"{target}/".startswith(f"{self._root}/"):
            raise ConfigurationError(
                "loaded logs would be moved to where new ones are listed",
                do="Name a folder in after_commit that is not within the one Imperva delivers to",
                about=self.url,
            )
        return kind, target

    def _entries(self, after: str | None) -> list[dict[str, Any]]:
        if after is not None and self._recent and self.has_recent:
            return self._recent.entries(self._fs, self._root, after)
        if self._in_bucket:
            # An object store lists all depths at once, and fails as a whole.
            entries = self._fs.find(self._root, detail=True)
            if not entries:
                self._fs.ls(self._bucket)  # nothing there, or no such bucket?
            return list(entries.values())
        return list(self._walk(self._root or "/"))

    def _walk(self, folder: str) -> Iterator[dict[str, Any]]:
        # fsspec's own walk skips folders that it cannot list.
        for entry in self._fs.ls(folder, detail=True):
            if entry["type"] == "directory":
                yield from self._walk(entry["name"])
            else:
                yield entry

    @property
    def _bucket(self) -> str:
        return self._root.partition("/")[0]

    def _object(self, entry: dict[str, Any]) -> DeliveredObject:
        etag = entry.get("ETag") or entry.get("etag")
        version = str(etag).strip('"') if etag else f"{_modified(entry).timestamp():.6f}"
        return DeliveredObject(as_text(entry["name"].removeprefix(f"{self._root}/")), int(entry["size"]), version)


def _why_no_log(item: DeliveredObject) -> str | None:
    if is_partial(item.path):
        return "its name is that of an upload under way"
    return f"its {item.size} bytes are too few for a log" if item.size < SMALLEST_LOG else None


def as_text(name: str) -> str:
    """Write the bytes of a name that are not UTF-8, which Python has as halves of surrogate pairs, as ``%FF``."""
    return _NO_TEXT.sub(lambda match: f"%{ord(match[0]) - _ESCAPE:02X}", name)


def as_named(text: str) -> str:
    """Return the name that a text stands for, if it was written by :func:`as_text`."""
    return _ESCAPED.sub(lambda match: chr(_ESCAPE + int(match[1], 16)), text)


def _modified(entry: dict[str, Any]) -> datetime:
    # The name of this entry differs from one fsspec implementation to the next.
    value = next(entry[key] for key in ("LastModified", "last_modified", "mtime", "created", "updated") if key in entry)
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return datetime.fromtimestamp(value, UTC)


def _gone(problem: str, about: str) -> LogNotFoundError:
    return LogNotFoundError(problem, do="See who else deletes or writes there", about=about)


@contextmanager
def _clear_errors(about: str) -> Iterator[None]:
    """Describe what a store's error means, without quoting it: it may hold what the server sent."""
    try:
        yield
    except ImpervaError:
        raise
    except PermissionError:
        raise AuthenticationError(
            "the store refuses these credentials",
            do="Allow them to list and read there (S3: s3:ListBucket, s3:GetObject), and to delete and write if logs"
            " are deleted or moved once they are loaded",
            about=about,
        ) from None
    except Exception as error:
        raise RepositoryUnavailableError(
            f"the store gave no whole answer ({type(error).__name__})",
            do="Wait and run again; if it lasts, see whether this machine reaches the store",
            about=about,
        ) from None


def ambient_filesystem(url: str) -> Any:
    """Open the filesystem of a URL with the credentials of this machine.

    :raises ConfigurationError: if no installed filesystem speaks its protocol.
    """
    try:
        return fsspec.filesystem(url.partition("://")[0])
    except (ImportError, ValueError) as error:
        raise ConfigurationError(
            f"no filesystem for what is delivered ({type(error).__name__})",
            do="Check the connection's host, or install the fsspec implementation of its protocol (for S3:"
            f" {install_command('s3')})",
            about=url,
        ) from error
