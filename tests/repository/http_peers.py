"""What stands on the other side in the client's tests: a server of canned answers, a forward proxy, an authority."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Peer:
    """Something that listens on loopback, and the request heads it got."""

    port: int
    heads: list[bytes]


@contextlib.contextmanager
def canned_server(*answers: bytes) -> Iterator[Peer]:
    """Serve one connection after the other: read a request, send the next answer verbatim, hang up."""
    remaining = iter(answers)

    def talk(connection: socket.socket, heads: list[bytes]) -> None:
        heads.append(_read_head(connection))
        connection.sendall(next(remaining))

    with _listening(talk) as peer:
        yield peer


@contextlib.contextmanager
def forward_proxy() -> Iterator[Peer]:
    """Forward plain requests, and open tunnels with CONNECT."""

    def talk(connection: socket.socket, heads: list[bytes]) -> None:
        head = _read_head(connection)
        heads.append(head)
        method, target, _ = head.split(b" ", 2)
        if method == b"CONNECT":
            host, _, port = target.decode().rpartition(":")
            with socket.create_connection((host, int(port))) as upstream:
                connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                answering = threading.Thread(target=_pump, args=(upstream, connection), daemon=True)
                answering.start()
                _pump(connection, upstream)
                answering.join()
        else:
            url = urlsplit(target.decode())
            with socket.create_connection((url.hostname, url.port)) as upstream:
                once = head.replace(target, url.path.encode()).replace(b"keep-alive", b"close")
                upstream.sendall(once)
                _pump(upstream, connection)

    with _listening(talk) as peer:
        yield peer


@contextlib.contextmanager
def _listening(talk: Callable[[socket.socket, list[bytes]], None]) -> Iterator[Peer]:
    heads: list[bytes] = []
    server = socket.create_server(("127.0.0.1", 0), backlog=64)

    def serve_one(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, StopIteration):
            talk(connection, heads)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                threading.Thread(target=serve_one, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield Peer(server.getsockname()[1], heads)
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def _read_head(connection: socket.socket) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        received = connection.recv(1)
        if not received:
            raise OSError("the client hung up")
        head += received
    return head


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while received := source.recv(65536):
            target.sendall(received)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@dataclass(frozen=True)
class Authority:
    """A certificate authority of our own, and a server certificate for 127.0.0.1 that it signed."""

    bundle: Path
    server_context: ssl.SSLContext


def make_authority(folder: Path) -> Authority:
    """Make both with the openssl command."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(
        "req",
        "-x509",
        *new_key,
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-days",
        "2",
        "-subj",
        "/CN=test authority",
        "-addext",
        "basicConstraints=critical,CA:TRUE",
        "-addext",
        "keyUsage=critical,keyCertSign",
    )
    openssl("req", *new_key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=127.0.0.1")
    (folder / "server.ext").write_text("subjectAltName=IP:127.0.0.1\nauthorityKeyIdentifier=keyid\n")
    openssl(
        "x509",
        "-req",
        "-in",
        "server.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "2",
        "-extfile",
        "server.ext",
        "-out",
        "server.pem",
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return Authority(folder / "ca.pem", context)
