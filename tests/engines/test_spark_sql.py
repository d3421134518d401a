"""The published definitions of tables, and the questions, run by Spark itself (``make test-engines``)."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pages.products import views
from pages.questions import SQL, questions
from tests.analysis.product_rows import SHOWN, write_products
from tests.analysis.question_rows import answers, make_rows, write_events
from tests.engines.ask import PYTHON, ROOT, environment, make_lakes
from tests.engines.oddities import OddLake
from tests.engines.readers.blocks import PERIOD
from tests.engines.readers.cells import cell

# Where others use the cores too, Spark takes minutes to start.
pytestmark = [pytest.mark.engines, pytest.mark.needs("default-jre-headless"), pytest.mark.timeout(900)]
QUESTIONS = questions("spark")
COLUMNS = {view: list(dict.fromkeys(name for row in rows for name in row)) for view, rows in SHOWN.items()}
PRODUCTS = {view: f"SELECT {', '.join(names)} FROM {view} ORDER BY src_line" for view, names in COLUMNS.items()}
COUNTS = (
    "SELECT count(*) FROM events",
    "SELECT count(*) FROM quarantine",
    "SELECT repository, commit_number, name FROM logs",
    "SELECT src_file, src_line FROM committed_events",
)

Answers = dict[str, list[list[Any]]]


@pytest.fixture(scope="module")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> tuple[OddLake, Path, Path, Path]:
    """The lake of every oddity, its copy of which one day can be read, one for the questions, and one for the views."""
    folder = tmp_path_factory.mktemp("spark")
    asked, products = folder / "asked", folder / "products"
    write_events(make_rows(), asked)
    write_products(products)
    return *make_lakes(folder), asked, products


@pytest.fixture(scope="module")
def answered(lakes: tuple[OddLake, Path, Path, Path]) -> Answers:
    """What one session answers, by statement."""
    odd, spoilt, asked, products = lakes
    created, *others = definitions(odd.root)
    statements = [created, COUNTS[0].replace("events", "default.events"), *others, *COUNTS]
    day = f"event_date = DATE '{PERIOD[0]}'"
    of_day = f"SELECT count(*) FROM spoilt.committed_events WHERE {day}"
    statements += ["CREATE DATABASE spoilt", "USE spoilt", *definitions(spoilt), of_day]
    statements += ["CREATE DATABASE asked", "USE asked", *definitions(asked)[:2], *QUESTIONS.values()]
    of_products = [statement for statement in views("spark").split(";\n") if statement.strip()]
    statements += ["CREATE DATABASE products", "USE products", *definitions(products)[:2], *of_products]
    statements += PRODUCTS.values()
    done = subprocess.run(
        [str(PYTHON), "-m", "tests.engines.readers.spark_sql"],
        input=json.dumps(statements),
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: Answers = dict(zip(statements, json.loads(done.stdout), strict=True))
    return found | {"of the day": found[of_day]}


def definitions(lake: Path) -> list[str]:
    """Return the published statements, with a lake's root."""
    text = (SQL / "tables" / "spark.sql").read_text().replace("{lake}", str(lake))
    return [statement for statement in text.split(";\n") if statement.strip()]


def test_a_table_is_empty_until_its_partitions_are_looked_for(
    lakes: tuple[OddLake, Path, Path, Path], answered: Answers
) -> None:
    odd, *_ = lakes
    assert answered["SELECT count(*) FROM default.events"] == [[0]]
    assert answered[COUNTS[0]] == [[len(odd.all_parts)]]
    assert answered[COUNTS[1]] == [[len(odd.quarantined)]]


def test_the_view_shows_the_committed_rows_and_no_others(
    lakes: tuple[OddLake, Path, Path, Path], answered: Answers
) -> None:
    odd, *_ = lakes
    expected = Counter((row["src_file"], row["src_line"]) for row in odd.committed)
    assert Counter(map(tuple, answered[COUNTS[3]])) == expected
    first_day = [row for row in odd.committed if row["event_date"] == PERIOD[0]]
    assert answered["of the day"] == [[len(first_day)]], "asked for a day, it opens no file of another"


def test_the_logs_of_the_ledger_are_there(answered: Answers) -> None:
    found = sorted(answered[COUNTS[2]])
    assert found == [["8416_1745073", f"{number:012d}", f"8416_{number}.log"] for number in (1, 2, 3, 4)]


@pytest.mark.parametrize("question", QUESTIONS)
def test_spark_answers_what_is_counted_by_hand(question: str, answered: Answers) -> None:
    expected = answers(make_rows())[question]
    counts = Counter(tuple(map(_plain, row)) for row in answered[QUESTIONS[question]])
    assert counts == Counter({tuple(map(cell, row)): count for row, count in expected.items()})


@pytest.mark.parametrize("view", PRODUCTS)
def test_spark_shows_the_events_of_other_products(view: str, answered: Answers) -> None:
    found = [dict(zip(COLUMNS[view], row, strict=True)) for row in answered[PRODUCTS[view]]]
    for row, shown in zip(found, SHOWN[view], strict=True):
        assert {name: row[name] for name in shown} == {name: cell(value) for name, value in shown.items()}


def _plain(value: Any) -> Any:
    # Spark gives times without a zone, in that of the session, which is UTC.
    return value[1] if isinstance(value, list) and value[0] == "no zone" else value
