"""What lies in a lake although nothing names it."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_imperva.audit.findings import Finding, Kind
from airflow_provider_imperva.audit.history import History, number_of
from airflow_provider_imperva.audit.inventory import Inventory
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.lake.live import batch_of_part
from airflow_provider_imperva.lake.records import BatchId
from airflow_provider_imperva.lake.watermark import State
from airflow_provider_imperva.repository.names import LogName

_NOT_DELETED = "commit {} retired it, and it is still there; the next run deletes it"


def batches_in_flux(history: History) -> frozenset[BatchId]:
    """Return the batches that a replay of an older release has begun and not finished: it overwrites their parts."""
    unfinished = {item.original for item in history.head.replaying} if history.head else set()
    if history.open_plan and history.open_plan.v == 1:
        unfinished |= set(history.open_plan.originals.values())
    return frozenset(
        batch_id for batch_id in unfinished if (by := history.commits.get(batch_id.commit)) is None or by.v == 1
    )


def check_unnamed(layout: Layout, history: History, inventory: Inventory, named: set[str]) -> Iterator[Finding]:
    """Yield what lies in the lake although nothing names it, without what an open plan may have written."""
    in_flux = batches_in_flux(history)
    for path in inventory.raw.keys() - named:
        if by := history.live.retired.get(path):
            yield Finding(Kind.UNNAMED, path, _NOT_DELETED.format(by))
        elif not is_open(layout, history, path):
            yield Finding(Kind.UNNAMED, path, "no commit names it, and no log of that name waits to be loaded")
    for path in inventory.parts.keys() - named:
        batch_id = batch_of_part(path)
        if batch_id is None:
            yield Finding(Kind.UNNAMED, path, "it does not have the name of a part")
        elif by := history.live.retired.get(path):
            yield Finding(Kind.UNNAMED, path, _NOT_DELETED.format(by))
        elif not is_planned(history, batch_id) and batch_id not in in_flux:
            commit = history.commits.get(batch_id.commit)
            unfinished = commit is not None and batch_id.batch in commit.failed_batches
            problem = (
                "it is of a batch that did not finish; the next commits sweep it"
                if unfinished
                else "no commit names it"
            )
            yield Finding(Kind.UNNAMED, path, problem)
    for path in inventory.ledger:
        if not _is_of_ledger(layout, history, path):
            yield Finding(Kind.UNNAMED, path, "the ledger does not name it")


def is_planned(history: History, batch_id: BatchId) -> bool:
    """Return whether a part is of the plan that has no commit yet."""
    plan = history.open_plan
    return plan is not None and plan.commit == batch_id.commit and batch_id.batch < len(plan.batches)


def is_open(layout: Layout, history: History, path: str) -> bool:
    """Return whether an object in ``raw/`` is of a log that is listed and not loaded yet."""
    name = path.rsplit("/", 1)[-1]
    return is_open_log(history, name) and path == layout.raw(LogName.parse(name))


def is_open_log(history: History, name: str) -> bool:
    """Return whether a log is listed and not loaded yet."""
    try:
        log = LogName.parse(name)
    except ValueError:
        return False
    last = history.open_plan or history.head
    prefix = last.prefixes.get(log.prefix) if last else None
    return prefix is not None and any(
        item.first <= log.sequence <= item.last and item.state is not State.GAP for item in prefix.open
    )


def _is_of_ledger(layout: Layout, history: History, path: str) -> bool:
    if path == layout.claim:
        return True
    number = number_of(path)
    if number is None or not 1 <= number <= history.last:
        return False
    if path in (layout.plan(number), layout.logs(number), layout.commit(number), layout.timestamp(number)):
        return True
    if commit := history.commits.get(number):
        batches = len(commit.batches) + len(commit.failed_batches)
    elif plan := history.plans.get(number):
        batches = len(plan.batches)
    else:
        return True  # it is missing or does not read, which is a finding already
    return any(path in (layout.report(number, batch), layout.intent(number, batch)) for batch in range(batches))
