"""Forwards: what of a repository's commits was sent to a destination and acknowledged there.

A commit gets its note after the last acknowledgement. While it is being sent, ``progress.json`` says how far the
acknowledgements go, and is believed only if the lines up to there still have the SHA-256 that it names.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from airflow_provider_imperva.errors import ObjectExistsError
from airflow_provider_imperva.lake.commit_notes import VERSION, CommitNotes
from airflow_provider_imperva.lake.layout import FORWARDS, Layout
from airflow_provider_imperva.lake.records import Run
from airflow_provider_imperva.lake.store import Store
from airflow_provider_imperva.options import check_destination_name


class Forwarded(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What became of the lines of one commit at one destination.

    ``lines = sent + filtered + rejected + held_back + unread + removed``, by line; ``filtered`` and ``rejected`` by
    reason.

    :ivar commit_sha256: of the object of the commit that was sent.
    :ivar lines: lines of the commit's logs, counted as they were read for sending.
    :ivar ledger_lines: the same as the ledger has it.
    :ivar sent: lines that were sent and acknowledged as ``acknowledgement`` says.
    :ivar messages: how many messages that were: more than lines where long ones were split.
    :ivar size: bytes of the lines as they were sent, without what a transport adds.
    :ivar sha256: of these lines in order, each with a line feed after it.
    :ivar filtered: lines left out by choice: ``class``, ``site``, ``sample``.
    :ivar rejected: lines that could not be sent: ``too_large``, or the reason the destination gave.
    :ivar held_back: lines in quarantine, where these are not sent.
    :ivar unread: lines of logs whose bytes in ``raw/`` are missing or not those the ledger names;
        ``unread_logs`` which.
    :ivar removed: lines of logs whose bytes a later commit removed from ``raw/`` before they were sent;
        ``removed_logs`` which, each with the number of that commit.
    :ivar truncated: how many of the lines sent were cut.
    :ivar resent: messages that were sent more than once within this commit, after a broken connection or a crash.
    :ivar acknowledgement: ``stored``, ``acknowledged``, ``accepted``, ``delivered`` or ``sent``.
    :ivar first_acknowledged_at, last_acknowledged_at: UTC; None if nothing was sent.
    """

    v: int = VERSION
    destination: str
    repository: str
    commit: int
    commit_sha256: str
    committed_at: datetime
    lines: int = 0
    ledger_lines: int = 0
    sent: int = 0
    messages: int = 0
    size: int = 0
    sha256: str = ""
    filtered: dict[str, int] = {}
    rejected: dict[str, int] = {}
    held_back: int = 0
    unread: int = 0
    unread_logs: tuple[str, ...] = ()
    removed: int = 0
    removed_logs: dict[str, int] = {}
    truncated: int = 0
    resent: int = 0
    acknowledgement: str = "sent"
    transport: str = ""
    format: str = ""
    first_acknowledged_at: datetime | None = None
    last_acknowledged_at: datetime | None = None
    run: Run
    provider_version: str

    def imbalance(self) -> str | None:
        """Describe where the sum does not add up; None if it does."""
        parts = {
            "sent": self.sent,
            "filtered": sum(self.filtered.values()),
            "rejected": sum(self.rejected.values()),
            "held back": self.held_back,
            "unread": self.unread,
            "removed": self.removed,
        }
        if sum(parts.values()) == self.lines:
            return None
        return f"{self.lines} lines, but " + " + ".join(f"{count} {name}" for name, count in parts.items())


class ForwardProgress(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How far a commit is acknowledged that is still being sent.

    :ivar messages: acknowledged messages from the beginning of the commit.
    :ivar sha256: of their lines.
    :ivar rejected, truncated, resent: as in :class:`Forwarded`, up to there.
    """

    v: int = VERSION
    commit: int
    messages: int
    sha256: str
    first_acknowledged_at: datetime
    last_acknowledged_at: datetime
    rejected: dict[str, int] = {}
    truncated: int = 0
    resent: int = 0


class ForwardStart(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Where a destination begins.

    :ivar first: the first commit that is sent to it; those before are left out by choice.
    :ivar address: where it sends to, without credentials.
    """

    v: int = VERSION
    destination: str
    repository: str
    first: int
    address: str
    created_at: datetime


_FORWARDED = msgspec.json.Decoder(Forwarded)
_PROGRESS = msgspec.json.Decoder(ForwardProgress)
_START = msgspec.json.Decoder(ForwardStart)


class ForwardStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far a destination is behind the ledger: ``commits = sent + pending + left_out``.

    :ivar commits: of the ledger.
    :ivar left_out: commits before the one that the destination begins with.
    :ivar oldest_pending: the first commit still to be sent; None if there is none.
    :ivar lag_seconds: since that was committed; 0 if there is none.
    """

    destination: str
    repository: str
    commits: int
    sent: int
    pending: int
    left_out: int
    oldest_pending: int | None
    lag_seconds: float


def destinations(store: Store, repository: str) -> list[str]:
    """Return the names of the destinations to which something of a repository was sent."""
    folder = f"repository={repository}"
    return [name for name in store.folders(FORWARDS) if folder in store.folders(f"{FORWARDS}/{name}")]


class Forwards(CommitNotes[Forwarded]):
    """What was sent of one repository to one destination."""

    def __init__(self, store: Store, repository: str, destination: str) -> None:
        self.destination = check_destination_name(destination)
        self.repository = repository
        super().__init__(store, Layout(repository).forwards(destination), _FORWARDED)

    @property
    def _progress(self) -> str:
        return f"{self.folder}/progress.json"

    @property
    def _start(self) -> str:
        return f"{self.folder}/start.json"

    def pending(self, last: int) -> list[int]:
        """Return the commits still to be sent, oldest first.

        :param last: the ledger's last commit.
        """
        sent = set(self.numbers())
        begin = self.start()
        return [number for number in range(begin.first if begin else 1, last + 1) if number not in sent]

    def status(self, last: int, committed_at: Callable[[int], datetime | None], *, at: datetime) -> ForwardStatus:
        """Return how far the destination is behind the ledger.

        :param last: the ledger's last commit.
        :param committed_at: gives when a commit was made; None if that is not known.
        :param at: now, UTC.
        """
        begin = self.start()
        left_out = min(begin.first - 1, last) if begin else 0
        pending = self.pending(last)
        oldest = pending[0] if pending else None
        since = committed_at(oldest) if oldest else None
        lag = max((at - since).total_seconds(), 0.0) if since else 0.0
        return ForwardStatus(
            destination=self.destination,
            repository=self.repository,
            commits=last,
            sent=last - left_out - len(pending),
            pending=len(pending),
            left_out=left_out,
            oldest_pending=oldest,
            lag_seconds=lag,
        )

    def progress(self, commit: int) -> ForwardProgress | None:
        """Read how far a commit is acknowledged; None if it was not begun, or the object does not read."""
        progress = self.find(self._progress, _PROGRESS)
        return progress if progress and progress.commit == commit else None

    def write_progress(self, progress: ForwardProgress) -> None:
        """Write how far the commit that is being sent is acknowledged."""
        self.store.write(self._progress, msgspec.json.encode(progress))

    def start(self) -> ForwardStart | None:
        """Read where the destination begins; None if nothing was ever sent to it, or that is lost."""
        return self.find(self._start, _START)

    def begin(self, start: ForwardStart) -> ForwardStart:
        """Write where the destination begins, or return what is there."""
        try:
            self.store.create(self._start, msgspec.json.encode(start))
        except ObjectExistsError:
            if written := self.start():
                return written
            self.store.write(self._start, msgspec.json.encode(start))
        return start
