"""A ledger on a disk and one on an object store: the rules are the same."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.store import open_store
from tests.lake.s3_front import Front, moto_server


@pytest.fixture(params=["local", "memory"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Ledger:
    uri = str(tmp_path) if request.param == "local" else f"memory://{uuid.uuid4().hex}"
    return Ledger(open_store(uri), "8416_1745073")


@pytest.fixture
def front() -> Iterator[Front]:
    """An S3 server of Python, behind a front that can make it misbehave."""
    with moto_server() as started:
        yield started


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("who is not root cannot mount a small disk")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)
