"""From texts to typed values, a whole array at a time: one conversion for each kind of column.

Every conversion takes a string array and gives an array as long. Null in is null out; a text that does not fit its
type is null out too, and only that shows a misfit. Only texts out of the ordinary are looked at one by one.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva.events.scan import kernel
from airflow_provider_imperva.events.scan.buffers import Bytes, Offsets
from airflow_provider_imperva.events.scan.texts import copy_texts
from airflow_provider_imperva.events.schema.columns import BOOL, CATEGORY, FLOAT, INT64, LIST, TEXT, TIME, Column
from airflow_provider_imperva.events.schema.vocabulary import outcome_of

_SIGNED = re.compile(r"[+-]?[0-9]{1,40}")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,3})?")
_TLS = re.compile(r"([^ \t]+)[ \t]*(.*)", re.DOTALL)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

_COMMA = ord(",")


class _Parts(NamedTuple):
    """What an array of texts is made of.

    :ivar offsets: where each text begins, and the last one ends; ``characters``: the bytes of all.
    :ivar valid: a bit for each text, 0 for null; of no bytes if none is null.
    """

    offsets: Offsets
    characters: Bytes
    valid: Bytes

    @classmethod
    def of(cls, texts: pa.StringArray) -> _Parts:
        """Look at an array, which is not copied unless it is a slice of another."""
        if texts.offset:
            texts = texts.take(pa.array(np.arange(len(texts))))
        valid, offsets, characters = texts.buffers()
        return cls(
            np.frombuffer(offsets, np.int32, len(texts) + 1) if len(texts) else np.zeros(1, np.int32),
            np.frombuffer(characters or b"", np.uint8),
            np.frombuffer(valid if texts.null_count else b"", np.uint8),
        )


def integers(texts: pa.StringArray, kind: pa.DataType = INT64) -> pa.Array:
    """Decimal integers. Never by way of floats, which cannot hold the 17 to 19 digits of ids."""
    beyond = 2 ** (kind.bit_width - 1)

    def one(text: str) -> int | None:
        value = int(text) if _SIGNED.fullmatch(text) else beyond
        return value if -beyond <= value < beyond else None

    # 18 digits always fit into 64 bits.
    return _from_digits(texts, 1, 18, kind, one)


def _from_digits(
    texts: pa.StringArray, fewest: int, most: int, kind: pa.DataType, one: Callable[[str], int | None]
) -> pa.Array:
    """Read integers from texts of so many digits, and the few others one by one."""
    offsets, characters, valid = _Parts.of(texts)
    values = np.empty(len(texts), np.int64)
    irregular = np.empty(len(texts), np.bool_)
    largest = 2 ** (kind.bit_width - 1) - 1
    count = kernel.read_digits(characters, offsets, fewest, most, largest, values, irregular)
    buffers = [
        pa.py_buffer(valid) if len(valid) else None,
        pa.py_buffer(values.astype(f"i{kind.bit_width // 8}", copy=False)),
    ]
    numbers = pa.Array.from_buffers(kind, len(texts), buffers)
    if count == texts.null_count:
        return numbers
    return _patched(numbers, texts, pa.array(~irregular, mask=texts.is_null().to_numpy(zero_copy_only=False)), one)


def floats(texts: pa.StringArray) -> pa.DoubleArray:
    """Finite decimal numbers."""
    return _each(_float, texts, FLOAT)


def _float(text: str) -> float | None:
    value = float(text) if _DECIMAL.fullmatch(text) else math.nan
    return value if math.isfinite(value) else None


def booleans(texts: pa.StringArray) -> pa.BooleanArray:
    """Read ``true`` and ``false``, in any case."""
    return _each(_boolean, texts, BOOL)


def _boolean(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text.lower())


def times(texts: pa.StringArray) -> pa.TimestampArray:
    """Epoch milliseconds (13 digits), epoch seconds (10 digits), or ISO 8601, in UTC where it names no zone."""
    return _from_digits(texts, 13, 13, INT64, _time).view(TIME)


def _time(text: str) -> int | None:
    if _is_in_seconds(text):
        return int(text) * 1000
    if not _DATE.match(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return round(aware.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def in_seconds(texts: pa.StringArray) -> list[int]:
    """Which times are in epoch seconds, not milliseconds: of ten digits."""
    offsets, _, _ = _Parts.of(texts)
    return [row for row in np.flatnonzero(np.diff(offsets) == 10).tolist() if _is_in_seconds(texts[row].as_py())]


def _is_in_seconds(text: str) -> bool:
    return len(text) == 10 and text.isascii() and text.isdigit()


def no_addresses(texts: pa.StringArray | pa.DictionaryArray) -> list[int]:
    """Which texts are neither an IPv4 nor an IPv6 address."""
    if isinstance(texts, pa.DictionaryArray):
        wrong = no_addresses(texts.dictionary)
        return np.flatnonzero(pc.is_in(texts.indices, pa.array(wrong, pa.int32()))).tolist() if wrong else []
    offsets, characters, _ = _Parts.of(texts)
    doubtful = np.empty(len(texts), np.int64)
    count = kernel.find_doubtful(characters, offsets, doubtful)
    # Those are rare, and so are addresses among them (::ffff:1.2.3.4).
    return [row for row in doubtful[:count].tolist() if not _is_address(texts[row].as_py())]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def countries(texts: pa.StringArray) -> pa.StringArray:
    """Country codes without the brackets that logs of 2017 have around them."""
    return _each(_country, texts, TEXT)


def _country(text: str) -> str | None:
    return text.strip("[] \t") or None


def trimmed_lists(texts: pa.StringArray) -> pa.ListArray:
    """Cut lists at commas and trim each element of blanks."""
    return _lists(texts, trimmed=True)


def slots(texts: pa.StringArray) -> pa.ListArray:
    """Cut lists at commas. Even the last element has one after it, mostly; an empty element holds its place."""
    return _lists(texts, trimmed=False)


def _lists(texts: pa.StringArray, *, trimmed: bool) -> pa.ListArray:
    offsets, characters, valid = _Parts.of(texts)
    room = len(texts) + np.count_nonzero(characters == _COMMA)
    ends = np.zeros(room + 1, np.int32)
    copied = np.empty(len(characters), np.uint8)
    firsts = np.zeros(len(texts) + 1, np.int32)
    kernel.cut_lists(characters, offsets, trimmed, ends, copied, firsts)
    elements = pa.Array.from_buffers(TEXT, int(firsts[-1]), [None, pa.py_buffer(ends), pa.py_buffer(copied)])
    buffers = [pa.py_buffer(valid) if len(valid) else None, pa.py_buffer(firsts)]
    return pa.Array.from_buffers(LIST, len(texts), buffers, children=[elements])


def _same(texts: pa.StringArray) -> pa.StringArray:
    return texts


_CONVERSIONS: dict[str, Callable[[pa.StringArray], pa.Array]] = {
    "float": floats,
    "bool": booleans,
    "time": times,
    "country": countries,
    "list": trimmed_lists,
    "slots": slots,
}


def to_type(column: Column, texts: pa.StringArray | pa.DictionaryArray) -> pa.Array:
    """Texts as values of a column's type; null for a text that does not fit it. Those that recur are converted once."""
    if column.recurs and not isinstance(texts, pa.DictionaryArray):
        texts = texts.dictionary_encode()
    if not isinstance(texts, pa.DictionaryArray):
        return _converted(column, texts)
    if column.held_as != CATEGORY:
        return _converted(column, texts.dictionary).take(texts.indices)
    converted = _converted(column, texts.dictionary)
    return texts if converted is texts.dictionary else grouped(converted, texts)


def _converted(column: Column, texts: pa.StringArray) -> pa.Array:
    return integers(texts, column.type) if column.kind == "int" else _CONVERSIONS.get(column.kind, _same)(texts)


def url_parts(urls: pa.DictionaryArray) -> tuple[pa.DictionaryArray, pa.DictionaryArray]:
    """Host without port, up to the first ``/``, and path from there up to ``?``; null where there is none.

    Imperva logs URLs without a scheme; one that is there is skipped.
    """
    distinct = urls.dictionary
    offsets, characters, _ = _Parts.of(distinct)
    pieces = np.empty((2 * len(distinct), 3), np.int32)
    firsts = np.zeros(len(distinct) + 1, np.int64)
    kernel.cut_urls(characters, offsets, pieces, firsts)
    host, path = copy_texts(characters, pieces[: firsts[-1]], firsts, np.arange(len(distinct)), numbers=range(2))
    return grouped(host, urls), grouped(path, urls)


def tls_parts(tls: pa.DictionaryArray) -> tuple[pa.DictionaryArray, pa.DictionaryArray]:
    """TLS version and cipher: the first word and the rest."""
    parts = [_TLS.match(text) for text in tls.dictionary.to_pylist()]
    version, cipher = (pa.array([(part and part[group]) or None for part in parts], TEXT) for group in (1, 2))
    return grouped(version, tls), grouped(cipher, tls)


def without_text(texts: pa.DictionaryArray, text: str) -> pa.DictionaryArray:
    """Make a text that means nothing null."""
    if not pc.index(texts.dictionary, text).as_py() >= 0:
        return texts
    return grouped(pc.if_else(pc.equal(texts.dictionary, text), None, texts.dictionary), texts)


def outcomes(actions: pa.DictionaryArray) -> pa.DictionaryArray:
    """Return how each request ended, by its action."""
    known = pa.array([outcome_of(action) for action in actions.dictionary.to_pylist()], TEXT)
    return grouped(known, actions)


def grouped(texts: pa.StringArray, codes: pa.DictionaryArray) -> pa.DictionaryArray:
    """Put another text in the place of each that a dictionary has; some may be the same, and some null."""
    groups = texts.dictionary_encode()
    return pa.DictionaryArray.from_arrays(groups.indices.take(codes.indices), groups.dictionary, safe=False)


def _each(one: Callable[[str], object], texts: pa.StringArray, kind: pa.DataType) -> pa.Array:
    """Convert texts one by one, where it pays to convert each that recurs only once."""
    return pa.array([None if text is None else one(text) for text in texts.to_pylist()], kind)


def _patched(values: pa.Array, texts: pa.StringArray, plain: pa.BooleanArray, one: Callable[[str], object]) -> pa.Array:
    """Fill in, one by one, the values of those texts that are not plain."""
    if not plain.false_count:
        return values
    irregular = pc.fill_null(pc.invert(plain), False)
    rest = [one(text) for text in texts.filter(irregular).to_pylist()]
    return pc.replace_with_mask(values, irregular, pa.array(rest, values.type))
