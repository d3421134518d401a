"""Estimates what verifying a repository takes before it begins, by trying a few entries and objects."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from airflow_provider_imperva.audit.entry import check_entry
from airflow_provider_imperva.audit.history import read_entries, side_by_side
from airflow_provider_imperva.audit.inventory import Inventory
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.lake.store import Store

_ENTRIES = 200
"""Entries that are tried. A ledger with fewer than ten times as many is verified before it is worth a word."""

_OBJECTS = 20
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Estimate:
    """What verifying will take.

    :ivar entries: how many entries of the ledger are read; ``objects`` how many objects of ``raw/``, ``events/`` and
        ``quarantine/`` are hashed, and ``size`` how many bytes these have.
    :ivar seconds: by the clock, as long as nothing else becomes slower meanwhile.
    """

    repository: str
    entries: int
    objects: int
    size: int
    seconds: float

    def __str__(self) -> str:
        """Say it in words."""
        minutes = self.seconds / 60
        time_left = f"{minutes:.0f} minutes" if minutes >= 1.5 else f"{self.seconds:.0f} seconds"
        return (
            f"{self.repository}: {self.entries:,} commits to check and {self.objects:,} objects of"
            f" {self.size / 1e9:,.1f} GB to hash, which takes about {time_left}"
        )


def estimate(
    store: Store,
    layout: Layout,
    inventory: Inventory,
    *,
    last: int,
    sample: int | None,
    processes: int = 1,
    clock: Callable[[], float] = time.monotonic,
) -> Estimate | None:
    """Try a few entries and objects, and tell how long all of them will take; None if they are few.

    :param last: how many entries there are.
    :param sample: how many objects are hashed; all by default.
    :param processes: how many read the ledger, as far as its store lets them.
    :param clock: gives seconds.
    """
    if last < 10 * _ENTRIES:
        return None
    began = clock()
    entries = list(read_entries(store, layout, numbers=_spread(range(1, last + 1), _ENTRIES), whole=True))
    read = clock()
    for entry in entries:
        list(check_entry(layout, entry, before=None, last=False))
    checked = clock()
    # One process checks what all of them read, and has its processor in common with them.
    a_few = max((checked - began) / side_by_side(store, processes), checked - read)
    seconds = a_few * last / len(entries)
    sizes = inventory.raw | inventory.parts
    objects = len(sizes) if sample is None else min(sample, len(sizes))
    tried = _spread(sorted(sizes), _OBJECTS)
    began = clock()
    for path in tried:
        if store.exists(path):
            store.read(path)
    seconds += (clock() - began) * objects / max(len(tried), 1)
    size = sum(sizes.values()) * objects // max(len(sizes), 1)
    return Estimate(layout.repository, last, objects, size, seconds)


def _spread(items: Sequence[_T], count: int) -> Sequence[_T]:
    return [items[place * len(items) // count] for place in range(count)] if len(items) > count else items
