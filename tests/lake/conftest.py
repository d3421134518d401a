"""A ledger on a disk and one on an object store: the rules are the same."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.store import open_store


@pytest.fixture(params=["local", "memory"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Ledger:
    uri = str(tmp_path) if request.param == "local" else f"memory://{uuid.uuid4().hex}"
    return Ledger(open_store(uri), "8416_1745073")
