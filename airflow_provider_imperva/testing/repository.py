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
import re
import ssl
import threading
from collections import Counter, defaultdict, deque
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from airflow_provider_imperva.clock import Clock, wall_clock
from airflow_provider_imperva.repository.index import INDEX_NAME
from airflow_provider_imperva.repository.names import LogName
from airflow_provider_imperva.testing.faults import CALM, Fault, FaultScript
from airflow_provider_imperva.testing.server import Answer, Server
from airflow_provider_imperva.testing.storage import FolderStorage, MemoryStorage, newest

ANY = "*"
"""Stands for every path in :meth:`FakeRepository.fail`."""

_LOGIN_PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><form>...</form></body></html>\n"


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request the repository answered.

    :param time: when it came, UTC.
    :param method: the HTTP method.
    :param path: the path as it was asked for.
    :param status: the status answered; 0 if the connection was closed without an answer.
    :param authorized: whether it carried the right login and password.
    :param bytes: bytes of the body that the client can have read.
    """

    time: datetime
    method: str
    path: str
    status: int
    authorized: bool
    bytes: int


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
    :param clock: gives the time, UTC, by which logs leave the window; a `VirtualClock` lets days pass in no time.
    :param script: what goes wrong, by rules; `fail` goes before it. May be changed later, and begins when it is set.
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
        clock: Clock = wall_clock,
        script: FaultScript = CALM,
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
        self.clock = clock
        self.script = script
        self.index: bytes | None = None
        """Served as ``logs.index`` instead of the list of logs."""
        self.index_missing = False
        """Whether ``logs.index`` answers 404."""
        self.index_final_newline = True
        """Whether the last line of ``logs.index`` ends in a newline."""
        self.files: dict[str, bytes] = {}
        """Logs by names of another form than Imperva's, listed after the others; no window and no byte cap counts."""
        self.peak_requests = 0
        """Most requests that waited for their answer at once; with a ``latency`` it shows a client's concurrency."""
        self._logs: MemoryStorage | FolderStorage = MemoryStorage() if directory is None else FolderStorage(directory)
        self._request_log = request_log
        self._ssl_context = ssl_context
        self._lock = threading.RLock()
        self._requests: list[RequestRecord] = []
        self._faults: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self._under_way = 0
        self._server: Server | None = None
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

    @property
    def script(self) -> FaultScript:
        """What goes wrong, by rules, since it was set."""
        return self._script

    @script.setter
    def script(self, script: FaultScript) -> None:
        self._script = script
        self._script_began = self.clock()
        self._asked: Counter[str] = Counter()

    def start(self) -> Self:
        """Listen and answer, in threads of this process."""
        self._stopped.clear()
        self._server = Server(self.port, self._respond, stopped=self._stopped, ssl_context=self._ssl_context)
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
            self._logs.write(LogName.parse(str(name)), content, added=self.clock().timestamp())

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
            oldest = self.clock().timestamp() - self.window.total_seconds()
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

    def _respond(self, method: str, path: str, authorization: str, wanted: str) -> Answer:
        """Decide the answer to a request, wait as long as it must, and record it."""
        came = self.clock()
        asked = path.removeprefix(f"/{self.name}/") if path.startswith(f"/{self.name}/") else None
        with self._lock:
            self._under_way += 1
            self.peak_requests = max(self.peak_requests, self._under_way)
            fault = self._next_fault(asked)
        try:
            self._stopped.wait(self.latency + fault.stall)
            authorized = self._is_authorized(authorization)
            answer = _spoil(_beginning(self._answer(asked), wanted) if authorized else _UNAUTHORIZED, fault)
        finally:
            with self._lock:
                self._under_way -= 1
        self._record(RequestRecord(came, method, path, answer.status, authorized, min(len(answer.body), answer.length)))
        return answer

    def _next_fault(self, asked: str | None) -> Fault:
        for path in (asked, ANY):
            if path and self._faults[path]:
                return self._faults[path].popleft()
        return self._scripted_fault(asked) if asked else Fault()

    def _scripted_fault(self, asked: str) -> Fault:
        self._asked[asked] += 1
        seconds = (self.clock() - self._script_began).total_seconds()
        return self.script.fault(asked, request=self._asked.total(), asked=self._asked[asked], seconds=seconds)

    def _is_authorized(self, authorization: str) -> bool:
        expected = "Basic " + base64.b64encode(f"{self.login}:{self.password}".encode()).decode()
        return hmac.compare_digest(authorization.encode(), expected.encode())

    def _answer(self, asked: str | None) -> Answer:
        if asked == INDEX_NAME:
            return Answer(404) if self.index_missing else Answer(200, self._index_body())
        if asked in self.files:
            return Answer(200, self.files[asked])
        try:
            name = LogName.listed(asked or "")
        except ValueError:
            return Answer(404)
        if (self.window is not None or self.byte_cap is not None) and name not in self.names():
            return Answer(404)
        with self._lock:
            content = self._logs.read(name)
        return Answer(404) if content is None else Answer(200, content)

    def _index_body(self) -> bytes:
        if self.index is not None:
            return self.index
        lines = "\n".join([*map(str, self.names()), *self.files])
        return (lines + "\n" if lines and self.index_final_newline else lines).encode()

    def _record(self, record: RequestRecord) -> None:
        with self._lock:
            self._requests.append(record)
            if self._request_log is not None:
                line = json.dumps(asdict(record) | {"time": record.time.isoformat()})
                with self._request_log.open("a") as file:
                    file.write(line + "\n")


_UNAUTHORIZED = Answer(401, headers={"WWW-Authenticate": 'Basic realm="logs"'})


def _beginning(answer: Answer, wanted: str) -> Answer:
    """Give the first bytes of an answer, if no more are asked for."""
    match = re.fullmatch(r"bytes=0-(\d{1,18})", wanted)
    if not match or answer.status != 200:
        return answer
    return replace(answer, status=206, body=answer.body[: int(match[1]) + 1])


def _spoil(answer: Answer, fault: Fault) -> Answer:
    """Give the answer as the fault makes it."""
    if fault.hang_up:
        return Answer(0)
    headers = dict(answer.headers)
    status, body = answer.status, answer.body
    if fault.html:
        status, body = 200, _LOGIN_PAGE
    if fault.page is not None:
        status, body = 200, fault.page.encode()
    if fault.redirect is not None:
        status, body = 302, b""
        headers["Location"] = fault.redirect
    if fault.status is not None:
        status, body = fault.status, b""
    if fault.retry_after is not None:
        headers["Retry-After"] = str(fault.retry_after)
    if fault.shorten is not None:
        body = body[: int(len(body) * fault.shorten)]
    announced = len(body) + fault.wrong_length
    if fault.cut is not None:
        body = body[: fault.cut]
    return Answer(
        status,
        body,
        headers,
        announced=announced,
        drip=fault.drip,
        hold=fault.hold,
        close=announced > len(body),
    )
