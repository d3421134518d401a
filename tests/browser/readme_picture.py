"""``make picture``: takes the README's picture of the coverage page, of a lake in which all has happened."""

from __future__ import annotations

import base64
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from airflow_provider_imperva.audit.coverage import measure_coverage
from airflow_provider_imperva.audit.history import History, repositories
from airflow_provider_imperva.audit.page import render
from airflow_provider_imperva.lake.store import open_store
from tests import debian
from tests.audit.eventful_lake import make_eventful_lake
from tests.browser.chromium import chromium, show

PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "coverage.png"
WIDTH = 1000

# From the top of the page to the end of the sequence, which is before the heading after it.
HEIGHT = """
const after = [...document.querySelectorAll("h3")].find(heading => heading.textContent === "What is not loaded");
return Math.floor(after.getBoundingClientRect().top + window.scrollY) - 12;
"""


def main() -> int:
    """Take it; the exit code."""
    if absent := [package for package in debian.missing() if package.name.startswith("chromium")]:
        print(f"The picture is taken with Chromium. To install it: {debian.install(absent)}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        lake, page = Path(folder) / "lake", Path(folder) / "coverage.html"
        make_eventful_lake(lake)
        store = open_store(str(lake))
        history = History.read(store, repositories(store)[0])
        # As a run writes it: at once after its commit.
        at = history.head.committed_at if history.head else None
        found = measure_coverage(store, history, window=timedelta(hours=48), days=30, at=at)
        page.write_text(render([found], lake="s3://bucket/lake"), encoding="utf-8")
        with chromium() as browser:
            show(browser, page, width=WIDTH)
            clip = {"x": 0, "y": 0, "width": WIDTH, "height": browser.execute_script(HEIGHT), "scale": 1}
            options = {"format": "png", "captureBeyondViewport": True, "clip": clip}
            shot = browser.execute_cdp_cmd("Page.captureScreenshot", options)
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_bytes(base64.b64decode(shot["data"]))
    print(f"{PICTURE}: {PICTURE.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
