"""``python -m airflow_provider_imperva.cli`` is ``imperva-logs``."""

import sys

from airflow_provider_imperva.cli import main

sys.exit(main())
