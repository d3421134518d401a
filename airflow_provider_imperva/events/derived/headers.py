"""Headers that an account has Imperva log: from JSON text to maps of names in lower case to values."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from airflow_provider_imperva.events.scan import kernel
from airflow_provider_imperva.events.schema.columns import HEADERS, TEXT

_SHORTEST = 8
"""Bytes of a text for each of its headers, at least."""


def headers(texts: pa.StringArray | pa.DictionaryArray) -> pa.MapArray:
    """Return the headers of each text, such as ``[{"Accept":"*/*"},{"X-Trace":"1"}]``.

    A header that comes more than once has several values, in their order. Null where a text is not JSON of headers.
    """
    if isinstance(texts, pa.DictionaryArray):
        return headers(texts.dictionary).take(texts.indices)
    if texts.null_count == len(texts):
        return pa.nulls(len(texts), HEADERS)
    is_null = texts.is_null().to_numpy(zero_copy_only=False)
    irregular = is_null.copy()
    maps = _simple(texts, irregular)
    rest = np.flatnonzero(irregular & ~is_null)
    if not len(rest):
        return maps
    others = pa.array([_read(text) for text in texts.take(pa.array(rest)).to_pylist()], HEADERS)
    places = np.arange(len(texts))
    places[rest] = len(texts) + np.arange(len(rest))
    return pa.concat_arrays([maps, others]).take(pa.array(places))


def _simple(texts: pa.StringArray, irregular: npt.NDArray[np.bool_]) -> pa.MapArray:
    """Return the headers of the texts that the kernel reads, and null for the others, which it marks."""
    count = len(texts)
    _, offsets, characters = texts.buffers()
    bounds = np.frombuffer(offsets, np.int32, count + 1, texts.offset * 4)
    size = int(bounds[-1] - bounds[0])
    most = size // _SHORTEST
    firsts = np.zeros(count + 1, np.int32)
    codes, copied, distinct = np.empty(most, np.int32), np.empty(size, np.uint8), np.empty(size, np.uint8)
    value_firsts, ends, name_ends = (np.zeros(most + 1, np.int32) for _ in range(3))
    names, values, kinds = kernel.cut_headers(
        np.frombuffer(characters or b"", np.uint8),
        bounds,
        irregular,
        firsts,
        codes,
        value_firsts,
        ends,
        copied,
        name_ends,
        distinct,
    )
    keys = _strings(kinds, name_ends, distinct).take(pa.array(codes[:names]))
    lists = pa.ListArray.from_arrays(pa.array(value_firsts[: names + 1]), _strings(values, ends, copied))
    items = pa.StructArray.from_arrays([keys, lists], fields=[HEADERS.key_field, HEADERS.item_field])
    valid = pa.py_buffer(np.packbits(~irregular, bitorder="little")) if irregular.any() else None
    return pa.Array.from_buffers(HEADERS, count, [valid, pa.py_buffer(firsts)], children=[items])


def _strings(count: int, ends: npt.NDArray[np.int32], characters: npt.NDArray[np.uint8]) -> pa.StringArray:
    held = pa.py_buffer(characters[: ends[count]])
    return pa.Array.from_buffers(TEXT, count, [None, pa.py_buffer(ends[: count + 1]), held])


def _read(text: str) -> list[tuple[str, list[str]]] | None:
    """Read headers as a JSON object, or a list of such; None if it is something else."""
    try:
        content = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
    items = content if isinstance(content, list) else [content]
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
