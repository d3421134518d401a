"""A fake repository: a real HTTP server on loopback that serves logs the way Imperva does, with faults on demand.

::

    with FakeRepository() as repository:
        repository.add("8416_1.log", content)
        repository.fail("8416_1.log", Fault(status=503, retry_after=1), Fault(cut=100))
        ...  # repository.url, repository.login and repository.password make a connection
"""

from __future__ import annotations

import base64
import hmac
import json
import socket
import socketserver
import ssl
import sys
import threading
import time
from collections import defaultdict, deque
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from airflow_provider_imperva.repository.index import INDEX_NAME
from airflow_provider_imperva.repository.names import LogName
from airflow_provider_imperva.testing.storage import FolderStorage, MemoryStorage, newest

ANY = "*"
"""Stands for every path in :meth:`FakeRepository.fail`."""

_LOGIN_PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><form>...</form></body></html>\n"
_DRIPS_PER_SECOND = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong with one answer. Without any option the answer is as it should be.

    :param status: answer with this status and no body.
    :param retry_after: value of a ``Retry-After`` header: seconds, or an HTTP date.
    :param cut: announce the whole body, send only its first bytes, this many, and close the connection.
    :param wrong_length: announce this many bytes more (or, below zero, fewer) than are sent.
    :param html: answer with status 200 and a login page.
    :param redirect: answer with status 302 and this ``Location``.
    :param stall: seconds of silence before the answer.
    :param drip: send the body at this many bytes per second.
    """

    status: int | None = None
    retry_after: float | str | None = None
    cut: int | None = None
    wrong_length: int = 0
    html: bool = False
    redirect: str | None = None
    stall: float = 0
    drip: float | None = None


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request the repository answered.

    :param time: when it came, UTC.
    :param method: the HTTP method.
    :param path: the path as it was asked for.
    :param status: the status answered.
    :param authorized: whether it carried the right login and password.
    :param bytes: size of the body as far as it was meant to be sent.
    """

    time: datetime
    method: str
    path: str
    status: int
    authorized: bool
    bytes: int


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    announced: int | None = None
    drip: float | None = None
    close: bool = False

    @property
    def length(self) -> int:
        return len(self.body) if self.announced is None else self.announced


class FakeRepository:
    """A log repository on loopback. A context manager; :meth:`start` and :meth:`stop` do the same by hand.

    Stopping ends every connection; starting again takes the same port, so an outage is ``stop()`` and ``start()``.
    What it serves may be changed at any time, from any thread.

    :param directory: folder of the logs to serve, seen by other processes too; in memory if not given.
    :param name: id of the repository, the path segment of its URL.
    :param login: API ID to ask for.
    :param password: API key to ask for.
    :param port: port to listen on; 0 takes a free one.
    :param latency: seconds before every answer.
    :param window: how long a log is served after it was added (Imperva: 48 hours); for ever if not given.
    :param byte_cap: size of all logs served, in bytes, beyond which the oldest are not (Imperva: about 500 MB).
    :param request_log: file to append each request to, as one line of JSON with the fields of `RequestRecord`.
    :param ssl_context: serves https with it.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        name: str = "8416_1745073",
        login: str = "30432",
        password: str = "fake-api-key",  # noqa: S107
        port: int = 0,
        latency: float = 0.0,
        window: timedelta | None = None,
        byte_cap: int | None = None,
        request_log: Path | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self.name = name
        self.login = login
        self.password = password
        self.port = port
        self.latency = latency
        self.window = window
        self.byte_cap = byte_cap
        self.index: bytes | None = None
        """Served as ``logs.index`` instead of the list of logs."""
        self.index_missing = False
        """Whether ``logs.index`` answers 404."""
        self.index_final_newline = True
        """Whether the last line of ``logs.index`` ends in a newline."""
        self.peak_requests = 0
        """Most requests that waited for their answer at once; with a ``latency`` it tells a client's concurrency."""
        self._logs: MemoryStorage | FolderStorage = MemoryStorage() if directory is None else FolderStorage(directory)
        self._request_log = request_log
        self._ssl_context = ssl_context
        self._lock = threading.RLock()
        self._requests: list[RequestRecord] = []
        self._faults: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self._under_way = 0
        self._server: _Server | None = None
        self._stopped = threading.Event()

    @property
    def url(self) -> str:
        """The Log Server URL, once started."""
        return f"{'https' if self._ssl_context else 'http'}://127.0.0.1:{self.port}/{self.name}/"

    @property
    def requests(self) -> list[RequestRecord]:
        """All requests so far, oldest first."""
        with self._lock:
            return list(self._requests)

    def start(self) -> Self:
        """Listen and answer, in threads of this process."""
        self._stopped.clear()
        self._server = _Server(self, ssl_context=self._ssl_context)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        """End every connection and listen no more. What was added stays."""
        if self._server is not None:
            self._server.shutdown()
            self._server.close_connections()
            self._server.server_close()
            self._server = None
        # Last, so that an answer that stalled finds its connection closed.
        self._stopped.set()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def add(self, name: LogName | str, content: bytes) -> None:
        """Serve this content under a log's name; what was there before is replaced.

        :raises ValueError: it is not the name of a log.
        """
        with self._lock:
            self._logs.write(LogName.parse(str(name)), content)

    def remove(self, name: LogName | str) -> None:
        """Serve a log no more, as if it had left the window.

        :raises KeyError: there is no such log.
        """
        with self._lock:
            self._logs.remove(LogName.parse(str(name)))

    def names(self) -> list[LogName]:
        """List the logs served now, ascending by number: those within window and byte cap."""
        with self._lock:
            stored = self._logs.stored()
        if self.window is not None:
            oldest = time.time() - self.window.total_seconds()
            stored = [log for log in stored if log.added >= oldest]
        if self.byte_cap is not None:
            stored = list(newest(stored, total=self.byte_cap))
        return sorted(log.name for log in stored)

    def fail(self, path: str, *faults: Fault) -> None:
        """Let the next requests for a path go wrong, each in the way of the next fault.

        :param path: a log's name, ``logs.index``, or ``*`` for the requests of any path that has no fault of its own.
        """
        with self._lock:
            self._faults[path].extend(faults)

    def _respond(self, method: str, path: str, authorization: str) -> _Answer:
        """Decide the answer to a request, wait as long as it must, and record it."""
        came = datetime.now(UTC)
        asked = path.removeprefix(f"/{self.name}/") if path.startswith(f"/{self.name}/") else None
        with self._lock:
            self._under_way += 1
            self.peak_requests = max(self.peak_requests, self._under_way)
            fault = self._next_fault(asked)
        try:
            self._stopped.wait(self.latency + fault.stall)
            authorized = self._is_authorized(authorization)
            answer = _spoil(self._answer(asked) if authorized else _UNAUTHORIZED, fault)
        finally:
            with self._lock:
                self._under_way -= 1
        self._record(RequestRecord(came, method, path, answer.status, authorized, len(answer.body)))
        return answer

    def _next_fault(self, asked: str | None) -> Fault:
        for path in (asked, ANY):
            if path and self._faults[path]:
                return self._faults[path].popleft()
        return Fault()

    def _is_authorized(self, authorization: str) -> bool:
        expected = "Basic " + base64.b64encode(f"{self.login}:{self.password}".encode()).decode()
        return hmac.compare_digest(authorization.encode(), expected.encode())

    def _answer(self, asked: str | None) -> _Answer:
        if asked == INDEX_NAME:
            return _Answer(404) if self.index_missing else _Answer(200, self._index_body())
        try:
            name = LogName.parse(asked or "")
        except ValueError:
            return _Answer(404)
        if (self.window is not None or self.byte_cap is not None) and name not in self.names():
            return _Answer(404)
        with self._lock:
            content = self._logs.read(name)
        return _Answer(404) if content is None else _Answer(200, content)

    def _index_body(self) -> bytes:
        if self.index is not None:
            return self.index
        lines = "\n".join(str(name) for name in self.names())
        return (lines + "\n" if lines and self.index_final_newline else lines).encode()

    def _record(self, record: RequestRecord) -> None:
        with self._lock:
            self._requests.append(record)
            if self._request_log is not None:
                line = json.dumps(asdict(record) | {"time": record.time.isoformat()})
                with self._request_log.open("a") as file:
                    file.write(line + "\n")


_UNAUTHORIZED = _Answer(401, headers={"WWW-Authenticate": 'Basic realm="logs"'})


def _spoil(answer: _Answer, fault: Fault) -> _Answer:
    """Give the answer as the fault makes it."""
    headers = dict(answer.headers)
    status, body = answer.status, answer.body
    if fault.html:
        status, body = 200, _LOGIN_PAGE
    if fault.redirect is not None:
        status, body = 302, b""
        headers["Location"] = fault.redirect
    if fault.status is not None:
        status, body = fault.status, b""
    if fault.retry_after is not None:
        headers["Retry-After"] = str(fault.retry_after)
    announced = len(body) + fault.wrong_length
    if fault.cut is not None:
        body = body[: fault.cut]
    return _Answer(
        status,
        body,
        headers,
        announced=announced,
        drip=fault.drip,
        close=announced > len(body),
    )


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, repository: FakeRepository, *, ssl_context: ssl.SSLContext | None) -> None:
        self.repository = repository
        self._ssl_context = ssl_context
        self._connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", repository.port), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self._ssl_context is not None:
            # The handshake follows with the first read, in the connection's own thread.
            connection = self._ssl_context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self._connections.add(connection)
        return connection, address

    def close_connections(self) -> None:
        for connection in list(self._connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the client was quicker

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet about a client that hung up: that is part of the play."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        repository = self.server.repository
        answer = repository._respond(self.command, self.path, self.headers.get("Authorization", ""))
        self.send_response(answer.status)
        for key, value in answer.headers.items():
            self.send_header(key, value)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(answer.length))
        self.end_headers()
        self._send_body(answer, stopped=repository._stopped)
        self.close_connection = self.close_connection or answer.close

    def _send_body(self, answer: _Answer, *, stopped: threading.Event) -> None:
        if answer.drip is None:
            self.wfile.write(answer.body)
            return
        size = max(1, round(answer.drip / _DRIPS_PER_SECOND))
        for start in range(0, len(answer.body), size):
            if stopped.wait(size / answer.drip):
                return
            self.wfile.write(answer.body[start : start + size])

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet: the requests are recorded."""
