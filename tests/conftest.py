"""What holds for every test: Airflow writes into a folder of its own, never into the home of who runs the tests."""

from __future__ import annotations

import os
import tempfile

# Airflow reads these when it is first imported, and creates its home at once.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
