"""Contents: which log of an account group brought a content first, so that a log that comes twice is loaded once.

Before the rows of a log are written, its content is claimed for it: an object named by the SHA-256 of the plain body,
created if absent, names repository and log. It is the plain body, since encryption makes every container another.
Whoever finds a claim of another log writes no rows, once that other log is in a commit. Until then it waits: only a
commit says that events are in the lake.

A claim is a log's for good. A log that has one is in ``raw/`` and decodes, and it stays open until it is loaded; so
whatever breaks off, the next plan that has it finds its own claim and goes on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec

from airflow_provider_imperva.errors import LakeError, ObjectExistsError
from airflow_provider_imperva.lake.layout import content
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import VERSION, OpenCode
from airflow_provider_imperva.lake.watermark import State

PATIENCE = timedelta(hours=1)
"""How long a log waits for the one with its content to be committed, before people hear of it."""

_CLOCKS = timedelta(hours=1)
"""How far the clocks of two machines may be apart."""


class FirstCopy(msgspec.Struct, frozen=True):
    """The log that brought a content first.

    :ivar claimed_at: when it was about to be loaded, UTC.
    """

    v: int
    repository: str
    log: str
    claimed_at: datetime

    def __str__(self) -> str:
        return f"{self.log} of repository {self.repository}"


# Before there are threads (see ledger.py).
_FIRST_COPIES = msgspec.json.Decoder(FirstCopy)


class CopyPendingError(LakeError):
    """Another log has the same content, and is not in a commit yet."""

    reason = OpenCode.COPY_BEING_LOADED.value


class CopyAbandonedError(CopyPendingError):
    """Another log has the same content, and it is long ago that it was about to be loaded."""

    reason = OpenCode.COPY_ABANDONED.value


class Contents:
    """The contents of an account group, as one batch of a repository meets them."""

    def __init__(self, ledger: Ledger, group: str) -> None:
        self._ledger = ledger
        self._group = group
        self._histories: dict[str, _History] = {}

    def copied_from(self, sha256: str, log: str) -> FirstCopy | None:
        """Claim a content for a log; return the log that has it, and is loaded, if that is another.

        :raises CopyPendingError: if another log has it that is not loaded yet; then this one has to wait. It is a
            :class:`CopyAbandonedError` if that log has not been loaded within an hour.
        """
        me = FirstCopy(VERSION, self._ledger.layout.repository, log, datetime.now(UTC))
        path = content(self._group, sha256)
        try:
            self._ledger.store.create(path, msgspec.json.encode(me))
        except ObjectExistsError:
            first = _FIRST_COPIES.decode(self._ledger.store.read(path))
        else:
            return None
        if (first.repository, first.log) == (me.repository, me.log):
            return None
        if self._is_loaded(first):
            return first
        late = me.claimed_at - first.claimed_at > PATIENCE
        pending = CopyAbandonedError if late else CopyPendingError
        became = "began to be loaded, and never was" if late else "is being loaded"
        raise pending(
            f"its content is that of {first}, which {became}",
            do="Let that repository's DAG run once more; if it is given up, delete the claim"
            f" {self._ledger.store.uri(path)}, and this log is loaded instead",
            about=log,
        )

    def _is_loaded(self, first: FirstCopy) -> bool:
        history = self._histories.get(first.repository)
        if history is None:
            history = _History(Ledger(self._ledger.store, first.repository))
            self._histories[first.repository] = history
        return history.has_lines(first.log, since=first.claimed_at - _CLOCKS)


class _History:
    """What the commits of a repository say of its logs, read as far back as asked for."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._commits = ledger.commits(newest_first=True)
        self._back_to: datetime | None = None
        self._lines: dict[str, bool] = {}

    def has_lines(self, log: str, *, since: datetime) -> bool:
        """Return whether the lines of a log are in the lake, by commits later than a time."""
        while log not in self._lines and (self._back_to is None or self._back_to >= since):
            commit = next(self._commits, None)
            if commit is None:
                break
            self._back_to = commit.committed_at
            rows = self._ledger.logs(commit.commit).select(["name", "state", "lines"]).to_pylist()
            for row in rows:
                loaded = row["state"] == State.COMMITTED or (row["state"] == State.QUARANTINED and row["lines"] > 0)
                self._lines.setdefault(row["name"], loaded)
        return self._lines.get(log, False)


def sha256_of(chunks: Iterable[bytes]) -> str:
    """Return the SHA-256 of a plain body."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()
