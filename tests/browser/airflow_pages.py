"""Airflow's pages in a browser: the login, menus, and the tab that holds the coverage page."""

from __future__ import annotations

from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import frame_to_be_available_and_switch_to_it
from selenium.webdriver.support.ui import WebDriverWait

from demo.standalone import USER, Standalone


def log_in(browser: Chrome, airflow: Standalone) -> None:
    """Log in by Airflow's own form."""
    browser.get(airflow.url)
    browser.find_element(By.NAME, "username").send_keys(USER)
    browser.find_element(By.NAME, "password").send_keys(airflow.password, Keys.ENTER)
    browser.find_element(By.XPATH, "//*[text()='Browse']")


def click(browser: Chrome, text: str) -> None:
    """Click a button or link that has a text, and is shown."""
    where = f"//*[(self::button or self::a or @role='menuitem') and normalize-space(.)={text!r}]"
    browser.find_element(By.XPATH, where)
    next(element for element in reversed(browser.find_elements(By.XPATH, where)) if element.is_displayed()).click()


def into_frame(browser: Chrome) -> None:
    """Switch to the frame that the coverage page is in."""
    WebDriverWait(browser, 30).until(
        frame_to_be_available_and_switch_to_it((By.CSS_SELECTOR, "iframe[title^=Imperva]"))
    )


def open_tab(browser: Chrome, airflow: Standalone, dag_id: str) -> None:
    """Open the tab Imperva of a DAG, and switch to its frame."""
    browser.get(f"{airflow.url}/dags/{dag_id}")
    click(browser, "Imperva")
    into_frame(browser)
