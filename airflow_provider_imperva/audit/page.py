"""The coverage page and the overview: files of HTML that need nothing else, no network and no script."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import jinja2
from markupsafe import Markup

from airflow_provider_imperva import __version__
from airflow_provider_imperva.audit import figures, svg
from airflow_provider_imperva.audit.assessment import Assessment
from airflow_provider_imperva.audit.coverage import Coverage, Headroom, by_state
from airflow_provider_imperva.audit.states import SHOWN
from airflow_provider_imperva.audit.summary import Summary
from airflow_provider_imperva.audit.traffic import Lag, Volume
from airflow_provider_imperva.audit.verdict import FINISHED
from airflow_provider_imperva.documentation import troubleshooting

_MOST_BARS = 192
_MOST_POINTS = 400
_BAR_HOURS = (1, 2, 3, 6, 12, 24, 48, 168, 672)
_CLASSES = ("access", "security", "attack_analytics", "other")


def render(covers: Sequence[Coverage], *, lake: str, traffic: str = "") -> str:
    """Write the page of one or more repositories.

    :param covers: of one or more repositories; of several, an overview comes first.
    :param lake: the lake's address.
    :param traffic: address of the page that says what the traffic was, if there is one.
    """
    summaries = [Summary.of(coverage) for coverage in covers]
    return fill(
        "coverage.html.jinja",
        lake=lake,
        traffic=traffic,
        repositories=[_repository(coverage, summary) for coverage, summary in zip(covers, summaries, strict=True)],
        rows=_rows(summaries, at=max((coverage.made_at for coverage in covers), default=None)),
        link="#{}",
    )


def render_overview(summaries: Iterable[Summary], *, lake: str, at: datetime, traffic: str = "") -> str:
    """Write the page of all repositories of a lake at a glance, as it is at ``reports/coverage.html``.

    :param summaries: what was last found out of each.
    :param lake: the lake's address.
    :param at: now, UTC: whatever nobody has looked at since is red.
    :param traffic: as in :func:`render`.
    """
    return fill(
        "overview.html.jinja",
        lake=lake,
        traffic=traffic,
        rows=_rows(summaries, at=at),
        at=at,
        link="repository={}/coverage.html",
    )


def fill(template: str, **values: Any) -> str:
    """Write a page of a template, with the style sheet of all."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("airflow_provider_imperva.audit", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"duration": figures.duration, "size": figures.size, "counted": figures.counted}
    return environment.get_template(template).render(
        version=__version__, shown=SHOWN, classes=_CLASSES, what_to_do=troubleshooting, **values
    )


def _rows(summaries: Iterable[Summary], *, at: datetime | None) -> list[tuple[Summary, Assessment]]:
    """Return the rows of an overview, the worst first."""
    rows = [(summary, summary.assess(at=at or summary.made_at)) for summary in summaries]
    return sorted(rows, key=lambda row: (row[1].level.rank, row[0].repository))


def _repository(coverage: Coverage, summary: Summary) -> dict[str, Any]:
    bar_hours, bars = _bars(coverage.volume)
    return {
        "coverage": coverage,
        "assessment": summary.assess(at=coverage.made_at),
        "fine": sum(count for state, count in coverage.states.items() if state in FINISHED),
        "count": sum(coverage.states.values()),
        "accepted": sum(coverage.accepted.values()),
        "states": [(shown, coverage.states[state]) for state, shown in SHOWN.items() if state in coverage.states],
        "strips": [
            {
                "strip": strip,
                "rows": [
                    (row, svg.strip_row(row, cells=max(len(row.cells) for row in strip.rows))) for row in strip.rows
                ],
            }
            for strip in coverage.strips
        ],
        "absences": by_state(coverage.absences),
        "bar_hours": bar_hours,
        "bars": bars,
        "volume": _volume_chart(bars, bar_hours),
        "volume_most": max((sum(counts.values()) for _, counts in bars), default=0),
        "classes": [name for name in _CLASSES if any(counts[name] for _, counts in bars)],
        "events": sum(item.events for item in coverage.volume),
        "lags": list(_lags(coverage.lags)),
        "headroom": _headroom_chart(coverage),
        "least": min(coverage.headroom, key=lambda item: item.hours, default=None),
        "least_by_day": _least_by_day(coverage.headroom),
    }


def _bars(volume: Sequence[Volume]) -> tuple[int, list[tuple[datetime, Counter[str]]]]:
    """Put hours together so that there are not too many bars; return how many hours each is, and the bars."""
    if not volume:
        return 1, []
    begin = volume[0].hour.replace(hour=0)
    hours = (volume[-1].hour - begin) // timedelta(hours=1) + 1
    step = next((step for step in _BAR_HOURS if hours <= step * _MOST_BARS), _BAR_HOURS[-1])
    counts = [Counter[str]() for _ in range(-(-hours // step))]
    for item in volume:
        counts[(item.hour - begin) // timedelta(hours=step)][item.event_class] += item.events
    return step, [(begin + at * timedelta(hours=step), count) for at, count in enumerate(counts)]


def _volume_chart(bars: Sequence[tuple[datetime, Counter[str]]], hours: int) -> Markup | None:
    if not bars:
        return None
    stacks = [[(name, counts[name]) for name in _CLASSES if counts[name]] for _, counts in bars]
    most = max(bars, key=lambda bar: sum(bar[1].values()))
    each = "hour" if hours == 1 else f"{hours} hours"
    label = f"Events by {each}; the most were {sum(most[1].values()):,} from {most[0]:%Y-%m-%d %H:%M} on"
    return svg.bars(stacks, label=label)


def _lags(lags: Sequence[Lag]) -> Iterator[tuple[Lag, Markup, Markup]]:
    longest = max((max(lag.listed_p99, lag.loaded_p99) for lag in lags), default=1.0)

    def drawn(way: str, half: float, most: float) -> Markup:
        label = f"{way}: median {figures.duration(half)}, p99 {figures.duration(most)}"
        return svg.span(_log(half, longest), _log(most, longest), label=label)

    for lag in lags:
        listed = drawn("Event to log", lag.listed_p50, lag.listed_p99)
        yield lag, listed, drawn("Log to lake", lag.loaded_p50, lag.loaded_p99)


def _log(seconds: float, longest: float) -> float:
    """Place a time between a second and the longest one, by its logarithm."""
    return min(1.0, math.log1p(max(seconds, 0)) / math.log1p(max(longest, 1)))


def _headroom_chart(coverage: Coverage) -> Markup | None:
    points = _thinned(coverage.headroom)
    if not points:
        return None
    begin, end = points[0].at, points[-1].at
    whole = max((end - begin).total_seconds(), 1)
    window = coverage.window / timedelta(hours=1)
    placed = [((item.at - begin).total_seconds() / whole, min(max(item.hours / window, 0), 1)) for item in points]
    least = min(points, key=lambda item: item.hours)
    label = (
        f"Headroom after each commit; the least was {least.hours:.1f} hours on {least.at:%Y-%m-%d %H:%M}, "
        f"it is {points[-1].hours:.1f} hours now"
    )
    marks = [(hours / window, f"{hours} h") for hours in (6, 24) if hours < window]
    return svg.line(placed, marks=marks, label=label)


def _thinned(headroom: Sequence[Headroom]) -> list[Headroom]:
    """Keep the least of as many neighbours as it takes to have few enough points."""
    some = max(1, -(-len(headroom) // _MOST_POINTS))
    return [min(headroom[start : start + some], key=lambda item: item.hours) for start in range(0, len(headroom), some)]


def _least_by_day(headroom: Iterable[Headroom]) -> list[Headroom]:
    least: dict[str, Headroom] = {}
    for item in headroom:
        day = f"{item.at:%Y-%m-%d}"
        if day not in least or item.hours < least[day].hours:
            least[day] = item
    return list(least.values())
