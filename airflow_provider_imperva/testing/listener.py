"""Servers on loopback that tests start, kill and start again at the same port."""

from __future__ import annotations

import socket
import socketserver
import ssl
import sys
import threading
from types import TracebackType
from typing import Any, Self


class LoopbackServer(socketserver.ThreadingTCPServer):
    """Listens on loopback, with a thread for each connection.

    :param port: 0 takes a free one.
    :param handler: what a connection is given to.
    """

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self, port: int, handler: type[socketserver.BaseRequestHandler], *, ssl_context: ssl.SSLContext | None
    ) -> None:
        self._ssl_context = ssl_context
        self._connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), handler)

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


class OwnedServer(LoopbackServer):
    """A server whose connections belong to a receiver."""

    def __init__(
        self,
        port: int,
        handler: type[socketserver.BaseRequestHandler],
        *,
        ssl_context: ssl.SSLContext | None,
        owner: Any,
    ) -> None:
        self.owner = owner
        super().__init__(port, handler, ssl_context=ssl_context)


class Receiver:
    """Listens on loopback while it is started; what it received stays when it is stopped.

    :param handler: what a connection is given to; its server has the receiver as ``owner``.
    :param ssl_context: to speak TLS.
    :param port: 0 takes a free one, and keeps it.
    """

    def __init__(
        self,
        handler: type[socketserver.BaseRequestHandler],
        *,
        ssl_context: ssl.SSLContext | None = None,
        port: int = 0,
    ) -> None:
        self._handler = handler
        self._ssl_context = ssl_context
        self._server: OwnedServer | None = self._listen(port)
        self.port = int(self._server.server_address[1])
        self._is_serving = False

    def _listen(self, port: int) -> OwnedServer:
        return OwnedServer(port, self._handler, ssl_context=self._ssl_context, owner=self)

    def start(self) -> None:
        """Begin to listen, at the same port as before."""
        if self._is_serving:
            return
        if self._server is None:
            self._server = self._listen(self.port)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self._is_serving = True

    def stop(self) -> None:
        """End every connection, whatever is under way, and listen no more."""
        server, self._server = self._server, None
        if server is None:
            return
        if self._is_serving:
            server.shutdown()
            self._is_serving = False
        # Before a client can notice, so that it finds no listener, and the port is free to be listened at again.
        server.server_close()
        server.close_connections()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
