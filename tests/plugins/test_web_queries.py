"""What the coverage tab asks Airflow's database: the DAGs' newest versions, and the runs since the page was written."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.serialized_dag import SerializedDagModel
from sqlalchemy import Column, MetaData, Table, create_engine, insert
from sqlalchemy.orm import Session

from airflow_provider_imperva.plugins import web

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
MODELS = (DagModel, SerializedDagModel, DagRun)


class Database:
    """Airflow's tables in memory, in which a row may leave out what these tests are not about."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._metadata = MetaData()
        for model in MODELS:
            Table(model.__tablename__, self._metadata, *(Column(one.name, one.type) for one in model.__table__.columns))
        self._metadata.create_all(session.connection())

    def add(self, model: Any, **values: Any) -> None:
        self.session.execute(insert(self._metadata.tables[model.__tablename__]).values(**values))


@pytest.fixture
def database() -> Iterator[Database]:
    engine = create_engine("sqlite://")
    with Session(engine) as session:
        yield Database(session)
    engine.dispose()


class TestHashes:
    def test_the_newest_version_of_a_dag_counts(self, database: Database) -> None:
        database.add(DagModel, dag_id="shop", is_stale=False)
        for hours, dag_hash in ((2, "b"), (3, "a"), (1, "c")):
            at = NOW + timedelta(hours=hours)
            database.add(SerializedDagModel, dag_id="shop", dag_hash=dag_hash, created_at=at)
        assert web._hashes(database.session) == {"shop": "a"}

    def test_dags_whose_file_is_gone_are_left_out(self, database: Database) -> None:
        for dag_id, is_stale in (("here", False), ("gone", True)):
            database.add(DagModel, dag_id=dag_id, is_stale=is_stale)
            database.add(SerializedDagModel, dag_id=dag_id, dag_hash="hash", created_at=NOW)
        assert web._hashes(database.session) == {"here": "hash"}


class TestRunsSince:
    def test_runs_that_ended_later_are_counted_by_state(self, database: Database) -> None:
        for number, (minutes, state) in enumerate([(1, "success"), (2, "success"), (3, "failed"), (-1, "failed")]):
            end = NOW + timedelta(minutes=minutes)
            database.add(DagRun, dag_id="shop", run_id=f"run {number}", state=state, end_date=end)
        assert web._runs_since("shop", NOW, database.session) == {"success": 2, "failed": 1}

    @pytest.mark.parametrize("run", [{"dag_id": "bank", "end_date": NOW + timedelta(hours=1)}, {"dag_id": "shop"}])
    def test_runs_of_other_dags_and_runs_that_go_on_do_not_count(self, database: Database, run: dict[str, Any]) -> None:
        database.add(DagRun, run_id="run", state="running", **run)
        assert web._runs_since("shop", NOW, database.session) == {}
