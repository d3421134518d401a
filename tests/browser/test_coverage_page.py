"""The coverage page in a real browser: light and dark, wide and narrow, by keyboard, in greyscale, without a network.

The pictures it takes are in ``.artifacts/``, to be looked at.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By

from airflow_provider_imperva.audit.coverage import Coverage
from airflow_provider_imperva.audit.states import SHOWN
from tests.browser.chromium import picture, show

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.needs("chromium", "chromium-driver")]

PICTURES = Path(__file__).parents[2] / ".artifacts" / "coverage"
WIDE, NARROW = 1100, 360

# The contrast of an element's text with what is behind it, as WCAG has it.
CONTRAST = """
const light = colour => {
  const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map(Number).map(c => c / 255)
    .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = element => {
  for (; element; element = element.parentElement) {
    const colour = getComputedStyle(element).backgroundColor;
    if (!/, 0\\)$/.test(colour)) return colour;
  }
};
return [...document.querySelectorAll("p, h1, h2, h3, h4, li, dt, dd, dd span, td, th, caption, a, summary, code")]
  .filter(element => element.innerText && element.offsetParent)
  .map(element => {
    const [a, b] = [light(getComputedStyle(element).color), light(behind(element))].sort();
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), element.outerHTML.slice(0, 80)];
  });
"""


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("light", {"width": WIDE}),
        ("dark", {"width": WIDE, "dark": True}),
        ("narrow", {"width": NARROW}),
        ("narrow-dark", {"width": NARROW, "dark": True}),
        ("greyscale", {"width": WIDE, "vision": "achromatopsia"}),
    ],
)
def test_pictures_to_be_looked_at(browser: Chrome, page: Path, name: str, options: dict[str, object]) -> None:
    show(browser, page, **options)  # type: ignore[arg-type]
    picture(browser, PICTURES / f"{name}.png")
    assert (PICTURES / f"{name}.png").stat().st_size > 10_000


@pytest.mark.parametrize("width", [320, NARROW, 768, WIDE])
def test_nothing_is_wider_than_the_window(browser: Chrome, page: Path, width: int) -> None:
    """On a phone, one reads downwards; only tables scroll, each by itself."""
    show(browser, page, width=width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("dark", [False, True])
def test_all_text_has_contrast(browser: Chrome, page: Path, dark: bool) -> None:
    show(browser, page, width=WIDE, dark=dark)
    weak = [(ratio, where) for ratio, where in browser.execute_script(CONTRAST) if ratio < 4.5]
    assert weak == []


def test_dark_mode_is_dark(browser: Chrome, page: Path) -> None:
    colours = []
    for dark in (False, True):
        show(browser, page, width=WIDE, dark=dark)
        colours.append(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))
    light, dark_colour = (sum(int(part) for part in colour[4:-1].split(", ")) for colour in colours)
    assert light > 700 > 100 > dark_colour


def test_it_asks_for_nothing_and_complains_of_nothing(browser: Chrome, page: Path) -> None:
    """One file: no font, no script, no picture from anywhere, and nothing in it that a browser stumbles over."""
    for kind in ("performance", "browser"):
        browser.get_log(kind)
    show(browser, page, width=WIDE)
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = {event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"}
    assert {url for url in asked if not url.startswith("data:")} == {page.as_uri()}
    assert browser.get_log("browser") == []
    assert browser.find_elements(By.TAG_NAME, "script") == []


def test_everything_can_be_reached_and_opened_by_keyboard(browser: Chrome, page: Path) -> None:
    """Links, folded tables and tables that scroll; each shows that it has the focus."""
    show(browser, page, width=NARROW)
    wanted = browser.execute_script("return document.querySelectorAll('a, summary, [tabindex]').length")
    closed = browser.execute_script("return document.querySelectorAll('details:not([open]) [tabindex]').length")
    reached = []
    for _ in range(wanted):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        element = browser.switch_to.active_element
        if element.tag_name == "body":
            break
        assert element.value_of_css_property("outline-style") != "none", str(element.get_attribute("outerHTML"))[:80]
        reached.append(element)
        if element.tag_name == "summary":
            ActionChains(browser).send_keys(Keys.ENTER).perform()
            assert element.find_element(By.XPATH, "..").get_attribute("open") is not None
    assert closed > 0
    assert len(reached) == wanted


def test_states_are_told_apart_without_colour(browser: Chrome, page: Path, covers: list[Coverage]) -> None:
    """Each state but the good one has a letter of its own in every cell, which the legend explains."""
    show(browser, page, width=WIDE)
    legend = browser.find_element(By.CSS_SELECTOR, ".legend:has(.cell)")
    explained = {item.text.split(":")[0] for item in legend.find_elements(By.TAG_NAME, "li")}
    states = covers[0].states
    assert {label.split("\n")[-1] for label in explained} == {SHOWN[state].label for state in states}
    drawn = {cell.state for strip in covers[0].strips for row in strip.rows for cell in row.cells}
    assert len(drawn) > 5
    for state in drawn - {"committed"}:
        assert browser.find_elements(By.CSS_SELECTOR, f".strip .cell.{state}")
        letters = {item.text for item in browser.find_elements(By.CSS_SELECTOR, f".strip .letter.{state}")}
        assert letters == {SHOWN[state].letter}
    assert len({shown.letter for shown in SHOWN.values()}) == len(SHOWN)


def test_greys_of_neighbours_differ(browser: Chrome, page: Path) -> None:
    """Where two classes are stacked, one can tell them apart in greyscale: one is light, the other dark or hatched."""
    show(browser, page, width=WIDE)
    colours = browser.execute_script(
        "return ['access', 'security'].map(name => getComputedStyle(document.querySelector('.bar.' + name)).fill)"
    )
    greys = [
        sum(weight * int(part) for weight, part in zip((0.3, 0.59, 0.11), colour[4:-1].split(", "), strict=True))
        for colour in colours
    ]
    assert all(abs(one - other) > 60 for one, other in pairwise(greys))


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_every_absence_is_named_with_its_reason(
    browser: Chrome, page: Path, covers: list[Coverage], width: int
) -> None:
    """Not on hover, not folded away."""
    show(browser, page, width=width)
    text = browser.find_element(By.TAG_NAME, "main").text
    for found in covers:
        for item in found.absences:
            assert item.name in text
            assert item.reason.split("\n")[0] in " ".join(text.split())
    assert browser.find_elements(By.CSS_SELECTOR, "[title], svg title") == []


def test_drawings_say_what_they_show(browser: Chrome, page: Path, covers: list[Coverage]) -> None:
    """For those who listen to the page."""
    show(browser, page, width=WIDE)
    for drawn in browser.find_elements(By.CSS_SELECTOR, "svg:not(svg svg)"):
        assert drawn.get_attribute("aria-hidden") == "true" or len(drawn.get_attribute("aria-label") or "") > 20
    rows = browser.find_elements(By.CSS_SELECTOR, ".strip svg")
    assert len(rows) == sum(len(strip.rows) for found in covers for strip in found.strips)
    assert "expired from" in "".join(str(row.get_attribute("aria-label")) for row in rows)


def test_the_tree_of_headings_has_no_gap(browser: Chrome, page: Path) -> None:
    show(browser, page, width=WIDE)
    levels = [int(item.tag_name[1]) for item in browser.find_elements(By.CSS_SELECTOR, "h1, h2, h3, h4")]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
