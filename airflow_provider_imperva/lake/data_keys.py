"""Data keys: what ``raw/`` is encrypted with, one a repository and month, each wrapped by a key outside of the lake.

::

    keys/repository=<r>/2026-11.json
    {"v": 1, "repository": "8416_1745073", "month": "2026-11", "id": "<32 digits>", "created_at": "…",
     "wrapped_by": "aes:<16 digits>", "wrapped": "<hexadecimal>"}

Who destroys a key puts a record in its place that has no key, and says when and by which commit it was destroyed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Protocol, Self

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from airflow_provider_imperva.clock import Clock, wall_clock
from airflow_provider_imperva.errors import (
    ConfigurationError,
    DataKeyError,
    DestroyedKeyError,
    LedgerCorruptError,
    ObjectExistsError,
)
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.lake.sealed import KeyName
from airflow_provider_imperva.lake.store import Store

VERSION = 1
KEY_BYTES = 32
MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")

_NONCE_BYTES = 12


class MasterKeys(Protocol):
    """What wraps data keys: a key of an Airflow connection or of a file, or a service that keeps it to itself."""

    @property
    def name(self) -> str:
        """What wraps new keys, for people and for the record: no secret."""

    def wrap(self, key: bytes, *, about: str) -> bytes:
        """Wrap a data key.

        :param about: what it is for; :meth:`unwrap` needs the same.
        """

    def unwrap(self, wrapped: bytes, *, by: str, about: str) -> bytes:
        """Unwrap a data key.

        :param by: the :attr:`name` of what wrapped it.
        :raises DataKeyError: if that is not at hand, or it does not unwrap.
        """


class AesKeys:
    """Master keys of 32 bytes each: AES-256-GCM. The first wraps, all unwrap, so that the first can be replaced."""

    def __init__(self, keys: Iterable[bytes]) -> None:
        self._keys = {_name_of(key): AESGCM(key) for key in keys}

    @classmethod
    def of_text(cls, text: str, *, about: str) -> Self:
        """Read keys as ``openssl rand -base64 32`` writes them, one a line (or apart by commas).

        :param about: where they are from, for the error's message.
        :raises ConfigurationError: if there is none, or one of them is not 32 bytes.
        """
        keys = []
        for one in re.split(r"[\s,]+", text.strip()):
            try:
                keys.append(base64.b64decode(one, validate=True))
            except (binascii.Error, ValueError):
                keys.append(b"")
        if any(len(key) != KEY_BYTES for key in keys):
            raise ConfigurationError(
                f"a key for raw/ is not {KEY_BYTES} bytes in base64",
                do="Make one with: openssl rand -base64 32",
                about=about,
            )
        return cls(keys)

    @property
    def name(self) -> str:
        """The first key."""
        return next(iter(self._keys))

    def wrap(self, key: bytes, *, about: str) -> bytes:
        """Wrap a data key with the first key."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._keys[self.name].encrypt(nonce, key, about.encode())

    def unwrap(self, wrapped: bytes, *, by: str, about: str) -> bytes:
        """Unwrap a data key with the key that wrapped it."""
        if by not in self._keys:
            raise DataKeyError(
                f"it is wrapped by key {by}, and those given are {', '.join(self._keys)}",
                do="Give the key that it was wrapped by as well: a new one first, old ones after it",
                about=about,
            )
        try:
            return self._keys[by].decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], about.encode())
        except InvalidTag:
            raise not_as_written(about) from None


def _name_of(key: bytes) -> str:
    return "aes:" + hashlib.sha256(b"imperva raw key\n" + key).hexdigest()[:16]


def not_as_written(about: str) -> DataKeyError:
    """Return the error that a wrapped key does not unwrap."""
    return DataKeyError(
        "it does not unwrap: it is not as it was written", do="Restore it from a backup of the lake", about=about
    )


class Destroyed(msgspec.Struct, frozen=True):
    """That a data key was destroyed: by which commit of the ledger, when (UTC), and on what grounds."""

    commit: int
    at: datetime
    reason: str = msgspec.field(name="told")

    def __str__(self) -> str:
        """Say it in words."""
        return f"was destroyed on {self.at:%Y-%m-%d} by commit {self.commit}: {self.reason}"


class DataKey(msgspec.Struct, frozen=True, omit_defaults=True):
    """The record of a data key.

    :ivar id: 32 hexadecimal digits; each object that is encrypted with it names it.
    :ivar wrapped_by: the name of the master key; ``wrapped`` what it made of the data key, hexadecimal.
    :ivar destroyed: that there is no key any more.
    """

    v: int
    repository: str
    month: str
    id: str
    created_at: datetime
    wrapped_by: str = ""
    wrapped: str = ""
    destroyed: Destroyed | None = None


class DataKeys:
    """The data keys of one repository.

    :param master: unwraps them, and wraps new ones; None if it was not given.
    """

    def __init__(
        self, store: Store, layout: Layout, *, master: MasterKeys | None = None, clock: Clock = wall_clock
    ) -> None:
        self._store = store
        self._layout = layout
        self._master = master
        self._clock = clock
        self._opened: dict[KeyName, bytes] = {}
        self._lock = threading.Lock()

    @property
    def encrypts(self) -> bool:
        """Whether there is something to encrypt with."""
        return self._master is not None

    def months(self) -> list[str]:
        """Return the months that have a record, ascending."""
        names = (item.path.rpartition("/")[2] for item in self._store.objects(self._layout.keys_folder))
        return sorted(name[:7] for name in names if MONTH.fullmatch(name.removesuffix(".json")))

    def records(self) -> Iterator[DataKey]:
        """Yield the records, ascending by month."""
        for month in self.months():
            if record := self.record(month):
                yield record

    def record(self, month: str) -> DataKey | None:
        """Return the record of a month; None if there is none.

        :raises LedgerCorruptError: if it does not read.
        """
        path = self._layout.data_key(month)
        try:
            record = msgspec.json.decode(self._store.read(path), type=DataKey)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError:
            record = None
        if record is None or (record.month, record.repository) != (month, self._layout.repository):
            raise LedgerCorruptError(
                "it does not read as the data key of its repository and month",
                do="Restore it from a backup of the lake: without it nothing of that month in raw/ can be read",
                about=self._store.uri(path),
            )
        return record

    def check(self, months: Iterable[str] = ()) -> None:
        """See that what comes to ``raw/`` now can be encrypted, if it has to be, and what is to be read be decrypted.

        :param months: those of what is to be read.
        :raises DataKeyError: if the repository has data keys and no master key was given, or one of this month or those
            does not open.
        """
        if self._master is not None:
            for month in {self._month(), *months}:
                if record := self.record(month):
                    self._open(record)
        elif months := self.months():
            raise DataKeyError(
                f"raw/ of this repository is encrypted since {months[0]}, and the key for that is not given",
                do="Put the key into the connection (raw_encryption_key), or give it with --raw-key; nothing was"
                " written",
                about=self._layout.repository,
            )

    def current(self) -> tuple[KeyName, bytes]:
        """Return the data key of this month, which is made if there is none.

        :raises DataKeyError: if it does not open.
        """
        with self._lock:
            month = self._month()
            for name, key in self._opened.items():
                if name.month == month:
                    return name, key
            record = self.record(month) or self._make(month)
            return KeyName(month, record.id), self._open(record)

    def key(self, name: KeyName) -> bytes:
        """Return a data key.

        :raises DestroyedKeyError: if it was destroyed.
        :raises DataKeyError: if it is not there, or nothing is given that opens it.
        """
        with self._lock:
            if name not in self._opened:
                record = self.record(name.month) if MONTH.fullmatch(name.month) else None
                if record is None or record.id != name.id:
                    raise DataKeyError(
                        f"the data key {name.id} of {name.month!a} is missing",
                        do="Restore the lake's folder keys/ from a backup",
                        about=self._store.uri(self._layout.keys_folder),
                    )
                self._open(record)
            return self._opened[name]

    def _open(self, record: DataKey) -> bytes:
        name, about = KeyName(record.month, record.id), self._about(record)
        if name in self._opened:
            return self._opened[name]
        if record.destroyed:
            error = DestroyedKeyError(
                f"the data key of {record.month} {record.destroyed}",
                do="Nothing: what was encrypted with it can never be read again",
                about=self._layout.repository,
            )
            error.commit = record.destroyed.commit
            raise error
        if self._master is None:
            raise DataKeyError(
                f"raw/ of {record.month} is encrypted, and the key that its data key is wrapped by is not given",
                do="Put the key into the connection (raw_encryption_key), or give it with --raw-key",
                about=self._layout.repository,
            )
        try:
            wrapped = bytes.fromhex(record.wrapped)
        except ValueError:
            raise not_as_written(about) from None
        self._opened[name] = self._master.unwrap(wrapped, by=record.wrapped_by, about=about)
        return self._opened[name]

    def _make(self, month: str) -> DataKey:
        assert self._master is not None  # noqa: S101
        record = DataKey(VERSION, self._layout.repository, month, os.urandom(16).hex(), self._clock())
        wrapped = self._master.wrap(os.urandom(KEY_BYTES), about=self._about(record)).hex()
        record = msgspec.structs.replace(record, wrapped_by=self._master.name, wrapped=wrapped)
        # Of two tasks that make one at once, the one that comes first has made it.
        with suppress(ObjectExistsError):
            self._store.create(self._layout.data_key(month), msgspec.json.encode(record))
        made = self.record(month)
        assert made is not None  # noqa: S101
        return made

    def destroy(self, month: str, destroyed: Destroyed) -> None:
        """Put a record without a key in the place of a month's; done again, it changes nothing."""
        record, path = self.record(month), self._layout.data_key(month)
        if record and not record.destroyed:
            gone = msgspec.structs.replace(record, wrapped_by="", wrapped="", destroyed=destroyed)
            self._store.write(path, msgspec.json.encode(gone))
        # A bucket with versions would give the key back.
        self._store.purge(path)

    def _month(self) -> str:
        return f"{self._clock():%Y-%m}"

    def _about(self, record: DataKey) -> str:
        return f"data key {record.id} of {record.repository}, {record.month}"
