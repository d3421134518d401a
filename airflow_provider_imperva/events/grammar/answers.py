"""What a server says in place of a log: JSON that reports an error, or of nothing that an event has.

Logs in JSON have neither a header nor a checksum, so an event is recognized by its keys.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from enum import Enum
from itertools import islice
from typing import Any

from airflow_provider_imperva.events.grammar.envelopes import DEEPEST, EVENT_KEYS, LISTS, TIME_KEYS

_LONGEST = 1 << 16
"""Bytes of a body that are read: no answer of a server that is not a log says more."""

_MOST_VALUES = 1000
_DECODER = json.JSONDecoder()
_BETWEEN = re.compile(r"[\s,\x1e\0]*")

_SURE = frozenset({"error", "errors", "errorcode", "error_code", "errormessage", "error_message", "fault", "exception"})
_SPOKEN = frozenset(
    {
        "__type",
        "code",
        "correlation_id",
        "correlationid",
        "debug_info",
        "description",
        "detail",
        "details",
        "error_description",
        "error_id",
        "error_type",
        "errorid",
        "errortype",
        "help",
        "hint",
        "host",
        "instance",
        "maintenance",
        "message",
        "messages",
        "method",
        "msg",
        "ok",
        "path",
        "reason",
        "request_id",
        "requestid",
        "res",
        "res_message",
        "result",
        "retry_after",
        "retryafter",
        "stack",
        "status",
        "status_code",
        "statuscode",
        "statustext",
        "success",
        "title",
        "trace",
        "trace_id",
        "traceid",
        "type",
        "until",
        "uri",
        "url",
    }
)
"""Keys of an answer that is not an event; an event may have some of them, too."""

_TIME = re.compile(r"(?:^|[._@])(?:ts|time|date)|(?:time|timestamp|date|_at)$|[a-z](?:At|Time|Date)$")
_EVENT_LISTS = frozenset({"events", "logs", "records"})
"""Names of lists that say what is in them."""

_ENTITIES = frozenset(key.lower() for key in EVENT_KEYS - TIME_KEYS)
_KEY_OF_EVENT = re.compile(
    rb'"(?:%s)"\s*:\s*\{|"(?:%s)\.[^"]{1,80}"\s*:|"@?timestamp"\s*:\s*[0-9"]'
    % ((b"|".join(sorted(key.encode() for key in _ENTITIES)),) * 2)
)


class Answer(Enum):
    """What a body in JSON is, by its keys."""

    EVENTS = "events"
    ERROR = "error"
    UNKNOWN = "unknown"
    """Objects that tell of no error and have nothing that an event has."""


def classify(head: bytes) -> Answer:
    """Return what a body in JSON is.

    What to do with an error is for the caller to say: a server that is in trouble may give the log later.

    :param head: the body, or its begin.
    """
    head = head[:_LONGEST]
    values = list(islice(_values(head.decode("utf-8-sig", "replace")), _MOST_VALUES))
    objects = [item for value in values for item in _objects(value, DEEPEST)]
    if any(map(_is_event, objects)):
        return Answer.EVENTS
    if not values:
        # The first object has not ended yet.
        return Answer.EVENTS if _KEY_OF_EVENT.search(head) else Answer.UNKNOWN
    return (
        Answer.ERROR if all(map(_is_error, objects)) and any(value not in ([],) for value in values) else Answer.UNKNOWN
    )


def _values(text: str) -> Iterator[Any]:
    """Yield the values of a text one after the other, those of an array by themselves, until one cannot be read."""
    at = _BETWEEN.match(text).end()  # type: ignore[union-attr]
    try:
        value, at = _DECODER.raw_decode(text, at)
    except (ValueError, RecursionError):
        if not text.startswith("[", at):
            return
        at += 1
    else:
        yield value
    while (at := _BETWEEN.match(text, at).end()) < len(text):  # type: ignore[union-attr]
        try:
            value, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            return
        yield value


def _objects(value: Any, depth: int) -> Iterator[dict[str, Any]]:
    """Yield a value's objects: itself, and those in lists within it."""
    if isinstance(value, dict):
        yield value
    yield from _listed(value, depth)


def _listed(value: Any, depth: int) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        for item in value:
            if isinstance(item, dict):
                yield item
                yield from _listed(item, depth - 1)
    elif isinstance(value, dict) and depth > 0:
        failed = bool(_keys_with_text(value) & _SURE)
        for key, item in value.items():
            if key.lower() in LISTS if failed else key.lower() not in _SURE:
                yield from _listed(item, depth - 1)


def _keys_with_text(item: dict[str, Any]) -> set[str]:
    return {key.lower() for key, value in item.items() if value not in (None, "", [], {}, False)}


def _is_event(item: dict[str, Any]) -> bool:
    keys = _keys_with_text(item)
    times = {key.lower() for key in item if key in TIME_KEYS or _TIME.search(key)} & keys
    entities = {key.lower() for key, value in item.items() if isinstance(value, dict) and value} & _ENTITIES
    entities |= {key.partition(".")[0] for key in keys if "." in key} & _ENTITIES
    listed = [
        one for key, value in item.items() if key.lower() in _EVENT_LISTS and isinstance(value, list) for one in value
    ]
    if entities & {"event", "imperva"} or any(isinstance(one, dict) and not _is_error(one) for one in listed):
        return True
    if keys & _SURE:
        return bool(times and entities)
    if len(entities) > 1:
        return True
    return bool(times and keys - times - _SPOKEN)


def _is_error(item: dict[str, Any]) -> bool:
    keys = _keys_with_text(item)
    times = {key.lower() for key in item if key in TIME_KEYS or _TIME.search(key)}
    return bool(keys & _SURE) or not keys - times - _SPOKEN
