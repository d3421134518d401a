"""Expiry: what is older than a retention policy allows leaves the lake, and the ledger says what and by which rule.

Whole partitions of ``events/`` leave, parts of ``quarantine/`` of whose logs none is young enough to stay, and bytes in
``raw/``. Each commit of kind ``expire`` names the parts and objects with their SHA-256, the rule, and how each log
stands then: ``lines = rows + quarantined + expired + erased``. The table shows it as one version. The objects are
deleted by the retire step once no reader can hold them.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from airflow_provider_imperva import __version__
from airflow_provider_imperva.clock import Clock, wall_clock
from airflow_provider_imperva.errors import LakeError
from airflow_provider_imperva.lake.commit import commit_plan
from airflow_provider_imperva.lake.digest import RowsDigest, digests_of
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.live import LiveSet, live_set
from airflow_provider_imperva.lake.maintenance import days_of_log, plan_maintenance
from airflow_provider_imperva.lake.records import (
    VERSION,
    Commit,
    Hold,
    Kind,
    Part,
    Purpose,
    RawObject,
    Report,
    Run,
    Taken,
)
from airflow_provider_imperva.repository.names import LogName
from airflow_provider_imperva.retention.idle import idle_head, last_commit, stop_if_overtaken
from airflow_provider_imperva.retention.logs import OPEN, LastLogs, LogKey, TakenLogs, key_of
from airflow_provider_imperva.retention.policy import EVENT_CLASSES, RetentionPolicy
from airflow_provider_imperva.retention.reports import findings, traffic_page
from airflow_provider_imperva.table.settle import settle

logger = logging.getLogger(__name__)

OBJECTS_A_COMMIT = 10_000
"""How many objects one commit takes out at most, so that it stays of a size that can be read."""

_READERS = 16


@dataclass(frozen=True, slots=True)
class Count:
    """How much of a class leaves.

    :ivar rows: of events, or of quarantine; 0 for what has no rows.
    """

    objects: int = 0
    rows: int = 0
    size: int = 0

    def __add__(self, other: Count) -> Count:
        """Return both together."""
        return Count(self.objects + other.objects, self.rows + other.rows, self.size + other.size)


@dataclass(slots=True)
class Due:
    """What a policy takes out of a lake now.

    :ivar first_kept: the first date of each class that stays.
    :ivar pages: coverage pages.
    :ivar reports: those that name clients: findings of detections, and the page about the traffic.
    :ivar held: how many objects stay since a hold covers them, by its reference.
    :ivar open_logs: how many logs stay in ``raw/`` although they are old enough, since they are not loaded yet.
    """

    first_kept: Mapping[str, date]
    days: Mapping[str, int]
    parts: list[Part] = field(default_factory=list)
    raw: dict[LogKey, list[RawObject]] = field(default_factory=dict)
    pages: list[str] = field(default_factory=list)
    reports: list[str] = field(default_factory=list)
    held: Counter[str] = field(default_factory=Counter)
    open_logs: int = 0

    @property
    def counts(self) -> dict[str, Count]:
        """How much of each class leaves."""
        counts: defaultdict[str, Count] = defaultdict(Count)
        for part in self.parts:
            counts[part.event_class or "quarantine"] += Count(1, part.rows, part.size)
        for objects in self.raw.values():
            counts["raw"] += Count(len(objects), 0, sum(item.size for item in objects))
        if self.pages:
            counts["coverage_pages"] = Count(len(self.pages))
        if self.reports:
            counts["reports"] = Count(len(self.reports))
        return dict(sorted(counts.items()))

    def pieces(self) -> Iterator[tuple[list[Part], dict[LogKey, list[RawObject]]]]:
        """Yield what leaves, oldest dates first, as much at once as a commit takes."""
        parts = sorted(self.parts, key=lambda part: (part.event_date or "", part.path))
        for begin in range(0, len(parts), OBJECTS_A_COMMIT):
            yield parts[begin : begin + OBJECTS_A_COMMIT], {}
        keys = list(self.raw)
        for begin in range(0, len(keys), OBJECTS_A_COMMIT):
            yield [], {key: self.raw[key] for key in keys[begin : begin + OBJECTS_A_COMMIT]}

    def purpose(self, *, parts: Iterable[Part], raw: bool, by: str) -> Purpose:
        """Return the rule by which some of it leaves."""
        classes = sorted({part.event_class or "quarantine" for part in parts} | ({"raw"} if raw else set()))
        rules = [
            f"{_called(name)} are kept for {self.days[name]} days, those before {self.first_kept[name]} expire"
            for name in classes
        ]
        return Purpose(
            rule="; ".join(rules), before={name: self.first_kept[name].isoformat() for name in classes}, by=by
        )


def _called(name: str) -> str:
    return {"raw": "bytes as received", "quarantine": "lines in quarantine"}.get(name, f"events of class {name}")


@dataclass(frozen=True, slots=True)
class Expiry:
    """What expiring did, or would do.

    :ivar commits: the commits that say so; none if nothing was due, or this was a dry run.
    :ivar counts: by class.
    :ivar held, open_logs: as in :class:`Due`.
    """

    counts: dict[str, Count]
    held: dict[str, int]
    open_logs: int
    commits: tuple[Commit, ...] = ()


def find_due(ledger: Ledger, last: Commit, policy: RetentionPolicy, *, today: date) -> tuple[Due, LastLogs]:
    """Find what a policy takes out of a repository; nothing is written.

    :param last: the ledger's last commit.
    :param today: by UTC.
    """
    due = Due(policy.first_kept(today), policy.days)
    live = live_set(ledger)
    logs = LastLogs(ledger, last.commit)
    for part, _ in live.parts.values():
        if part.event_class and part.event_date:
            first = due.first_kept.get(part.event_class)
            if first and part.event_date < first.isoformat() and not _held(due, last.holds, part.event_date):
                due.parts.append(part)
    if "quarantine" in due.first_kept:
        _find_quarantine(ledger, due, live, logs, last)
    if "raw" in due.first_kept:
        _find_raw(ledger, due, live, logs, last)
    if "coverage_pages" in due.first_kept:
        folder = ledger.layout.coverage_page.rpartition("/")[0]
        first = due.first_kept["coverage_pages"]
        due.pages += [item.path for item in ledger.store.objects(folder) if item.modified.date() < first]
    if firsts := [due.first_kept[name] for name in EVENT_CLASSES if name in due.first_kept]:
        first_kept = max(firsts)
        due.reports += [
            path
            for day, path in findings(ledger).items()
            if day < first_kept.isoformat() and not _held(due, last.holds, day)
        ]
        due.reports += traffic_page(ledger, before=first_kept)
    return due, logs


def _held(due: Due, holds: Iterable[Hold], first: str, last: str | None = None) -> bool:
    covering = [hold.reference for hold in holds if hold.covers(first, last)]
    due.held.update(covering)
    return bool(covering)


def _find_quarantine(ledger: Ledger, due: Due, live: LiveSet, logs: LastLogs, last: Commit) -> None:
    """Find parts of ``quarantine/`` all of whose logs came before the first date that is kept."""
    first = _midnight(due.first_kept["quarantine"])
    parts = [part for part, _ in live.parts.values() if part.event_class is None]
    with ThreadPoolExecutor(_READERS) as pool:
        for part, (lines, notes) in zip(parts, pool.map(lambda part: quarantined_in(ledger, part), parts), strict=True):
            rows = logs.rows([*lines, *notes])
            if all(row["fetched_at"] and row["fetched_at"] < first for row in rows.values()):
                spans = [days_of_log(row) for row in rows.values()]
                if not _held(due, last.holds, min(begin for begin, _ in spans), max(end for _, end in spans)):
                    due.parts.append(part)


def _find_raw(ledger: Ledger, due: Due, live: LiveSet, logs: LastLogs, last: Commit) -> None:
    """Find bytes that came before the first date that is kept, and are not needed to load them."""
    first = _midnight(due.first_kept["raw"])
    table = logs.table
    mask = pc.and_(pc.is_valid(table["raw_key"]), pc.is_null(table["raw_removed"]))
    rows = table.filter(pc.and_(mask, pc.less(table["fetched_at"], first))).to_pylist()
    chosen = {}
    for row in rows:
        if row["state"] in OPEN:
            due.open_logs += 1
        elif not _held(due, last.holds, *days_of_log(row)):
            chosen[key_of(row)] = row
    due.raw |= raw_objects(ledger, chosen, gone=live.removed_raw.keys())


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def raw_objects(
    ledger: Ledger, rows: Mapping[LogKey, Mapping[str, object]], *, gone: Iterable[str]
) -> dict[LogKey, list[RawObject]]:
    """Return the objects in ``raw/`` that hold bytes of logs: those first received, and others beside them.

    :param rows: of ``logs.parquet``, by log.
    :param gone: objects that an earlier commit removed.
    """
    layout, gone = ledger.layout, set(gone)
    names = {key: LogName.parse(str(row["name"])) for key, row in rows.items()}
    by_folder: defaultdict[str, dict[str, LogKey]] = defaultdict(dict)
    for key, name in names.items():
        by_folder[layout.raw_folder(name)][layout.raw(name)] = key
    by_log: defaultdict[LogKey, list[RawObject]] = defaultdict(list)
    with ThreadPoolExecutor(_READERS) as pool:
        for folder, items in zip(by_folder, pool.map(ledger.store.objects, by_folder), strict=True):
            for item in items:
                first, dot, beside = item.path.rpartition(".")
                of = by_folder[folder].get(item.path) or (dot and by_folder[folder].get(first))
                if not of or item.path in gone:
                    continue
                row = rows[of]
                if item.path == row["raw_key"]:
                    sha256 = str(row["raw_sha256"])
                else:
                    sha256 = beside if item.path != layout.raw(names[of]) else str(row["replaced_sha256"] or "")
                by_log[of].append(RawObject(item.path, item.size, sha256))
    return dict(by_log)


def quarantined_in(ledger: Ledger, part: Part) -> tuple[Counter[LogKey], list[LogKey]]:
    """Count the lines of each log in a part of ``quarantine/``, and tell which logs are in it as a whole."""
    rows = _columns(ledger, part, ["src_file", "src_seq", "src_line"]).to_pylist()
    lines: Counter[LogKey] = Counter()
    notes = []
    for row in rows:
        key = (row["src_file"], row["src_seq"])
        if row["src_line"] is None:
            notes.append(key)
        else:
            lines[key] += 1
    return lines, notes


def _rows_of(ledger: Ledger, part: Part) -> dict[LogKey, RowsDigest]:
    return digests_of(_columns(ledger, part, ["src_file", "src_seq", "src_line"]))


def _columns(ledger: Ledger, part: Part, columns: list[str]) -> pa.Table:
    try:
        with ledger.store.reader(part.path) as file:
            rows = pq.read_table(file, columns=columns)
    except (FileNotFoundError, pa.ArrowException):
        rows = None
    if rows is None or len(rows) != part.rows:
        raise LakeError(
            "a part that the ledger names is missing or is not as it was written",
            do="Run imperva-logs verify, which names what is wrong; nothing was changed",
            about=ledger.store.uri(part.path),
        )
    return rows


def expire(
    ledger: Ledger,
    policy: RetentionPolicy,
    *,
    run: Run,
    dry_run: bool = False,
    take_over: bool = False,
    max_wait: timedelta = timedelta(),
    clock: Clock = wall_clock,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Expiry:
    """Take out of a repository what is older than its policy allows.

    Killed anywhere, it leaves the lake as it was, or as a commit says; run again, it does the rest.

    :param run: who does it.
    :param dry_run: only find out what would leave.
    :param take_over, max_wait: as of :func:`~airflow_provider_imperva.retention.idle.idle_head`.
    :raises LedgerConflictError: if another run is at work.
    :raises ImpervaError: if the table cannot show what was committed; the next run publishes it.
    """
    if dry_run:
        last = last_commit(ledger)
    else:
        last = idle_head(ledger, run=run, take_over=take_over, max_wait=max_wait, clock=clock)
    at = clock()
    due, logs = find_due(ledger, last, policy, today=at.date())
    for reference, count in due.held.items():
        logger.warning("%d objects are old enough to expire, and stay: hold %s covers them", count, reference)
    if due.open_logs:
        logger.warning("%d logs are old enough to expire, and stay in raw/: they are not loaded yet", due.open_logs)
    commits = []
    if not dry_run:
        pieces = list(due.pieces())
        for done, (parts, raw) in enumerate(pieces):
            progress("Expiring", done, len(pieces))
            last = _expire(ledger, last, due, logs, parts, raw, run=run, at=at)
            commits.append(last)
            logs = LastLogs(ledger, last.commit) if done + 1 < len(pieces) else logs
        ledger.store.delete([*due.pages, *due.reports])
        if commits and (problem := settle(ledger, last, run=run, clock=clock)):
            raise problem
    return Expiry(due.counts, dict(due.held), due.open_logs, tuple(commits))


def _expire(
    ledger: Ledger,
    last: Commit,
    due: Due,
    logs: LastLogs,
    parts: list[Part],
    raw: Mapping[LogKey, list[RawObject]],
    *,
    run: Run,
    at: datetime,
) -> Commit:
    taken = TakenLogs(logs, "expired", about=ledger.store.uri(ledger.layout.ledger))
    events = [part for part in parts if part.event_class]
    quarantined = [part for part in parts if not part.event_class]
    with ThreadPoolExecutor(_READERS) as pool:
        for rows in pool.map(lambda part: _rows_of(ledger, part), events):
            taken.take_rows(rows)
        for lines, notes in pool.map(lambda part: quarantined_in(ledger, part), quarantined):
            taken.take_quarantined(lines, notes)
    taken.take_raw(raw)
    plan = plan_maintenance(
        ledger,
        last,
        kind=Kind.EXPIRE,
        run=run,
        provider_version=__version__,
        at=at,
        inputs={0: tuple(parts)},
        purpose=due.purpose(parts=parts, raw=bool(raw), by=run.dag_id),
    )
    ledger.write_report(
        Report(
            VERSION,
            plan.commit,
            0,
            (),
            (),
            removed=tuple(parts),
            taken=Taken(
                rows=sum(part.rows for part in events),
                quarantined_rows=sum(part.rows for part in quarantined),
                logs=taken.records,
                raw=tuple(item for objects in raw.values() for item in objects),
            ),
        )
    )
    commit = commit_plan(ledger, plan, by=run, provider_version=__version__, at=at)
    stop_if_overtaken(ledger, commit)
    return commit


def oldest_days(ledger: Ledger) -> dict[str, str | None]:
    """Return the oldest UTC date that can be queried of each class of events, and since when there are raw bytes.

    None where there is nothing of a class. PCI DSS 4.0.1, requirement 10.5.1, asks for twelve months of audit logs.
    """
    live = live_set(ledger)
    oldest: dict[str, str | None] = {}
    for name in EVENT_CLASSES:
        oldest[name] = min(
            (part.event_date or "" for part, _ in live.parts.values() if part.event_class == name), default=None
        )
    table = LastLogs(ledger, ledger.head(with_plan=False).next_commit - 1).table
    there = table.filter(pc.and_(pc.is_valid(table["raw_key"]), pc.is_null(table["raw_removed"])))
    first = pc.min(there["fetched_at"]).as_py()
    oldest["raw"] = first.date().isoformat() if first else None
    return oldest
