"""Values of some rows only, put in their places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Rows = npt.NDArray[np.int64]
"""Numbers of rows, ascending."""


def scattered(values: pa.Array, rows: Rows, count: int) -> pa.Array:
    """Return an array of so many rows that has the values in their rows, and null in all others."""
    places = np.full(count, -1, np.int64)
    places[rows] = np.arange(len(rows))
    return values.take(pa.array(places, mask=places < 0))


def combined(keys: Sequence[pa.Array]) -> tuple[list[tuple[Any, ...]], pa.Array]:
    """Return the distinct combinations of some columns, and the number of each row's."""
    number: Any = np.zeros(len(keys[0]), np.int64)
    values: list[list[Any]] = []
    for key in keys:
        coded = key if pa.types.is_dictionary(key.type) else key.dictionary_encode()
        values.append([*coded.dictionary.to_pylist(), None])
        number = number * len(values[-1]) + coded.indices.fill_null(len(coded.dictionary)).to_numpy()
    encoded = pa.array(number).dictionary_encode()
    found = []
    for rest in encoded.dictionary.to_pylist():
        combination = []
        for choices in reversed(values):
            rest, place = divmod(rest, len(choices))
            combination.append(choices[place])
        found.append(tuple(reversed(combination)))
    return found, encoded.indices
