"""The option ``pseudonyms`` as people give it, checked while a DAG is parsed; nothing here needs Arrow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.options import check_type, unknown_name

PERSONAL: Mapping[str, str] = {
    "client_ip": "address",
    "client_edge_ip": "address",
    "x_forwarded_for": "address",
    "visitor_id": "visitor",
    "session_id": "session",
    "account_name": "account",
}
"""The columns that can have pseudonyms, with the kind of what is in them: within a kind they can be joined."""

ADDRESSES = frozenset(name for name, kind in PERSONAL.items() if kind == "address")


@dataclass(frozen=True, slots=True, kw_only=True)
class PseudonymOptions:
    """What has pseudonyms, and how they are made.

    :ivar conn_id: the Airflow connection whose password is the key, and whose login is the key's id.
    :ivar columns: names out of :data:`PERSONAL`; all of them by default.
    :ivar addresses: ``hmac`` gives addresses pseudonyms; ``truncate`` cuts them to /24 (IPv4) and /48 (IPv6), and
        replaces what is not an address.
    """

    conn_id: str | None = None
    columns: tuple[str, ...] = tuple(PERSONAL)
    addresses: Literal["hmac", "truncate"] = "hmac"

    @property
    def needs_key(self) -> bool:
        """Whether anything is hashed."""
        return self.addresses == "hmac" or not ADDRESSES.issuperset(self.columns)


def pseudonym_options(given: Any) -> PseudonymOptions | None:
    """Return what an option ``pseudonyms`` asks for.

    :param given: None or False for no pseudonyms; the id of the connection that has the key; a mapping of the fields of
        :class:`PseudonymOptions`.
    :raises ConfigurationError: if it is none of them, or something in it is wrong.
    """
    if given is None or given is False:
        return None
    fields = {"conn_id": given} if isinstance(given, str) else given
    if not isinstance(fields, Mapping):
        raise ConfigurationError(
            f"pseudonyms is of type {type(given).__name__}",
            do="Give the id of the connection that has the key, or a mapping with conn_id, columns and addresses",
            about="pseudonyms",
        )
    known = {"conn_id": str, "columns": list | tuple, "addresses": Literal["hmac", "truncate"]}
    for name, value in fields.items():
        if name not in known:
            raise ConfigurationError(unknown_name(str(name), known), do="Correct its name", about="pseudonyms")
        check_type(name, value, known[name])
    columns = tuple(fields.get("columns", PERSONAL))
    for column in columns:
        if column not in PERSONAL:
            raise ConfigurationError(
                unknown_name(str(column), PERSONAL), do="Name columns that can have pseudonyms", about="pseudonyms"
            )
    options = PseudonymOptions(**{**fields, "columns": columns})
    if options.needs_key and not options.conn_id:
        raise ConfigurationError(
            "no connection has the key of the pseudonyms",
            do="Name it in conn_id; only addresses that are cut (`addresses: truncate`) need no key",
            about="pseudonyms",
        )
    return options
