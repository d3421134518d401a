"""Statistics of a part for the table, from its Parquet footer: by them engines leave out files that cannot match."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_imperva.errors import LakeError
from airflow_provider_imperva.lake.records import Part
from airflow_provider_imperva.lake.store import Store

COLUMNS = ("event_time", "client_ip", "site_id", "site_name")
"""What questions are asked by. Free text is not among them: its least and greatest values would show some of it."""

_READERS = 16


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a footer says of the values in ``COLUMNS``, by name.

    :ivar least, greatest: the bounds, of columns that have any.
    :ivar nulls: how many rows have no value, of columns of which that is known.
    """

    rows: int
    least: dict[str, Any]
    greatest: dict[str, Any]
    nulls: dict[str, int]


def statistics_of(store: Store, parts: Iterable[Part]) -> list[tuple[Part, Statistics]]:
    """Return parts with their statistics.

    :raises LakeError: if a part is not there, or does not read.
    """
    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(lambda part: (part, statistics(store, part)), parts))


def statistics(store: Store, part: Part) -> Statistics:
    """Return the statistics of a part.

    :raises LakeError: if the part is not there, or does not read.
    """
    try:
        with store.reader(part.path) as file:
            footer = pq.ParquetFile(file).metadata
    except (FileNotFoundError, pa.ArrowException) as error:
        raise LakeError(
            f"a part that a commit names is missing or damaged ({type(error).__name__})",
            do="Run imperva-logs verify, and replay the logs that it names",
            about=store.uri(part.path),
        ) from None
    indices = {footer.schema.column(index).path: index for index in range(footer.num_columns)}
    summary = Statistics(footer.num_rows, {}, {}, {})
    for name in COLUMNS:
        groups = [footer.row_group(group).column(indices[name]).statistics for group in range(footer.num_row_groups)]
        if not groups or not all(group is not None and group.has_null_count for group in groups):
            continue
        summary.nulls[name] = sum(group.null_count for group in groups)
        bounded = [group for group in groups if group.has_min_max]
        # A row group of nulls alone has no bounds, and needs none.
        if bounded and all(group.has_min_max or group.num_values == 0 for group in groups):
            summary.least[name] = min(group.min for group in bounded)
            summary.greatest[name] = max(group.max for group in bounded)
    return summary
