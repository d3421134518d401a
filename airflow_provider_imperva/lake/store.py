"""Objects of a lake on any filesystem fsspec speaks: each appears whole or not at all.

Object stores write atomically by themselves. A local disk does not, so there an object is written beside the lake's
tree, synced, and moved (or linked, where it must not exist yet) to its name.
"""

from __future__ import annotations

import contextlib
import io
import os
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_imperva.errors import ConfigurationError, LakeError, ObjectExistsError

_SCRATCH = ".tmp"
_SCRATCH_AGE = timedelta(days=1)
_READ_AHEAD = 16 << 20


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as a listing shows it.

    :ivar path: path below the lake's root.
    :ivar size: bytes.
    :ivar modified: when it was written.
    """

    path: str
    size: int
    modified: datetime


class Store(Protocol):
    """The root of a lake. Paths are relative to it and separated by slashes."""

    def uri(self, path: str = "") -> str:
        """Return the full address of an object, for people and for other programs."""

    def read(self, path: str) -> bytes:
        """Return an object's bytes; :raises FileNotFoundError: if there is none."""

    def reader(self, path: str) -> contextlib.AbstractContextManager[BinaryIO]:
        """Open an object for reading in pieces, seekable; :raises FileNotFoundError: if there is none."""

    def exists(self, path: str) -> bool:
        """Tell whether there is such an object."""

    def write(self, path: str, content: bytes) -> None:
        """Write an object, in place of one that may be there."""

    def create(self, path: str, content: bytes) -> None:
        """Write an object that must not exist yet.

        :raises ObjectExistsError: if it does; its bytes are untouched.
        """

    def writer(self, path: str) -> contextlib.AbstractContextManager[BinaryIO]:
        """Open an object for writing in pieces; it appears when the block ends without an exception."""

    def delete(self, paths: Iterable[str]) -> None:
        """Remove objects; those that are not there are no error."""

    def objects(self, folder: str) -> list[StoredObject]:
        """Return the objects right in a folder, by path; none if there is no such folder."""

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders right in a folder, ascending."""

    def sweep(self) -> None:
        """Remove what writers that died have left beside the tree."""


def open_store(uri: str, *, fs: fsspec.AbstractFileSystem | None = None) -> Store:
    """Open the lake at a URI.

    :param uri: ``file:///…``, a local path, ``s3://bucket/prefix``, or anything else fsspec speaks.
    :param fs: a filesystem that already has its credentials; by default fsspec makes one from the environment.
    :raises ConfigurationError: if no installed filesystem speaks the URI's protocol.
    """
    try:
        found, root = fsspec.core.url_to_fs(uri) if fs is None else (fs, fs._strip_protocol(uri))
    except (ImportError, ValueError) as error:
        raise ConfigurationError(
            f"no filesystem for the lake: {error}",
            do="check the lake's URI, or install the fsspec implementation of its protocol",
            about=uri,
        ) from error
    if isinstance(found, LocalFileSystem):
        return LocalStore(Path(root))
    return ObjectStore(found, root)


class LocalStore:
    """A lake on a disk of this machine (or one that is mounted): durable before it is visible."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def uri(self, path: str = "") -> str:
        """Return the path on disk."""
        return str(self._root / path)

    def read(self, path: str) -> bytes:
        """Return an object's bytes."""
        return (self._root / path).read_bytes()

    def reader(self, path: str) -> contextlib.AbstractContextManager[BinaryIO]:
        """Open an object for reading in pieces."""
        return (self._root / path).open("rb")

    def exists(self, path: str) -> bool:
        """Tell whether there is such an object."""
        return (self._root / path).is_file()

    def write(self, path: str, content: bytes) -> None:
        """Write an object, in place of one that may be there."""
        with self.writer(path) as file:
            file.write(content)

    def create(self, path: str, content: bytes) -> None:
        """Write an object that must not exist yet."""
        with self._scratch(path) as (file, scratch, target):
            file.write(content)
            _sync(file)
            try:
                # A hard link is the one call that both refuses an existing name and shows the object whole.
                os.link(scratch, target)
            except FileExistsError:
                raise _exists(self.uri(path)) from None
            _sync_folder(target.parent)

    @contextlib.contextmanager
    def writer(self, path: str) -> Iterator[BinaryIO]:
        """Open an object for writing in pieces."""
        with self._scratch(path) as (file, scratch, target):
            yield file
            _sync(file)
            scratch.replace(target)
            _sync_folder(target.parent)

    @contextlib.contextmanager
    def _scratch(self, path: str) -> Iterator[tuple[BinaryIO, Path, Path]]:
        target = self._root / path
        scratch = self._root / _SCRATCH / uuid.uuid4().hex
        scratch.parent.mkdir(parents=True, exist_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with scratch.open("xb") as file:
                yield file, scratch, target
        finally:
            scratch.unlink(missing_ok=True)

    def delete(self, paths: Iterable[str]) -> None:
        """Remove objects."""
        for path in paths:
            (self._root / path).unlink(missing_ok=True)

    def objects(self, folder: str) -> list[StoredObject]:
        """Return the objects right in a folder."""
        found = []
        with contextlib.suppress(FileNotFoundError), os.scandir(self._root / folder) as entries:
            for entry in entries:
                if entry.is_file():
                    stat = entry.stat()
                    modified = datetime.fromtimestamp(stat.st_mtime, UTC)
                    found.append(StoredObject(f"{folder}/{entry.name}", stat.st_size, modified))
        return sorted(found, key=lambda item: item.path)

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders right in a folder."""
        with contextlib.suppress(FileNotFoundError), os.scandir(self._root / folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())
        return []

    def sweep(self) -> None:
        """Remove scratch files of writers that died more than a day ago."""
        oldest = datetime.now(UTC) - _SCRATCH_AGE
        self.delete(item.path for item in self.objects(_SCRATCH) if item.modified < oldest)


class ObjectStore:
    """A lake on an object store, whose writes are atomic by themselves."""

    def __init__(self, fs: fsspec.AbstractFileSystem, root: str) -> None:
        self._fs = fs
        self._root = root.rstrip("/")

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    def uri(self, path: str = "") -> str:
        """Return the object's URL."""
        return cast(str, self._fs.unstrip_protocol(self._full(path)))

    def read(self, path: str) -> bytes:
        """Return an object's bytes."""
        return cast(bytes, self._fs.cat_file(self._full(path)))

    def reader(self, path: str) -> contextlib.AbstractContextManager[BinaryIO]:
        """Open an object for reading in pieces."""
        # Reading ahead means that most objects come in a single request, and stay for whoever reads them again.
        file = self._fs.open(self._full(path), "rb", block_size=_READ_AHEAD, cache_type="readahead")
        return cast("contextlib.AbstractContextManager[BinaryIO]", file)

    def exists(self, path: str) -> bool:
        """Tell whether there is such an object."""
        self._fs.invalidate_cache()
        return bool(self._fs.isfile(self._full(path)))

    def write(self, path: str, content: bytes) -> None:
        """Write an object, in place of one that may be there."""
        self._fs.pipe_file(self._full(path), content)

    def create(self, path: str, content: bytes) -> None:
        """Write an object that must not exist yet."""
        try:
            self._fs.pipe_file(self._full(path), content, mode="create")
        except OSError as error:
            # Some stores report the conflict as FileExistsError, others as a bare OSError.
            if isinstance(error, FileExistsError) or self.exists(path):
                raise _exists(self.uri(path)) from error
            raise LakeError(
                f"the object could not be written ({type(error).__name__})",
                do="check that the lake can be written to, and that its store is up; the next try begins here again",
                about=self.uri(path),
            ) from error

    @contextlib.contextmanager
    def writer(self, path: str) -> Iterator[BinaryIO]:
        """Open an object for writing in pieces."""
        # Put as a whole at the end: not every filesystem keeps a file that is being written out of sight, and a dead
        # writer leaves no unfinished upload behind. Compressed, a part is a small fraction of the text it came from.
        content = io.BytesIO()
        yield content
        self.write(path, content.getvalue())

    def delete(self, paths: Iterable[str]) -> None:
        """Remove objects."""
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                self._fs.rm_file(self._full(path))

    def objects(self, folder: str) -> list[StoredObject]:
        """Return the objects right in a folder."""
        return [
            StoredObject(f"{folder}/{entry['name'].rsplit('/', 1)[1]}", entry["size"], _modified(entry))
            for entry in self._entries(folder)
            if entry["type"] == "file"
        ]

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders right in a folder."""
        names = (entry["name"].rstrip("/") for entry in self._entries(folder) if entry["type"] == "directory")
        return sorted(name.rsplit("/", 1)[1] for name in names)

    def _entries(self, folder: str) -> list[dict[str, Any]]:
        self._fs.invalidate_cache()
        try:
            entries = self._fs.ls(self._full(folder), detail=True)
        except FileNotFoundError:
            return []
        return sorted(entries, key=lambda entry: entry["name"])

    def sweep(self) -> None:
        """Do nothing: an object store keeps no scratch files."""


def _modified(entry: dict[str, Any]) -> datetime:
    # The name of this entry differs from one fsspec implementation to the next.
    for key in ("LastModified", "last_modified", "mtime", "created", "updated"):
        value = entry.get(key)
        if isinstance(value, datetime):
            return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        if isinstance(value, (int, float)):
            return datetime.fromtimestamp(value, UTC)
        if isinstance(value, str):
            return datetime.fromisoformat(value).astimezone(UTC)
    raise LakeError(
        "the filesystem does not say when an object was written",
        do="use a filesystem whose listings carry a modification time",
        about=str(entry["name"]),
    )


def _exists(uri: str) -> ObjectExistsError:
    return ObjectExistsError("the object is there already", do="read it instead of writing it", about=uri)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
