"""What each process of an Airflow cluster runs, and what all of them are told: for whatever starts one.

``make test-cluster`` starts them as processes on loopback. A container's command is the same; addresses, ports and
secrets come by the environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MIGRATE = ("airflow", "db", "migrate")

SERVICES: Mapping[str, tuple[str, ...]] = {
    "api-server": ("airflow", "api-server"),
    "scheduler": ("airflow", "scheduler"),
    "dag-processor": ("airflow", "dag-processor"),
    "triggerer": ("airflow", "triggerer"),
    # By a name of their own, since there may be several on a machine.
    "worker-1": ("airflow", "celery", "worker", "--celery-hostname", "worker-1@%h"),
    "worker-2": ("airflow", "celery", "worker", "--celery-hostname", "worker-2@%h"),
}
"""Airflow's services by name."""

WORKERS = tuple(name for name in SERVICES if name.startswith("worker-"))


def create_pool(name: str, slots: int) -> tuple[str, ...]:
    """Return the command that makes a repository's pool; its slots are requests to that repository."""
    return ("airflow", "pools", "set", name, str(slots), "requests to the repository, of all workers together")


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """What every Airflow process has to know, and the same one.

    :ivar fernet_key: encrypts connections in the database.
    :ivar jwt_secret: signs the tokens with which tasks speak to the API server; a worker with another is refused.
    :ivar api_secret_key: signs sessions, and the requests for logs between API server and workers.
    """

    fernet_key: str
    jwt_secret: str
    api_secret_key: str


ONE_MACHINE = ("api-server", "scheduler", "dag-processor", "triggerer")
"""The services that it takes where the scheduler runs the tasks itself."""


def settings(*, database: str, broker: str | None, api_server: str, secrets: Secrets) -> dict[str, str]:
    """Return the settings that all of Airflow's processes share, as environment.

    :param database: SQLAlchemy URL of PostgreSQL, naming the driver.
    :param broker: URL of Redis; None without Celery, where the scheduler runs the tasks itself.
    :param api_server: URL of the API server as workers, scheduler and triggerer reach it.
    """
    shared = {
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor" if broker else "LocalExecutor",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{api_server}/execution/",
        "AIRFLOW__CORE__FERNET_KEY": secrets.fernet_key,
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.jwt_secret,
        "AIRFLOW__API__SECRET_KEY": secrets.api_secret_key,
        "AIRFLOW__API__BASE_URL": api_server,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
    }
    if broker is None:
        return shared
    return shared | {
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{database}",
        "AIRFLOW__CELERY__BROKER_URL": broker,
        # A task takes a core while it normalizes.
        "AIRFLOW__CELERY__WORKER_CONCURRENCY": "2",
    }
