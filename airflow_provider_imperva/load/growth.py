"""Growth: a delivered file that was seen before it was whole, and again after it had grown.

Each version of it is an arrival of its own. What a later one begins with is a duplicate of it. Where that is loaded
already, the later one is first seen to be whole; the next plan then does the batch of the earlier one again with the
later one in its place, so that one commit takes the rows of the one away and adds those of the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from airflow_provider_imperva.errors import CLOSED, LakeError
from airflow_provider_imperva.lake.ledger import Head, Ledger
from airflow_provider_imperva.lake.records import BatchId, LogRecord, OpenCode, PlannedLog
from airflow_provider_imperva.lake.watermark import State
from airflow_provider_imperva.repository.names import LogName

_CHUNK_BYTES = 2**20


class GrownError(LakeError):
    """A log is whole, and a part of it is loaded, whose place it takes in the next plan."""

    reason = OpenCode.GROWN.value


def begins_with(ledger: Ledger, log: LogName, earlier: LogName) -> bool | None:
    """Return whether a log begins with the bytes of one that came before it; both as they are in ``raw/``.

    :returns: None if one of them is not there.
    """
    layout, raw = ledger.layout, ledger.raw
    try:
        with raw.open(layout.raw(earlier)) as before, raw.open(layout.raw(log)) as after:
            while chunk := before.read(_CHUNK_BYTES):
                if after.read(len(chunk)) != chunk:
                    return False
    except (FileNotFoundError, *CLOSED):
        return None
    return True


_IN_PARTS = frozenset({State.COMMITTED, State.QUARANTINED})


def loaded_before(ledger: Ledger, earlier: Sequence[LogName]) -> LogName | None:
    """Return the first of some logs whose rows, or whose note in quarantine, are in the lake.

    :param earlier: logs that are decided.
    """
    states: dict[str, State] = {}
    wanted = set(map(str, earlier))
    for commit in ledger.commits(newest_first=True) if wanted else ():
        for row in ledger.logs(commit.commit).select(["name", "state"]).to_pylist():
            if row["name"] in wanted:
                states[row["name"]] = State(row["state"])
                wanted.remove(row["name"])
        if not wanted:
            break
    return next((log for log in earlier if states.get(str(log)) in _IN_PARTS), None)


def find_grown_batches(
    ledger: Ledger, head: Head, pending: Iterable[PlannedLog]
) -> dict[BatchId, tuple[PlannedLog, ...]]:
    """Return the batches to be done again so that logs that have grown take the place of what they grew from.

    :param pending: the logs to load; those count that the last plan has seen to be whole.
    :returns: all logs of each batch, and what has grown.
    """
    codes = head.commit.open_codes if head.commit else {}
    grown: dict[str, PlannedLog] = {
        log.may_have_grown_from: log
        for log in pending
        if log.may_have_grown_from and codes.get(log.name) == OpenCode.GROWN
    }
    batch_ids: dict[BatchId, tuple[PlannedLog, ...]] = {}
    seen: set[str | None] = set()
    left = set(grown)
    for commit in ledger.commits(newest_first=True) if left else ():
        for batch in commit.batches:
            report = ledger.report(commit.commit, batch)
            logs = [log for log in (report.logs if report else ()) if log.name not in seen and log.state in _IN_PARTS]
            seen.update(log.name for log in (report.logs if report else ()))
            if names := {log.name for log in logs if log.name in left}:
                left -= names
                batch_id = BatchId(commit.commit, batch)
                batch_id = commit.replaced.get(batch, batch_id) if commit.v == 1 else batch_id
                batch_ids[batch_id] = (
                    *(_with_growth(log, grown) for log in logs),
                    *(grown[name] for name in sorted(names) if name),
                )
        if not left:
            break
    return batch_ids


def _with_growth(log: LogRecord, grown: dict[str, PlannedLog]) -> PlannedLog:
    planned = log.planned_again()
    later = grown.get(planned.name)
    return msgspec.structs.replace(planned, may_have_grown_into=later.name) if later else planned
