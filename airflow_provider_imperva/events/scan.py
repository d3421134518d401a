"""The fast way from lines to fields: a whole block at once, without a loop over lines or pairs.

Only those lines are taken of which it is certain that the careful reader gives the same. To it is left any line with
something out of the ordinary: a header that is none, bytes that are no UTF-8, a key that comes twice, an ``=`` after
an unknown word where only known keys are certain, a value in quotes, a label that is missing or not the one expected,
JSON whose brackets do not close just where the value ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva.events import cef, keys, leef
from airflow_provider_imperva.events.columns import TEXT
from airflow_provider_imperva.events.extension import unescaped
from airflow_provider_imperva.events.fields import Fields, Notes
from airflow_provider_imperva.events.lines import Lines, Mask, Positions
from airflow_provider_imperva.events.pairs import Bytes, Pairs, Places
from airflow_provider_imperva.events.record import Record, Rejection
from airflow_provider_imperva.events.vocabulary import Vocabulary

Integers = npt.NDArray[np.signedinteger]

_TAB, _BACKSLASH, _BAR = b"\t\\|"
_NEAR = 512
"""How many records are cut out at a time; their bytes and offsets stay in the processor's cache."""

_STRING = r'"(?:[^"\\]|\\+[^\\])*"'


def _brackets(depth: int) -> str:
    within = rf'[^"\\\[\]{{}}]|{_STRING}' + (f"|{_brackets(depth - 1)}" if depth else "")
    return rf"[\[{{](?:{within})*[\]}}]"


_JSON = rf"^[ ,]*{_brackets(3)}(?:,[ ,]*{_brackets(3)})*[ ,]*$"
"""Brackets that close where the value ends and not before, in the sense of the careful reader."""


@dataclass(frozen=True, slots=True)
class _Dialect:
    """What there is to know of a format.

    :param read: the careful reader.
    :param bars: how many unescaped ``|`` a header has.
    :param tabs: whether pairs may have tabs between them, and values blanks.
    """

    vocabulary: Vocabulary
    read: Callable[[str], Record | Rejection]
    bars: int
    tabs: bool


_DIALECTS: Mapping[str, _Dialect] = {
    "CEF": _Dialect(Vocabulary.of(keys.CEF), cef.read_record, bars=len(cef.HEADER_COLUMNS) + 1, tabs=False),
    "LEEF": _Dialect(Vocabulary.of(keys.LEEF), leef.read_record, bars=len(leef.HEADER_COLUMNS) + 1, tabs=True),
}


def scan(lines: Lines, format_name: Literal["CEF", "LEEF"], *, keep_raw: bool = False) -> tuple[Fields, Mask]:
    """Read those records that are as nearly all records are.

    :param lines: records of one block.
    :param format_name: the format of all of them.
    :param keep_raw: whether to keep each record in ``raw``.
    :return: the fields of the records taken, and which of ``lines`` those are.
    """
    dialect = _DIALECTS[format_name]
    vocabulary = dialect.vocabulary
    text = np.frombuffer(lines.block, np.uint8)
    headers = _Headers.read(lines, text, dialect)
    odd = headers.kinds < 0
    odd[_undecodable(lines)] = True
    pairs = _find_pairs(lines, text, headers.ends, dialect, odd)
    places = pairs.places(vocabulary, odd)
    _mark_unsure(places, vocabulary, odd)
    values = _Slices.of(lines.block, pairs.begins, pairs.ends)
    for key in vocabulary.json:
        closed = pc.match_substring_regex(values.take(places[key]), _JSON)
        odd |= ~pc.fill_null(closed, True).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(~odd)
    texts = headers.texts(rows)
    columns = {key: name for key, name in vocabulary.columns.items() if (places[key] >= 0).any()}
    chosen = places[list(columns)][:, rows]
    for name, which, column in zip(columns.values(), chosen, values.take_rows(chosen), strict=True):
        texts[name] = _unescaped(column, np.where(which >= 0, pairs.escapes[which], 0))
    fields = Fields(
        format=format_name,
        lines=pa.array(lines.numbers[rows]),
        event_class=texts.pop("event_class"),
        texts=texts,
        notes=Notes(),
        raw=_Slices.of(lines.block, lines.begins, lines.ends).take(rows) if keep_raw else None,
    )
    return fields, ~odd


def _find_pairs(lines: Lines, text: Bytes, starts: Positions, dialect: _Dialect, odd: Mask) -> Pairs:
    if not dialect.tabs:
        return Pairs.find(lines, starts, dialect.vocabulary, odd, tabs=False)
    tabs = np.flatnonzero(text == _TAB)
    # One tab may stand at the end.
    ends = lines.ends - (text[np.maximum(lines.ends - 1, 0)] == _TAB)
    counts = np.searchsorted(tabs, ends) - np.searchsorted(tabs, starts)
    # A block has lines of one sort, if none of them is odd.
    tabbed = bool((counts > 0).sum() * 2 > len(lines))
    odd |= (counts > 0) != tabbed
    pairs = Pairs.find(lines, starts, dialect.vocabulary, odd, tabs=tabbed)
    if tabbed:
        odd |= np.bincount(pairs.lines, minlength=len(lines)) != counts + 1
    return pairs


@dataclass(frozen=True, slots=True, eq=False)
class _Slices:
    """Texts of a block, all in one array over its bytes: a text, the stretch up to the next, the next text, ..."""

    array: pa.Array

    @classmethod
    def of(cls, block: bytes, begins: Integers, ends: Integers, kind: pa.DataType = TEXT) -> _Slices:
        bounds = np.column_stack((begins, ends)).astype(np.int32, copy=False)
        buffers = [None, pa.py_buffer(bounds), pa.py_buffer(block)]
        return cls(pa.Array.from_buffers(kind, max(bounds.size - 1, 0), buffers))

    def take(self, which: Integers) -> pa.Array:
        """Copy texts out of the block, by number; -1 gives null."""
        return self.array.take(pa.array(2 * which, mask=which < 0))

    def take_rows(self, which: Integers) -> list[pa.Array]:
        """Copy texts out of the block into as many arrays as ``which`` has rows."""
        # Some records at a time, so that what is copied lies close together in the block.
        stretches = [which[:, begin : begin + _NEAR] for begin in range(0, max(which.shape[1], 1), _NEAR)]
        taken = [(self.take(stretch.ravel()), stretch.shape[1]) for stretch in stretches]
        return [
            pa.concat_arrays([array.slice(row * width, width) for array, width in taken]) for row in range(len(which))
        ]


@dataclass(frozen=True, slots=True, eq=False)
class _Headers:
    """The headers of lines: few kinds, each many times.

    :param ends: where each line's header ends, exclusive.
    :param kinds: number of each line's kind; negative if only the careful reader can tell.
    :param records: each kind of header, read as a record without an extension.
    """

    ends: Positions
    kinds: Positions
    records: list[Record]

    @classmethod
    def read(cls, lines: Lines, text: Bytes, dialect: _Dialect) -> _Headers:
        """Cut headers off and read one of each kind."""
        bars = np.flatnonzero(text == _BAR)
        bars = bars[text[bars - 1] != _BACKSLASH]
        bars = np.append(bars, np.full(dialect.bars, len(text)))
        last = bars[np.searchsorted(bars, lines.begins) + dialect.bars - 1]
        ends = np.where(last < lines.ends, last + 1, lines.begins)
        headers = _Slices.of(lines.block, lines.begins, ends, pa.binary()).take(np.arange(len(lines)))
        headers = headers.dictionary_encode()
        kinds: Positions = np.full(len(headers.dictionary), -1, np.int64)
        records: list[Record] = []
        for number, header in enumerate(headers.dictionary.to_pylist()):
            record = dialect.read(header.decode(errors="replace"))
            if isinstance(record, Record) and _is_header(record, dialect):
                kinds[number] = len(records)
                records.append(record)
        return cls(ends, kinds[headers.indices.to_numpy()], records)

    def texts(self, rows: Positions) -> dict[str, pa.StringArray]:
        """Texts of some lines by column, and ``event_class``."""
        kinds = pa.array(self.kinds[rows])
        names = {name for record in self.records for name in record.texts}
        texts = {name: [record.texts.get(name) for record in self.records] for name in sorted(names)}
        texts["event_class"] = [record.event_class for record in self.records]
        return {name: pa.array(by_kind, TEXT).take(kinds) for name, by_kind in texts.items()}


def _is_header(record: Record, dialect: _Dialect) -> bool:
    """Whether what was read as a record is a header, nothing but it, and of events with the keys known here."""
    more = record.extra or record.warnings or not record.texts.keys().isdisjoint(dialect.vocabulary.columns.values())
    return not more and record.event_class != "attack_analytics"


def _undecodable(lines: Lines) -> list[int]:
    """Find the lines that are no UTF-8."""
    bounds = pa.py_buffer(np.array([0, len(lines.block)], np.int32))
    try:
        pa.Array.from_buffers(TEXT, 1, [None, bounds, pa.py_buffer(lines.block)]).validate(full=True)
    except pa.ArrowInvalid:
        return [index for index in range(len(lines)) if not _is_utf8(lines.text(index))]
    return []


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _mark_unsure(places: Places, vocabulary: Vocabulary, odd: Mask) -> None:
    """Mark lines in which a value lacks its label, or a key is that neither has a column nor labels one."""
    for key, label in vocabulary.label_of.items():
        odd |= (places[key] >= 0) & (places[label] < 0)
    for key in vocabulary.strange:
        odd |= places[key] >= 0


def _unescaped(texts: pa.StringArray, escapes: Bytes) -> pa.StringArray:
    if not escapes.any():
        return texts
    plain = pc.replace_substring(texts, pattern="\\=", replacement="=")
    others = np.flatnonzero(escapes == 2)
    if not len(others):
        return plain
    rest = [unescaped(text) for text in texts.take(pa.array(others)).to_pylist()]
    return pc.replace_with_mask(plain, pa.array(escapes == 2), pa.array(rest, TEXT))
