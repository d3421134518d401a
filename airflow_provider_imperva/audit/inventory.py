"""What is in a lake, by listing it: every object of a repository, and what belongs to none."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from airflow_provider_imperva.lake.layout import (
    ARRIVALS,
    CONTENTS,
    DELTA_LOG,
    EXPORTS,
    FORWARDS,
    ICEBERG,
    KEYS,
    REGISTER,
)
from airflow_provider_imperva.lake.store import Store, StoredObject

RAW, EVENTS, QUARANTINE, LEDGER = TREES = ("raw", "events", "quarantine", "ledger")
"""The folders that the ledger answers for, right below the lake's root."""

REPORTS = "reports"
"""The folder of pages about the lake; they prove nothing, and are not looked at."""

_SCRATCH = ".tmp"
_TABLES = (f"{DELTA_LOG}/", f"{ICEBERG}/")
_LISTERS = 16


_ASIDE = (ARRIVALS, CONTENTS, REGISTER, KEYS, FORWARDS, EXPORTS)
"""Folders of what loading looks up (which delivered object has which number, which log brought a content first), of the
register of repositories, of data keys, and of what was forwarded and exported."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """The objects of one repository: their sizes in bytes, by path below the lake's root."""

    raw: dict[str, int]
    parts: dict[str, int]
    ledger: dict[str, int]


def take_inventory(store: Store, repository: str) -> Inventory:
    """List every object of a repository."""

    def sizes(tree: str) -> dict[str, int]:
        return {item.path: item.size for item in walk(store, f"{tree}/repository={repository}")}

    return Inventory(sizes(RAW), sizes(EVENTS) | sizes(QUARANTINE), sizes(LEDGER))


def unknown_objects(store: Store, repositories: list[str]) -> Iterator[str]:
    """Yield what lies in a lake beside the folders of its repositories; folders end with a slash."""
    own = {f"repository={name}" for name in repositories}
    for folder in ("", *TREES):
        yield from (item.path for item in store.objects(folder))
    yield from (f"{name}/" for name in store.folders("") if name not in {*TREES, *_ASIDE, REPORTS, _SCRATCH})
    for tree in (*TREES, ARRIVALS, KEYS):
        yield from (
            path for name in store.folders(tree) if name not in own if (path := f"{tree}/{name}/") not in _TABLES
        )


def walk(store: Store, folder: str) -> Iterator[StoredObject]:
    """Yield every object in a folder and all below it, level by level; many folders are listed at once."""

    def list_folder(path: str) -> tuple[list[StoredObject], list[str]]:
        return store.objects(path), [f"{path}/{name}" for name in store.folders(path)]

    level = [folder]
    with ThreadPoolExecutor(_LISTERS) as pool:
        while level:
            below: list[str] = []
            for objects, folders in pool.map(list_folder, level):
                yield from objects
                below += folders
            level = below
