"""Fetching: the bytes of a batch's logs, as received, into ``raw/``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta

import msgspec

from airflow_provider_imperva.clock import Clock, wall_clock
from airflow_provider_imperva.errors import AuthenticationError, LogNotFoundError, ObjectExistsError, RepositoryError
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import Plan, PlannedLog
from airflow_provider_imperva.lake.watermark import listed_since
from airflow_provider_imperva.load.origin import LogOrigin
from airflow_provider_imperva.load.plan import batch_logs
from airflow_provider_imperva.repository.names import LogName

logger = logging.getLogger(__name__)

_LAG = timedelta(hours=1)
"""How long one of several servers may lag behind the others."""


class Fetched(msgspec.Struct, frozen=True):
    """What became of the logs of a batch that did not come; every other one is in ``raw/``.

    :ivar expired: gone: not found, and no longer listed.
    :ivar not_yet: not found although still listed; the next plan asks again.
    :ivar lagging: not found and not listed, but the index ends before it although it was listed minutes ago: another
        server behind the same name has it.
    :ivar unavailable: no whole answer came, however often they were asked for, or one that cannot be made sense of.
    :ivar received_bytes: how much came in, of the others.
    """

    commit: int
    batch: int
    expired: list[str]
    not_yet: list[str]
    unavailable: list[str]
    received_bytes: int = 0
    lagging: list[str] = []

    @property
    def missing(self) -> int:
        """How many logs did not come."""
        return len(self.expired) + len(self.not_yet) + len(self.unavailable) + len(self.lagging)


def fetch(
    ledger: Ledger,
    client: LogOrigin,
    plan: Plan,
    batch: int,
    *,
    max_concurrency: int,
    window: timedelta,
    on_log: Callable[[], None] = lambda: None,
    clock: Clock = wall_clock,
) -> Fetched:
    """Fetch the logs of a batch that are not in ``raw/`` yet.

    :param max_concurrency: how many requests may be under way at once.
    :param window: how long Imperva keeps a log.
    :param on_log: called after each log, for a progress bar.
    :param clock: shows whether the window of a log is over.
    :raises AuthenticationError: if the repository refuses us, in the index too. One log that is refused is unavailable.
    :raises DataKeyError: if what comes has to be encrypted and cannot be; nothing was written.
    """
    ledger.raw.keys.check()
    logs = batch_logs(plan, batch)
    folders = {ledger.layout.raw_folder(name) for _, name in logs}
    present = {item.path for folder in folders for item in ledger.store.objects(folder)}
    wanted = [(log, name) for log, name in logs if ledger.layout.raw(name) not in present]
    logger.info("Batch %d: %d logs, %d of them in raw/ already", batch, len(logs), len(logs) - len(wanted))

    def fetch_one(name: LogName) -> RepositoryError | int:
        try:
            content = client.read_log(name)
            # Never over what is there: a task that was overtaken may come back with other bytes than those loaded.
            with suppress(ObjectExistsError):
                ledger.raw.create(ledger.layout.raw(name), content)
        except RepositoryError as error:
            # One log that is refused in an unexpected way must not keep the others from coming.
            return error
        finally:
            on_log()
        return len(content)

    with ThreadPoolExecutor(max_workers=max_concurrency) as pool:
        outcomes = list(pool.map(fetch_one, (name for _, name in wanted)))
    unavailable: list[str] = []
    not_found: list[PlannedLog] = []
    for (log, _), outcome in zip(wanted, outcomes, strict=True):
        if isinstance(outcome, LogNotFoundError):
            not_found.append(log)
        elif isinstance(outcome, RepositoryError):
            logger.warning("%s", outcome)
            unavailable.append(log.name)
    unanswered = [log for log, _ in wanted if log.name in unavailable]
    # Also to see whether it is us that the repository refuses.
    listed = _listed(client) if not_found or unanswered else frozenset()
    at = clock()
    lagging = [log.name for log in not_found if _is_ahead(ledger, plan, log, listed, at=at)]
    not_found = [log for log in not_found if log.name not in lagging]
    expired = {log.name for log in _expired(not_found, listed, at=at, window=window)}
    expired |= {log.name for log in unanswered if log.name not in listed and _has_left(log, at=at, window=window)}
    for log, _ in wanted:
        if log.name in expired:
            called = f"{log.name} ({log.delivered_as!a})" if log.delivered_as else log.name
            logger.error("%s has expired: it was listed, and is gone from the repository", called)
    not_yet = [log.name for log in not_found if log.name not in expired]
    unavailable = [name for name in unavailable if name not in expired]
    received = sum(outcome for outcome in outcomes if isinstance(outcome, int))
    return Fetched(plan.commit, batch, sorted(expired), not_yet, unavailable, received, lagging)


def _listed(client: LogOrigin) -> frozenset[str]:
    """Return the names in the index; none if there is no index to be had, which must not stop the logs that came."""
    try:
        return frozenset(map(str, client.read_index().names))
    except AuthenticationError:
        raise
    except RepositoryError as error:
        logger.warning("%s", error)
        return frozenset()


def _is_ahead(ledger: Ledger, plan: Plan, log: PlannedLog, listed: Collection[str], *, at: datetime) -> bool:
    """Return whether a log that is gone was only just listed, by an index that went on further than this one does.

    Imperva overwrites the oldest log first. So while older logs of its prefix are listed and no newer one is, it is the
    index that lags, and not the log that has left. A wrong answer loses nothing: an hour after it was first listed, a
    log that is gone has expired in any case.
    """
    if log.name in listed or at - log.first_listed_at > _LAG:
        return False
    name = LogName.parse(log.name)
    others = {other.sequence for other in map(LogName.parse, listed) if other.prefix == name.prefix}
    above = {number for number in others if number > name.sequence}
    return bool(others) and not (above and _came_later(ledger, plan, log, above))


def _came_later(ledger: Ledger, plan: Plan, log: PlannedLog, above: Collection[int]) -> bool:
    """Return whether one of the higher numbers that are listed was first listed with a log, or after it.

    Where the counter of a prefix began again, logs of the old counter may still be listed. They have higher numbers
    than the new ones, and came before them.
    """
    prefix = LogName.parse(log.name).prefix
    watermark = plan.prefixes[prefix]
    for restart in plan.restarts:
        if restart.generation == prefix:
            # All that is listed came with this look. What the old counter had reached may have been there before it.
            above = [number for number in above if number > plan.prefixes[restart.prefix].highest]
    since = log.first_listed_at
    return any(listed_since(watermark, number, since) for number in above) or not set(above).isdisjoint(
        _decided_since(ledger, prefix, since)
    )


def _decided_since(ledger: Ledger, prefix: str, since: datetime) -> Iterator[int]:
    """Yield the numbers of a prefix that were first listed at some time or later, and are decided."""
    stored = since.replace(microsecond=since.microsecond // 1000 * 1000)  # as ``logs.parquet`` has it
    for commit in ledger.commits(newest_first=True):
        if commit.observed_at < since:
            return  # Nor does an earlier one have a log that was listed later.
        for row in ledger.logs(commit.commit).select(["prefix", "sequence", "first_listed_at"]).to_pylist():
            if row["prefix"] == prefix and row["first_listed_at"] and row["first_listed_at"] >= stored:
                yield row["sequence"]


def _expired(
    not_found: Collection[PlannedLog], listed: Collection[str], *, at: datetime, window: timedelta
) -> list[PlannedLog]:
    """Return the logs that are gone for good.

    An empty index says nothing; then a log is gone only once its window is over.
    """
    if listed:
        return [log for log in not_found if log.name not in listed]
    return [log for log in not_found if _has_left(log, at=at, window=window)]


def _has_left(log: PlannedLog, *, at: datetime, window: timedelta) -> bool:
    """Whether the window of a log is over."""
    return log.first_listed_at < at - window
