"""A receiver of syslog over TCP and TLS that counts octets strictly, as RFC 6587 and 5425 have it."""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
from types import TracebackType
from typing import Self

_LARGEST = 1 << 24


class SyslogReceiver:
    """Listens on loopback and keeps every message that came whole.

    :ivar messages: what came, in order of each connection.
    :ivar errors: what was no frame of octet counting; the connection is closed at it.

    :param ssl_context: to speak TLS.
    :param port: 0 takes a free one.
    """

    def __init__(self, *, ssl_context: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.messages: list[bytes] = []
        self.errors: list[str] = []
        self._server = _Server(port, self, ssl_context)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """End, whatever connections there are."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, receiver: SyslogReceiver, ssl_context: ssl.SSLContext | None) -> None:
        self.receiver = receiver
        self.ssl_context = ssl_context
        super().__init__(("127.0.0.1", port), _Handler)


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        connection: socket.socket = self.request
        try:
            if self.server.ssl_context is not None:
                connection = self.server.ssl_context.wrap_socket(connection, server_side=True)
            with connection.makefile("rb") as stream:
                while length := self._length(stream.read(1), stream):
                    content = stream.read(length)
                    if len(content) < length:
                        return
                    self.server.receiver.messages.append(content)
        except (OSError, ValueError) as error:
            self.server.receiver.errors.append(f"{type(error).__name__}: {error}")
        finally:
            connection.close()

    def _length(self, first: bytes, stream: socket.SocketIO | object) -> int:
        digits = first
        while digits and not digits.endswith(b" "):
            if not digits.isdigit() or len(digits) > 8:
                raise ValueError(f"no octet count, but {digits[:1]!r}")
            digits += stream.read(1)  # type: ignore[union-attr]
        length = int(digits or b"0")
        if length > _LARGEST:
            raise ValueError(f"a message of {length} bytes")
        return length
