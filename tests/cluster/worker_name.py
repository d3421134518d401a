"""Lets workers on one machine be told apart: Airflow asks for the host's name here."""

from __future__ import annotations

import os


def worker_name() -> str:
    """Return the name of the service that runs the task."""
    return os.environ["SERVICE"]
