"""The questions answer what can be counted by hand. tests/engines holds Spark's answers against the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC

import duckdb
import pytest
import sqlglot

from pages.questions import DIALECTS, SQL, questions, transpiled
from tests.analysis.question_rows import Answer, answers, make_rows, write_events

QUESTIONS = questions("duckdb")


@pytest.fixture(scope="module")
def expected() -> dict[str, Answer]:
    return answers(make_rows())


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    folder = tmp_path_factory.mktemp("questions")
    write_events(make_rows(), folder)
    with duckdb.connect() as connection:
        files = f"read_parquet('{folder}/events/repository=*/**/*.parquet', hive_partitioning = true)"
        connection.execute(f"CREATE VIEW events AS SELECT * FROM {files}")
        yield connection


@pytest.mark.parametrize("question", QUESTIONS)
def test_duckdb_answers_what_is_counted_by_hand(
    question: str, lake: duckdb.DuckDBPyConnection, expected: dict[str, Answer]
) -> None:
    assert expected[question]
    rows = lake.execute(QUESTIONS[question]).fetchall()
    assert Counter(tuple(map(_plain, row)) for row in rows) == expected[question]


def _plain(value: object) -> object:
    return value.astimezone(UTC) if hasattr(value, "astimezone") else value


def test_each_has_an_answer_here(expected: dict[str, Answer]) -> None:
    assert len(QUESTIONS) == 23
    assert QUESTIONS.keys() == expected.keys()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_other_dialects_are_written_from_the_one(dialect: str) -> None:
    assert (SQL / f"questions.{dialect}.sql").read_text() == transpiled(dialect), "python -m pages.questions"
    assert questions(dialect).keys() == QUESTIONS.keys()


@pytest.mark.parametrize("dialect", ["trino", "athena"])
@pytest.mark.parametrize("question", QUESTIONS)
def test_trino_and_athena_understand_it(question: str, dialect: str) -> None:
    """Neither can be had here: the statement is read by their grammar, and is the same after a way there and back."""
    statement = questions("trino")[question]
    there = sqlglot.parse_one(statement, dialect=dialect)
    assert sqlglot.parse_one(there.sql("duckdb"), dialect="duckdb").sql("trino") == there.sql("trino")
