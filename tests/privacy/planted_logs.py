"""Logs of every format with secrets planted in every column that holds text, and a search for them in a lake."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_imperva.testing.formats import Format, write_body, write_event
from tests.privacy.planted import MARK, Planted

_Item = TypeVar("_Item")

FORMATS: tuple[Format, ...] = ("CEF", "LEEF", "W3C", "JSON")
START = 1_700_000_000_000
LINES_PER_LOG = 400

_FIELDS = {
    "query": ("qstr", "request", "ref", "postbody"),
    "body": ("postbody", "cs11", "newKey"),
    "headers": ("additionalReqHeaders", "additionalResHeaders", "postbody"),
    "rules": ("cs10",),
    "any": ("requestClientApplication", "postbody", "cs9", "xff", "qstr", "anotherKey"),
}
"""The CEF keys under which a text is planted, by place."""

OTHERS = (
    "Customer", "tag", "siteTag", "sourceServiceName", "fileId", "deviceExternalId", "cs4", "cs5", "src", "caIP",
    "ccode", "cicode", "cs6", "cs1", "dproc", "deviceFacility", "app", "act", "ver", "requestMethod", "cn1", "in",
    "spt", "cpt", "cs2", "cs7", "sip", "suid", "fileType", "filePermission", "end",
)  # fmt: skip
"""All other keys, under which only what is known by its shape is planted."""

_LABELS = {
    "cs1": "Cap Support", "cs2": "Javascript Support", "cs4": "VID", "cs5": "clappsig", "cs6": "clapp",
    "cs7": "latitude", "cs9": "Rule name", "cs10": "Rule Info", "cs11": "Rule Additional Info",
}  # fmt: skip


def planted_lines(planted: list[Planted], format: Format, *, seed: int = 0) -> Iterator[str]:
    """Write events of one format with all these secrets in them, each in a column of its place."""
    rng = random.Random(seed)
    by_shape = [one for one in planted if one.place == "any" and one.rule not in ("header", "userinfo", "card_number")]
    others = iter(count())
    at = 0
    for number, group in enumerate(_batched(_in_turn(planted, rng), 6)):
        fields = {"start": str(START + number), "src": "198.51.100.7", "act": "REQ_PASSED"}
        for one in group:
            free = [key for key in _FIELDS[one.place] if key not in fields]
            key = rng.choice(free or ["another" + str(next(others))])
            fields[key] = f"www.example.com/p?{one.text}" if key == "request" else one.text
        for _ in range(2):
            # In turn, so that every column has its share.
            fields[OTHERS[at % len(OTHERS)]] = by_shape[at % len(by_shape)].text if by_shape else "x"
            at += 1
        for key, label in _LABELS.items():
            if key in fields:
                fields[f"{key}Label"] = label
        name = f"IncapRules({by_shape[at % len(by_shape)].text})" if by_shape and rng.random() < 0.1 else "Normal"
        yield _json(fields) if format == "JSON" else write_event(format, name=name, code=0, fields=fields)


def _batched(items: Iterable[_Item], size: int) -> Iterator[tuple[_Item, ...]]:
    remaining = iter(items)
    while batch := tuple(islice(remaining, size)):
        yield batch


def _in_turn(planted: list[Planted], rng: random.Random) -> list[Planted]:
    shuffled = list(planted)
    rng.shuffle(shuffled)
    return shuffled


def _json(fields: dict[str, str]) -> str:
    """Write an event of another product: known paths, and names that nobody knows, some of which are secret."""
    tree: dict[str, Any] = {
        "timestamp": int(fields["start"]),
        "event": {"id": fields.get("deviceExternalId"), "action": fields["act"], "provider": fields.get("Customer")},
        "url": {"query": fields.get("qstr"), "path": fields.get("request")},
        "user_agent": {"original": fields.get("requestClientApplication")},
        "client": {"ip": fields["src"]},
        "imperva": {"referrer": fields.get("ref"), "abp": {"body": fields.get("postbody"), "h": fields.get("cs11")}},
        "headers": [fields.get("additionalReqHeaders")],
        "custom": {key: value for key, value in fields.items() if key not in ("start", "act", "src")},
    }
    return json.dumps(tree)


def planted_bodies(planted: list[Planted]) -> Iterator[tuple[Format, bytes]]:
    """Write bodies of every format with all these secrets; some lines of them are no events."""
    share = -(-len(planted) // len(FORMATS))
    for number, format in enumerate(FORMATS):
        mine = planted[number * share : (number + 1) * share]
        for lines in _batched(planted_lines(mine, format, seed=number), LINES_PER_LOG):
            yield format, write_body(format, lines).encode()


def leaks_in_file(path: Path) -> list[str]:
    """Return the first planted secrets that are in the bytes of a file, or in the values of a Parquet file."""
    content = path.read_bytes()
    found = [content[max(at.start() - 40, 0) : at.end() + 20].decode("latin-1") for at in _BYTES.finditer(content)][:3]
    if path.suffix == ".parquet":
        for column in pq.ParquetFile(path).read().columns:
            found += leaks_in_column(column)[:3]
    return found


def leaks_in_column(column: pa.ChunkedArray) -> list[str]:
    """Return the values of a column that have a planted secret in them."""
    return [value for value in _texts(column.to_pylist()) if MARK.search(value)]


def leaks_in_lake(lake: Path) -> dict[str, list[str]]:
    """Search every file of a lake outside of ``raw/``."""
    return {
        str(path.relative_to(lake)): found
        for path in sorted(lake.rglob("*"))
        if path.is_file() and path.relative_to(lake).parts[0] != "raw"
        if (found := leaks_in_file(path))
    }


_BYTES = re.compile(rb"(?:Zq7|ZQ7|WnE3)[0-9A-Za-z]{8}|4532(?:[ +-]|%20)?0115")
"""Marks with what follows them, since three bytes come up by chance among those of a compressed file."""


def _texts(values: list[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, bytes):
            yield value.decode("latin-1")
        elif isinstance(value, list | tuple):
            yield from _texts(list(value))
        elif isinstance(value, dict):
            yield from _texts([*value.values()])
