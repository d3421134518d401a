"""From an Airflow connection to the bucket or folder that Imperva delivers logs to."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.extras import install_command
from airflow_provider_imperva.hooks.connection import client_options, extra_of

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from airflow_provider_imperva.delivery.folder import DeliveryFolder

_SFTP = frozenset({"sftp", "ssh"})
_TREES = _SFTP | {"file", "local"}
"""Protocols of filesystems with folders; all others are object stores."""


def is_delivery(host: str) -> bool:
    """Return whether the host of a connection is a place that Imperva delivers to, rather than a Log Server URL."""
    scheme, separator, _ = host.strip().partition("://")
    return bool(separator) and scheme.lower() not in {"http", "https"}


def repository_of(connection: Connection) -> str:
    """Return the id of the repository in the lake: extra ``repository``, or the last part of the address.

    :raises ConfigurationError: if it cannot name a folder of the lake.
    """
    from airflow_provider_imperva.repository.url import repository_id

    return repository_id(_url(connection), given=client_options(connection).get("repository"))


def open_folder(connection: Connection) -> DeliveryFolder:
    """Open the folder; use it as a context manager.

    The host is its address: ``s3://bucket/folder/``, ``sftp:///folder/`` or that of a folder of this machine. The extra
    has ``delivery_conn_id`` (the connection with the credentials, of type ``aws`` or ``sftp``; those of the machine
    without), ``after_commit``, ``ignore`` (patterns, separated by commas), ``settle_seconds`` (how long an object has
    to lie unchanged before it is taken) and ``listing`` (for a bucket that keeps so much that it takes long to list:
    ``rising``, or the folder of a day such as ``%Y/%m/%d``).

    :raises ConfigurationError: if the connection, or the one it names, cannot work.
    """
    from airflow_provider_imperva.delivery.folder import DeliveryFolder
    from airflow_provider_imperva.delivery.recent import Recent

    url = _url(connection)
    extra = extra_of(connection)
    split = urlsplit(url)
    in_bucket = split.scheme not in _TREES
    path = unquote(split.path)
    patterns = str(extra.get("ignore") or "").split(",")
    return DeliveryFolder(
        partial(_filesystem, url, split.scheme, extra.get("delivery_conn_id")),
        # The host of an SFTP server is in the connection with the credentials.
        f"{split.netloc}{path}" if in_bucket else path,
        in_bucket=in_bucket,
        url=url,
        ignore=[pattern.strip() for pattern in patterns if pattern.strip()],
        after_commit=extra.get("after_commit") or "keep",
        settled=_settled(extra.get("settle_seconds"), url),
        recent=Recent.parse(str(extra.get("listing") or ""), about=url),
    )


def _settled(given: Any, url: str) -> timedelta:
    from airflow_provider_imperva.delivery.folder import SETTLED

    if given in (None, ""):
        return SETTLED
    try:
        return timedelta(seconds=float(given))
    except (TypeError, ValueError, OverflowError):
        raise ConfigurationError(
            "extra 'settle_seconds' is not a number", do="Give settle_seconds as a number", about=url
        ) from None


def _url(connection: Connection) -> str:
    url = f"{str(connection.host).strip().rstrip('/')}/"
    if "@" in urlsplit(url).netloc:
        raise ConfigurationError(
            "the address holds a user or password",
            do="Put them into a connection of type aws or sftp, and its id into the extra `delivery_conn_id`",
        )
    return url


def _filesystem(url: str, scheme: str, conn_id: str | None) -> Any:
    from airflow_provider_imperva.delivery.folder import ambient_filesystem

    if scheme in _SFTP:
        return _sftp(url, conn_id)
    if not conn_id:
        return ambient_filesystem(url)
    from airflow_provider_imperva.hooks.lake import lake_filesystem

    return lake_filesystem(url, conn_id)


def _sftp(url: str, conn_id: str | None) -> Any:
    if not conn_id:
        raise ConfigurationError(
            "no connection says how to log in to the SFTP server",
            do="Make a connection of type sftp, and put its id into the extra `delivery_conn_id`",
            about=url,
        )
    try:
        from airflow.providers.ssh.hooks.ssh import SSHHook

        from airflow_provider_imperva.delivery.sftp import OpenedSFTP
    except ImportError as error:
        raise ConfigurationError(
            "the Airflow provider for SFTP is not installed",
            do=f"Install it: {install_command('sftp')}",
            about=url,
        ) from error
    try:
        return OpenedSFTP(SSHHook(ssh_conn_id=conn_id).get_conn())
    except Exception as error:
        raise ConfigurationError(
            f"the SFTP server cannot be reached or refuses us ({type(error).__name__})",
            do="Correct host, login, password or key_file, and host_key in the connection",
            about=conn_id,
        ) from None
