"""Merging one batch: the order of rows where their times say nothing."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.maintenance import plan_maintenance
from airflow_provider_imperva.lake.merge import merge_batch
from airflow_provider_imperva.lake.records import Kind, Part
from airflow_provider_imperva.lake.store import open_store
from tests.lake.ledger_records import RUN, T0, commit_of, finish_batch, plan_of


@pytest.mark.parametrize("pieces", [{}, {("8416_9.log", 9): 0}])
def test_rows_of_one_time_are_sorted_by_file_and_line(tmp_path: Path, pieces: dict[tuple[str, int], int]) -> None:
    ledger = Ledger(open_store(str(tmp_path / "lake")), "8416_1745073")
    parts: list[Part] = []
    for commit, numbers in enumerate(([9, 11], [10]), 1):
        plan = ledger.create_plan(plan_of(numbers, commit=commit, contiguous=0))
        parts += finish_batch(ledger, plan, rows=3).parts
        last = commit_of(ledger, plan)
    plan = plan_maintenance(
        ledger, last, kind=Kind.COMPACT, run=RUN, provider_version="0", at=T0, inputs={0: tuple(parts)}
    )
    report = merge_batch(ledger, plan, 0, pieces=pieces)
    found = [
        [tuple(row.values()) for row in pq.read_table(tmp_path / "lake" / part.path).select(columns).to_pylist()]
        for part in report.parts
        for columns in [["src_file", "src_line"]]
    ]
    lines = {number: [(f"8416_{number}.log", line) for line in (1, 2, 3)] for number in (9, 10, 11)}
    assert found == ([lines[10] + lines[11], lines[9]] if pieces else [lines[10] + lines[11] + lines[9]])
