"""What was measured, as tables for a terminal and for the documentation."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks.seal import Seal
from benchmarks.start import Start

WHOLE = "container to Parquet, {}"
REDACTED = "container to Parquet, secrets redacted, CEF"
TEXT = "text to Arrow, {}"
PLAIN = "text to Arrow without the extension, CEF"
PYCEF = "(a) pycef, pyarrow, zlib: container to Parquet, CEF"
LIMIT = "(b) the limit: no parsing at all, {}"

_OTHERS = ("LEEF", "W3C")

_DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
_BEGIN, _END = "<!-- measured -->\n", "<!-- end of measured -->\n"
_LARGEST = 4
_LIBRARIES = ("pyarrow", "numpy", "isal", "cryptography", "pycef")


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one run of something took, in seconds: by the clock, and of work that the core did for it."""

    clock: float
    core: float

    def __add__(self, other: Timing) -> Timing:
        return Timing(self.clock + other.clock, self.core + other.core)


@dataclass(frozen=True, slots=True)
class Measure:
    """How long something took.

    :param megabytes: MB (millions of bytes) of plain text that it went through.
    :param events: how many events those are.
    :param timings: of each run.
    """

    name: str
    megabytes: float
    events: int
    timings: Sequence[Timing]

    @property
    def format(self) -> str:
        """The format of what it went through."""
        return self.name.rpartition(", ")[2]

    @property
    def clock_speed(self) -> float:
        """MB of plain text per second by the clock, in the median run."""
        return self.megabytes / median(timing.clock for timing in self.timings)

    @property
    def speed(self) -> float:
        """MB of plain text per second of the core's work, in the median run.

        This is what is compared: other programs that want the core too slow down the clock, but not this.
        """
        return self.megabytes / median(timing.core for timing in self.timings)

    @property
    def events_per_second(self) -> float:
        """Events per second of the core's work, in the median run."""
        return self.events * self.speed / self.megabytes


@dataclass(frozen=True, slots=True)
class Peak:
    """Memory that normalizing one log took.

    :param megabytes: MB of its plain text.
    :param above_idle: MB above an idle process that has imported the package.
    """

    megabytes: float
    above_idle: float


@dataclass(frozen=True, slots=True)
class Result:
    """All that one run of the benchmark found.

    :param corpus: what was read, in words.
    :param peaks: of a smaller and a larger log.
    :param installed: MB of each distribution that an installation of the package brings.
    """

    corpus: str
    measures: Sequence[Measure]
    start: Start
    seal: Seal
    peaks: tuple[Peak, Peak]
    installed: Mapping[str, float]

    def measure(self, name: str) -> Measure:
        """Return one measure."""
        return next(measure for measure in self.measures if measure.name == name)

    def share(self, measure: Measure) -> float:
        """How much it reaches of the speed of (b) with the same logs."""
        return measure.speed / self.measure(LIMIT.format(measure.format)).speed


def show(result: Result) -> None:
    """Print everything to the terminal."""
    console = Console()
    for title, header, rows in _tables(result):
        table = Table(*header, title=title, title_justify="left")
        for column in table.columns[1:]:
            column.justify = "right"
        for row in rows:
            table.add_row(*row)
        console.print(table)
    console.print(f"{result.corpus}\n{_machine()}")


def document(result: Result) -> None:
    """Put the tables into the documentation, in place of the last ones."""
    parts = [f"{result.corpus}\n", f"{_machine()}\n"]
    for title, header, rows in _tables(result):
        lines = [header, ["---", *["--:"] * (len(header) - 1)], *rows]
        parts += [f"### {title}\n", "".join(f"| {' | '.join(line)} |\n" for line in lines)]
    before, _, rest = _DOCUMENT.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    _DOCUMENT.write_text(before + _BEGIN + "\n".join(["", *parts, ""]) + _END + after)


def _tables(result: Result) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    today = result.measure(PYCEF).speed
    yield (
        "Speed on one core",
        ["", "MB/s by the clock", "MB/s of the core", "times (a)", "of its (b)"],
        [
            [
                measure.name,
                f"{measure.clock_speed:.0f}",
                f"{measure.speed:.0f}",
                f"{measure.speed / today:.1f}",
                f"{result.share(measure):.2f}",
            ]
            for measure in result.measures
        ],
    )
    yield (
        "Other formats beside CEF, which is 1",
        ["", *(f"{name} per {of}" for name in _OTHERS for of in ("MB", "event"))],
        [
            [
                name.removesuffix(", {}"),
                *(f"{ratio:.2f}" for other in _OTHERS for ratio in _beside_cef(result, name, other)),
            ]
            for name in (TEXT, WHOLE, LIMIT)
        ],
    )
    yield (
        "Peak memory of one log",
        ["MB of plain text", "MB above the idle process"],
        [[f"{peak.megabytes:.0f}", f"{peak.above_idle:.0f}"] for peak in result.peaks],
    )
    start = result.start
    yield (
        f"A fresh process of the user {start.user}, with an empty home",
        ["One log of 1 MB of plain text", "CPU seconds"],
        [
            ["the first time, with Python's start and all imports", f"{start.first:.2f}"],
            [f"time {start.times}", f"{start.last:.2f}"],
        ],
    )
    yield (
        "Sealing a commit",
        [f"One commit of {result.seal.size:,} bytes", "ms by the clock"],
        [
            ["Ed25519 signature", f"{result.seal.signing:.2f}"],
            ["its hash at an anchor, a folder on the same disk", f"{result.seal.anchoring:.2f}"],
        ],
    )
    largest = sorted(result.installed.items(), key=lambda item: -item[1])[:_LARGEST]
    yield (
        "What an installation brings",
        ["", "MB"],
        [
            *([name, f"{megabytes:.0f}"] for name, megabytes in largest),
            [f"all {len(result.installed)} distributions", f"{sum(result.installed.values()):.0f}"],
        ],
    )
    for title, rows in (("Targets", _targets(result)), ("Aims beyond them", _aims(result))):
        yield title, ["", "measured", ""], [[*row, "met" if met else "missed"] for *row, met in rows]


def _beside_cef(result: Result, name: str, other: str) -> tuple[float, float]:
    """How fast something is with another format, in MB and in events, if it is 1 with CEF."""
    cef, measure = result.measure(name.format("CEF")), result.measure(name.format(other))
    return measure.speed / cef.speed, measure.events_per_second / cef.events_per_second


def _targets(result: Result) -> Iterator[tuple[str, str, bool]]:
    yield _times_today(result, 14)
    for name in ("CEF", *_OTHERS):
        yield _share_of_limit(result, name, 0.50)
    # Formats are compared where they are read: docs/adr/0019.
    for name in _OTHERS:
        yield _no_slower_than_cef(result, TEXT, name)
    plain = result.measure(PLAIN).speed
    yield f"{PLAIN}: at least 15 MB/s", f"{plain:.0f}", plain >= 15
    more = result.start.first - result.start.last
    yield f"a fresh process: at most 1.5 CPU seconds more than time {result.start.times}", f"{more:.2f}", more <= 1.5
    redacted, whole = result.measure(REDACTED), result.measure(WHOLE.format("CEF"))
    cost = 1 - redacted.speed / whole.speed
    yield f"redaction: at most 10 % of {redacted.name}", f"{100 * cost:.1f} %", cost <= 0.10
    sealing = result.seal.signing + result.seal.anchoring
    yield "signing and anchoring a commit: under 50 ms", f"{sealing:.1f}", sealing < 50
    small, large = result.peaks
    yield "the larger log: under 350 MB above idle", f"{large.above_idle:.0f}", large.above_idle < 350
    ratio = large.above_idle / small.above_idle
    yield "the larger log: the memory of the smaller, within a tenth", f"{ratio:.2f}", ratio <= 1.1


def _aims(result: Result) -> Iterator[tuple[str, str, bool]]:
    for name in ("CEF", *_OTHERS):
        yield _share_of_limit(result, name, 0.60)
    for name in _OTHERS:
        yield _no_slower_than_cef(result, WHOLE, name)


def _times_today(result: Result, least: int) -> tuple[str, str, bool]:
    cef = result.measure(WHOLE.format("CEF"))
    times = cef.speed / result.measure(PYCEF).speed
    return f"{cef.name}: {least} times (a)", f"{times:.1f}", times >= least


def _share_of_limit(result: Result, name: str, least: float) -> tuple[str, str, bool]:
    whole = result.measure(WHOLE.format(name))
    share = result.share(whole)
    return f"{whole.name}: {least:.2f} of its (b)", f"{share:.2f}", share >= least


def _no_slower_than_cef(result: Result, way: str, name: str) -> tuple[str, str, bool]:
    ratio, _ = _beside_cef(result, way, name)
    return f"{way.format(name)}: no slower than CEF per MB", f"{ratio:.2f}", ratio >= 1


def _machine() -> str:
    match = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    return (
        f"Pinned to one core of {os.cpu_count()} ({match[1] if match else platform.machine()}), {platform.system()}, "
        f"Python {platform.python_version()}, {libraries}."
    )
