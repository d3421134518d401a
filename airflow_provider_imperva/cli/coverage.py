"""``imperva-logs coverage``: how completely a lake holds its repositories, on the terminal or as a page."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_imperva.cli.terminal import (
    INCOMPLETE,
    Commands,
    add_lake,
    number,
    open_lake,
    print_error,
    progress_bar,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

    from airflow_provider_imperva.audit.assessment import Assessment
    from airflow_provider_imperva.audit.coverage import Coverage
    from airflow_provider_imperva.audit.strip import Strip

_SHOWN = 40
"""How many rows of missing logs and ranges a terminal shows; the page shows all."""

_MARGIN = 32
"""Columns of a row of the strip that are not cells."""


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser("coverage", help="show what is in a lake, and what is not", description=_run.__doc__)
    add_lake(command)
    command.add_argument("--html", type=Path, metavar="FILE", help="write one self-contained page there")
    command.add_argument("--badge", type=Path, metavar="FILE", help="write one line there as a picture (SVG)")
    command.add_argument(
        "--complete", action="store_true", help="exit with 3 if anything is lost or waits, or no run looks any more"
    )
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

    Each repository is green (nothing is lost, and nothing waits for longer than it normally does), amber (nothing is
    lost, and something waits) or red (something is lost, or nobody has looked for half of the time that Imperva keeps
    a log). Exits with 0 whatever the level is; with 1 if objects of a damaged lake could not be read, which are named;
    with --complete, with 3 unless all are green.
    """
    from rich.console import Console

    from airflow_provider_imperva.audit.assessment import Level
    from airflow_provider_imperva.audit.coverage import measure_coverage
    from airflow_provider_imperva.audit.history import History, repositories
    from airflow_provider_imperva.audit.strip import make_strip
    from airflow_provider_imperva.audit.summary import Summary
    from airflow_provider_imperva.lake.layout import TRAFFIC_PAGE
    from airflow_provider_imperva.options import WINDOW

    console = Console(highlight=False, markup=False)
    store = open_lake(options)
    window = WINDOW if options.window is None else timedelta(hours=options.window)
    width = max(20, min(console.width - _MARGIN, 120))
    covers = []
    for name in repositories(store, only=options.repository):
        with progress_bar() as progress:
            history = History.read(store, name, progress=progress)
            coverage = measure_coverage(store, history, window=window, days=options.days, progress=progress)
            strips = [make_strip(history, item, width=width) for item in coverage.numbers]
        for line in _show(coverage, strips):
            console.print(line)
        covers.append(coverage)
    assessments = {coverage.repository: Summary.of(coverage).assess(at=coverage.made_at) for coverage in covers}
    for line in _show_levels(assessments):
        # An address that is broken in two cannot be followed.
        console.print(line, soft_wrap=isinstance(line, str))
    traffic = store.uri(TRAFFIC_PAGE) if store.exists(TRAFFIC_PAGE) else ""
    try:
        for path in _write_files(options, covers, assessments, lake=store.uri(), traffic=traffic):
            console.print(f"Written to {path}")
    except OSError as error:
        return print_error(f"{error.filename}: {error.strerror}. Name a file that can be written.", code=2)
    if unread := [finding for coverage in covers for finding in coverage.unread]:
        return print_error(f"{len(unread)} objects could not be read. Run verify.", code=1)
    is_complete = all(assessment.level is Level.GREEN for assessment in assessments.values())
    return INCOMPLETE if options.complete and not is_complete else 0


def _write_files(
    options: argparse.Namespace,
    covers: list[Coverage],
    assessments: dict[str, Assessment],
    *,
    lake: str,
    traffic: str,
) -> Iterator[Path]:
    from airflow_provider_imperva.audit.badge import badge
    from airflow_provider_imperva.audit.page import render

    if options.html:
        options.html.write_text(render(covers, lake=lake, traffic=traffic), encoding="utf-8")
        yield options.html
    if options.badge:
        # Of several repositories, the worst one.
        repository, assessment = min(assessments.items(), key=lambda item: item[1].level.rank)

        options.badge.write_text(badge(repository, assessment), encoding="utf-8")
        yield options.badge


def _show_levels(assessments: dict[str, Assessment]) -> Iterator[RenderableType]:
    """Show how each repository stands, the answer that people look for; last, where a terminal shows it."""
    from rich.text import Text

    from airflow_provider_imperva.documentation import troubleshooting

    for repository, assessment in assessments.items():
        style = {"red": "bold red", "amber": "yellow", "green": "green"}[assessment.level]
        yield Text(f"{assessment.level.symbol} {repository}: {assessment.headline}.", style=style)
        for note in assessment.notes:
            yield Text(f"  {note.level.symbol} {note.text}. What to do:")
            yield f"    {troubleshooting(note.section)}"


def _show(coverage: Coverage, strips: Iterable[Strip]) -> Iterator[RenderableType]:
    from rich.rule import Rule

    from airflow_provider_imperva.audit.words import describe_states

    yield Rule(coverage.repository, style="bold")
    if coverage.head is None:
        yield "No commit could be read."
    else:
        seen = f"{coverage.observed_at:%m-%d %H:%M}"
        yield f"Commit {coverage.head}, {coverage.at:%Y-%m-%d %H:%M} UTC; index last seen {seen}"
    for item in coverage.numbers:
        first = f" from {item.ranges[0].first}" if item.ranges else ""
        yield f"Prefix {item.prefix}{first} to {item.highest}: {describe_states(item.states)}"
    for strip in strips:
        yield from _show_strip(strip)
    yield _legend(coverage)
    yield from _show_figures(coverage)
    yield from _show_absences(coverage)
    for restart in coverage.restarts:
        yield f"{restart.noticed_at:%Y-%m-%d %H:%M} UTC: a counter began again. {restart} ({restart.reason})"
    for finding in coverage.unread[:_SHOWN]:
        yield f"Could not be read: {finding.about}: {finding.found}"


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


def _legend(coverage: Coverage) -> RenderableType:
    from rich.text import Text

    from airflow_provider_imperva.audit.states import SHOWN

    legend = Text()
    for state, shown in SHOWN.items():
        if state in coverage.states:
            legend.append(f" {shown.letter} ", style=shown.style)
            legend.append(f"{shown.label}  ")
    return legend


def _show_figures(coverage: Coverage) -> Iterator[RenderableType]:
    from airflow_provider_imperva.audit.figures import duration

    for item in coverage.sums:
        mark = "adds up" if item.holds else "DOES NOT ADD UP"
        yield f"{item.total:,} {item.left} = {item.parts:,} {item.right}: {mark}"
    if coverage.lag:
        lag = coverage.lag
        yield (
            f"Lag over {coverage.days} days, median and p99: event to log {duration(lag.listed_p50)}, "
            f"{duration(lag.listed_p99)}; log to lake {duration(lag.loaded_p50)}, {duration(lag.loaded_p99)}"
        )
    if coverage.headroom:
        least = min(coverage.headroom, key=lambda item: item.hours)
        now = coverage.headroom[-1]
        yield f"Headroom {now.hours:.1f} h at the last commit; least {least.hours:.1f} h, {least.at:%Y-%m-%d %H:%M}"


def _show_absences(coverage: Coverage) -> Iterator[RenderableType]:
    """Show what is missing in lines, which fit any terminal as a table with five columns does not."""
    from rich.padding import Padding

    from airflow_provider_imperva.audit.coverage import by_state

    left = _SHOWN
    for group in by_state(coverage.absences):
        yield f"{group.label} ({group.count:,}): {group.meaning}"
        for row in group.rows[:left]:
            count = sum(item.count for item in row)
            numbers = f" ({count:,} numbers)" if count > 1 else ""
            since = f", since {row[0].since:%Y-%m-%d %H:%M}" if row[0].since else ""
            names = ", ".join(item.name for item in row)
            yield Padding(f"{names}{numbers}{since}: {row[0].reason}", (0, 0, 0, 2))
        if len(group.rows) > left:
            yield f"  ... and {len(group.rows) - left} more, which the page of --html names"
        left = max(0, left - len(group.rows))
    if not coverage.absences:
        yield "Every number is loaded, or was skipped by Imperva."
