"""Lines in quarantine by their reason, with the shape of a few: never their text, which clients choose."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from functools import cache
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_imperva.audit.history import History, Progress, silent
from airflow_provider_imperva.audit.traffic import open_part
from airflow_provider_imperva.errors import LakeError
from airflow_provider_imperva.events.schema.columns import COLUMNS
from airflow_provider_imperva.lake.records import Part
from airflow_provider_imperva.lake.store import Store

MOST_PARTS = 200
"""How many parts of quarantine are read, the newest first."""

_MOST_EXAMPLES = 3
_SHAPE_LENGTH = 160

_WORD = re.compile(r"([A-Za-z0-9_-]+)(=?)")
_FORMATS = ("CEF:0|", "LEEF:1.0|", "LEEF:2.0|", "#Fields:")


class Example(msgspec.Struct, frozen=True):
    """A line in quarantine: where it stands, and its shape."""

    log: str
    line: int
    shape: str


class QuarantinedLines(msgspec.Struct, frozen=True):
    """The lines in quarantine for one reason.

    :ivar reason: its code, such as ``not_a_record``.
    """

    reason: str
    lines: int
    logs: int
    examples: tuple[Example, ...]


def quarantined_by_reason(
    store: Store, history: History, *, progress: Progress = silent
) -> tuple[QuarantinedLines, ...]:
    """Count the lines in quarantine by reason, the most frequent first; whole logs are not among them.

    A part that cannot be read is left out: ``verify`` names it. At most ``MOST_PARTS`` parts are read.
    """
    parts = [part for part, _ in history.live.parts.values() if part.event_class is None]
    parts = sorted(parts, key=lambda part: part.path, reverse=True)[:MOST_PARTS]
    lines: Counter[str] = Counter()
    logs: defaultdict[str, set[str]] = defaultdict(set)
    examples: defaultdict[str, list[Example]] = defaultdict(list)
    for done, part in enumerate(parts, 1):
        for row in _rows(store, part):
            reason = row["reason"].partition(":")[0]
            lines[reason] += 1
            logs[reason].add(row["src_file"])
            if len(examples[reason]) < _MOST_EXAMPLES:
                examples[reason].append(Example(row["src_file"], row["src_line"], shape(row["raw"] or b"")))
        progress("Reading quarantine", done, len(parts))
    return tuple(
        QuarantinedLines(reason, count, len(logs[reason]), tuple(examples[reason]))
        for reason, count in lines.most_common()
    )


def _rows(store: Store, part: Part) -> list[dict[str, Any]]:
    try:
        with open_part(store, part) as file:
            table = pq.read_table(file, columns=["src_file", "src_line", "reason", "raw"])
    except (OSError, LakeError, pa.ArrowException):
        return []
    return [row for row in table.to_pylist() if row["src_line"] is not None]


def shape(line: bytes) -> str:
    """Return the shape of a line: letters are x, digits 0; names of formats and of keys that Imperva uses stay.

    Nothing of what a client sent can be read in it, but a person sees where a line breaks its format.
    """
    text = line[: 4 * _SHAPE_LENGTH].decode("utf-8", "replace")
    start = next((name for name in _FORMATS if text.startswith(name)), "")
    rest = _WORD.sub(
        lambda match: match[0] if match[2] and match[1] in _keys() else _mask(match[0]), text[len(start) :]
    )
    # Letters of other scripts are not words of the pattern.
    masked = start + re.sub(r"[^\W\d_A-Za-z]", "x", rest)
    shown = "".join(character if character.isprintable() else "·" for character in masked)
    return shown if len(shown) <= _SHAPE_LENGTH else f"{shown[:_SHAPE_LENGTH]}…"


def _mask(text: str) -> str:
    return re.sub(r"[A-Za-z]", "x", re.sub(r"[0-9]", "0", text))


@cache
def _keys() -> frozenset[str]:
    return frozenset(key for column in COLUMNS for key in (column.cef, column.leef, column.w3c) if key)
