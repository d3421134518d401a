"""Finding parts by their names: what lies in a repository's partitions, whatever the ledger says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from airflow_provider_imperva.lake.layout import Layout, commit_of_part
from airflow_provider_imperva.lake.store import Store

_RECENT_DATES = 3


def parts_named(store: Store, layout: Layout, *, commit: int, batch: int) -> Iterator[str]:
    """Yield the parts of a batch, in every partition and in ``quarantine/``."""
    name = layout.quarantine(commit=commit, batch=batch).rsplit("/", 1)[1].removesuffix(".parquet")
    for folder in (*partitions(store, layout), layout.quarantine_folder):
        begins = (f"{folder}/{name}.", f"{folder}/{name}-")
        yield from (item.path for item in store.objects(folder) if item.path.startswith(begins))


def partitions(store: Store, layout: Layout, *, recent: bool = False) -> Iterator[str]:
    """Yield the folders of a repository's events, newest date first.

    :param recent: only the last three dates of each event class.
    """
    for event_class in store.folders(layout.events_folder):
        folder = f"{layout.events_folder}/{event_class}"
        dates = sorted(store.folders(folder), reverse=True)
        yield from (f"{folder}/{date}" for date in (dates[:_RECENT_DATES] if recent else dates))


def later_parts(store: Store, folders: Iterable[str], *, commit: int) -> Iterator[str]:
    """Yield the parts in some folders that are of a later commit than the one given."""
    for folder in folders:
        for item in store.objects(folder):
            number = commit_of_part(item.path)
            if number is not None and number > commit:
                yield item.path
