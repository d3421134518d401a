"""Logs that are pulled: what the index lists, under the names that the lake has for it.

The lake has other names for two kinds of logs. A log of a later generation of its prefix has the generation in its
prefix. A log whose name is of a form we do not know has no number, so it gets one when it is first seen, as a delivered
log does: ``0_17.log`` is the 17th.
"""

from __future__ import annotations

import threading
from dataclasses import replace

from airflow_provider_imperva.delivery.folder import DeliveredObject
from airflow_provider_imperva.errors import LedgerCorruptError, LogNotFoundError
from airflow_provider_imperva.lake.arrivals import PREFIX, Arrivals, Catalog, log_name
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.watermark import Prefix
from airflow_provider_imperva.load.generations import current_prefixes
from airflow_provider_imperva.repository.client import RepositoryClient
from airflow_provider_imperva.repository.index import LogIndex
from airflow_provider_imperva.repository.names import LogName


class PulledLogs:
    """A repository as a place that logs come from.

    :param catalogs: whether a name of an unknown form that is new is given its number for good. Without, nothing is
        written, and it is shown under the number it would get now.
    """

    def __init__(self, client: RepositoryClient, ledger: Ledger, *, catalogs: bool = True) -> None:
        self._client = client
        self._ledger = ledger
        self._catalog = Catalog(ledger.store, ledger.layout)
        self._catalogs = catalogs
        self._arrivals: Arrivals | None = None
        self._lock = threading.Lock()

    @property
    def repository(self) -> str:
        """The repository's id in the lake."""
        return self._client.repository

    @property
    def source(self) -> str:
        """The repository's name as Imperva has it."""
        return self._client.source

    @property
    def url(self) -> str:
        """The Log Server URL."""
        return self._client.url

    @property
    def settled(self) -> None:
        """A log that is listed has been written to its end."""

    def read_index(self) -> LogIndex:
        """Read the index, and give numbers to what has none.

        :raises RepositoryError: if the index cannot be read.
        :raises LedgerCorruptError: if the catalog of arrivals cannot be read.
        """
        index = self._client.read_index()
        unknown = set(index.unknown)
        if index.unfinished and self._client.read_index().unfinished == index.unfinished:
            # Not cut off by chance: it is what the repository lists.
            unknown.add(index.unfinished)
        prefixes = self._prefixes()
        current = current_prefixes(prefixes)
        names = [LogName(current.get(name.prefix, name.prefix), name.sequence) for name in index.names]
        if not unknown and PREFIX not in prefixes:
            return replace(index, names=tuple(names))
        objects = [DeliveredObject(name, 0, "") for name in sorted(unknown)]
        arrivals = self._catalog.add(objects) if self._catalogs else self._catalog.read().with_new(objects)
        with self._lock:
            self._arrivals = arrivals
        numbers = {number for item in objects if (number := arrivals.number(item))}
        # What got its number for a plan that was never made, and is gone since, has to be missed all the same.
        numbers.update(range(prefixes.get(PREFIX, Prefix(0, 0)).highest + 1, len(arrivals) + 1))
        names = [*map(log_name, sorted(numbers)), *names]
        return replace(index, names=tuple(names), delivered_as=lambda name: _listed_as(arrivals, name))

    def _prefixes(self) -> dict[str, Prefix]:
        """Return the watermark; of a ledger that does not read, the prefixes that are in ``raw/``."""
        try:
            head = self._ledger.head()
        except LedgerCorruptError:
            names = self._ledger.store.folders(self._ledger.layout.raw_root)
            return dict.fromkeys(names, Prefix(0, 0))
        return head.plan.prefixes if head.plan else head.prefixes

    def read_log(self, name: LogName) -> bytes:
        """Fetch a log.

        :raises RepositoryError: if no whole log is to be had.
        """
        return self._client.read_file(self._name(name)) if name.prefix == PREFIX else self._client.read_log(name)

    def read_beginning(self, name: LogName, size: int) -> bytes:
        """Fetch the first bytes of a log.

        :raises RepositoryError: if they are not to be had.
        """
        return self._client.read_beginning(name, size)

    def _name(self, name: LogName) -> str:
        with self._lock:
            if self._arrivals is None:
                self._arrivals = self._catalog.read()
            listed_as = _listed_as(self._arrivals, name)
        if listed_as is None:
            raise LogNotFoundError("no such arrival", do="See that the catalog of arrivals is whole", about=str(name))
        return listed_as


def _listed_as(arrivals: Arrivals, name: LogName) -> str | None:
    within = name.prefix == PREFIX and 1 <= name.sequence <= len(arrivals)
    return arrivals[name.sequence].path if within else None
