"""A column is added by what CONTRIBUTING.md says and nothing else, and both readers fill it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_imperva.events.schema.schema import SCHEMA_VERSION

ROOT = Path(__file__).resolve().parents[2]
EVENTS = Path("airflow_provider_imperva", "events")

PARSE = """
import json, sys
from airflow_provider_imperva.events import SCHEMA, LogSource, parse
head = "CEF:0|Incapsula|SIEMintegration|1|1|Normal|0| start=1767225600000 src=192.0.2.1"
lines = [f"{head} destinationServiceName=the shop act=REQ_PASSED", head]
tables = [block.events for block in parse(["\\n".join(lines).encode()], LogSource(file="8416_1.log"))]
found = [[row["destination_service"], row["client_ip"], row["extra"]] for table in tables for row in table.to_pylist()]
print(json.dumps([SCHEMA.metadata[b"imperva.schema_version"].decode(), found]))
"""


@pytest.fixture(autouse=True, scope="module")
def reader() -> None:
    """Each reader is asked for in a process of its own."""


def section(heading: str) -> str:
    """Text below a heading of CONTRIBUTING.md."""
    _, _, text = (ROOT / "CONTRIBUTING.md").read_text().partition(f"\n## {heading}\n")
    return text.partition("\n## ")[0]


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


def run(tree: Path, *command: str, reader: str = "") -> str:
    environment = os.environ | {"PYTHONPATH": str(tree), "IMPERVA_READER": reader}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout in which each step was followed."""
    tree = tmp_path_factory.mktemp("checkout")
    for name in ("airflow_provider_imperva", "docs", "pages", "tests"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    steps = section("To add a column")
    row, commands = re.findall(r"   ```\n(.*?)   ```\n", steps, re.DOTALL)
    row = re.sub("^   ", "", row, flags=re.MULTILINE)
    columns = tree / EVENTS / "schema" / "columns.py"
    if row not in columns.read_text():  # It is there once somebody has followed the steps with their example.
        replace(columns, '    Column("extra",', f'{row}    Column("extra",')
    old, new = (f'SCHEMA_VERSION = "{version}"' for version in (SCHEMA_VERSION, int(SCHEMA_VERSION) + 1))
    replace(tree / EVENTS / "schema" / "schema.py", old, new)
    for command in commands.strip().splitlines():
        run(tree, "sh", "-c", command.strip().replace(".venv/bin/python", sys.executable))
    return tree


@pytest.mark.slow
@pytest.mark.parametrize("reader_wanted", ["compiled", "plain"])
def test_both_readers_fill_it(tree: Path, reader_wanted: str) -> None:
    if reader_wanted == "compiled":
        pytest.importorskip("airflow_provider_imperva.events.scan._kernel", reason="the extension is not compiled")
    version, found = json.loads(run(tree, sys.executable, "-c", PARSE, reader=reader_wanted))
    assert int(version) == int(SCHEMA_VERSION) + 1
    assert found == [["the shop", "192.0.2.1", []], [None, "192.0.2.1", []]]


@pytest.mark.slow
def test_what_is_generated_is_up_to_date_then(tree: Path) -> None:
    tests = ("test_schema_page.py", "test_events_schema.py", "test_vocabulary.py")
    generated = "tests/analysis/test_analysis.py::test_the_table_definitions_are_those_of_the_schema"
    named = [*(f"tests/events/{name}" for name in tests), generated]
    run(tree, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *named)
