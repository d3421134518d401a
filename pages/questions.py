"""The twenty questions for other engines than DuckDB, transpiled: ``python -m pages.questions`` writes them."""

from __future__ import annotations

import re
from pathlib import Path

import sqlglot

SQL = Path(__file__).resolve().parents[1] / "airflow_provider_imperva" / "examples" / "sql"
DIALECTS = {"trino": "Trino and Athena", "spark": "Spark and Databricks"}
"""The dialects that are written, with the engines that they are for."""

_QUESTION = re.compile(r"^-- (\w+): (.*)\n((?:.+\n)+?)(?<=;\n)", re.MULTILINE)


def questions(dialect: str) -> dict[str, str]:
    """Return the statements of a published file by the question's name, without what ends them."""
    text = (SQL / f"questions.{dialect}.sql").read_text()
    return {name: statement.rstrip().removesuffix(";") for name, _, statement in _QUESTION.findall(text)}


def transpiled(dialect: str) -> str:
    """Write the file for a dialect, from that for DuckDB."""
    found = _QUESTION.findall((SQL / "questions.duckdb.sql").read_text())
    written = [
        f"-- {name}: {question}\n{sqlglot.transpile(statement, read='duckdb', write=dialect, pretty=True)[0]};\n"
        for name, question, statement in found
    ]
    engines = DIALECTS[dialect]
    return (
        f"-- Twenty questions that dashboards and detection rules for Imperva's logs answer, for {engines}.\n"
        "-- Put your period in place of June 2026. Written by `python -m pages.questions`; do not edit.\n\n"
    ) + "\n".join(written)


if __name__ == "__main__":
    for dialect in DIALECTS:
        (SQL / f"questions.{dialect}.sql").write_text(transpiled(dialect))
