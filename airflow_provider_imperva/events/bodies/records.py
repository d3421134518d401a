"""How many records a JSON object holds, counted by its brackets and quotes.

That is another way than the one they are read: no value is decoded, and no tree is built. So an envelope that is taken
for one event breaks the sum, and so does an event that is lost out of its envelope.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from airflow_provider_imperva.events.grammar.envelopes import DEEPEST, EVENT_KEYS, LISTS, NO_EVENTS, TIME_KEYS

_STRING = r'"(?:[^"\\]++|\\.)*+"'
_BRACKET = re.compile(rf'((?:[^\[\]{{}}"]++|{_STRING})*+)([\[\]{{}}])', re.DOTALL)
_NAME = re.compile(rf"({_STRING})\s*:\s*\Z", re.DOTALL)
_KEY = re.compile(r'"((?:[^"\\]++|\\.)*+)"\s*+(:?)', re.DOTALL)
_VALUE = re.compile(rf"{_STRING}|[^\s,\"]+", re.DOTALL)
_EMPTY = re.compile(r'\{\s*"([^"\\]*)"\s*:\s*\[\s*\]\s*\}')
_OBJECTS_IN_LIST = re.compile(r"[\[,]\s*\{")


@dataclass(slots=True)
class _List:
    """A list that may hold events."""

    name: str
    values: int = 0
    objects: int = 0
    events: int = 0
    timed: int = 0

    def holds_events(self, *, in_event: bool) -> bool:
        if not self.objects or self.name in NO_EVENTS:
            return False
        if in_event:
            return self.name in LISTS and self.timed == self.objects
        return self.name in LISTS or self.events == self.objects


def count(text: str) -> int:
    """Count the records in an object: the values of its lists of events, or itself.

    :param text: the object.
    """
    if not _OBJECTS_IN_LIST.search(text):
        empty = _EMPTY.fullmatch(text)
        return 0 if empty and empty[1].lower() in LISTS else 1
    lists: list[_List] = []
    # Where we are: the objects around, then a list, then an object in it, then whatever is deeper.
    objects, inside = 0, 0
    within: _List | None = None
    in_event = False
    keys: set[str] = set()
    for bracket_match in _BRACKET.finditer(text):
        between, bracket = bracket_match[1], bracket_match[2]
        if within is None and objects == 1:
            in_event |= any(key in EVENT_KEYS for key in _keys(between))
        elif within is not None and inside == 0:
            within.values += len(_VALUE.findall(between))
        elif inside == 1:
            keys.update(_keys(between))
        if bracket in "{[":
            if within is not None:
                if inside == 0:
                    within.values += 1
                    keys = {"["} if bracket == "[" else set()
                inside += 1
            elif bracket == "{" and objects < DEEPEST and not _is_event_key(between, objects):
                objects += 1
            else:
                name = _NAME.search(between)
                within = _List(name[1][1:-1].lower() if name and bracket == "[" and objects <= DEEPEST else "error")
        elif within is None:
            objects -= 1
        elif inside == 0:
            lists.append(within)
            within = None
        else:
            inside -= 1
            if inside == 0 and "[" not in keys:
                within.objects += 1
                within.events += bool(keys & EVENT_KEYS)
                within.timed += bool(keys & TIME_KEYS)
    return sum(one.values for one in lists if one.holds_events(in_event=in_event)) or 1


def _keys(between: str) -> set[str]:
    return {key.partition(".")[0] for key, colon in _KEY.findall(between) if colon}


def _is_event_key(between: str, objects: int) -> bool:
    name = _NAME.search(between)
    return objects == 1 and name is not None and name[1][1:-1].partition(".")[0] in EVENT_KEYS
