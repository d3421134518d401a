"""Evidence for a period: what an auditor asks for, as of one commit of each repository, so that it can be made again.

Every paper follows from the ledger up to that commit alone. Whoever has a copy of the lake makes the same bytes of it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import msgspec
import pyarrow.compute as pc

from airflow_provider_imperva.audit.coverage import absences
from airflow_provider_imperva.audit.history import History
from airflow_provider_imperva.audit.numbers import all_numbers, last_rows
from airflow_provider_imperva.audit.period import Period
from airflow_provider_imperva.audit.periods import numbers_of
from airflow_provider_imperva.lake.complaints import left_behind
from airflow_provider_imperva.lake.records import Commit, Hold, Kind

SUMS = "SHA256SUMS"
"""The file that names all others with their SHA-256, as ``sha256sum`` reads it."""


class Alarm(msgspec.Struct, frozen=True):
    """Something that people had to hear of.

    :ivar begin: when the first commit that says so was made, UTC; ``end`` when the first one after it was that does
        not, None if there is none.
    :ivar commits: the first and the last commit that say so.
    """

    what: str
    begin: datetime
    end: datetime | None
    commits: tuple[int, int]


class Quarantined(msgspec.Struct, frozen=True):
    """A log of the period that is in quarantine, whole or in part."""

    log: str
    state: str
    lines: int
    quarantined_lines: int
    reason: str | None


class Redaction(msgspec.Struct, frozen=True):
    """What was redacted in the period.

    :ivar values: how many values each rule changed.
    :ivar protections: by what rules and pseudonyms, each with how many commits.
    """

    values: dict[str, int]
    protections: dict[str, int]


class Retention(msgspec.Struct, frozen=True):
    """What was kept, for how long, and what can be queried.

    :ivar oldest_day: the oldest date that has events, by class; ``oldest_queryable_day`` the oldest of these.
    :ivar oldest_raw: when the oldest log whose bytes are in ``raw/`` was first listed.
    :ivar holds: the holds in force.
    :ivar removals: what was expired, erased or held in the period, with the reason.
    """

    oldest_queryable_day: str | None
    oldest_day: dict[str, str]
    oldest_raw: datetime | None
    holds: tuple[Hold, ...]
    removals: tuple[dict[str, Any], ...]


def evidence_files(history: History, period: Period) -> dict[str, bytes]:
    """Return what the ledger of a repository says of a period: JSON by file name.

    :param history: up to the commit that the certificate is of.
    """
    head = history.head
    assert head is not None  # noqa: S101
    commits = [commit for _, commit in sorted(history.commits.items())]
    within = [commit for commit in commits if _is_in(commit.committed_at, period)]
    files = {
        "gaps": [item for item in absences(history) if _touches(history, item.prefix, item.first, item.last, period)],
        "alarms": list(_alarms(commits, period)),
        "quarantine": list(_quarantined(history, period)),
        "redaction": _redaction(within),
        "retention": _retention(history, head, within),
    }
    return {
        f"{name}-{history.repository}.json": msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"
        for name, value in files.items()
    }


def sums_of(files: dict[str, bytes]) -> bytes:
    """Return the file that ``sha256sum --check`` reads."""
    lines = (f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items()))
    return "".join(lines).encode()


def _is_in(at: datetime, period: Period) -> bool:
    begin, end = period.bounds
    return begin <= at < end


def _touches(history: History, prefix: str, first: int, last: int, period: Period) -> bool:
    """Return whether numbers of a prefix are of the period."""
    for item in all_numbers(history):
        if item.prefix == prefix and (bounds := numbers_of(history, item, *period.bounds)):
            return first <= bounds[1] and last >= bounds[0]
    return False


def _alarms(commits: Iterable[Commit], period: Period) -> Iterator[Alarm]:
    """Yield each complaint from the first commit that has it to the first that does not, if that touches the period."""
    begin, end = period.bounds
    ringing: dict[str, Alarm] = {}
    for commit in commits:
        said = left_behind(commit) if commit.kind is Kind.LOAD else list(ringing)
        for what in list(ringing):
            if what not in said:
                alarm = msgspec.structs.replace(ringing.pop(what), end=commit.committed_at)
                if alarm.begin < end and commit.committed_at >= begin:
                    yield alarm
        for what in said:
            first = ringing.get(what) or Alarm(what, commit.committed_at, None, (commit.commit, commit.commit))
            ringing[what] = msgspec.structs.replace(first, commits=(first.commits[0], commit.commit))
    yield from (alarm for alarm in ringing.values() if alarm.begin < end)


def _quarantined(history: History, period: Period) -> Iterator[Quarantined]:
    rows = last_rows(history.logs)
    rows = rows.filter(pc.is_valid(rows["name"]))
    for item in all_numbers(history):
        bounds = numbers_of(history, item, *period.bounds)
        if bounds is None:
            continue
        mine = rows.filter(pc.equal(rows["prefix"], item.prefix)).sort_by("sequence")
        for row in mine.to_pylist():
            in_quarantine = row["quarantined_lines"] or row["state"] in ("quarantined", "damaged")
            if bounds[0] <= row["sequence"] <= bounds[1] and in_quarantine:
                yield Quarantined(row["name"], row["state"], row["lines"], row["quarantined_lines"], row["reason"])


def _redaction(commits: Iterable[Commit]) -> Redaction:
    values: Counter[str] = Counter()
    protections: Counter[str] = Counter()
    for commit in commits:
        values.update(commit.redacted)
        protections.update(
            ", ".join(f"{key}={value}" for key, value in sorted(one.items())) for one in commit.protections
        )
    return Redaction(dict(sorted(values.items())), dict(sorted(protections.items())))


def _retention(history: History, head: Commit, commits: Iterable[Commit]) -> Retention:
    oldest: dict[str, str] = {}
    for part, _ in history.live.parts.values():
        if part.event_class and part.event_date:
            oldest[part.event_class] = min(oldest.get(part.event_class, part.event_date), part.event_date)
    rows = last_rows(history.logs)
    keys = rows.filter(pc.is_valid(rows["raw_key"])).select(["raw_key", "first_listed_at"]).to_pylist()
    listed = [row["first_listed_at"] for row in keys if row["raw_key"] not in history.live.removed_raw]
    removals = tuple(
        {"commit": commit.commit, "at": commit.committed_at, "kind": commit.kind, "why": str(commit.purpose or "")}
        for commit in commits
        if commit.kind in (Kind.EXPIRE, Kind.ERASE, Kind.HOLD)
    )
    day = min(oldest.values(), default=None)
    return Retention(day, dict(sorted(oldest.items())), min(filter(None, listed), default=None), head.holds, removals)
