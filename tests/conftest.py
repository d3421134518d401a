"""What holds for every test: Airflow writes into a folder of its own, never into the home of who runs the tests."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import Phase, settings

from tests import debian, scratch
from tests.long_form import EXAMPLES, LONG

if TYPE_CHECKING:
    from tests.crash.object_server import CatalogServer

# What is made while tests are imported and collected stays to the end. To look for garbage in it, again and again,
# takes as long as to make it.
gc.disable()
atexit.register(gc.unfreeze)

# How long an example takes says something of the machine, and nothing of the code. The short form draws the same
# examples each time, so that what passes here passes elsewhere; the long form looks for new ones.
settings.register_profile("suite", deadline=None, max_examples=EXAMPLES, derandomize=not LONG)
settings.load_profile("suite")
# For a run that only asks whether a test fails.
settings.register_profile("unshrunk", settings.get_profile("suite"), phases=set(Phase) - {Phase.shrink, Phase.explain})

scratch.use_memory()

# Airflow reads these when it is first imported, and creates its home at once.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")
atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"


@pytest.fixture(scope="session")
def shared_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this run, the same in all processes that share the tests."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if hasattr(request.config, "workerinput") else own


@pytest.fixture(scope="session")
def catalog_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CatalogServer]:
    """A real S3 server with a real Iceberg REST catalog."""
    from tests.crash.object_server import CannotRunError, catalog_server

    try:
        with catalog_server(tmp_path_factory.mktemp("catalog")) as server:
            yield server
    except CannotRunError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def s3_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a real S3 server."""
    from tests.crash.object_server import CannotRunError, object_server

    try:
        with object_server(tmp_path_factory.mktemp("objects")) as url:
            yield url
    except CannotRunError as error:
        pytest.skip(str(error))


def pytest_report_header() -> list[str]:
    """Say what will be skipped for want of which Debian package."""
    return list(debian.lines_before())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what is slow where several processes share the tests, so that they end at the same time.

    First of all what shares an Airflow: one process gets the first tests, so the others need not load it, too.
    """
    debian.skip_what_lacks_its_packages(items)
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: ("fork_server" not in fixtures(item), item.get_closest_marker("slow") is None))


def fixtures(item: pytest.Item) -> Sequence[str]:
    """Return the names of the fixtures that a test uses."""
    return getattr(item, "fixturenames", ())


def pytest_collection_finish() -> None:
    """Look for garbage from here on."""
    gc.enable()
    gc.freeze()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Say, after all else, at how many points runs were stopped, and what was skipped for want of which package."""
    yield
    points = [
        count
        for report in terminalreporter.getreports("passed")
        for name, count in report.user_properties
        if name == "crash points"
    ]
    if points:
        terminalreporter.write_line(f"Crash points tried: {sum(points)}, in {len(points)} tests")
    for line in debian.lines_after(terminalreporter.getreports("skipped")):
        terminalreporter.write_line(line)
