"""The catalog that a lake's Iceberg table is in, and what the lake remembers of it: names, never credentials.

Airflow hands over the catalog of a connection, as the official Iceberg provider opens it. Without one, pyiceberg's own
configuration is asked for a catalog of the remembered name. Without a name, the catalog is a SQLite file in the lake,
for trying.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_imperva.errors import ConfigurationError, TableError
from airflow_provider_imperva.extras import install_command
from airflow_provider_imperva.lake.layout import ICEBERG
from airflow_provider_imperva.lake.store import Store

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

NOTE = f"{ICEBERG}/table.json"
"""Object that says which table of which catalog is the lake's."""

TABLE_PROPERTY = "imperva.table-name"
"""Property of a catalog, as in the extra of its connection: the table's name there, with its namespace."""

_USUAL_TABLE = "imperva.events"
_EMBEDDED = f"{ICEBERG}/catalog.db"
_SECONDS = 60
"""How long a write waits for another one."""

_STORAGE = {
    "s3.endpoint": "endpoint",
    "s3.region": "region",
    "s3.access-key-id": "access_key_id",
    "s3.secret-access-key": "secret_access_key",
    "s3.session-token": "session_token",
}
"""What pyiceberg calls the storage options of a store's address."""


class Note(msgspec.Struct, frozen=True):
    """Where the table is.

    :ivar catalog: the catalog's name: the id of the connection, or that of pyiceberg's configuration; None for the file
        in the lake.
    :ivar table: the table's name in it, with its namespace.
    """

    v: int
    catalog: str | None
    table: str


# Before there are threads (see ledger.py).
_NOTES = msgspec.json.Decoder(Note)


def is_noted(store: Store) -> bool:
    """Return whether a lake remembers an Iceberg table."""
    return store.exists(NOTE)


def read_note(store: Store) -> Note:
    """Return where a lake's table is; :raises TableError: if the note does not read."""
    try:
        note = _NOTES.decode(store.read(NOTE))
    except (FileNotFoundError, msgspec.DecodeError):
        note = None
    if note is None or note.v != 1:
        raise TableError(
            "the note about the lake's table does not read, or is of a newer provider",
            do="Upgrade the provider, if there is a newer one; or delete the note, and run"
            " imperva-logs table LAKE --create iceberg with the catalog that the table is in",
            about=store.uri(NOTE),
        )
    return note


def write_note(store: Store, note: Note) -> None:
    """Remember where a lake's table is."""
    store.write(NOTE, msgspec.json.encode(note))


def new_note(store: Store, catalog: Catalog) -> Note:
    """Return where the table of a lake is to be that has none."""
    named = catalog.name if store.catalog else None
    return Note(1, named, str(catalog.properties.get(TABLE_PROPERTY) or _USUAL_TABLE))


def open_catalog(store: Store, named: str | None = None) -> Catalog:
    """Open the catalog of a lake's table, and give it the lake's credentials for the lake's objects, if it has none.

    :param named: its name, if the lake remembers one.
    :raises ConfigurationError: if pyiceberg is missing, or nothing says how the catalog is reached.
    """
    library()
    catalog: Catalog
    if store.catalog:
        catalog = store.catalog()
    elif named:
        catalog = _configured(named, store)
    else:
        catalog = _embedded(store)
    options = store.address(ICEBERG).options
    for theirs, ours in _STORAGE.items():
        if ours in options:
            catalog.properties.setdefault(theirs, options[ours])
    return catalog


def configured_catalog(name: str) -> Catalog:
    """Open a catalog of pyiceberg's own configuration: its file, or environment variables.

    :raises ConfigurationError: if there is none of that name.
    """
    library()
    from pyiceberg.catalog import load_catalog
    from pyiceberg.utils.config import Config

    settings: Any = Config().get_catalog_config(name)
    if settings is None:
        raise ConfigurationError(
            f"nothing says how the Iceberg catalog {name} is reached",
            do="Set catalog_conn_id to its Airflow connection; for the command line describe it in ~/.pyiceberg.yaml,"
            " or in environment variables that begin with PYICEBERG_CATALOG__",
        )
    try:
        return load_catalog(name, **settings)
    except Exception as error:
        # Its text may hold what the configuration has, such as a password.
        raise ConfigurationError(
            f"the Iceberg catalog {name} cannot be opened ({type(error).__name__})",
            do="Correct it in ~/.pyiceberg.yaml, or in the environment variables that begin with PYICEBERG_CATALOG__",
        ) from None


def _configured(name: str, store: Store) -> Catalog:
    try:
        return configured_catalog(name)
    except ConfigurationError as error:
        raise ConfigurationError(error.found, do=error.do, about=store.uri(NOTE)) from None


def _embedded(store: Store) -> Catalog:
    from pyiceberg.catalog.sql import SqlCatalog
    from sqlalchemy import NullPool, create_engine

    if not store.address(ICEBERG).url.startswith("file:"):
        raise ConfigurationError(
            "an Iceberg table on an object store needs a catalog",
            do="Set catalog_conn_id to an Airflow connection of type iceberg, or name a catalog of pyiceberg's"
            " configuration with --catalog",
            about=store.uri(),
        )
    path = Path(store.uri(_EMBEDDED)).absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    url = f"sqlite:///{path}?timeout={_SECONDS}"
    catalog = SqlCatalog("imperva", uri=url)
    # By itself it keeps its connections until nothing refers to it any more, and longer.
    catalog.engine.dispose()
    catalog.engine = create_engine(url, poolclass=NullPool)
    return catalog


def library() -> Any:
    """Return pyiceberg; :raises ConfigurationError: if it is not installed."""
    try:
        import pyiceberg
    except ImportError:
        raise ConfigurationError(
            "a lake with an Iceberg table needs the library pyiceberg, which is not installed",
            do=f"Install it ({install_command('iceberg')}); a new lake without a table is made with table=None",
        ) from None
    return pyiceberg
