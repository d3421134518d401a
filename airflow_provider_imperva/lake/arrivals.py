"""The catalog of arrivals: which delivered object has which number.

What Imperva delivers has names without an order, so each object gets a number of ours when it is first seen, from 1 on,
and is a log like any other from then on: ``0_17.log`` is the 17th arrival. The catalog only ever grows, so that no
object gets a second number, however long it was out of sight: by it, each is loaded once.

Arrivals are kept in pages, one for each look that saw new objects. A page is named by its first number and created,
never replaced: of two who catalog at once, one wins, and the other sees what it wrote. Now and then all arrivals up to
a number are gathered in one object, so that a look reads few.
"""

from __future__ import annotations

import heapq
import io
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_imperva.delivery.folder import DeliveredObject
from airflow_provider_imperva.errors import LedgerConflictError, LedgerCorruptError, ObjectExistsError
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.lake.records import VERSION
from airflow_provider_imperva.lake.store import Store
from airflow_provider_imperva.repository.names import LogName

PREFIX = "0"
"""Prefix of the logs that are numbered here; Imperva has none such."""

_PAGES_AT_A_TIME = 64
"""After so many pages, all arrivals are gathered again."""

_ATTEMPTS = 5
_READERS = 16


class _Page(msgspec.Struct, frozen=True):
    """Arrivals of consecutive numbers, as they stand in a page.

    :ivar first: the number of the first.
    """

    v: int
    first: int
    arrivals: tuple[DeliveredObject, ...]


class _WholeListing(msgspec.Struct, frozen=True):
    """When all of the folder was listed last, UTC."""

    v: int
    at: datetime


# Before there are threads (see ledger.py).
_PAGES = msgspec.json.Decoder(_Page)
_WHOLE_LISTINGS = msgspec.json.Decoder(_WholeListing)


_GATHERED = pa.schema(
    [("path", pa.string()), ("size", pa.int64()), ("version", pa.string())],
    metadata={"imperva.ledger_version": str(VERSION)},
)


@dataclass(slots=True)
class Arrivals:
    """All arrivals, by number.

    :ivar ordered: the first has number 1.
    """

    ordered: list[DeliveredObject]
    _numbers: dict[DeliveredObject, int] = field(init=False)
    _under: dict[str, list[int]] = field(init=False)

    def __post_init__(self) -> None:
        self._numbers = {arrival: number for number, arrival in enumerate(self.ordered, 1)}
        self._under = {}
        for number, arrival in enumerate(self.ordered, 1):
            self._under.setdefault(arrival.path, []).append(number)

    def number(self, arrival: DeliveredObject) -> int | None:
        """Return the number of an arrival; None if it has none."""
        return self._numbers.get(arrival)

    def under(self, path: str) -> Sequence[int]:
        """Return the numbers of all arrivals under a path, oldest first."""
        return self._under.get(path, ())

    def __getitem__(self, number: int) -> DeliveredObject:
        return self.ordered[number - 1]

    def __len__(self) -> int:
        return len(self.ordered)

    def beginning(self, overlap: int) -> str:
        """Return the path above which there are so many others; nothing if there are not."""
        highest = heapq.nlargest(overlap, (arrival.path for arrival in self.ordered))
        return highest[-1] if len(highest) == overlap else ""

    def with_new(self, listed: Iterable[DeliveredObject]) -> Arrivals:
        """Return them with those that are listed, and new, after them in the order given."""
        return Arrivals(
            [*self.ordered, *(arrival for arrival in dict.fromkeys(listed) if self.number(arrival) is None)]
        )


def log_name(number: int) -> LogName:
    """Return the name an arrival has as a log."""
    return LogName(PREFIX, number)


class CatalogPage(NamedTuple):
    """A page as an audit looks at it.

    :ivar first, last: the numbers of its arrivals.
    :ivar written: when, as the store says, UTC.
    """

    path: str
    first: int
    last: int
    written: datetime


@dataclass(frozen=True, slots=True)
class Cataloged:
    """A catalog as an audit reads it: page by page.

    :ivar contradictions: paths of the objects that say something else than the pages, and what.
    """

    arrivals: Arrivals
    pages: tuple[CatalogPage, ...]
    contradictions: tuple[tuple[str, str], ...]


class Catalog:
    """The catalog of one repository in a lake."""

    def __init__(self, store: Store, layout: Layout) -> None:
        self._store = store
        self._layout = layout

    def read(self) -> Arrivals:
        """Read all arrivals.

        :raises LedgerCorruptError: if a page is missing or unreadable.
        """
        return Arrivals(self._read()[0])

    def _read(self) -> tuple[list[DeliveredObject], int]:
        """Return all arrivals, and how many pages had to be read."""
        gathered = max((item.path for item in self._store.objects(self._layout.gathered_arrivals)), default=None)
        objects = self._read_gathered(gathered) if gathered else []
        paths = self._pages(after=len(objects))
        with ThreadPoolExecutor(_READERS) as pool:
            for path, page in zip(paths, pool.map(self._read_page, paths), strict=True):
                if page.first != len(objects) + 1:
                    raise self._corrupt(path, f"it begins at {page.first}, and the page before ends at {len(objects)}")
                objects += page.arrivals
        return objects, len(paths)

    def audit(self) -> Cataloged | None:
        """Read every page, and hold what was gathered against them; None if there is no catalog.

        :raises LedgerCorruptError: as :meth:`read`.
        """
        folder = self._layout.arrivals_folder
        objects = [item for name in self._store.folders(folder) for item in self._store.objects(f"{folder}/{name}")]
        gathered = self._store.objects(self._layout.gathered_arrivals)
        if not objects and not gathered:
            return None
        cataloged: list[DeliveredObject] = []
        pages = []
        for item in objects:
            page = self._read_page(item.path)
            if page.first != len(cataloged) + 1 or item.path != self._layout.arrivals(page.first):
                raise self._corrupt(
                    item.path, f"it begins at {page.first}, and the page before ends at {len(cataloged)}"
                )
            cataloged += page.arrivals
            pages.append(CatalogPage(item.path, page.first, len(cataloged), item.modified))
        different = []
        for item in gathered:
            if (these := self._read_gathered(item.path)) != cataloged[: len(these)]:
                different.append((item.path, "the arrivals that were gathered are not those of the pages"))
        return Cataloged(Arrivals(cataloged), tuple(pages), tuple(different))

    def add(self, listed: Sequence[DeliveredObject], *, pages_at_a_time: int = _PAGES_AT_A_TIME) -> Arrivals:
        """Give numbers to those listed that have none, in the order given, and return all arrivals.

        :param pages_at_a_time: how many pages there may be until they are gathered.
        :raises LedgerConflictError: if others catalog at the same time, again and again.
        :raises LedgerCorruptError: as :meth:`read`.
        """
        for _ in range(_ATTEMPTS):
            objects, pages = self._read()
            known = Arrivals(objects)
            if pages >= pages_at_a_time:
                self._gather(known)
            every = known.with_new(listed)
            if len(every) == len(known):
                return known
            page = _Page(VERSION, len(known) + 1, tuple(every.ordered[len(known) :]))
            try:
                self._store.create(self._layout.arrivals(page.first), msgspec.json.encode(page))
            except ObjectExistsError:
                continue
            return every
        raise LedgerConflictError(
            "others catalog what is delivered at the same time, again and again",
            do="See that only one run loads a repository at a time",
            about=self._store.uri(self._layout.arrivals(len(known) + 1)),
        )

    def whole_listing_at(self) -> datetime | None:
        """Return when all of the folder was listed last; None if that is unknown."""
        try:
            return _WHOLE_LISTINGS.decode(self._store.read(self._layout.whole_listing)).at
        except (FileNotFoundError, msgspec.DecodeError):
            # Then all is listed, which puts it right.
            return None

    def note_whole_listing(self, at: datetime) -> None:
        """Note that all of the folder was listed, and what was new is cataloged."""
        self._store.write(self._layout.whole_listing, msgspec.json.encode(_WholeListing(VERSION, at)))

    def _pages(self, *, after: int) -> list[str]:
        """Return the pages with later arrivals, in order."""
        folder = self._layout.arrivals_folder
        first = self._layout.arrivals(after + 1)
        thousands = [name for name in self._store.folders(folder) if f"{folder}/{name}" >= first.rpartition("/")[0]]
        # Names of the same length: their order is that of the numbers.
        pages = [item.path for name in thousands for item in self._store.objects(f"{folder}/{name}")]
        return sorted(path for path in pages if path >= first)

    def _read_page(self, path: str) -> _Page:
        try:
            page = _PAGES.decode(self._store.read(path))
        except (FileNotFoundError, msgspec.DecodeError) as error:
            raise self._corrupt(path, "the page does not read as one") from error
        if page.v != VERSION:
            raise self._corrupt(path, f"it is of ledger version {page.v}, and this provider knows version {VERSION}")
        return page

    def _gather(self, arrivals: Arrivals) -> None:
        columns = [[getattr(arrival, name) for arrival in arrivals.ordered] for name in _GATHERED.names]
        buffer = io.BytesIO()
        pq.write_table(pa.table(columns, schema=_GATHERED), buffer, compression="zstd")
        self._store.write(self._layout.gathered(len(arrivals)), buffer.getvalue())

    def _read_gathered(self, path: str) -> list[DeliveredObject]:
        try:
            table = pq.read_table(io.BytesIO(self._store.read(path)))
        except (pa.ArrowException, OSError) as error:
            raise self._corrupt(path, "it does not read as a table of arrivals") from error
        return [DeliveredObject(*row) for row in zip(*(column.to_pylist() for column in table.columns), strict=True)]

    def _corrupt(self, path: str, problem: str) -> LedgerCorruptError:
        return LedgerCorruptError(
            problem,
            do="Restore the catalog of arrivals from a backup of the lake, then run again",
            about=self._store.uri(path),
        )
