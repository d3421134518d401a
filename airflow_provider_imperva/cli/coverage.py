"""``imperva-logs coverage``: how completely a lake holds its repositories, on the terminal or as a page."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_imperva.cli.terminal import Commands, add_lake, complain, number, open_lake, progress_bar

if TYPE_CHECKING:
    from rich.console import RenderableType

    from airflow_provider_imperva.audit.coverage import Coverage
    from airflow_provider_imperva.audit.strip import Strip

_SHOWN = 40
"""How many absences are told on a terminal; the page tells all."""

_MARGIN = 32
"""Columns of a row of the strip that are not cells."""


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser("coverage", help="show what is in a lake, and what is not", description=_run.__doc__)
    add_lake(command)
    command.add_argument("--html", type=Path, metavar="FILE", help="write one self-contained page there")
    command.add_argument(
        "--days",
        type=number(int, 1, 36_500),
        default=30,
        metavar="N",
        help="days back for volume and lag, which need the events read; 30",
    )
    command.add_argument(
        "--window", type=number(float, 1, 87_600), metavar="HOURS", help="how long Imperva keeps a log; 48"
    )
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    """Show how completely the logs of each repository are in the lake, how late they come, and what is missing and why.

    Of a damaged lake it shows what can be read, names what cannot, and exits with 1.
    """
    from rich.console import Console

    from airflow_provider_imperva.audit.coverage import cover
    from airflow_provider_imperva.audit.history import History, repositories
    from airflow_provider_imperva.audit.strip import make_strip
    from airflow_provider_imperva.options import WINDOW

    console = Console(highlight=False, markup=False)
    store = open_lake(options)
    window = WINDOW if options.window is None else timedelta(hours=options.window)
    width = max(20, min(console.width - _MARGIN, 120))
    covers = []
    for name in repositories(store, only=options.repository):
        with progress_bar() as progress:
            history = History.read(store, name, progress=progress)
            found = cover(store, history, window=window, days=options.days, progress=progress)
            strips = [make_strip(history, item, width=width) for item in found.numbers]
        for line in _show(found, strips):
            console.print(line)
        covers.append(found)
    if options.html:
        from airflow_provider_imperva.audit.page import render

        try:
            options.html.write_text(render(covers, lake=store.uri()), encoding="utf-8")
        except OSError as error:
            return complain(f"{options.html}: {error.strerror}. Name a file that can be written.", code=2)
        console.print(f"Written to {options.html}")
    unread = [finding for found in covers for finding in found.unread]
    return complain(f"{len(unread)} objects could not be read. Run verify.", code=1) if unread else 0


def _show(found: Coverage, strips: Iterable[Strip]) -> Iterator[RenderableType]:
    from rich.rule import Rule

    yield Rule(found.repository, style="bold")
    if found.head is None:
        yield "No commit could be read."
    else:
        yield f"Commit {found.head}, {found.at:%Y-%m-%d %H:%M} UTC; index last seen {found.observed_at:%m-%d %H:%M}"
    yield _table(found)
    for strip in strips:
        yield from _show_strip(strip)
    yield _legend(found)
    yield from _show_figures(found)
    yield from _show_absences(found)
    for restart in found.restarts:
        yield f"{restart.noticed_at:%Y-%m-%d %H:%M} UTC: a counter began again. {restart} ({restart.reason})"
    for finding in found.unread[:_SHOWN]:
        yield f"Could not be read: {finding.about}: {finding.found}"


def _table(found: Coverage) -> RenderableType:
    from rich.table import Table

    from airflow_provider_imperva.audit.states import SHOWN

    states = [shown for state, shown in reversed(SHOWN.items()) if state in found.states]
    table = Table("prefix", "from", "to")
    for title in ("numbers", *(shown.label for shown in states)):
        table.add_column(title, justify="right")
    for item in found.numbers:
        counts = [item.count, *(item.states.get(shown.state, 0) for shown in states)]
        first = str(item.stretches[0].first) if item.stretches else ""
        table.add_row(item.prefix, first, str(item.highest), *(f"{count:,}" for count in counts))
    return table


def _show_strip(strip: Strip) -> Iterator[RenderableType]:
    from rich.text import Text

    from airflow_provider_imperva.audit.states import SHOWN

    each = "one number" if strip.per_cell == 1 else f"up to {strip.per_cell} numbers, the worst one shown"
    spans = "day" if strip.days == 1 else f"{strip.days} days"
    yield f"Prefix {strip.prefix}: a row for each {spans}, each character {each}"
    for row in strip.rows:
        line = Text(f"{row.day} {row.first:>9} ")
        for cell in row.cells:
            shown = SHOWN[cell.state]
            line.append(shown.letter, style=shown.style)
        line.append(f" {row.last}")
        yield line


def _legend(found: Coverage) -> RenderableType:
    from rich.text import Text

    from airflow_provider_imperva.audit.states import SHOWN

    legend = Text()
    for state, shown in SHOWN.items():
        if state in found.states:
            legend.append(f" {shown.letter} ", style=shown.style)
            legend.append(f"{shown.label}  ")
    return legend


def _show_figures(found: Coverage) -> Iterator[RenderableType]:
    from airflow_provider_imperva.audit.figures import duration

    for item in found.sums:
        mark = "adds up" if item.holds else "DOES NOT ADD UP"
        yield f"{item.total:,} {item.left} = {item.parts:,} {item.right}: {mark}"
    if found.lag:
        lag = found.lag
        yield (
            f"Delivery (p50, p99) over {found.days} days: event to log {duration(lag.listed_p50)}, "
            f"{duration(lag.listed_p99)}; log to lake {duration(lag.loaded_p50)}, {duration(lag.loaded_p99)}"
        )
    if found.headroom:
        least = min(found.headroom, key=lambda item: item.hours)
        now = found.headroom[-1]
        yield f"Headroom {now.hours:.1f} h at the last commit; least {least.hours:.1f} h, {least.at:%Y-%m-%d %H:%M}"


def _show_absences(found: Coverage) -> Iterator[RenderableType]:
    from rich.table import Table

    if not found.absences:
        yield "Every number is loaded, or was skipped by Imperva."
        return
    table = Table("log", "numbers", "state", "since", "reason")
    for item in found.absences[:_SHOWN]:
        since = f"{item.since:%Y-%m-%d %H:%M}" if item.since else ""
        table.add_row(item.name, f"{item.count:,}", item.state, since, item.reason)
    yield table
    if len(found.absences) > _SHOWN:
        yield f"... and {len(found.absences) - _SHOWN} more, which the page of --html names"
