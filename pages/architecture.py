"""The page of the rooms, and of the ways of a log's bytes and of a number: ``python -m pages.architecture`` writes it.

The first drawing is that of the layers which ``make lint`` enforces, and the words beside each room are the first line
of its docstring. The second one has the states of the watermark with their meanings, and its test takes each step.
"""

from __future__ import annotations

import ast
import sys
import textwrap
import tomllib
from itertools import groupby
from pathlib import Path

from airflow_provider_imperva.lake.watermark import LOST, State

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "airflow_provider_imperva"
_WIDTH = 96
_STATES_WIDTH = 78

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
    ("audit.coverage.measure_coverage", "says what is there, what is missing and why"),
    ("forward.send", "sends committed lines to a SIEM, in a DAG of its own"),
)
"""What a log's bytes go through, in order: where in the package, and what happens there."""

NEW = "new"
"""What a number is before an index names it, or one above it."""

STEPS = (
    (NEW, State.LISTED, "lake.watermark.observe", "an index lists it"),
    (NEW, State.GAP, "lake.watermark.observe", "an index lists a higher number, and not this one"),
    (NEW, State.UNOBSERVED, "lake.watermark.observe", "the same, after the index was not read for a window"),
    (State.GAP, State.LISTED, "lake.watermark.observe", "a later index lists it"),
    (
        State.GAP,
        State.SKIPPED,
        "lake.watermark.observe",
        "it is missing longer than the window",
    ),
    (State.GAP, State.UNOBSERVED, "lake.watermark.observe", "the index was not read for longer than the window"),
    (State.LISTED, State.COMMITTED, "load.normalize.normalize", "its rows are in parts that a commit names"),
    (State.LISTED, State.QUARANTINED, "load.normalize.normalize", "its bytes cannot be decoded"),
    (State.LISTED, State.DUPLICATE, "load.normalize.normalize", "another log has the same content, and is loaded"),
    (State.LISTED, State.EXPIRED, "load.fetch.fetch", "it is gone from server and index when it is fetched"),
    (State.LISTED, State.AWAITING_KEY, "load.normalize.normalize", "its private key is not in the key ring"),
    (State.LISTED, State.DAMAGED, "load.normalize.normalize", "its bytes are damaged, and the index still lists it"),
    (State.AWAITING_KEY, State.COMMITTED, "load.normalize.normalize", "the key is there"),
    (State.DAMAGED, State.COMMITTED, "load.normalize.normalize", "better bytes came"),
    (State.DAMAGED, State.QUARANTINED, "load.normalize.normalize", "its time is up"),
    (State.QUARANTINED, State.COMMITTED, "load.replay.replay", "it is replayed after a fix"),
    (State.SKIPPED, State.LISTED, "lake.watermark.reopen", "an index lists it after all"),
    (State.UNOBSERVED, State.LISTED, "lake.watermark.reopen", "an index lists it after all"),
    (State.EXPIRED, State.LISTED, "lake.watermark.reopen", "an index lists it again"),
)
"""What becomes of a number: from which state to which, where in the package, and when."""

_INTRODUCTION = """\
# Architecture

<!-- Written by `python -m pages.architecture`; do not edit. -->

Folders of the package are called rooms. This page shows which room may import which, which way the bytes of a log go, \
and what becomes of a number. How and why it works is on [How it works](explanation/how-it-works.md); decisions are in \
the [ADRs](adr/0001-intent-before-parts.md).

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


def states() -> str:
    """Draw the states of a number: under each the steps that lead out of it."""
    lines = [f"{NEW}: No index has named it, nor one above it"]
    for state, steps in groupby(STEPS, key=lambda step: step[0]):
        if state != NEW:
            lines += ["", *_titled(State(state))]
        drawn = [(f"{to} ", when) for _, to, _, when in steps]
        for number, (to, when) in enumerate(drawn, 1):
            lines.append(f"  {'└' if number == len(drawn) else '├'}──▶ {to:─<14} {when}")
    left = [state for state in State if state not in {step[0] for step in STEPS}]
    return "\n".join([*lines, *(line for state in left for line in ("", *_titled(state), "  ■ final"))])


def _titled(state: State) -> list[str]:
    text = f"{state}{' (an alert)' if state in LOST else ''}: {_meaning(state)}"
    return textwrap.wrap(text, _STATES_WIDTH, subsequent_indent=" " * 4)


def _meaning(state: State) -> str:
    """Return the docstring of a state, without its full stop."""
    text = (ROOT / PACKAGE / "lake" / "watermark.py").read_text()
    [states] = [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef) and node.name == "State"]
    for member, docstring in zip(states.body, states.body[1:], strict=False):
        if not isinstance(member, ast.Assign) or not isinstance(docstring, ast.Expr):
            continue
        if ast.literal_eval(member.value) == state.value:
            return str(ast.literal_eval(docstring.value)).rstrip(".").replace("``", "")
    raise LookupError(state)


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
            "## The way of a number\n",
            "Imperva numbers its logs. The watermark keeps for each number what is known of it, until it is decided:\n",
            f"```text\n{states()}\n```\n",
            "`lake/watermark.py` takes the steps that need no bytes, `load/fetch.py` and `load/normalize.py` the rest."
            " `imperva-logs explain` shows the steps of one number, `coverage` how many are in each state.",
            "",
        ]
    )


def main() -> int:
    """Write the page to standard output."""
    sys.stdout.write(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
