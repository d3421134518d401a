"""Runs a page's Python, which leaves its answer in the variable ``events``."""

from __future__ import annotations

import sys
from typing import Any

from tests.engines.readers.blocks import ROOT

sys.path.insert(0, str(ROOT / "airflow_provider_imperva" / "examples" / "python"))

_SESSIONS: list[dict[str, Any]] = []


def answer_of(code: str, **given: Any) -> Any:
    """Return what the code leaves in ``events``."""
    names = dict(given)
    exec(code, names)
    # As in a session of an analyst's, in which the code's other variables outlive it.
    _SESSIONS.append(names)
    return names["events"]
