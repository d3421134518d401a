"""Messages on a stream of bytes without acknowledgements: syslog and GELF over TCP and TLS.

That a connection took bytes proves nothing: they may lie in buffers on either side when it breaks. So the last messages
are kept, and sent again once it has broken. What lies farther back counts as settled. At the end the connection is
closed in order, which shows whether the receiver has read it to its end.
"""

from __future__ import annotations

import logging
import socket
from collections import deque
from collections.abc import Callable, Sequence

from airflow_provider_imperva.errors import ConfigurationError, DestinationUnavailableError
from airflow_provider_imperva.forward.address import Address
from airflow_provider_imperva.forward.destination import MARGIN_BYTES
from airflow_provider_imperva.forward.event import Acknowledgement, Event
from airflow_provider_imperva.forward.link import PATIENCE, BrokenLinkError, Link, RetryPolicy

logger = logging.getLogger(__name__)

LARGEST_DATAGRAM = 1400
"""Bytes of a message by UDP that are not cut into pieces on the way, of which one lost loses all."""


class StreamTransport:
    """Sends framed messages over TCP or TLS.

    :param frame: writes an event as the bytes of the stream.
    :param margin: bytes that are sent again after a broken connection.
    """

    def __init__(
        self,
        address: Address,
        *,
        tls: bool,
        frame: Callable[[Event], bytes],
        margin: int = MARGIN_BYTES,
        retry_policy: RetryPolicy = PATIENCE,
    ) -> None:
        self.acknowledged = 0
        self.resent = 0
        self.refused: dict[str, int] = {}
        self.acknowledgement: Acknowledgement = "delivered"
        self._address = address
        self._tls = tls
        self._frame = frame
        self._margin = margin
        self._retry_policy = retry_policy
        self._recent: deque[tuple[bytes, int]] = deque()
        self._recent_bytes = 0
        self._link: Link | None = None

    def send(self, events: Sequence[Event]) -> None:
        """Write events to the stream."""
        content = b"".join(map(self._frame, events))
        self._recent.append((content, len(events)))
        self._recent_bytes += len(content)
        while len(self._recent) > 1 and self._recent_bytes - len(self._recent[0][0]) >= self._margin:
            self._forget_oldest()
        try:
            if self._link is None:
                self._link = self._open()
            self._link.write(content)
        except BrokenLinkError as error:
            self._send_again(error)

    def settle(self) -> None:
        """Close the connection in order; if it broke, or the receiver is gone, send the margin again on a new one."""
        for _ in range(self._retry_policy.attempts):
            link, self._link = self._link, None
            if link is None:
                break
            try:
                link.finish()
                # A receiver that was killed may have closed its side as one does that has read everything.
                self._ask_whether_it_lives()
            except BrokenLinkError as error:
                self._send_again(error)
            else:
                break
        else:
            raise self._gave_up("it breaks each connection before it has read it to its end")
        while self._recent:
            self._forget_oldest()

    def _ask_whether_it_lives(self) -> None:
        """Open another connection, and close it.

        :raises BrokenLinkError: if there is no answer.
        """
        try:
            link = Link(self._address, tls=self._tls)
        except DestinationUnavailableError as error:
            raise BrokenLinkError(str(error)) from None
        link.finish()

    def close(self) -> None:
        """Close the connection."""
        if self._link:
            self._link.close()
            self._link = None

    def _forget_oldest(self) -> None:
        content, events = self._recent.popleft()
        self._recent_bytes -= len(content)
        self.acknowledged += events

    def _open(self) -> Link:
        for attempt in range(1, self._retry_policy.attempts + 1):
            self._retry_policy.pause(attempt)
            try:
                return Link(self._address, tls=self._tls)
            except DestinationUnavailableError as error:
                if attempt == self._retry_policy.attempts:
                    raise
                logger.warning("%s Trying again.", error)
        raise AssertionError  # at least one attempt is made

    def _send_again(self, error: Exception) -> None:
        """Send all that is within the margin on a new connection."""
        for _ in range(self._retry_policy.attempts):
            self.close()
            again = sum(events for _, events in self._recent)
            logger.warning(
                "%s: %s. The last %d messages (%d bytes) are sent again",
                self._address,
                error,
                again,
                self._recent_bytes,
            )
            self._link = self._open()
            self.resent += again
            try:
                for content, _ in self._recent:
                    self._link.write(content)
            except BrokenLinkError as another:
                error = another
            else:
                return
        raise self._gave_up(str(error))

    def _gave_up(self, problem: str) -> DestinationUnavailableError:
        return DestinationUnavailableError(
            problem,
            do="See the receiver's own log, whether framing and TLS are those it expects, and whether it demands a"
            " client certificate; what is not settled is sent again by a later run",
            about=str(self._address),
        )


class DatagramTransport:
    """Sends each message as a datagram; nothing is ever known of one that was sent.

    :param write: writes an event as a message.
    """

    def __init__(self, address: Address, *, write: Callable[[Event], bytes]) -> None:
        self.acknowledged = 0
        self.resent = 0
        self.refused: dict[str, int] = {}
        self.acknowledgement: Acknowledgement = "sent"
        self._address = address
        self._write = write
        try:
            family, *_, target = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)[0]
        except socket.gaierror:
            raise ConfigurationError(
                f"the name {address.host} is not known", do="Correct the connection's host", about=str(address)
            ) from None
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._target = target

    def send(self, events: Sequence[Event]) -> None:
        """Send each event, unless it is too large to go in one piece."""
        for event in events:
            message = self._write(event)
            if len(message) > LARGEST_DATAGRAM:
                self.refused["too_large_for_udp"] = self.refused.get("too_large_for_udp", 0) + 1
            else:
                try:
                    self._socket.sendto(message, self._target)
                except OSError as error:
                    raise DestinationUnavailableError(
                        f"a datagram could not be sent ({type(error).__name__})",
                        do="See that this worker reaches the receiver; better, use TLS or RELP",
                        about=str(self._address),
                    ) from None
            self.acknowledged += 1

    def settle(self) -> None:
        """Do nothing: there is nothing to wait for."""

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
