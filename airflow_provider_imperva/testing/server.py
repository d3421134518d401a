"""The HTTP side of the fake repository: it gives answers as they are, sound or not."""

from __future__ import annotations

import socket
import socketserver
import ssl
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

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


class Server(socketserver.ThreadingTCPServer):
    """Listens on loopback, a thread for each connection.

    :param port: 0 takes a free one.
    :param respond: gives the answer to method, path, ``Authorization`` and ``Range``.
    :param stopped: set once nobody shall wait any more.
    """

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

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
        self._ssl_context = ssl_context
        self._connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection."""
        connection, address = super().get_request()
        if self._ssl_context is not None:
            # The handshake follows with the first read, in the connection's own thread.
            connection = self._ssl_context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self._connections.add(connection)
        return connection, address

    def close_connections(self) -> None:
        """End every connection."""
        for connection in list(self._connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the client was quicker

    def shutdown_request(self, request: Any) -> None:
        """End one connection."""
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet about a client that hung up: that is part of the play."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


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
