"""The fast way from lines to fields: a whole block at once, without a loop over lines or pairs of known keys.

Only those lines are taken of which it is certain that the careful reader gives the same. To it is left any line with
something out of the ordinary: a header that is none, bytes that are no UTF-8, a key that comes twice, a value in
quotes, a label that is missing or not the one expected, JSON whose brackets do not close just where the value ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva.events import cef, keys, leef
from airflow_provider_imperva.events.columns import TEXT
from airflow_provider_imperva.events.extension import LABEL_KEY, unescaped
from airflow_provider_imperva.events.fields import Fields, Notes
from airflow_provider_imperva.events.lines import Lines, Mask, Positions, Slices
from airflow_provider_imperva.events.pairs import Pairs, Places
from airflow_provider_imperva.events.record import Record, Rejection
from airflow_provider_imperva.events.vocabulary import Vocabulary

_TAB = ord("\t")
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
    :param tabs: whether pairs may have tabs between them, and values blanks.
    """

    vocabulary: Vocabulary
    read: Callable[[str], Record | Rejection]
    tabs: bool


_DIALECTS: Mapping[str, _Dialect] = {
    "CEF": _Dialect(Vocabulary.of(keys.CEF), cef.read_record, tabs=False),
    "LEEF": _Dialect(Vocabulary.of(keys.LEEF), leef.read_record, tabs=True),
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
    odd = np.zeros(len(lines), np.bool_)
    odd[lines.undecodable()] = True
    pairs = _find_pairs(lines, dialect, odd)
    headers = _Headers.read(lines, pairs, dialect)
    odd |= headers.kinds < 0
    places = pairs.places(vocabulary, odd)
    _mark_unsure(places, vocabulary, odd)
    unknown = _Unknown.of(lines, pairs, odd)
    rows = np.flatnonzero(~odd)
    columns = {key: name for key, name in vocabulary.columns.items() if places[key].any()}
    values = Slices.of(lines.block, pairs.begins, pairs.ends)
    texts = dict(zip(columns.values(), values.take_rows(places[list(columns)][:, rows]), strict=True))
    closed = _are_closed([texts[name] for key, name in columns.items() if key in vocabulary.json], len(rows))
    if not closed.all():
        texts = {name: column.filter(pa.array(closed)) for name, column in texts.items()}
        rows = rows[closed]
    texts = {name: _unescaped(column) for name, column in texts.items()} | headers.texts(rows)
    fields = Fields(
        format=format_name,
        lines=pa.array(lines.numbers[rows]),
        event_class=texts.pop("event_class"),
        texts=texts,
        notes=Notes(extra=unknown.notes(rows)),
        raw=Slices.of(lines.block, lines.begins, lines.ends).take(rows + 1) if keep_raw else None,
    )
    taken = np.zeros(len(lines), np.bool_)
    taken[rows] = True
    return fields, taken


def _find_pairs(lines: Lines, dialect: _Dialect, odd: Mask) -> Pairs:
    text = np.frombuffer(lines.block, np.uint8)
    tabs = int(np.count_nonzero(text == _TAB)) if dialect.tabs else 0
    # A block has lines of one sort, if none of them is odd.
    tabbed = tabs > len(lines)
    pairs = Pairs.find(lines, dialect.vocabulary, odd, tabs=tabbed)
    count = np.bincount(pairs.lines, minlength=len(lines))
    # Every pair but the first has a tab before it. Without any tab, pairs are cut in the other way.
    expected = np.maximum(count - 1, 0) if tabbed else np.zeros_like(count)
    if tabbed:
        odd |= count < 2
    if tabs != expected.sum():
        places = np.flatnonzero(text == _TAB)
        # One may stand at the end.
        ends = lines.ends - (text[np.maximum(lines.ends - 1, 0)] == _TAB)
        odd |= np.searchsorted(places, ends) - np.searchsorted(places, lines.begins) != expected
    return pairs


def _are_closed(columns: list[pa.StringArray], rows: int) -> Mask:
    """Whether all brackets of JSON close in each row."""
    if not columns:
        return np.ones(rows, np.bool_)
    # Each text once, since many recur, and all at once, since the expression takes long to compile.
    codes = pa.concat_arrays(columns).dictionary_encode()
    closed = pc.match_substring_regex(codes.dictionary, _JSON).take(codes.indices)
    found: Mask = pc.fill_null(closed, True).to_numpy(zero_copy_only=False).reshape(len(columns), rows).all(axis=0)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Headers:
    """The headers of lines: few kinds, each many times.

    :param kinds: number of each line's kind; negative if only the careful reader can tell.
    :param records: each kind of header, read as a record without an extension.
    """

    kinds: Positions
    records: list[Record]

    @classmethod
    def read(cls, lines: Lines, pairs: Pairs, dialect: _Dialect) -> _Headers:
        """Cut off what stands before the first pairs, and read one of each kind."""
        ends = lines.begins.copy()
        firsts = np.flatnonzero(np.append([True] * (len(pairs.lines) > 0), pairs.lines[1:] != pairs.lines[:-1]))
        ends[pairs.lines[firsts]] = pairs.starts[firsts]
        headers = Slices.of(lines.block, lines.begins, ends, pa.binary()).all().dictionary_encode()
        kinds: Positions = np.full(len(headers.dictionary), -1, np.int64)
        records: list[Record] = []
        for number, header in enumerate(headers.dictionary.to_pylist()):
            record = dialect.read(header.decode(errors="replace"))
            if isinstance(record, Record) and _is_header(record, dialect):
                kinds[number] = len(records)
                records.append(record)
        return cls(kinds[headers.indices.to_numpy()], records)

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


@dataclass(frozen=True, slots=True)
class _Unknown:
    """Pairs with keys that are not in the vocabulary: line, key, and text of each, in order."""

    found: list[tuple[int, str, str]]

    @classmethod
    def of(cls, lines: Lines, pairs: Pairs, odd: Mask) -> _Unknown:
        """Gather them; lines in which such a key comes twice, or may be a label, are marked as odd."""
        which = np.flatnonzero(pairs.keys == 0)
        which = which[(pairs.begins[which] < pairs.ends[which]) & ~odd[pairs.lines[which]]]
        names = [
            lines.block[begin:end].partition(b"=")[0].decode()
            for begin, end in zip(pairs.starts[which].tolist(), pairs.begins[which].tolist(), strict=True)
        ]
        texts = Slices.of(lines.block, pairs.begins[which], pairs.ends[which]).all().to_pylist()
        found = []
        seen: set[tuple[int, str]] = set()
        for line, name, text in zip(pairs.lines[which].tolist(), names, texts, strict=True):
            if (line, name) in seen or LABEL_KEY.fullmatch(name):
                odd[line] = True
            seen.add((line, name))
            found.append((line, name, unescaped(text)))
        return cls(found)

    def notes(self, rows: Positions) -> list[tuple[int, str, str]]:
        """Tell row, key and text of those in some lines."""
        row_of = {line: row for row, line in enumerate(rows.tolist())} if self.found else {}
        return [(row_of[line], key, text) for line, key, text in self.found if line in row_of]


def _mark_unsure(places: Places, vocabulary: Vocabulary, odd: Mask) -> None:
    """Mark lines in which a value lacks its label, or a key is that neither has a column nor labels one."""
    for key, label in vocabulary.label_of.items():
        odd |= (places[key] > 0) & (places[label] == 0)
    for key in vocabulary.strange:
        odd |= places[key] > 0


def _unescaped(texts: pa.StringArray) -> pa.StringArray:
    if not _has_backslash(texts):
        return texts
    plain = pc.replace_substring(texts, pattern="\\=", replacement="=")
    if not _has_backslash(plain):
        return plain
    others = pc.match_substring(plain, "\\")
    rest = [unescaped(text) for text in texts.filter(others).to_pylist()]
    return pc.replace_with_mask(plain, pc.fill_null(others, False), pa.array(rest, TEXT))


def _has_backslash(texts: pa.StringArray) -> bool:
    characters = texts.buffers()[2]
    return characters is not None and b"\\" in characters.to_pybytes()
