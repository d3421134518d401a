"""From an Airflow connection to the repository, its private keys and its ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from airflow.sdk import BaseHook
from airflow.sdk.log import mask_secret

from airflow_provider_imperva.errors import ConfigurationError, ImpervaError, IndexNotFoundError
from airflow_provider_imperva.get_provider_info import CONNECTION_FIELDS, CONNECTION_TYPE, FIELD_BEHAVIOUR, HOOK_NAME
from airflow_provider_imperva.hooks.delivery import is_delivery, open_folder, repository_of
from airflow_provider_imperva.hooks.lake import open_lake

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from airflow_provider_imperva.container.keys import KeyRing
    from airflow_provider_imperva.delivery.folder import DeliveryFolder
    from airflow_provider_imperva.lake.ledger import Ledger
    from airflow_provider_imperva.load.origin import LogOrigin
    from airflow_provider_imperva.options import PlanOptions
    from airflow_provider_imperva.repository.client import RepositoryClient

_OPTIONS = {"repository": str, "proxy": str, "connect_timeout": float, "read_timeout": float, "max_concurrency": int}
_DELIVERY_WINDOW = timedelta(days=7)
"""How long a customer's own bucket or folder keeps a log at least, unless plan options say otherwise."""

_SWITCHES = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class ImpervaLogHook(BaseHook):
    """Opens a log repository of Imperva Cloud WAF by an Airflow connection of type ``imperva``.

    ===========================  ====================================================================
    host                         Log Server URL; https, or http on loopback. Or where Imperva delivers
                                 logs to: ``s3://bucket/folder/``, ``sftp:///folder/``
    login, password              API ID and API key of the log set-up; none for deliveries
    extra ``private_keys_dir``   folder with ``<publicKeyId>/Private.key``
    extra ``private_keys``       the PEM keys themselves, by publicKeyId
    extra, others                ``private_key_passphrase``, ``repository``, ``verify``, ``proxy``,
                                 ``connect_timeout``, ``read_timeout`` (seconds), ``max_concurrency``
    extra, for deliveries        ``delivery_conn_id``, ``after_commit``, ``ignore``; see
                                 :func:`~airflow_provider_imperva.hooks.delivery.open_folder`
    ===========================  ====================================================================

    :param imperva_conn_id: id of the connection.
    :param connection: the connection itself, where it has been looked up already (asynchronously, by a trigger).
    """

    conn_name_attr = "imperva_conn_id"
    default_conn_name = "imperva_default"
    conn_type = CONNECTION_TYPE
    hook_name = HOOK_NAME

    def __init__(
        self, imperva_conn_id: str = default_conn_name, *, connection: Connection | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.imperva_conn_id = imperva_conn_id
        self._given = connection

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the form's fields for Airflow 3.1, which does not read them from the provider's metadata."""
        from wtforms import PasswordField, StringField

        return {
            name: (PasswordField if field["schema"].get("format") == "password" else StringField)(
                field["label"], description=field["description"]
            )
            for name, field in CONNECTION_FIELDS.items()
        }

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return how the form shows Airflow's own fields, for Airflow 3.1."""
        return FIELD_BEHAVIOUR

    @cached_property
    def connection(self) -> Connection:
        """The Airflow connection, with its secrets masked in every log."""
        connection = self._given or self.get_connection(self.imperva_conn_id)
        mask_secret([secret for secret in _secrets(connection) if secret])
        return connection

    @property
    def delivers(self) -> bool:
        """Whether Imperva delivers the logs, rather than keeping them to be fetched."""
        return is_delivery(self.connection.host or "")

    @property
    def repository(self) -> str:
        """The repository's id in the lake; nothing is asked over the network for it.

        :raises ConfigurationError: if the connection names none that can be one.
        """
        if self.delivers:
            return repository_of(self.connection)
        from airflow_provider_imperva.repository.url import normalize_url, repository_id

        return repository_id(normalize_url(_url(self.connection)), given=self._options().get("repository"))

    def get_conn(self) -> RepositoryClient | DeliveryFolder:
        """Open the repository, or the folder that logs are delivered to; use it as a context manager.

        :raises ConfigurationError: if the connection cannot work.
        """
        return open_folder(self.connection) if self.delivers else self._client()

    def _client(self) -> RepositoryClient:
        from airflow_provider_imperva.repository.client import RepositoryClient

        connection = self.connection
        if not (connection.host and connection.login and connection.password):
            raise ConfigurationError(
                "the connection lacks a Log Server URL, an API ID or an API key",
                do="copy all three from the log set-up of the Imperva console into host, login and password",
                about=self.imperva_conn_id,
            )
        return RepositoryClient(
            url=_url(connection),
            login=connection.login,
            password=connection.password,
            verify=_verify(connection.extra_dejson.get("verify")),
            **self._options(),
        )

    @property
    def max_concurrency(self) -> int:
        """How many requests one task has under way at once."""
        return int(self._options().get("max_concurrency", 8))

    def key_ring(self) -> KeyRing:
        """Load every private key of the connection.

        :raises ConfigurationError: if one does not load.
        """
        from airflow_provider_imperva.container.keys import KeyRing

        extra = self.connection.extra_dejson
        passphrase = extra.get("private_key_passphrase") or None
        ring = KeyRing.from_pem(_private_keys(extra), passphrase=passphrase)
        if folder := extra.get("private_keys_dir"):
            ring |= KeyRing.from_folder(folder, passphrase=passphrase)
        return ring

    def key_ids(self) -> frozenset[str]:
        """Return the ids of the private keys at hand.

        None, and an error in the task's log, if a key does not load: a bad key must not keep logs from being fetched.
        """
        try:
            return self.key_ring().ids
        except ConfigurationError as error:
            self.log.error("%s Logs are fetched, but none that waits for a key is loaded.", error)
            return frozenset()

    def open_ledger(self, repository: str, lake_uri: str, lake_conn_id: str | None = None) -> Ledger:
        """Open the ledger of a repository in a lake.

        :param lake_uri: root of the lake.
        :param lake_conn_id: Airflow connection with the lake's credentials, as
            :func:`~airflow_provider_imperva.hooks.lake.lake_filesystem` reads it; ambient ones without.
        :raises ConfigurationError: if URI or connection cannot work.
        """
        from airflow_provider_imperva.lake.ledger import Ledger

        return Ledger(open_lake(lake_uri, lake_conn_id), repository)

    @contextmanager
    def open(
        self, lake_uri: str, lake_conn_id: str | None = None, *, catalogs: bool = True
    ) -> Iterator[tuple[LogOrigin, Ledger]]:
        """Open what logs come from, and the ledger of it in a lake.

        :param lake_uri: root of the lake.
        :param lake_conn_id: Airflow connection with the lake's credentials; ambient ones without.
        :param catalogs: whether delivered objects that are new may be cataloged; a mere look writes nothing.
        :raises ConfigurationError: if the connection cannot work.
        """
        from airflow_provider_imperva.load.delivered import DeliveredLogs

        if not self.delivers:
            with self._client() as client:
                yield client, self.open_ledger(client.repository, lake_uri, lake_conn_id)
            return
        ledger = self.open_ledger(self.repository, lake_uri, lake_conn_id)
        with open_folder(self.connection) as folder:
            yield DeliveredLogs(folder, ledger, catalogs=catalogs), ledger

    def plan_options(self, given: dict[str, Any]) -> PlanOptions:
        """Return the options to plan with.

        What a customer's own bucket keeps is not bounded by Imperva, and the same log may be delivered to it twice.

        :param given: fields of :class:`~airflow_provider_imperva.options.PlanOptions` that are not the default.
        """
        from airflow_provider_imperva.options import PlanOptions

        usual: dict[str, Any] = {}
        if self.delivers:
            usual = {"window": _DELIVERY_WINDOW, "window_bytes": None, "account_group": self.repository}
        return PlanOptions(**usual | given)

    def find_work(self, lake_uri: str, lake_conn_id: str | None, plan_options: dict[str, Any]) -> dict[str, Any] | None:
        """Look whether there is anything to do; None if not.

        :returns: the fields of :class:`~airflow_provider_imperva.load.plan.Work`.
        :raises LakeMismatchError: if the ledger is another source's: what to do there is not to be told from its index.
        :raises RepositoryError: if the index cannot be read.
        """
        import msgspec

        from airflow_provider_imperva.lake.claim import check_claim
        from airflow_provider_imperva.load.plan import find_work

        with self.open(lake_uri, lake_conn_id, catalogs=False) as (origin, ledger):
            check_claim(ledger, origin.source)
            work = find_work(ledger, origin, key_ids=self.key_ids(), options=self.plan_options(plan_options))
        return msgspec.to_builtins(work) if work else None

    def test_connection(self) -> tuple[bool, str]:
        """Fetch the index and load every key, and say in words what was found and what to do."""
        try:
            keys = self.key_ring()
            found = self._look()
        except IndexNotFoundError as error:
            return False, f"{error} The private keys load."
        except ImpervaError as error:
            return False, str(error)
        held = ", ".join(sorted(keys.ids)) or "none; encrypted logs will wait for theirs"
        return True, f"{found} Private keys: {held}."

    def _look(self) -> str:
        """Say what is there."""
        if self.delivers:
            repository = self.repository
            with open_folder(self.connection) as folder:
                delivered = len(folder.objects())
            return f"{delivered} logs lie in {folder.url}, of repository {repository}."
        with self._client() as client:
            index = client.read_index()
        listed = f"{len(index.names)} logs" if index.names else "no log yet"
        return f"Repository {client.repository} lists {listed}."

    def _options(self) -> dict[str, Any]:
        extra = self.connection.extra_dejson
        options = {}
        for name, kind in _OPTIONS.items():
            if (value := extra.get(name)) not in (None, ""):
                try:
                    options[name] = kind(value)
                except (TypeError, ValueError):
                    raise ConfigurationError(
                        f"extra {name!r} is no number", do=f"give {name} as a number", about=self.imperva_conn_id
                    ) from None
        return options


def _url(connection: Connection) -> str:
    """Put the Log Server URL together, also of a connection given as a URI, which splits it up."""
    host = str(connection.host)
    if "://" in host or not connection.schema:
        return host
    port = f":{connection.port}" if connection.port else ""
    return f"https://{host}{port}/{connection.schema}"


def _secrets(connection: Connection) -> Iterator[str | None]:
    """Yield what must be in no log."""
    extra = connection.extra_dejson
    yield connection.password
    yield extra.get("private_key_passphrase")
    user_and_password = str(extra.get("proxy") or "").rpartition("@")[0].rpartition("//")[2]
    password = user_and_password.partition(":")[2]
    yield password
    yield unquote(password)
    with suppress(ConfigurationError):  # which whoever needs the keys is told
        yield from _private_keys(extra).values()


def _verify(value: object) -> bool | str:
    if value is None or value == "":
        return True
    return _SWITCHES.get(str(value).strip().lower(), str(value))


def _private_keys(extra: dict[str, Any]) -> dict[str, str]:
    keys = extra.get("private_keys") or {}
    if isinstance(keys, str):
        try:
            keys = json.loads(keys)
        except ValueError:
            keys = None
    if not isinstance(keys, dict) or not all(isinstance(pem, str) for pem in keys.values()):
        raise ConfigurationError(
            "extra 'private_keys' is no JSON object of PEM texts",
            do='write it as {"1": "-----BEGIN …"}, the key being the publicKeyId, or use private_keys_dir',
        )
    return keys
