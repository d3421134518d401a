"""The accounts of a fleet: a list of connections, wherever it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from airflow.sdk import Variable
from airflow.sdk.exceptions import AirflowRuntimeError

from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.options import unknown_name

Accounts = str | Iterable[str | Mapping[str, Any]] | Callable[[], Iterable[str | Mapping[str, Any]]]
"""Where the list of accounts is, or the list itself."""

OWN = frozenset(
    {
        "imperva_conn_id",
        "lake_uri",
        "lake_conn_id",
        "plan_options",
        "keep_raw",
        "decode_policy",
        "redaction",
        "pseudonyms",
        "severities",
        "table",
        "quarantined_share",
        "fail_when_critical",
    }
)
"""What an account may have for itself, besides its tags: arguments of the task that loads it."""

_KNOWN = sorted(OWN | {"tags"})
_VARIABLE = "variable:"


def read_accounts(accounts: Accounts, *, tag: str | None = None) -> list[dict[str, Any]]:
    """Return the arguments to load each account, in the order of the list.

    :param accounts: as of :func:`~airflow_provider_imperva.fleet.imperva_fleet_dag`.
    :param tag: leave out accounts without this tag.
    :raises ConfigurationError: if there is no such list, none can be read there, or an account is named twice.
    """
    about = "accounts"
    if isinstance(accounts, str):
        about = accounts
        entries = _parsed(_text(accounts), about)
    else:
        entries = list(accounts() if callable(accounts) else accounts)
    by_conn_id: dict[str, dict[str, Any]] = {}
    for entry in entries:
        account = _account(entry, about)
        tags = account.pop("tags", ())
        conn_id = account["imperva_conn_id"]
        if conn_id in by_conn_id:
            raise ConfigurationError(f"the connection {conn_id} is named twice", do="Name each once", about=about)
        if tag is None or tag in ([tags] if isinstance(tags, str) else tags):
            by_conn_id[conn_id] = account
    return list(by_conn_id.values())


def _text(source: str) -> str:
    try:
        if source.startswith(_VARIABLE):
            return str(Variable.get(source.removeprefix(_VARIABLE)))
        path = Path(source)
        if not path.is_absolute():
            raise ConfigurationError(
                "this is neither variable:<name> nor the absolute path of a file",
                do="Write one of them, or give the list itself",
                about=source,
            )
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, KeyError, AirflowRuntimeError) as error:
        raise ConfigurationError(
            f"the list of accounts cannot be read ({type(error).__name__})",
            do="Make it where workers find it, or correct its name",
            about=source,
        ) from error


def _parsed(text: str, about: str) -> list[Any]:
    import yaml

    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(
            f"the list of accounts is neither YAML nor JSON ({type(error).__name__})", do="Correct it", about=about
        ) from None
    if isinstance(content, str):
        return content.replace(",", " ").split()
    if content is None:
        return []
    if not isinstance(content, list):
        raise ConfigurationError(
            f"the list of accounts is a {type(content).__name__}", do="Write a list of connections", about=about
        )
    return content


def _account(entry: Any, about: str) -> dict[str, Any]:
    account = {"imperva_conn_id": entry} if isinstance(entry, str) else entry
    if not isinstance(account, Mapping):
        raise ConfigurationError(
            f"an account is a {type(entry).__name__}",
            do="Give the id of its connection, or a mapping with imperva_conn_id",
            about=about,
        )
    if not isinstance(account.get("imperva_conn_id"), str) or not account["imperva_conn_id"].strip():
        raise ConfigurationError("an account names no connection", do="Give each its imperva_conn_id", about=about)
    for name in account:
        if name not in OWN and name != "tags":
            raise ConfigurationError(
                unknown_name(str(name), [*sorted(OWN), "tags"]), do="Correct its name", about=about
            )
    return dict(account)
