"""What a reader of the table sees: which files, and the rows in them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import duckdb
from deltalake import DeltaTable

from airflow_provider_imperva.lake.store import Store
from airflow_provider_imperva.table import iceberg
from tests.load.load_runs import Row


def files_of(store: Store) -> list[str]:
    """The files of the newest version, by path below the lake's root."""
    if iceberg.is_there(store):
        return sorted(file.path for file in iceberg.Iceberg.open(store).files())
    address = store.address("events")
    table = DeltaTable(address.url, storage_options=address.options)
    return sorted(f"events/{path}" for path in table.get_add_actions(flatten=True)["path"].to_pylist())


def rows_of_table(store: Store, lake: Path) -> Counter[Row]:
    """The rows that the table shows.

    :param lake: a folder with the lake, or a copy of it.
    """
    paths = [str(lake / path) for path in files_of(store)]
    if not paths:
        return Counter()
    return Counter(duckdb.execute(f"SELECT src_file, src_line, request_id FROM read_parquet({paths})").fetchall())
