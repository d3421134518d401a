"""A connection of TCP or TLS to a receiver, and the words for what goes wrong with one."""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from airflow_provider_imperva.errors import DestinationError, DestinationRefusedError, DestinationUnavailableError
from airflow_provider_imperva.forward.address import Address

_SEND_BUFFER = 1 << 20
"""Bytes that the system may hold back on our side: a bound on what a broken connection can swallow here."""

_CHUNK = 1 << 16
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0


_UNTRUSTED = (
    "If an authority of your own signed it, set the connection's extra `verify` to the path of that CA bundle (PEM); if"
    " the name does not match, use the name that the certificate has"
)
_MALFORMED = (
    "Have it, or the certificate of its authority, reissued with the extension that is named: Python checks since"
    " 3.13 what RFC 5280 demands of certificates"
)
_STRICT_CODES = range(80, 94)
"""OpenSSL's codes (``X509_V_ERR_...``, x509_vfy.h) for what only ``X509_V_FLAG_X509_STRICT`` checks."""


class BrokenLinkError(Exception):
    """The connection broke, or the other side let it hang."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How long to try to reach a receiver.

    :ivar attempts: how often, before giving up.
    :ivar sleep: how to wait in between.
    """

    attempts: int = 6
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)

    def pause(self, attempt: int) -> None:
        """Wait before an attempt, counted from 1: not before the first, then longer and longer."""
        if attempt > 1:
            longest = min(_FIRST_PAUSE * 2 ** (attempt - 2), _LONGEST_PAUSE)
            self.sleep(longest * random.uniform(0.5, 1))  # noqa: S311


PATIENCE = RetryPolicy()
"""Half a minute, more or less: what lasts longer is for a later run."""


class Link:
    """A connection that bytes are written to and read from.

    :raises DestinationUnavailableError: if the receiver is not reached.
    :raises DestinationRefusedError: if its certificate, or ours, is not accepted.
    """

    def __init__(self, address: Address, *, tls: bool) -> None:
        self._address = address
        self._tls = address.tls() if tls else None
        self._socket = self._connect()

    def write(self, content: bytes) -> None:
        """Write all bytes.

        :raises BrokenLinkError: if that does not work; some of them may have arrived.
        """
        try:
            self._socket.sendall(content)
        except OSError as error:
            raise BrokenLinkError(_describe(error, self._address)) from None

    def read(self) -> bytes:
        """Read what has come, at least a byte.

        :raises BrokenLinkError: if the connection ends, or nothing comes in time.
        """
        try:
            content = self._socket.recv(_CHUNK)
        except OSError as error:
            raise BrokenLinkError(_describe(error, self._address)) from None
        if not content:
            raise BrokenLinkError("the receiver closed the connection")
        return content

    def finish(self) -> None:
        """End the connection in order: wait until the receiver has read it to its end and closes its side too.

        A receiver that dies with unread bytes resets the connection instead.

        :raises BrokenLinkError: if the connection was reset.
        :raises DestinationUnavailableError: if the receiver does not close its side in time. It may hang with all of it
            unread in the buffers of its system, so nothing counts as delivered; to send it once more would not help.
        """
        try:
            self._unwrap()
            self._socket.shutdown(socket.SHUT_WR)
            # Reading on to the end also keeps the system from resetting a connection with unread bytes.
            while self._socket.recv(_CHUNK):
                pass
        except TimeoutError:
            raise DestinationUnavailableError(
                f"the receiver hangs: it did not close the connection within {self._address.read_timeout:g} s after"
                " its end, so it may not have read what was sent",
                do="See whether its queue or disk is full; what is not settled is sent again by a later run. A proxy in"
                " between may keep connections open: send past it, or by RELP or HTTP",
                about=str(self._address),
            ) from None
        except OSError as error:
            raise BrokenLinkError(_describe(error, self._address)) from None
        finally:
            self.close()

    def _unwrap(self) -> None:
        """End TLS with its own closing message, so that the receiver knows that nothing was cut off."""
        if not isinstance(self._socket, ssl.SSLSocket):
            return
        # Many receivers answer with nothing but the end of the connection.
        with contextlib.suppress(ssl.SSLError):
            self._socket.unwrap()
        timeout = self._socket.gettimeout()
        self._socket = socket.socket(fileno=self._socket.detach())
        self._socket.settimeout(timeout)

    def close(self) -> None:
        """Close the connection at once."""
        self._socket.close()

    def _connect(self) -> socket.socket:
        address = self._address
        try:
            plain = socket.create_connection((address.host, address.port), timeout=address.connect_timeout)
        except OSError as error:
            raise DestinationUnavailableError(
                _describe(error, address),
                do="See that the receiver runs and that this worker reaches it by that name and port; what is not sent"
                " is sent by a later run",
                about=str(address),
            ) from None
        try:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if self._tls is None:
                plain.settimeout(address.read_timeout)
                return plain
            secure = self._tls.wrap_socket(plain, server_hostname=address.host)
            secure.settimeout(address.read_timeout)
        except OSError as error:
            plain.close()
            raise tls_failure(error, address) from None
        return secure


def tls_failure(error: Exception, address: Address) -> DestinationError:
    """Describe why TLS did not come about."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return DestinationRefusedError(
            f"the receiver's certificate does not verify ({error.verify_message})",
            do=_MALFORMED if error.verify_code in _STRICT_CODES else _UNTRUSTED,
            about=str(address),
        )
    if isinstance(error, ssl.SSLError):
        return DestinationRefusedError(
            f"TLS does not come about ({error.reason or 'no answer in TLS'})",
            do="See that the receiver speaks TLS 1.2 or later on this port, and whether it demands a client certificate"
            " (the connection's extra `client_certificate` and `client_key`)",
            about=str(address),
        )
    return DestinationUnavailableError(
        _describe(error, address),
        do="See that the receiver runs; what is not sent is sent by a later run",
        about=str(address),
    )


def _describe(error: Exception, address: Address) -> str:
    """Describe what broke, without the text of the libraries."""
    if isinstance(error, socket.gaierror):
        return f"the name {address.host} is not known"
    if isinstance(error, TimeoutError):
        return f"the receiver hangs: nothing moved for {address.read_timeout:g} s"
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return "the receiver broke the connection"
    return f"the connection failed ({type(error).__name__})"
