"""What holds for every test: Airflow writes into a folder of its own, never into the home of who runs the tests."""

from __future__ import annotations

import os
import tempfile

import pytest
from hypothesis import settings

# How long an example takes says something of the machine, and nothing of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# Airflow reads these when it is first imported, and creates its home at once.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at how many points runs were stopped; each crash test counts its own."""
    points = [
        count
        for report in terminalreporter.getreports("passed")
        for name, count in report.user_properties
        if name == "crash points"
    ]
    if points:
        terminalreporter.write_line(f"Crash points tried: {sum(points)}, in {len(points)} tests")
