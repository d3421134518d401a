"""Row groups: the rows of many tables in one order, gathered a bounded number of bytes at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

GROUP_BYTES = 32 << 20
"""Arrow bytes of a row group, more or less. Twice as many would make parts smaller by less than two hundredths."""

_Positions = npt.NDArray[np.int64]


def by_time(tables: Sequence[pa.Table]) -> _Positions:
    """Return the order of the rows by ``event_time``, nulls last; rows of the same time as they came."""
    times = pa.chunked_array([chunk for table in tables for chunk in table["event_time"].chunks])
    return np.asarray(pc.sort_indices(times), dtype=np.int64)


def as_they_came(tables: Sequence[pa.Table]) -> _Positions:
    """Return the order in which the rows are."""
    return np.arange(sum(table.num_rows for table in tables))


def row_groups(
    tables: Sequence[pa.Table], order: _Positions, *, forget: Callable[[], None] = lambda: None
) -> Iterator[pa.Table]:
    """Gather the rows of all tables in an order, one row group after the other.

    :param tables: of the same schema, none empty.
    :param order: positions of the rows wanted, counted through all tables.
    :param forget: gives back the memory of tables on a disk that were looked at; called every few MB.
    """
    starts = np.cumsum([0, *(table.num_rows for table in tables)])
    sizes = np.array([_sizes(table, forget) for table in tables])
    for positions in np.split(order, _bounds(sizes, starts, order)):
        yield _gather(_picks(tables, starts, positions), sizes, forget)


def _sizes(table: pa.Table, forget: Callable[[], None]) -> list[int]:
    """Tell the bytes of each column, for which the ends of every array are looked at, each with the pages around it."""
    sizes = [column.nbytes for column in table.columns]
    forget()
    return sizes


def _bounds(sizes: _Positions, starts: _Positions, order: _Positions) -> _Positions:
    """Find where a new group has to begin, if a row is as large as its table's rows are on average."""
    averages = sizes.sum(axis=1) / np.diff(starts)
    groups = np.cumsum(averages[_table_of(starts, order)]) // GROUP_BYTES
    return np.flatnonzero(np.diff(groups)) + 1


def _table_of(starts: _Positions, positions: _Positions) -> _Positions:
    return np.searchsorted(starts, positions, side="right") - 1


@dataclass(frozen=True, slots=True)
class _Pick:
    """Rows of one of the tables: a stretch of it, which copies nothing, or single rows where few of it are wanted."""

    number: int
    table: pa.Table
    rows: slice | pa.Array

    def column(self, index: int) -> pa.ChunkedArray:
        column = self.table.column(index)
        return column[self.rows] if isinstance(self.rows, slice) else column.take(self.rows)


@dataclass(frozen=True, slots=True)
class _Picks:
    """What a row group is made of: picked rows, and where among all of them each row is; None if they are in order."""

    picks: Sequence[_Pick]
    places: pa.Array | None


def _picks(tables: Sequence[pa.Table], starts: _Positions, positions: _Positions) -> _Picks:
    table_of = _table_of(starts, positions)
    places = np.empty(len(positions), np.int64)
    picks = []
    picked = 0
    for number in np.unique(table_of).tolist():
        mine = np.flatnonzero(table_of == number)
        rows = positions[mine] - starts[number]
        begin, end = int(rows.min()), int(rows.max()) + 1
        if end - begin <= 2 * len(rows):
            picks.append(_Pick(number, tables[number], slice(begin, end)))
            places[mine] = picked + rows - begin
            picked += end - begin
        else:
            picks.append(_Pick(number, tables[number], pa.array(rows)))
            places[mine] = picked + np.arange(len(rows))
            picked += len(rows)
    in_order = picked == len(positions) and bool(np.all(np.diff(places) == 1))
    return _Picks(picks, None if in_order else pa.array(places))


def _gather(group: _Picks, sizes: _Positions, forget: Callable[[], None]) -> pa.Table:
    schema = group.picks[0].table.schema
    columns = []
    looked_at = 0
    # Column by column, so that only one of them is in memory twice.
    for index in range(len(schema)):
        chunks = []
        for pick in group.picks:
            chunks += pick.column(index).chunks
            looked_at += int(sizes[pick.number, index])
            if looked_at > GROUP_BYTES:
                forget()
                looked_at = 0
        columns.append(_in_order(pa.chunked_array(chunks), group.places))
    return pa.table(columns, schema=schema)


def _in_order(column: pa.ChunkedArray, places: pa.Array | None) -> pa.ChunkedArray | pa.Array:
    if places is not None and column.null_count == len(column):
        # Half of the columns are of other formats than the log's.
        return pa.nulls(len(places), column.type)
    column = column.unify_dictionaries()
    return column if places is None else column.combine_chunks().take(places)
