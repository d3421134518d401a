"""Logs that Imperva delivers: the objects in a folder, by the numbers that the catalog of arrivals gives them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from airflow_provider_imperva.delivery.folder import DeliveredObject, DeliveryFolder, Waiting
from airflow_provider_imperva.errors import ImpervaError, LogNotFoundError, RepositoryError
from airflow_provider_imperva.lake.arrivals import PREFIX, Arrivals, Catalog, log_name
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import Commit
from airflow_provider_imperva.lake.sealed import stored_size
from airflow_provider_imperva.lake.watermark import Prefix
from airflow_provider_imperva.repository.index import LogIndex
from airflow_provider_imperva.repository.names import LogName

logger = logging.getLogger(__name__)

WHOLE_EVERY = timedelta(days=1)
"""How often all of a folder is listed whose names tell what may be new."""

OVERLAP = 1000
"""How many of the highest names are listed again, since uploads side by side do not end in the order of their names."""

STUCK = timedelta(hours=1)
"""How long an upload may be unchanged under a name that is not its last before people hear of it."""

_DISPOSERS = 4
_MOST_TOLD = 20


class DeliveredLogs:
    """A delivery folder as a place that logs come from.

    :param folder: where Imperva delivers to.
    :param ledger: of the repository; the catalog of arrivals is beside it.
    :param catalogs: whether what is new is given its number for good. Without, nothing is written, and it is shown
        under the number it would get now.
    """

    def __init__(self, folder: DeliveryFolder, ledger: Ledger, *, catalogs: bool = True) -> None:
        self._folder = folder
        self._ledger = ledger
        self._catalog = Catalog(ledger.store, ledger.layout)
        self._catalogs = catalogs
        self._arrivals: Arrivals | None = None
        self._lock = threading.Lock()

    @property
    def repository(self) -> str:
        """The repository's id in the lake."""
        return self._ledger.layout.repository

    @property
    def source(self) -> str:
        """Address of the folder."""
        return self.url

    @property
    def url(self) -> str:
        """Address of the folder."""
        return self._folder.url

    @property
    def settled(self) -> timedelta:
        """How long an object has to be unchanged before it is taken for whole."""
        return self._folder.settled

    def read_index(self) -> LogIndex:
        """List the folder, and catalog what is new.

        :raises AuthenticationError: if the store refuses us.
        :raises RepositoryUnavailableError: if no whole listing came.
        :raises ConfigurationError: if there is no such bucket or folder.
        :raises LedgerCorruptError: if the catalog has a hole.
        """
        at = self._folder.clock()
        known = self._catalog.read() if self._folder.has_recent else None
        after = self._known_path(known, at=at) if known else None
        listing = self._folder.listing(after=after)
        objects = listing.objects
        arrivals = self._catalog.add(objects) if self._catalogs else self._catalog.read().with_new(objects)
        if known is not None and after is None and (self._catalogs or len(arrivals) == len(known)):
            self._catalog.note_whole_listing(at)
        with self._lock:
            self._arrivals = arrivals
        listed = {number for item in objects if (number := arrivals.number(item))}
        if after is not None:
            # Where nothing is new, that does not mean an empty folder.
            listed.add(len(arrivals))
        # What was cataloged for a plan that was never made, and is gone since, has to be missed all the same.
        listed.update(range(self._highest_planned() + 1, len(arrivals) + 1))
        stuck = _stuck(listing.waiting, at=self._folder.clock())
        return LogIndex(
            tuple(map(log_name, sorted(listed))),
            (),
            0,
            0,
            unsafe=stuck[:_MOST_TOLD],
            unsafe_count=len(stuck),
            delivered_as=lambda name: _path(arrivals, name),
            came_again_as=lambda name: _came_again_as(arrivals, name),
            came_before=lambda name: _came_before(arrivals, name),
        )

    def _known_path(self, known: Arrivals, *, at: datetime) -> str | None:
        """Return the path from which on to list; None if it is time to list all."""
        last = self._catalog.whole_listing_at()
        # A time in the future is that of a clock that was wrong.
        if not len(known) or last is None or not timedelta() <= at - last < WHOLE_EVERY:
            return None
        return known.beginning(OVERLAP)

    def read_log(self, name: LogName) -> bytes:
        """Read a delivered object, as it was when it got its number.

        :raises LogNotFoundError: if it is gone, or rewritten.
        :raises AuthenticationError: if the store refuses us.
        :raises RepositoryUnavailableError: if it could not be read.
        """
        with self._lock:
            if self._arrivals is None:
                self._arrivals = self._catalog.read()
            arrivals = self._arrivals
        if _path(arrivals, name) is None:
            raise LogNotFoundError("no such arrival", do="See that the catalog of arrivals is whole", about=str(name))
        return self._folder.read(arrivals[name.sequence])

    def read_beginning(self, name: LogName, size: int) -> bytes:
        """Read the first bytes of a delivered object.

        :raises RepositoryError: as :meth:`read_log`.
        """
        return self.read_log(name)[:size]

    def dispose(self, commit: Commit) -> int:
        """Delete or move what is loaded, as the folder is set up to; what fails is logged, and tried again next time.

        Only what is decided, and in ``raw/`` with its size, is touched. Doing it again changes nothing.

        :param commit: the last one.
        :returns: how many objects.
        """
        if self._folder.keeps:
            return 0
        try:
            loaded = self._loaded(commit)
        except ImpervaError as error:
            logger.warning("%s What is loaded stays where it is for now.", error)
            return 0
        with ThreadPoolExecutor(_DISPOSERS) as pool:
            return sum(pool.map(self._dispose, loaded))

    def _loaded(self, commit: Commit) -> list[DeliveredObject]:
        """List the objects that need not be where they are any more."""
        prefix = commit.prefixes.get(PREFIX, Prefix(0, 0))
        waiting = [range(item.first, item.last + 1) for item in prefix.open]
        objects = self._folder.objects()
        arrivals = self._catalog.read()
        decided = {
            number: item
            for item in objects
            if (number := arrivals.number(item))
            and number <= prefix.highest
            and not any(number in numbers for numbers in waiting)
        }
        sizes = self._raw_sizes(decided)
        return [item for number, item in decided.items() if sizes.get(number) in (item.size, stored_size(item.size))]

    def _dispose(self, item: DeliveredObject) -> bool:
        try:
            self._folder.dispose(item)
        except RepositoryError as error:
            logger.warning("%s It was to be cleared away, since it is loaded; nothing was done.", error)
            return False
        return True

    def _raw_sizes(self, numbers: Collection[int]) -> dict[int, int]:
        layout = self._ledger.layout
        names = {layout.raw(log_name(number)): number for number in numbers}
        folders = {layout.raw_folder(log_name(number)) for number in numbers}
        objects = [item for folder in folders for item in self._ledger.store.objects(folder)]
        return {names[item.path]: item.size for item in objects if item.path in names}

    def _highest_planned(self) -> int:
        head = self._ledger.head()
        prefix = (head.plan.prefixes if head.plan else head.prefixes).get(PREFIX)
        return prefix.highest if prefix else 0


def _stuck(waiting: Sequence[Waiting], *, at: datetime) -> tuple[str, ...]:
    """Describe objects that would have become logs by now if they ever did; of the others, how many there are."""
    latest = at - STUCK
    stuck = [item for item in waiting if item.modified <= latest]
    if under_way := len(waiting) - len(stuck):
        logger.info("%d objects are not read yet: uploads under way, or too small for a log", under_way)
    return tuple(f"{item.path!a}: {item.why}" for item in stuck)


def _path(arrivals: Arrivals, name: LogName) -> str | None:
    within = name.prefix == PREFIX and 1 <= name.sequence <= len(arrivals)
    return arrivals[name.sequence].path if within else None


def _came_again_as(arrivals: Arrivals, name: LogName) -> tuple[LogName, bool] | None:
    path = _path(arrivals, name)
    if path is None or (newest := arrivals.under(path)[-1]) == name.sequence:
        return None
    return log_name(newest), arrivals[newest].size > arrivals[name.sequence].size


def _came_before(arrivals: Arrivals, name: LogName) -> Sequence[LogName]:
    path = _path(arrivals, name)
    if path is None:
        return ()
    size = arrivals[name.sequence].size
    earlier = [number for number in arrivals.under(path) if number < name.sequence and arrivals[number].size < size]
    return [log_name(number) for number in reversed(earlier)]
