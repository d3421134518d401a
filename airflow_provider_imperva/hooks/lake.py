"""From an Airflow connection to the filesystem of a lake."""

from __future__ import annotations

import importlib.util
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.extras import install_command
from airflow_provider_imperva.uri import LakeUri

if TYPE_CHECKING:
    from airflow_provider_imperva.lake.store import ObjectLock, Store

_OPTIONS = "s3_additional_kwargs"
_LOCK = "object_lock"
_MOST_DAYS = 36500


def open_lake(lake_uri: str, lake_conn_id: str | None = None, catalog_conn_id: str | None = None) -> Store:
    """Open a lake.

    :param lake_uri: root of the lake.
    :param lake_conn_id: Airflow connection with the lake's credentials, as :func:`lake_filesystem` reads it; ambient
        ones without.
    :param catalog_conn_id: Airflow connection of type ``iceberg`` with the catalog of the lake's Iceberg table.
    :raises ConfigurationError: if URI or connection cannot work.
    """
    from airflow_provider_imperva.lake.store import open_store

    return open_store(
        lake_uri,
        fs=lake_filesystem(lake_uri, lake_conn_id) if lake_conn_id else None,
        lock=_object_lock(lake_conn_id) if lake_conn_id else None,
        catalog=partial(iceberg_catalog, catalog_conn_id) if catalog_conn_id else None,
    )


def _object_lock(lake_conn_id: str) -> ObjectLock | None:
    """Return how long what is written is to be kept from being deleted; None if it is not set.

    :raises ConfigurationError: if that cannot be meant.
    """
    from airflow_provider_imperva.lake.store import ObjectLock

    given = BaseHook.get_connection(lake_conn_id).extra_dejson.get(_LOCK)
    if not given:
        return None
    mode, days = (given.get("mode"), given.get("days")) if isinstance(given, dict) else (None, None)
    if mode not in ("GOVERNANCE", "COMPLIANCE") or type(days) is not int or not 1 <= days <= _MOST_DAYS:
        raise ConfigurationError(
            f"extra {_LOCK!r} does not say a mode and a number of days",
            do='Write it as {"mode": "GOVERNANCE", "days": 90}, or with COMPLIANCE',
            about=lake_conn_id,
        )
    return ObjectLock(mode, days)


def iceberg_catalog(catalog_conn_id: str) -> Any:
    """Open the Iceberg catalog of an Airflow connection, as the official Iceberg provider does (extra ``iceberg``).

    :raises ConfigurationError: if that provider is not installed, or the connection does not give a catalog.
    """
    try:
        from airflow.providers.apache.iceberg.hooks.iceberg import IcebergHook
    except ImportError:
        raise ConfigurationError(
            "a catalog by an Airflow connection needs apache-airflow-providers-apache-iceberg, which is not installed",
            do=f"Install it ({install_command('iceberg')})",
            about=catalog_conn_id,
        ) from None
    try:
        return IcebergHook(catalog_conn_id).catalog
    except Exception as error:
        # Its text may hold what the connection has, such as a password.
        raise ConfigurationError(
            f"the connection gives no Iceberg catalog ({type(error).__name__})",
            do="Check that it is of type iceberg, and that its address, credentials and extra are right; Test in"
            " Airflow's form of the connection shows more",
            about=catalog_conn_id,
        ) from None


def lake_filesystem(lake_uri: str, lake_conn_id: str) -> Any:
    """Open the filesystem of a lake with the credentials of an Airflow connection.

    For ``s3://`` it is a connection of type ``aws`` (extra dependency ``aws``), with all that the Amazon provider reads
    from one: keys, profile, role to assume, ``region_name``, and in its extra

    - ``endpoint_url``: a server other than Amazon's, for all services or in ``service_config`` for ``s3`` alone;
    - ``config_kwargs``: of botocore; ``{"s3": {"addressing_style": "path"}}`` puts the bucket into the path;
    - ``verify``: false, or the path of a CA bundle, for the server's certificate;
    - ``s3_additional_kwargs``, which is ours: what goes with each write, under S3's own names, such as
      ``{"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "…", "ACL": "bucket-owner-full-control",
      "Tagging": "team=security"}``;
    - ``object_lock``, which is ours, too: ``{"mode": "GOVERNANCE", "days": 90}`` has S3 keep each object in ``raw/``
      and ``ledger/`` for so long, whoever asks for its deletion. The bucket has to have object lock.

    Without a connection, credentials and endpoint come from the environment as usual with AWS, and these options from
    fsspec's own: ``FSSPEC_S3='{"s3_additional_kwargs": {…}, "config_kwargs": {…}}'``.

    :raises ConfigurationError: if the connection does not give a filesystem for such a URI.
    """
    connection = BaseHook.get_connection(lake_conn_id)
    # The connection's content is part of the key, so that new credentials are used from the next look on, and a
    # process that looks often, such as the triggerer, does not open a filesystem each time.
    return _open(LakeUri.parse(lake_uri).scheme, lake_conn_id, connection.get_uri())


@lru_cache(maxsize=32)
def _open(protocol: str, lake_conn_id: str, connection_uri: str) -> Any:
    from airflow.sdk.io import get_fs

    try:
        fs = get_fs(protocol, lake_conn_id)
    except (ImportError, ValueError) as error:
        if protocol == "s3" and importlib.util.find_spec("s3fs") is None:
            from airflow_provider_imperva.lake.store import s3fs_missing

            raise s3fs_missing(lake_conn_id) from None
        raise ConfigurationError(
            f"the connection gives no filesystem for {protocol}:// ({type(error).__name__})",
            do=f"Install the Airflow provider of that store (for S3: {install_command('aws')}), and"
            " check that the lake's URI begins with its protocol",
            about=lake_conn_id,
        ) from error
    if protocol == "s3":
        _apply_extra(fs, lake_conn_id)
    return fs


def _apply_extra(fs: Any, lake_conn_id: str) -> None:
    """Apply what the Amazon provider does not hand on, before the first request."""
    extra = BaseHook.get_connection(lake_conn_id).extra_dejson
    options = extra.get(_OPTIONS) or {}
    if not isinstance(options, dict):
        raise ConfigurationError(
            f"extra {_OPTIONS!r} is not a JSON object",
            do='Write it as {"ServerSideEncryption": "aws:kms"}, with the names that PutObject has',
            about=lake_conn_id,
        )
    fs.s3_additional_kwargs.update(options)
    if "verify" in extra:
        fs.client_kwargs["verify"] = extra["verify"]
