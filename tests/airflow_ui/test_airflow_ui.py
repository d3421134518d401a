"""What people see inside Airflow, in a real browser on a real Airflow: pages, links, forms; and what they do not see.

The pictures it takes are in ``.artifacts/``, to be looked at.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import (
    invisibility_of_element,
    visibility_of_element_located,
)
from selenium.webdriver.support.ui import WebDriverWait

from airflow_provider_imperva.get_provider_info import CONNECTION_FIELDS, FIELD_BEHAVIOUR, HOOK_NAME
from demo.setting import Setting
from demo.standalone import USER, Standalone
from tests.browser.airflow_pages import click, into_frame, log_in, open_tab

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.browser,
    pytest.mark.needs("chromium", "chromium-driver"),
    pytest.mark.timeout(600),
]

PICTURES = Path(__file__).parents[2] / ".artifacts" / "airflow"
LOAD = "imperva_logs_to_parquet"
PAGES = ("/imperva/", f"/imperva/dags/{LOAD}")


@pytest.fixture(scope="module")
def logged_in(airflow: Standalone) -> requests.Session:
    """Somebody who has Airflow's cookie, as a browser has it after the login."""
    token = requests.post(
        f"{airflow.url}/auth/token", json={"username": USER, "password": airflow.password}, timeout=60
    ).json()
    session = requests.Session()
    session.cookies.set("_token", token["access_token"])
    return session


@pytest.fixture(scope="module")
def inside(browser: Chrome, airflow: Standalone) -> Chrome:
    """The browser, logged in by Airflow's own form."""
    log_in(browser, airflow)
    return browser


@pytest.fixture(autouse=True)
def one_window(request: pytest.FixtureRequest) -> Iterator[None]:
    """Come back from frames and other windows after each test."""
    yield
    if "inside" in request.fixturenames:
        browser = request.getfixturevalue("inside")
        first, *others = browser.window_handles
        for handle in others:
            browser.switch_to.window(handle)
            browser.close()
        browser.switch_to.window(first)


def picture(browser: Chrome, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    browser.save_screenshot(PICTURES / f"{name}.png")


@pytest.mark.parametrize("path", PAGES)
def test_without_a_login_nothing_is_shown(airflow: Standalone, path: str) -> None:
    answer = requests.get(airflow.url + path, timeout=60)
    assert (answer.status_code, answer.text) == (401, '{"detail":"Not authenticated"}')
    forged = requests.get(airflow.url + path, cookies={"_token": "forged"}, timeout=60)
    assert forged.status_code in (401, 403)
    assert "8416" not in forged.text


@pytest.mark.parametrize(("path", "title"), [(PAGES[0], "Coverage"), (PAGES[1], "Coverage of 8416_1745073")])
def test_a_page_can_do_nothing_and_is_not_kept(
    airflow: Standalone, logged_in: requests.Session, path: str, title: str
) -> None:
    """It comes out of the lake: whoever can write there shall not act in Airflow."""
    answer = logged_in.get(airflow.url + path, timeout=60)
    assert answer.status_code == 200
    assert f"<title>{title}</title>" in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert {"default-src 'none'", "frame-ancestors 'self'", "form-action 'none'"} <= set(policy.split("; "))
    assert "script-src" not in policy
    assert (answer.headers["Cache-Control"], answer.headers["X-Content-Type-Options"]) == ("no-store", "nosniff")


@pytest.mark.parametrize(
    "path",
    [
        "/imperva/dags/nothing",
        "/imperva/dags/..%2F..%2F..%2Fetc%2Fpasswd",
        "/imperva/dags/%2Fetc%2Fpasswd",
        "/imperva/dags/nothing?lake_uri=file:///etc&dag_id=imperva_coverage",
    ],
)
def test_a_request_cannot_name_a_lake_or_a_path(airflow: Standalone, logged_in: requests.Session, path: str) -> None:
    answer = logged_in.get(airflow.url + path, timeout=60)
    assert answer.status_code == 404
    assert "root:" not in answer.text
    assert "8416" not in answer.text


def test_without_a_page_it_says_how_to_make_one(
    airflow: Standalone, logged_in: requests.Session, setting: Setting, tmp_path: Path
) -> None:
    reports = setting.lake / "reports"
    shutil.move(reports, tmp_path)
    try:
        answer = logged_in.get(airflow.url + PAGES[1], timeout=60)
    finally:
        shutil.move(tmp_path / "reports", reports)
    assert answer.status_code == 404
    assert "There is no coverage page yet" in answer.text
    assert "ImpervaCoverageOperator" in answer.text


def test_what_nobody_foresaw_is_no_traceback(
    airflow: Standalone, logged_in: requests.Session, setting: Setting, tmp_path: Path
) -> None:
    page = setting.lake / "reports/repository=8416_1745073/coverage.html"
    shutil.move(page, tmp_path)
    page.mkdir()
    try:
        answer = logged_in.get(airflow.url + PAGES[1], timeout=60)
    finally:
        page.rmdir()
        shutil.move(tmp_path / page.name, page)
    assert answer.status_code == 500
    assert "IsADirectoryError. The log of Airflow&#39;s API server says more." in answer.text
    assert "Traceback" not in answer.text


def test_the_navigation_leads_to_the_coverage_pages(inside: Chrome, airflow: Standalone) -> None:
    inside.get(airflow.url)
    click(inside, "Browse")
    click(inside, "Imperva coverage")
    into_frame(inside)
    picture(inside, "list")
    inside.find_element(By.LINK_TEXT, "imperva_default").click()
    assert inside.find_element(By.TAG_NAME, "h2").text == "Repository 8416_1745073"
    picture(inside, "navigation")


def test_what_is_missing_is_told_where_the_page_would_be(inside: Chrome, airflow: Standalone) -> None:
    open_tab(inside, airflow, "another_account")
    assert "imperva_another: the API server knows no such connection." in inside.find_element(By.TAG_NAME, "main").text
    picture(inside, "missing")


def test_a_dag_of_another_matter_says_that_it_is(inside: Chrome, airflow: Standalone) -> None:
    inside.get(f"{airflow.url}/dags/another_matter/plugin/imperva-coverage")
    into_frame(inside)
    assert inside.find_element(By.TAG_NAME, "h1").text == "This DAG loads no Imperva logs"


def test_a_dag_has_a_tab_with_its_coverage_page(inside: Chrome, airflow: Standalone) -> None:
    open_tab(inside, airflow, LOAD)
    assert inside.find_element(By.TAG_NAME, "h2").text == "Repository 8416_1745073"
    picture(inside, "dag")


def test_the_commit_task_links_to_the_tab(inside: Chrome, airflow: Standalone) -> None:
    [run] = airflow.ask("GET", f"/dags/{LOAD}/dagRuns")["dag_runs"]
    inside.get(f"{airflow.url}/dags/{LOAD}/runs/{run['dag_run_id']}/tasks/commit/details")
    link = inside.find_element(By.LINK_TEXT, "Coverage")
    picture(inside, "commit")
    assert link.get_attribute("href") == f"{airflow.url}/dags/{LOAD}/plugin/imperva-coverage"
    link.click()
    # Airflow 3.1 opens another window, 3.3 does not.
    inside.switch_to.window(inside.window_handles[-1])
    into_frame(inside)
    assert inside.find_element(By.TAG_NAME, "h1").text == "Coverage"


def test_a_task_says_what_it_does(inside: Chrome, airflow: Standalone) -> None:
    inside.get(f"{airflow.url}/dags/{LOAD}/tasks/commit")
    inside.find_element(
        By.XPATH, "//button[contains(., 'Documentation') or contains(@aria-label, 'Documentation')]"
    ).click()
    told = visibility_of_element_located((By.XPATH, "//p[contains(., 'outcome true with one write')]"))
    WebDriverWait(inside, 30).until(told)
    picture(inside, "documentation")


def test_the_connection_form_has_our_fields_with_help(inside: Chrome, airflow: Standalone) -> None:
    inside.get(f"{airflow.url}/connections")
    click(inside, "Add Connection")
    inside.find_element(By.CSS_SELECTOR, "[role=dialog] input[role=combobox]").send_keys(HOOK_NAME, Keys.ENTER)
    form = inside.find_element(By.CSS_SELECTOR, "[role=dialog]")
    standard = form.find_element(By.XPATH, ".//*[text()='Log Server URL']")
    for label in FIELD_BEHAVIOUR["relabeling"].values():
        assert label in form.text
    picture(inside, "connection")
    click(inside, "Extra Fields")
    form.find_element(By.XPATH, f".//*[contains(text(), {CONNECTION_FIELDS['ignore']['label']!r})]")
    WebDriverWait(inside, 30).until(invisibility_of_element(standard))
    picture(inside, "connection-extra")
    for field in CONNECTION_FIELDS.values():
        assert field["label"] in form.text
        assert field["description"] in form.text
