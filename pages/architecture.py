"""The page of the rooms and the way of a log's bytes: ``python -m pages.architecture`` writes it.

The drawing is that of the layers which ``make lint`` enforces, and the words beside each room are the first line of its
docstring: neither can differ from the code.
"""

from __future__ import annotations

import ast
import sys
import textwrap
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "airflow_provider_imperva"
_WIDTH = 96

WAY = (
    ("sensors.imperva.ImpervaLogSensor", "waits until the index lists a log that the ledger does not have"),
    ("load.plan.make_plan", "writes to the ledger which logs this run loads, cut into batches"),
    ("repository.client.RepositoryClient", "fetches each log over HTTPS"),
    ("load.fetch.fetch", "writes the bytes as received to raw/, before anything else is done with them"),
    ("load.normalize.normalize", "takes one batch from raw/ to Parquet, with the five steps below"),
    ("container.decode", "reads the header, decrypts, inflates, and checks the checksum: a plain body comes out"),
    ("events.parse", "finds the records in the body and turns them into Arrow tables of one schema"),
    ("privacy.protection.Protection", "redacts secrets and pseudonymizes, before anything is written in clear"),
    ("lake.parts.BatchParts", "writes the parts of events/ and quarantine/, named by the plan"),
    ("lake.ledger.Ledger", "keeps the batch's report: which logs, lines and rows, with hashes"),
    ("lake.commit.commit_plan", "checks that lines = rows + quarantined, and makes all of it true with one write"),
    ("table.settle.settle", "shows the commit in the Delta table"),
    ("audit.coverage.cover", "says what is there, what is missing and why"),
    ("forward.send", "sends committed lines to a SIEM, in a DAG of its own"),
)
"""What a log's bytes go through, in order: where in the package, and what happens there."""

_INTRODUCTION = """\
# Architecture

<!-- Written by `python -m pages.architecture`; do not edit. -->

Folders of the package are called rooms. This page shows which room may import which, and which way the bytes of a log \
go. How and why it works is on [How it works](explanation/how-it-works.md); decisions are in the \
[ADRs](adr/0001-intent-before-parts.md).

## The rooms

A room may import the rooms below it, never one above it or beside it. `make lint` checks this (import-linter, the \
contracts in `pyproject.toml`), and this drawing is made from the same contracts. The rooms below the double line run \
without Airflow.

"""


def layers() -> list[list[str]]:
    """Return the layers of the package, the uppermost first."""
    layered = max((one["layers"] for one in _contracts() if "layers" in one), key=len)
    return [[name.removeprefix(f"{PACKAGE}.") for name in layer.split(" | ")] for layer in layered]


def without_airflow() -> set[str]:
    """Return the rooms that import nothing of Airflow."""
    [contract] = [one for one in _contracts() if one.get("forbidden_modules") == ["airflow"]]
    return {name.removeprefix(f"{PACKAGE}.") for name in contract["source_modules"]}


def _contracts() -> list[dict[str, list[str]]]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts: list[dict[str, list[str]]] = settings["tool"]["importlinter"]["contracts"]
    return contracts


def purpose(room: str) -> str:
    """Return the first line of a room's docstring, without its full stop."""
    folder = ROOT / PACKAGE / room
    path = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return " ".join(text.partition("\n\n")[0].split()).rstrip(".")


def drawing() -> str:
    """Draw the layers as boxes, one below the other."""
    free, lines, before_is_free = without_airflow(), [], False
    for number, layer in enumerate(layers()):
        is_free = all(room in free for room in layer)
        edge = "═" if is_free and not before_is_free else "─"
        left, right = ("╞", "╡") if edge == "═" else ("├", "┤")
        lines.append(f"┌{'─' * _WIDTH}┐" if number == 0 else f"{left}{edge * _WIDTH}{right}")
        lines += [f"│{line:<{_WIDTH}}│" for room in layer for line in _box(room)]
        before_is_free = is_free
    return "\n".join([*lines, f"└{'─' * _WIDTH}┘"])


def _box(room: str) -> list[str]:
    indent = " " * 15
    return textwrap.wrap(f" {room:<14}{purpose(room)}", _WIDTH - 1, subsequent_indent=indent)


def _besides() -> list[str]:
    rooms = {path.parent.name for path in (ROOT / PACKAGE).glob("*/__init__.py")}
    drawn = {room for layer in layers() for room in layer}
    return [f"- `{room}`: {purpose(room).replace('``', '`')}" for room in sorted(rooms - drawn)]


def page() -> str:
    """Return the page."""
    steps = [f"{number}. `{where}` {what}." for number, (where, what) in enumerate(WAY, 1)]
    return "\n".join(
        [
            f"{_INTRODUCTION}```text\n{drawing()}\n```\n",
            "Besides these:\n",
            *_besides(),
            "",
            "## The way of a log's bytes\n",
            *steps,
            "",
            "A crash at any step loses nothing: what a dead run left, the next plan finishes first"
            " ([guarantees](guarantees.md)).",
            "",
        ]
    )


def main() -> int:
    """Write the page to standard output."""
    sys.stdout.write(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
