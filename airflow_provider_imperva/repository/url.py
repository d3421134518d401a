"""The Log Server URL of a repository, as people type it and as the client needs it."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.repository.index import INDEX_NAME

_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")
_SEGMENT = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]+")


def normalize_url(text: str) -> str:
    """Put a Log Server URL right: ``logs1.example.com/8416_17`` becomes ``https://logs1.example.com/8416_17/``.

    Mended are blanks around it, a missing scheme (https is meant), missing or extra slashes and an appended
    ``logs.index``.

    :raises ConfigurationError: it cannot be mended, or is not safe: http other than to loopback, a user or password,
        a query, a fragment, no host, no path.
    """
    text = text.strip()
    if not text or re.search(r"[^\x21-\x7e]|\\", text):
        raise _bad_url("it is empty or holds blanks, backslashes or other than ASCII characters")
    scheme, rest = _split_scheme(text)
    try:
        split = urlsplit(f"{scheme}://{rest}")
        host, port = split.hostname, split.port
    except ValueError:
        raise _bad_url("its host or port cannot be read") from None
    if "@" in split.netloc:
        raise _bad_url("it holds a user or password, which belong into login and password of the connection")
    if not host:
        raise _bad_url("it has no host")
    if port == 0 or not (_is_address(host) if "[" in split.netloc else _HOST_NAME.fullmatch(host)):
        raise _bad_url("its host or port cannot be one")
    if scheme not in _DEFAULT_PORTS or (scheme == "http" and not _is_loopback(host)):
        raise _bad_url("it is not https, which only a loopback address may do without")
    if "?" in rest or "#" in rest:
        raise _bad_url("it holds a query or a fragment")
    segments = [segment for segment in split.path.split("/") if segment]
    while segments and segments[-1] == INDEX_NAME:
        segments.pop()
    if not segments or {".", ".."} & set(segments):
        raise _bad_url("it has no path, or one with dots, where the repository's folder should be")
    netloc = f"[{host}]" if ":" in host else host
    if port is not None and port != _DEFAULT_PORTS[scheme]:
        netloc = f"{netloc}:{port}"
    return f"{scheme}://{netloc}/{'/'.join(segments)}/"


def _split_scheme(text: str) -> tuple[str, str]:
    match = re.fullmatch(r"([A-Za-z][A-Za-z0-9+.-]*):/+(.*)", text)
    return (match[1].lower(), match[2]) if match else ("https", text.lstrip("/"))


def _bad_url(problem: str) -> ConfigurationError:
    # The URL itself is not quoted: what is wrong with it may be a password inside.
    return ConfigurationError(
        f"the Log Server URL cannot be used: {problem}",
        do="Copy it from the log set-up page of the Imperva console; it looks like https://<host>/<number>_<number>/",
    )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def last_segment(url: str) -> str:
    """Give the last segment of a URL's path: the repository's name as Imperva has it."""
    return url.rstrip("/").rpartition("/")[2]


def repository_id(url: str, *, given: str | None = None) -> str:
    """Give the id that a repository has in the lake: the last segment of its URL, unless another one is given.

    :param url: the Log Server URL, as :func:`normalize_url` returns it.
    :raises ConfigurationError: if it cannot name a folder of the lake.
    """
    name = given or last_segment(url)
    if not _SEGMENT.fullmatch(name):
        raise ConfigurationError(
            "the repository's id holds other than letters, digits, '.', '_' and '-'",
            do="Set the connection's extra `repository` to an id of these characters; it names a folder of the lake",
            about=url,
        )
    return name


def origin(url: SplitResult) -> tuple[str, str, int | None]:
    """Give scheme, host and port of a URL: where the API ID and key may go."""
    return url.scheme, url.hostname or "", url.port or _DEFAULT_PORTS.get(url.scheme)
