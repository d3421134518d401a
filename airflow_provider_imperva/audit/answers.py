"""The questions about the traffic, asked of a lake by DuckDB, and the page that draws their answers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from airflow_provider_imperva.audit.page import fill
from airflow_provider_imperva.errors import ConfigurationError, LakeError
from airflow_provider_imperva.events.schema.schema import SCHEMA
from airflow_provider_imperva.lake.store import open_filesystem
from airflow_provider_imperva.uri import LakeUri

if TYPE_CHECKING:
    import duckdb

_SQL = files("airflow_provider_imperva") / "examples" / "sql"
_QUESTION = re.compile(r"^-- (\w+): (.*)\n((?:.*\n)+?)(?<=;\n)", re.MULTILINE)
_PERIOD = ("DATE '2026-06-01'", "DATE '2026-06-30'")
"""The first and the last day that the published questions ask for."""

_DAYS = 30
_BARS = 12
_ROWS = 100


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and its statement in one dialect.

    :ivar name: one word.
    :ivar text: the question, and in brackets who answers it too.
    """

    name: str
    text: str
    statement: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A row of an answer as it is drawn.

    :ivar share: its value in percent of the greatest one's.
    :ivar others: what else the row says, in words.
    """

    label: str
    value: int | float
    share: float
    others: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a lake answers to a question.

    :ivar measure: the column that bars are drawn of: the first number.
    """

    question: Question
    columns: Sequence[str]
    rows: Sequence[tuple[Any, ...]]

    @property
    def measure(self) -> int:
        """The position of the first column of counts."""
        first = self.rows[0] if self.rows else ()
        names = ("port", "http_status")
        return next(
            (
                position
                for position, value in enumerate(first)
                if isinstance(value, int) and self.columns[position] not in names
            ),
            len(first) - 1,
        )

    @property
    def bars(self) -> list[Bar]:
        """The first rows, drawn."""
        shown = self.rows[:_BARS]
        most = max((row[self.measure] for row in shown), default=0) or 1
        return [
            Bar(
                " · ".join("none" if value is None else str(value) for value in row[: self.measure]),
                row[self.measure],
                round(100 * row[self.measure] / most, 1),
                " · ".join(
                    f"{name.replace('_', ' ')} {_shown(value)}"
                    for name, value in zip(self.columns[self.measure + 1 :], row[self.measure + 1 :], strict=True)
                ),
            )
            for row in shown
        ]


def _shown(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def questions(dialect: str = "duckdb") -> list[Question]:
    """Return the published questions in a dialect, with statements that nothing ends."""
    return statements((_SQL / f"questions.{dialect}.sql").read_text())


def statements(text: str) -> list[Question]:
    """Return the statements of a published file, in order, with nothing that ends them."""
    return [
        Question(name, question, statement.rstrip().removesuffix(";"))
        for name, question, statement in _QUESTION.findall(text)
    ]


def duckdb_module() -> Any:
    """Import DuckDB.

    :raises ConfigurationError: if it is not installed.
    """
    try:
        import duckdb
    except ImportError:
        raise ConfigurationError(
            "the lake is asked by DuckDB, which is not installed",
            do="Install the Python package duckdb beside the provider",
        ) from None
    return duckdb


def ask(
    lake: LakeUri, *, first: date | None = None, last: date | None = None, site: str | None = None
) -> tuple[date, date, list[Answer]]:
    """Ask a lake all questions about a period, of committed events only.

    :param lake: where the lake is; its credentials are those of the environment.
    :param first: first day; by default 29 days before the last one.
    :param last: last day; by default the last one that the lake has events of.
    :param site: only of the site of this name.
    :returns: the first and the last day, and the answers.
    :raises ConfigurationError: if DuckDB is not installed, nothing here speaks the lake's protocol, or no event of the
        period is of the site.
    :raises LakeError: if the lake has no committed events of the period, or does not read.
    """
    duckdb = duckdb_module()
    with duckdb.connect() as connection:
        root = _open(connection, lake)
        try:
            newest = _read_ledger(connection, root)
            last = last or newest
            first = first or last - timedelta(days=_DAYS - 1)
            connection.register("columns", SCHEMA.empty_table())
            connection.execute("SET VARIABLE site = ?", [site])
            connection.execute(
                f"CREATE VIEW events AS FROM (FROM committed_events('{first}', '{last}')"
                " UNION ALL BY NAME FROM columns) WHERE site_name = getvariable('site') OR getvariable('site') IS NULL"
            )
            if site is not None and not connection.execute("SELECT 1 FROM events LIMIT 1").fetchall():
                raise ConfigurationError(
                    f"no committed event of {first} to {last} is of the site that was named",
                    do="Spell it as the column site_name does: the page of all sites names them",
                    about=str(lake),
                )
            return first, last, list(_answers(connection, first, last))
        except duckdb.Error as error:
            raise LakeError(
                f"the lake has no committed events of the period, or does not read ({type(error).__name__})",
                do="Check the lake's root, and name a period with --first and --last; see imperva-logs coverage for"
                " what is there",
                about=str(lake),
            ) from None


def _open(connection: duckdb.DuckDBPyConnection, lake: LakeUri) -> str:
    """Let DuckDB read the lake, also where only fsspec speaks its protocol; return the lake's root."""
    if lake.scheme == "file":
        return lake.path
    filesystem, root = open_filesystem(lake)
    connection.register_filesystem(filesystem)
    return f"{lake.scheme}://{root}"


def _read_ledger(connection: duckdb.DuckDBPyConnection, root: str) -> date:
    """Make the macro of committed events; return the last day of them."""
    script = (_SQL / "views.duckdb.sql").read_text().replace("{lake}", root.replace("'", "''"))
    connection.execute(script.partition("CREATE OR REPLACE VIEW events")[0])
    days = "regexp_extract(path, '/event_date=([^/]+)/', 1)"
    (newest,) = connection.execute(f"SELECT max({days}) FROM live_parts WHERE path LIKE 'events/%'").fetchall()[0]  # noqa: S608
    return date.fromisoformat(newest or "1970-01-01")


def _answers(connection: duckdb.DuckDBPyConnection, first: date, last: date) -> Iterator[Answer]:
    for question in questions():
        statement = question.statement.replace(_PERIOD[0], f"DATE '{first}'").replace(_PERIOD[1], f"DATE '{last}'")
        # By way of Arrow: to make Python's times itself, DuckDB needs the package pytz.
        table = connection.sql(statement).to_arrow_table()
        rows = table.slice(0, _ROWS).to_pylist()
        yield Answer(question, table.column_names, [tuple(map(_in_utc, row.values())) for row in rows])


def _in_utc(value: Any) -> Any:
    """Return a time in UTC; DuckDB gives it in this machine's zone."""
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def render(answers: Sequence[Answer], *, lake: str, first: date, last: date, site: str | None = None) -> str:
    """Write the page: one file that needs nothing else, no network and no script."""
    return fill("answers.html.jinja", answers=answers, lake=lake, first=first, last=last, site=site)
