"""What a commit sent to quarantine, by reason, and whether that is so much that people must hear of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pyarrow.parquet as pq

from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import Commit
from airflow_provider_imperva.lake.watermark import State

_CAME = (State.COMMITTED, State.DUPLICATE, State.QUARANTINED, State.AWAITING_KEY, State.DAMAGED)
"""States of a log whose bytes came."""


def quarantined_lines(ledger: Ledger, commit: Commit) -> Counter[str]:
    """Count the lines that a commit sent to quarantine, by reason code; whole logs are not among them."""
    reasons: Counter[str] = Counter()
    for part in commit.parts:
        if part.event_class is None:
            with ledger.store.reader(part.path) as file:
                rows = pq.read_table(file, columns=["src_line", "reason"]).to_pylist()
            reasons.update(_code(row["reason"]) for row in rows if row["src_line"] is not None)
    return reasons


def quarantined_logs(ledger: Ledger, commit: Commit) -> Counter[str]:
    """Count the logs that a commit sent to quarantine as a whole, by reason code."""
    if not commit.totals.logs.get(State.QUARANTINED):
        return Counter()
    rows = ledger.logs(commit.commit).select(["state", "reason_code"]).to_pylist()
    return Counter(row["reason_code"] for row in rows if row["state"] == State.QUARANTINED)


def too_much(ledger: Ledger, commit: Commit, *, share: float) -> Iterator[str]:
    """Say of what too much went to quarantine, or came damaged; nothing if it is little.

    A single damaged log may be whole when it is asked for again. Where most are, something on the way damages them.

    :param share: the share of a commit's lines, 0 to 1, above which people must hear of it. Of whole logs it is any.
    """
    if logs := quarantined_logs(ledger, commit):
        yield f"{logs.total()} logs are in quarantine as a whole ({_describe(logs)}; logs.parquet names them)"
    totals = commit.totals
    damaged = totals.logs.get(State.DAMAGED, 0)
    if 2 * damaged > (came := sum(totals.logs.get(state, 0) for state in _CAME)):
        yield f"{damaged} of {came} logs came damaged, and are asked for again (logs.parquet names them)"
    if totals.quarantined_lines > share * totals.lines:
        lines = quarantined_lines(ledger, commit)
        yield f"{totals.quarantined_lines} of {totals.lines} lines are in quarantine/ ({_describe(lines)})"


def _code(reason: str) -> str:
    return reason.partition(":")[0]


def _describe(reasons: Counter[str]) -> str:
    return ", ".join(f"{code} {count}" for code, count in reasons.most_common())
