"""``make picture``: takes the README's pictures, of the coverage page and of the tab that shows it in Airflow."""

from __future__ import annotations

import base64
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from airflow_provider_imperva.audit.coverage import measure_coverage
from airflow_provider_imperva.audit.history import History, repositories
from airflow_provider_imperva.audit.page import render
from airflow_provider_imperva.lake.store import open_store
from demo.setting import Setting
from demo.standalone import DAGS, run_dags, standalone
from tests import debian
from tests.audit.eventful_lake import make_eventful_lake
from tests.browser.airflow_pages import log_in, open_tab
from tests.browser.chromium import chromium, show

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
LAKE = "s3://bucket/lake"
"""The lake that the pictures name. They are taken of one in a folder, whose name says nothing to a reader."""

WIDTH = 1000

# From the top of the page to the end of the sequence, which is before the heading after it.
HEIGHT = """
const after = [...document.querySelectorAll("h3")].find(heading => heading.textContent === "What is not loaded");
return Math.floor(after.getBoundingClientRect().top + window.scrollY) - 12;
"""


def main() -> int:
    """Take them; the exit code."""
    if absent := [package for package in debian.missing() if package.name.startswith("chromium")]:
        print(f"The pictures are taken with Chromium. To install it: {debian.install(absent)}", file=sys.stderr)
        return 1
    PICTURES.mkdir(exist_ok=True)
    for name, take in (("coverage.png", take_page), ("in-airflow.png", take_tab)):
        with tempfile.TemporaryDirectory() as folder, chromium() as browser:
            (PICTURES / name).write_bytes(take(browser, Path(folder)))
        print(f"{PICTURES / name}: {(PICTURES / name).stat().st_size:,} bytes")
    return 0


def take_page(browser: Chrome, folder: Path) -> bytes:
    """Take the picture of the coverage page, of a lake in which all has happened; as PNG."""
    lake, page = folder / "lake", folder / "coverage.html"
    make_eventful_lake(lake)
    store = open_store(str(lake))
    history = History.read(store, repositories(store)[0])
    # As a run writes it: at once after its commit.
    at = history.head.committed_at if history.head else None
    coverage = measure_coverage(store, history, window=timedelta(hours=48), days=30, at=at)
    page.write_text(render([coverage], lake=LAKE), encoding="utf-8")
    show(browser, page, width=WIDTH)
    clip = {"x": 0, "y": 0, "width": WIDTH, "height": browser.execute_script(HEIGHT), "scale": 1}
    options = {"format": "png", "captureBeyondViewport": True, "clip": clip}
    return base64.b64decode(browser.execute_cdp_cmd("Page.captureScreenshot", options)["data"])


def take_tab(browser: Chrome, folder: Path) -> bytes:
    """Take the picture of the tab of the DAG that loads, in a whole Airflow that has run it; as PNG."""
    setting = Setting(folder)
    browser.set_window_size(1300, 900)
    browser.implicitly_wait(20)
    with setting.repository() as repository:
        setting.add_logs(repository, count=12, key=setting.new_key(), age_hours=4)
        with standalone(setting, repository) as airflow:
            run_dags(airflow)
            log_in(browser, airflow)
            open_tab(browser, airflow, DAGS[0])
            name = browser.find_element(By.XPATH, "//p[starts-with(., 'Lake')]/code")
            browser.execute_script("arguments[0].textContent = arguments[1]", name, LAKE)
            return browser.get_screenshot_as_png()


if __name__ == "__main__":
    sys.exit(main())
