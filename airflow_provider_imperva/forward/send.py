"""Sending: the commits of a repository to a destination, oldest first, each accounted for once it is acknowledged.

The lake never says more than the destination has acknowledged. A commit's object is created after its last
acknowledgement, and ``progress.json`` names no message that has none. So a crash at any step sends again, and skips
nothing; what may come twice is bounded by the window, since nothing is sent farther ahead of ``progress.json``.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice

from airflow_provider_imperva import __version__
from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.forward.commits import ForwardedLog, UnreadLogError, logs_of, read_log
from airflow_provider_imperva.forward.destination import TEXT_FORMATS, DestinationOptions
from airflow_provider_imperva.forward.event import Event, Transport
from airflow_provider_imperva.forward.outgoing import Outgoing
from airflow_provider_imperva.forward.rate_limit import RateLimiter
from airflow_provider_imperva.forward.removals import MissingLogs, Removals
from airflow_provider_imperva.lake.forwards import (
    Forwarded,
    ForwardProgress,
    Forwards,
    ForwardStart,
    ForwardStatus,
    destinations,
)
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import Commit, Run
from airflow_provider_imperva.privacy.protection import Protection
from airflow_provider_imperva.privacy.pseudonyms import VERSION_KEY as PSEUDONYMS
from airflow_provider_imperva.privacy.pseudonyms import Pseudonyms

logger = logging.getLogger(__name__)

SLICE = 500
"""Messages that are handed to a transport at once; how far they are acknowledged is noted at such steps only."""

_NOTE_EVERY = 5.0
"""Seconds between two notes of how far the acknowledgements go, unless the window asks for one sooner."""


class _ProgressMismatchError(Exception):
    """The lines that ``progress.json`` names are not those that would be sent now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarding:
    """What of a repository goes to which destination.

    :ivar ledger: of the repository.
    :ivar keys: the private keys, since lines are read from ``raw/``.
    :ivar name: the destination's name in the lake.
    :ivar address: where it sends to, without credentials.
    :ivar connect: opens the way there.
    :ivar protection: what is done to all records before anything of them leaves; None for nothing.
    :ivar names_people: whether lines of a lake whose rows have pseudonyms may be sent without any.
    :ivar run: who sends.
    :ivar clock: seconds that never go back.
    """

    ledger: Ledger
    keys: KeyRing
    name: str
    address: str
    options: DestinationOptions
    connect: Callable[[], Transport]
    run: Run
    protection: Protection | None = None
    names_people: bool = False
    clock: Callable[[], float] = time.monotonic
    limiter: RateLimiter | None = None

    def __post_init__(self) -> None:
        if self._pseudonyms and self.options.quarantined:
            raise ConfigurationError(
                "lines in quarantine may name a person, so none of them is sent where there are pseudonyms",
                do="Set quarantined=False",
                about=self.name,
            )

    @property
    def _pseudonyms(self) -> Pseudonyms | None:
        return self.protection.pseudonyms if self.protection else None

    @property
    def forwards(self) -> Forwards:
        """What the lake says of the destination."""
        return Forwards(self.ledger.store, self.ledger.layout.repository, self.name)

    def begin(self, *, start: str | int | None = None) -> ForwardStart:
        """Note where the destination begins, if nothing does yet.

        :param start: ``oldest`` sends all that the ledger has, ``now`` what is committed from now on, a number what is
            committed from that commit on. None is ``oldest``, unless another destination has the same address: that may
            be this one under its old name.
        :raises ConfigurationError: if it is none of them, or it is not said whether this is a new destination.
        """
        forwards = self.forwards
        if begun := forwards.start():
            return begun
        sent = forwards.numbers()
        if not sent and start is None:
            self._stop_if_renamed()
        return forwards.begin(
            ForwardStart(
                destination=self.name,
                repository=self.ledger.layout.repository,
                # If only the note of it was lost, nothing may be left out.
                first=1 if sent else self._first(start),
                address=self.address,
                created_at=datetime.now(UTC),
            )
        )

    def _first(self, start: str | int | None) -> int:
        if start in (None, "", "oldest"):
            return 1
        if start == "now":
            return self.ledger.head(with_plan=False).next_commit
        if str(start).isdecimal() and int(start):
            return int(start)
        raise ConfigurationError(
            "the start of the destination is none of them", do="Set start to oldest, now, or the number of a commit"
        )

    def _stop_if_renamed(self) -> None:
        store, repository = self.ledger.store, self.ledger.layout.repository
        for other in destinations(store, repository):
            begun = Forwards(store, repository, other).start() if other != self.name else None
            if begun and begun.address == self.address:
                raise ConfigurationError(
                    f"nothing was sent to {self.name} yet, but the destination {other} has the same address",
                    do=f"If this is {other} under another name, go on with the old name; if it is another, say where it"
                    " begins: start=oldest sends everything, start=now only what is committed from now on",
                    about=self.address,
                )

    def pending(self) -> list[int]:
        """Return the commits that are still to be sent, oldest first."""
        return self.forwards.pending(self.ledger.head(with_plan=False).next_commit - 1)

    def status(self) -> ForwardStatus:
        """Return how far the destination is behind the ledger."""
        last = self.ledger.head(with_plan=False).next_commit - 1
        return self.forwards.status(last, lambda number: self.ledger.commit(number).committed_at, at=datetime.now(UTC))

    def send(
        self,
        commits: Iterable[int],
        *,
        again: bool = False,
        on_messages: Callable[[int], None] = lambda _: None,
    ) -> Iterator[Forwarded]:
        """Send commits, and yield what became of each once it is acknowledged and in the lake.

        :param again: send them although they were sent before.
        :param on_messages: called with how many messages were handed over, for a progress bar.
        :raises DestinationError: if the destination does not take them; what is not acknowledged is sent next time.
        :raises MissingKeyError: if a log was encrypted for a key that is not at hand.
        :raises ConfigurationError: if the lake has pseudonyms, and it is not said how its lines get any.
        """
        transport: Transport | None = None
        removals = Removals(self.ledger)
        try:
            for number in commits:
                commit = self.ledger.commit(number)
                self._stop_before_names(commit)
                if transport is None:
                    transport = self.connect()
                outcome = self._send_commit(commit, transport, removals, again, on_messages)
                yield self.forwards.record(outcome, again=again)
        finally:
            if transport is not None:
                transport.close()

    def _stop_before_names(self, commit: Commit) -> None:
        """Stop if lines out of ``raw/`` would name those whom the rows of the lake do not name."""
        if self.names_people or self._pseudonyms:
            return
        if any(PSEUDONYMS in one for one in commit.protections):
            raise ConfigurationError(
                f"the rows of commit {commit.commit} have pseudonyms, and its lines would go out without",
                do="Give this forward the `pseudonyms` of the DAG that loads; or, to send names and addresses in clear,"
                " False (imperva-logs forward: --no-pseudonyms)",
                about=self.name,
            )

    def _send_commit(
        self,
        commit: Commit,
        transport: Transport,
        removals: Removals,
        again: bool,
        on_messages: Callable[[int], None],
    ) -> Forwarded:
        progress = None if again else self.forwards.progress(commit.commit)
        if progress:
            try:
                return _CommitSending(
                    self, commit, transport, MissingLogs(removals, commit.commit), progress, on_messages
                ).run()
            except _ProgressMismatchError:
                logger.warning(
                    "Commit %d: the lines acknowledged so far are not those that would be sent now; it is sent again",
                    commit.commit,
                )
        return _CommitSending(self, commit, transport, MissingLogs(removals, commit.commit), None, on_messages).run()


@dataclass(slots=True)
class _Checkpoint:
    """A step up to which messages may be acknowledged."""

    messages: int
    sha256: str


@dataclass(slots=True)
class _CommitSending:
    """One commit on its way."""

    forwarding: Forwarding
    commit: Commit
    transport: Transport
    missing: MissingLogs
    progress: ForwardProgress | None
    on_messages: Callable[[int], None]
    lines: int = 0
    messages: int = 0
    size: int = 0
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    checkpoints: deque[_Checkpoint] = field(default_factory=deque)
    noted: int = 0
    noted_at: float = 0
    first_at: datetime | None = None
    last_at: datetime | None = None
    skipped: int = 0
    base: int = 0
    resent_before: int = 0
    refused_before: dict[str, int] = field(default_factory=dict)

    @property
    def _slice(self) -> int:
        return min(SLICE, self.forwarding.options.window)

    def run(self) -> Forwarded:
        """Send it, and return what became of it."""
        forwarding, commit = self.forwarding, self.commit
        outgoing = Outgoing(forwarding.ledger.layout.repository, forwarding.options)
        self.base = self.transport.acknowledged
        self.resent_before = self.transport.resent
        self.refused_before = dict(self.transport.refused)
        self.skipped = self.noted = self.progress.messages if self.progress else 0
        self.first_at = self.progress.first_acknowledged_at if self.progress else None
        self.noted_at = forwarding.clock()
        limiter = forwarding.limiter or RateLimiter(
            events_per_second=forwarding.options.events_per_second, bytes_per_second=forwarding.options.bytes_per_second
        )
        logs = logs_of(forwarding.ledger, commit, replays=forwarding.options.replays)
        try:
            for messages in _slices(self._messages(logs, outgoing), self._slice):
                self._take(messages, limiter)
            if self.messages < self.skipped:
                raise _ProgressMismatchError
            self.transport.settle()
        except _ProgressMismatchError:
            raise
        except Exception:
            # What was acknowledged before the failure need not come again.
            self._note()
            raise
        return self._outcome(outgoing, ledger_lines=sum(log.lines for log in logs))

    def _messages(self, logs: Iterable[ForwardedLog], outgoing: Outgoing) -> Iterator[Event]:
        for log in logs:
            try:
                forwarding = self.forwarding
                lines = forwarding.options.format in TEXT_FORMATS
                for block in read_log(
                    forwarding.ledger, log, forwarding.keys, lines=lines, protection=forwarding.protection
                ):
                    for pieces in outgoing.events(log, block):
                        self.lines += 1
                        yield from pieces
            except UnreadLogError as error:
                self.missing.add(log, error)

    def _take(self, messages: list[Event], limiter: RateLimiter) -> None:
        """Send some messages, unless an earlier attempt has and they were acknowledged."""
        content = b"\n".join([message.body for message in messages]) + b"\n"
        self.digest.update(content)
        self.messages += len(messages)
        self.size += len(content) - len(messages)
        if self.messages <= self.skipped:
            if self.messages == self.skipped and self.digest.hexdigest() != self._expected():
                raise _ProgressMismatchError
            return
        if self.messages - len(messages) < self.skipped:
            raise _ProgressMismatchError
        self.checkpoints.append(_Checkpoint(self.messages, self.digest.hexdigest()))
        for portion in limiter.portions(messages):
            self.transport.send(portion)
            self.on_messages(len(portion))
        if self.messages - self.noted + self._slice > self.forwarding.options.window:
            self._note()
            if self.messages - self.noted + self._slice > self.forwarding.options.window:
                self.transport.settle()
                self._note()
        elif self.forwarding.clock() - self.noted_at >= _NOTE_EVERY:
            self._note()

    def _expected(self) -> str:
        return self.progress.sha256 if self.progress else ""

    def _note(self) -> None:
        """Write to the lake how far the acknowledgements go."""
        acknowledged = self.skipped + self.transport.acknowledged - self.base
        reached = None
        while self.checkpoints and self.checkpoints[0].messages <= acknowledged:
            reached = self.checkpoints.popleft()
        self.noted_at = self.forwarding.clock()
        if reached is None:
            return
        self._stamp()
        assert self.first_at and self.last_at  # noqa: S101, PT018
        self.forwarding.forwards.write_progress(
            ForwardProgress(
                commit=self.commit.commit,
                messages=reached.messages,
                sha256=reached.sha256,
                first_acknowledged_at=self.first_at,
                last_acknowledged_at=self.last_at,
                rejected=self._refused(),
                resent=self._resent(),
            )
        )
        self.noted = reached.messages

    def _stamp(self) -> None:
        self.last_at = datetime.now(UTC)
        self.first_at = self.first_at or self.last_at

    def _refused(self) -> dict[str, int]:
        before = self.progress.rejected if self.progress else {}
        now = {
            reason: count - self.refused_before.get(reason, 0) + before.get(reason, 0)
            for reason, count in self.transport.refused.items()
        }
        return {reason: count for reason, count in (before | now).items() if count}

    def _resent(self) -> int:
        before = self.progress.resent if self.progress else 0
        return before + self.transport.resent - self.resent_before

    def _outcome(self, outgoing: Outgoing, *, ledger_lines: int) -> Forwarded:
        counts, forwarding, missing = outgoing.counts, self.forwarding, self.missing
        refused = self._refused()
        if self.messages:
            self._stamp()
        return Forwarded(
            destination=forwarding.name,
            repository=forwarding.ledger.layout.repository,
            commit=self.commit.commit,
            commit_sha256=forwarding.ledger.sha256(self.commit.commit),
            committed_at=self.commit.committed_at,
            lines=counts.lines + missing.lines,
            ledger_lines=ledger_lines,
            sent=self.lines - sum(refused.values()),
            messages=self.messages - sum(refused.values()),
            size=self.size,
            sha256=self.digest.hexdigest(),
            filtered=dict(counts.filtered),
            rejected=dict(counts.rejected + Counter(refused)),
            held_back=counts.held_back,
            unread=sum(missing.unread.values()),
            unread_logs=tuple(missing.unread),
            removed=missing.removed_lines,
            removed_logs=missing.removed,
            truncated=counts.truncated,
            resent=self._resent(),
            acknowledgement=self.transport.acknowledgement,
            transport=forwarding.options.transport,
            format=forwarding.options.format,
            first_acknowledged_at=self.first_at,
            last_acknowledged_at=self.last_at,
            run=forwarding.run,
            provider_version=__version__,
        )


def _slices(messages: Iterable[Event], most: int) -> Iterator[list[Event]]:
    remaining = iter(messages)
    while events := list(islice(remaining, most)):
        yield events
