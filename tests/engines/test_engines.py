"""Query engines read a lake of every type and oddity by the statements of the how-to pages (``make test-engines``)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from pages.engines import NAMES, WAYS_ROUND, engines_page
from tests.engines.ask import PYTHON, ask, make_lakes
from tests.engines.oddities import OddLake
from tests.engines.verdict import Verdict, judge
from tests.engines.write_page import PAGE

# Where others use the cores too, Spark takes minutes to start.
pytestmark = [pytest.mark.engines, pytest.mark.needs("default-jre-headless"), pytest.mark.timeout(900)]
engines = pytest.mark.parametrize("engine", NAMES)


@pytest.fixture(scope="module")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> tuple[OddLake, Path]:
    assert PYTHON.exists(), "make test-engines makes the environment .engines"
    return make_lakes(tmp_path_factory.mktemp("engines"))


@pytest.fixture(scope="module")
def verdicts(lakes: tuple[OddLake, Path]) -> Mapping[str, Verdict]:
    """Ask each engine once."""

    @cache
    def verdict(engine: str) -> Verdict:
        return judge(ask(engine, *lakes), lakes[0])

    return {engine: verdict(engine) for engine in NAMES}


@engines
def test_it_shows_the_committed_rows_and_no_others(engine: str, verdicts: Mapping[str, Verdict]) -> None:
    """With the table and without it, of a period and of hours, and what is in quarantine."""
    assert verdicts[engine].wrong_rows == {}
    assert ("table" in verdicts[engine].ways) != ((engine, "table") in WAYS_ROUND)
    assert "period" in verdicts[engine].ways


@engines
def test_each_value_is_as_it_was_written_or_the_page_says_so(engine: str, verdicts: Mapping[str, Verdict]) -> None:
    wrong: dict[str, set[str]] = {}
    for kind, cells in verdicts[engine].wrong_cells.items():
        wrong.setdefault(kind.partition("<")[0], set()).update(cells)
    told = {kind for name, kind in WAYS_ROUND if name == engine} - {"table", "time", "large_binary"}
    assert wrong.keys() == told, wrong
    for kind in told:
        assert wrong[kind] == {"null becomes []" if kind == "list" else "null becomes {}"}


@engines
def test_files_are_skipped_or_the_page_says_so(engine: str, verdicts: Mapping[str, Verdict]) -> None:
    """What is not asked for is no Parquet any more, so whoever opens it fails."""
    for skips in verdicts[engine].skips.values():
        for by, skipped in skips.items():
            assert skipped != ((engine, by) in WAYS_ROUND), f"{engine} by {by}"


def test_the_page_says_what_was_found(verdicts: Mapping[str, Verdict]) -> None:
    assert PAGE.read_text() == engines_page(verdicts), "python -m tests.engines.write_page rewrites it"
