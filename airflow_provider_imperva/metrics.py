"""The metrics: what each is called and means, and how Airflow's own statsd or OpenTelemetry gets it.

``docs/reference/metrics.md`` lists them for people, and the dashboard beside it shows them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from airflow.providers.common.compat.sdk import Stats

if TYPE_CHECKING:
    import pyarrow as pa

    from airflow_provider_imperva.lake.forwards import Forwarded, ForwardStatus
    from airflow_provider_imperva.lake.headroom import Headroom
    from airflow_provider_imperva.lake.records import Commit


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric.

    :ivar unit: of what is sent; timings are sent in milliseconds, as statsd has them, whatever they measure.
    :ivar tags: names of its tags, each of which every value has.
    """

    name: str
    kind: Literal["counter", "gauge", "timing"]
    unit: str
    meaning: str
    tags: tuple[str, ...] = ("repository",)

    def send(self, value: float, **tags: str) -> None:
        """Send a value: an increase, a level, or seconds. A counter that does not rise is not sent."""
        if self.kind == "gauge":
            Stats.gauge(self.name, value, tags=tags)
        elif self.kind == "timing":
            Stats.timing(self.name, timedelta(seconds=value), tags=tags)
        elif value:
            Stats.incr(self.name, int(value), tags=tags)


COMMITS = Metric(
    name="imperva.commits",
    kind="counter",
    unit="commits",
    meaning="commits; `outcome` is `complete`, or `left_behind` if a log was lost or has to be loaded by the next run",
    tags=("repository", "outcome"),
)
LOGS = Metric(
    name="imperva.logs",
    kind="counter",
    unit="logs",
    meaning="logs that a commit decided, by state",
    tags=("repository", "state"),
)
RAW_BYTES = Metric(
    name="imperva.raw_bytes",
    kind="counter",
    unit="bytes",
    meaning="size of those logs as received, by state",
    tags=("repository", "state"),
)
ROWS = Metric(name="imperva.rows", kind="counter", unit="rows", meaning="rows written to `events/`")
QUARANTINED_LINES = Metric(
    name="imperva.quarantined_lines",
    kind="counter",
    unit="lines",
    meaning="lines that are in `quarantine/` instead; a log that does not decode has none, and its state says so",
)
DELIVERY_LAG = Metric(
    name="imperva.delivery_lag",
    kind="timing",
    unit="milliseconds",
    meaning="from the end of a log, as its header has it, until its bytes were in `raw/`; one value a loaded log",
)
HEADROOM_SECONDS = Metric(
    name="imperva.headroom_seconds",
    kind="gauge",
    unit="seconds",
    meaning="left before the oldest log not yet fetched leaves the window, at the worst",
)
HEADROOM_BYTES = Metric(
    name="imperva.headroom_bytes",
    kind="gauge",
    unit="bytes",
    meaning="how much Imperva can still write before it overwrites the oldest of them; not sent without a byte cap",
)
BACKLOG_LOGS = Metric(
    name="imperva.backlog_logs", kind="gauge", unit="logs", meaning="logs that are listed and not loaded"
)
FETCH_DURATION = Metric(
    name="imperva.fetch_duration", kind="timing", unit="milliseconds", meaning="how long a batch took to be fetched"
)
FETCHED_BYTES = Metric(
    name="imperva.fetched_bytes", kind="counter", unit="bytes", meaning="what came in of a batch's logs"
)

FORWARDED_LINES = Metric(
    name="imperva.forward.lines",
    kind="counter",
    unit="lines",
    meaning="lines of commits, by `outcome`: `sent`, `filtered`, `rejected`, `held_back`, `unread`, `removed`",
    tags=("repository", "destination", "outcome"),
)
FORWARDED_BYTES = Metric(
    name="imperva.forward.bytes",
    kind="counter",
    unit="bytes",
    meaning="what these lines were as they were sent",
    tags=("repository", "destination"),
)
FORWARD_RESENT = Metric(
    name="imperva.forward.resent",
    kind="counter",
    unit="messages",
    meaning="messages that were sent again after a broken connection: they may be at the destination twice",
    tags=("repository", "destination"),
)
FORWARD_PENDING = Metric(
    name="imperva.forward.pending_commits",
    kind="gauge",
    unit="commits",
    meaning="commits that are not at the destination yet",
    tags=("repository", "destination"),
)
FORWARD_LAG = Metric(
    name="imperva.forward.lag_seconds",
    kind="gauge",
    unit="seconds",
    meaning="age of the oldest of them; 0 if there is none",
    tags=("repository", "destination"),
)

METRICS = (
    COMMITS,
    LOGS,
    RAW_BYTES,
    ROWS,
    QUARANTINED_LINES,
    DELIVERY_LAG,
    HEADROOM_SECONDS,
    HEADROOM_BYTES,
    BACKLOG_LOGS,
    FETCH_DURATION,
    FETCHED_BYTES,
)
"""What loading sends."""

FORWARD_METRICS = (FORWARDED_LINES, FORWARDED_BYTES, FORWARD_RESENT, FORWARD_PENDING, FORWARD_LAG)
"""What forwarding sends."""


def send_commit(commit: Commit, logs: pa.Table, *, is_complete: bool) -> None:
    """Send what a commit did.

    :param logs: its ``logs.parquet``.
    :param is_complete: whether it left nothing behind.
    """
    repository = commit.repository
    COMMITS.send(1, repository=repository, outcome="complete" if is_complete else "left_behind")
    for state, count in commit.totals.logs.items():
        LOGS.send(count, repository=repository, state=state.value)
    sizes = logs.group_by("state").aggregate([("raw_bytes", "sum")]).to_pylist()
    for row in sizes:
        RAW_BYTES.send(row["raw_bytes_sum"] or 0, repository=repository, state=row["state"])
    ROWS.send(commit.totals.rows, repository=repository)
    QUARANTINED_LINES.send(commit.totals.quarantined_lines, repository=repository)
    for row in logs.select(["state", "end_time", "fetched_at"]).to_pylist():
        if row["state"] == "committed" and row["end_time"]:
            lag = (row["fetched_at"] - row["end_time"]).total_seconds()
            DELIVERY_LAG.send(max(lag, 0), repository=repository)


def send_headroom(headroom: Headroom, *, repository: str) -> None:
    """Send how a repository stands."""
    HEADROOM_SECONDS.send(headroom.seconds, repository=repository)
    BACKLOG_LOGS.send(headroom.backlog, repository=repository)
    if headroom.bytes is not None:
        HEADROOM_BYTES.send(headroom.bytes, repository=repository)


def send_fetch(*, seconds: float, received: int, repository: str) -> None:
    """Send how long a batch took to be fetched, and how many bytes came in."""
    FETCH_DURATION.send(seconds, repository=repository)
    FETCHED_BYTES.send(received, repository=repository)


def send_forwarded(outcome: Forwarded) -> None:
    """Send what became of a commit at a destination."""
    tags = {"repository": outcome.repository, "destination": outcome.destination}
    counts = {
        "sent": outcome.sent,
        "filtered": sum(outcome.filtered.values()),
        "rejected": sum(outcome.rejected.values()),
        "held_back": outcome.held_back,
        "unread": outcome.unread,
        "removed": outcome.removed,
    }
    for name, count in counts.items():
        FORWARDED_LINES.send(count, outcome=name, **tags)
    FORWARDED_BYTES.send(outcome.size, **tags)
    FORWARD_RESENT.send(outcome.resent, **tags)


def send_forward_status(status: ForwardStatus) -> None:
    """Send how far a destination is behind."""
    tags = {"repository": status.repository, "destination": status.destination}
    FORWARD_PENDING.send(status.pending, **tags)
    FORWARD_LAG.send(status.lag_seconds, **tags)
