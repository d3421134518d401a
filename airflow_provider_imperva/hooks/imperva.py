"""From an Airflow connection to the repository, its private keys and its ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.sdk.log import mask_secret

from airflow_provider_imperva.errors import (
    AuthenticationError,
    ConfigurationError,
    ContainerError,
    ImpervaError,
    IndexNotFoundError,
    MissingKeyError,
    RepositoryError,
    RepositoryUnavailableError,
    WrongKeyError,
)
from airflow_provider_imperva.get_provider_info import CONNECTION_FIELDS, CONNECTION_TYPE, FIELD_BEHAVIOUR, HOOK_NAME
from airflow_provider_imperva.hooks.connection import (
    cautions,
    client_options,
    credentials,
    extra_of,
    key_folders,
    log_server_url,
    master_keys,
    passphrase_of,
    private_keys,
    secrets_of,
    signing_key,
    timestamping,
    verify_of,
)
from airflow_provider_imperva.hooks.delivery import is_delivery, open_folder, repository_of
from airflow_provider_imperva.hooks.lake import open_lake
from airflow_provider_imperva.hooks.mail import SCHEME, MailedAnchors

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from airflow_provider_imperva.container.keys import KeyRing
    from airflow_provider_imperva.delivery.folder import DeliveryFolder
    from airflow_provider_imperva.lake.data_keys import MasterKeys
    from airflow_provider_imperva.lake.ledger import Ledger
    from airflow_provider_imperva.load.origin import LogOrigin
    from airflow_provider_imperva.options import PlanOptions
    from airflow_provider_imperva.repository.client import RepositoryClient
    from airflow_provider_imperva.seal.anchors import Anchor, Anchors

ATTEMPTS = 5
"""How often a request is made that may succeed the next time."""

_DELIVERY_WINDOW = timedelta(days=7)
"""How long a customer's own bucket or folder keeps a log at least, unless plan options say otherwise."""


class ImpervaLogHook(BaseHook):
    """Opens a log repository of Imperva Cloud WAF by an Airflow connection of type ``imperva``.

    ===========================  ====================================================================
    host                         Log Server URL; https, or http on loopback. Or where Imperva delivers
                                 logs to: ``s3://bucket/folder/``, ``sftp:///folder/``
    login, password              API ID and API key of the log set-up; none for deliveries
    extra ``keys_dir``           folder with ``<publicKeyId>/Private.key``; ``private_keys_dir`` is the
                                 same, but Airflow masks its value in all logs
    extra ``private_keys``       the PEM keys themselves, by publicKeyId
    extra, others                ``private_key_passphrase``, ``repository``, ``verify``, ``proxy``,
                                 ``connect_timeout``, ``read_timeout`` (seconds), ``max_concurrency``
    extra, for proofs            ``signing_private_key`` or ``signing_key_file``,
                                 ``signing_key_passphrase``, ``anchor``, ``anchor_conn_id``,
                                 ``anchor_token``, ``timestamp_url``
    extra, for raw/              ``raw_encryption_key``, or ``raw_kms_key`` and ``raw_kms_conn_id``, or
                                 ``raw_vault_key`` and ``raw_vault_conn_id``
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
        mask_secret(list(secrets_of(connection)))
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

        return repository_id(
            normalize_url(log_server_url(self.connection)), given=client_options(self.connection).get("repository")
        )

    def get_conn(self) -> RepositoryClient | DeliveryFolder:
        """Open the repository, or the folder that logs are delivered to; use it as a context manager.

        :raises ConfigurationError: if the connection cannot work.
        """
        return open_folder(self.connection) if self.delivers else self._client()

    def _client(self, *, attempts: int = ATTEMPTS) -> RepositoryClient:
        from airflow_provider_imperva.repository.client import RepositoryClient

        connection = self.connection
        login, password = credentials(connection)
        return RepositoryClient(
            url=log_server_url(connection),
            login=login,
            password=password,
            verify=verify_of(extra_of(connection)),
            attempts=attempts,
            **client_options(connection),
        )

    @property
    def max_concurrency(self) -> int:
        """How many requests one task has under way at once."""
        return int(client_options(self.connection).get("max_concurrency", 8))

    def log_cautions(self) -> None:
        """Warn of what works and is not as it should be; a task does so once."""
        for caution in cautions(self.connection):
            self.log.warning("%s", caution)

    def key_ring(self, *, logs_problems: bool = True) -> KeyRing:
        """Load every private key of the connection that loads; those that do not stop none of the others.

        :param logs_problems: whether to warn of the keys that do not load, and of key files that any user may replace.
        :raises ConfigurationError: if the keys as a whole cannot be read, such as a folder that is not there.
        """
        from airflow_provider_imperva.container.keys import KeyRing

        extra = extra_of(self.connection)
        passphrase = passphrase_of(extra)
        ring = KeyRing.from_pem(private_keys(extra), passphrase=passphrase)
        for folder in key_folders(extra):
            ring |= KeyRing.from_folder(folder, passphrase=passphrase)
        if logs_problems:
            for problem in ring.problems:
                self.log.warning("%s Logs that need this key wait for it; all others are loaded.", problem)
            for caution in ring.cautions:
                self.log.warning("%s", caution)
        return ring

    def key_ids(self, *, logs_problems: bool = True) -> frozenset[str]:
        """Return the ids of the private keys at hand.

        None, and an error in the task's log, if the keys cannot be read: that must not keep logs from being fetched.

        :param logs_problems: as of :meth:`key_ring`.
        """
        try:
            return self.key_ring(logs_problems=logs_problems).ids
        except ConfigurationError as error:
            if logs_problems:
                self.log.error("%s Logs are fetched, but none that waits for a key is loaded.", error)
            return frozenset()

    def open_ledger(
        self, repository: str, lake_uri: str, lake_conn_id: str | None = None, catalog_conn_id: str | None = None
    ) -> Ledger:
        """Open the ledger of a repository in a lake.

        :param lake_uri: root of the lake.
        :param lake_conn_id: Airflow connection with the lake's credentials, as
            :func:`~airflow_provider_imperva.hooks.lake.lake_filesystem` reads it; ambient ones without.
        :param catalog_conn_id: Airflow connection with the catalog of the lake's Iceberg table, if it has one.
        :raises ConfigurationError: if URI or connection cannot work.
        """
        from airflow_provider_imperva.lake.ledger import Ledger

        store = open_lake(lake_uri, lake_conn_id, catalog_conn_id)
        return Ledger(
            store,
            repository,
            signer=signing_key(self.connection),
            note_head=self._note_head if extra_of(self.connection).get("anchor") else None,
            stamp=timestamping(self.connection),
            master=self.master_keys(),
        )

    def _note_head(self, repository: str, commit: int, sha256: str, repositories: tuple[str, ...]) -> None:
        from airflow_provider_imperva.seal.anchors import Anchor

        if anchors := self.open_anchors():
            anchors.note(Anchor(commit, sha256, repository, repositories, datetime.now(UTC)))

    def master_keys(self) -> MasterKeys | None:
        """Return what the data keys of ``raw/`` are wrapped by; None if the connection has nothing of the kind.

        :raises ConfigurationError: if it has something else.
        """
        return master_keys(self.connection)

    def open_anchors(self) -> Anchors | None:
        """Open the place outside of the lake that heads are noted at; None if the connection names none.

        :raises ConfigurationError: if it cannot be one.
        """
        from airflow_provider_imperva.seal.anchors import open_anchors

        extra = extra_of(self.connection)
        url = str(extra.get("anchor") or "").strip()
        if not url:
            return None
        conn_id = extra.get("anchor_conn_id")
        if url.startswith(SCHEME):
            return MailedAnchors(url, conn_id=str(conn_id or "smtp_default"))
        store = open_lake(url, str(conn_id)) if conn_id and not url.startswith(("http://", "https://")) else None
        token = extra.get("anchor_token")
        return open_anchors(url, store=store, token=str(token) if token else None)

    def read_anchors(self) -> list[Anchor]:
        """Return what was noted at that place; nothing if there is none.

        :raises LakeError: if it does not give them.
        """
        anchors = self.open_anchors()
        return anchors.read() if anchors else []

    @contextmanager
    def open(
        self,
        lake_uri: str,
        lake_conn_id: str | None = None,
        catalog_conn_id: str | None = None,
        *,
        catalogs: bool = True,
        attempts: int = ATTEMPTS,
    ) -> Iterator[tuple[LogOrigin, Ledger]]:
        """Open what logs come from, and the ledger of it in a lake.

        :param lake_uri: root of the lake.
        :param lake_conn_id: Airflow connection with the lake's credentials; ambient ones without.
        :param catalog_conn_id: as of :meth:`open_ledger`.
        :param catalogs: whether delivered objects that are new may be cataloged; a mere look writes nothing.
        :param attempts: how often the repository is asked for something.
        :raises ConfigurationError: if the connection cannot work.
        """
        from airflow_provider_imperva.load.delivered import DeliveredLogs
        from airflow_provider_imperva.load.pulled import PulledLogs

        if not self.delivers:
            with self._client(attempts=attempts) as client:
                ledger = self.open_ledger(client.repository, lake_uri, lake_conn_id, catalog_conn_id)
                yield PulledLogs(client, ledger, catalogs=catalogs), ledger
            return
        ledger = self.open_ledger(self.repository, lake_uri, lake_conn_id, catalog_conn_id)
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

    def find_work(
        self, lake_uri: str, lake_conn_id: str | None, plan_options: dict[str, Any], *, attempts: int = ATTEMPTS
    ) -> dict[str, Any] | None:
        """Look whether there is anything to do; None if not.

        :param attempts: how often the repository is asked for something.
        :returns: the fields of :class:`~airflow_provider_imperva.load.plan.Work`.
        :raises LakeMismatchError: if the ledger is another source's: what to do there does not follow from its index.
        :raises RepositoryError: if the index cannot be read.
        """
        import msgspec

        from airflow_provider_imperva.lake.claim import check_claim
        from airflow_provider_imperva.load.plan import find_work

        with self.open(lake_uri, lake_conn_id, catalogs=False, attempts=attempts) as (origin, ledger):
            check_claim(ledger, origin.source)
            work = find_work(
                ledger, origin, key_ids=self.key_ids(logs_problems=False), options=self.plan_options(plan_options)
            )
        return msgspec.to_builtins(work) if work else None

    def test_connection(self) -> tuple[bool, str]:
        """Look at everything once, and say in words what was found and what to do.

        The index is read, every key loaded, and the newest log opened as far as its header, to see that the key it was
        encrypted for is at hand. Nothing is asked for twice, since a person waits.
        """
        try:
            keys = self.key_ring(logs_problems=False)
            good, answer = self._check_source(keys)
        except IndexNotFoundError as error:
            return False, f"{error} The private keys load."
        except ImpervaError as error:
            return False, str(error)
        held = ", ".join(sorted(keys.ids)) or "none; encrypted logs will wait for theirs"
        said = [answer, f"Private keys: {held}.", *keys.problems, *keys.cautions, *cautions(self.connection)]
        return good and not keys.problems, " ".join(said)

    def _check_source(self, keys: KeyRing) -> tuple[bool, str]:
        """Describe what is there, and whether it can be loaded."""
        if self.delivers:
            repository = self.repository
            with open_folder(self.connection) as folder:
                listing = folder.listing()
                answer = f"{len(listing.objects)} logs lie in {folder.url}, of repository {repository}."
                if listing.waiting:
                    answer += f" {len(listing.waiting)} objects are uploads under way, or too small for a log."
                if not listing.objects:
                    return True, answer
                newest = listing.objects[-1]
                good, detail = _open_newest(partial(folder.read, newest), f"{newest.path!a}", keys)
            return good, f"{answer} {detail}"
        with self._client(attempts=1) as client:
            index = client.read_index()
            if not index.names:
                return True, f"Repository {client.repository} lists no log yet."
            name = max(index.names, key=lambda log: log.sequence)
            good, detail = _open_newest(partial(client.read_log, name), str(name), keys)
        return good, f"Repository {client.repository} lists {len(index.names)} logs. {detail}"


def _open_newest(read: Callable[[], bytes], name: str, keys: KeyRing) -> tuple[bool, str]:
    """Say of the newest log which key opens it, and whether that is at hand."""
    from airflow_provider_imperva.container import decode

    try:
        plain = decode(read(), log=name, keys=keys)
    except (RepositoryError, ContainerError) as error:
        # Of other troubles with this one log the connection is not to blame.
        return not isinstance(error, _TO_BLAME), f"Its newest, {error}"
    if not plain.encrypted or plain.header is None:
        return True, f"Its newest, {name}, is not encrypted."
    key_id = plain.header.public_key_id
    return True, f"Its newest, {name}, is encrypted for publicKeyId {key_id}, whose private key opens it."


_TO_BLAME = (AuthenticationError, RepositoryUnavailableError, MissingKeyError, WrongKeyError)
