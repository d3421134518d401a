"""The how-to pages of engines have the statements that `make test-engines` runs, or say that they are not run here."""

from __future__ import annotations

import pytest

from pages.engines import NAMES, WAYS_ROUND
from tests.engines.readers.blocks import PAGES, blocks

NOT_RUN = ("trino-athena", "snowflake", "databricks")


@pytest.mark.parametrize("engine", NAMES)
def test_an_engine_has_the_statements_that_are_tested(engine: str) -> None:
    wanted = {"period", "quarantine"} | (set() if (engine, "table") in WAYS_ROUND else {"table", "hours"})
    found = blocks(engine, "/a/lake")
    assert wanted <= found.keys()
    assert all("/a/lake" in found[name] and "/srv/lake" not in found[name] for name in wanted)


def test_every_page_is_one_or_the_other() -> None:
    pages = {page.stem for page in PAGES.glob("*.md")}
    assert pages == {*NAMES, *NOT_RUN}
    for page in NOT_RUN:
        assert "have not been run here" in " ".join((PAGES / f"{page}.md").read_text().split())
