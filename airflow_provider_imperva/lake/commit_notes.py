"""Notes of what became of each commit elsewhere: sent to a destination, or exported in another form.

The note of a commit is created after the last of its bytes is there, never before. So a lost note means that its commit
is done again; nothing is ever skipped because of what a folder lacks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

import msgspec

from airflow_provider_imperva.errors import ObjectExistsError, UnreadableObjectError
from airflow_provider_imperva.lake.store import Store

VERSION = 1

_COMMIT = re.compile(r"(\d{12})\.json")


class _Versioned(Protocol):
    @property
    def v(self) -> int: ...


class _OfCommit(_Versioned, Protocol):
    @property
    def commit(self) -> int: ...


_Object = TypeVar("_Object", bound=_Versioned)
_Note = TypeVar("_Note", bound=_OfCommit)


class CommitNotes(Generic[_Note]):
    """A folder with a note for each commit.

    :param decoder: of a note. Decoders are made when their module is imported, before there are threads (see
        ``ledger.py``).
    """

    def __init__(self, store: Store, folder: str, decoder: msgspec.json.Decoder[_Note]) -> None:
        self.store = store
        self.folder = folder
        self._decoder = decoder

    def path(self, commit: int) -> str:
        """Object that says what became of a commit."""
        return f"{self.folder}/{commit:012d}.json"

    def numbers(self) -> list[int]:
        """Return the commits that have a note, ascending."""
        # An empty object is what a broken copy of a lake may leave; its commit is done again.
        names = (item.path.rsplit("/", 1)[1] for item in self.store.objects(self.folder) if item.size)
        return [int(match[1]) for name in names if (match := _COMMIT.fullmatch(name))]

    def read(self, commit: int) -> _Note | None:
        """Read what became of a commit; None if it has no note, or the object does not read."""
        return self.find(self.path(commit), self._decoder)

    def all(self) -> Iterator[_Note]:
        """Yield what became of each commit, ascending; those that do not read are left out."""
        yield from filter(None, map(self.read, self.numbers()))

    def record(self, outcome: _Note, *, again: bool = False) -> _Note:
        """Write what became of a commit, or return what another run wrote first.

        :param again: whether to replace what is there, since the commit was done again on purpose.
        """
        path, content = self.path(outcome.commit), msgspec.json.encode(outcome)
        try:
            if again:
                self.store.write(path, content)
            else:
                self.store.create(path, content)
        except ObjectExistsError:
            if written := self.read(outcome.commit):
                return written
            self.store.write(path, content)  # what was there does not read
        return outcome

    def find(self, path: str, decoder: msgspec.json.Decoder[_Object]) -> _Object | None:
        """Read an object of the folder; None if it is not there, or does not read.

        :raises UnreadableObjectError: if a newer provider wrote it.
        """
        try:
            content = self.store.read(path)
        except FileNotFoundError:
            return None
        try:
            note = decoder.decode(content)
        except msgspec.DecodeError:
            return None
        if note.v > VERSION:
            raise UnreadableObjectError(
                f"it is of version {note.v}, which this provider does not know",
                do="Upgrade the provider to at least the version that last wrote to this lake",
                about=self.store.uri(path),
            )
        return note
