"""A loaded lake to forward from, and certificates of an authority of one's own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_imperva.load.normalize import NormalizeOptions
from airflow_provider_imperva.testing import FakeRepository
from tests.debian import program
from tests.load.load_runs import Account


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    with FakeRepository() as repository:
        yield Account(repository, tmp_path / "lake")


@pytest.fixture(scope="session")
def loaded() -> dict[tuple[object, ...], Path]:
    """Lakes after the first commit of an account, by what was loaded; not to be changed."""
    return {}


@pytest.fixture
def load(
    account: Account, loaded: dict[tuple[object, ...], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., None]:
    """Load logs of these numbers, in one commit; the same ones into a new lake, without options, only once."""

    def load(*numbers: int, events: int = 50, **options: Any) -> None:
        account.serve(*numbers, events=events, **options)
        if options or account.lake.exists() or account.normalize_options != NormalizeOptions():
            account.run_some()
            return
        key = (*numbers, events)
        if key in loaded:
            account.next_run()
            shutil.copytree(loaded[key], account.lake)
        else:
            account.run_some()
            loaded[key] = Path(shutil.copytree(account.lake, tmp_path_factory.mktemp("loaded") / "lake"))

    return load


@dataclass(frozen=True)
class Certificates:
    """A server's certificate for localhost, signed by itself, and its key."""

    certificate: Path
    key: Path


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    made = Certificates(folder / "certificate.pem", folder / "key.pem")
    subprocess.run(
        [
            program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", made.key, "-out", made.certificate,
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return made
