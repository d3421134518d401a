"""From options and a connection to what protects rows: the key of pseudonyms is looked up here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseHook
from airflow.sdk.log import mask_secret

from airflow_provider_imperva.severities import Severities

if TYPE_CHECKING:
    from airflow_provider_imperva.privacy.options import PseudonymOptions
    from airflow_provider_imperva.privacy.protection import Protection
    from airflow_provider_imperva.privacy.rules import Rules


def open_protection(
    rules: Rules | None, options: PseudonymOptions | None, severities: Severities | None = None
) -> Protection:
    """Return what protects rows, with the key of pseudonyms out of the connection that has it.

    :raises ConfigurationError: if the key is missing or too short.
    """
    from airflow_provider_imperva.privacy.protection import Protection
    from airflow_provider_imperva.privacy.pseudonyms import Key, Pseudonyms

    severities = severities or Severities()
    if options is None:
        return Protection(rules, severities=severities)
    key = None
    if options.needs_key and options.conn_id:
        connection = BaseHook.get_connection(options.conn_id)
        if connection.password:
            mask_secret(connection.password)
        key = Key.of(connection.password, id=connection.login, about=options.conn_id)
    return Protection(rules, Pseudonyms(options, key), severities)
