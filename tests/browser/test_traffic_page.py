"""The page that draws the answers to questions, in a real browser. The pictures it takes are to be looked at."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from airflow_provider_imperva.cli import main
from tests.analysis.question_rows import make_rows
from tests.analysis.test_report import make_lake
from tests.browser.chromium import picture, show
from tests.browser.test_coverage_page import CONTRAST, NARROW, WIDE

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.needs("chromium", "chromium-driver")]

PICTURES = Path(__file__).parents[2] / ".artifacts" / "traffic"


@pytest.fixture(scope="module")
def traffic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("traffic")
    lake = make_lake(folder / "lake", make_rows())
    assert main(["report", str(lake), "--html", str(folder / "traffic.html")]) == 0
    # As people see it who have opened all tables.
    page = (folder / "traffic.html").read_text()
    (folder / "traffic.html").write_text(page.replace("<details>", "<details open>"))
    return folder / "traffic.html"


@pytest.mark.parametrize("width", [NARROW, WIDE])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_and_can_be_read(browser: Chrome, traffic: Path, width: int, dark: bool) -> None:
    show(browser, traffic, width=width, dark=dark)
    picture(browser, PICTURES / f"{width}{'-dark' if dark else ''}.png")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    weak = [(ratio, where) for ratio, where in browser.execute_script(CONTRAST) if ratio < 4.5]
    assert weak == []
