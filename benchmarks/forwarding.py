"""``python -m benchmarks.forwarding``: how many events a second of one core go from ``raw/`` to a SIEM; memory, too.

The receivers are processes of their own that take everything and keep nothing. What is measured is the sender alone:
reading ``raw/``, decoding, parsing, choice, format, compression, TLS.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import multiprocessing
import resource
import socket
import ssl
import tempfile
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

from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.forward.address import Address
from airflow_provider_imperva.forward.commits import ForwardedLog, read_log
from airflow_provider_imperva.forward.destination import DestinationOptions
from airflow_provider_imperva.forward.event import Event
from airflow_provider_imperva.forward.outgoing import Outgoing
from airflow_provider_imperva.forward.send import SLICE
from airflow_provider_imperva.forward.transports import open_transport
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.testing.forge import KeyPair
from benchmarks.corpus import Log, forge_corpus

_WAYS: dict[str, dict[str, Any]] = {
    "syslog over TLS, as received": {"transport": "tls"},
    "HEC with gzip, as received": {"transport": "hec"},
    "HEC with gzip, JSON": {"transport": "hec", "format": "json"},
    "bulk with gzip, ECS": {"transport": "bulk", "format": "ecs"},
    "syslog over TLS, CEF to LEEF": {"transport": "tls", "format": "leef"},
}


def main() -> None:
    """Measure, and print a table for the documentation."""
    parser = argparse.ArgumentParser(prog="benchmarks.forwarding", description=__doc__)
    parser.add_argument("--events", type=int, default=60_000, help="of the corpus")
    parser.add_argument("--rounds", type=int, default=3, help="how often it is sent; the median counts")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        certificate, key_file = _certificate(folder)
        pair = KeyPair.generate()
        logs = forge_corpus(pair, events=options.events, logs=max(1, options.events // 10_000))["CEF"]
        ledger, forwarded = _lake(folder / "lake", logs)
        keys = KeyRing({pair.public_key_id: pair.private_key})
        print("| | events a second of the core | MB of memory after the first round | after the last |")
        print("| --- | --: | --: | --: |")
        for way, settings in _WAYS.items():
            server = _serve_http if settings["transport"] in ("hec", "bulk") else _serve_syslog
            with _receiver(server, certificate, key_file) as port:
                address = Address(host="localhost", port=port, password="token", verify=str(certificate))  # noqa: S106
                speeds, memory = [], []
                for _ in range(options.rounds):
                    began = time.process_time()
                    sent = _send(ledger, forwarded, keys, DestinationOptions(**settings), address)
                    speeds.append(sent / (time.process_time() - began))
                    memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
                print(f"| {way} | {sorted(speeds)[len(speeds) // 2]:,.0f} | {memory[0]:,.0f} | {memory[-1]:,.0f} |")


def _send(
    ledger: Ledger, logs: list[ForwardedLog], keys: KeyRing, options: DestinationOptions, address: Address
) -> int:
    outgoing = Outgoing("8416_1745073", options)
    transport = open_transport(options, address)
    waiting: list[Event] = []
    try:
        for log in logs:
            for block in read_log(ledger, log, keys):
                for pieces in outgoing.events(log, block):
                    waiting += pieces
                    if len(waiting) >= SLICE:
                        transport.send(waiting)
                        waiting = []
        transport.send(waiting)
        transport.settle()
    finally:
        transport.close()
    return outgoing.counts.lines


def _lake(root: Path, logs: list[Log]) -> tuple[Ledger, list[ForwardedLog]]:
    import hashlib

    root.mkdir()
    store = open_store(str(root))
    forwarded = []
    for number, log in enumerate(logs, 1):
        store.write(f"raw/{log.name}", log.content)
        sha256 = hashlib.sha256(log.content).hexdigest()
        now = int(time.time() * 1000)
        forwarded.append(ForwardedLog(log.name, log.name, number, f"raw/{log.name}", sha256, now, log.events))
    return Ledger(store, "8416_1745073"), forwarded


@contextmanager
def _receiver(serve: Callable[..., None], certificate: Path, key: Path) -> Iterator[int]:
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


def _serve_syslog(port: int, certificate: Path, key: Path) -> None:
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
        told: dict[str, Any] = {"text": "Success", "code": 0}
        if self.path.endswith("/_bulk"):
            import gzip

            told = {"items": [{"create": {"status": 201}}] * (gzip.decompress(body).count(b"\n") // 2)}
        answer = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _serve_http(port: int, certificate: Path, key: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", port), _Taking)
    server.socket = _context(certificate, key).wrap_socket(server.socket, server_side=True)
    server.serve_forever()


def _certificate(folder: Path) -> tuple[Path, Path]:
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


if __name__ == "__main__":
    main()
