"""A real Chromium, and the coverage page of a lake in which all has happened."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from selenium import webdriver

from airflow_provider_imperva.audit.coverage import Coverage, measure_coverage
from airflow_provider_imperva.audit.history import History, repositories
from airflow_provider_imperva.audit.page import render
from airflow_provider_imperva.lake.store import open_store
from tests.audit.eventful_lake import make_eventful_lake
from tests.browser.chromium import chromium
from tests.once import made_once


@pytest.fixture(scope="session")
def browser() -> Iterator[webdriver.Chrome]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def covers(shared_folder: Path) -> list[Coverage]:
    store = open_store(str(made_once(shared_folder, "eventful-lake", make_eventful_lake)))
    histories = [History.read(store, name) for name in repositories(store)]
    return [measure_coverage(store, history, window=timedelta(hours=48), days=30) for history in histories]


@pytest.fixture(scope="session")
def page(covers: list[Coverage], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "coverage.html"
    path.write_text(render(covers, lake="/lake"), encoding="utf-8")
    return path
