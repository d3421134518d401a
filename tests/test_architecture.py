"""The architecture page is made from the code, and the way that it describes is there."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from pages import architecture

ROOT = Path(__file__).resolve().parent.parent


def test_the_page_is_what_the_code_says() -> None:
    """If not: ``python -m pages.architecture > docs/architecture.md``."""
    assert (ROOT / "docs/architecture.md").read_text() == architecture.page()


def test_every_room_is_on_it() -> None:
    rooms = {path.parent.name for path in (ROOT / architecture.PACKAGE).glob("*/__init__.py")}
    page = architecture.page()
    assert {room for room in rooms if f"│ {room} " not in page and f"- `{room}`: " not in page} == set()


@pytest.mark.parametrize("where", [where for where, _ in architecture.WAY])
def test_each_step_of_the_way_is_there(where: str) -> None:
    name, _, last = where.rpartition(".")
    module = importlib.import_module(f"{architecture.PACKAGE}.{name}")
    assert hasattr(module, last) or importlib.import_module(f"{architecture.PACKAGE}.{where}")
