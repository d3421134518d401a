"""The plugin that Airflow loads. Each of its processes does, so nothing heavy is imported here.

It is registered by the entry point ``airflow.plugins``. Plugins named in a provider's metadata are only loaded where
``[core] lazy_discover_providers`` is off, and it is on unless somebody changes it.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from airflow_provider_imperva.links import COVERAGE_ROUTE
from airflow_provider_imperva.plugins import pools

_PREFIX = "imperva"
"""Where the web application is below Airflow's own address."""


class ImpervaPlugin(AirflowPlugin):
    """Shows the coverage pages of lakes in Airflow's user interface, and looks at pools when a run starts."""

    name = "imperva"
    listeners = [pools]  # noqa: RUF012
    # No leading slash in an href: Airflow may be served below a path.
    external_views = [  # noqa: RUF012
        {
            "name": "Imperva coverage",
            "href": f"{_PREFIX}/",
            "destination": "nav",
            "category": "browse",
            "url_route": "imperva",
        },
        {
            "name": "Imperva",
            "href": f"{_PREFIX}/dags/{{DAG_ID}}",
            "destination": "dag",
            "url_route": COVERAGE_ROUTE,
        },
    ]

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The web application, made only where it is served: the API server asks for it, a worker never."""
        from airflow_provider_imperva.plugins.web import make_app

        return [{"app": make_app(), "url_prefix": f"/{_PREFIX}", "name": "Imperva coverage"}]
