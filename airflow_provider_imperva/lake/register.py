"""The register of a lake: which repositories it has a ledger of, so that one that is gone as a whole is missed."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

import msgspec

from airflow_provider_imperva.errors import ObjectExistsError
from airflow_provider_imperva.lake.layout import REGISTER
from airflow_provider_imperva.lake.records import VERSION
from airflow_provider_imperva.lake.store import Store


class _Registered(msgspec.Struct, frozen=True):
    v: int
    repository: str
    registered_at: datetime


def register(store: Store, repository: str, *, at: datetime) -> None:
    """Register a repository, unless it is.

    :param at: now, UTC.
    """
    path = _path(repository)
    if not store.exists(path):
        with suppress(ObjectExistsError):
            store.create(path, msgspec.json.encode(_Registered(VERSION, repository, at)))


def registered(store: Store) -> list[str]:
    """Return the repositories that are registered."""
    names = (item.path.rpartition("/")[2] for item in store.objects(REGISTER))
    return sorted(name[len("repository=") : -len(".json")] for name in names if _is_entry(name))


def _is_entry(name: str) -> bool:
    return name.startswith("repository=") and name.endswith(".json")


def _path(repository: str) -> str:
    return f"{REGISTER}/repository={repository}.json"
