"""Looking for a person in rows and in bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva.retention.subject import Needle, Subject

ERASED = "ERASED"
"""What stands in the place of a value in rows that are not the person's."""

WARNINGS = "parse_warnings"
_IDENTITY = ("src_file",)
"""Columns that say which row it is, and so stay as they are."""

_Mask = npt.NDArray[np.bool_]


@dataclass(slots=True)
class Matches:
    """Where a person is in some rows.

    :ivar own: which rows are the person's.
    :ivar mentions: rows that mention the person in a column, by column; the person's own among them.
    """

    own: _Mask
    mentions: dict[str, _Mask] = field(default_factory=dict)

    @property
    def mentioning(self) -> _Mask:
        """Which rows are not the person's, and mention them."""
        in_any = np.zeros(len(self.own), bool)
        for mask in self.mentions.values():
            in_any |= mask
        return in_any & ~self.own


def find_in_rows(rows: pa.Table, subject: Subject) -> Matches:
    """Look for a person in every column of text, nested ones included."""
    matches = Matches(np.zeros(len(rows), bool))
    for name in text_columns(rows.schema):
        column = rows[name].unify_dictionaries().combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = pa.concat_arrays(column.chunks)
        for needle in subject.needles:
            mask = _rows_with(column, needle)
            if mask.any():
                matches.mentions[name] = matches.mentions.get(name, np.zeros(len(rows), bool)) | mask
                if name in needle.columns:
                    matches.own |= mask
    return matches


def text_columns(schema: pa.Schema) -> list[str]:
    """Name the columns that hold text, but those that say which row it is."""
    return [column.name for column in schema if _is_text(column.type) and column.name not in _IDENTITY]


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind) or pa.types.is_list(kind):
        return _is_text(kind.value_type)
    if pa.types.is_struct(kind):
        return any(_is_text(member.type) for member in kind)
    tests = (pa.types.is_map, pa.types.is_string, pa.types.is_large_string, pa.types.is_large_binary)
    return any(test(kind) for test in tests)


def _rows_with(column: pa.Array, needle: Needle) -> _Mask:
    """Return which rows of a column have a value."""
    if pa.types.is_dictionary(column.type):
        # Each text is looked at once, however many rows have it.
        hits = np.flatnonzero(_rows_with(column.dictionary, needle))
        return np.isin(pc.fill_null(column.indices, -1).to_numpy(), hits)
    in_row = np.zeros(len(column), bool)
    for texts, owners in _texts(column):
        for position in _candidates(texts, needle):
            text = texts[position].as_py()
            if needle.pattern.search(text) if isinstance(text, str) else needle.bytes_pattern.search(text):
                in_row[owners[position]] = True
    return in_row


def _texts(column: pa.Array) -> Iterator[tuple[pa.Array, npt.NDArray[np.int64]]]:
    """Yield the texts in a column, however deep they are, and which row each is of."""
    rows = np.arange(len(column))
    if pa.types.is_struct(column.type):
        for member in column.flatten():
            yield from _texts(member)
    elif pa.types.is_map(column.type) or pa.types.is_list(column.type):
        lengths = pc.fill_null(pc.list_value_length(_as_list(column)), 0).to_numpy(zero_copy_only=False)
        owners = np.repeat(rows, lengths)
        for texts, places in _texts(_as_list(column).flatten()):
            yield texts, owners[places]
    else:
        yield column, rows


def _as_list(column: pa.Array) -> pa.Array:
    if not pa.types.is_map(column.type):
        return column
    pairs = pa.struct([pa.field("key", column.type.key_type), pa.field("value", column.type.item_type)])
    return column.cast(pa.list_(pairs))


def _candidates(texts: pa.Array, needle: Needle) -> Iterable[int]:
    """Return the positions of texts that hold a spelling, whatever stands beside it."""
    expression = "|".join(re.escape(spelling) for spelling in needle.spellings)
    if len(needle.spellings) == 1 and not needle.has_letters:
        matches = pc.match_substring(texts, needle.spellings[0])
    else:
        matches = pc.match_substring_regex(texts, expression, ignore_case=True)
    return [int(position) for position in np.flatnonzero(pc.fill_null(matches, False).to_numpy(zero_copy_only=False))]


def without(rows: pa.Table, matches: Matches, subject: Subject) -> pa.Table:
    """Return rows without the person's, and with the value blanked in the others; these say so in their warnings."""
    keep = ~matches.own
    for name, mask in matches.mentions.items():
        if (mask & keep).any():
            rows = _blanked(rows, name, mask & keep, subject)
    return rows.filter(pa.array(keep))


def _blanked(rows: pa.Table, name: str, mask: _Mask, subject: Subject) -> pa.Table:
    values = rows[name].to_pylist()
    warnings = rows[WARNINGS].to_pylist() if WARNINGS in rows.column_names else None
    for row in np.flatnonzero(mask):
        values[row] = _without(values[row], subject)
        if warnings is not None:
            warnings[row] = [*(warnings[row] or ()), f"erased:{name}"]
    changed = {name: values} if warnings is None or name == WARNINGS else {name: values, WARNINGS: warnings}
    for column, content in changed.items():
        at = rows.schema.get_field_index(column)
        rows = rows.set_column(at, rows.schema.field(at), pa.array(content, rows.schema.field(at).type))
    return rows


def _without(value: object, subject: Subject) -> object:
    if isinstance(value, list | tuple):
        return type(value)(_without(item, subject) for item in value)
    if isinstance(value, dict):
        return {name: _without(item, subject) for name, item in value.items()}
    for needle in subject.needles:
        if isinstance(value, str):
            value = needle.pattern.sub(ERASED, value)
        elif isinstance(value, bytes):
            value = needle.bytes_pattern.sub(ERASED.encode(), value)
    return value


def is_in_bytes(chunks: Iterable[bytes], subject: Subject) -> bool:
    """Return whether a person is in bytes that come in pieces."""
    overlap = max(needle.longest for needle in subject.needles) + 4
    tail = b""
    for chunk in chunks:
        text = tail + chunk
        lower = text.lower() if any(needle.has_letters for needle in subject.needles) else text
        for needle in subject.needles:
            if any(literal in lower for literal in needle.literals) and needle.bytes_pattern.search(text):
                return True
        tail = text[-overlap:]
    return False
