"""JSON bodies: objects one a line or over several lines, in an array, in a sequence of RFC 7464, or in an envelope.

Values are read one after the other, whatever lines they take. One that cannot be read goes to quarantine by itself; if
it is the last one, and its end is missing, as ``truncated``. Where much cannot be read, the rest is read line by line.
Records are numbered in the order they stand.

What an envelope is, :mod:`~airflow_provider_imperva.events.grammar.envelopes` says. What stands beside its lists is
kept with each event, or with the first only if copies of it would be most of what there is. It gives no column a value.

Inner objects are flattened, their keys joined with dots, so ``{"event": {"id": 1}}`` and ``{"event.id": 1}`` are the
same. Lists stay JSON text, but for those whose column is of lists. Numbers are kept digit by digit.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from airflow_provider_imperva.events.bodies import records
from airflow_provider_imperva.events.bodies.text_block import MAX_RECORD_BYTES, RejectedLine, TextBlock
from airflow_provider_imperva.events.bodies.values import Object, Values, dumped
from airflow_provider_imperva.events.grammar.envelopes import (
    DEEPEST,
    EVENT_KEYS,
    LISTS,
    NO_EVENTS,
    TIME_KEYS,
    event_key,
)
from airflow_provider_imperva.events.grammar.record import RejectionReason, TextRecord
from airflow_provider_imperva.events.grammar.text_columns import TextColumns
from airflow_provider_imperva.events.scan.lines import Lines, blocks
from airflow_provider_imperva.events.scan.long_lines import HEAD_BYTES, ShortLines
from airflow_provider_imperva.events.schema.columns import COLUMNS, LIST
from airflow_provider_imperva.events.schema.vocabulary import class_of_json

_DEEPEST, _LONGEST = 32, 255
"""Objects further in, or under a longer name, stay JSON text: a name is repeated for everything under it."""

_MOST_COPIED = 8
"""How many times as long as an envelope all copies of what stands beside its list may be."""

_LEAST_SIZE = 256
"""What any record takes in memory, as so many characters."""

_LINE_ENDS = re.compile("^(?:#01[0-5])+")
_SURROGATE = re.compile("[\ud800-\udfff]")

_COLUMNS = [(column, column.json) for column in COLUMNS if column.json]
_PATHS = frozenset(path for _, paths in _COLUMNS for path in paths)
_OBJECT_PATHS = frozenset(path for column, paths in _COLUMNS if column.kind == "json" for path in paths)
_LIST_PATHS = frozenset(path for column, paths in _COLUMNS if column.type == LIST for path in paths)

_Found = tuple[TextRecord | RejectionReason, str]
"""A record, or why there is none, with its text."""


def read(chunks: Iterable[bytes], *, keep_raw: bool, block_bytes: int) -> Iterator[TextBlock]:
    """Read a body in blocks; the ``lines`` of the last one are all that were counted less those of the others."""
    body = _Body(block_bytes)
    kept_records: list[_Found] = []
    size = yielded = 0
    for record, text in body.read(chunks):
        if len(text) > MAX_RECORD_BYTES:
            record, text = RejectionReason.TOO_LONG, text[:HEAD_BYTES]
        kept = text if keep_raw or isinstance(record, RejectionReason) else ""
        kept_records.append((record, kept))
        size += _size(record) + len(kept)
        if size >= block_bytes:
            text_block = _block(kept_records, first_number=yielded + 1, lines=len(kept_records), keep_raw=keep_raw)
            yielded += len(kept_records)
            kept_records, size = [], 0
            yield text_block
            del text_block
    if kept_records or body.lines != yielded:
        yield _block(kept_records, first_number=yielded + 1, lines=body.lines - yielded, keep_raw=keep_raw)


class _Body:
    """A body on its way through.

    :ivar lines: how many records, and lines that are not records, were passed, counted by other means than reading
        them.
    """

    def __init__(self, block_bytes: int) -> None:
        self.lines = 0
        self._block_bytes = block_bytes

    def read(self, chunks: Iterable[bytes]) -> Iterator[_Found]:
        """Read all of it."""
        # Bytes that are not UTF-8 become surrogates, which can be encoded back.
        values = Values(
            codecs.iterdecode(blocks(chunks, block_bytes=self._block_bytes, cut=len), "utf-8", "surrogateescape")
        )
        yield from self._records(values)
        while values.failed is not None and not values.is_costly:
            reason, text = values.skip()
            self.lines += 1
            yield reason, text
            yield from self._records(values)
        if values.failed is not None:
            short = ShortLines(text.encode(errors="surrogateescape") for text in values.rest())
            for block in blocks(short, block_bytes=self._block_bytes):
                split = Lines.split(block, first_number=1)
                for index in range(len(split)):
                    yield from self._line(split.text(index))
            for line in short.long:
                self.lines += 1
                yield RejectionReason.TOO_LONG, line.head.decode(errors="surrogateescape")
        elif values.is_open:
            self.lines += 1
            yield RejectionReason.TRUNCATED, "["

    def _line(self, content: bytes) -> Iterator[_Found]:
        values = Values([content.decode(errors="surrogateescape")])
        yield from self._records(values)
        if values.failed is not None:
            self.lines += 1
            yield values.failed, "".join(values.rest())

    def _records(self, values: Values) -> Iterator[_Found]:
        for value, text in values:
            opened = _opened(value, text) if isinstance(value, Object) else None
            if isinstance(value, Object):
                self.lines += records.count(text) - 1
            prefix = _LINE_ENDS.sub("", values.prefix).strip()
            for record, record_text in opened if opened is not None else [(_one(value), text)]:
                if prefix and isinstance(record, TextRecord):
                    record.extra.append(("prefix", prefix))
                    prefix = ""
                yield record, record_text
        self.lines += values.count()


def _size(record: TextRecord | RejectionReason) -> int:
    if isinstance(record, RejectionReason):
        return _LEAST_SIZE
    texts = sum(map(len, record.texts.values())) + sum(len(key) + len(text) for key, text in record.extra)
    return _LEAST_SIZE + texts + sum(len(text) + 1 for items in record.lists.values() for text in items)


def _block(kept_records: list[_Found], *, first_number: int, lines: int, keep_raw: bool) -> TextBlock:
    numbered = list(enumerate(kept_records, first_number))
    kept = [(number, record, text) for number, (record, text) in numbered if isinstance(record, TextRecord)]
    return TextBlock(
        columns=TextColumns.of(
            [record for _, record, _ in kept],
            format_name="JSON",
            lines=[number for number, _, _ in kept],
            raw=[_SURROGATE.sub("\ufffd", text) for _, _, text in kept] if keep_raw else None,
        ),
        rejected=[
            RejectedLine.too_long(number, text.encode(errors="surrogateescape"))
            if record == RejectionReason.TOO_LONG
            else RejectedLine(number, record.value, text.encode(errors="surrogateescape"))
            for number, (record, text) in numbered
            if isinstance(record, RejectionReason)
        ],
        lines=lines,
    )


def _opened(value: Object, text: str) -> Iterator[_Found] | None:
    """Give what the lists of events in an envelope hold; None for any other object."""
    is_event = any(event_key(key) for key, _ in value)
    lists = [items for name, items in _lists(value) if _holds_events(name.lower(), items, in_event=is_event)]
    if not lists:
        is_empty = len(value) == 1 and value[0][0].lower() in LISTS and value[0][1] == []
        return iter(()) if is_empty and not isinstance(value[0][1], Object) else None
    beside = Object((f"envelope.{key}" if event_key(key) else key, inner) for key, inner in _without(value, lists))
    copied = len(dumped(beside)) * sum(map(len, lists))
    return _items([item for items in lists for item in items], beside, copied <= _MOST_COPIED * len(text))


def _items(items: Iterable[Any], beside: Object, with_each: bool) -> Iterator[_Found]:
    for item in items:
        if not isinstance(item, Object):
            yield RejectionReason.NOT_A_RECORD, _escaped(dumped(item))
            continue
        # Elasticsearch has its own keys around an event.
        source = next((inner for key, inner in item if key == "_source" and isinstance(inner, Object)), Object())
        around = [pair for pair in item if not source or pair[1] is not source]
        yield _record(Object([*source, *around, *beside])), _escaped(dumped(item))
        beside = beside if with_each else Object()


def _one(value: Any) -> TextRecord | RejectionReason:
    """Read a value that is not an envelope; if it holds several events all the same, it is not an event itself."""
    return RejectionReason.NOT_A_RECORD if _hides_events(value) else _record(value)


def _hides_events(value: Any) -> bool:
    """Whether an object that is not an event has several in it, where no envelope has them."""
    if not isinstance(value, Object) or any(event_key(key) for key, _ in value):
        return False
    count = 0
    left: list[list[Any]] = [value]
    while left and count < 2:
        inner = left.pop()
        keys = {event_key(key) for key, _ in inner} if isinstance(inner, Object) else set()
        if keys & TIME_KEYS and keys - TIME_KEYS - {""}:
            count += 1
        else:
            items = (item for _, item in inner) if isinstance(inner, Object) else inner
            left += [item for item in items if isinstance(item, list)]
    return count > 1


def _lists(value: Object, depth: int = 1) -> Iterator[tuple[str, list[Any]]]:
    """Give the lists in an object, and in those in it, with their names."""
    for key, inner in value:
        if not isinstance(inner, Object):
            if isinstance(inner, list):
                yield key, inner
        elif depth < DEEPEST and not (depth == 1 and event_key(key)):
            yield from _lists(inner, depth + 1)


def _holds_events(name: str, items: list[Any], *, in_event: bool) -> bool:
    keys = [{key.partition(".")[0] for key, _ in item} for item in items if isinstance(item, Object)]
    if not keys or name in NO_EVENTS:
        return False
    if in_event:
        return name in LISTS and all(TIME_KEYS & among for among in keys)
    return name in LISTS or all(EVENT_KEYS & among for among in keys)


def _without(value: Object, lists: list[list[Any]]) -> Object:
    """Leave lists out of an object, and the objects that held nothing else."""
    left = Object()
    for key, inner in value:
        if any(inner is items for items in lists):
            continue
        rest = _without(inner, lists) if isinstance(inner, Object) else inner
        if rest or not isinstance(inner, Object) or not inner:
            left.append((key, rest))
    return left


def _escaped(text: str) -> str:
    """Write halves of surrogate pairs as JSON does, since no bytes stand for them."""
    return text.encode(errors="backslashreplace").decode()


def _record(value: Any) -> TextRecord | RejectionReason:
    if not isinstance(value, Object):
        return RejectionReason.NOT_A_RECORD
    record = TextRecord(event_class="other", texts={})
    texts: dict[str, str] = {}
    lists: dict[str, list[str]] = {}
    replaced = False
    size = 0
    for path, inner in _flattened(value):
        text = _leaf(inner)
        if not text:
            continue
        # Much longer than its text can be what an object with a long name holds: the name is repeated.
        size += len(path) + len(text)
        if size > MAX_RECORD_BYTES:
            return RejectionReason.TOO_LONG
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
    kind = class_of_json(record.texts.get("device_product", ""), record.texts.get("event_name", ""))
    return record if kind == record.event_class else replace(record, event_class=kind)


def _flattened(value: Object, prefix: str = "", depth: int = 1) -> Iterator[tuple[str, Any]]:
    """Give the path and value of everything in an object that holds no further object, in order."""
    for key, inner in value:
        path = prefix + key
        if not isinstance(inner, Object) or not inner or depth > _DEEPEST or len(path) > _LONGEST:
            yield path, inner
            continue
        below = _flattened(inner, f"{path}.", depth + 1)
        if path in _OBJECT_PATHS:
            # Its text has all of it; only what has a column is taken out of it, too.
            yield path, inner
            below = (item for item in below if item[0] in _PATHS)
        yield from below


def _leaf(value: Any) -> str:
    if isinstance(value, str):
        return value.strip(" \t")
    return "" if value is None else dumped(value)


def _elements(value: Any) -> list[str]:
    """Give the texts of a list; any other value is a list of one. Commas bound nothing here."""
    items = value if isinstance(value, list) and not isinstance(value, Object) else [value]
    return [_SURROGATE.sub("\ufffd", _leaf(item)) for item in items]
