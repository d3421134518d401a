"""The notebook of the examples runs on a lake from its first cell to its last, without Jupyter."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_imperva.testing import FakeRepository
from tests.examples import EXAMPLES
from tests.load.load_runs import Account

NOTEBOOK = json.loads((EXAMPLES / "notebooks" / "attacks.ipynb").read_text())
CODE = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def run(names: dict[str, Any]) -> list[list[tuple[Any, ...]]]:
    """Run the code cells in order, as Jupyter does; return the rows that each one shows with its last expression."""
    shown = []
    for source in CODE:
        cell = ast.parse(source)
        last = cell.body.pop() if isinstance(cell.body[-1], ast.Expr) else None
        exec(compile(cell, "cell", "exec"), names)
        if isinstance(last, ast.Expr) and (value := eval(compile(ast.Expression(last.value), "cell", "eval"), names)):
            shown.append([tuple(row.values()) for row in value.to_arrow_table().to_pylist()])
    return shown


def test_each_cell_shows_what_the_lake_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeRepository() as repository:
        account = Account(repository, tmp_path / "lake")
        account.serve(1, 2, events=150, security_share=0.4)
        account.run()
    monkeypatch.setenv("IMPERVA_LAKE", str(account.lake))
    # What `make demo` installs does not have it.
    monkeypatch.setitem(sys.modules, "pytz", None)
    names: dict[str, Any] = {}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        classes, sites, attackers, rules, let_through, one, logs = run(names)
    assert sum(row[-1] for row in classes) == 300
    assert sum(row[1] for row in sites) == 300
    most = max(row[2] for row in sites)
    site = names["site"]
    assert (site, most) in {(row[0], row[2]) for row in sites}
    assert printed.getvalue().startswith(f"{site}, the day until 2026-01-01")
    events = names["connection"].sql("SELECT client_address, outcome, rule_names FROM attacks").fetchall()
    assert 0 < len(events) <= most
    counted = [address for address, *_ in events]
    assert all(row[3] == counted.count(row[0]) for row in attackers)
    assert {row[1] for row in rules if row[1]} == {rule for *_, fired in events for rule in fired or () if rule}
    assert sum(row[4] for row in let_through) == sum(outcome in ("passed", "cached") for _, outcome, _ in events)
    assert len(one) == 1
    assert logs == [("committed", 2, 300, 300)]


def test_it_is_published_without_what_a_run_left_in_it() -> None:
    for cell in NOTEBOOK["cells"]:
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)
    assert "/home/" not in json.dumps(NOTEBOOK)
