"""HTTP headers in JSON, taken apart by the places of their quotes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva.events.scan.buffers import Bytes, Mask, Offsets, Positions
from airflow_provider_imperva.events.scan.plain.spans import contents, strings

_QUOTE, _BACKSLASH, _COLON, _COMMA = b'"\\:,'
_OPEN, _CLOSE, _BEGIN, _END = b"[]{}"
_FEW = 64


def cut_headers(
    characters: Bytes,
    offsets: Offsets,
    irregular: Mask,
    firsts: Offsets,
    codes: Offsets,
    value_firsts: Offsets,
    ends: Offsets,
    copied: Bytes,
    name_ends: Offsets,
    names: Bytes,
) -> tuple[int, int, int]:
    """Take texts of headers apart, and gather the values of each name."""
    # Those of a slice are followed by others.
    text = characters[: offsets[-1]]
    row, bounds = _headers(text, offsets, irregular)
    header_names = pc.ascii_lower(strings(text, bounds[:, 0], bounds[:, 1]))
    is_ascii = pc.string_is_ascii(header_names).to_numpy(zero_copy_only=False)
    coded = header_names.dictionary_encode()
    code = coded.indices.to_numpy()
    kept = _without(row[~is_ascii], row, irregular)
    key = row * len(coded.dictionary) + code
    _, place, times = np.unique(key, return_index=True, return_counts=True)
    repeat = np.isin(row, row[place[times > 1]]) & (np.bincount(row, minlength=1)[row] > _FEW)
    kept &= _without(row[repeat], row, irregular)
    row, key, bounds = row[kept], key[kept], bounds[kept]
    # In the order in which the names of a row come first.
    _, place, group, times = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(place[group], kind="stable")
    first = np.sort(place)
    used = pa.array(code[kept][first]).dictionary_encode()
    values_end, values = contents(strings(text, bounds[:, 2], bounds[:, 3]).take(pa.array(order)))
    names_end, distinct = contents(coded.dictionary.take(used.dictionary))
    firsts[1:] = np.cumsum(np.bincount(row[first], minlength=len(irregular)))
    codes[: len(first)] = used.indices
    value_firsts[1 : len(first) + 1] = np.cumsum(times[np.argsort(place)])
    for taken, given in ((ends, values_end), (copied, values), (name_ends, names_end), (names, distinct)):
        taken[: len(given)] = given
    return len(first), len(row), len(used.dictionary)


def _without(rows: Positions, row: Positions, irregular: Mask) -> Mask:
    """Mark rows as irregular, and tell which headers are of others."""
    irregular[rows] = True
    return ~irregular[row]


def _headers(text: Bytes, offsets: Offsets, irregular: Mask) -> tuple[Positions, npt.NDArray[np.int64]]:
    """Find the headers of texts that are written without blanks and escapes, and mark the other texts as irregular.

    :return: of each header the row, and where name and value begin and end.
    """
    quotes = offsets[0] + np.flatnonzero(text[offsets[0] :] == _QUOTE)
    counts = np.diff(np.searchsorted(quotes, offsets))
    escaped = offsets[0] + np.flatnonzero(text[offsets[0] :] == _BACKSLASH)
    irregular |= (counts == 0) | (counts % 4 != 0) | (np.diff(np.searchsorted(escaped, offsets)) > 0)
    # Four quotes a header, of which each text has its own.
    name_begin, name_end, begin, end = quotes[np.repeat(~irregular, counts)].reshape(-1, 4).T
    per_row = counts[~irregular] // 4
    row = np.repeat(np.flatnonzero(~irregular), per_row)
    is_first = np.zeros(len(row), np.bool_)
    is_first[np.cumsum(per_row) - per_row] = True
    is_last = np.roll(is_first, -1)
    last = len(text) - 1
    after = text[np.minimum(end + 2, last)]
    fits = (
        (begin == name_end + 2)
        & (text[np.minimum(name_end + 1, last)] == _COLON)
        & (text[name_begin - 1] == _BEGIN)
        & (text[np.minimum(end + 1, last)] == _END)
        & np.where(
            is_first,
            (name_begin == offsets[row] + 2) & (text[offsets[row]] == _OPEN),
            name_begin == np.roll(end, 1) + 4,
        )
        & np.where(is_last, (end + 3 == offsets[row + 1]) & (after == _CLOSE), after == _COMMA)
    )
    kept = _without(row[~fits], row, irregular)
    return row[kept], np.column_stack((name_begin + 1, name_end, begin + 1, end))[kept]
