"""Row groups: the rows of many tables in one order, gathered a bounded number of bytes at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

GROUP_BYTES = 64 << 20
"""Arrow bytes of a row group, more or less: some ten times what is left of them compressed in Parquet."""

_Positions = npt.NDArray[np.int64]


def by_time(tables: Sequence[pa.Table]) -> _Positions:
    """Return the order of the rows by ``event_time``, nulls last; rows of the same time as they came."""
    times = pa.chunked_array([chunk for table in tables for chunk in table["event_time"].chunks])
    return np.asarray(pc.sort_indices(times), dtype=np.int64)


def as_they_came(tables: Sequence[pa.Table]) -> _Positions:
    """Return the order in which the rows are."""
    return np.arange(sum(table.num_rows for table in tables))


def row_groups(tables: Sequence[pa.Table], order: _Positions) -> Iterator[pa.Table]:
    """Gather the rows of all tables in an order, one row group after the other.

    :param tables: of the same schema, none empty.
    :param order: positions of rows, counted through all tables.
    """
    starts = np.cumsum([0, *(table.num_rows for table in tables)])
    for positions in np.split(order, _bounds(tables, starts, order)):
        yield _gather(tables, starts, positions)


def _bounds(tables: Sequence[pa.Table], starts: _Positions, order: _Positions) -> _Positions:
    """Find where a new group has to begin, if a row is as large as its table's rows are on average."""
    averages = np.array([table.nbytes / table.num_rows for table in tables])
    groups = np.cumsum(averages[_table_of(starts, order)]) // GROUP_BYTES
    return np.flatnonzero(np.diff(groups)) + 1


def _table_of(starts: _Positions, positions: _Positions) -> _Positions:
    return np.searchsorted(starts, positions, side="right") - 1


def _gather(tables: Sequence[pa.Table], starts: _Positions, positions: _Positions) -> pa.Table:
    """Take rows out of their tables, table by table, then put them into the order asked for."""
    table_of = _table_of(starts, positions)
    by_table = np.argsort(table_of, kind="stable")
    back = None if np.array_equal(by_table, np.arange(len(by_table))) else pa.array(np.argsort(by_table))
    touched, begins = np.unique(table_of[by_table], return_index=True)
    picked = [
        (tables[number], mine - starts[number])
        for number, mine in zip(touched, np.split(positions[by_table], begins[1:]), strict=True)
    ]
    columns = []
    # Column by column, so that only one of them is in memory twice.
    for index in range(tables[0].num_columns):
        chunks = [chunk for table, rows in picked for chunk in _pick(table.column(index), rows).chunks]
        column = pa.chunked_array(chunks).unify_dictionaries()
        columns.append(column if back is None else column.combine_chunks().take(back))
    return pa.table(columns, schema=tables[0].schema)


def _pick(column: pa.ChunkedArray, rows: _Positions) -> pa.ChunkedArray:
    if np.all(np.diff(rows) == 1):
        return column.slice(rows[0], len(rows))
    return column.take(pa.array(rows))
