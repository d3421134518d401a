"""Drawings as inline SVG: widths in hundredths of the page, heights and letters in pixels, so that text keeps its size.

Every colour is a class, and every state has a pattern of its own: the page's style sheet has them, for light and dark.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

from airflow_provider_imperva.audit.states import SHOWN
from airflow_provider_imperva.audit.strip import Cell, Row
from airflow_provider_imperva.lake.watermark import State

ROW_HEIGHT = 22
CHART_HEIGHT = 150
_BAR_HEIGHT = 12


def element(name: str, *children: str, **attributes: object) -> Markup:
    """Write an element; an underscore in an attribute's name stands for a hyphen, one at its end for nothing."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_short(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inside = "".join(map(escape, children))
    return Markup(f"<{name}{written}>{inside}</{name}>" if inside else f"<{name}{written}/>")  # noqa: S704


def _short(value: object) -> object:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value


def drawing(*children: str, height: int, label: str) -> Markup:
    """Put a drawing together.

    :param label: what it shows, for those who do not see it.
    """
    return element("svg", *children, width="100%", height=height, role="img", aria_label=label)


def strip_row(row: Row, *, cells: int) -> Markup:
    """Draw a row of the strip.

    :param cells: how many cells fill the width.
    """
    width = 100 / cells
    drawn: list[str] = []
    for first, last, cell in _runs(row.cells):
        place = {"x": f"{_short(first * width)}%", "width": f"{_short((last - first + 1) * width)}%"}
        box = {**place, "y": 1, "height": ROW_HEIGHT - 2}
        drawn.append(element("rect", class_=f"cell {cell.state}", **box))
        if cell.state != State.COMMITTED:
            drawn.append(element("rect", class_=f"pattern {cell.state}", **box))
            drawn += [
                element(
                    "text",
                    SHOWN[cell.state].letter,
                    x=f"{_short((at + 0.5) * width)}%",
                    y=15,
                    class_=f"letter {cell.state}",
                )
                for at in range(first, last + 1)
            ]
    return drawing(*drawn, height=ROW_HEIGHT, label=describe(row))


def describe(row: Row) -> str:
    """Say a row of the strip in words."""
    texts = [f"{SHOWN[cell.state].label} from {start} to {end}" for start, end, cell in _spans(row.cells)]
    return f"{row.day}: {', '.join(texts)}"


def _runs(cells: Sequence[Cell]) -> list[tuple[int, int, Cell]]:
    """Return the first and last position of each run of cells in the same state."""
    runs: list[tuple[int, int, Cell]] = []
    for at, cell in enumerate(cells):
        if runs and runs[-1][2].state == cell.state:
            runs[-1] = (runs[-1][0], at, cell)
        else:
            runs.append((at, at, cell))
    return runs


def _spans(cells: Sequence[Cell]) -> list[tuple[int, int, Cell]]:
    return [(cells[first].first, cells[last].last, cell) for first, last, cell in _runs(cells)]


def bars(stacks: Sequence[Sequence[tuple[str, int]]], *, label: str) -> Markup:
    """Draw stacked bars.

    :param stacks: for each bar its pieces from the bottom up, each a class and a height.
    """
    most = max((sum(count for _, count in stack) for stack in stacks), default=0) or 1
    width = 100 / max(len(stacks), 1)
    drawn = list(_grid())
    for at, stack in enumerate(stacks):
        top = float(CHART_HEIGHT)
        for kind, count in stack:
            height = count * CHART_HEIGHT / most
            top -= height
            box = {"x": f"{_short(at * width + width * 0.08)}%", "width": f"{_short(width * 0.84)}%"}
            drawn.append(element("rect", class_=f"bar {kind}", **box, y=top, height=height))
            drawn.append(element("rect", class_=f"pattern {kind}", **box, y=top, height=height))
    return drawing(*drawn, height=CHART_HEIGHT, label=label)


def _grid() -> Iterable[Markup]:
    for part in (0.0, 0.5, 1.0):
        at = min(max(part * CHART_HEIGHT, 0.5), CHART_HEIGHT - 0.5)
        yield element("line", class_="grid", x1="0%", x2="100%", y1=at, y2=at)


def line(points: Sequence[tuple[float, float]], *, marks: Iterable[tuple[float, str]], label: str) -> Markup:
    """Draw steps from one point to the next.

    :param points: across and up, both 0 to 1.
    :param marks: heights to be marked, each with its text.
    """
    drawn = list(_grid())
    for height, text in marks:
        at = (1 - height) * CHART_HEIGHT
        drawn.append(element("line", class_="mark", x1="0%", x2="100%", y1=at, y2=at))
        drawn.append(element("text", text, class_="note", x="4", y=at - 4))
    if points:
        steps = f"M{points[0][0] * 1000:.1f} {(1 - points[0][1]) * CHART_HEIGHT:.1f}"
        steps += "".join(f"H{x * 1000:.1f}V{(1 - y) * CHART_HEIGHT:.1f}" for x, y in points[1:])
        path = element("path", d=steps, class_="line", vector_effect="non-scaling-stroke")
        inner = {"viewBox": f"0 0 1000 {CHART_HEIGHT}", "preserveAspectRatio": "none"}
        drawn.append(element("svg", path, width="100%", height=CHART_HEIGHT, **inner))
    return drawing(*drawn, height=CHART_HEIGHT, label=label)


def span(half: float, most: float, *, label: str) -> Markup:
    """Draw a bar to the median and a whisker to the hundredth, both 0 to 1 of the width."""
    middle = _BAR_HEIGHT / 2
    return drawing(
        element(
            "rect", class_="median", x="0%", width=f"{_short(max(half, 0.01) * 100)}%", y=2, height=_BAR_HEIGHT - 4
        ),
        element("line", class_="whisker", x1="0%", x2=f"{_short(most * 100)}%", y1=middle, y2=middle),
        element(
            "line", class_="whisker", x1=f"{_short(most * 100)}%", x2=f"{_short(most * 100)}%", y1=1, y2=_BAR_HEIGHT - 1
        ),
        height=_BAR_HEIGHT,
        label=label,
    )
