"""Exports: what of a repository's commits was written elsewhere in another form.

A commit whose note is lost is exported again, to the same names and the same bytes.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from airflow_provider_imperva.errors import ConfigurationError, ObjectExistsError
from airflow_provider_imperva.lake.commit_notes import VERSION, CommitNotes
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.lake.records import Run
from airflow_provider_imperva.lake.store import Store
from airflow_provider_imperva.options import check_destination_name


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


_EXPORTED = msgspec.json.Decoder(Exported)
_SETTINGS = msgspec.json.Decoder(ExportSettings)


class Exports(CommitNotes[Exported]):
    """What was exported of one repository under one name."""

    def __init__(self, store: Store, repository: str, name: str) -> None:
        self.name = check_destination_name(name)
        self.repository = repository
        super().__init__(store, Layout(repository).exports(name), _EXPORTED)

    @property
    def _settings(self) -> str:
        return f"{self.folder}/settings.json"

    def pending(self, last: int) -> list[int]:
        """Return the commits still to be exported, oldest first.

        :param last: the ledger's last commit.
        """
        done = set(self.numbers())
        return [number for number in range(1, last + 1) if number not in done]

    def settle(self, settings: ExportSettings) -> None:
        """Note what the export writes and where to, the first time; later hold what is asked for against it.

        :raises ConfigurationError: if something else was exported under this name.
        """
        try:
            self.store.create(self._settings, msgspec.json.encode(settings))
        except ObjectExistsError:
            noted = self.find(self._settings, _SETTINGS)
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
