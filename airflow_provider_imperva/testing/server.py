"""The HTTP side of the fake repository: it gives answers as they are, sound or not."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from airflow_provider_imperva.testing.listener import LoopbackServer

_DRIPS_PER_SECOND = 10


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, byte for byte and with its pace.

    :param status: the HTTP status; 0 closes the connection without an answer.
    :param announced: the ``Content-Length``; that of the body unless given.
    :param drip: bytes per second of the body.
    :param hold: seconds of silence after the body.
    :param close: whether the connection ends with it.
    """

    status: int
    body: bytes = field(default=b"", repr=False)
    headers: dict[str, str] = field(default_factory=dict)
    announced: int | None = None
    drip: float | None = None
    hold: float = 0
    close: bool = False

    @property
    def length(self) -> int:
        """The length to announce, in bytes."""
        return len(self.body) if self.announced is None else self.announced


class Server(LoopbackServer):
    """Listens on loopback, and gives the answers that a repository has.

    :param port: 0 takes a free one.
    :param respond: gives the answer to method, path, ``Authorization`` and ``Range``.
    :param stopped: set once no request is to wait any longer.
    """

    def __init__(
        self,
        port: int,
        respond: Callable[[str, str, str, str], Answer],
        *,
        stopped: threading.Event,
        ssl_context: ssl.SSLContext | None,
    ) -> None:
        self.respond = respond
        self.stopped = stopped
        super().__init__(port, _Handler, ssl_context=ssl_context)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        answer = self.server.respond(
            self.command, self.path, self.headers.get("Authorization", ""), self.headers.get("Range", "")
        )
        if answer.status == 0:
            self.close_connection = True
            return
        self.send_response(answer.status)
        for key, value in answer.headers.items():
            self.send_header(key, value)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(answer.length))
        self.end_headers()
        self._send_body(answer)
        if answer.hold:
            self.server.stopped.wait(answer.hold)
        self.close_connection = self.close_connection or answer.close

    def _send_body(self, answer: Answer) -> None:
        if answer.drip is None:
            self.wfile.write(answer.body)
            return
        size = max(1, round(answer.drip / _DRIPS_PER_SECOND))
        for start in range(0, len(answer.body), size):
            if self.server.stopped.wait(size / answer.drip):
                return
            self.wfile.write(answer.body[start : start + size])

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet: the requests are recorded."""
