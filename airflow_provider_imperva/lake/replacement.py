"""Replacing the parts of a batch: object by object, and at no moment is a line in two of them.

An overwrite is one atomic operation, so a part by itself is either the old or the new one. But a line may go from one
part to another: to another date, or from quarantine to the events. Then the part it leaves has to be replaced before
the one it comes to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from airflow_provider_imperva.lake.parts import BatchParts
from airflow_provider_imperva.lake.records import Part
from airflow_provider_imperva.lake.store import Store

_IDENTITY = pa.schema([("src_file", pa.string()), ("src_line", pa.int64())])
"""What tells a line from all others; the number is null for a log that is in quarantine as a whole."""

_Move: TypeAlias = tuple[str, str]
"""From one part to another, by path."""


def replace_parts(
    store: Store, parts: BatchParts, before: Iterable[str], *, look: Callable[[], None]
) -> tuple[Part, ...]:
    """Write a batch's parts in place of those it had, and remove what it has no more.

    Broken off anywhere, it can be done again, since it goes by what is there.

    :param before: the objects the batch may have; those that are not there are passed over.
    :param look: called before each operation; may raise to stop.
    """
    old = {path: lines for path in before if (lines := _lines_in(store, path)) is not None}
    new = {path: _lines(parts.rows(path, columns=_IDENTITY.names)) for path in parts.paths}
    moves = _moves(old, new)
    written: dict[str, Part] = {}
    left = sorted({*old, *new})
    while left:
        look()
        awaiting = {target for _, target in moves}
        path = next((path for path in left if path not in awaiting), None)
        if path is None:
            # Lines go round in a circle: for a moment one of its parts has to be away.
            path = min(moves)[0]
            store.delete([path])
        else:
            left.remove(path)
            if path in new:
                written[path] = parts.write_part(path)
            else:
                store.delete([path])
        moves = {move for move in moves if move[0] != path}
    return tuple(written[path] for path in new)


def _lines_in(store: Store, path: str) -> pa.Table | None:
    try:
        with store.reader(path) as file:
            return _lines([pq.read_table(file, columns=_IDENTITY.names)])
    except FileNotFoundError:
        return None


def _lines(tables: Sequence[pa.Table]) -> pa.Table:
    return pa.concat_tables(table.select(_IDENTITY.names).cast(_IDENTITY) for table in tables)


def _moves(old: Mapping[str, pa.Table], new: Mapping[str, pa.Table]) -> set[_Move]:
    """Return from which old part to which new one any line goes; a log as a whole stands for each of its lines."""
    if not old or not new:
        return set()
    paths = sorted({*old, *new})
    before, after = _stack(old, paths), _stack(new, paths)
    pairs = _pairs(before, after, _IDENTITY.names)
    pairs |= _pairs(_whole_logs(before), _logs(after), ["src_file"])
    pairs |= _pairs(_logs(before), _whole_logs(after), ["src_file"])
    return {(paths[source], paths[target]) for source, target in pairs if source != target}


def _stack(parts: Mapping[str, pa.Table], paths: Sequence[str]) -> pa.Table:
    """Put the lines of all parts into one table; its column ``part`` is the position of the part's path."""
    return pa.concat_tables(
        lines.append_column("part", pa.repeat(paths.index(path), len(lines))) for path, lines in parts.items()
    )


def _logs(lines: pa.Table) -> pa.Table:
    return lines.group_by(["src_file", "part"]).aggregate([])


def _whole_logs(lines: pa.Table) -> pa.Table:
    return _logs(lines.filter(pc.is_null(lines["src_line"])))


def _pairs(before: pa.Table, after: pa.Table, keys: list[str]) -> set[tuple[int, int]]:
    joined = before.join(after, keys=keys, right_suffix="_after", join_type="inner")
    found = joined.group_by(["part", "part_after"]).aggregate([])
    return set(zip(found["part"].to_pylist(), found["part_after"].to_pylist(), strict=True))
