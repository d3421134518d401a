"""Destinations by HTTP: one request for many events, asked again where another try may help.

Token and password go to the destination's own host and to no other: redirects are not followed, and ``.netrc`` is not
consulted. Proxies of the environment count for https unless the address names one.
"""

from __future__ import annotations

import contextlib
import logging
import ssl
from collections.abc import Iterator, Mapping, Sequence
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING

import requests
import urllib3.exceptions
from isal import igzip

from airflow_provider_imperva import __version__
from airflow_provider_imperva.errors import DestinationRefusedError, DestinationUnavailableError
from airflow_provider_imperva.forward.address import Address
from airflow_provider_imperva.forward.event import Acknowledgement, Event
from airflow_provider_imperva.forward.link import PATIENCE, RetryPolicy, tls_failure

if TYPE_CHECKING:
    from requests import PreparedRequest, Response

logger = logging.getLogger(__name__)

_PASSING = frozenset({408, 425, 429})
"""Statuses, besides all of 5xx, after which the same request may succeed."""

_LARGEST_ANSWER = 64 << 20
_LONGEST_RETRY_AFTER = 120.0
_TOO_LARGE = 413
_SMALLEST_BATCH = 64 << 10
"""Batches of this many bytes are gathered all the same: a single large event says nothing of the others."""


class TooLargeRequestError(Exception):
    """The destination takes no request of that size (HTTP 413)."""


class _TransientError(Exception):
    """What another try may put right."""

    def __init__(self, problem: str, *, retry_after: float = 0) -> None:
        super().__init__(problem)
        self.retry_after = retry_after


class Endpoint:
    """What requests go to.

    :param authorization: value of the header ``Authorization``; empty for none.
    :param retry_policy: how often to try.
    """

    def __init__(self, address: Address, *, authorization: str = "", retry_policy: RetryPolicy = PATIENCE) -> None:
        self._address = address
        self._retry_policy = retry_policy
        scheme = "http" if address.plain else "https"
        self._root = f"{scheme}://{address}"
        self._session = requests.Session()
        # Set in any case, since requests looks for credentials in .netrc otherwise.
        self._session.auth = _Authorization(authorization)
        self._session.headers.update({"User-Agent": f"airflow-provider-imperva/{__version__}", "Accept": "*/*"})
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._session.trust_env = not address.plain
        self._verify: bool | str = address.verify
        if address.client_certificate:
            self._session.cert = (
                (address.client_certificate, address.client_key) if address.client_key else address.client_certificate
            )
        self._proxies = {"http": address.proxy, "https": address.proxy} if address.proxy else {}

    def __str__(self) -> str:
        return str(self._address)

    def post(self, path: str, content: bytes, *, headers: Mapping[str, str], zipped: bool = False) -> tuple[int, bytes]:
        """Post something, and return status and body of the answer: 2xx, or 4xx that says what is wrong with it.

        :param path: what stands after host and port.
        :param zipped: whether to compress it.
        :raises TooLargeRequestError: if it is too large.
        :raises DestinationRefusedError: if credentials or certificate are not accepted, or there is a redirect.
        :raises DestinationUnavailableError: if no try succeeds.
        """
        headers = dict(headers)
        if zipped:
            content = igzip.compress(content, compresslevel=1)
            headers["Content-Encoding"] = "gzip"
        last = _TransientError("")
        for attempt in range(1, self._retry_policy.attempts + 1):
            if last.retry_after:
                self._retry_policy.sleep(min(last.retry_after, _LONGEST_RETRY_AFTER))
            else:
                self._retry_policy.pause(attempt)
            try:
                return self._once(path, content, headers)
            except _TransientError as error:
                last = error
                logger.warning("%s: attempt %d of %d: %s", self, attempt, self._retry_policy.attempts, error)
        raise DestinationUnavailableError(
            f"no success in {self._retry_policy.attempts} attempts, the last one: {last}",
            do="See the receiver's own log and its queues; what is not acknowledged is sent again by a later run",
            about=str(self),
        )

    def _once(self, path: str, content: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        address = self._address
        try:
            with self._session.post(
                self._root + path,
                data=content,
                headers=dict(headers),
                timeout=(address.connect_timeout, address.read_timeout),
                verify=self._verify,
                proxies=dict(self._proxies),
                allow_redirects=False,
                stream=True,
            ) as response:
                self._judge(response)
                return response.status_code, response.raw.read(_LARGEST_ANSWER, decode_content=True)
        except requests.exceptions.SSLError as error:
            cause = next((one for one in _causes(error) if isinstance(one, ssl.SSLError)), None)
            raise tls_failure(cause or ssl.SSLError(), address) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise _TransientError(_describe(error, address)) from None
        except OSError:
            raise DestinationRefusedError(
                "the CA bundle or the client's certificate is not there",
                do="Correct the connection's extra `verify`, `client_certificate` and `client_key`",
                about=str(self),
            ) from None

    def _judge(self, response: Response) -> None:
        status = response.status_code
        if status >= 500 or status in _PASSING:
            raise _TransientError(f"HTTP {status}", retry_after=_seconds(response.headers.get("Retry-After", "")))
        if status == _TOO_LARGE:
            raise TooLargeRequestError
        if 300 <= status < 400:
            raise DestinationRefusedError(
                f"the answer is a redirect (HTTP {status}), which is not followed: the token goes to no other host",
                do="Set the connection's host to the address that the receiver really has",
                about=str(self),
            )
        if status in (401, 403):
            raise DestinationRefusedError(
                f"the receiver refuses the credentials (HTTP {status})",
                do="Put a token (or user and password) that is valid and enabled into the connection",
                about=str(self),
            )

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


class HttpTransport:
    """Sends events in batches, each of which is settled once it is answered; subclasses say in which form.

    :param batch_bytes: the most that one request has, before it is compressed.
    :param zipped: whether requests are compressed.
    """

    def __init__(self, endpoint: Endpoint, *, batch_bytes: int, zipped: bool) -> None:
        self.acknowledged = 0
        self.resent = 0
        self.refused: dict[str, int] = {}
        self.acknowledgement: Acknowledgement = "accepted"
        self.endpoint = endpoint
        self.zipped = zipped
        self._batch_bytes = batch_bytes
        self._batch: list[bytes] = []
        self._size = 0

    def encode(self, event: Event) -> bytes:
        """Write an event as a request has it."""
        raise NotImplementedError

    def post(self, pieces: Sequence[bytes]) -> None:
        """Send a batch of encoded events.

        :raises TooLargeRequestError: if it is too large.
        :raises DestinationError: if it cannot be sent.
        """
        raise NotImplementedError

    def send(self, events: Sequence[Event]) -> None:
        """Gather events, and send what makes a batch."""
        for event in events:
            piece = self.encode(event)
            if self._batch and self._size + len(piece) > self._batch_bytes:
                self._flush()
            self._batch.append(piece)
            self._size += len(piece)

    def settle(self) -> None:
        """Send the rest."""
        self._flush()

    def close(self) -> None:
        """Close the connections."""
        self.endpoint.close()

    def refuse(self, reason: str) -> None:
        """Note an event that the destination will never take."""
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def settled(self, events: int) -> None:
        """Note that the oldest events are settled."""
        self.acknowledged += events

    def _flush(self) -> None:
        batch, self._batch, self._size = self._batch, [], 0
        if batch:
            self._post_or_halve(batch)

    def _post_or_halve(self, batch: Sequence[bytes]) -> None:
        try:
            self.post(batch)
        except TooLargeRequestError:
            if len(batch) == 1:
                self.refuse("too_large_for_destination")
                self.settled(1)
                return
            half = len(batch) // 2
            smaller = max(sum(map(len, batch[:half])), _SMALLEST_BATCH)
            if smaller < self._batch_bytes:
                self._batch_bytes = smaller
                logger.warning("%s: HTTP 413; batches are of %d bytes at most from now on", self.endpoint, smaller)
            self._post_or_halve(batch[:half])
            self._post_or_halve(batch[half:])


class _Authorization(requests.auth.AuthBase):
    def __init__(self, value: str) -> None:
        self._value = value

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        if self._value:
            request.headers["Authorization"] = self._value
        return request


def unexpected(endpoint: Endpoint, status: int, *, do: str, reason: str = "") -> DestinationRefusedError:
    """Return the error that an answer is not one that a receiver of this kind gives."""
    detail = f", {reason}" if reason else ""
    return DestinationRefusedError(f"the receiver answers HTTP {status}{detail}", do=do, about=str(endpoint))


def escaped(body: bytes) -> bytes:
    r"""Write line ends within an event as ``\n`` and ``\r``, where a line feed ends events."""
    if b"\n" in body or b"\r" in body:
        body = body.replace(b"\r", rb"\r").replace(b"\n", rb"\n")
    return body


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        return max(float(text), 0.0)
    return 0.0


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting and len(seen) < 20:
        one = waiting.pop()
        if isinstance(one, BaseException) and one not in seen:
            seen.append(one)
            waiting += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
            yield one


def _describe(error: Exception, address: Address) -> str:
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {address.connect_timeout:g} s"
    if isinstance(error, requests.ReadTimeout | urllib3.exceptions.ReadTimeoutError):
        return f"no answer within {address.read_timeout:g} s"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy cannot be used"
    return "the connection failed"
