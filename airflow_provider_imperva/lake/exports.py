"""Exports: what of a repository's commits was written elsewhere in another form.

One object for each commit and export is created after its last file, never before. So a lost object means that its
commit is exported again, to the same names and the same bytes; nothing is ever skipped because of what this folder
lacks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from airflow_provider_imperva.errors import ConfigurationError, ObjectExistsError, UnreadableObjectError
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.lake.records import Run
from airflow_provider_imperva.lake.store import Store
from airflow_provider_imperva.options import check_destination_name

VERSION = 1

_COMMIT = re.compile(r"(\d{12})\.json")


class ExportedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that an export wrote.

    :ivar path: below the root of the export.
    :ivar batch: of the commit whose rows it has.
    """

    path: str
    batch: int
    rows: int
    size: int
    sha256: str


class Exported(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What became of the rows of one commit in one export.

    ``ledger_rows = rows + superseded + removed``.

    :ivar ledger_rows: rows that the commit brought, as the ledger has it.
    :ivar rows: rows that were written.
    :ivar superseded: rows that a later commit loaded again, which are exported with that one.
    :ivar removed: rows that retention or an erasure took out of the lake before they were exported.
    :ivar files: what was written; ``deleted`` the files of earlier commits that these took the place of.
    """

    v: int = VERSION
    name: str
    repository: str
    commit: int
    commit_sha256: str
    committed_at: datetime
    ledger_rows: int = 0
    rows: int = 0
    superseded: int = 0
    removed: int = 0
    files: tuple[ExportedFile, ...] = ()
    deleted: tuple[str, ...] = ()
    run: Run
    provider_version: str


class ExportSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What an export writes, and where to; it never changes.

    :ivar target: root of the files, without credentials.
    :ivar options: as text, by name.
    """

    v: int = VERSION
    name: str
    repository: str
    target: str
    options: dict[str, str]


_Record = TypeVar("_Record", Exported, ExportSettings)

# Before there are threads (see ledger.py).
_DECODERS: dict[type, msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(kind) for kind in (Exported, ExportSettings)
}


class Exports:
    """What was exported of one repository under one name."""

    def __init__(self, store: Store, repository: str, name: str) -> None:
        self.store = store
        self.repository = repository
        self.name = check_destination_name(name)
        self.folder = Layout(repository).exports(name)

    def path(self, commit: int) -> str:
        """Object that says what became of a commit."""
        return f"{self.folder}/{commit:012d}.json"

    @property
    def _settings(self) -> str:
        return f"{self.folder}/settings.json"

    def numbers(self) -> list[int]:
        """Return the commits that were exported, ascending."""
        # An empty object is what a broken copy of a lake may leave; its commit is exported again.
        names = (item.path.rsplit("/", 1)[1] for item in self.store.objects(self.folder) if item.size)
        return [int(found[1]) for name in names if (found := _COMMIT.fullmatch(name))]

    def read(self, commit: int) -> Exported | None:
        """Read what became of a commit; None if it was not exported, or the object does not read."""
        return self._find(self.path(commit), Exported)

    def all(self) -> Iterator[Exported]:
        """Yield what became of each commit, ascending; those that do not read are left out."""
        yield from filter(None, map(self.read, self.numbers()))

    def pending(self, last: int) -> list[int]:
        """Return the commits still to be exported, oldest first.

        :param last: the ledger's last commit.
        """
        done = set(self.numbers())
        return [number for number in range(1, last + 1) if number not in done]

    def record(self, outcome: Exported, *, again: bool = False) -> Exported:
        """Write what became of a commit, or return what another run wrote first.

        :param again: whether to replace what is there, since the commit was exported again on purpose.
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

    def settle(self, settings: ExportSettings) -> None:
        """Note what the export writes and where to, the first time; later hold what is asked for against it.

        :raises ConfigurationError: if something else was exported under this name.
        """
        try:
            self.store.create(self._settings, msgspec.json.encode(settings))
        except ObjectExistsError:
            noted = self._find(self._settings, ExportSettings)
            if noted is None:
                self.store.write(self._settings, msgspec.json.encode(settings))
            elif noted != settings:
                changed = [
                    name
                    for name in sorted(noted.options.keys() | settings.options.keys())
                    if noted.options.get(name) != settings.options.get(name)
                ]
                changed += ["target"] if noted.target != settings.target else []
                raise ConfigurationError(
                    f"the export {self.name} has other settings already: {', '.join(changed)} differ",
                    do="Give this export a name of its own, which begins with the first commit, or set what it had",
                    about=self.store.uri(self._settings),
                ) from None

    def _find(self, path: str, kind: type[_Record]) -> _Record | None:
        try:
            content = self.store.read(path)
        except FileNotFoundError:
            return None
        try:
            found: _Record = _DECODERS[kind].decode(content)
        except msgspec.DecodeError:
            return None
        if found.v > VERSION:
            raise UnreadableObjectError(
                f"it is of version {found.v}, which this provider does not know",
                do="Upgrade the provider to at least the version that last wrote to this lake",
                about=self.store.uri(path),
            )
        return found
