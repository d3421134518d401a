"""How ledger objects are written: plain while few numbers are open, packed when an index has thousands of holes.

A packed object has version 3. In its watermark, and in what it closes, all ranges that say the same share one entry::

    {"state": "gap", "since": "2026-11-22T10:00:00Z", "from": 545, "runs": [2, 3, 1]}

``runs`` are lengths in turn: 2 numbers that are open (545 and 546), 3 that are not, 1 that is (550). A range takes
about four bytes so, and eighty otherwise. In memory there is no difference.

Earlier releases wrote version 1 plain and called its packed form version 2; both are read for ever. Version 2 without
``runs`` is the plain form that is written now, which those releases refuse.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias, TypeVar

import msgspec

VERSION = 2
"""Version of the ledger's format, in every JSON object of it."""

PACKED_VERSION = 3
"""Version of plans and commits with packed ranges."""

_PACKED = {2: 1, PACKED_VERSION: VERSION}
"""The version that a packed object of each version has in memory."""

PLAIN_RANGES = 200
"""How many ranges an object names one by one; with more it is packed."""

_RUNS = re.compile(rb'"runs":\s*\[')
"""The key, which nothing else in a ledger has; within a text its quotes would be escaped."""

_Entry: TypeAlias = dict[str, Any]
_Record = TypeVar("_Record", bound=msgspec.Struct)


def encode(record: msgspec.Struct, *, plain_ranges: int = PLAIN_RANGES) -> bytes:
    """Write a record as JSON, indented; on one line and packed if it has more ranges than can be named one by one."""
    prefixes = getattr(record, "prefixes", {})
    closed = getattr(record, "closed", ())
    if sum(len(prefix.open) for prefix in prefixes.values()) + len(closed) <= plain_ranges:
        return msgspec.json.format(msgspec.json.encode(record), indent=1)
    packed = msgspec.to_builtins(record, str_keys=True) | {"v": PACKED_VERSION}
    for prefix in packed["prefixes"].values():
        if "open" in prefix:
            prefix["open"] = _pack(prefix["open"])
    if "closed" in packed:
        packed["closed"] = _pack(packed["closed"])
    return msgspec.json.encode(packed)


def is_packed(content: bytes, version: int) -> bool:
    """Return whether a plan or a commit is packed.

    :param version: the one it has.
    """
    return version == PACKED_VERSION or (version in _PACKED and _RUNS.search(content) is not None)


def decode_packed(content: bytes, kind: type[_Record]) -> _Record:
    """Read a packed plan or commit.

    :raises msgspec.DecodeError: if it is not one.
    """
    packed = msgspec.json.decode(content)
    try:
        for prefix in packed["prefixes"].values():
            if "open" in prefix:
                prefix["open"] = _unpack(prefix["open"])
        if "closed" in packed:
            packed["closed"] = _unpack(packed["closed"])
    except (AttributeError, KeyError, TypeError) as error:
        raise msgspec.DecodeError("packed ranges are not what they must be") from error
    return msgspec.convert(packed | {"v": _PACKED[packed["v"]]}, kind, str_keys=True)


def _pack(ranges: Iterable[_Entry]) -> list[_Entry]:
    groups: dict[tuple[tuple[str, Any], ...], _Entry] = {}
    ends: dict[int, int] = {}
    for item in ranges:
        first, last = item["from"], item["to"]
        said = tuple(sorted((key, value) for key, value in item.items() if key not in ("from", "to")))
        group = groups.get(said)
        if group is None:
            groups[said] = group = dict(said) | {"from": first, "runs": []}
        else:
            group["runs"].append(first - ends[id(group)] - 1)
        group["runs"].append(last - first + 1)
        ends[id(group)] = last
    return list(groups.values())


def _unpack(groups: Iterable[_Entry]) -> list[_Entry]:
    return sorted(
        (item for group in groups for item in _ranges(group)),
        key=lambda item: (len(item.get("prefix", "")), item.get("prefix", ""), item["from"]),
    )


def _ranges(group: _Entry) -> Iterator[_Entry]:
    said = {key: value for key, value in group.items() if key not in ("from", "runs")}
    first = group["from"]
    for position, length in enumerate(group["runs"]):
        if position % 2 == 0:
            yield said | {"from": first, "to": first + length - 1}
        first += length
