"""What the cluster starts is what Airflow knows, and all its processes are told the same."""

from __future__ import annotations

import pytest

from tests.cluster import services

SECRETS = services.Secrets(fernet_key="fernet", jwt_secret="jwt", api_secret_key="api")


@pytest.mark.parametrize("command", [services.MIGRATE, services.create_pool("imperva", 8), *services.SERVICES.values()])
def test_each_command_is_one_of_airflows(command: tuple[str, ...]) -> None:
    # Here, so that who collects this test and does not run it is spared the import.
    from airflow.cli import cli_parser

    program, *arguments = command
    assert program == "airflow"
    cli_parser.get_parser().parse_args(arguments)


def test_two_workers_have_two_names() -> None:
    names = {services.SERVICES[worker][-1] for worker in services.WORKERS}
    assert len(names) == len(services.WORKERS) == 2


def test_all_are_told_where_tasks_report_and_what_signs_their_tokens() -> None:
    """The default of each would be made up again by every process, or point to a port where nobody listens."""
    told = services.settings(
        database="postgresql+psycopg2://airflow@db/airflow",
        broker="redis://r",
        api_server="http://api",
        secrets=SECRETS,
    )
    assert told["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://api/execution/"
    assert told["AIRFLOW__API_AUTH__JWT_SECRET"] == "jwt"
    assert told["AIRFLOW__CORE__FERNET_KEY"] == "fernet"
    assert told["AIRFLOW__CELERY__RESULT_BACKEND"] == "db+postgresql+psycopg2://airflow@db/airflow"
