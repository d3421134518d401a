"""The page of example events: each line on it still becomes the row beside it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from airflow_provider_imperva.events.schema.columns import COLUMNS
from pages.example_events import FORMATS, row_of

PAGE = (Path(__file__).parents[2] / "docs/reference/example-events.md").read_text()
BODIES = dict(re.findall(r"^## (\w+)\n\n```text\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL))
TABLE = [[cell.strip("`") for cell in line[2:-2].split(" | ")] for line in PAGE.splitlines() if line.startswith("| `")]


def test_there_is_one_event_in_each_format() -> None:
    assert tuple(BODIES) == FORMATS
    assert len(TABLE) > 30
    assert {name for name, *_ in TABLE} <= {column.name for column in COLUMNS}


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_line_on_the_page_becomes_the_row_beside_it(format_name: str) -> None:
    """If not: ``python -m pages.example_events > docs/reference/example-events.md``."""
    event = row_of(BODIES[format_name], format_name)
    shown = {name: cells[FORMATS.index(format_name)] for name, *cells in TABLE}
    assert {name: event.get(name, "") for name in shown} == shown
