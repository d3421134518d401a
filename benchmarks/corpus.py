"""What is measured: the same events in every format, in logs as Imperva writes them, compressed and encrypted.

Everything comes out of one seed, so that every run on every machine reads the same text.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import count, islice

from airflow_provider_imperva.events.schema.columns import COLUMNS, HEADER
from airflow_provider_imperva.testing.forge import (
    FORGED_START,
    LOG_SPAN_MS,
    KeyPair,
    forge_events,
    forge_log,
    forge_repository,
)

FORMATS = ("CEF", "LEEF", "W3C")
PREFIX = "8416"
_SEED = 20261122
_MB = 1_000_000

_FIELD = re.compile(r"(\w+)=(.*?)(?= \w+=|$)")
_HEADER_LISTS = re.compile(r" additional(?:Req|Res)Headers=.*?(?= \w+=|$)")
_TIME = re.compile(rb" (start|end)=(\d{13})\b")


@dataclass(frozen=True, slots=True)
class Log:
    """One log of the corpus.

    :param name: as the index would list it.
    :param content: the container.
    :param plain_bytes: size of the body in it.
    """

    name: str
    content: bytes = field(repr=False)
    plain_bytes: int
    events: int


def forge_corpus(key: KeyPair, *, events: int, logs: int, header_lists: bool = True) -> dict[str, list[Log]]:
    """Forge the same events once in each format: about 45 keys, one in ten a security event, escapes.

    Each log overlaps the next in time, as real ones do.

    :param header_lists: whether each event has request and response headers, as of an account that has them logged.
    """
    corpus: dict[str, list[Log]] = {name: [] for name in FORMATS}
    for forged in forge_repository(logs, prefix=PREFIX, seed=_SEED, events_per_log=events // logs):
        events_of_log = forged.events if header_lists else [_HEADER_LISTS.sub("", event) for event in forged.events]
        for name, write in _WRITERS.items():
            body = "".join(f"{line}\n" for line in write(events_of_log)).encode()
            content = forge_log(body, format=name, key=key)
            corpus[name].append(Log(forged.name, content, len(body), len(forged.events)))
    return corpus


def forge_large_log(key: KeyPair, *, megabytes: int) -> Log:
    """Forge one log in CEF of so many MB of plain text, which is never held whole."""
    block = "".join(f"{line}\n" for line in forge_events(1000, seed=_SEED)).encode()
    deflater, digest = zlib.compressobj(1), hashlib.md5(usedforsecurity=False)
    deflated: list[bytes] = []
    blocks = -(-megabytes * _MB // len(block))
    for text in islice(_later_and_later(block), blocks):
        digest.update(text)
        deflated.append(deflater.compress(text))
    deflated.append(deflater.flush())
    content = forge_log(b"".join(deflated), compress=False, checksum=digest.hexdigest(), key=key)
    return Log(f"{PREFIX}_1.log", content, blocks * len(block), blocks * 1000)


def _later_and_later(block: bytes) -> Iterator[bytes]:
    """Repeat events, each time half a log's span later, so that neighbours overlap."""
    for ahead in count(step=LOG_SPAN_MS // 2):
        yield _TIME.sub(partial(_put_off, by=ahead), block)


def _put_off(match: re.Match[bytes], *, by: int) -> bytes:
    return b" %b=%d" % (match[1], int(match[2]) + by)


def _write_cef(events: Iterable[str]) -> Iterator[str]:
    return iter(events)


def _write_leef(events: Iterable[str]) -> Iterator[str]:
    names = {column.cef: column.leef for column in COLUMNS if column.leef}
    for event in events:
        name, _, fields = _parse(event)
        attributes = "\t".join(f"{names.get(key, key)}={value}" for key, value in fields.items())
        escaped = name.replace("|", "\\|")
        yield f"LEEF:1.0|Incapsula|SIEMintegration|1|{escaped}|{attributes}"


def _write_w3c(events: Iterable[str]) -> Iterator[str]:
    names = {column.cef: column.w3c for column in COLUMNS if column.w3c and not column.cef.startswith(HEADER)}
    fields = ["date", "time", *names.values(), "cs-rule", "cs-severity"]
    yield "#Software: Incapsula LOGS API"
    yield "#Version: 1.1"
    yield f"#Date: {datetime.fromtimestamp(FORGED_START / 1000, UTC):%d/%b/%Y %H:%M:%S}"
    yield "#Fields: " + " ".join(fields)
    for event in events:
        name, code, values = _parse(event)
        at = datetime.fromtimestamp(int(values["start"]) / 1000, UTC)
        rule = ("", "") if name == "Normal" else (name, code)
        texts = (_plain(values.get(key, "")).replace('"', '""') for key in names)
        yield " ".join(f'"{text}"' for text in (f"{at:%Y-%m-%d}", f"{at:%H:%M:%S}", *texts, *rule))


def _parse(event: str) -> tuple[str, str, dict[str, str]]:
    """Take a forged line apart: name, code, and its fields, still escaped. Only what the forge writes is understood."""
    *_, name, code, extension = re.split(r"(?<!\\)\|", event, maxsplit=7)
    return name.replace("\\|", "|"), code, dict(_FIELD.findall(extension))


def _plain(value: str) -> str:
    return value.replace("\\=", "=").replace("\\\\", "\\")


_WRITERS: dict[str, Callable[[Iterable[str]], Iterator[str]]] = {
    "CEF": _write_cef,
    "LEEF": _write_leef,
    "W3C": _write_w3c,
}
