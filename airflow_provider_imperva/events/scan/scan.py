"""The fast way from lines to columns of texts: a whole block at once, in loops over its bytes.

Only those lines are taken of which it is certain that the careful reader gives the same. To it is left any line with
something out of the ordinary: a malformed header, bytes that are not UTF-8, a key that comes twice, a value in
quotes, a label that is missing or not the one expected, JSON whose brackets do not close.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from airflow_provider_imperva.events.grammar import cef, leef
from airflow_provider_imperva.events.grammar.extension import LABEL_KEY, LONGEST_KEY, unescaped
from airflow_provider_imperva.events.grammar.keys import CEF, LEEF, Keys
from airflow_provider_imperva.events.grammar.record import RejectionReason, TextRecord
from airflow_provider_imperva.events.grammar.text_columns import RowNotes, TextColumns
from airflow_provider_imperva.events.scan.buffers import BACKSLASH, BEGIN, END, NUMBER, Mask, Positions
from airflow_provider_imperva.events.scan.lines import Lines
from airflow_provider_imperva.events.scan.pairs import Pairs
from airflow_provider_imperva.events.scan.texts import copy_lines, copy_texts
from airflow_provider_imperva.events.scan.vocabulary import Vocabulary
from airflow_provider_imperva.events.schema.columns import CATEGORY

_KEY = re.compile(rb"[A-Za-z0-9_.-]*\Z")


@dataclass(frozen=True, slots=True)
class _Dialect:
    """What there is to know of a format.

    :param columns: column name by number of its key; ``recurring``: numbers of those whose texts recur.
    :param read: the careful reader.
    :param is_delimited: whether a header names a delimiter that is not a tab.
    :param tabs: whether pairs may have tabs between them, and values blanks.
    """

    vocabulary: Vocabulary
    columns: Mapping[int, str]
    recurring: Set[int]
    read: Callable[[str], TextRecord | RejectionReason]
    is_delimited: Callable[[str], bool]
    tabs: bool

    @classmethod
    def of(
        cls,
        keys: Keys,
        read: Callable[[str], TextRecord | RejectionReason],
        is_delimited: Callable[[str], bool],
        *,
        tabs: bool,
    ) -> _Dialect:
        columns = {number: keys.columns[key] for number, key in keys.numbered if key in keys.columns}
        names = {number: column.name for number, column in columns.items()}
        recurring = {number for number, column in columns.items() if column.recurs}
        return cls(Vocabulary.of(keys), names, recurring, read, is_delimited, tabs)


_DIALECTS: Mapping[str, _Dialect] = {
    "CEF": _Dialect.of(CEF, cef.read_record, lambda _: False, tabs=False),
    "LEEF": _Dialect.of(LEEF, leef.read_record, leef.is_delimited, tabs=True),
}


def scan(lines: Lines, format_name: Literal["CEF", "LEEF"], *, keep_raw: bool = False) -> tuple[TextColumns, Mask]:
    """Read those records that are as nearly all records are.

    :param lines: records of one block.
    :param format_name: the format of all of them.
    :param keep_raw: whether to keep each record in ``raw``.
    :return: the texts of the records taken, and which of ``lines`` those are.
    """
    dialect = _DIALECTS[format_name]
    irregular = np.zeros(len(lines), np.bool_)
    irregular[lines.undecodable()] = True
    pairs = Pairs.find(lines, dialect.vocabulary, irregular, tabs=dialect.tabs)
    headers = _Headers.read(lines, pairs, dialect, irregular)
    unknown = _Unknown.of(lines, pairs, irregular)
    rows = np.flatnonzero(~irregular)
    copied = copy_texts(
        lines.block,
        pairs.spans,
        pairs.firsts,
        rows,
        numbers=list(dialect.columns),
        recurring=dialect.recurring,
        escape=BACKSLASH,
    )
    texts = dict(zip(dialect.columns.values(), copied, strict=True)) | headers.texts(rows)
    columns = TextColumns(
        format=format_name,
        lines=pa.array(lines.numbers[rows]),
        event_class=texts.pop("event_class"),
        texts={name: column for name, column in texts.items() if column.null_count < len(rows)},
        notes=RowNotes(extra=unknown.notes(rows)),
        raw=copy_lines(lines, lines.ends, rows) if keep_raw else None,
    )
    return columns, ~irregular


@dataclass(frozen=True, slots=True, eq=False)
class _Headers:
    """The headers of lines: few kinds, each many times.

    :param kinds: number of each line's kind; negative for irregular lines.
    :param records: each kind of header, read as a record without an extension.
    """

    kinds: Positions
    records: list[TextRecord]

    @classmethod
    def read(cls, lines: Lines, pairs: Pairs, dialect: _Dialect, irregular: Mask) -> _Headers:
        """Read one of each kind; lines of those that are out of the ordinary are marked as irregular."""
        rows = np.flatnonzero(~irregular)
        headers = copy_lines(lines, pairs.headers, rows, recurring=[0])
        kind_of = np.full(len(headers.dictionary), -1, np.int64)
        records: list[TextRecord] = []
        for number, header in enumerate(headers.dictionary.to_pylist()):
            record = dialect.read(header)
            if isinstance(record, TextRecord) and _is_header(record, dialect) and not dialect.is_delimited(header):
                kind_of[number] = len(records)
                records.append(record)
        kinds = np.full(len(lines), -1, np.int64)
        kinds[rows] = kind_of[headers.indices.to_numpy()]
        irregular[kinds < 0] = True
        return cls(kinds, records)

    def texts(self, rows: Positions) -> dict[str, pa.DictionaryArray]:
        """Texts of some lines by column, and ``event_class``."""
        kinds = pa.array(self.kinds[rows])
        names = {name for record in self.records for name in record.texts}
        texts = {name: [record.texts.get(name) for record in self.records] for name in sorted(names)}
        texts["event_class"] = [record.event_class for record in self.records]
        return {name: pa.array(by_kind, CATEGORY).take(kinds) for name, by_kind in texts.items()}


def _is_header(record: TextRecord, dialect: _Dialect) -> bool:
    """Whether what was read as a record is a header, nothing but it, and of events with the keys known here."""
    more = record.extra or record.warnings or not record.texts.keys().isdisjoint(dialect.columns.values())
    return not more and record.event_class != "attack_analytics"


@dataclass(frozen=True, slots=True)
class _Unknown:
    """Pairs with keys that are not in the vocabulary: line, key, and text of each, in order."""

    pairs: list[tuple[int, str, str]]

    @classmethod
    def of(cls, lines: Lines, pairs: Pairs, irregular: Mask) -> _Unknown:
        """Gather them; lines in which such a key comes twice, or may be a label, are marked as irregular."""
        which = np.flatnonzero(pairs.spans[:, NUMBER] == 0)
        line_of = np.searchsorted(pairs.firsts, which, "right") - 1
        unknown = []
        seen: set[tuple[int, str]] = set()
        for line, pair in zip(line_of.tolist(), pairs.spans[which].tolist(), strict=True):
            sign = lines.block.rfind(b"=", 0, pair[BEGIN])
            name = _KEY.findall(lines.block, max(sign - LONGEST_KEY, 0), sign)[0].decode()
            if (line, name) in seen or LABEL_KEY.fullmatch(name):
                irregular[line] = True
            seen.add((line, name))
            unknown.append((line, name, unescaped(lines.block[pair[BEGIN] : pair[END]].decode())))
        return cls(unknown)

    def notes(self, rows: Positions) -> list[tuple[int, str, str]]:
        """Return row, key and text of those in some lines."""
        row_of = {line: row for row, line in enumerate(rows.tolist())} if self.pairs else {}
        return [(row_of[line], key, text) for line, key, text in self.pairs if line in row_of]
