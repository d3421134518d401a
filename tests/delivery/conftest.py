"""Inboxes: on a disk, on a real S3 server, behind a real SFTP server."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest

from tests.crash.object_server import BUCKET, object_filesystem
from tests.delivery.inbox import NO_REPOSITORY, Deliveries, Inbox
from tests.delivery.sftp_server import Server, sftp_server


@pytest.fixture(scope="session")
def sftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with sftp_server(tmp_path_factory.mktemp("sftp")) as server:
        yield server


def on_disk(request: pytest.FixtureRequest) -> Inbox:
    folder = request.getfixturevalue("tmp_path") / "inbox"
    folder.mkdir()
    fs = fsspec.filesystem("file")
    return Inbox(lambda: fs, str(folder), in_bucket=False, own=fs)


def on_s3(request: pytest.FixtureRequest) -> Inbox:
    url = request.getfixturevalue("s3_url")
    fs = object_filesystem(url)
    return Inbox(lambda: fs, f"{BUCKET}/inbox-{uuid.uuid4().hex}", in_bucket=True, own=fs)


def on_sftp(request: pytest.FixtureRequest) -> Inbox:
    from airflow_provider_imperva.delivery.sftp import OpenedSFTP

    server = request.getfixturevalue("sftp")
    fs = OpenedSFTP(server.connect())
    root = f"/inbox-{uuid.uuid4().hex}"
    fs.makedirs(root)
    return Inbox(lambda: OpenedSFTP(server.connect()), root, in_bucket=False, own=fs)


KINDS: dict[str, Callable[[pytest.FixtureRequest], Inbox]] = {"disk": on_disk, "S3": on_s3, "SFTP": on_sftp}


@pytest.fixture(params=KINDS)
def inbox(request: pytest.FixtureRequest) -> Inbox:
    """An empty folder of each kind, for what has to hold in all."""
    return KINDS[request.param](request)


@pytest.fixture
def disk(request: pytest.FixtureRequest) -> Inbox:
    """An empty folder on a disk."""
    return on_disk(request)


@pytest.fixture
def deliveries(inbox: Inbox, tmp_path: Path) -> Deliveries:
    return Deliveries(NO_REPOSITORY, tmp_path / "lake", inbox=inbox)


@pytest.fixture
def account(disk: Inbox, tmp_path: Path) -> Deliveries:
    """Deliveries to a disk, where the kind of the folder makes no difference."""
    return Deliveries(NO_REPOSITORY, tmp_path / "lake", inbox=disk)
