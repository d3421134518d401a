"""What an Airflow connection of type ``imperva`` says, put right where it can only mean one thing.

A connection may come from a form, JSON, a URI, a secrets backend or code, and each spoils other values: numbers come
as numbers or texts, paths split in two, line ends lost. No value is quoted that may be a key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit, urlunsplit

from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.get_provider_info import CONNECTION_FIELDS
from airflow_provider_imperva.options import unknown_name

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from airflow_provider_imperva.lake.data_keys import MasterKeys
    from airflow_provider_imperva.lake.ledger import Stamp
    from airflow_provider_imperva.seal.signature import SigningKey

_OPTIONS = {"repository": str, "proxy": str, "connect_timeout": float, "read_timeout": float, "max_concurrency": int}
_SWITCHES = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_SCHEMES = frozenset({"http", "https"})
_PATHS = ("keys_dir", "private_keys_dir", "verify", "signing_key_file")


def extra_of(connection: Connection) -> dict[str, Any]:
    """Return the extra.

    :raises ConfigurationError: if it is JSON of another kind than an object.
    """
    extra: Any = connection.extra_dejson
    if not isinstance(extra, dict):
        raise ConfigurationError(
            f"the extra is JSON, but a {type(extra).__name__} and no object",
            do='Write it as {"keys_dir": "/etc/imperva/keys"}',
            about=connection.conn_id,
        )
    return extra


def log_server_url(connection: Connection) -> str:
    """Put the Log Server URL together, also of a connection given as a URI, which splits it up.

    A schema of ``http`` or ``https`` is the scheme, as in Airflow's HTTP provider; any other one is the path, or what
    comes after the host's. The port goes after the host's name.

    :raises ConfigurationError: if host and port contradict each other.
    """
    host, schema = str(connection.host or "").strip(), str(connection.schema or "").strip().strip("/")
    scheme, separator, rest = host.partition("://")
    if not separator:
        scheme, rest = "https", host
    if schema.lower() in _SCHEMES:
        scheme = scheme if separator else schema.lower()
    elif schema and not separator:
        rest = f"{rest.rstrip('/')}/{schema}"
    url = f"{scheme}://{rest.lstrip('/')}" if rest else ""
    return _with_port(url, connection.port) if connection.port else url


def _with_port(url: str, port: int) -> str:
    try:
        split = urlsplit(url)
        own = split.port
    except ValueError:
        return url  # for whoever reads it to refuse
    if own in (None, int(port)):
        netloc = split.netloc if own else f"{split.netloc.rstrip(':')}:{port}"
        return urlunsplit(split._replace(netloc=netloc))
    raise ConfigurationError(
        "the host has another port than the field `port`",
        do="Leave the field `port` empty, and write the Log Server URL as the Imperva console shows it",
    )


def credentials(connection: Connection) -> tuple[str, str]:
    """Return API ID and key as text, without the white space that copying leaves around them.

    :raises ConfigurationError: if host, login or password is missing.
    """
    login, password = (_text(value) for value in (connection.login, connection.password))
    if not (connection.host and login and password):
        raise ConfigurationError(
            "the connection lacks a Log Server URL, an API ID or an API key",
            do="Copy all three from the log set-up of the Imperva console into host, login and password",
            about=connection.conn_id,
        )
    return login, password


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()


def client_options(connection: Connection) -> dict[str, Any]:
    """Return what the extra has for the client, and for the hook itself.

    :raises ConfigurationError: if it is not a number.
    """
    extra = extra_of(connection)
    options = {}
    for name, kind in _OPTIONS.items():
        if (value := extra.get(name)) not in (None, ""):
            try:
                options[name] = kind(value)
            except (TypeError, ValueError):
                raise ConfigurationError(
                    f"extra {name!r} is not a number", do=f"Give {name} as a number", about=connection.conn_id
                ) from None
    return options


def verify_of(extra: Mapping[str, Any]) -> bool | str:
    """Return whether certificates are verified, or the path of a CA bundle to verify them by.

    :raises ConfigurationError: if it is the bundle itself, or a key.
    """
    value = str(extra.get("verify", "")).strip() if extra.get("verify") is not None else ""
    if _is_pem(value):
        raise ConfigurationError(
            "extra 'verify' is a PEM text itself, where the path of a CA bundle should be",
            do="Put it into a file that workers and triggerer can read, and that file's path into `verify`; a private"
            " key does not belong here, and may have been shown",
        )
    return _SWITCHES.get(value.lower(), value) if value else True


def private_keys(extra: Mapping[str, Any]) -> dict[str, str]:
    """Return the private keys in the extra, PEM by publicKeyId.

    :raises ConfigurationError: if they are not a JSON object of texts.
    """
    keys = extra.get("private_keys") or {}
    if isinstance(keys, str):
        with suppress(ValueError):
            # Not strict, since a PEM that was pasted as it is has line ends, which JSON writes otherwise.
            keys = json.loads(keys, strict=False)
    if not isinstance(keys, dict) or not all(isinstance(pem, str) for pem in keys.values()):
        raise ConfigurationError(
            "extra 'private_keys' is not a JSON object of PEM texts",
            do='Write it as {"1": "<the key as PEM>"}, 1 being its publicKeyId, or put the key into a file and use'
            " keys_dir",
        )
    return keys


def key_folders(extra: Mapping[str, Any]) -> list[str]:
    """Return the folders of private keys: ``keys_dir``, and ``private_keys_dir``, which Airflow masks in all logs."""
    return [str(extra[name]).strip() for name in ("keys_dir", "private_keys_dir") if extra.get(name)]


def passphrase_of(extra: Mapping[str, Any]) -> str | None:
    """Return the passphrase of the private keys, without the line end that a file or a copy leaves after it."""
    given = extra.get("private_key_passphrase")
    return str(given).rstrip("\r\n") if given not in (None, "") else None


def signing_key(connection: Connection) -> SigningKey | None:
    """Return the private key that commits are signed with; None if there is none.

    :raises ConfigurationError: if it is not an Ed25519 key, or cannot be read.
    """
    from airflow_provider_imperva.seal.signature import SigningKey

    extra = extra_of(connection)
    passphrase = str(extra.get("signing_key_passphrase") or "").rstrip("\r\n") or None
    if pem := extra.get("signing_private_key"):
        return SigningKey.of_pem(str(pem), about="signing_private_key", passphrase=passphrase)
    if path := str(extra.get("signing_key_file") or "").strip():
        return SigningKey.of_file(path, passphrase=passphrase)
    return None


def timestamping(connection: Connection) -> Stamp | None:
    """Return what has commits timestamped; None if the connection names no authority.

    :raises ConfigurationError: if its address cannot be one, or the extra ``timestamps`` is not installed.
    """
    url = str(extra_of(connection).get("timestamp_url") or "").strip()
    if not url:
        return None
    from airflow_provider_imperva.seal.timestamps import TimestampAuthority

    return TimestampAuthority(url).stamp


def master_keys(connection: Connection) -> MasterKeys | None:
    """Return what the data keys of ``raw/`` are wrapped by; None if nothing is to be encrypted.

    :raises ConfigurationError: if it is not a key, or several ways are given.
    """
    extra = extra_of(connection)
    names = ("raw_encryption_key", "raw_kms_key", "raw_vault_key")
    given = {name: value for name in names if (value := str(extra.get(name) or "").strip())}
    if len(given) > 1:
        raise ConfigurationError(
            f"{' and '.join(map(repr, given))} are both given", do="Give one of them", about=connection.conn_id
        )
    if text := given.get("raw_encryption_key"):
        from airflow_provider_imperva.lake.data_keys import AesKeys

        return AesKeys.of_text(text, about=f"{connection.conn_id}, raw_encryption_key")
    if key_id := given.get("raw_kms_key"):
        from airflow_provider_imperva.hooks.kms import KmsKeys

        return KmsKeys(key_id, conn_id=str(extra.get("raw_kms_conn_id") or "aws_default"))
    if key := given.get("raw_vault_key"):
        from airflow_provider_imperva.hooks.vault import VaultKeys

        return VaultKeys(key, conn_id=str(extra.get("raw_vault_conn_id") or "vault_default"))
    return None


def cautions(connection: Connection) -> list[str]:
    """Describe what works and is not as it should be: unknown settings, and certificates that are not verified."""
    extra = extra_of(connection)
    about = f"Connection {connection.conn_id}"
    texts = [
        f"{about}: its extra has an unknown setting: {unknown_name(name, CONNECTION_FIELDS)}. Correct its name."
        for name in extra
        if name not in CONNECTION_FIELDS
    ]
    if verify_of(extra) is False:
        texts.append(
            f"{about}: verify is false, so that whoever is on the way can read the API key and"
            " give false logs. Set verify to the path of a CA bundle, or to true."
        )
    return texts


def secrets_of(connection: Connection) -> Iterator[str]:
    """Yield what must be in no log."""
    extra = extra_of(connection)
    masked = (
        *("private_key_passphrase", "signing_private_key", "signing_key_passphrase", "anchor_token"),
        "raw_encryption_key",
    )
    for secret in (connection.password, *(extra.get(name) for name in masked)):
        if secret not in (None, ""):
            yield str(secret)
            yield str(secret).strip()
    # Of several, each.
    yield from filter(None, re.split(r"[\s,]+", str(extra.get("raw_encryption_key") or "")))
    user_and_password = str(extra.get("proxy") or "").rpartition("@")[0].rpartition("//")[2]
    if password := user_and_password.partition(":")[2]:
        yield password
        yield unquote(password)
    with suppress(ConfigurationError):  # reported to whoever needs the keys
        yield from private_keys(extra).values()
    # A key in a field that is meant for a path.
    yield from (value for name in _PATHS if isinstance(value := extra.get(name), str) and _is_pem(value))


def _is_pem(text: str) -> bool:
    return "-----BEGIN" in text or "\n" in text.strip()
