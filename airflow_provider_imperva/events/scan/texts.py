"""Texts on their way from the bytes of a block into columns: each byte is copied once, escapes taken off."""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from airflow_provider_imperva.events.scan import kernel
from airflow_provider_imperva.events.scan.buffers import PLAIN, SLACK, Bytes, Mask, Places, Positions
from airflow_provider_imperva.events.scan.lines import Lines
from airflow_provider_imperva.events.schema.columns import TEXT


def copy_texts(
    block: bytes | Bytes,
    spans: Places,
    firsts: Positions,
    rows: Positions,
    *,
    numbers: Sequence[int],
    recurring: Container[int] = (),
    escape: int = PLAIN,
    escaped: Mask | None = None,
) -> list[pa.StringArray | pa.DictionaryArray]:
    """Copy texts out of a block.

    :param block: UTF-8, as far as texts are in it.
    :param spans: a row of ``NUMBER``, ``BEGIN``, ``END`` for each text. No line has two of a number, none is empty.
    :param firsts: the first row of each line, and the number of rows.
    :param rows: the lines wanted.
    :param numbers: which texts are wanted; ``recurring``: those of them to be copied once each.
    :param escape: ``PLAIN``, ``BACKSLASH`` or ``QUOTE``; ``escaped``: lines in which there may be any, by default all.
    :return: an array for each of ``numbers``, as long as ``rows``; null where a line has no such text. Of strings; for
        recurring texts a dictionary of strings, in the order they come first.
    """
    # Those that recur come first.
    order = sorted(numbers, key=lambda number: number not in recurring)
    coded = sum(number in recurring for number in numbers)
    column_of = np.full(max(numbers, default=0) + 1, -1, np.int64)
    column_of[order] = np.arange(len(order))
    sizes = np.zeros(len(order), np.int64)
    kernel.measure(spans, column_of, sizes)
    starts = np.cumsum(sizes + SLACK) - sizes - SLACK
    copied = np.empty(int(sizes.sum()) + SLACK * (len(order) + 1), np.uint8)
    ends = np.zeros((len(order), len(rows) + 1), np.int32)
    ends[:coded, 0] = starts[:coded]
    codes = _room((coded, len(rows)), np.int32)
    codes[:] = -1
    counts = np.zeros(coded, np.int64)
    places = starts.copy()
    kernel.copy(
        np.frombuffer(block, np.uint8),
        spans,
        firsts,
        rows,
        column_of,
        escape,
        np.full(len(firsts) - 1, escape != PLAIN) if escaped is None else escaped,
        copied,
        places,
        ends,
        codes,
        counts,
    )
    valid = _room((len(order), -(-len(rows) // 8)), np.uint8)
    kernel.finish(codes, ends[coded:], valid.ravel())
    # There was room for all texts, as if none recurred. What lasts takes the memory that it needs.
    begin = int(starts[coded]) if coded < len(order) else 0
    held = pa.py_buffer(_copy_to_keep(copied[begin : int(places[-1]) if len(order) else 0]))
    validity, offsets, indices = _rows(valid), _rows(_copy_to_keep(ends[coded:])), _rows(codes)
    arrays = {}
    for column, (number, start, end) in enumerate(zip(order, starts.tolist(), places.tolist(), strict=True)):
        if column < coded:
            count = int(counts[column])
            distinct = [None, pa.py_buffer(ends[column, : count + 1] - start), pa.py_buffer(copied[start:end].copy())]
            arrays[number] = pa.DictionaryArray.from_arrays(
                pa.Array.from_buffers(pa.int32(), len(rows), [validity[column], indices[column]]),
                pa.Array.from_buffers(TEXT, count, distinct),
                safe=False,
            )
        else:
            texts = [validity[column], offsets[column - coded], held.slice(start - begin, end - start)]
            arrays[number] = pa.Array.from_buffers(TEXT, len(rows), texts)
    return [arrays[number] for number in numbers]


def _rows(array: npt.NDArray[Any]) -> list[pa.Buffer]:
    held = pa.py_buffer(array)
    size = array.shape[1] * array.itemsize
    return [held.slice(row * size, size) for row in range(len(array))]


def _room(shape: tuple[int, ...], kind: npt.DTypeLike) -> npt.NDArray[Any]:
    """Take memory from Arrow for what outlives the block, so that none of it lies between what is freed with it."""
    return np.ndarray(shape, kind, pa.allocate_buffer(math.prod(shape) * np.dtype(kind).itemsize))


def _copy_to_keep(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Copy what outlives the block."""
    copy = _room(array.shape, array.dtype)
    copy[...] = array
    return copy


def copy_lines(
    lines: Lines, ends: Positions, rows: Positions, *, recurring: Container[int] = ()
) -> pa.StringArray | pa.DictionaryArray:
    """Copy some lines up to given ends, as they are."""
    spans = np.stack((np.zeros_like(rows), lines.begins[rows], ends[rows]), axis=1).astype(np.int32)
    places = np.arange(len(rows) + 1)
    return copy_texts(lines.block, spans, places, places[:-1], numbers=[0], recurring=recurring)[0]
