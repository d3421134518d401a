"""``python analysis/plots.py LAKE``: what the example queries answer about a lake, as one page of plots.

The page needs no network. It shows each plot with the query that it was made from. DuckDB and matplotlib are needed,
and none of this provider's code: it is an example of what an analyst does with a lake.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal

import duckdb
import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

SQL = Path(__file__).resolve().parents[1] / "airflow_provider_imperva" / "examples" / "sql"
Columns = dict[str, list[Any]]

# Told apart by those who do not see colours alike, and in grey (Okabe and Ito).
COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#555555"]
HATCHES = ["", "//", "..", "xx", "\\\\", "++", "oo", "--"]
_MOST_KINDS = len(COLOURS)

mpl.rcParams.update(
    {
        # A name in a log is not a formula, whatever dollars it has.
        "text.parse_math": False,
        # Letters stay letters, and the same lake gives the same page.
        "svg.fonttype": "none",
        "svg.hashsalt": "imperva",
    }
)

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1c1e21; max-width: 60rem; margin: 0 auto; padding: 1rem; }
figure { margin: 2.5rem 0; }
figcaption { color: #4a4f57; }
svg { width: 100%; height: auto; }
pre { background: #f4f5f7; padding: 1rem; overflow-x: auto; font-size: 13px; }
summary { cursor: pointer; color: #1a5fb4; }
"""


def attacks_over_time(axes: Axes, columns: Columns) -> None:
    """Stack the kinds of attack on each hour."""
    hours = sorted(set(columns["hour"]))
    counts: dict[str, dict[Any, int]] = {}
    for hour, attack, events in zip(columns["hour"], columns["attack"], columns["events"], strict=True):
        counts.setdefault(attack, {})[hour] = events
    kinds = sorted(counts, key=lambda kind: -sum(counts[kind].values()))
    shown = [(kind, [counts[kind].get(hour, 0) for hour in hours]) for kind in kinds[: _MOST_KINDS - 1]]
    if rest := kinds[_MOST_KINDS - 1 :]:
        shown.append(("others", [sum(counts[kind].get(hour, 0) for kind in rest) for hour in hours]))
    _stack(axes, hours, shown, width=0.95 / 24, align="edge")
    axes.xaxis.set_major_locator(locator := AutoDateLocator())
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.set(xlabel="hour (UTC)", ylabel="security events")


def blocked_by_rule(axes: Axes, columns: Columns) -> None:
    """Draw a bar for each rule, whatever the site."""
    totals: dict[str, int] = {}
    for rule, blocked in zip(columns["rule"], columns["blocked"], strict=True):
        totals[rule] = totals.get(rule, 0) + blocked
    top = sorted(totals.items(), key=lambda item: -item[1])[:12]
    _bars(axes, [rule for rule, _ in top], [blocked for _, blocked in top])
    axes.set(xlabel="blocked requests")


def top_attackers(axes: Axes, columns: Columns) -> None:
    """Draw a bar for each client, the blocked part of it darker."""
    names = [f"{ip} ({country or '?'})" for ip, country in zip(columns["client_ip"], columns["country"], strict=True)][
        :12
    ]
    events = columns["events"][:12]
    axes.barh(names, events, color="#9ecae1", label="security events")
    axes.barh(names, columns["blocked"][:12], color=COLOURS[0], hatch="//", label="of them blocked")
    axes.invert_yaxis()
    axes.legend(frameon=False)
    axes.set(xlabel="events")


def bot_share(axes: Axes, columns: Columns) -> None:
    """Stack the kinds of client on each site, in percent."""
    sites = list(dict.fromkeys(columns["site"]))
    shares: dict[str, dict[str, float]] = {}
    for site, kind, percent in zip(columns["site"], columns["client_type"], columns["percent_of_site"], strict=True):
        shares.setdefault(kind or "unknown", {})[site] = percent
    kinds = sorted(shares, key=lambda kind: -sum(shares[kind].values()))
    _stack(axes, sites, [(kind, [shares[kind].get(site, 0.0) for site in sites]) for kind in kinds], width=0.6)
    axes.set(ylabel="percent of requests", ylim=(0, 100))


def status_by_site(axes: Axes, columns: Columns) -> None:
    """Stack the classes of status on each site."""
    kinds = {
        "success": "2xx",
        "redirected": "3xx",
        "client_error": "4xx",
        "server_error": "5xx",
        "none": "no response",
    }
    _stack(axes, columns["site"], [(label, columns[kind]) for kind, label in kinds.items()], width=0.6)
    axes.set(ylabel="requests")


def slow_requests(axes: Axes, columns: Columns) -> None:
    """Draw the median and the 95th percentile of each page."""
    pages = [f"{host}{path}" for host, path in zip(columns["host"], columns["path"], strict=True)][:12]
    axes.hlines(pages, columns["median_ms"][:12], columns["p95_ms"][:12], color="#b0b5bd", linewidth=3)
    axes.plot(columns["median_ms"][:12], pages, "o", color=COLOURS[0], label="median")
    axes.plot(columns["p95_ms"][:12], pages, "D", color=COLOURS[5], label="95th percentile")
    axes.invert_yaxis()
    axes.legend(frameon=False)
    axes.set(xlabel="ms from request to end of response", xlim=(0, None))


def delivery_lag(axes: Axes, columns: Columns) -> None:
    """Draw the average and the longest lag of each hour."""
    axes.plot(columns["hour"], columns["average_seconds"], "o-", color=COLOURS[0], label="average")
    axes.plot(columns["hour"], columns["longest_seconds"], "D--", color=COLOURS[5], label="longest")
    axes.xaxis.set_major_locator(locator := AutoDateLocator())
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.legend(frameon=False)
    axes.set(xlabel="hour of the event (UTC)", ylabel="seconds from event to log", ylim=(0, None))


def _stack(
    axes: Axes,
    places: Sequence[Any],
    parts: Sequence[tuple[str, Sequence[float]]],
    *,
    width: float,
    align: Literal["center", "edge"] = "center",
) -> None:
    below = [0.0] * len(places)
    for (label, values), colour, hatch in zip(parts, COLOURS, HATCHES, strict=False):
        look: dict[str, Any] = {"color": colour, "hatch": hatch, "edgecolor": "white", "linewidth": 0.3}
        axes.bar(places, values, width, bottom=below, label=label, align=align, **look)
        below = [low + value for low, value in zip(below, values, strict=True)]
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))


def _bars(axes: Axes, names: Sequence[str], values: Sequence[float]) -> None:
    axes.bar_label(axes.barh(names, values, color=COLOURS[0]), padding=3)
    axes.invert_yaxis()


@dataclass(frozen=True)
class Plot:
    """A question, the query that answers it, and how the answer is drawn."""

    title: str
    query: str
    draw: Callable[[Axes, Columns], None]

    @property
    def sql(self) -> str:
        """The query, what it is about first, as a comment."""
        return (SQL / f"{self.query}.sql").read_text()

    @property
    def about(self) -> str:
        """What the query is about."""
        comment = takewhile(lambda line: line.startswith("--"), self.sql.splitlines())
        return " ".join(line.removeprefix("-- ") for line in comment)


PLOTS = [
    Plot("What kinds of attack come when?", "attacks_over_time", attacks_over_time),
    Plot("Who attacks most?", "top_attackers", top_attackers),
    Plot("Which rules block?", "blocked_by_rule", blocked_by_rule),
    Plot("How much of the traffic is not a browser?", "bot_share", bot_share),
    Plot("How do the sites answer?", "status_by_site", status_by_site),
    Plot("Where do users wait?", "slow_requests", slow_requests),
    Plot("How late do logs come?", "delivery_lag", delivery_lag),
]


def page(lake: str) -> str:
    """Ask every query, and return the page as HTML.

    :raises duckdb.Error: if there is no lake, or one without events.
    """
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute((SQL / "views.duckdb.sql").read_text().replace("{lake}", lake.replace("'", "''")))
    [(events, first, last)] = connection.sql("SELECT count(*), min(event_time), max(event_time) FROM events").fetchall()
    figures = "".join(_figure(plot, connection) for plot in PLOTS)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>What is in the lake</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head><body>'
        f"<h1>What is in the lake</h1><p>{events:,} events in <code>{escape(lake)}</code>, "
        f"from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC.</p>{figures}</body></html>\n"
    )


def _figure(plot: Plot, connection: duckdb.DuckDBPyConnection) -> str:
    answer = connection.sql(plot.sql)
    rows = answer.fetchall()
    columns = dict(zip(answer.columns, map(list, zip(*rows, strict=True)), strict=True)) if rows else {}
    drawing = _svg(plot, columns) if columns else "<p>Nothing found.</p>"
    return (
        f"<figure><h2>{escape(plot.title)}</h2>{drawing}<figcaption>{escape(plot.about)}"
        f"<details><summary>The query</summary><pre>{escape(plot.sql)}</pre></details></figcaption></figure>"
    )


def _svg(plot: Plot, columns: Columns) -> str:
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    plot.draw(axes, columns)
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None, "Title": plot.title})
    return drawn.getvalue()[drawn.getvalue().index("<svg") :]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page; the exit code."""
    parser = argparse.ArgumentParser(prog="python analysis/plots.py", description="Draw what is in a lake.")
    parser.add_argument("lake", help="root of the lake: a path, or whatever DuckDB reads")
    parser.add_argument("--output", type=Path, default=Path("plots.html"), help="the page (default: plots.html)")
    options = parser.parse_args(arguments)
    try:
        options.output.write_text(page(options.lake))
    except duckdb.Error as error:
        print(f"{options.lake} cannot be asked: {error}", file=sys.stderr)
        return 1
    print(f"The page is {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
