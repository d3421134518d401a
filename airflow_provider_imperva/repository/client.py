"""The client of one log repository: fetches ``logs.index`` and logs over HTTPS, and retries what may pass.

It gives back whole bodies or an error. The one thing it cannot see is a body cut by a server that announces neither a
length nor chunks; the checksum in the log's header shows that.
"""

from __future__ import annotations

import logging
import random
import re
import ssl
import time
from collections.abc import Callable, Iterator
from http.cookiejar import DefaultCookiePolicy
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import requests
import tenacity
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth

from airflow_provider_imperva import __version__
from airflow_provider_imperva.errors import ConfigurationError, RepositoryError, RepositoryUnavailableError
from airflow_provider_imperva.repository.answer import IncompleteAnswerError, decode, refusal, too_large
from airflow_provider_imperva.repository.index import INDEX_NAME, LogIndex, is_html, parse_index
from airflow_provider_imperva.repository.names import LogName
from airflow_provider_imperva.repository.url import last_segment, normalize_url, origin, repository_id

logger = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 16
MAX_BODY_BYTES = 512 << 20
"""More than an answer may have. Imperva keeps 500 MB of logs in all, so no log is as large."""
_MAX_REDIRECTS = 3
_BACKOFF = tenacity.wait_exponential_jitter(initial=1, max=60, jitter=1)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class RepositoryClient:
    """Reads the index and the logs of one repository.

    Any number of threads may use one client; at most ``max_concurrency`` requests are under way at once. The API ID
    and key go with every request, from the first on, to the host of ``url`` and to no other; ``.netrc`` is not
    consulted. Proxies (``HTTPS_PROXY``, ``NO_PROXY``) and authorities (``REQUESTS_CA_BUNDLE``) of the environment count
    unless ``proxy`` and ``verify`` say otherwise. A loopback URL with plain http never goes to a proxy of the
    environment, since the key would leave the machine in clear.

    :param url: Log Server URL, put right as :func:`normalize_url` does.
    :param login: API ID of the log set-up.
    :param password: API key of the log set-up.
    :param repository: id of the repository; the last path segment of ``url`` unless given. Letters, digits, ``.``,
        ``_`` and ``-``.
    :param verify: whether to check the server's certificate, or the path of a CA bundle (PEM) or folder to check it by.
    :param proxy: URL of an HTTP proxy for all requests.
    :param connect_timeout: seconds to wait for a connection.
    :param read_timeout: seconds to wait for the next bytes of an answer.
    :param attempts: how often to ask before giving up.
    :param max_concurrency: how many requests may be under way at once.
    :param deadline: seconds a whole answer may take, against one that drips in; 10 read time-outs unless given.
    :param max_body_bytes: the most bytes an answer may have, before and after its content encoding is undone.
    :param sleep: how to wait between attempts.
    :raises ConfigurationError: a value that cannot work.
    """

    def __init__(
        self,
        *,
        url: str,
        login: str,
        password: str,
        repository: str | None = None,
        verify: bool | str = True,
        proxy: str | None = None,
        connect_timeout: float = 10,
        read_timeout: float = 60,
        attempts: int = 5,
        max_concurrency: int = 8,
        deadline: float | None = None,
        max_body_bytes: int = MAX_BODY_BYTES,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        _require_positive(
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            attempts=attempts,
            max_concurrency=max_concurrency,
        )
        self.url = normalize_url(url)
        self.repository = repository_id(self.url, given=repository)
        self._verify = _checked_verify(verify)
        self._proxies = _proxies(proxy)
        self._timeout = (connect_timeout, read_timeout)
        self._attempts = attempts
        self._deadline = 10 * read_timeout if deadline is None else deadline
        self._max_body_bytes = max_body_bytes
        self._sleep = sleep
        self._origin = origin(urlsplit(self.url))
        self._session = _Session()
        self._session.auth = _basic_auth(login, password)
        self._session.headers.update(
            {
                "User-Agent": f"airflow-provider-imperva/{__version__}",
                "Accept": "*/*",
                "Accept-Encoding": "identity",
            }
        )
        self._session.trust_env = self._origin[0] == "https"
        # Nothing of one answer may show in another request, and threads share the jar.
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = HTTPAdapter(pool_maxsize=max_concurrency, pool_block=True)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    @property
    def source(self) -> str:
        """The repository's name as Imperva has it, whatever id it has in the lake."""
        return last_segment(self.url)

    @property
    def settled(self) -> None:
        """A log that is listed has been written to its end."""

    def read_index(self) -> LogIndex:
        """Fetch and read ``logs.index``.

        :raises AuthenticationError: HTTP 401 or 403.
        :raises IndexNotFoundError: HTTP 404.
        :raises InvalidIndexError: what came is not an index.
        :raises RepositoryUnavailableError: no attempt gave a whole answer.
        :raises RepositoryError: any other refusal.
        :raises ConfigurationError: the server's certificate does not verify, or URL or proxy cannot be used.
        """
        return parse_index(self._read(INDEX_NAME), about=self.url + INDEX_NAME)

    def read_log(self, name: LogName) -> bytes:
        """Fetch one log, its bytes as Imperva stored them.

        :raises AuthenticationError: HTTP 401 or 403.
        :raises LogNotFoundError: HTTP 404.
        :raises RepositoryUnavailableError: no attempt gave a whole log.
        :raises RepositoryError: any other refusal.
        :raises ConfigurationError: the server's certificate does not verify, or URL or proxy cannot be used.
        """
        return self._read(str(name.as_listed))

    def read_file(self, name: str) -> bytes:
        """Fetch a log whose name has another form than those known.

        :param name: as the index lists it.
        :raises RepositoryError: as :meth:`read_log`.
        """
        return self._read(name)

    def read_beginning(self, name: LogName, size: int) -> bytes:
        """Fetch the beginning of a log, in one attempt.

        :param size: the most bytes to read.
        :raises RepositoryError: no such log, or no answer.
        """
        url = self.url + str(name.as_listed)
        try:
            with self._session.get(
                url,
                stream=True,
                timeout=self._timeout,
                verify=self._verify,
                proxies=dict(self._proxies),
                headers={"Range": f"bytes=0-{size - 1}"},
                allow_redirects=False,
            ) as response:
                if response.status_code in (404, 410):
                    raise refusal(response, name=str(name), about=url)
                if response.status_code not in (200, 206):
                    raise RepositoryUnavailableError(
                        f"HTTP {response.status_code} for the beginning of a log", do="Nothing is concluded", about=url
                    )
                # A server may give the whole log all the same.
                return bytes(response.raw.read(size, decode_content=False))
        except (requests.RequestException, urllib3.exceptions.HTTPError):
            raise RepositoryUnavailableError(
                "the beginning of a log did not come", do="Nothing is concluded", about=url
            ) from None

    def close(self) -> None:
        """Close the connections kept open between requests."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"RepositoryClient(url={self.url!r}, repository={self.repository!r})"

    def _read(self, name: str) -> bytes:
        def log_retry(state: tenacity.RetryCallState) -> None:
            logger.warning(
                "%s: attempt %d of %d failed (%s); the next in %.1f s",
                name,
                state.attempt_number,
                self._attempts,
                state.outcome and state.outcome.exception(),
                state.upcoming_sleep,
            )

        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._attempts),
            wait=_wait,
            retry=tenacity.retry_if_exception_type(IncompleteAnswerError),
            sleep=self._sleep,
            before_sleep=log_retry,
            reraise=True,
        )
        try:
            return retrying(self._fetch, name)
        except IncompleteAnswerError as last:
            raise RepositoryUnavailableError(
                f"no whole answer in {self._attempts} attempts, the last one: {last}"
                if self._attempts > 1
                else f"no whole answer: {last}",
                do="Wait and run again; if it lasts, see whether this machine reaches the Log Server URL, directly or"
                " by the proxy, and whether Imperva reports an outage",
                about=self.url + name,
            ) from None

    def _fetch(self, name: str) -> bytes:
        """Ask once, and follow redirects within the same host."""
        about = self.url + name
        url = about
        until = time.monotonic() + self._deadline
        for _ in range(_MAX_REDIRECTS + 1):
            try:
                with self._session.get(
                    url,
                    stream=True,
                    timeout=self._timeout,
                    # Given with each request, since the environment outranks what is set on a session.
                    verify=self._verify,
                    proxies=dict(self._proxies),
                ) as response:
                    status = response.status_code
                    if status in _REDIRECTS:
                        logger.debug("%s: HTTP %d", name, status)
                        url = self._redirected(url, response, about=about)
                        continue
                    body = self._body(response, until=until) if status == 200 else b""
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                # The library's error is left out of the traceback: it can quote what the server sent.
                raise self._failure(error) from None
            logger.debug("%s: HTTP %d, %d bytes", name, status, len(body))
            if status != 200:
                raise refusal(response, name=name, about=about)
            if name != INDEX_NAME and is_html(body):
                # A maintenance page kept as a log would stand in raw/ for the log that was lost.
                raise IncompleteAnswerError("an HTML page instead of the log")
            return body
        raise RepositoryError(
            f"more than {_MAX_REDIRECTS} redirects, one after the other",
            do="Set the connection's host to the Log Server URL as the Imperva console shows it",
            about=about,
        )

    def _redirected(self, url: str, response: requests.Response, *, about: str) -> str:
        """Give the URL a redirect leads to, if the credentials may go there."""
        host = "a place that cannot be read"
        try:
            target = urlsplit(urljoin(url, response.headers.get("Location", "")))
            if origin(target) == self._origin:
                return target.geturl()
            if re.fullmatch(r"[A-Za-z0-9.:-]{1,253}", target.hostname or ""):
                host = f"{target.scheme}://{target.hostname}:{origin(target)[2]}"
        except ValueError:
            pass
        raise RepositoryError(
            f"the answer is a redirect (HTTP {response.status_code}) to {host}, which was not followed: the API ID"
            " and key go to no other host",
            do="If that host is Imperva's, set the connection's host to its URL; else see what proxy or portal"
            " stands in between",
            about=about,
        )

    def _body(self, response: requests.Response, *, until: float) -> bytes:
        """Read the body to its end; urllib3 raises when it is shorter than announced.

        :raises RepositoryError: if it is larger than any log.
        """
        # Which, unlike chunks that are joined, never has the body in memory twice.
        body = BytesIO()
        # read1 returns with what has come, so that the clock is looked at however slowly the bytes drip in.
        while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=False):
            body.write(chunk)
            if body.tell() > self._max_body_bytes:
                raise too_large(self._max_body_bytes, about=self.url)
            if time.monotonic() > until:
                raise IncompleteAnswerError(f"the body did not end within {self._deadline:g} s")
        encoding = response.headers.get("Content-Encoding", "identity")
        return decode(body.getvalue(), encoding, most=self._max_body_bytes, about=self.url)

    def _failure(self, error: Exception) -> Exception:
        """Return what the libraries' error means, without quoting it."""
        causes = list(_causes(error))
        for cause in causes:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return ConfigurationError(
                    f"the server's certificate does not verify ({cause.verify_message})",
                    do="If a proxy or an authority of your own signs it, set the connection's extra `verify` to the"
                    " path of that CA bundle (PEM)",
                    about=self.url,
                )
        if isinstance(error, ValueError):
            return ConfigurationError(
                f"requests cannot use this URL or its proxy ({type(error).__name__})",
                do="Correct the connection's host, and its extra `proxy` if there is one",
                about=self.url,
            )
        return IncompleteAnswerError(self._describe(error, causes))

    def _describe(self, error: Exception, causes: list[BaseException]) -> str:
        connect_timeout, read_timeout = self._timeout
        if isinstance(error, requests.ConnectTimeout):
            return f"no connection within {connect_timeout:g} s"
        if isinstance(error, requests.ReadTimeout | urllib3.exceptions.ReadTimeoutError):
            return f"nothing came for {read_timeout:g} s"
        what = "the proxy cannot be used" if isinstance(error, requests.exceptions.ProxyError) else "connection failed"
        system = next((cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror), None)
        return f"{what}: {system or type(causes[-1]).__name__}"


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        # Else requests reads the whole body of a redirect, without bound, before it gives the answer back.
        return None


def _checked_verify(verify: bool | str) -> bool | str:
    # An empty text would turn verification off without a word, and "" is the current folder to Path.
    if isinstance(verify, str) and not (verify and Path(verify).is_dir()):
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(verify)
        except OSError as error:  # ssl.SSLError is one
            raise ConfigurationError(
                f"the CA bundle cannot be used ({error.strerror or type(error).__name__})",
                do="Set the connection's extra `verify` to the path of a readable file of PEM certificates, to true or"
                " to false",
                about=verify,
            ) from None
    return verify


def _proxies(proxy: str | None) -> dict[str, str]:
    if not proxy:
        return {}
    try:
        split = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        usable = split.scheme in {"http", "https"} and bool(split.hostname) and (split.port is None or split.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise ConfigurationError(
            "the proxy cannot be used: it is not an http or https URL",
            do="Set the connection's extra `proxy` to a URL such as http://proxy.example.com:3128",
        )
    return {"http": split.geturl(), "https": split.geturl()}


def _require_positive(**options: float) -> None:
    for name, value in options.items():
        if not value > 0:
            raise ConfigurationError(
                f"{name} is {value}", do=f"Set the connection's extra `{name}` to a number above 0"
            )


def _basic_auth(login: str, password: str) -> HTTPBasicAuth:
    if not login or not password or ":" in login:
        raise ConfigurationError(
            "the API ID or the API key is missing, or the API ID holds a colon",
            do="Set login to the API ID and password to the API key that the log set-up page of the console shows",
        )
    # As bytes, since requests takes text for Latin-1.
    return HTTPBasicAuth(login.encode(), password.encode())


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _wait(state: tenacity.RetryCallState) -> float:
    error: Any = state.outcome and state.outcome.exception()
    if error.retry_after is not None:
        # Not before the time asked for, and not all at the same moment.
        return float(error.retry_after + random.uniform(0, 1))  # noqa: S311
    return float(_BACKOFF(state))
