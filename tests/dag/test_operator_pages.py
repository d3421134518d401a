"""Each operator has a page with an example, and the examples make a DAG."""

from __future__ import annotations

import importlib
import pkgutil
import re
import runpy
from pathlib import Path

import pytest
from airflow.sdk import BaseOperator

from airflow_provider_imperva import operators
from airflow_provider_imperva.operators.imperva import ImpervaOperator

FOLDER = Path(__file__).parents[2] / "docs" / "operators"
EXAMPLES = FOLDER / "examples.py"
PAGES = {path.stem: path.read_text() for path in FOLDER.glob("*.md") if path.stem != "index"}


def own_operators() -> set[str]:
    names = set()
    for module in pkgutil.iter_modules(operators.__path__):
        found = vars(importlib.import_module(f"{operators.__name__}.{module.name}"))
        names |= {
            name
            for name, kind in found.items()
            if isinstance(kind, type) and issubclass(kind, BaseOperator) and name.startswith("Imperva")
        }
    return names - {ImpervaOperator.__name__}


def test_each_operator_has_a_page() -> None:
    linked = {name for page in PAGES.values() for name in re.findall(r"\[`(Imperva\w+)`\]", page)}
    assert own_operators() <= linked


def test_the_examples_make_a_dag() -> None:
    dag = next(value for name, value in runpy.run_path(str(EXAMPLES)).items() if name == "plan").dag
    assert len(dag.tasks) == 17


@pytest.mark.parametrize("page", sorted(PAGES))
def test_a_page_quotes_its_part_of_the_examples(page: str) -> None:
    assert f'--8<-- "docs/operators/examples.py:{page}"' in PAGES[page]
    part = EXAMPLES.read_text().partition(f"[start:{page}]")[2].partition(f"[end:{page}]")[0]
    assert "Imperva" in part
