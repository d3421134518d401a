"""Texts on their way into columns. Escapes are taken out of the whole block first, so that Arrow can do the rest."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from airflow_provider_imperva.events.scan.buffers import (
    BACKSLASH,
    BEGIN,
    END,
    NUMBER,
    QUOTE,
    Bytes,
    Mask,
    Offsets,
    Places,
    Positions,
)
from airflow_provider_imperva.events.scan.plain.spans import contents, is_any, span_of, strings

_N, _R, _LF, _CR = b"nr\n\r"


def measure(spans: Places, column_of: Positions, sizes: Positions) -> None:
    """Add the bytes of each text to those of its column."""
    lengths = np.bincount(_columns(spans, column_of) + 1, spans[:, END] - spans[:, BEGIN], len(sizes) + 1)
    sizes += lengths[1:].astype(np.int64)


def _columns(spans: Places, column_of: Positions) -> Positions:
    """Give the column of each text, -1 for none."""
    columns: Positions = np.append(column_of, -1)[np.minimum(spans[:, NUMBER], len(column_of))]
    return columns


def copy(
    text: Bytes,
    spans: Places,
    firsts: Positions,
    rows: Positions,
    column_of: Positions,
    escape: int,
    escaped: Mask,
    copied: Bytes,
    places: Positions,
    ends: Places,
    codes: Places,
    counts: Positions,
) -> None:
    """Copy texts to their columns."""
    line = np.repeat(np.arange(len(firsts) - 1), np.diff(firsts))
    row_of = np.full(len(firsts) - 1, -1)
    row_of[rows] = np.arange(len(rows))
    row, column = row_of[line], _columns(spans, column_of)
    wanted = np.flatnonzero((row >= 0) & (column >= 0))
    texts_of = np.full((len(places), len(rows)), -1, np.int32)
    texts_of[column[wanted], row[wanted]] = wanted
    texts = _unescaped(text, spans[:, BEGIN], spans[:, END], escaped[line], escape)
    for place, text_of in enumerate(texts_of):
        present = np.flatnonzero(text_of >= 0)
        taken = texts.take(pa.array(text_of[present]))
        if place < len(codes):
            coded = taken.dictionary_encode()
            codes[place, present] = coded.indices
            taken = coded.dictionary
            counts[place] = len(taken)
        offsets, characters = contents(taken)
        begin, end = places[place], places[place] + len(characters)
        copied[begin:end] = characters
        places[place] = end
        if place < len(codes):
            ends[place, 1 : len(offsets)] = begin + offsets[1:]
        else:
            ends[place, present + 1] = np.diff(offsets)


def recode(codes: Offsets, used: Offsets, new_codes: Offsets) -> int:
    """Renumber codes, in the order they come first."""
    there = codes >= 0
    distinct = pa.array(codes[there]).dictionary_encode()
    old = distinct.dictionary.to_numpy()
    used[: len(old)] = old
    new_codes[:] = -1
    new_codes[old] = np.arange(len(old))
    codes[there] = distinct.indices
    return len(old)


def finish(codes: Places, ends: Places, valid: Bytes) -> None:
    """Return which rows have a text, and turn codes and lengths into what Arrow wants."""
    is_valid = np.concatenate((codes >= 0, ends[:, 1:] > 0))
    valid[:] = np.packbits(is_valid, axis=1, bitorder="little").ravel()
    np.maximum(codes, 0, out=codes)
    np.cumsum(ends, axis=1, out=ends)


def _unescaped(text: Bytes, begins: Offsets, ends: Offsets, escaped: Mask, escape: int) -> pa.StringArray:
    """Take texts out, those that are escaped without what escapes other bytes in them."""
    dropped = np.zeros(0, np.int64)
    if escape == BACKSLASH:
        dropped = _escaping_backslashes(text)
        if not escaped.all():
            dropped = dropped[span_of(dropped, begins[escaped], ends[escaped]) >= 0]
        text = text.copy()
        for letter, meant in ((_N, _LF), (_R, _CR)):
            text[dropped[text[dropped + 1] == letter] + 1] = meant
    elif escape == QUOTE:
        dropped = _escaping_quotes(text, begins[escaped], ends[escaped])
    if not len(dropped):
        return strings(text, begins, ends)
    moved = (places - np.searchsorted(dropped, places) for places in (begins, ends))
    return strings(np.delete(text, dropped), *moved)


def _escaping_backslashes(text: Bytes) -> Positions:
    """Find those that stand before what can be escaped. Of two in a row, the first escapes the second.

    No value begins within a row of backslashes, so what is right for the block is so for each value.
    """
    slashes = np.flatnonzero(text[:-1] == BACKSLASH)
    escaping: Positions = slashes[(_places_in_run(slashes) % 2 == 0) & is_any(text[slashes + 1], b"=\\nr")]
    return escaping


def _escaping_quotes(text: Bytes, begins: Offsets, ends: Offsets) -> Positions:
    """Find what escapes the quotes within some texts: a backslash before one, or the second of two in a row."""
    quotes = np.flatnonzero(text == QUOTE)
    span = span_of(quotes, begins, ends)
    quotes, begin = quotes[span >= 0], begins[span[span >= 0]]
    after_backslash = (quotes > begin) & (text[quotes - 1] == BACKSLASH)
    others = quotes[~after_backslash]
    return np.sort(np.append(quotes[after_backslash] - 1, others[_places_in_run(others) % 2 == 1]))


def _places_in_run(places: Positions) -> Positions:
    """Return how many of these places stand directly before each, without a break."""
    firsts = np.flatnonzero(np.diff(places, prepend=-2) > 1)
    return np.arange(len(places)) - np.repeat(firsts, np.diff(firsts, append=len(places)))
