"""The published page of columns is what the code says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from airflow_provider_imperva.events import SCHEMA
from airflow_provider_imperva.events.grammar.record import RejectionReason
from airflow_provider_imperva.events.schema.columns import COLUMNS, LABELS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "schema.md"


def test_page_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pages.schema"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert PAGE.read_text() == done.stdout, f"rewrite it: {done.args[0]} -m {done.args[2]} > {PAGE.name}"


def test_page_has_every_column_with_its_keys() -> None:
    columns, _, _ = PAGE.read_text().partition("\n## ")
    lines = [line for line in columns.splitlines() if line.startswith("| `")]
    assert [line.split("`")[1] for line in lines] == SCHEMA.names
    for column, line in zip(COLUMNS, lines, strict=True):
        assert column.meaning.replace("|", "\\|") in line
        assert all(key in line for key in (column.cef, column.leef, column.w3c, *column.json))
        assert LABELS.get(column.cef, "") in line


def test_page_has_every_code_and_reason() -> None:
    page = PAGE.read_text()
    assert all(f"| `{reason.value}` |" in page for reason in RejectionReason)
    sources = "".join(path.read_text() for path in (ROOT / "airflow_provider_imperva" / "events").rglob("*.py"))
    codes = set(re.findall(r'warnings\.append\(f?"([a-z_]+)', sources)) | {"bad_", "epoch_seconds", "unaligned"}
    assert {"joined_lines", "duplicate_key"} <= codes
    assert sorted(code for code in codes if f"| `{code}" not in page) == []
