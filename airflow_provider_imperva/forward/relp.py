"""RELP, the Reliable Event Logging Protocol of rsyslog: each message has a number, and is acknowledged by it.

A frame is ``<transaction> <command> <length>[ <bytes>]`` and a line feed. The receiver answers each with a frame of the
same number, command ``rsp``, whose text begins with ``200`` if it has taken the message. The format is that of
librelp's documentation (relp.html).
"""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from airflow_provider_imperva.errors import DestinationRefusedError, DestinationUnavailableError
from airflow_provider_imperva.forward.address import Address
from airflow_provider_imperva.forward.event import Acknowledgement, Event
from airflow_provider_imperva.forward.link import PATIENCE, BrokenLinkError, Link, RetryPolicy

logger = logging.getLogger(__name__)

_OFFER = b"relp_version=0\nrelp_software=airflow-provider-imperva\ncommands=syslog"
_LARGEST_NUMBER = 999_999_999
_LARGEST_ANSWER = 1 << 16
_MOST_UNACKNOWLEDGED = 1000
"""Messages under way at once."""

_BATCH = 100


class RelpTransport:
    """Sends messages over RELP, plain or in TLS, and keeps each until it is acknowledged.

    :param write: writes an event as a syslog message.
    :param most: how many messages may be under way at once.
    """

    def __init__(
        self,
        address: Address,
        *,
        tls: bool,
        write: Callable[[Event], bytes],
        most: int = _MOST_UNACKNOWLEDGED,
        retry_policy: RetryPolicy = PATIENCE,
    ) -> None:
        self.acknowledged = 0
        self.resent = 0
        self.refused: dict[str, int] = {}
        self.acknowledgement: Acknowledgement = "acknowledged"
        self._address = address
        self._tls = tls
        self._write = write
        self._most = most
        self._retry_policy = retry_policy
        self._unacknowledged: deque[bytes] = deque()
        self._session: _Session | None = None

    def send(self, events: Sequence[Event]) -> None:
        """Send events, and take the acknowledgements that have to come first."""
        for begin in range(0, len(events), _BATCH):
            messages = list(map(self._write, events[begin : begin + _BATCH]))
            self._wait(self._most - len(messages))
            self._unacknowledged += messages
            try:
                if self._session is None:
                    self._session = self._open()
                self._session.write(messages)
            except BrokenLinkError as error:
                self._send_again(error)

    def settle(self) -> None:
        """Wait for every acknowledgement."""
        self._wait(0)

    def close(self) -> None:
        """Close the session; in order, if nothing is under way."""
        if self._session:
            self._session.close(in_order=not self._unacknowledged)
            self._session = None

    def _wait(self, most: int) -> None:
        """Take acknowledgements until at most so many messages are under way.

        :raises DestinationUnavailableError: if session after session acknowledges none of them.
        """
        in_vain = 0
        while len(self._unacknowledged) > max(most, 0):
            try:
                if self._session is None:
                    raise BrokenLinkError("there is no connection")
                taken = self._session.read()
            except BrokenLinkError as error:
                in_vain += 1
                if in_vain >= self._retry_policy.attempts:
                    raise self._gave_up(error) from None
                self._send_again(error)
                continue
            in_vain = 0
            for _ in range(taken):
                self._unacknowledged.popleft()
            self.acknowledged += taken

    def _open(self) -> _Session:
        for attempt in range(1, self._retry_policy.attempts + 1):
            self._retry_policy.pause(attempt)
            try:
                return _Session(self._address, tls=self._tls)
            except (DestinationUnavailableError, BrokenLinkError) as error:
                if attempt == self._retry_policy.attempts:
                    raise self._gave_up(error) from None
                logger.warning("%s: %s. Trying again", self._address, error)
        raise AssertionError  # at least one attempt is made

    def _send_again(self, error: Exception) -> None:
        """Send all that is not acknowledged in a new session."""
        for _ in range(self._retry_policy.attempts):
            if self._session:
                self._session.close(in_order=False)
            again = len(self._unacknowledged)
            logger.warning(
                "%s: %s. The %d messages without an acknowledgement are sent again", self._address, error, again
            )
            self._session = self._open()
            self.resent += again
            try:
                self._session.write(self._unacknowledged)
            except BrokenLinkError as another:
                error = another
            else:
                return
        raise self._gave_up(error)

    def _gave_up(self, error: Exception) -> DestinationUnavailableError:
        if isinstance(error, DestinationUnavailableError):
            return error
        return DestinationUnavailableError(
            str(error),
            do="See the receiver's own log, and whether it speaks RELP on this port, with TLS or without as set here;"
            " what is not acknowledged is sent again by a later run",
            about=str(self._address),
        )


class _Session:
    """A connection on which both sides have agreed to speak RELP."""

    def __init__(self, address: Address, *, tls: bool) -> None:
        self._address = address
        self._link = Link(address, tls=tls)
        self._number = 0
        self._expected: deque[int] = deque()
        self._buffer = b""
        try:
            self._link.write(self._frame(b"open", _OFFER))
            if self.read(wanted=1) != 1:
                raise BrokenLinkError("the receiver did not answer in RELP")
        except BaseException:
            self._link.close()
            raise

    def write(self, messages: Sequence[bytes] | deque[bytes]) -> None:
        """Write messages."""
        self._link.write(b"".join(self._frame(b"syslog", message) for message in messages))

    def _frame(self, command: bytes, content: bytes) -> bytes:
        self._number = self._number % _LARGEST_NUMBER + 1
        self._expected.append(self._number)
        return b"%d %b %d%b%b\n" % (self._number, command, len(content), b" " if content else b"", content)

    def read(self, *, wanted: int = 1) -> int:
        """Read answers, at least so many; return how many there were.

        :raises DestinationRefusedError: if the receiver refuses a message.
        :raises BrokenLinkError: if the connection ends, or an answer is not RELP.
        """
        taken = 0
        while taken < wanted:
            self._buffer += self._link.read()
            for number, command, text in self._frames():
                if command == b"serverclose":
                    raise BrokenLinkError("the receiver ends the session")
                if command != b"rsp" or not self._expected or number != self._expected[0]:
                    raise BrokenLinkError("the receiver's answers are not in the order of the messages")
                if not text.startswith(b"200"):
                    raise DestinationRefusedError(
                        f"the receiver refuses a message (RELP code {_code(text)})",
                        do="See the receiver's own log; what is not acknowledged is sent again by a later run",
                        about=str(self._address),
                    )
                self._expected.popleft()
                taken += 1
        return taken

    def _frames(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Take whole frames from what was read."""
        while self._buffer:
            begin = self._buffer.lstrip(b"\n")
            head = begin[:64].split(b" ", 2)
            if len(head) < 3 and b"\n" not in begin:
                break
            number, command, rest = [*begin.split(b" ", 2), b"", b""][:3]
            digits = rest.split(b"\n", 1)[0].split(b" ", 1)[0]
            if not (number.isdigit() and len(number) <= 9 and digits.isdigit() and int(digits) <= _LARGEST_ANSWER):
                if len(begin) < 64 and b"\n" not in begin:
                    break
                raise BrokenLinkError("the receiver's answer is not RELP")
            length = int(digits)
            text = rest[len(digits) + 1 :] if length else rest[len(digits) :]
            if len(text) < length + 1:
                break
            yield int(number), command, text[:length]
            self._buffer = text[length + 1 :]

    def close(self, *, in_order: bool) -> None:
        """Close the connection; in order, by saying so first and waiting for the answer."""
        # All is acknowledged: a receiver that does not end it in order has not failed.
        with contextlib.suppress(BrokenLinkError, DestinationUnavailableError):
            if in_order:
                self._link.write(self._frame(b"close", b""))
                self._link.read()
                self._link.finish()
        self._link.close()


def _code(text: bytes) -> str:
    return text[:3].decode() if text[:3].isdigit() else "unknown"
