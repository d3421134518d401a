"""A lake's URI as it may be shown, written down and compared."""

from __future__ import annotations

import re

from airflow_provider_imperva.errors import ConfigurationError

_S3 = frozenset({"s3a", "s3n"})


def public_uri(lake_uri: str) -> str:
    """Return a lake's URI without what may be secret in it, in the one form that all spellings of it have.

    :raises ConfigurationError: if the URI names no bucket.
    """
    given, found, rest = lake_uri.partition("://")
    if not found:
        path = lake_uri.rstrip("/")
        return f"file://{path}" if path.startswith("/") else path
    scheme = "s3" if given.lower() in _S3 else given.lower()
    authority, _, path = re.split("[?#]", rest, maxsplit=1)[0].partition("/")
    host = authority.rpartition("@")[2]
    if scheme == "s3" and not host:
        raise ConfigurationError(
            "the lake's URI names no bucket", do="Write it as s3://bucket/folder", about=f"{scheme}:///{path}"
        )
    return f"{scheme}://{host}/{path}".rstrip("/")
