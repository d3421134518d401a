"""What the ledger names in ``raw/``, ``events/`` and ``quarantine/``, with the bytes each has to have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva.audit.history import History
from airflow_provider_imperva.audit.inventory import Inventory
from airflow_provider_imperva.audit.objects import NamedObject
from airflow_provider_imperva.audit.unnamed import is_open
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.repository.names import LogName

_SHA256_BEGIN = re.compile(r"[0-9a-f]{16}")


RAW_COLUMNS = ("raw_key", "raw_bytes", "raw_sha256", "data_key", "stored_bytes", "stored_sha256", "commit")
"""The columns of ``logs.parquet`` that say what an object in ``raw/`` has to be."""


def named_raw(row: Mapping[str, Any]) -> NamedObject:
    """Return the object with the bytes of a log.

    :param row: with the columns :data:`RAW_COLUMNS`.
    """
    size = row["raw_bytes"] if row["data_key"] is None else row["stored_bytes"]
    by = f"commit {row['commit']}"
    return NamedObject(row["raw_key"], size, row["raw_sha256"], by, is_part=False, stored_sha256=row["stored_sha256"])


def named_objects(layout: Layout, history: History, rows: pa.Table) -> Iterator[NamedObject]:
    """Yield every object that the commits name, as the last one does."""
    columns = [*RAW_COLUMNS, "name", "replaced_sha256"]
    for row in rows.filter(pc.is_valid(rows["raw_key"])).select(columns).to_pylist():
        by = f"commit {row['commit']}"
        gone = history.live.removed_raw
        if row["raw_key"] not in gone:
            yield named_raw(row)
        first = layout.raw(LogName.parse(row["name"]))
        if first != row["raw_key"] and first not in gone:
            yield NamedObject(first, None, row["replaced_sha256"], by, is_part=False)
    for path, (part, commit) in history.live.parts.items():
        yield NamedObject(path, part.size, part.sha256, f"commit {commit}", is_part=True)


def removed_parts(history: History) -> Iterator[NamedObject]:
    """Yield the objects that are no longer part of the lake, and are not retired yet."""
    for path, (item, commit) in history.live.removed_raw.items():
        if path not in history.live.retired:
            yield NamedObject(path, item.size, item.sha256, f"until it is retired commit {commit}", is_part=False)
    for path, (part, commit) in history.live.removed.items():
        yield NamedObject(path, part.size, part.sha256, f"until it is retired commit {commit}", is_part=True)


def named_beside(layout: Layout, history: History, inventory: Inventory, named: set[str]) -> Iterator[NamedObject]:
    """Yield what lies beside the first bytes of a log and no commit names: other bytes of it, named by their hash."""
    for path in inventory.raw.keys() - named - history.live.removed_raw.keys():
        first, _, sha256 = path.rpartition(".")
        if _SHA256_BEGIN.fullmatch(sha256) and (first in named or is_open(layout, history, first)):
            yield NamedObject(path, None, sha256, "its name", is_part=False)
