"""The architecture page is made from the code, and the way that it describes is there."""

from __future__ import annotations

import importlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_imperva.lake.watermark import ABSENT, Observation, State, begin, decide, observe, reopen
from pages import architecture

ROOT = Path(__file__).resolve().parent.parent


def test_the_page_is_what_the_code_says() -> None:
    """If not: ``python -m pages.architecture > docs/architecture.md``."""
    assert (ROOT / "docs/architecture.md").read_text() == architecture.page()


def test_every_room_is_on_it() -> None:
    rooms = {path.parent.name for path in (ROOT / architecture.PACKAGE).glob("*/__init__.py")}
    page = architecture.page()
    assert {room for room in rooms if f"│ {room} " not in page and f"- `{room}`: " not in page} == set()


@pytest.mark.parametrize("where", [where for where, _ in architecture.WAY] + [step[2] for step in architecture.STEPS])
def test_each_step_of_the_way_is_there(where: str) -> None:
    name, _, last = where.rpartition(".")
    module = importlib.import_module(f"{architecture.PACKAGE}.{name}")
    assert hasattr(module, last) or importlib.import_module(f"{architecture.PACKAGE}.{where}")


AT, WINDOW = datetime(2026, 1, 1, tzinfo=UTC), timedelta(hours=48)


def watched(*indexes: list[int], unwatched: bool = False) -> Observation:
    """Read indexes, the last one much later than the others."""
    seen = begin(indexes[0], at=AT, window=WINDOW)
    prefix = decide(seen.prefix, dict.fromkeys(indexes[0]))
    for hours, index in enumerate(indexes[1:-1], 1):
        prefix = observe(prefix, index, at=AT + timedelta(hours=hours), window=WINDOW, unwatched=False).prefix
    return observe(prefix, indexes[-1], at=AT + 2 * WINDOW, window=WINDOW, unwatched=unwatched)


def state_of(seen: Observation, number: int) -> str:
    pieces = [*seen.prefix.open, *seen.closed]
    return next((piece.state.value for piece in pieces if piece.first <= number <= piece.last), architecture.NEW)


BY_THE_INDEX = {
    (architecture.NEW, State.LISTED): watched([1], [1, 2]),
    (architecture.NEW, State.GAP): watched([1], [1, 3]),
    (architecture.NEW, State.UNOBSERVED): watched([1], [3], unwatched=True),
    (State.GAP, State.LISTED): watched([1], [1, 3], [1, 2, 3]),
    (State.GAP, State.SKIPPED): watched([1], [1, 3], [1, 3]),
    (State.GAP, State.UNOBSERVED): watched([1], [1, 3], [5], unwatched=True),
}
"""What becomes of number 2, by the states it is drawn between."""


def test_the_watermark_takes_each_step_that_is_drawn() -> None:
    drawn = {step[:2]: step[2] for step in architecture.STEPS}
    assert {step for step, where in drawn.items() if where == "lake.watermark.observe"} == BY_THE_INDEX.keys()
    assert {step: state_of(seen, 2) for step, seen in BY_THE_INDEX.items()} == {step: step[1] for step in BY_THE_INDEX}
    assert {step[0] for step, where in drawn.items() if where == "lake.watermark.reopen"} == ABSENT
    reopened = reopen(watched([1], [1, 3], [1, 3]).prefix, [2], at=AT)
    assert state_of(Observation(reopened, ()), 2) == State.LISTED


def test_every_state_is_drawn_with_its_way_to_it() -> None:
    reached = {step[1] for step in architecture.STEPS}
    assert reached == set(State)


@pytest.mark.parametrize("step", [step for step in architecture.STEPS if not step[2].startswith("lake.watermark.")])
def test_what_needs_bytes_is_decided_where_it_says(step: tuple[str, State, str, str]) -> None:
    """Each state is named by the room that decides on it."""
    room = ROOT / architecture.PACKAGE / step[2].partition(".")[0]
    assert any(f"State.{step[1].name}" in path.read_text() for path in room.glob("*.py"))
