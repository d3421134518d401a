"""What a long verification will take is told before it begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_imperva.audit import expected as expected_module
from airflow_provider_imperva.audit.inventory import take_inventory
from airflow_provider_imperva.audit.verify import verify_lake
from airflow_provider_imperva.cli import main
from airflow_provider_imperva.lake.store import open_store


def test_it_is_told_before_the_ledger_is_read(
    eventful_lake: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expected_module, "_ENTRIES", 2)
    main(["verify", str(eventful_lake), "--repository", "8416_1745073", "--sample", "3"])
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "which takes about" in line]
    assert line.startswith("8416_1745073: ")
    assert "3 objects" in line


def test_of_a_short_ledger_nothing_is_told(lake: Path) -> None:
    told: list[str] = []
    verify_lake(open_store(str(lake)), announce=told.append)
    assert told == []


def test_objects_and_bytes_are_those_that_are_there(eventful_lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expected_module, "_ENTRIES", 2)
    store, told = open_store(str(eventful_lake)), list[str]()
    verify_lake(store, repository="8416_1745073", announce=told.append)
    inventory = take_inventory(store, "8416_1745073")
    sizes = inventory.raw | inventory.parts
    assert f"{len(sizes):,} objects of {sum(sizes.values()) / 1e9:,.1f} GB" in told[0]
