"""From an Airflow connection to the address of a destination that events are forwarded to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from airflow.sdk import BaseHook
from airflow.sdk.log import mask_secret

from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.extras import install_command
from airflow_provider_imperva.hooks.connection import extra_of, verify_of

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from airflow_provider_imperva.forward.address import Address
    from airflow_provider_imperva.forward.destination import DestinationOptions
    from airflow_provider_imperva.forward.event import Transport

_KAFKA = "kafka"
_NUMBERS = ("connect_timeout", "read_timeout")


def destination_address(conn_id: str, *, port: int) -> Address:
    """Return where a destination is, by a connection of any type: ``generic``, ``http``, ``elasticsearch`` and so on.

    =====================================  ===================================================================
    host                                   host name, or an ``https://`` URL
    port                                   if it is not the usual one
    login, password                        user and password, or the token alone as password
    extra ``verify``                       true, false, or the path of a CA bundle (PEM)
    extra ``client_certificate``           with ``client_key``: paths of PEM files, for receivers that want to
                                           know who sends
    extra ``proxy``                        URL of an HTTP proxy, for destinations by HTTP
    extra ``connect_timeout``              seconds; likewise ``read_timeout``
    =====================================  ===================================================================

    Its secrets are masked in every log.

    :param port: the usual one.
    :raises ConfigurationError: if the connection cannot work.
    """
    from airflow_provider_imperva.forward.address import Address

    connection = BaseHook.get_connection(conn_id)
    mask_secret(list(_secrets_of(connection)))
    extra = extra_of(connection)
    host, path, given_port, plain = _where(connection)
    return Address(
        host=host,
        port=int(connection.port or given_port or port),
        path=path,
        login=str(connection.login or "").strip(),
        password=str(connection.password or "").strip(),
        verify=verify_of(extra),
        client_certificate=_path(extra, "client_certificate", conn_id),
        client_key=_path(extra, "client_key", conn_id),
        plain=plain,
        proxy=str(extra.get("proxy") or "") or None,
        **{name: _number(extra[name], name, conn_id) for name in _NUMBERS if extra.get(name) not in (None, "")},
    )


def open_destination(
    conn_id: str, options: DestinationOptions, *, port: int
) -> tuple[str, bool | str, Callable[[], Transport]]:
    """Return where a destination is, whether its certificate is checked, and what opens the way there.

    :param port: the usual one.
    :raises ConfigurationError: if the connection cannot work.
    """
    from airflow_provider_imperva.forward.transports import open_transport

    if options.transport == _KAFKA:
        return _kafka(conn_id, options)
    address = destination_address(conn_id, port=port)
    return str(address), address.verify, lambda: open_transport(options, address)


def _kafka(conn_id: str, options: DestinationOptions) -> tuple[str, bool | str, Callable[[], Transport]]:
    from airflow_provider_imperva.forward.kafka import KafkaTransport, check_acks

    try:
        from airflow.providers.apache.kafka.hooks.produce import KafkaProducerHook
    except ImportError:
        raise ConfigurationError(
            "forwarding to Kafka needs Airflow's provider for it, which is not installed",
            do=f"Install it: {install_command('kafka')}",
        ) from None
    hook = KafkaProducerHook(kafka_config_id=conn_id)
    config = extra_of(hook.get_connection(conn_id))
    mask_secret([str(value) for name, value in config.items() if "password" in name or "secret" in name])
    check_acks(config, about=conn_id)
    about = f"{options.topic} on {config.get('bootstrap.servers', '')}"
    return about, True, lambda: KafkaTransport(hook.get_producer(), topic=options.topic, about=about)


def _where(connection: Connection) -> tuple[str, str, int | None, bool]:
    """Return host, path, port, and whether http is asked for, however the connection has them."""
    host, schema = str(connection.host or "").strip(), str(connection.schema or "").strip()
    if "://" not in host:
        host = f"{schema if schema in ('http', 'https') else 'https'}://{host}"
    try:
        split = urlsplit(host)
        port = split.port
    except ValueError:
        raise ConfigurationError(
            "the connection's host does not read as a host or a URL",
            do="Write the host's name, and its port into the field `port`",
            about=connection.conn_id,
        ) from None
    if not split.hostname:
        raise ConfigurationError(
            "the connection has no host", do="Write the receiver's name into the field `host`", about=connection.conn_id
        )
    return split.hostname, split.path.rstrip("/"), port, split.scheme == "http"


def _path(extra: dict[str, Any], name: str, conn_id: str) -> str | None:
    value = str(extra.get(name) or "").strip()
    if "-----BEGIN" in value or "\n" in value:
        raise ConfigurationError(
            f"extra {name!r} is a PEM text itself, where the path of a file should be",
            do=f"Put it into a file that workers can read, and that file's path into `{name}`",
            about=conn_id,
        )
    return value or None


def _number(value: object, name: str, conn_id: str) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ConfigurationError(
            f"extra {name!r} is not a number", do=f"Give {name} as a number of seconds", about=conn_id
        ) from None


def _secrets_of(connection: Connection) -> Iterator[str]:
    if connection.password:
        yield str(connection.password)
        yield str(connection.password).strip()
    extra = extra_of(connection)
    user_and_password = str(extra.get("proxy") or "").rpartition("@")[0].rpartition("//")[2]
    if password := user_and_password.partition(":")[2]:
        yield password
        yield unquote(password)
    paths = (str(extra.get(name)) for name in ("client_key", "client_certificate"))
    yield from (value for value in paths if "-----BEGIN" in value)
    # The address of an HTTP source of Sumo Logic ends in its token.
    if "/receiver/" in (host := str(connection.host or "")):
        yield host.rstrip("/").rpartition("/")[2]
