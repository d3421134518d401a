"""The questions for other engines than DuckDB, transpiled: ``python -m pages.questions`` writes them."""

from __future__ import annotations

from pathlib import Path

import sqlglot

from airflow_provider_imperva.audit import answers

SQL = Path(__file__).resolve().parents[1] / "airflow_provider_imperva" / "examples" / "sql"
DIALECTS = {"trino": "Trino and Athena", "spark": "Spark and Databricks"}
"""The dialects that are written, with the engines that they are for."""


def questions(dialect: str) -> dict[str, str]:
    """Return the statements of a published file by the question's name, without what ends them."""
    return {question.name: question.statement for question in answers.questions(dialect)}


def transpiled(dialect: str) -> str:
    """Write the file for a dialect, from that for DuckDB."""
    written = [
        f"-- {question.name}: {question.text}\n"
        f"{sqlglot.transpile(question.statement, read='duckdb', write=dialect, pretty=True)[0]};\n"
        for question in answers.questions("duckdb")
    ]
    engines = DIALECTS[dialect]
    return (
        f"-- Questions that dashboards and detection rules for Imperva's logs answer, for {engines}.\n"
        "-- Put your period in place of June 2026. Written by `python -m pages.questions`; do not edit.\n\n"
    ) + "\n".join(written)


if __name__ == "__main__":
    for dialect in DIALECTS:
        (SQL / f"questions.{dialect}.sql").write_text(transpiled(dialect))
