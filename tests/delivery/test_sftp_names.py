"""A folder behind an SFTP server that hands on names as bytes, as OpenSSH does: one of them stops no other."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_imperva.testing.forge import forge_repository
from tests.delivery.inbox import NO_REPOSITORY, Deliveries, Inbox

paramiko = pytest.importorskip("paramiko", reason="paramiko is not installed (apache-airflow-providers-sftp brings it)")


def served(root: Path) -> type:
    """Make the interface of a server of a folder."""

    class Files(paramiko.SFTPServerInterface):  # type: ignore[misc, name-defined]
        def _real(self, path: str) -> Path:
            return root / path.lstrip("/")

        def canonicalize(self, path: str) -> str:
            return os.path.normpath(f"/{path}")

        def list_folder(self, path: str) -> Any:
            found = []
            for file in self._real(path).iterdir():
                attributes = paramiko.SFTPAttributes.from_stat(file.stat())
                attributes.filename = os.fsencode(file.name)
                found.append(attributes)
            return found

        def stat(self, path: str) -> Any:
            try:
                return paramiko.SFTPAttributes.from_stat(self._real(path).stat())
            except OSError as error:
                return paramiko.SFTPServer.convert_errno(error.errno)

        lstat = stat

        def open(self, path: str, flags: int, attr: object) -> Any:
            handle = paramiko.SFTPHandle(flags)
            handle.readfile = self._real(path).open("rb")
            handle.stat = lambda: self.stat(path)
            return handle

    return Files


class Login(paramiko.ServerInterface):  # type: ignore[misc, name-defined]
    def check_auth_none(self, username: str) -> int:
        return int(paramiko.AUTH_SUCCESSFUL)

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return int(paramiko.OPEN_SUCCEEDED)


class Bytes(paramiko.SFTPServer):  # type: ignore[misc, name-defined]
    """paramiko's server, which reads paths as UTF-8 alone."""

    def _process(self, t: int, request_number: int, msg: Any) -> None:
        msg.get_text = lambda: msg.get_string().decode(errors="surrogateescape")
        super()._process(t, request_number, msg)


@pytest.fixture
def sftp(tmp_path: Path) -> Iterator[Inbox]:
    from airflow_provider_imperva.delivery.sftp import OpenedSFTP

    (tmp_path / "root").mkdir()
    key = paramiko.RSAKey.generate(2048)
    listening = socket.create_server(("127.0.0.1", 0))
    transports = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transport.add_server_key(key)
            transport.set_subsystem_handler("sftp", Bytes, served(tmp_path / "root"))
            transport.start_server(server=Login())
            transports.append(transport)

    threading.Thread(target=serve, daemon=True).start()

    def connect() -> OpenedSFTP:
        client = paramiko.SSHClient()
        client._transport = paramiko.Transport(listening.getsockname())
        client._transport.connect(username="anyone")
        client._transport.auth_none("anyone")
        return OpenedSFTP(client)

    yield Inbox(connect, "/", in_bucket=False, own=None)
    listening.close()
    for transport in transports:
        transport.close()


def test_a_name_that_is_no_utf8_is_loaded_and_stops_no_other(sftp: Inbox, tmp_path: Path) -> None:
    account = Deliveries(NO_REPOSITORY, tmp_path / "lake", inbox=sftp)
    for number, name in enumerate((b"bad-\xff\xfe.log", b"sound.log", "Grüße.log".encode()), 1):
        (log,) = forge_repository(1, first=number, events_per_log=3)
        (tmp_path / "root" / os.fsdecode(name)).write_bytes(log.content)
    commit = account.run_some()
    assert commit.totals.logs == {"committed": 3}
    assert {row[0] for row in account.rows()} == {"bad-%FF%FE.log", "sound.log", "Grüße.log"}
