"""Where the package keeps its examples."""

from __future__ import annotations

from pathlib import Path

import airflow_provider_imperva

EXAMPLES = Path(airflow_provider_imperva.__file__).parent / "examples"
