"""Arrow arrays by the column: structs, lists and enumerations without a loop over rows."""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

INT = pa.int32()
"""``integer_t`` of OCSF."""

LONG = pa.int64()
"""``long_t`` and ``timestamp_t``, milliseconds since 1970."""

TEXT = pa.string()
CODED = pa.dictionary(pa.int32(), pa.string())
HEADERS = pa.list_(pa.struct([("name", TEXT), ("value", TEXT)]))

_HOSTNAME = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)*[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?")
_COOKIES = frozenset({"cookie", "set-cookie"})


def constant(value: Any, rows: int, kind: pa.DataType = CODED) -> pa.Array:
    """Return the same value for each row; texts as a dictionary of one."""
    if kind != CODED:
        return pa.repeat(pa.scalar(value, kind), rows)
    return pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), rows), pa.array([value], TEXT))


def structs(members: Mapping[str, pa.Array | None], *, where: pa.Array | None = None) -> pa.StructArray:
    """Return a struct for each row.

    :param members: by name; one that is None does not exist in this version of OCSF.
    :param where: the rows that have one at all; all of them without it.
    """
    known = {name: array for name, array in members.items() if array is not None}
    return pa.StructArray.from_arrays(
        list(known.values()), names=list(known), mask=None if where is None else pc.invert(where)
    )


def any_of(*arrays: pa.Array | None) -> pa.Array:
    """Return which rows have a value in one of several arrays."""
    return functools.reduce(pc.or_, (pc.is_valid(array) for array in arrays if array is not None))


def only(array: pa.Array, where: pa.Array) -> pa.Array:
    """Keep values in some rows, and have null in the others."""
    if pc.all(where, min_count=0).as_py():
        return array
    return pc.if_else(where, array, pa.scalar(None, array.type))


def coded(array: pa.Array) -> pa.DictionaryArray:
    """Return texts as a dictionary of texts."""
    return array if pa.types.is_dictionary(array.type) else array.dictionary_encode()


def plain(array: pa.Array) -> pa.Array:
    """Return texts one by one."""
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def by_value(array: pa.Array, made: Callable[[str], Any], kind: pa.DataType) -> pa.Array:
    """Make something of each text; each distinct text is looked at once. Null stays null.

    :param kind: Arrow type of what is made; a dictionary is made of ``CODED``.
    """
    texts = coded(array)
    values = [made(text) for text in texts.dictionary.to_pylist()]
    if kind != CODED:
        return pa.array(values, kind).take(texts.indices)
    return pa.array(values, TEXT).dictionary_encode().take(texts.indices)


def keep(array: pa.Array, holds: Callable[[str], bool]) -> pa.Array:
    """Keep the texts of which something holds, as a dictionary; the others become null."""
    return by_value(array, lambda text: text if holds(text) else None, CODED)


def decide(
    keys: Sequence[pa.Array], made: Callable[..., Sequence[Any]], kinds: Sequence[pa.DataType]
) -> list[pa.Array]:
    """Make values of each combination of keys; each distinct combination is looked at once.

    :param keys: arrays of few distinct values each.
    :param made: takes a value of each key, None for null, and returns a value of each kind.
    """
    number: Any = np.zeros(len(keys[0]), np.int64)
    values: list[list[Hashable]] = []
    for key in keys:
        known = key if pa.types.is_dictionary(key.type) else key.dictionary_encode()
        values.append([*known.dictionary.to_pylist(), None])
        codes = known.indices.fill_null(len(known.dictionary)).to_numpy(zero_copy_only=False)
        number = number * len(values[-1]) + codes
    encoded = pa.array(number).dictionary_encode()
    made_of = [made(*_unpacked(one, values)) for one in encoded.dictionary.to_pylist()]
    indices = encoded.indices
    columns = zip(*made_of, strict=True) if made_of else [() for _ in kinds]
    return [_taken(list(column), indices, kind) for column, kind in zip(columns, kinds, strict=True)]


def _unpacked(number: int, values: list[list[Hashable]]) -> list[Hashable]:
    chosen = []
    for choices in reversed(values):
        number, place = divmod(number, len(choices))
        chosen.append(choices[place])
    return chosen[::-1]


def _taken(values: list[Any], indices: pa.Array, kind: pa.DataType) -> pa.Array:
    if kind != CODED:
        return pa.array(values, kind).take(indices)
    return pa.array(values, TEXT).dictionary_encode().take(indices)


def joined(pieces: Sequence[pa.Array | str]) -> pa.Array:
    """Put texts together, row by row; null if one of them is."""
    return pc.binary_join_element_wise(*(piece if isinstance(piece, str) else plain(piece) for piece in pieces), "")


def one_item(array: pa.Array, where: pa.Array | None = None) -> pa.ListArray:
    """Return a list of one item for each row, and null where there is none.

    :param where: the rows with an item; by default those where it is not null.
    """
    has = array.is_valid() if where is None else where
    present = has.to_numpy(zero_copy_only=False)
    ends = np.cumsum(present, dtype=np.int32)
    offsets = np.concatenate([np.zeros(1, np.int32), ends])
    mask = pa.array(~present)
    return pa.ListArray.from_arrays(pa.array(offsets), array.filter(has), mask=mask)


def lists(values: pa.Array, parents: Any, rows: int) -> pa.ListArray:
    """Return a list for each row, and null for a row without items.

    :param parents: the row of each value, ascending.
    """
    counts = np.bincount(parents, minlength=rows)
    offsets = np.concatenate([np.zeros(1, np.int32), np.cumsum(counts, dtype=np.int32)])
    return pa.ListArray.from_arrays(pa.array(offsets), values, mask=pa.array(counts == 0))


def first_text(array: pa.ListArray) -> pa.Array:
    """Return the first text of each list that is not empty."""
    rows = len(array)
    if array.null_count == rows:
        return pa.nulls(rows, TEXT)
    parents, values = pc.list_parent_indices(array), array.flatten()
    filled = pc.not_equal(values, "").fill_null(False)
    parents, values = parents.filter(filled), values.filter(filled)
    owners, first = np.unique(parents.to_numpy(), return_index=True)
    places = np.full(rows, -1, np.int64)
    places[owners] = first
    return values.take(pa.array(places, mask=places < 0))


def split(array: pa.ListArray, holds: Callable[[str], bool]) -> tuple[pa.ListArray, pa.ListArray]:
    """Return lists of the texts of which something holds, and lists of the others; null for none."""
    rows = len(array)
    if array.null_count == rows:
        return pa.nulls(rows, array.type), pa.nulls(rows, array.type)
    parents, values = pc.list_parent_indices(array).to_numpy(), array.flatten()
    kept = by_value(values, holds, pa.bool_()).fill_null(False)
    mask = kept.to_numpy(zero_copy_only=False)
    return lists(values.filter(kept), parents[mask], rows), lists(values.filter(pc.invert(kept)), parents[~mask], rows)


@functools.lru_cache(1 << 16)
def is_address(text: str) -> bool:
    """Return whether a text is an IPv4 or IPv6 address."""
    try:
        return ipaddress.ip_address(text) is not None and "%" not in text
    except ValueError:
        return False


def is_hostname(text: str) -> bool:
    """Return whether a text is the name of a host, as OCSF has it."""
    return _HOSTNAME.fullmatch(text) is not None


def headers(array: pa.MapArray) -> pa.ListArray:
    """Return the headers of each row, but for cookies, as ``HEADERS``: one for each value of a name."""
    rows = len(array)
    if array.null_count == rows:
        return pa.nulls(rows, HEADERS)
    offsets = np.asarray(array.offsets)
    owners = np.repeat(np.arange(rows), np.diff(offsets))
    names = array.keys[int(offsets[0]) : int(offsets[-1])]
    values = array.items[int(offsets[0]) : int(offsets[-1])]
    sizes = pc.list_value_length(values).to_numpy()
    owners, names = np.repeat(owners, sizes), names.take(pa.array(np.repeat(np.arange(len(names)), sizes)))
    kept = pc.invert(by_value(names, _COOKIES.__contains__, pa.bool_()))
    items = structs({"name": names, "value": values.flatten()}).filter(kept)
    return lists(items, owners[kept.to_numpy(zero_copy_only=False)], rows)
