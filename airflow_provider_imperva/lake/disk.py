"""A lake on a disk, which does not write atomically by itself.

So an object is written beside the lake's tree, synced, and moved (or linked, where it must not exist yet) to its name.
"""

from __future__ import annotations

import contextlib
import errno
import os
import posixpath
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from airflow_provider_imperva.lake.failure import already_there, failing_disk, no_folder, no_links
from airflow_provider_imperva.lake.store import Address, OpenCatalog, StoredObject

_SCRATCH = ".tmp"
_SCRATCH_AGE = timedelta(days=1)


class LocalStore:
    """A lake on a disk of this machine (or one that is mounted): durable before it is visible."""

    def __init__(self, root: Path, *, catalog: OpenCatalog | None = None) -> None:
        self._root = root
        self.catalog = catalog

    def uri(self, path: str = "") -> str:
        """Return the path on disk."""
        return str(self._root / path)

    def read(self, path: str) -> bytes:
        """Return an object's bytes."""
        with failing_disk(self.uri(path)):
            return (self._root / path).read_bytes()

    def reader(self, path: str) -> contextlib.AbstractContextManager[BinaryIO]:
        """Open an object for reading in pieces."""
        with failing_disk(self.uri(path)):
            return (self._root / path).open("rb")

    def address(self, folder: str) -> Address:
        """Return how another library reaches a folder."""
        return Address((self._root / folder).absolute().as_uri())

    def exists(self, path: str) -> bool:
        """Return whether there is such an object."""
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
                raise already_there(self.uri(path)) from None
            except OSError as error:
                if error.errno in (errno.EPERM, errno.EOPNOTSUPP):
                    raise no_links(self.uri(path)) from None
                raise
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
        with failing_disk(self.uri(path)):
            _make_folder(scratch.parent)
            _make_folder(target.parent)
            try:
                with scratch.open("xb") as file:
                    yield file, scratch, target
            finally:
                scratch.unlink(missing_ok=True)

    def delete(self, paths: Iterable[str]) -> None:
        """Remove objects."""
        for path in paths:
            with failing_disk(self.uri(path)):
                (self._root / path).unlink(missing_ok=True)

    def purge(self, path: str) -> None:
        """Do nothing: a disk keeps no versions."""

    def objects(self, folder: str) -> list[StoredObject]:
        """Return the objects right in a folder."""
        objects = []
        with self._entries(folder) as entries:
            for entry in entries:
                # What another writer has removed or moved away since the folder was read is not there any more.
                with contextlib.suppress(FileNotFoundError):
                    if entry.is_file():
                        stat = entry.stat()
                        modified = datetime.fromtimestamp(stat.st_mtime, UTC)
                        objects.append(StoredObject(posixpath.join(folder, entry.name), stat.st_size, modified))
        return sorted(objects, key=lambda item: item.path)

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders right in a folder."""
        with self._entries(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())

    @contextlib.contextmanager
    def _entries(self, folder: str) -> Iterator[Iterable[os.DirEntry[str]]]:
        with failing_disk(self.uri(folder)):
            try:
                entries = os.scandir(self._root / folder)
            except FileNotFoundError:
                yield ()
                return
            with entries:
                yield entries

    def sweep(self) -> None:
        """Remove scratch files of writers that died more than a day ago."""
        oldest = datetime.now(UTC) - _SCRATCH_AGE
        self.delete(item.path for item in self.objects(_SCRATCH) if item.modified < oldest)


def _make_folder(folder: Path) -> None:
    """Make a folder, and those above it, so that it is there after a power cut."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        try:
            folder.mkdir(exist_ok=True)
        except FileExistsError:
            # Whoever creates an object would take it for that object.
            raise no_folder(str(folder)) from None
        _sync_folder(folder.parent)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
