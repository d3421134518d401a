"""Planning: finds out from the index and the ledger which logs a run sets out to load."""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import msgspec

from airflow_provider_imperva import __version__
from airflow_provider_imperva.clock import Clock, wall_clock
from airflow_provider_imperva.errors import LedgerCorruptError, TornPlanError
from airflow_provider_imperva.lake.commit import SWEPT_COMMITS, commit_plan, finish_commit
from airflow_provider_imperva.lake.headroom import time_left, usual_log_bytes
from airflow_provider_imperva.lake.ledger import Head, Ledger
from airflow_provider_imperva.lake.records import (
    VERSION,
    BatchId,
    Closed,
    Commit,
    Kind,
    Plan,
    PlannedLog,
    Replaying,
    Restart,
    Run,
)
from airflow_provider_imperva.lake.watermark import (
    ABSENT,
    CLOCKS_DIFFER,
    Observation,
    Prefix,
    State,
    begin,
    decided,
    hand_over,
    knows_any,
    observe,
    reopen,
)
from airflow_provider_imperva.load.generations import find_restarts
from airflow_provider_imperva.load.growth import find_grown_batches, loaded_before
from airflow_provider_imperva.load.origin import LogOrigin
from airflow_provider_imperva.load.restored import stop_if_older_than_events
from airflow_provider_imperva.load.separate import SeparateParts, separate_parts
from airflow_provider_imperva.load.siblings import Siblings
from airflow_provider_imperva.options import PlanOptions
from airflow_provider_imperva.repository.index import LogIndex
from airflow_provider_imperva.repository.names import LogName
from airflow_provider_imperva.table.settle import settle

logger = logging.getLogger(__name__)

_BATCH_BYTES = 16 * 2**20
_LARGEST_BATCH = 1000
_MOST_BATCHES = 1000
"""Airflow maps over no more than 1024 items by default."""

_A_TASK_LIVES = timedelta(hours=6)
"""For how long a task may hang, and go on after all: longer than the time-outs of tasks and runs of our DAGs."""

_MOST_REPLAYS = 20
"""How many unfinished replays a plan takes along; they must not hold up new logs for long."""


@dataclass(frozen=True, slots=True)
class Discovery:
    """What there is to do, as a look at the index shows it.

    :ivar prefixes: the watermark after the look.
    :ivar closed: gaps that can be closed.
    :ivar pending: the logs to load, oldest first.
    :ivar observed_at: when the repository was last seen to list anything.
    :ivar listed: how many logs the index names.
    :ivar due: whether the look itself has to be committed: a new prefix, or the last look on record is growing old.
    """

    prefixes: dict[str, Prefix]
    closed: tuple[Closed, ...]
    pending: tuple[PlannedLog, ...]
    observed_at: datetime
    listed: int
    due: bool

    @property
    def has_work(self) -> bool:
        """Whether a plan is worth making."""
        return bool(self.pending or self.closed or self.due)


class Work(msgspec.Struct, frozen=True):
    """Why a plan is worth making.

    :ivar logs: how many logs can be loaded now.
    :ivar closed_gaps: how many numbers missing in the sequence can be decided.
    :ivar recover: the plan that has no commit: its run is under way, or has died. 0 if the ledger does not read: then
        the plan task fetches what it can, and says what is damaged.
    :ivar digest: SHA-256 of which logs and numbers these are, so that two looks that found the same can be recognized.
    """

    logs: int = 0
    closed_gaps: int = 0
    recover: int | None = None
    digest: str = ""


def discover(
    ledger: Ledger,
    head: Head,
    index: LogIndex,
    *,
    key_ids: frozenset[str],
    at: datetime,
    options: PlanOptions,
    arrived_late: Collection[LogName] = (),
    restarts: Collection[Restart] = (),
) -> Discovery:
    """Compare the index with the ledger: the set difference, what waits for a key, and what can be closed.

    An empty index proves nothing, so it closes nothing. But where a lake is to begin with what comes after now, it has
    begun.

    :param key_ids: ids of the private keys at hand.
    :param at: when the index was read, UTC.
    :param arrived_late: logs that expired, and whose bytes are there after all.
    :param restarts: counters that began again: what is listed is of the next generation of their prefixes.
    """
    last_look = head.commit.observed_at if head.commit else None
    if not index.names:
        pending = _pending(ledger, head.prefixes, {}, index, key_ids=key_ids, late=set(), at=at, window=options.window)
        due = bool(index.unsafe) and (head.commit is None or head.commit.unread != index.unsafe)
        due = due or (head.commit is None and options.start == "now")
        return Discovery(head.prefixes, (), pending, last_look or at, 0, due=due)
    listed = _by_prefix(index.names)
    ended: dict[str, Sequence[int]] = {}
    for restart in restarts:
        ended[restart.prefix] = listed[restart.generation] = listed.pop(restart.prefix)
    late = {log for name, prefix in head.prefixes.items() for log in _late(ledger, name, prefix, listed.get(name, []))}
    late.update(arrived_late)
    if last_look and last_look - at > CLOCKS_DIFFER:
        logger.warning(
            "The last look at the index is noted as of %s, which is in the future: a clock was wrong. Nothing shows how"
            " long ago it was, so numbers that are missing now are unobserved",
            last_look,
        )
    unwatched = last_look is not None and (
        not timedelta() <= at - last_look + CLOCKS_DIFFER <= options.window + CLOCKS_DIFFER
        or _has_turned_over(ledger, head, listed, late, options=options)
    )
    prefixes: dict[str, Prefix] = {}
    closed: list[Closed] = []
    for name in sorted(head.prefixes.keys() | listed.keys(), key=lambda prefix: (len(prefix), prefix)):
        numbers = listed.get(name, [])
        known = head.prefixes.get(name)
        if known is None:
            # Only a new lake starts where the option says. A prefix that comes later is loaded from its oldest log.
            start = options.start if head.commit is None else "oldest"
            seen = begin(numbers, at=at, window=options.window, start=start, unwatched=unwatched, last_look=last_look)
        else:
            seen = observe(known, numbers, at=at, window=options.window, unwatched=unwatched, last_look=last_look)
        if name in ended:
            present = _raw_objects(ledger, (LogName(name, number) for number in ended[name]))
            in_raw = {number for number in ended[name] if ledger.layout.raw(LogName(name, number)) in present}
            handed = hand_over(seen.prefix, ended[name], in_raw=in_raw)
            seen = Observation(handed.prefix, (*seen.closed, *handed.closed))
        closed += [Closed(name, gap.first, gap.last, gap.state, gap.since) for gap in seen.closed]
        prefixes[name] = reopen(seen.prefix, [log.sequence for log in late if log.prefix == name], at=at)
    due = (
        prefixes.keys() != head.prefixes.keys()
        or (last_look is not None and at - last_look > options.window / 4)
        or (head.commit is not None and head.commit.unread != index.unsafe)
        or (head.commit is None and bool(index.unsafe))
    )
    pending = _pending(ledger, prefixes, listed, index, key_ids=key_ids, late=late, at=at, window=options.window)
    return Discovery(prefixes, tuple(closed), pending, at, len(index.names), due)


def whole_head(ledger: Ledger, *, run: Run, clock: Clock = wall_clock) -> Head:
    """Find the end of the ledger; a plan there that does not read is replaced by one that loads nothing.

    Nothing rests on a plan without a commit: its logs are still open in the commit before, and are planned again. The
    parts that its batches have written are removed when the plan in its place is committed.

    :raises LedgerCorruptError: if anything else does not read.
    """
    try:
        return ledger.head()
    except TornPlanError as error:
        logger.warning("%s", error)
    last = ledger.head(with_plan=False)
    at = clock()
    ledger.replace_torn_plan(
        Plan(
            v=VERSION,
            repository=ledger.layout.repository,
            commit=last.next_commit,
            run=run,
            provider_version=__version__,
            created_at=at,
            observed_at=last.commit.observed_at if last.commit else at,
            listed=0,
            batches=((),) * ledger.batches_begun(last.next_commit),
            closed=(),
            prefixes=last.prefixes,
            torn=True,
        )
    )
    return ledger.head()


def recover(ledger: Ledger, head: Head, *, run: Run, at: datetime) -> Head:
    """Commit a plan that was left without a commit, for its run died or hangs; finish a commit that was cut short."""
    if head.plan:
        logger.warning(
            "Plan %d of run %s has no commit: committing what its finished batches did",
            head.plan.commit,
            head.plan.run.run_id,
        )
        commit_plan(ledger, head.plan, by=run, provider_version=__version__, at=at)
        return ledger.head()
    if head.commit:
        finish_commit(ledger, head.commit)
    return head


def find_work(
    ledger: Ledger,
    client: LogOrigin,
    *,
    key_ids: frozenset[str],
    options: PlanOptions,
    clock: Clock = wall_clock,
) -> Work | None:
    """Return whether a plan would have anything to do; nothing is written.

    :raises RepositoryError: if the index cannot be read.
    """
    try:
        head = ledger.head()
    except LedgerCorruptError as error:
        logger.error("%s", error)
        return Work(recover=0)
    # A compaction that may be under way is overtaken where there is something to load, and for nothing else.
    if head.plan and head.plan.kind is not Kind.COMPACT:
        return Work(recover=head.plan.commit)
    index = client.read_index()
    at = clock()
    listed = _by_prefix(index.names)
    restarts, doubts = find_restarts(ledger, client, head, listed, at=at, window=options.window, thorough=False)
    index = index.with_doubts(doubts)
    discovery = discover(ledger, head, index, key_ids=key_ids, at=at, options=options, restarts=restarts)
    if not discovery.has_work and not head.replaying:
        return None
    names = sorted(log.name for log in discovery.pending)
    closed = sorted((gap.prefix, gap.first, gap.last) for gap in discovery.closed)
    return Work(
        logs=len(names),
        closed_gaps=sum(last - first + 1 for _, first, last in closed),
        digest=hashlib.sha256(msgspec.json.encode((names, closed))).hexdigest(),
    )


def make_plan(
    ledger: Ledger,
    client: LogOrigin,
    *,
    run: Run,
    key_ids: frozenset[str],
    options: PlanOptions,
    clock: Clock = wall_clock,
) -> Plan | None:
    """Recover what a dead run left, and plan what is to be loaded now.

    A retry of the same run gets the plan it made before.

    :param run: who plans.
    :param key_ids: ids of the private keys at hand.
    :param clock: gives the time when the index was read.
    :returns: the plan as written to the ledger; None if there is nothing to do.
    :raises RepositoryError: if the index cannot be read.
    :raises DataKeyError: if what comes has to be encrypted and cannot be; nothing was written.
    :raises LedgerConflictError: if another run planned at the same time.
    """
    ledger.raw.keys.check()
    head = whole_head(ledger, run=run, clock=clock)
    if head.plan and head.plan.run == run and head.plan.kind is Kind.LOAD and not head.plan.torn:
        return head.plan
    head = recover(ledger, head, run=run, at=clock())
    if head.commit:
        settle(ledger, head.commit, run=run, clock=clock)
        # What settling deletes is a commit of its own.
        head = ledger.head() if head.commit.unretired else head
    stop_if_older_than_events(ledger, head=head.next_commit - 1)
    index = client.read_index()
    at = clock()
    restarts, doubts = find_restarts(
        ledger, client, head, _by_prefix(index.names), at=at, window=options.window, thorough=True
    )
    index = index.with_doubts(doubts)
    for line in index.unsafe:
        logger.error("What is listed here is not read: %s", line)
    arrived_late = _arrived_after_expiry(ledger, head, at=at)
    discovery = discover(
        ledger, head, index, key_ids=key_ids, at=at, options=options, arrived_late=arrived_late, restarts=restarts
    )
    if not discovery.has_work and not head.replaying:
        return None
    for gap in discovery.closed:
        if gap.state is State.EXPIRED:
            numbers = str(gap.first) if gap.first == gap.last else f"{gap.first} to {gap.last}"
            logger.error("Numbers %s of prefix %s were not fetched before its counter began again", numbers, gap.prefix)
    pending, urgent = _by_urgency(ledger, head, discovery, at=at, options=options)
    replays = {} if urgent else unfinished_replays(ledger, head.replaying[:_MOST_REPLAYS])
    if not urgent:
        replays = find_grown_batches(ledger, head, pending) | replays
    replayed = {log.name for logs in replays.values() for log in logs}
    planned = [log for log in pending if log.name not in replayed][: options.max_logs]
    size = max(options.logs_per_batch or _logs_per_batch(ledger), -(-len(planned) // _MOST_BATCHES))
    batches = _evenly(planned, -(-len(planned) // size))
    parts, last = (
        separate_parts(ledger, replays, last=head.commit, run=run, at=at) if head.commit else SeparateParts({}, 0)
    )
    return ledger.create_plan(
        Plan(
            v=VERSION,
            repository=client.repository,
            commit=last + 1,
            run=run,
            provider_version=__version__,
            created_at=at,
            observed_at=discovery.observed_at,
            listed=discovery.listed,
            batches=(*batches, *replays.values()),
            closed=discovery.closed,
            prefixes=discovery.prefixes,
            originals=dict(enumerate(replays, len(batches))),
            inputs={batch: parts[batch_id] for batch, batch_id in enumerate(replays, len(batches))},
            urgent=urgent,
            account_group=options.account_group,
            restarts=restarts,
            unread=index.unsafe,
            unread_count=index.unsafe_count,
        )
    )


def _evenly(planned: Sequence[PlannedLog], count: int) -> list[tuple[PlannedLog, ...]]:
    """Cut logs into batches of which none has more than one log less than another, so that workers end together."""
    bounds = [len(planned) * batch // count for batch in range(count + 1)] if count else []
    return [tuple(planned[begin:end]) for begin, end in pairwise(bounds)]


def unfinished_replays(ledger: Ledger, replaying: Iterable[Replaying]) -> dict[BatchId, tuple[PlannedLog, ...]]:
    """Return the logs of unfinished replays, by the batch that loaded them."""
    return {item.original: ledger.plan(item.commit).batches[item.batch] for item in replaying}


def _by_prefix(names: Iterable[LogName]) -> dict[str, list[int]]:
    listed: defaultdict[str, list[int]] = defaultdict(list)
    for name in names:
        listed[name.prefix].append(name.sequence)
    return listed


def _pending(
    ledger: Ledger,
    prefixes: dict[str, Prefix],
    listed: Mapping[str, Sequence[int]],
    index: LogIndex,
    *,
    key_ids: frozenset[str],
    late: set[LogName],
    at: datetime,
    window: timedelta,
) -> tuple[PlannedLog, ...]:
    pending = []
    last_tries = set()
    grown: dict[LogName, str] = {}
    grown_from: dict[LogName, str | None] = {}
    for name, prefix in prefixes.items():
        for number, item in prefix.numbers(State.LISTED):
            log = LogName(name, number)
            pending.append((item.since, log))
            if (came := index.came_again_as(log)) and came[1]:
                grown[log] = str(came[0])
            grown_from[log] = _grown_from(ledger, prefix, index, log)
        numbers = set(listed.get(name, ()))
        oldest = min(numbers, default=-1)
        came_again = _came_again(ledger, name, prefix, prefixes)
        for number, item in prefix.numbers(State.DAMAGED):
            log = LogName(name, number)
            later, is_larger = index.came_again_as(log) or (None, False)
            if later and is_larger:
                grown[log] = str(later)
                # While the larger one is open, it may still come, and must not be loaded beside this one.
                if at - item.since > window and decided(prefixes[later.prefix], [later.sequence]):
                    last_tries.add(log)
            elif later or number < oldest or number in came_again or at - item.since > window:
                last_tries.add(log)
            if (
                log in grown
                or log in last_tries
                or (number in numbers and item.ask_again_at and item.ask_again_at <= at)
            ):
                pending.append((item.since, log))
                grown_from[log] = _grown_from(ledger, prefix, index, log)
        for number, item in prefix.numbers(State.AWAITING_KEY):
            if item.public_key_id in key_ids:
                pending.append((item.since, LogName(name, number)))
    return tuple(
        PlannedLog(
            str(log),
            since,
            late=log in late,
            last_try=log in last_tries,
            delivered_as=index.delivered_as(log),
            may_have_grown_into=grown.get(log),
            may_have_grown_from=grown_from.get(log),
        )
        for since, log in sorted(pending)
    )


def _grown_from(ledger: Ledger, prefix: Prefix, index: LogIndex, log: LogName) -> str | None:
    """Return the log that came under the path of a delivered one before it, is smaller and is loaded."""
    earlier = index.came_before(log)
    if not earlier:
        return None
    known = decided(prefix, sorted(one.sequence for one in earlier))
    before = loaded_before(ledger, [one for one in earlier if one.sequence in known])
    return str(before) if before else None


def _came_again(ledger: Ledger, name: str, prefix: Prefix, prefixes: Iterable[str]) -> set[int]:
    """Return the numbers of damaged logs that a later generation has bytes for, to compare them with."""
    damaged = [LogName(name, number) for number, _ in prefix.numbers(State.DAMAGED)]
    later = {
        other: log.sequence
        for log in damaged
        for other in Siblings.of(ledger, log, prefixes).names
        if other.generation > log.generation
    }
    present = _raw_objects(ledger, later)
    return {number for other, number in later.items() if ledger.layout.raw(other) in present}


def _late(ledger: Ledger, name: str, prefix: Prefix, listed: Sequence[int]) -> list[LogName]:
    """Return the logs that the index lists although they were decided without ever being fetched.

    Nearly all that is listed again is in ``raw/``, which a listing or two tell. The ledger is asked only for the rest:
    a log that somebody deleted from ``raw/`` is not to be loaded twice.
    """
    again = [LogName(name, number) for number in decided(prefix, listed)]
    present = _raw_objects(ledger, again)
    missing = {log.sequence: log for log in again if ledger.layout.raw(log) not in present}
    if not missing:
        return []
    states = _states(ledger, name, missing)
    return [log for number, log in missing.items() if states.get(number, State.SKIPPED) in ABSENT]


def _commits_while_tasks_live(ledger: Ledger, *, at: datetime) -> Iterator[Commit]:
    """Yield the last commits, the newest first: a few, and all since a task that still lives may have begun."""
    for place, commit in enumerate(ledger.commits(newest_first=True)):
        if place > SWEPT_COMMITS and commit.committed_at < at - _A_TASK_LIVES:
            return
        yield commit


def _arrived_after_expiry(ledger: Ledger, head: Head, *, at: datetime) -> set[LogName]:
    """Return the logs that expired in one of the last commits, and were brought since by a task that had hung."""
    expired = {
        LogName(row["prefix"], row["sequence"])
        for commit in _commits_while_tasks_live(ledger, at=at)
        if State.EXPIRED in commit.totals.logs
        for row in ledger.logs(commit.commit).select(["prefix", "sequence", "state"]).to_pylist()
        if row["state"] == State.EXPIRED
    }
    present = _raw_objects(ledger, expired)
    return {
        log
        for log in expired
        if ledger.layout.raw(log) in present
        and decided(head.prefixes[log.prefix], [log.sequence])
        and _states(ledger, log.prefix, [log.sequence]) == {log.sequence: State.EXPIRED}
    }


def _raw_objects(ledger: Ledger, logs: Iterable[LogName]) -> set[str]:
    """List the folders of ``raw/`` in which these logs would be."""
    folders = {ledger.layout.raw_folder(log) for log in logs}
    return {item.path for folder in folders for item in ledger.store.objects(folder)}


def _states(ledger: Ledger, prefix: str, numbers: Iterable[int]) -> dict[int, State]:
    """Look up the last state of numbers, from the newest commit back."""
    wanted = set(numbers)
    states: dict[int, State] = {}
    for commit in ledger.commits(newest_first=True):
        if not wanted:
            break
        for row in ledger.logs(commit.commit).select(["prefix", "sequence", "sequence_to", "state"]).to_pylist():
            if row["prefix"] == prefix:
                matching = {number for number in wanted if row["sequence"] <= number <= row["sequence_to"]}
                states.update(dict.fromkeys(matching, State(row["state"])))
                wanted -= matching
    return states


def _by_urgency(
    ledger: Ledger, head: Head, discovery: Discovery, *, at: datetime, options: PlanOptions
) -> tuple[tuple[PlannedLog, ...], bool]:
    """Return the logs to plan, and whether they are only to be fetched.

    While the headroom is critical nothing holds up fetching, so what is in ``raw/`` already waits. But once an urgent
    plan had all there was to fetch, the next one loads, however short of time the logs are that came meanwhile: else a
    window as short as the critical headroom, or runs as far apart, would keep all from being loaded. A log that the
    plan before was urgent for, and that did not come, is not urgent again at once either.
    """
    critical = {
        str(LogName(name, number))
        for name, prefix in discovery.prefixes.items()
        for number, item in prefix.numbers(State.LISTED)
        if time_left(item, at=at, window=options.window) < options.critical_headroom
    }
    if head.commit and critical and (last := ledger.plan(head.commit.commit)).urgent:
        tried = {log.name for batch in last.batches for log in batch}
        critical = critical - tried if len(tried) == options.max_logs else set()
    if not critical:
        return discovery.pending, False
    names = {log.name: LogName.parse(log.name) for log in discovery.pending}
    present = _raw_objects(ledger, names.values())
    unfetched = tuple(log for log in discovery.pending if ledger.layout.raw(names[log.name]) not in present)
    if critical.isdisjoint(log.name for log in unfetched):
        return discovery.pending, False
    logger.warning("%d logs are about to leave the window: this plan only fetches", len(critical))
    return unfetched, True


def _has_turned_over(
    ledger: Ledger, head: Head, listed: dict[str, list[int]], late: set[LogName], *, options: PlanOptions
) -> bool:
    """Return whether logs may have come and gone since the last look, although it was not long ago.

    Imperva overwrites the oldest log first. So as long as one is listed that was listed before, whatever came after it
    is there too. If none is, all that is listed is new, and its bytes (guessed by the usual size of a log) tell whether
    more was written than the repository holds; half of it counts.
    """
    if options.window_bytes is None:
        return False
    for name, prefix in head.prefixes.items():
        came_late = {log.sequence for log in late if log.prefix == name}
        if knows_any(prefix, listed.get(name, []), late=came_late):
            return False
    size = usual_log_bytes(ledger.commits(newest_first=True))
    return 2 * size * sum(map(len, listed.values())) >= options.window_bytes


def _logs_per_batch(ledger: Ledger) -> int:
    size = usual_log_bytes(ledger.commits(newest_first=True))
    return max(1, min(_LARGEST_BATCH, int(_BATCH_BYTES / max(size, 1))))


def batch_logs(plan: Plan, batch: int) -> Sequence[tuple[PlannedLog, LogName]]:
    """Return a batch's logs with their parsed names."""
    return [(log, LogName.parse(log.name)) for log in plan.batches[batch]]
