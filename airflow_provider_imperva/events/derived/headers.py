"""Headers that an account has Imperva log: from JSON text to maps of names in lower case to values."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from airflow_provider_imperva.events.derived.rows import Rows, scattered
from airflow_provider_imperva.events.schema.columns import HEADERS, TEXT

_QUOTE, _BACKSLASH, _COLON, _COMMA = b'"\\:,'
_OPEN, _CLOSE, _BEGIN, _END = b"[]{}"
_FEW = 64
"""Bytes for each header that may be used to find out whether one comes twice in a row, which is faster than to sort."""


def headers(texts: pa.StringArray | pa.DictionaryArray) -> pa.MapArray:
    """Return the headers of each text, such as ``[{"Accept":"*/*"},{"X-Trace":"1"}]``.

    A header that comes more than once has several values, in their order. Null where a text is not JSON of headers.
    """
    if isinstance(texts, pa.DictionaryArray):
        return headers(texts.dictionary).take(texts.indices)
    count = len(texts)
    if texts.null_count == count:
        return pa.nulls(count, HEADERS)
    plain, rows, names, values = _plain(texts)
    rest = np.flatnonzero(texts.is_valid().to_numpy(zero_copy_only=False) & ~plain)
    found = _maps(names, values, rows, np.flatnonzero(plain), count)
    if not len(rest):
        return found
    others = pa.array([_read(text) for text in texts.take(pa.array(rest)).to_pylist()], HEADERS)
    places = np.arange(count)
    places[rest] = count + np.arange(len(rest))
    return pa.concat_arrays([found, others]).take(pa.array(places))


def _plain(texts: pa.StringArray) -> tuple[npt.NDArray[np.bool_], Rows, pa.StringArray, pa.StringArray]:
    """Take apart the texts that are written without blanks and escapes, by the places of their quotes.

    :return: which texts those are; then for each of their headers, in order, the row, the name and the value.
    """
    offsets = np.frombuffer(texts.buffers()[1], np.int32, len(texts) + 1, texts.offset * 4)
    # Those of a slice are followed by others.
    characters = np.frombuffer(texts.buffers()[2] or b"", np.uint8)[: offsets[-1]]
    quotes = offsets[0] + np.flatnonzero(characters[offsets[0] :] == _QUOTE)
    firsts = np.searchsorted(quotes, offsets)
    counts = np.diff(firsts)
    plain = (counts > 0) & (counts % 4 == 0)
    if (escaped := characters[offsets[0] :] == _BACKSLASH).any():
        plain[np.searchsorted(offsets, offsets[0] + np.flatnonzero(escaped), "right") - 1] = False
    # Four quotes a header, of which each text has its own.
    quotes = quotes[np.repeat(plain, counts)]
    name_begin, name_end, begin, end = quotes.reshape(-1, 4).T
    per_row = counts[plain] // 4
    row = np.repeat(np.flatnonzero(plain), per_row)
    is_first = np.zeros(len(row), np.bool_)
    is_first[np.cumsum(per_row) - per_row] = True
    is_last = np.roll(is_first, -1)
    last = len(characters) - 1
    after = characters[np.minimum(end + 2, last)]
    fits = (
        (begin == name_end + 2)
        & (characters[np.minimum(name_end + 1, last)] == _COLON)
        & (characters[name_begin - 1] == _BEGIN)
        & (characters[np.minimum(end + 1, last)] == _END)
        & np.where(
            is_first,
            (name_begin == offsets[row] + 2) & (characters[offsets[row]] == _OPEN),
            name_begin == np.roll(end, 1) + 4,
        )
        & np.where(is_last, (end + 3 == offsets[row + 1]) & (after == _CLOSE), after == _COMMA)
    )
    if not fits.all():
        plain[row[~fits]] = False
        kept = plain[row]
        row, name_begin, name_end, begin, end = (array[kept] for array in (row, name_begin, name_end, begin, end))
    # One array of names, what stands between, values, what stands between: nothing is copied that is not taken.
    bounds = np.column_stack([name_begin + 1, name_end, begin + 1, end]).ravel().astype(np.int32)
    if not len(bounds):
        return plain, row, pa.array([], TEXT), pa.array([], TEXT)
    pieces = pa.StringArray.from_buffers(len(bounds) - 1, pa.py_buffer(bounds), texts.buffers()[2])
    every = np.arange(0, len(bounds), 4)
    return plain, row, pieces.take(pa.array(every)), pieces.take(pa.array(every + 2))


def _maps(names: pa.StringArray, values: pa.StringArray, owners: Rows, rows: Rows, count: int) -> pa.MapArray:
    """Return a map for each of some rows, and null for the others."""
    coded = names.dictionary_encode()
    lower = pa.array([name.lower() for name in coded.dictionary.to_pylist()], TEXT).dictionary_encode()
    codes = lower.indices.take(coded.indices).to_numpy().astype(np.int64)
    key = owners * len(lower.dictionary) + codes
    sizes = np.ones(len(key), np.int64)
    if _recur(key, count * len(lower.dictionary)):
        order = np.argsort(key, kind="stable")
        begins = np.flatnonzero(np.diff(key[order], prepend=-1))
        # In the order in which names come first in their row.
        first = order[begins]
        ranks = np.argsort(first, kind="stable")
        sizes = np.diff(begins, append=len(key))[ranks]
        order = np.concatenate(
            [order[begins[rank] : begins[rank] + size] for rank, size in zip(ranks, sizes, strict=True)]
        )
        values = values.take(pa.array(order))
        owners, codes = owners[first[ranks]], codes[first[ranks]]
    lists = pa.ListArray.from_arrays(_offsets(sizes), values)
    keys = lower.dictionary.take(pa.array(codes))
    per_row = np.bincount(owners, minlength=count)[rows]
    maps = pa.MapArray.from_arrays(_offsets(per_row), keys, lists).cast(HEADERS)
    return maps if len(rows) == count else scattered(maps, rows, count)


def _recur(numbers: Rows, end: int) -> bool:
    """Return whether one of some numbers below ``end`` is there twice."""
    if end > _FEW * len(numbers):
        return len(np.unique(numbers)) < len(numbers)
    seen = np.zeros(end, np.bool_)
    seen[numbers] = True
    return int(np.count_nonzero(seen)) < len(numbers)


def _offsets(sizes: Rows) -> pa.Int32Array:
    return pa.array(np.concatenate([np.zeros(1, np.int32), np.cumsum(sizes, dtype=np.int32)]))


def _read(text: str) -> list[tuple[str, list[str]]] | None:
    """Read headers as a JSON object, or a list of such; None if it is something else."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    items = found if isinstance(found, list) else [found]
    if not all(isinstance(item, dict) for item in items):
        return None
    read: dict[str, list[str]] = {}
    for item in items:
        for name, value in item.items():
            read.setdefault(name.lower(), []).extend(_values(value))
    return list(read.items())


def _values(value: object) -> Iterator[str]:
    for one in value if isinstance(value, list) else [value]:
        yield one if isinstance(one, str) else json.dumps(one, ensure_ascii=False)
