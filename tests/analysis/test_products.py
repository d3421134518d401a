"""Views give the events of other products typed columns, and lose nothing. tests/engines asks Spark the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlglot

from pages.products import DIALECTS, PAGE, PRODUCTS, SQL, page, views
from tests.analysis.product_rows import EVENTS, SHOWN, TIME, write_products


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("products")
    write_products(folder)
    return folder


@pytest.fixture(scope="module", params=["duckdb", "trino"])
def connection(request: pytest.FixtureRequest, lake: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The views for DuckDB, and those for Trino as a translator that knows both languages has them for DuckDB."""
    statements = [views("duckdb")]
    if request.param == "trino":
        statements = sqlglot.transpile(views("trino"), read="trino", write="duckdb")
    with duckdb.connect() as connection:
        files = f"read_parquet('{lake}/events/repository=*/**/*.parquet', hive_partitioning = true)"
        connection.execute(f"SET TimeZone = 'UTC'; CREATE VIEW events AS SELECT * FROM {files}")
        for statement in statements:
            connection.execute(statement)
        yield connection


@pytest.mark.parametrize("view", SHOWN)
def test_a_view_shows_its_product_and_no_other(view: str, connection: duckdb.DuckDBPyConnection) -> None:
    events = rows(connection, f"SELECT * FROM {view} ORDER BY src_line")
    assert [{name: row[name] for name in shown} for row, shown in zip(events, SHOWN[view], strict=True)] == SHOWN[view]
    assert {row["event_time"] for row in events} == {TIME}, "wherever the product has its time"


def test_what_has_no_column_or_does_not_fit_stays_in_extra(connection: duckdb.DuckDBPyConnection) -> None:
    (audit, *_), (ato,) = (
        rows(connection, f"SELECT extra FROM {view} ORDER BY src_line") for view in ("audit_trail_events", "ato_events")
    )
    assert audit["extra"]["imperva.audit_trail.new_field"] == "kept"
    assert ato["extra"]["imperva.successful_logins_last_24h"] == "many"


def test_no_event_is_in_two_views(connection: duckdb.DuckDBPyConnection) -> None:
    lines = [row["src_line"] for view in SHOWN for row in rows(connection, f"SELECT src_line FROM {view}")]
    assert sorted(lines) == list(range(1, len(EVENTS) - 1))


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.view)
def test_each_column_has_the_type_that_the_page_names(product: Any, connection: duckdb.DuckDBPyConnection) -> None:
    found = {name: kind for name, kind, *_ in connection.execute(f"DESCRIBE {product.view}").fetchall()}
    for field in product.fields:
        assert found[field.name] == DIALECTS["duckdb"].types[field.type][1], field.name


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_published_files_are_written_from_the_one_table(dialect: str) -> None:
    assert (SQL / f"views.products.{dialect}.sql").read_text() == views(dialect), "python -m pages.products"
    assert PAGE.read_text() == page(), "python -m pages.products"


@pytest.mark.parametrize("dialect", ["trino", "athena", "spark", "databricks"])
def test_other_engines_understand_them(dialect: str) -> None:
    of = {"athena": "trino", "databricks": "spark"}.get(dialect, dialect)
    parsed = [one for one in sqlglot.parse(views(of), dialect=dialect) if one]
    assert [one.this.name for one in parsed] == [product.view for product in PRODUCTS]


def rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    found = connection.execute(query)
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
