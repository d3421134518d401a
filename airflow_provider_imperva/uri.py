"""What the URI of a lake is: which ones are accepted, and the one form in which a lake is opened, shown and compared.

A default that is wrong here costs logs: a relative path is another folder in each process, and an unexpanded ``$HOME``
is a folder of that name. So whatever is not an absolute address is refused, when the DAG is parsed.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Self
from urllib.parse import unquote

from airflow_provider_imperva.errors import ConfigurationError, quoted

_S3 = frozenset({"s3", "s3a", "s3n"})
_DISK = frozenset({"file", "local"})
_BUCKETS = frozenset({"s3", "gs", "gcs", "az", "abfs", "abfss"})
"""Protocols whose address begins with a bucket or container."""

_AT_ACCOUNT = frozenset({"abfs", "abfss", "wasb", "wasbs"})
"""Protocols of Azure, where ``container@account`` is an address and not a user."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_VARIABLE = re.compile(r"\$\{?\w|^/?~")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")
_DO = "Write it as s3://bucket/folder, or as the absolute path of a folder: /srv/lake or file:///srv/lake"


@dataclass(frozen=True, slots=True)
class LakeUri:
    """Where a lake is.

    :ivar scheme: the protocol in lower case: ``file`` for a folder of this machine, ``s3`` for all names of S3.
    :ivar host: the bucket, or the server; empty for a folder.
    :ivar path: the rest, without a slash at its end. That of a folder is absolute, with nothing quoted in it.
    """

    scheme: str
    host: str
    path: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the URI of a lake: a URI that fsspec speaks, or the absolute path of a folder.

        Of a ``file://`` URI the percent signs are read as :meth:`pathlib.Path.as_uri` writes them. Paths, and the keys
        of a bucket, are taken as they are.

        :raises ConfigurationError: if it is empty, relative or a template, or holds what is not part of an address:
            user and password, ``?``, ``#``, an unexpanded variable, blanks around it, doubled slashes in a bucket.
        """
        if not text.strip():
            raise _refused("it is empty", do="Set it (the example DAGs read IMPERVA_LAKE_URI). " + _DO)
        if is_template(text):
            raise _refused(
                "it is a template, and nothing fills templates in here",
                do="Give the lake's URI in plain text; a DAG whose tasks have a template needs its own events_asset",
            )
        if text != text.strip():
            raise _refused("there are blanks around it", do="Take them away")
        if _UNPRINTABLE.search(text):
            raise _refused("it holds line ends or other control characters", do=_DO)
        if "?" in text or "#" in text:
            raise _refused("it holds '?' or '#'", do="Leave out queries and fragments, and rename such a folder")
        match = _SCHEME.fullmatch(text)
        if not match and "://" in text:
            raise _refused("it does not begin with a single protocol", do=_DO)
        if not match:
            return cls("file", "", _folder(text, shown=text))
        given, rest = match[1].lower(), match[2]
        scheme = "s3" if given in _S3 else "file" if given in _DISK else given
        host, _, path = rest.partition("/")
        if "@" in host and (scheme not in _AT_ACCOUNT or ":" in host):
            raise _refused(
                "it holds a user, a key or a password",
                do="Put credentials into an Airflow connection, and its id into lake_conn_id",
            )
        if scheme == "file":
            if host:
                raise _refused(
                    f"file:// is followed by {quoted(host)}, which is read as the name of a machine",
                    do="Write three slashes for a folder of this machine: file:///srv/lake",
                )
            return cls(scheme, "", _folder(unquote("/" + path), shown=text))
        if not host and scheme in _BUCKETS:
            raise _refused("it names no bucket", do="Write it as s3://bucket/folder")
        segments = path.rstrip("/").split("/") if path.strip("/") else []
        if "" in segments or {".", ".."} & set(segments):
            raise _refused(
                f"the path in {quoted(text)} holds doubled slashes or dots, which stores do not all take alike",
                do="Write one slash between folders, and their names in full",
            )
        _refuse_variables(text)
        return cls(scheme, host, "/".join(segments))

    @classmethod
    def of_shell(cls, text: str) -> Self:
        """Read what somebody types at a shell, where a path may be relative to the current folder."""
        is_path = text.strip() == text != "" and not _SCHEME.fullmatch(text) and not text.startswith("~")
        return cls.parse(str(Path(text).absolute()) if is_path else text)

    @property
    def address(self) -> str:
        """What fsspec opens: the path of a folder, or the URI."""
        return self.path if self.scheme == "file" else str(self)

    def __str__(self) -> str:
        """The URI as it is shown and compared, the same for all spellings of it; no secret is in it."""
        if self.scheme == "file":
            return Path(self.path).as_uri()
        return f"{self.scheme}://{self.host}/{self.path}".rstrip("/")


def check_lake_uri(lake_uri: object) -> None:
    """Refuse the lake of a task while its DAG is parsed.

    What only a run can tell is looked at then: templates, and what other tasks return.

    :raises ConfigurationError: as of :meth:`LakeUri.parse`.
    """
    if isinstance(lake_uri, os.PathLike):
        raise _refused("it is a path object, not a text", do="Give path.as_uri()")
    if lake_uri is None or (isinstance(lake_uri, str) and not is_template(lake_uri)):
        LakeUri.parse(lake_uri or "")


def is_template(text: str) -> bool:
    """Return whether a text is a Jinja template, which only a run of its task fills in."""
    return "{{" in text or "{%" in text


def _folder(path: str, *, shown: str) -> str:
    _refuse_variables(path)
    if not path.startswith("/"):
        raise _refused(
            f"{_shown(shown)} is relative, so that each process would take another folder for the lake", do=_DO
        )
    # What a path begins with two slashes for is up to the system; it is not meant here.
    # Without single dots, as pathlib has it, so that one folder has one path.
    return str(PurePosixPath(re.sub("/+", "/", path)))


def _shown(text: str) -> str:
    return "it" if "@" in text else quoted(text)


def _refuse_variables(text: str) -> None:
    if _VARIABLE.search(text):
        raise _refused(
            f"{_shown(text)} holds a variable or '~', which only a shell puts something in the place of",
            do="Write the path in full",
        )


def _refused(problem: str, *, do: str) -> ConfigurationError:
    return ConfigurationError(f"the lake's URI cannot be used: {problem}", do=do)
