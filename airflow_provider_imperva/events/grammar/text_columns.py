"""What the formats hand on: for every column with a source an Arrow array of texts, and notes on single rows.

This is the seam between the two stages of reading. A format turns lines into texts by column, record by record or a
whole block at once; :mod:`~airflow_provider_imperva.events.typed.table` gives them their types and knows no format.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva.events.grammar.record import TextRecord
from airflow_provider_imperva.events.schema.columns import CATEGORY, LIST, TEXT, Column, Format


@dataclass(slots=True)
class RowNotes:
    """What does not fit the columns, by row: texts for ``extra``, codes for ``parse_warnings``.

    :param extra: row, key and text.
    :param warnings: row and code.
    """

    extra: list[tuple[int, str, str]] = field(default_factory=list)
    warnings: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class TextColumns:
    """The records of one block, as texts.

    :param format: the format they were found in.
    :param lines: 1-based line of each record in the plain body, int64. Its length is the number of rows.
    :param event_class: class of each record, a dictionary of strings.
    :param texts: column name to array of strings, or of a dictionary of them: unescaped, trimmed, null for what is
        missing or empty. A column all of whose texts are missing may be left out.
    :param notes: keys without a column and what was irregular, in the order found.
    :param raw: each record as it stood in the body, string; None unless wanted.
    :param lists: column name to array of lists, where a format has lists that are not texts to be cut.
    :param keys: row and column name to the key that the text came from, where that is not the format's usual one.
    """

    format: Format
    lines: pa.Int64Array
    event_class: pa.DictionaryArray
    texts: Mapping[str, pa.StringArray | pa.DictionaryArray]
    notes: RowNotes
    raw: pa.StringArray | None = None
    lists: Mapping[str, pa.ListArray] = field(default_factory=dict)
    keys: Mapping[tuple[int, str], str] = field(default_factory=dict)

    def key(self, row: int, column: Column) -> str:
        """Name that the log used for a column's text in a row."""
        return self.keys.get((row, column.name)) or column.key(self.format)

    @classmethod
    def of(
        cls, records: Sequence[TextRecord], *, format_name: Format, lines: Sequence[int], raw: Sequence[str] | None
    ) -> TextColumns:
        """Gather records that were read one by one."""
        notes = RowNotes(
            extra=[(row, key, text) for row, record in enumerate(records) for key, text in record.extra],
            warnings=[(row, code) for row, record in enumerate(records) for code in record.warnings],
        )
        named = {name for record in records for name in record.texts}
        listed = {name for record in records for name in record.lists}
        return cls(
            format=format_name,
            lines=pa.array(lines, pa.int64()),
            event_class=pa.array([record.event_class for record in records], CATEGORY),
            texts={name: pa.array([record.texts.get(name) for record in records], TEXT) for name in sorted(named)},
            notes=notes,
            raw=None if raw is None else pa.array(raw, TEXT),
            lists={name: pa.array([record.lists.get(name) for record in records], LIST) for name in sorted(listed)},
            keys={(row, name): key for row, record in enumerate(records) for name, key in record.keys.items()},
        )

    @classmethod
    def merge(cls, one: TextColumns, other: TextColumns) -> TextColumns:
        """Put records of one body that were read in two ways back in the order of their lines; they have no lists."""
        if not len(one.lines) or not len(other.lines):
            return one if len(one.lines) else other
        lines = pa.concat_arrays([one.lines, other.lines])
        order = pc.array_sort_indices(lines)
        row = np.empty(len(order), np.int64)
        row[order.to_numpy()] = np.arange(len(order))
        offset = len(one.lines)

        def gather(first: pa.Array | None, second: pa.Array | None) -> pa.StringArray:
            first = pa.nulls(offset, TEXT) if first is None else first.cast(TEXT)
            second = pa.nulls(len(other.lines), TEXT) if second is None else second.cast(TEXT)
            return pa.concat_arrays([first, second]).take(order)

        names = sorted({*one.texts, *other.texts})
        return cls(
            format=one.format,
            lines=lines.take(order),
            event_class=gather(one.event_class, other.event_class).dictionary_encode(),
            texts={name: gather(one.texts.get(name), other.texts.get(name)) for name in names},
            notes=RowNotes(
                extra=[
                    (int(row[place + shift]), key, text)
                    for columns, shift in ((one, 0), (other, offset))
                    for place, key, text in columns.notes.extra
                ],
                warnings=[
                    (int(row[place + shift]), code)
                    for columns, shift in ((one, 0), (other, offset))
                    for place, code in columns.notes.warnings
                ],
            ),
            raw=None if one.raw is None else gather(one.raw, other.raw),
            keys={
                (int(row[place + shift]), name): key
                for columns, shift in ((one, 0), (other, offset))
                for (place, name), key in columns.keys.items()
            },
        )
