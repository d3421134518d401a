"""Receivers, in processes of their own, that take everything and keep nothing."""

from __future__ import annotations

import gzip
import ipaddress
import json
import multiprocessing
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


@contextmanager
def receiver(serve: Callable[..., None], certificate: Path, key: Path) -> Iterator[int]:
    """Run a receiver in a process of its own, and tell its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(port, certificate, key), daemon=True)
    process.start()
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                break
        yield port
    finally:
        process.kill()
        process.join()


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def take_stream(port: int, certificate: Path, key: Path) -> None:
    """Take connections in TLS, and keep nothing."""
    context = _context(certificate, key)
    with socket.create_server(("127.0.0.1", port)) as listening:
        while True:
            plain, _ = listening.accept()
            try:
                with context.wrap_socket(plain, server_side=True) as connection:
                    while connection.recv(1 << 20):
                        pass
            except OSError:
                plain.close()


class _Taking(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        content: dict[str, Any] = {"text": "Success", "code": 0}
        if self.path.endswith("/_bulk"):
            content = {"items": [{"create": {"status": 201}}] * (gzip.decompress(body).count(b"\n") // 2)}
        answer = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def take_requests(port: int, certificate: Path, key: Path) -> None:
    """Take requests by https, and keep nothing."""
    server = ThreadingHTTPServer(("127.0.0.1", port), _Taking)
    server.socket = _context(certificate, key).wrap_socket(server.socket, server_side=True)
    server.serve_forever()


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for localhost and its key."""
    key = generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    (folder / "certificate.pem").write_bytes(made.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return folder / "certificate.pem", folder / "key.pem"
