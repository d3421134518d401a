"""Values of some rows only, put in their places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from airflow_provider_imperva.events.scan import kernel

Rows = npt.NDArray[np.int64]
"""Numbers of rows, ascending."""

Codes = npt.NDArray[np.int32]
"""For each row, which of some values it has."""

_ONE_AND_NULL = 2
_FEW = 8
"""Numbers for each row that may be used to tell which are the same, which is faster than to hash them."""


def scattered(values: pa.Array, rows: Rows, count: int) -> pa.Array:
    """Return an array of so many rows that has the values in their rows, and null in all others."""
    places = np.full(count, -1, np.int64)
    places[rows] = np.arange(len(rows))
    return values.take(pa.array(places, mask=places < 0))


def combined(keys: Sequence[pa.Array]) -> tuple[list[tuple[Any, ...]], Codes]:
    """Return the distinct combinations of some columns, in the order they come first, and the number of each row's."""
    number = np.zeros(len(keys[0]), np.int32)
    combinations: list[tuple[Any, ...]] = [()]
    for key in keys:
        coded = key if pa.types.is_dictionary(key.type) else key.dictionary_encode()
        values = [*coded.dictionary.to_pylist(), None]
        if len(values) == _ONE_AND_NULL and not coded.null_count:
            combinations = [(*one, values[0]) for one in combinations]
            continue
        pairs = number.astype(np.int64) * len(values) + coded.indices.fill_null(len(values) - 1).to_numpy()
        distinct, number = _numbered(pairs, len(combinations) * len(values))
        combinations = [(*combinations[pair // len(values)], values[pair % len(values)]) for pair in distinct]
    return combinations, number


def _numbered(pairs: Rows, end: int) -> tuple[list[int], Codes]:
    """Return the distinct ones of some numbers below ``end``, in the order they come first, and which each is."""
    if end > _FEW * len(pairs):
        encoded = pa.array(pairs).dictionary_encode()
        return encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
    codes, used = pairs.astype(np.int32), np.empty(end, np.int32)
    count = kernel.recode(codes, used, np.empty(end, np.int32))
    return used[:count].tolist(), codes
