"""A fake repository for other containers: that of ``airflow_provider_imperva.testing``, behind TLS.

It listens on loopback, as it is, and a Log Server is asked by https anywhere else. So this makes a certificate, writes
it to ``ca.pem`` in the repository's folder for whoever shall trust it, and passes on what comes by TLS.

    python fake_repository.py FOLDER [--tls-port PORT] [any other option of airflow_provider_imperva.testing]
"""

from __future__ import annotations

import argparse
import asyncio
import ssl
import sys
import tempfile
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from airflow_provider_imperva.testing.__main__ import main as serve_logs

NAME = "fake-repository"
_CHUNK = 65536


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description="A fake Imperva log repository, by https for other machines.")
    parser.add_argument("folder", type=Path, help="where the logs are (logs/), the private keys (keys/) and ca.pem")
    parser.add_argument("--tls-port", type=int, default=8443, help="port to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=8416, help="port on loopback, without TLS (default %(default)s)")
    options, others = parser.parse_known_args()
    front = Front(context=certified(options.folder), tls_port=options.tls_port, port=options.port)
    threading.Thread(target=lambda: asyncio.run(front.serve()), daemon=True).start()
    sys.argv = [sys.argv[0], str(options.folder), "--port", str(options.port), *others]
    serve_logs()


def certified(folder: Path) -> ssl.SSLContext:
    """Make a certificate, publish it in the folder, and return what serves with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME), x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(pem + private)
        file.flush()
        context.load_cert_chain(file.name)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ca.pem").write_bytes(pem)
    return context


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """Takes TLS from anywhere, and passes what is in it on to a port on loopback."""

    context: ssl.SSLContext
    tls_port: int
    port: int

    async def serve(self) -> None:
        """Listen until the program ends."""
        server = await asyncio.start_server(self._pass_on, "0.0.0.0", self.tls_port, ssl=self.context)  # noqa: S104
        await server.serve_forever()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            from_repository, to_repository = await asyncio.open_connection("127.0.0.1", self.port)
            await asyncio.gather(copy(reader, to_repository), copy(from_repository, writer))
        except OSError:
            pass  # one end has gone, or the repository is not there yet: the client sees its connection end
        finally:
            writer.close()


async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Copy until the source ends, and end the target with it."""
    while chunk := await source.read(_CHUNK):
        target.write(chunk)
        await target.drain()
    target.close()


if __name__ == "__main__":
    main()
