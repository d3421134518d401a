"""A timestamp authority (RFC 3161): OpenSSL's own, behind an HTTP server on loopback."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_CONFIG = """
[tsa]
default_tsa = config
[config]
serial = {folder}/serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
[extensions]
extendedKeyUsage = critical,timeStamping
keyUsage = critical,digitalSignature
"""
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", "/dev/null")
_DAYS = "3650"


@dataclass(frozen=True, slots=True)
class Authority:
    """An authority that somebody may trust.

    :ivar clock: what time it is there; None for the time of this machine. Another one takes the package ``faketime``.
    """

    folder: Path
    clock: Callable[[], datetime] | None = None

    @property
    def root(self) -> Path:
        """Certificate of its root."""
        return self.folder / "root.pem"

    def make(self) -> Authority:
        self.folder.mkdir(parents=True)
        (self.folder / "tsa.cnf").write_text(_CONFIG.format(folder=self.folder))
        subject = ("-subj", f"/CN=Root of {self.folder.name}")
        is_root = ("-x509", "-days", _DAYS, "-addext", "basicConstraints=critical,CA:TRUE")
        self._openssl("req", *_KEY, *subject, *is_root, "-keyout", "root.key", "-out", "root.pem")
        self._openssl("req", *_KEY, "-subj", f"/CN={self.folder.name}", "-keyout", "tsa.key", "-out", "tsa.csr")
        by_root = ("-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-days", _DAYS)
        extensions = ("-extfile", "tsa.cnf", "-extensions", "extensions")
        self._openssl("x509", "-req", "-in", "tsa.csr", *by_root, *extensions, "-out", "tsa.pem")
        return self

    def stamp(self, content: bytes) -> bytes:
        """Return a timestamp of a content, as the server's client does."""
        data, query = self.folder / "content", self.folder / "query.tsq"
        data.write_bytes(content)
        self._openssl("ts", "-query", "-data", data, "-sha256", "-cert", "-out", query)
        return self.reply(query.read_bytes())

    def reply(self, request: bytes) -> bytes:
        """Answer a request."""
        query, response = self.folder / "query.tsq", self.folder / "response.tsr"
        query.write_bytes(request)
        signer = ("-config", "tsa.cnf", "-signer", "tsa.pem", "-inkey", "tsa.key")
        self._openssl("ts", "-reply", *signer, "-queryfile", query, "-out", response)
        return response.read_bytes()

    def verifies(self, content: Path, timestamp: Path) -> bool:
        """Have OpenSSL verify a timestamp."""
        done = self._run("ts", "-verify", "-data", content, "-in", timestamp, "-CAfile", self.root)
        return done.returncode == 0

    @contextmanager
    def serve(self, change: Callable[[bytes], bytes] = bytes, status: int = 200) -> Iterator[str]:
        """Serve it on loopback; yields its URL.

        :param change: what becomes of its responses on their way.
        """
        authority, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = self.rfile.read(int(self.headers["Content-Length"]))
                with lock:
                    response = change(authority.reply(request))
                self.send_response(status)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.send_header("Content-Length", str(len(response)))
                self.end_headers()
                self.wfile.write(response)

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{server.server_port}/tsr"
            server.shutdown()

    def _openssl(self, *arguments: str | Path) -> None:
        self._run(*arguments).check_returncode()

    def _run(self, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
        command = ["openssl", *map(str, arguments)]
        if self.clock:
            command = ["faketime", "-f", f"@{self.clock():%Y-%m-%d %H:%M:%S}", *command]
        zone = os.environ | {"TZ": "UTC"}
        return subprocess.run(command, cwd=self.folder, env=zone, capture_output=True, check=False)
