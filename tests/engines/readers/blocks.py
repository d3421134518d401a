"""The statements of a how-to page, which are what is tested."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGES = ROOT / "docs" / "how-to" / "read"
LAKE = "/srv/lake"
"""What stands on the pages for a lake's root."""

PERIOD = ("2026-06-01", "2026-06-30")
"""What stands on the pages for the period that is asked for."""
_MONTH = "{01..30}"
"""... and for its days, in a pattern."""

_BLOCK = re.compile(r"<!-- tested as: (\w+)(?:, after (\S+))? -->\n```\w+\n(.*?)```", re.DOTALL)

_DAY = re.compile(r"event_date = .*\n\s*AND ")


def blocks(engine: str, lake: str) -> dict[str, str]:
    """Return the statements of an engine's page by name, with a lake's root in its place.

    A statement that comes after a script has the script in front of it.
    """
    page = (PAGES / f"{engine}.md").read_text()
    found: dict[str, str] = {}
    for name, script, code in _BLOCK.findall(page):
        before = (ROOT / script).read_text().replace("{lake}", LAKE) if script else ""
        before = before.replace("0001-01-01", PERIOD[0]).replace("9999-12-31", PERIOD[1])
        found[name] = f"{before}\n{code}".replace(LAKE, lake)
    return found


def by_time_alone(code: str) -> str:
    """Return a statement that asks for hours without naming their day."""
    return _DAY.sub("", code)


def of_first_day(code: str) -> str:
    """Return a statement for the first day of the period alone."""
    return code.replace(PERIOD[1], PERIOD[0]).replace(_MONTH, "{01..01}")
