"""The fast way from W3C rows to columns of texts: a whole block at once, in one loop over its bytes.

Only those rows are taken of which it is certain that the careful reader gives the same: they are cut in the first or
the second of its ways, and date and time say nothing that the start does not.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva.events.grammar.record import NORMAL
from airflow_provider_imperva.events.grammar.text_columns import RowNotes, TextColumns
from airflow_provider_imperva.events.grammar.w3c import COLUMN_BY_FIELD, Layout, iso_date
from airflow_provider_imperva.events.scan import kernel
from airflow_provider_imperva.events.scan.buffers import QUOTE, Mask, Places, Positions
from airflow_provider_imperva.events.scan.lines import Lines
from airflow_provider_imperva.events.scan.texts import copy_lines, copy_texts
from airflow_provider_imperva.events.schema.columns import CATEGORY, COLUMNS, TEXT

_RECURRING = {column.w3c for column in COLUMNS if column.recurs}
_SHORTEST = len('"" ')
"""Bytes of an empty value, with the blank before it."""


def scan(rows: Lines, layout: Layout, *, keep_raw: bool) -> tuple[TextColumns, Mask]:
    """Read those rows that are as nearly all rows are.

    :param rows: lines of one block that are not directives.
    :param keep_raw: whether to keep each row in ``raw``.
    :return: the texts of the rows taken, and which of ``rows`` those are.
    """
    names = layout.names
    if len(set(names)) < len(names):
        # Which value of a name comes first, the careful reader knows.
        return TextColumns.of([], format_name="W3C", lines=[], raw=[]), np.zeros(len(rows), np.bool_)
    irregular = np.zeros(len(rows), np.bool_)
    irregular[rows.undecodable()] = True
    values = _Values.find(rows, names, irregular)
    taken = np.flatnonzero(~irregular)
    texts = values.copy(taken, [name for name in names if name not in ("date", "time")])
    if "cs-start" not in texts or texts["cs-start"].null_count:
        clock = values.copy(taken, ["date", "time"])
        missing = pa.nulls(len(taken), TEXT)
        date = clock.get("date", missing)
        if pc.any(pc.match_substring(date, "/")).as_py():
            date = pa.array([text and iso_date(text) for text in date.to_pylist()], TEXT)
        date_and_time = pc.binary_join_element_wise(date, clock.get("time", missing), "T")
        texts["cs-start"] = pc.coalesce(texts.get("cs-start", missing), date_and_time)
    rules = texts["cs-rule"] if "cs-rule" in texts else pa.nulls(len(taken), TEXT).dictionary_encode()
    kinds = [*rules.dictionary.to_pylist(), NORMAL]
    kind_of = pc.fill_null(rules.indices, len(kinds) - 1)
    texts["cs-rule"] = pa.array(kinds, CATEGORY).take(kind_of)
    columns = TextColumns(
        format="W3C",
        lines=pa.array(rows.numbers[taken]),
        event_class=pa.array(["access" if kind == NORMAL else "security" for kind in kinds], CATEGORY).take(kind_of),
        texts={COLUMN_BY_FIELD[name]: column for name, column in texts.items() if name in COLUMN_BY_FIELD},
        notes=RowNotes(
            extra=[
                (row, name, text)
                for name, column in texts.items()
                if name not in COLUMN_BY_FIELD
                for row, text in enumerate(column.to_pylist())
                if text is not None
            ]
        ),
        raw=copy_lines(rows, rows.ends, taken) if keep_raw else None,
    )
    return columns, ~irregular


@dataclass(frozen=True, slots=True, eq=False)
class _Values:
    """The values of rows that have one for each name.

    :param spans: for each value that is not empty the ``NUMBER`` of its name, ``BEGIN`` and ``END``.
    :param firsts: the first row of each row's, and the number of rows.
    :param escaped: rows in which quotes are escaped.
    """

    block: bytes
    names: tuple[str, ...]
    spans: Places
    firsts: Positions
    escaped: Mask

    @classmethod
    def find(cls, rows: Lines, names: tuple[str, ...], irregular: Mask) -> _Values:
        """Cut rows.

        :param irregular: rows not to look at; others that turn out to be irregular are marked too. They have no values.
        """
        room = min(len(rows.block) // _SHORTEST + len(names), len(rows) * len(names))
        spans = np.empty((room, 3), np.int32)
        firsts = np.zeros(len(rows) + 1, np.int64)
        escaped = np.zeros(len(rows), np.bool_)
        place_of = {name: place for place, name in enumerate(names)}
        moments = np.array([place_of.get(name, len(names)) for name in ("date", "time", "cs-start")])
        kernel.cut_rows(
            np.frombuffer(rows.block, np.uint8),
            rows.begins,
            rows.ends,
            len(names),
            moments,
            irregular,
            escaped,
            spans,
            firsts,
        )
        return cls(rows.block, names, spans[: firsts[-1]], firsts, escaped)

    def copy(self, rows: Positions, wanted: Collection[str]) -> dict[str, pa.StringArray | pa.DictionaryArray]:
        """Copy those of some rows and names; names without any are left out."""
        numbers = [number for number, name in enumerate(self.names) if name in wanted]
        recurring = [number for number in numbers if self.names[number] in _RECURRING]
        copied = copy_texts(
            self.block,
            self.spans,
            self.firsts,
            rows,
            numbers=numbers,
            recurring=recurring,
            escape=QUOTE,
            escaped=self.escaped,
        )
        named = zip(numbers, copied, strict=True)
        return {self.names[number]: column for number, column in named if column.null_count < len(rows)}
