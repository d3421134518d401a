"""The estimate of what a long verification takes is shown before it begins."""

from __future__ import annotations

from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_imperva.audit import estimate as estimate_module
from airflow_provider_imperva.audit.estimate import estimate
from airflow_provider_imperva.audit.inventory import take_inventory
from airflow_provider_imperva.audit.verify import verify_lake
from airflow_provider_imperva.cli import main
from airflow_provider_imperva.lake.bucket import ObjectStore
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.lake.store import open_store


def test_the_estimate_is_shown_before_the_ledger_is_read(
    eventful_lake: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate_module, "_ENTRIES", 2)
    main(["verify", str(eventful_lake), "--repository", "8416_1745073", "--sample", "3"])
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "which takes about" in line]
    assert line.startswith("8416_1745073: ")
    assert "3 objects" in line


def test_a_short_ledger_has_no_estimate(lake: Path) -> None:
    shown: list[str] = []
    verify_lake(open_store(str(lake)), announce=shown.append)
    assert shown == []


def test_objects_and_bytes_are_those_that_are_there(eventful_lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate_module, "_ENTRIES", 2)
    store, shown = open_store(str(eventful_lake)), list[str]()
    verify_lake(store, repository="8416_1745073", announce=shown.append)
    inventory = take_inventory(store, "8416_1745073")
    sizes = inventory.raw | inventory.parts
    assert f"{len(sizes):,} objects of {sum(sizes.values()) / 1e9:,.1f} GB" in shown[0]


@pytest.mark.parametrize(
    ("place", "processes", "seconds"),
    [
        ("disk", 1, 450),
        # Those that read have their processors in common with the one that checks.
        ("disk", 3, 150),
        # ... which checks alone, however many read.
        ("disk", 100, 50),
        # There one process reads, which waits for a server.
        ("server", 3, 450),
    ],
)
def test_processes_side_by_side_shorten_it_where_they_read(
    place: str, processes: int, seconds: float, eventful_lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate_module, "_ENTRIES", 1)
    store = open_store(str(eventful_lake))
    if place == "server":
        store = ObjectStore(LocalFileSystem(), str(eventful_lake))
    layout = Layout("8416_1745073")
    # It reads one entry in 40 seconds, checks it in 5, and has no object to hash.
    clock = iter([0.0, 40.0, 45.0, 45.0, 45.0])
    found = estimate(
        store,
        layout,
        take_inventory(store, layout.repository),
        last=10,
        sample=0,
        processes=processes,
        clock=clock.__next__,
    )
    assert found
    assert found.seconds == seconds
