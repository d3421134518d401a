"""Forwards: what of a repository's commits was sent to a destination and acknowledged there.

One object for each commit and destination is created after the last acknowledgement, never before. So a lost object
means that its commit is sent again; nothing is ever skipped because of what this folder lacks. While a commit is being
sent, ``progress.json`` says how far the acknowledgements go, and is believed only if the lines up to there still have
the SHA-256 that it names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from airflow_provider_imperva.errors import ObjectExistsError, UnreadableObjectError
from airflow_provider_imperva.lake.layout import FORWARDS, Layout
from airflow_provider_imperva.lake.records import Run
from airflow_provider_imperva.lake.store import Store
from airflow_provider_imperva.options import check_destination_name

VERSION = 1

_COMMIT = re.compile(r"(\d{12})\.json")


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
    :ivar sha256: of these lines in order, each with a line feed behind it.
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
        """Say where the sum does not add up; None if it does."""
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


_Record = TypeVar("_Record", Forwarded, ForwardProgress, ForwardStart)

# Before there are threads (see ledger.py).
_DECODERS: dict[type, msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(kind) for kind in (Forwarded, ForwardProgress, ForwardStart)
}


class Standing(msgspec.Struct, frozen=True, kw_only=True):
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


class Forwards:
    """What was sent of one repository to one destination."""

    def __init__(self, store: Store, repository: str, destination: str) -> None:
        self.store = store
        self.repository = repository
        self.destination = check_destination_name(destination)
        self.folder = Layout(repository).forwards(destination)

    def path(self, commit: int) -> str:
        """Object that says what became of a commit."""
        return f"{self.folder}/{commit:012d}.json"

    @property
    def _progress(self) -> str:
        return f"{self.folder}/progress.json"

    @property
    def _start(self) -> str:
        return f"{self.folder}/start.json"

    def numbers(self) -> list[int]:
        """Return the commits that were sent, ascending."""
        # An empty object is what a broken copy of a lake may leave; its commit is sent again.
        names = (item.path.rsplit("/", 1)[1] for item in self.store.objects(self.folder) if item.size)
        return [int(found[1]) for name in names if (found := _COMMIT.fullmatch(name))]

    def read(self, commit: int) -> Forwarded | None:
        """Read what became of a commit; None if it was not sent, or the object does not read."""
        return self._find(self.path(commit), Forwarded)

    def all(self) -> Iterator[Forwarded]:
        """Yield what became of each commit, ascending; those that do not read are left out."""
        yield from filter(None, map(self.read, self.numbers()))

    def pending(self, last: int) -> list[int]:
        """Return the commits still to be sent, oldest first.

        :param last: the ledger's last commit.
        """
        sent = set(self.numbers())
        begin = self.start()
        return [number for number in range(begin.first if begin else 1, last + 1) if number not in sent]

    def standing(self, last: int, committed_at: Callable[[int], datetime | None], *, at: datetime) -> Standing:
        """Tell how far the destination is behind the ledger.

        :param last: the ledger's last commit.
        :param committed_at: tells when a commit was made; None if that is not known.
        :param at: now, UTC.
        """
        begin = self.start()
        left_out = min(begin.first - 1, last) if begin else 0
        pending = self.pending(last)
        oldest = pending[0] if pending else None
        since = committed_at(oldest) if oldest else None
        lag = max((at - since).total_seconds(), 0.0) if since else 0.0
        return Standing(
            destination=self.destination,
            repository=self.repository,
            commits=last,
            sent=last - left_out - len(pending),
            pending=len(pending),
            left_out=left_out,
            oldest_pending=oldest,
            lag_seconds=lag,
        )

    def record(self, outcome: Forwarded, *, again: bool = False) -> Forwarded:
        """Write what became of a commit, or return what another sender wrote first.

        :param again: whether to replace what is there, since the commit was sent again on purpose.
        """
        path, content = self.path(outcome.commit), msgspec.json.encode(outcome)
        try:
            if again:
                self.store.write(path, content)
            else:
                self.store.create(path, content)
        except ObjectExistsError:
            if written := self.read(outcome.commit):
                return written
            self.store.write(path, content)  # what was there does not read
        return outcome

    def progress(self, commit: int) -> ForwardProgress | None:
        """Read how far a commit is acknowledged; None if it was not begun, or the object does not read."""
        found = self._find(self._progress, ForwardProgress)
        return found if found and found.commit == commit else None

    def write_progress(self, progress: ForwardProgress) -> None:
        """Write how far the commit that is being sent is acknowledged."""
        self.store.write(self._progress, msgspec.json.encode(progress))

    def start(self) -> ForwardStart | None:
        """Read where the destination begins; None if nothing was ever sent to it, or that is lost."""
        return self._find(self._start, ForwardStart)

    def begin(self, start: ForwardStart) -> ForwardStart:
        """Write where the destination begins, or return what is there."""
        try:
            self.store.create(self._start, msgspec.json.encode(start))
        except ObjectExistsError:
            if written := self.start():
                return written
            self.store.write(self._start, msgspec.json.encode(start))
        return start

    def _find(self, path: str, kind: type[_Record]) -> _Record | None:
        try:
            content = self.store.read(path)
        except FileNotFoundError:
            return None
        try:
            found: _Record = _DECODERS[kind].decode(content)
        except msgspec.DecodeError:
            return None
        if found.v > VERSION:
            raise UnreadableObjectError(
                f"it is of version {found.v}, which this provider does not know",
                do="Upgrade the provider to at least the version that last wrote to this lake",
                about=self.store.uri(path),
            )
        return found
