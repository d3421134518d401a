"""The catalog of arrivals gives each object one number, for good, whoever catalogs and wherever it stops."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_imperva.delivery.folder import DeliveredObject
from airflow_provider_imperva.errors import LedgerCorruptError
from airflow_provider_imperva.lake.arrivals import Catalog
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.lake.store import open_store
from tests.delivery.inbox import Deliveries
from tests.load.stepped_store import BrokenOffError, SteppedStore, break_off


def objects(*names: str) -> list[DeliveredObject]:
    return [DeliveredObject(name, 100, "v1") for name in names]


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog(open_store(str(tmp_path)), Layout("pushed"))


def test_numbers_stay_whatever_is_listed_later(catalog: Catalog) -> None:
    catalog.add(objects("b", "a"))
    catalog.add(objects("c"))
    found = catalog.add(objects("a", "d", "b"))
    assert [item.path for item in found.ordered] == ["b", "a", "c", "d"]
    assert [found.number(item) for item in objects("a", "b", "c", "d", "e")] == [2, 1, 3, 4, None]
    assert catalog.read().ordered == found.ordered


@pytest.mark.parametrize("changed", [DeliveredObject("a", 101, "v1"), DeliveredObject("a", 100, "v2")])
def test_another_size_or_version_is_another_arrival(catalog: Catalog, changed: DeliveredObject) -> None:
    catalog.add(objects("a"))
    assert catalog.add([changed]).number(changed) == 2


def test_nothing_new_writes_nothing(catalog: Catalog, tmp_path: Path) -> None:
    catalog.add(objects("a"))
    before = sorted(tmp_path.rglob("*"))
    catalog.add(objects("a"))
    assert sorted(tmp_path.rglob("*")) == before


def test_of_two_who_catalog_at_once_both_see_the_same_numbers(tmp_path: Path) -> None:
    """Each meets the other's page where it wanted to write its own."""
    store = open_store(str(tmp_path))
    other = Catalog(store, Layout("pushed"))

    def intervene(step: int, path: str) -> None:
        if step == 0:
            other.add(objects("theirs", "common"))

    mine = Catalog(SteppedStore(store, before=intervene), Layout("pushed")).add(objects("common", "mine"))
    assert [item.path for item in mine.ordered] == ["theirs", "common", "mine"]
    assert other.read().ordered == mine.ordered


def test_many_pages_are_gathered_and_read_the_same(catalog: Catalog, tmp_path: Path) -> None:
    for number in range(1, 12):
        catalog.add(objects(f"a{number}", f"b{number}"), pages_at_a_time=3)
    assert len(list(tmp_path.glob("arrivals/**/*.parquet"))) == 3
    assert [item.path for item in catalog.read().ordered][-2:] == ["a11", "b11"]
    (last, *_) = sorted(tmp_path.glob("arrivals/**/*.parquet"), reverse=True)
    for page in tmp_path.glob("arrivals/**/*.json"):
        if int(page.stem) <= int(last.stem):
            page.unlink()  # what is gathered is not read again
    assert len(catalog.read()) == 22


def test_numbers_beyond_a_thousand_follow(catalog: Catalog) -> None:
    catalog.add(objects(*(f"{number}" for number in range(2500))))
    for number in range(3):
        catalog.add(objects(f"later {number}"))
    assert catalog.read().number(*objects("later 2")) == 2503


@pytest.mark.parametrize("damage", [lambda page: page.unlink(), lambda page: page.write_bytes(b'{"v":')])
def test_a_page_that_is_missing_or_damaged_is_named(catalog: Catalog, tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    """Numbers given again would load again what is loaded."""
    for name in ("a", "b", "c"):
        catalog.add(objects(name))
    damage(tmp_path / "arrivals/repository=pushed/pages/000000000/000000000002.json")
    with pytest.raises(LedgerCorruptError, match="arrivals"):
        catalog.add(objects("d"))


@pytest.mark.parametrize("way", ["before", "after"])
def test_a_run_that_stops_while_it_catalogs_changes_no_number(account: Deliveries, way: str) -> None:
    account.deliver("a", 1)
    account.run_some()
    account.deliver("b", 2)
    store = account.ledger.store
    account.ledger.store = SteppedStore(store, **{way: break_off(0)})
    with pytest.raises(BrokenOffError):
        account.plan()
    account.ledger.store = store
    account.deliver("c", 3)
    account.run_some()
    assert account.rows() == account.expected()
    assert [item.path for item in account.catalog.read().ordered] == ["a", "b", "c"]


def test_a_mere_look_gives_no_number(account: Deliveries) -> None:
    """The sensor looks every minute, twice if need be, and writes nothing."""
    from airflow_provider_imperva.load.delivered import DeliveredLogs

    account.deliver("a", 1)
    with account.inbox.open() as folder:
        assert len(DeliveredLogs(folder, account.ledger, catalogs=False).read_index().names) == 1
    assert not account.lake.exists()
