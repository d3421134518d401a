"""A whole Airflow as `make standalone` runs it, with logs loaded and a coverage page, and a browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from selenium import webdriver

from demo.setting import Setting
from demo.standalone import Standalone, run_dags, standalone
from tests.browser.chromium import chromium

OTHER_DAGS = """
from datetime import datetime
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from airflow_provider_imperva.operators.coverage import ImpervaCoverageOperator

with DAG("another_account", schedule=None, tags=["imperva"]):
    ImpervaCoverageOperator(task_id="coverage", lake_uri="file:///another", imperva_conn_id="imperva_another")

with DAG("another_matter", schedule=None):
    EmptyOperator(task_id="nothing")
"""
"""A second lake, of an account whose connection nobody has made; and a DAG that has nothing to do with all this."""


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    made = Setting(tmp_path_factory.mktemp("standalone"))
    (made.folder / "dags").mkdir()
    (made.folder / "dags" / "others.py").write_text(OTHER_DAGS)
    return made


@pytest.fixture(scope="module")
def airflow(setting: Setting) -> Iterator[Standalone]:
    with setting.repository() as repository:
        setting.add_logs(repository, count=12, key=setting.new_key(), age_hours=4)
        with standalone(setting, repository) as running:
            run_dags(running)
            yield running


@pytest.fixture(scope="module")
def browser(airflow: Standalone) -> Iterator[webdriver.Chrome]:
    with chromium() as started:
        started.set_window_size(1300, 900)
        started.implicitly_wait(20)
        yield started
