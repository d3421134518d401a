"""The ways that the logs of one account come by, compared: which logs came by all of them, and which did not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pyarrow.compute as pc

from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.store import Store

_COLUMNS = ["name", "delivered_as", "content_sha256", "start_time", "fetched_at"]


@dataclass(frozen=True, slots=True, order=True)
class ReceivedLog:
    """A log as it came one way.

    :ivar at: the start time in its header; if it has none, when it came to ``raw/``. UTC.
    :ivar name: its name.
    :ivar delivered_as: what it is called where it was delivered.
    """

    at: datetime
    name: str
    delivered_as: str | None = field(compare=False)


@dataclass(frozen=True, slots=True)
class DeliveryComparison:
    """What came by which way.

    :ivar since, until: the time in which every way brought logs; the ends count. Outside of it a log cannot have come
        by all.
    :ivar by_all: how many contents came by all ways.
    :ivar only: for each repository, the logs that did not come by every other way, oldest first.
    """

    since: datetime
    until: datetime
    by_all: int
    only: dict[str, tuple[ReceivedLog, ...]]


def compare_deliveries(store: Store, repositories: Sequence[str]) -> DeliveryComparison:
    """Compare repositories of one account by the contents of their logs, as their ledgers have them.

    :param repositories: at least two, which looked for logs that come twice (plan option ``account_group``).
    :raises ConfigurationError: if one of them has no log whose content was noted, or they have no time in common.
    """
    contents = {repository: _contents(Ledger(store, repository)) for repository in repositories}
    for repository, logs in contents.items():
        if not logs:
            raise ConfigurationError(
                "no content of a log is noted in this ledger",
                do="Check the repository's id, and set the plan option account_group for all ways of the account",
                about=repository,
            )
    since = max(min(logs.values()).at for logs in contents.values())
    until = min(max(logs.values()).at for logs in contents.values())
    if since > until:
        raise ConfigurationError(
            "the repositories have no time in common, so that no log can have come by all",
            do="Compare ways that were in use at the same time",
            about=", ".join(repositories),
        )
    everywhere = set.intersection(*(set(logs) for logs in contents.values()))
    only = {
        repository: tuple(
            sorted(log for sha256, log in logs.items() if sha256 not in everywhere and since <= log.at <= until)
        )
        for repository, logs in contents.items()
    }
    return DeliveryComparison(since, until, len(everywhere), only)


def _contents(ledger: Ledger) -> dict[str, ReceivedLog]:
    """Return the first log with each content."""
    by_content: dict[str, ReceivedLog] = {}
    for commit in ledger.commits():
        table = ledger.logs(commit.commit)
        if "content_sha256" not in table.column_names:
            continue  # of a version that did not note it
        rows = table.filter(pc.is_valid(table["content_sha256"])).select(_COLUMNS).to_pylist()
        for row in rows:
            at = (row["start_time"] or row["fetched_at"]).astimezone(UTC)
            by_content.setdefault(row["content_sha256"], ReceivedLog(at, row["name"], row["delivered_as"]))
    return by_content
