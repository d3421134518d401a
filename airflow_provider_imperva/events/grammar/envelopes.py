"""How JSON objects around lists of events are recognized.

An envelope is an object that holds a list of objects, directly or in objects inside it, and is not an event itself.
Such a list has one of the usual names, or its objects have what an event has at its top. An object that has that at its
own top is an envelope only if all objects in a list of a usual name have times of their own.
"""

from __future__ import annotations

from airflow_provider_imperva.events.schema.columns import COLUMNS

LISTS = frozenset({"logs", "events", "records", "data", "items", "results", "hits", "entries"})
"""Usual names of lists of events, in lower case."""

NO_EVENTS = frozenset({"error", "errors", "warnings", "links", "_links"})
"""Names of lists that hold no events, in lower case."""

DEEPEST = 16
"""How many objects may be around a list of events."""

EVENT_KEYS = frozenset(path.partition(".")[0] for column in COLUMNS for path in column.json)
"""What an event has at its top: keys, or what stands before the first dot in them."""

TIME_KEYS = frozenset({"timestamp", "@timestamp"})


def event_key(key: str) -> str:
    """What of a key shows an event; empty if it shows none."""
    first = key.partition(".")[0]
    return first if first in EVENT_KEYS else ""
