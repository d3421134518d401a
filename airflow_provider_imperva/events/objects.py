"""JSON bodies: one object a line, objects over several lines, an array, or an envelope around one.

A body is read as a whole first; one that is no JSON as a whole, or larger than ``WHOLE_BYTES``, line by line. Records
are numbered in the order they stand, whatever lines they take.

An envelope is an object with a list of objects called ``logs``, ``events`` or ``records`` and only scalars beside it,
which are kept with each of the list's objects. With an empty list it is one only if nothing stands beside that.

Inner objects are flattened, their keys joined with dots, so ``{"event": {"id": 1}}`` and ``{"event.id": 1}`` are the
same. Lists stay JSON text, but for those whose column is of lists. Numbers are kept digit by digit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from airflow_provider_imperva.events.columns import COLUMNS, LIST
from airflow_provider_imperva.events.fields import Fields
from airflow_provider_imperva.events.lines import Lines, Tally, blocks
from airflow_provider_imperva.events.reading import MAX_RECORD_BYTES, Reading, Rejected
from airflow_provider_imperva.events.record import Record, Rejection

WHOLE_BYTES = 32 << 20
"""A larger body is read line by line."""

_DEEPEST, _LONGEST = 32, 255
"""Objects further in, or under a longer name, stay JSON text: a name is repeated for everything under it."""

_ENVELOPES = frozenset({"logs", "events", "records"})
_BETWEEN = re.compile(r"[ \t\r\n\x0b\x0c,]*")
_SURROGATE = re.compile("[\ud800-\udfff]")

_COLUMNS = [(column, column.json) for column in COLUMNS if column.json]
_PATHS = frozenset(path for _, paths in _COLUMNS for path in paths)
_OBJECT_PATHS = frozenset(path for column, paths in _COLUMNS if column.kind == "json" for path in paths)
_LIST_PATHS = frozenset(path for column, paths in _COLUMNS if column.type == LIST for path in paths)


class _Object(list[tuple[str, Any]]):
    """The pairs of an object, in order; a key may recur."""


class _Literal(str):
    """A number as it is written."""

    __slots__ = ()


# What Python would make of numbers and repeated keys loses digits and values.
_DECODER = json.JSONDecoder(
    object_pairs_hook=_Object, parse_int=_Literal, parse_float=_Literal, parse_constant=_Literal, strict=False
)

_Found = list[tuple[Record | Rejection, str]]
"""Records, or why there is none, each with its text."""


def read(chunks: Iterable[bytes], *, keep_raw: bool) -> Iterator[Reading]:
    """Read a body."""
    remaining = iter(chunks)
    pieces: list[bytes] = []
    size = 0
    while size <= WHOLE_BYTES and (chunk := next(remaining, None)) is not None:
        pieces.append(chunk)
        size += len(chunk)
    body = b"".join(pieces)
    whole = _records(_text(body)) if size <= WHOLE_BYTES else Rejection.TOO_LONG
    if isinstance(whole, Rejection):
        yield from _read_lines(chain([body], remaining), keep_raw=keep_raw)
    else:
        yield _reading(whole, first_number=1, lines=len(whole), keep_raw=keep_raw)


def _read_lines(chunks: Iterable[bytes], *, keep_raw: bool) -> Iterator[Reading]:
    number = 1
    for block in blocks(chunks):
        lines = Lines.split(block, first_number=1)
        found: _Found = []
        for index in range(len(lines)):
            content = lines.text(index)
            text = _text(content)
            records = _records(text) if len(content) <= MAX_RECORD_BYTES else Rejection.TOO_LONG
            found += [(records, text)] if isinstance(records, Rejection) else records
        # A line holds one record; more or fewer only in an array.
        surplus = len(found) - len(lines)
        yield _reading(found, first_number=number, lines=Tally.of(block).lines + surplus, keep_raw=keep_raw)
        number += len(found)


def _reading(found: _Found, *, first_number: int, lines: int, keep_raw: bool) -> Reading:
    numbered = list(enumerate(found, first_number))
    kept = [(number, record, text) for number, (record, text) in numbered if isinstance(record, Record)]
    return Reading(
        fields=Fields.of(
            [record for _, record, _ in kept],
            format_name="JSON",
            lines=[number for number, _, _ in kept],
            raw=[_SURROGATE.sub("\ufffd", text) for _, _, text in kept] if keep_raw else None,
        ),
        rejected=[
            Rejected(number, record.value, text.encode(errors="surrogateescape"))
            for number, (record, text) in numbered
            if isinstance(record, Rejection)
        ],
        lines=lines,
    )


def _text(content: bytes) -> str:
    """Decode UTF-8 so that it can be encoded back; bytes that are none become surrogates."""
    return content.decode(errors="surrogateescape")


def _records(text: str) -> _Found | Rejection:
    """Read all objects of a text, however they are wrapped."""
    found: _Found = []
    position = _BETWEEN.match(text, len(text) - len(text.removeprefix("\ufeff"))).end()  # type: ignore[union-attr]
    while position < len(text):
        try:
            value, end = _DECODER.raw_decode(text, position)
        except RecursionError:
            return Rejection.TOO_DEEP
        except ValueError:
            return Rejection.BAD_JSON
        if not isinstance(value, list):
            return Rejection.NOT_A_RECORD
        inner, beside = _unwrapped(value)
        if inner is None:
            found.append((_record(value), text[position:end]))
        else:
            for item in inner:
                whole = _Object([*item, *beside]) if isinstance(item, _Object) else item
                found.append((_record(whole), _escaped(_dumped(item))))
        position = _BETWEEN.match(text, end).end()  # type: ignore[union-attr]
    return found


def _unwrapped(value: list[Any]) -> tuple[list[Any] | None, list[tuple[str, Any]]]:
    """Give what an array or an envelope holds and what stands beside it; None for an object that is a record."""
    if not isinstance(value, _Object):
        return value, []
    inner = [pair for pair in value if isinstance(pair[1], list)]
    if len(inner) != 1 or inner[0][0].lower() not in _ENVELOPES or isinstance(inner[0][1], _Object):
        return None, []
    items = inner[0][1]
    beside = [pair for pair in value if pair is not inner[0]]
    is_envelope = all(isinstance(item, _Object) for item in items) and (items or not beside)
    return (items, beside) if is_envelope else (None, [])


def _escaped(text: str) -> str:
    """Write halves of surrogate pairs as JSON does, since no bytes stand for them."""
    return text.encode(errors="backslashreplace").decode()


def _record(value: Any) -> Record | Rejection:
    if not isinstance(value, _Object):
        return Rejection.NOT_A_RECORD
    record = Record(event_class="other", texts={})
    texts: dict[str, str] = {}
    lists: dict[str, list[str]] = {}
    replaced = False
    for path, inner in _flattened(value):
        text = _leaf(inner)
        if not text:
            continue
        if _SURROGATE.search(path) or _SURROGATE.search(text):
            path, text, replaced = _SURROGATE.sub("\ufffd", path), _SURROGATE.sub("\ufffd", text), True
        if path in texts:
            record.warnings.append(f"duplicate_key:{path}")
            record.extra.append((path, text))
        else:
            texts[path] = text
            if path in _LIST_PATHS:
                lists[path] = _elements(inner)
    taken = set()
    for column, paths in _COLUMNS:
        if path := next((path for path in paths if path in texts), ""):
            if path in lists:
                record.lists[column.name] = lists[path]
            else:
                record.texts[column.name] = texts[path]
            if path != paths[0]:
                record.keys[column.name] = path
            taken.add(path)
    record.extra[:0] = [(path, text) for path, text in texts.items() if path not in taken]
    if replaced:
        record.warnings.append("replaced_bytes")
    return record


def _flattened(value: _Object) -> list[tuple[str, Any]]:
    """Give the path and value of everything in an object that holds no further object, in order."""
    found: list[tuple[str, Any]] = []
    stack: list[tuple[str, Any, int]] = [(key, inner, 1) for key, inner in reversed(value)]
    while stack:
        path, inner, depth = stack.pop()
        if not isinstance(inner, _Object) or not inner or depth > _DEEPEST or len(path) > _LONGEST:
            found.append((path, inner))
            continue
        below = [(f"{path}.{key}", value, depth + 1) for key, value in reversed(inner)]
        if path in _OBJECT_PATHS:
            # Its text has all of it; only what has a column is taken out of it, too.
            found.append((path, inner))
            below = [item for item in below if item[0] in _PATHS]
        stack += below
    return found


def _leaf(value: Any) -> str:
    if isinstance(value, str):
        return value.strip(" \t")
    return "" if value is None else _dumped(value)


def _elements(value: Any) -> list[str]:
    """Give the texts of a list; any other value is a list of one. Commas bound nothing here."""
    items = value if isinstance(value, list) and not isinstance(value, _Object) else [value]
    return [_SURROGATE.sub("\ufffd", _leaf(item)) for item in items]


def _dumped(value: Any) -> str:
    """Write JSON without blanks; without recursion, so that nothing is too deep for it."""
    parts: list[str] = []
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, _Literal):
            parts.append(item)
        elif isinstance(item, _Object):
            stack.append(_Literal("}"))
            for place, (key, inner) in reversed(list(enumerate(item))):
                stack += [inner, _Literal(f"{',' if place else ''}{json.dumps(key, ensure_ascii=False)}:")]
            stack.append(_Literal("{"))
        elif isinstance(item, list):
            stack.append(_Literal("]"))
            for place, inner in reversed(list(enumerate(item))):
                stack += [inner, _Literal("," if place else "")]
            stack.append(_Literal("["))
        else:
            parts.append(json.dumps(item, ensure_ascii=False))
    return "".join(parts)
