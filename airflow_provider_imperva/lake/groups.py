"""Row groups: the rows of many tables in one order, gathered a bounded number of bytes at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva.events.scan import kernel

GROUP_BYTES = 32 << 20
"""Arrow bytes of a row group, more or less, of a part that one batch writes: all of it is in memory."""

MERGED_GROUP_BYTES = 64 << 20
"""The same of a merged part. Each row group costs 10 kB of footer, which every question reads, and has dictionaries of
its own. Twice as many bytes again would gain little, and let fewer rows be left out by their time.
"""

_LOOKED_AT_BYTES = 8 << 20
"""Arrow bytes of tables on a disk that may be in memory because they were looked at."""

_STRIDE = 1 << 16
"""Rows that are looked at together to find where groups end."""

_Positions = npt.NDArray[np.int32]
"""Where rows are, counted through all blocks. Four bytes each, for those of all rows are in memory; what does not fit
into them would be a batch of terabytes of logs.
"""


@dataclass(frozen=True, slots=True)
class Block:
    """Rows that came together, and what is known of their columns without looking at them.

    To look at a table is to read it, once it is on a disk.

    :param sizes: bytes of each column.
    :param nulls: whether nothing but nulls is in a column; half of them are of other formats than the log's.
    """

    table: pa.Table
    sizes: Sequence[int]
    nulls: Sequence[bool]

    @classmethod
    def of(cls, table: pa.Table) -> Block:
        """Look at a table that is not empty."""
        columns = table.columns
        return cls(
            table,
            sizes=[column.nbytes for column in columns],
            nulls=[column.null_count == len(column) for column in columns],
        )


def by_time(blocks: Sequence[Block]) -> _Positions:
    """Return the order of the rows by ``event_time``, nulls last; rows of the same time as they came."""
    times = pa.chunked_array([chunk for block in blocks for chunk in block.table["event_time"].chunks])
    return np.asarray(pc.sort_indices(times)).astype(np.int32)


def in_arrival_order(blocks: Sequence[Block]) -> _Positions:
    """Return the order in which the rows are."""
    return np.arange(sum(block.table.num_rows for block in blocks), dtype=np.int32)


def row_groups(
    blocks: Sequence[Block],
    order: _Positions,
    *,
    forget: Callable[[], None] = lambda: None,
    group_bytes: int = GROUP_BYTES,
    stride: int = _STRIDE,
) -> Iterator[pa.Table]:
    """Gather the rows of all blocks in an order, one row group after the other.

    :param blocks: of the same schema.
    :param order: positions of the rows wanted, counted through all blocks.
    :param forget: gives back the memory of tables on a disk that were looked at; called every few MB.
    :param group_bytes: Arrow bytes of a row group, more or less.
    :param stride: rows that are looked at together to find where groups end.
    """
    starts = np.cumsum([0, *(block.table.num_rows for block in blocks)], dtype=np.int32)
    for positions in np.split(order, _bounds(blocks, starts, order, group_bytes, stride)):
        yield _gather(_picks(blocks, starts, positions, forget), len(positions), forget)


def _bounds(blocks: Sequence[Block], starts: _Positions, order: _Positions, group_bytes: int, stride: int) -> list[int]:
    """Find where a new group has to begin, if a row is as large as its block's rows are on average."""
    averages = np.array([sum(block.sizes) for block in blocks]) / np.diff(starts)
    bounds: list[int] = []
    size = group = 0.0
    for begin in range(0, len(order), stride):
        sizes = size + np.cumsum(averages[_block_of(starts, order[begin : begin + stride])])
        groups = sizes // group_bytes
        bounds += (begin + np.flatnonzero(np.diff(groups, prepend=group))).tolist()
        size, group = sizes[-1], groups[-1]
    return [bound for bound in bounds if bound]


def _block_of(starts: _Positions, positions: _Positions) -> _Positions:
    return np.searchsorted(starts, positions, side="right").astype(np.int32) - 1


@dataclass(frozen=True, slots=True)
class _Picks:
    """Rows of some blocks that a row group is made of, and where each is among them; None if they are in order."""

    blocks: Sequence[Block]
    places: npt.NDArray[np.int64] | None


def _picks(blocks: Sequence[Block], starts: _Positions, positions: _Positions, forget: Callable[[], None]) -> _Picks:
    """Pick rows of each block: a stretch of it, which copies nothing, or single rows where few of it are wanted."""
    block_of = _block_of(starts, positions)
    places = np.empty(len(positions), np.int64)
    picks = []
    picked = 0
    for number in np.unique(block_of).tolist():
        mine = np.flatnonzero(block_of == number)
        rows = positions[mine] - starts[number]
        begin, end = int(rows.min()), int(rows.max()) + 1
        if end - begin <= 2 * len(rows):
            picks.append(replace(blocks[number], table=blocks[number].table.slice(begin, end - begin)))
            places[mine] = picked + rows - begin
            picked += end - begin
        else:
            picks.append(replace(blocks[number], table=blocks[number].table.take(pa.array(rows))))
            forget()
            places[mine] = picked + np.arange(len(rows))
            picked += len(rows)
    in_order = picked == len(positions) and bool(np.all(np.diff(places) == 1))
    return _Picks(picks, None if in_order else places)


def _gather(group: _Picks, rows: int, forget: Callable[[], None]) -> pa.Table:
    schema = group.blocks[0].table.schema
    columns = []
    looked_at = 0
    # Column by column, so that only one of them is in memory twice.
    for index, field in enumerate(schema):
        if all(block.nulls[index] for block in group.blocks):
            columns.append(pa.nulls(rows, field.type))
            continue
        chunks = []
        for block in group.blocks:
            chunks += block.table.column(index).chunks
            looked_at += block.sizes[index]
            if looked_at > _LOOKED_AT_BYTES:
                forget()
                looked_at = 0
        gather = _gather_coded if pa.types.is_dictionary(field.type) else _gather_plain
        columns.append(gather(chunks, group.places))
    return pa.table(columns, schema=schema)


def _gather_plain(chunks: list[pa.Array], places: npt.NDArray[np.int64] | None) -> pa.ChunkedArray | pa.Array:
    column = pa.chunked_array(chunks)
    return column if places is None else column.combine_chunks().take(pa.array(places))


def _gather_coded(chunks: list[pa.DictionaryArray], places: npt.NDArray[np.int64] | None) -> pa.DictionaryArray:
    """Gather rows whose values are in dictionaries; that of the group has those that its rows have, in their order.

    So neither what else was in a block nor how blocks share dictionaries shows in a part.
    """
    column = pa.chunked_array([_without_unused(chunk) for chunk in chunks]).unify_dictionaries()
    codes = np.concatenate([_codes(chunk) for chunk in column.chunks])
    return _coded(codes if places is None else codes[places], column.chunk(0).dictionary)


def _without_unused(chunk: pa.DictionaryArray) -> pa.DictionaryArray:
    """Keep a group's dictionary from growing with those of blocks of which it has but a few rows."""
    return _coded(_codes(chunk).copy(), chunk.dictionary) if len(chunk.dictionary) > len(chunk) else chunk


def _codes(chunk: pa.DictionaryArray) -> _Positions:
    """The codes of a column, which may be its own memory; -1 for null."""
    codes: _Positions = chunk.indices.fill_null(-1).to_numpy()
    return codes


def _coded(codes: _Positions, dictionary: pa.StringArray) -> pa.DictionaryArray:
    """Give codes a dictionary of the values that they use, in the order they come first.

    :param codes: -1 for null; they are written over.
    """
    new_codes = np.empty(len(dictionary), np.int32)
    used = np.empty(min(len(codes), len(new_codes)), np.int32)
    count = kernel.recode(codes, used, new_codes)
    missing = codes < 0
    indices = pa.array(codes, mask=missing if missing.any() else None)
    # The codes are known to be within: the kernel has given them.
    return pa.DictionaryArray.from_arrays(indices, dictionary.take(pa.array(used[:count])), safe=False)
