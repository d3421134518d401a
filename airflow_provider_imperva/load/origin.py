"""What loading asks of the place that logs come from, whether they are fetched from Imperva or delivered by it."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

from airflow_provider_imperva.repository.index import LogIndex
from airflow_provider_imperva.repository.names import LogName


class LogOrigin(Protocol):
    """Lists logs, and gives their bytes. Any number of threads may read at once."""

    @property
    def repository(self) -> str:
        """The repository's id in the lake."""

    @property
    def source(self) -> str:
        """What it calls itself, whatever id it has in the lake."""

    @property
    def url(self) -> str:
        """Address that the logs come from, without credentials."""

    @property
    def settled(self) -> timedelta | None:
        """How long a log has to be unchanged before it is taken for whole; None where logs appear as a whole."""

    def read_index(self) -> LogIndex:
        """List the logs that there are; :raises RepositoryError: if no whole list is to be had."""

    def read_beginning(self, name: LogName, size: int) -> bytes:
        """Return the first bytes of a log, at most ``size``; :raises RepositoryError: if they are not to be had."""

    def read_log(self, name: LogName) -> bytes:
        """Return the bytes of a log.

        :raises LogNotFoundError: if there is no such log.
        :raises RepositoryError: if no whole log is to be had.
        """
