"""Objects of a lake on any filesystem fsspec speaks: each appears whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeAlias

import fsspec
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.extras import install_command
from airflow_provider_imperva.uri import LakeUri


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


@dataclass(frozen=True, slots=True)
class Address:
    """How another library reaches a folder of a lake by itself.

    :ivar url: the folder's URL.
    :ivar options: storage options of the Rust crate ``object_store``, credentials among them: never to be shown.
    """

    url: str
    options: dict[str, str] = field(default_factory=dict, repr=False)


OpenCatalog: TypeAlias = Callable[[], Any]
"""Opens the catalog that a lake's Iceberg table is in: a ``pyiceberg.catalog.Catalog``."""


@dataclass(frozen=True, slots=True)
class ObjectLock:
    """How long S3 keeps what is written to ``raw/`` and ``ledger/`` from being deleted, whoever asks.

    :ivar mode: ``GOVERNANCE`` (those with a permission of their own may shorten it) or ``COMPLIANCE`` (no user may).
    :ivar days: from the moment of writing.
    """

    mode: str
    days: int


class Store(Protocol):
    """The root of a lake. Paths are relative to it and separated by slashes.

    Whatever the store refuses is a :class:`~airflow_provider_imperva.errors.LakeError` that says what to do.

    :ivar catalog: opens the catalog that whoever opened the lake named; None if none was named.
    """

    catalog: OpenCatalog | None

    def uri(self, path: str = "") -> str:
        """Return the full address of an object, for people and for other programs."""

    def read(self, path: str) -> bytes:
        """Return an object's bytes; :raises FileNotFoundError: if there is none."""

    def reader(self, path: str) -> AbstractContextManager[BinaryIO]:
        """Open an object for reading in pieces, seekable; :raises FileNotFoundError: if there is none."""

    def exists(self, path: str) -> bool:
        """Return whether there is such an object."""

    def write(self, path: str, content: bytes) -> None:
        """Write an object, in place of one that may be there."""

    def create(self, path: str, content: bytes) -> None:
        """Write an object that must not exist yet.

        :raises ObjectExistsError: if it does; its bytes are untouched.
        """

    def writer(self, path: str) -> AbstractContextManager[BinaryIO]:
        """Open an object for writing in pieces; it appears when the block ends without an exception."""

    def delete(self, paths: Iterable[str]) -> None:
        """Remove objects; those that are not there are no error."""

    def purge(self, path: str) -> None:
        """Remove what the store keeps of an object from before it was written last."""

    def objects(self, folder: str) -> list[StoredObject]:
        """Return the objects right in a folder, by path; none if there is no such folder."""

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders right in a folder, ascending."""

    def sweep(self) -> None:
        """Remove what writers that died have left beside the tree."""

    def address(self, folder: str) -> Address:
        """Return how another library reaches a folder; :raises ConfigurationError: if it cannot."""


def s3fs_missing(about: str) -> ConfigurationError:
    """Return the error that the library for lakes on S3 is not installed."""
    return ConfigurationError(
        "a lake on S3 needs the library s3fs, which is not installed",
        do=f"Install it ({install_command('s3')}), or, for the credentials of an Airflow connection, its provider"
        f" ({install_command('aws')})",
        about=about,
    )


def open_filesystem(lake: LakeUri) -> tuple[fsspec.AbstractFileSystem, str]:
    """Return the filesystem of a lake, with the credentials of the environment, and the lake's root in it.

    :raises ConfigurationError: if no installed filesystem speaks its protocol.
    """
    try:
        filesystem, root = fsspec.core.url_to_fs(lake.address)
    except (ImportError, ValueError) as error:
        if lake.scheme == "s3" and isinstance(error, ImportError):
            raise s3fs_missing(str(lake)) from None
        raise ConfigurationError(
            f"no filesystem for the lake ({type(error).__name__})",
            do="Check the lake's URI, or install the fsspec implementation of its protocol",
            about=str(lake),
        ) from None
    return filesystem, root


def open_store(
    uri: str,
    *,
    fs: fsspec.AbstractFileSystem | None = None,
    lock: ObjectLock | None = None,
    catalog: OpenCatalog | None = None,
) -> Store:
    """Open the lake at a URI.

    :param uri: as :meth:`~airflow_provider_imperva.uri.LakeUri.parse` reads it.
    :param fs: a filesystem that already has its credentials; by default fsspec makes one from the environment.
    :param lock: of what is written to ``raw/`` and ``ledger/``.
    :param catalog: opens the catalog of the lake's Iceberg table.
    :raises ConfigurationError: if the URI is not that of a lake, a lock is wanted elsewhere than on S3, or no installed
        filesystem speaks its protocol.
    """
    lake = LakeUri.parse(uri)
    filesystem, root = open_filesystem(lake) if fs is None else (fs, fs._strip_protocol(lake.address))
    from airflow_provider_imperva.lake.bucket import ObjectStore, S3Store
    from airflow_provider_imperva.lake.disk import LocalStore

    if "s3" in filesystem.protocol:
        return S3Store(filesystem, root, lock=lock, catalog=catalog)
    if lock:
        raise no_object_lock(str(lake))
    if isinstance(filesystem, LocalFileSystem):
        return LocalStore(Path(root), catalog=catalog)
    return ObjectStore(filesystem, root, catalog=catalog)


def no_object_lock(about: str) -> ConfigurationError:
    """Return the error that a store cannot lock objects."""
    return ConfigurationError(
        "object_lock is set, and this store has no object lock",
        do="Make a bucket with object lock, which is switched on when a bucket is made, or leave object_lock out",
        about=about,
    )
