"""Replay: logs are loaded again from ``raw/``, after a fix or a change of the parser; nothing is fetched.

A part holds rows of many logs, so a replay always loads whole batches again: all logs of the batch that loaded the
selected ones. Their new parts have the number of the replay's own commit, which adds them and removes the old ones at
once. A log that waited for its key belongs to the batch that did load it. Where compaction has merged the parts of a
batch with others, the replay first separates them, by a commit of its own.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NamedTuple, TypeAlias, cast

from airflow_provider_imperva import __version__
from airflow_provider_imperva.clock import Clock, wall_clock
from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.errors import ConfigurationError, ImpervaError, LedgerConflictError, LedgerCorruptError
from airflow_provider_imperva.lake.commit import commit_plan
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.maintenance import describe_removal
from airflow_provider_imperva.lake.records import (
    VERSION,
    BatchId,
    Commit,
    Kind,
    LogRecord,
    Part,
    Plan,
    Report,
    Run,
)
from airflow_provider_imperva.lake.watermark import State
from airflow_provider_imperva.load.fetch import Fetched
from airflow_provider_imperva.load.idle import at_work
from airflow_provider_imperva.load.normalize import NormalizeOptions, normalize
from airflow_provider_imperva.load.origin import LogOrigin
from airflow_provider_imperva.load.plan import recover, unfinished_replays, whole_head
from airflow_provider_imperva.load.separate import separate_parts
from airflow_provider_imperva.repository.names import LogName
from airflow_provider_imperva.table.settle import settle

logger = logging.getLogger(__name__)

_IN_PARTS = frozenset({State.COMMITTED, State.QUARANTINED})
_READERS = 16

Wanted: TypeAlias = Literal["quarantined", "committed", "all"]


@dataclass(frozen=True, slots=True)
class SequenceRange:
    """Consecutive numbers of one prefix, both ends included."""

    prefix: str
    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> SequenceRange:
        """Read ``8416:100-200``, or ``8416:100`` for a single number.

        :raises ConfigurationError: if it is neither.
        """
        prefix, _, numbers = text.partition(":")
        first, _, last = numbers.partition("-")
        try:
            parsed = cls(prefix, LogName(prefix, int(first)).sequence, LogName(prefix, int(last or first)).sequence)
        except ValueError:
            parsed = None
        if parsed is None or parsed.first > parsed.last:
            raise ConfigurationError(
                "no range of sequence numbers", do="Write it as PREFIX:FROM-TO, such as 8416:100-200", about=text
            )
        return parsed


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which logs are to be replayed: those that meet every condition given, of which there must be one.

    :ivar names: names of logs.
    :ivar sequences: ranges, any of which will do.
    :ivar since, until: bounds of a log's start time (of the time it was fetched, if its header has none); UTC, the
        upper one excluded.
    :ivar state: ``quarantined`` means logs that are in quarantine, as a whole or with some lines; ``committed`` those
        that are loaded.
    """

    names: frozenset[str] = frozenset()
    sequences: tuple[SequenceRange, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    state: Wanted | None = None

    def __post_init__(self) -> None:
        if not (self.names or self.sequences or self.since or self.until or self.state):
            raise ConfigurationError(
                "nothing says which logs to replay", do="Give names, sequences, a time or a state; the state may be all"
            )
        if self.state not in (None, "quarantined", "committed", "all"):
            raise ConfigurationError("no state to replay by", do="Give quarantined, committed or all", about=self.state)

    @classmethod
    def of(
        cls,
        *,
        names: str | Iterable[str] = (),
        sequences: str | Iterable[str] = (),
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        state: str | None = None,
    ) -> Selection:
        """Make a selection of what people type; an empty text is nothing, a time without a zone is UTC.

        Several names or sequences in one text, as of a template, are separated by commas.

        :raises ConfigurationError: if something cannot be read.
        """
        return cls(
            names=frozenset(_texts(names)),
            sequences=tuple(map(SequenceRange.parse, _texts(sequences))),
            since=_time(since),
            until=_time(until),
            state=cast(Wanted, state) if state else None,
        )

    def takes(self, log: LogRecord) -> bool:
        """Return whether a log is to be replayed."""
        return (
            (not self.names or log.name in self.names)
            and (not self.sequences or any(_is_within(log, numbers) for numbers in self.sequences))
            and self._takes_time(log)
            and self._takes_state(log)
        )

    def _takes_time(self, log: LogRecord) -> bool:
        time = log.fetched_at if log.start_time is None else datetime.fromtimestamp(log.start_time / 1000, UTC)
        if time is None:
            return self.since is None and self.until is None
        return (self.since is None or self.since <= time) and (self.until is None or time < self.until)

    def _takes_state(self, log: LogRecord) -> bool:
        if self.state == "quarantined":
            return log.state is State.QUARANTINED or log.quarantined_lines > 0
        return self.state != "committed" or log.state is State.COMMITTED


def _texts(given: str | Iterable[str]) -> Iterable[str]:
    return filter(None, map(str.strip, given.split(","))) if isinstance(given, str) else given


def _time(value: str | datetime | None) -> datetime | None:
    if not value:
        return None
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise ConfigurationError("no time", do="Write it as 2026-11-22T10:00", about=str(value)) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


class BatchContent(NamedTuple):
    """What the lake has of a batch now.

    :ivar logs: the last record of every log in it.
    :ivar parts: the parts with their rows.
    """

    logs: tuple[LogRecord, ...]
    parts: tuple[Part, ...]


def find_batches(ledger: Ledger, selection: Selection) -> dict[BatchId, BatchContent]:
    """Find the batches that loaded the selected logs, newest first.

    Logs that wait for a key, and numbers without a log, belong to no batch. This reads the whole ledger.

    Batches of which bytes expired or were erased are left out, and the log says so.

    :raises ConfigurationError: if a log that is selected by its name has none, or cannot be loaded again.
    """
    batches: dict[BatchId, BatchContent] = {}
    seen: set[str] = set()
    gone: dict[str, str] = {}
    missing = set(selection.names)
    for commit, reports in _history(ledger):
        gone |= {item.path: describe_removal(commit) for item in commit.removed_raw}
        gone |= {month: _describe_destruction(commit, month) for month in commit.destroys}
        for report in reports:
            # What a later commit says of a log counts.
            logs = tuple(log for log in report.logs if log.state in _IN_PARTS and log.name not in seen)
            seen.update(str(log.name) for log in report.logs)
            if any(map(selection.takes, logs)) and not _lacks_bytes(logs, gone, selection):
                batch_id = BatchId(commit.commit, report.batch)
                batches[commit.replaced.get(report.batch, batch_id) if commit.v == 1 else batch_id] = BatchContent(
                    logs, report.parts
                )
            missing -= {str(log.name) for log in logs}
    if missing:
        raise ConfigurationError(
            f"{len(missing)} logs were never loaded from this repository, or wait for their key",
            do="Check the names; a log that waits for its key is loaded by the next run that has it",
            about=", ".join(sorted(missing)[:5]),
        )
    return batches


def _lacks_bytes(logs: Iterable[LogRecord], gone: Mapping[str, str], selection: Selection) -> bool:
    """Return whether logs of a batch cannot be loaded again, since their bytes were removed from the lake; log why.

    :param gone: why each object of ``raw/`` left; and of each month whose data key was destroyed, that it was.
    :raises ConfigurationError: if one of its logs is selected by its name.
    """
    lacking = {str(log.name): why for log in logs if (why := gone.get(log.raw_key or "", gone.get(log.data_key or "")))}
    if not lacking:
        return False
    name, why = min(lacking.items())
    problem = (
        f"its bytes {why}" if len(lacking) == 1 else f"its bytes, and those of {len(lacking) - 1} more logs, {why}"
    )
    if asked := sorted(str(log.name) for log in logs if log.name in selection.names):
        if asked[0] in lacking:
            name, problem = asked[0], f"its bytes {lacking[asked[0]]}"
        raise ConfigurationError(
            problem,
            do="It cannot be replayed any more, nor can the logs that were loaded in the same batch; their rows stay",
            about=name,
        )
    logger.warning("%s: %s. It is not replayed, nor are the logs that were loaded in the same batch", name, problem)
    return True


def _describe_destruction(commit: Commit, month: str) -> str:
    return (
        f"cannot be decrypted any more: the data key of {month} was destroyed on {commit.committed_at:%Y-%m-%d} by"
        f" commit {commit.commit}: {commit.purpose}"
    )


def _history(ledger: Ledger) -> Iterator[tuple[Commit, list[Report]]]:
    """Yield every commit with its reports, newest first; they are read side by side."""

    def read(number: int) -> tuple[Commit, list[Report]]:
        commit = ledger.commit(number)
        return commit, [_report(ledger, commit, batch) for batch in commit.batches]

    with ThreadPoolExecutor(_READERS) as pool:
        yield from pool.map(read, range(ledger.head().next_commit - 1, 0, -1))


def _report(ledger: Ledger, commit: Commit, batch: int) -> Report:
    report = ledger.report(commit.commit, batch)
    if report is None:
        raise LedgerCorruptError(
            "the report is missing, and a commit names it",
            do="Restore it from a backup of the lake, then run again",
            about=ledger.store.uri(ledger.layout.report(commit.commit, batch)),
        )
    return report


def _is_within(log: LogRecord, numbers: SequenceRange) -> bool:
    return log.prefix == numbers.prefix and numbers.first <= log.sequence <= numbers.last


def make_replay_plan(
    ledger: Ledger, *, run: Run, selection: Selection, take_over: bool, clock: Clock = wall_clock
) -> Plan | None:
    """Plan to replay the batches of the selected logs, and those whose replay was not finished.

    A retry of the same run gets the plan it made before.

    :param run: who plans.
    :param take_over: whether to recover a plan of another run that has no commit, which overtakes a run that lives. A
        compaction is overtaken in any case, since that costs it nothing but time.
    :returns: the plan as written to the ledger; None if there is nothing to do.
    :raises DataKeyError: if bytes are encrypted with a data key that does not open; nothing was planned.
    :raises LedgerConflictError: if there is such a plan and it is not to be recovered, or another run planned at the
        same time.
    """
    head = whole_head(ledger, run=run, clock=clock)
    if head.plan and head.plan.run == run and head.plan.kind is Kind.REPLAY:
        return head.plan
    if head.plan and not (take_over or head.plan.torn or head.plan.kind is Kind.COMPACT):
        raise at_work(
            ledger, head.plan, do="Wait until it has ended; if it has died, say that its plan is to be recovered"
        )
    at = clock()
    head = recover(ledger, head, run=run, at=at)
    if head.commit is None:
        return None
    contents = find_batches(ledger, selection)
    batch_ids = {batch_id: tuple(log.planned_again() for log in loaded.logs) for batch_id, loaded in contents.items()}
    batch_ids |= unfinished_replays(ledger, head.replaying)
    if not batch_ids:
        return None
    ledger.raw.keys.check({log.data_key for loaded in contents.values() for log in loaded.logs if log.data_key})
    batches = dict(enumerate(sorted(batch_ids)))
    parts, last = separate_parts(ledger, batch_ids, last=head.commit, run=run, at=at)
    return ledger.create_plan(
        Plan(
            v=VERSION,
            repository=ledger.layout.repository,
            commit=last + 1,
            run=run,
            provider_version=__version__,
            created_at=at,
            observed_at=head.commit.observed_at,
            listed=0,
            batches=tuple(batch_ids[batch_id] for batch_id in batches.values()),
            closed=(),
            prefixes=head.prefixes,
            kind=Kind.REPLAY,
            originals=batches,
            inputs={batch: parts[batch_id] for batch, batch_id in batches.items()},
            account_group=ledger.plan(head.commit.commit).account_group,
        )
    )


def replay(
    ledger: Ledger,
    keys: KeyRing,
    plan: Plan,
    *,
    options: NormalizeOptions,
    client: LogOrigin | None = None,
    on_log: Callable[[], None] = lambda: None,
    clock: Clock = wall_clock,
) -> Commit:
    """Do all batches of a replay, one after the other, commit, and settle.

    A batch that fails does not hold up the others. The commit says which batches were replaced; of the others, which
    failed and are done again by the next plan (``failed_batches``), and which logs kept theirs as it is (``open``).

    :param client: to fetch again what does not decode; None if nothing is to be fetched.
    :param on_log: called after each log, for a progress bar.
    :raises LedgerConflictError: if another run committed the plan meanwhile; what is not done is in later plans.
    """
    for batch in plan.originals:
        try:
            fetched = Fetched(plan.commit, batch, [], [], [])
            normalize(ledger, client, keys, plan, fetched, options=options, refetch=True, on_log=on_log)
        except LedgerConflictError:
            raise
        except Exception as error:
            # Only our own messages are known to hold nothing of a log, so of others there is but the place.
            message = str(error) if isinstance(error, ImpervaError) else type(error).__name__
            place = "".join(traceback.format_tb(error.__traceback__))
            logger.error("Batch %d failed: %s\n%s", batch, message, place)
    commit = commit_plan(ledger, plan, by=plan.run, provider_version=__version__, at=clock())
    settle(ledger, commit, run=plan.run, clock=clock)
    return commit
