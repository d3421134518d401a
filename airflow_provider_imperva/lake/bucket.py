"""A lake on an object store, whose writes are atomic by themselves.

On S3, ``If-None-Match`` is what makes a creation refuse an object that is there.
"""

from __future__ import annotations

import contextlib
import posixpath
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO, cast

import fsspec
from fsspec.asyn import sync

from airflow_provider_imperva.clock import Clock, wall_clock
from airflow_provider_imperva.errors import ConfigurationError, LakeError
from airflow_provider_imperva.lake.failure import already_there, failing, failure, server_code
from airflow_provider_imperva.lake.store import Address, ObjectLock, OpenCatalog, StoredObject, no_object_lock

_READ_AHEAD = 16 << 20
_PIECE_BYTES = 8 << 20
_PIECES_AT_ONCE = 4
_CONNECTIONS = 32
_UPLOAD_AGE = timedelta(days=1)
_ENCRYPTION = {"ServerSideEncryption": "aws_server_side_encryption", "SSEKMSKeyId": "aws_sse_kms_key_id"}
_CONFLICT = "ConditionalRequestConflict"
_THERE_ALREADY = frozenset({"PreconditionFailed", "412"})
_ATTEMPTS = 3
_LOCKED = ("raw/", "ledger/")
_NO_LOCK = frozenset({"ObjectLockConfigurationNotFoundError", "NotImplemented", "MethodNotAllowed"})


class ObjectStore:
    """A lake on any object store that fsspec speaks to."""

    def __init__(self, fs: fsspec.AbstractFileSystem, root: str, *, catalog: OpenCatalog | None = None) -> None:
        self._fs = fs
        self._root = root.rstrip("/")
        self.catalog = catalog
        # Other processes write to the lake too, so no listing may come from memory.
        self._fs.dircache.use_listings_cache = False
        self._fs.invalidate_cache()

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    def uri(self, path: str = "") -> str:
        """Return the object's URL."""
        return cast(str, self._fs.unstrip_protocol(self._full(path)))

    def read(self, path: str) -> bytes:
        """Return an object's bytes."""
        with failing(self.uri(path), reading=True):
            return self._cat(path)

    def _cat(self, path: str) -> bytes:
        return cast(bytes, self._fs.cat_file(self._full(path)))

    @contextlib.contextmanager
    def reader(self, path: str) -> Iterator[BinaryIO]:
        """Open an object for reading in pieces."""
        with failing(self.uri(path), reading=True):
            # Reading ahead means that most objects come in a single request, and stay for whoever reads them again.
            file = self._fs.open(self._full(path), "rb", block_size=_READ_AHEAD, cache_type="readahead")
        with file:
            try:
                yield file
            except OSError as error:
                if server_code(error) is None:  # the block's own
                    raise
                raise failure(error, about=self.uri(path)) from None

    def exists(self, path: str) -> bool:
        """Return whether there is such an object."""
        try:
            with failing(self.uri(path), reading=True):
                return self._is_object(path)
        except FileNotFoundError:
            return False

    def _is_object(self, path: str) -> bool:
        return bool(self._fs.info(self._full(path))["type"] == "file")

    def write(self, path: str, content: bytes) -> None:
        """Write an object, in place of one that may be there."""
        with failing(self.uri(path)):
            self._fs.pipe_file(self._full(path), content, **self._locked(path))

    def _locked(self, path: str) -> dict[str, Any]:
        """Return what an object is written with so that it is kept."""
        return {}

    def create(self, path: str, content: bytes) -> None:
        """Write an object that must not exist yet."""
        locked = self._locked(path)
        for attempt in range(_ATTEMPTS):
            try:
                self._fs.pipe_file(self._full(path), content, mode="create", **locked)
            except Exception as error:
                if server_code(error) == _CONFLICT and attempt < _ATTEMPTS - 1:
                    continue  # another creation was under way, and may have failed
                # The answer to a condition that does not hold, which is the only one that was given.
                if server_code(error) in _THERE_ALREADY:
                    raise already_there(self.uri(path)) from None
                # Some stores report the conflict as FileExistsError, others as a bare OSError.
                if isinstance(error, FileExistsError) or self._is_there(path):
                    raise already_there(self.uri(path)) from None
                raise failure(error, about=self.uri(path)) from None
            return

    def _is_there(self, path: str) -> bool:
        # Asked when a write has failed: if this fails too, the write's error is the one to tell.
        with contextlib.suppress(LakeError):
            return self.exists(path)
        return False

    @contextlib.contextmanager
    def writer(self, path: str) -> Iterator[BinaryIO]:
        """Open an object for writing in pieces."""
        # Put as a whole at the end: not every filesystem keeps a file that is being written out of sight, and a writer
        # that fails leaves nothing. Until then it is on disk, since a part may be large.
        with tempfile.NamedTemporaryFile(prefix="imperva-part-") as scratch:
            yield cast(BinaryIO, scratch)
            scratch.flush()
            with failing(self.uri(path)):
                self._put(scratch.name, path)

    def _put(self, file: str, path: str) -> None:
        self._fs.put_file(file, self._full(path))

    def delete(self, paths: Iterable[str]) -> None:
        """Remove objects."""
        for path in paths:
            with contextlib.suppress(FileNotFoundError), failing(self.uri(path), reading=True):
                self._fs.rm_file(self._full(path))

    def purge(self, path: str) -> None:
        """Do nothing: only of S3 it is known how versions are told apart."""

    def objects(self, folder: str) -> list[StoredObject]:
        """Return the objects right in a folder."""
        return [
            StoredObject(posixpath.join(folder, posixpath.basename(entry["name"])), entry["size"], _modified(entry))
            for entry in self._entries(folder)
            if entry["type"] == "file"
        ]

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders right in a folder."""
        names = (entry["name"].rstrip("/") for entry in self._entries(folder) if entry["type"] == "directory")
        return sorted(map(posixpath.basename, names))

    def _entries(self, folder: str) -> list[dict[str, Any]]:
        try:
            with failing(self.uri(folder), reading=True):
                entries = self._list(folder)
        except FileNotFoundError:
            return []
        return sorted(entries, key=lambda entry: entry["name"])

    def _list(self, folder: str) -> list[dict[str, Any]]:
        return cast(list[dict[str, Any]], self._fs.ls(self._full(folder), detail=True))

    def sweep(self) -> None:
        """Do nothing: an object store keeps no scratch files."""

    def address(self, folder: str) -> Address:
        """Refuse: only of S3 it is known how credentials are handed on."""
        raise ConfigurationError(
            "a lake in this kind of store can have no table",
            do="Keep the lake on S3 or on a disk, or set table=None",
            about=self.uri(folder),
        )


class S3Store(ObjectStore):
    """A lake on S3, or on a server that speaks as S3 does.

    A large object goes up in pieces, and appears when the last is there. Of a writer that dies in between the pieces
    stay, unseen but paid for, until they are swept.
    """

    def __init__(
        self,
        fs: fsspec.AbstractFileSystem,
        root: str,
        *,
        lock: ObjectLock | None = None,
        catalog: OpenCatalog | None = None,
    ) -> None:
        super().__init__(fs, root, catalog=catalog)
        self._lock = lock
        self._can_lock = False
        # By itself botocore opens ten, and more that read side by side wait for one of them.
        self._fs.config_kwargs.setdefault("max_pool_connections", _CONNECTIONS)

    def _locked(self, path: str) -> dict[str, Any]:
        """Have S3 keep what is in ``raw/`` and ``ledger/``.

        :raises ConfigurationError: if the bucket has no object lock; nothing was written.
        """
        if self._lock is None or not path.startswith(_LOCKED):
            return {}
        if not self._can_lock:
            bucket, _, _ = self._fs.split_path(self._root)
            try:
                self._fs.call_s3("get_object_lock_configuration", Bucket=bucket)
            except Exception as error:
                if server_code(error) in _NO_LOCK:
                    raise no_object_lock(self.uri()) from None
                raise failure(error, about=self.uri()) from None
            self._can_lock = True
        until = datetime.now(UTC) + timedelta(days=self._lock.days)
        return {"ObjectLockMode": self._lock.mode, "ObjectLockRetainUntilDate": until}

    def purge(self, path: str) -> None:
        """Remove all versions of an object but the last."""
        bucket, key, _ = self._fs.split_path(self._full(path))
        with failing(self.uri(path)):
            answer = self._fs.call_s3("list_object_versions", Bucket=bucket, Prefix=key)
            for version in answer.get("Versions", []):
                if version["Key"] == key and not version["IsLatest"]:
                    self._fs.call_s3("delete_object", Bucket=bucket, Key=key, VersionId=version["VersionId"])

    def _cat(self, path: str) -> bytes:
        # In one piece, since s3fs would ask for the size first, in a request of its own.
        return cast(bytes, self._fs.cat_file(self._full(path), max_concurrency=1))

    def _is_object(self, path: str) -> bool:
        # By itself s3fs would look for a folder of that name too, in a request of its own.
        bucket, key, _ = self._fs.split_path(self._full(path))
        self._fs.call_s3("head_object", Bucket=bucket, Key=key)
        return True

    def _list(self, folder: str) -> list[dict[str, Any]]:
        # By itself s3fs would list the folder above, too, where this one is empty.
        bucket, key, _ = self._fs.split_path(self._full(folder))
        prefix = f"{key}/" if key else ""
        entries: list[dict[str, Any]] = []
        position: dict[str, str] | None = {}
        while position is not None:
            page = self._fs.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, Delimiter="/", **position)
            entries += [{"name": entry["Prefix"], "type": "directory"} for entry in page.get("CommonPrefixes", [])]
            entries += [
                {"name": entry["Key"], "type": "file", "size": entry["Size"], "LastModified": entry["LastModified"]}
                for entry in page.get("Contents", [])
                if entry["Key"] != prefix  # some tools mark a folder with an object of its name
            ]
            position = {"ContinuationToken": page["NextContinuationToken"]} if page["IsTruncated"] else None
        return entries

    def address(self, folder: str) -> Address:
        """Return how another library reaches a folder, with the credentials that this one has now."""
        with failing(self.uri(folder), reading=True):
            client = self._fs.s3
            options = {"timeout": "60s", "conditional_put": "etag"} | self._credentials()
        endpoint, region = client.meta.endpoint_url, client.meta.region_name
        if not endpoint.endswith((".amazonaws.com", ".amazonaws.com.cn")):
            options |= {"endpoint": endpoint, "allow_http": str(endpoint.startswith("http:")).lower()}
        if region:
            options["region"] = "us-east-1" if region == "aws-global" else region
        if self._fs.client_kwargs.get("verify") is False:
            options["allow_invalid_certificates"] = "true"
        for ours, theirs in _ENCRYPTION.items():
            if ours in self._fs.s3_additional_kwargs:
                options[theirs] = str(self._fs.s3_additional_kwargs[ours])
        return Address(self.uri(folder), options)

    def _credentials(self) -> dict[str, str]:
        if self._fs.anon:
            return {"skip_signature": "true"}
        if self._fs.key:
            key, secret, token = self._fs.key, self._fs.secret, self._fs.token
        else:
            credentials = sync(self._fs.loop, self._fs.session.get_credentials)
            if credentials is None:
                return {}
            frozen = sync(self._fs.loop, credentials.get_frozen_credentials)
            # By name: botocore has added an account's id to these three.
            key, secret, token = frozen.access_key, frozen.secret_key, frozen.token
        options = {"access_key_id": key, "secret_access_key": secret}
        return options | {"session_token": token} if token else options

    def _put(self, file: str, path: str) -> None:
        self._fs.put_file(file, self._full(path), chunksize=_PIECE_BYTES, max_concurrency=_PIECES_AT_ONCE)

    def sweep(self, *, clock: Clock = wall_clock) -> None:
        """Give up uploads below the root that began more than a day ago, where the credentials allow it."""
        bucket, root, _ = self._fs.split_path(self._root)
        oldest = clock() - _UPLOAD_AGE
        # They cost money and nothing else, and a rule of the bucket may see to them.
        with contextlib.suppress(LakeError), failing(self.uri()):
            answer = self._fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=f"{root}/" if root else "")
            for upload in answer.get("Uploads", []):
                if upload["Initiated"] < oldest:
                    self._fs.abort_mpu(bucket, upload["Key"], upload["UploadId"])


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
        do="Use a filesystem whose listings carry a modification time",
        about=str(entry["name"]),
    )
