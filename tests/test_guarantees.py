"""The tests that docs/guarantees.md names are there, and each situation in it names one."""

from __future__ import annotations

import ast
import re
from functools import cache
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs/guarantees.md").read_text()
COMPLIANCE = (ROOT / "docs/reference/compliance.md").read_text()
_NAMED = re.compile(r"`(tests/[^`]+\.py)((?:::\w+)+)`")
_SITUATIONS = 40


def rows_below(heading: str) -> list[str]:
    """The rows of all tables of a section, without their heads."""
    section = re.split(r"^## ", PAGE.split(f"## {heading}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    heads = {line for line, rule in pairwise(lines) if set(rule) <= set("|- ")}
    return [line for line in lines if line not in heads and not set(line) <= set("|- ")]


@cache
def parsed(file: str) -> ast.Module | None:
    path = ROOT / file
    return ast.parse(path.read_text()) if path.exists() else None


def is_there(file: str, names: list[str]) -> bool:
    scope: ast.AST | None = parsed(file)
    for name in names:
        scope = next((item for item in getattr(scope, "body", []) if name in _defined(item)), None)
    return scope is not None


def _defined(item: ast.stmt) -> set[str]:
    if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {item.name}
    targets = item.targets if isinstance(item, ast.Assign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def test_every_test_it_names_exists() -> None:
    named = _NAMED.findall(PAGE)
    assert named
    assert [file + names for file, names in named if not is_there(file, names.split("::")[1:])] == []


def test_every_test_that_answers_to_a_requirement_exists() -> None:
    rows = [line for line in COMPLIANCE.splitlines() if line.startswith("|")][2:]
    assert len(rows) >= 20
    named = [re.findall(r"`(tests/[^`]+\.py)((?:::\w+)*)`", row) for row in rows]
    assert all(named), "a requirement without a test"
    assert [test for tests in named for test in tests if not is_there(test[0], test[1].split("::")[1:])] == []
    assert all((ROOT / file).exists() for tests in named for file, _ in tests)


def test_every_situation_names_a_test() -> None:
    rows = rows_below("Situations")
    assert len(rows) >= _SITUATIONS
    rows += rows_below("Beside the vendor's script")
    assert [row for row in rows if not _NAMED.search(row)] == []


def test_every_promise_is_there() -> None:
    assert [row.split("|")[1].strip() for row in rows_below("The promises")] == [f"P{number}" for number in range(1, 8)]
