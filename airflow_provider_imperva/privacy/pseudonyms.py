"""Pseudonyms: what identifies people, replaced so that rows can be joined but no person is named.

A pseudonym is the id of the key, a hyphen, and 128 bits of HMAC-SHA256 in hexadecimal. The same value has the same
pseudonym in every log, format and column of its kind for as long as the key is the same.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TypeAlias

import pyarrow as pa

from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.events.schema.columns import COLUMNS, HEADER, LIST, Format
from airflow_provider_imperva.events.typed.masks import is_masked
from airflow_provider_imperva.privacy.options import ADDRESSES, PERSONAL, PseudonymOptions
from airflow_provider_imperva.privacy.patterns import REDACTED

VERSION_KEY = "imperva.pseudonyms"
"""The key in a part's metadata under which it stands how its pseudonyms were made."""

SHORTEST_KEY = 32
"""Characters of the shortest key: 128 bits in hexadecimal."""

METHOD = "2"
"""What is replaced besides the columns: 2 has addresses in header texts, and in values of ``extra`` of any key."""

HEADER_TEXTS = ("additional_request_headers", "additional_response_headers")
"""Columns whose texts may have addresses in values of headers, such as X-Forwarded-For, Forwarded, True-Client-IP."""

_ADDRESS = re.compile(
    # No path, version of a program (also as a client hint gives it) or part of a longer token.
    r"""(?<![\w.:/-])(?<!\bv=")(?<!\bv=\\")"""
    r"""(?:::ffff:)?(?:\d{1,3}(?:\.\d{1,3}){3}(?![\w.-])|(?=[\w:]*:[\w:]*:)[0-9A-Fa-f:]+(?:\.\d{1,3}){0,3}(?![\w.:-]))""",
    re.IGNORECASE,
)
"""What looks like an address; whether it is one, :mod:`ipaddress` says."""

_KEY_ID = re.compile(r"[A-Za-z0-9_]{1,32}")
_FORMATS: tuple[Format, ...] = ("CEF", "LEEF", "W3C", "JSON")
_Values: TypeAlias = pa.Array


@dataclass(frozen=True, slots=True)
class Key:
    """A key of pseudonyms.

    :ivar id: stands in every pseudonym; letters, digits and underscores.
    """

    id: str
    secret: bytes = field(repr=False)

    @classmethod
    def of(cls, secret: str | None, *, id: str | None, about: str) -> Key:
        """Make a key of what a connection has.

        :param id: by default eight characters that follow from the key, and do not give it away.
        :raises ConfigurationError: if there is no key, or it is too short, or the id cannot be one.
        """
        secret = (secret or "").strip()
        if len(secret) < SHORTEST_KEY:
            raise ConfigurationError(
                f"the key of pseudonyms has {len(secret)} characters" if secret else "there is no key of pseudonyms",
                do="Make one with `openssl rand -hex 32`, and put it into the connection's password",
                about=about,
            )
        content = secret.encode()
        id = (id or "").strip() or hmac.digest(content, b"key id", hashlib.sha256).hex()[:8]
        if not _KEY_ID.fullmatch(id):
            raise ConfigurationError(
                "the id of the key of pseudonyms has other characters than letters, digits and underscores",
                do="Correct the connection's login, or leave it empty",
                about=about,
            )
        return cls(id, content)


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """How values become pseudonyms.

    :ivar key: None if addresses are cut and nothing else has a pseudonym.
    :raises ConfigurationError: if a key is needed and there is none.
    """

    options: PseudonymOptions
    key: Key | None = None

    def __post_init__(self) -> None:
        if self.options.needs_key and self.key is None:
            raise ConfigurationError(
                "there is no key of pseudonyms",
                do="Name the connection that has it in `conn_id` of the option pseudonyms",
                about="pseudonyms",
            )

    @property
    def version(self) -> str:
        """Which columns have pseudonyms, made by which key; nothing of the key itself."""
        key_id = self.key.id if self.key else "-"
        return f"{self.options.addresses}:{key_id}:{','.join(self.options.columns)}:{METHOD}"

    @property
    def fingerprint(self) -> str:
        """The version, and a hash that differs for another key of the same id."""
        digest = hmac.digest(self.key.secret, b"fingerprint", hashlib.sha256).hex() if self.key else ""
        return f"{self.version}:{digest}"

    def of(self, column: str, value: str) -> str:
        """Return the pseudonym of a value, as it stands in a column."""
        if is_masked(value):
            return value
        return self._address(value) if column in ADDRESSES else self._hmac(PERSONAL[column], value)

    def in_text(self, text: str) -> str:
        """Return a text with a pseudonym for each address in it."""
        return _ADDRESS.sub(self._replace_address, text)

    def _replace_address(self, match: re.Match[str]) -> str:
        try:
            ipaddress.ip_address(match[0])
        except ValueError:
            return match[0]
        return self._address(match[0])

    @property
    def _has_addresses(self) -> bool:
        return not ADDRESSES.isdisjoint(self.options.columns)

    def _address(self, value: str) -> str:
        try:
            address = ipaddress.ip_address(value)
        except ValueError:
            return REDACTED if self.options.addresses == "truncate" else self._hmac("address", value)
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        if self.options.addresses == "truncate":
            length = 24 if address.version == 4 else 48
            return str(ipaddress.ip_network((address, length), strict=False).network_address)
        return self._hmac("address", address.compressed)

    def _hmac(self, kind: str, value: str) -> str:
        assert self.key  # noqa: S101, as the options need one
        digest = hmac.digest(self.key.secret, f"{kind}\0{value}".encode(), hashlib.sha256)
        return f"{self.key.id}-{digest[:16].hex()}"

    def replace(self, events: pa.Table) -> pa.Table:
        """Replace the values of the columns, those of the same keys in ``extra``, and addresses in texts.

        Which texts, ``METHOD`` says; ``raw`` becomes null.
        """
        if not events.num_rows:
            return events
        for name in self.options.columns:
            events = _with(events, name, self._column(name, _one_chunk(events[name])))
        for name in HEADER_TEXTS if self._has_addresses else ():
            events = _with(events, name, self._header_texts(_one_chunk(events[name])))
        extra = _one_chunk(events["extra"])
        if len(extra) and extra.offsets[-1].as_py() > extra.offsets[0].as_py():
            events = _with(events, "extra", self._extra(extra))
        return _with(events, "raw", pa.nulls(len(events), events.schema.field("raw").type))

    def replace_quarantined(self, quarantined: pa.Table) -> pa.Table:
        """Take out the bytes of lines: what was not understood may name a person. They are in ``raw/``."""
        return _with(quarantined, "raw", pa.nulls(len(quarantined), quarantined.schema.field("raw").type))

    def _column(self, name: str, values: _Values) -> _Values:
        if values.type == LIST:
            offsets = pa.array(
                [offset - values.offsets[0].as_py() for offset in values.offsets.to_pylist()], pa.int32()
            )
            texts = self._texts(name, values.flatten())
            return pa.ListArray.from_arrays(offsets, texts, mask=values.is_null()).cast(values.type)
        return self._texts(name, values)

    def _texts(self, name: str, texts: _Values) -> _Values:
        """Replace texts, each of them once; a dictionary stays one."""
        encoded = texts if pa.types.is_dictionary(texts.type) else texts.dictionary_encode()
        pseudonyms = [self.of(name, text) for text in encoded.dictionary.to_pylist()]
        replaced = pa.array(pseudonyms, pa.string()).take(encoded.indices)
        return replaced.dictionary_encode().cast(texts.type) if encoded is texts else replaced

    def _header_texts(self, texts: _Values) -> _Values:
        """Replace addresses in the texts that have one, each of them once; a dictionary stays one."""
        encoded = texts if pa.types.is_dictionary(texts.type) else texts.dictionary_encode()
        replaced = [text and self.in_text(text) for text in encoded.dictionary.to_pylist()]
        if replaced == encoded.dictionary.to_pylist():
            return texts
        values = pa.array(replaced, pa.string()).take(encoded.indices)
        return values.dictionary_encode().cast(texts.type) if encoded is texts else values

    def _extra(self, extra: pa.MapArray) -> pa.MapArray:
        """Replace values that stand in ``extra`` under the key of a column, since they came twice or did not fit.

        Under keys that no column has, such as ``ImpervaAADominantIps``, addresses are replaced.
        """
        maps = [
            None if pairs is None else [(name, text and self._of_key(name, text)) for name, text in pairs]
            for pairs in extra.to_pylist()
        ]
        return pa.array(maps, extra.type)

    def _of_key(self, name: str, text: str) -> str:
        key = name.partition("#")[0].lower()
        column = _columns_by_key().get(key)
        if column in self.options.columns:
            return self.of(column, text)
        of_nobody = column or key in _impersonal_keys()
        return text if of_nobody or not self._has_addresses else self.in_text(text)


@cache
def _columns_by_key() -> Mapping[str, str]:
    """Return the personal column that each key of each format belongs to, in lower case."""
    return {key: column for key, column in _all_columns_by_key() if column in PERSONAL}


@cache
def _impersonal_keys() -> frozenset[str]:
    """Return the keys of the other columns that hold no texts of headers, such as that of the server's address."""
    return frozenset(key for key, column in _all_columns_by_key() if column not in {*PERSONAL, *HEADER_TEXTS})


def _all_columns_by_key() -> Iterator[tuple[str, str]]:
    for column in COLUMNS:
        for format_name in _FORMATS:
            for key in (column.source(format_name), *column.json):
                if key and not key.startswith(HEADER):
                    yield key.lower(), column.name


def _with(table: pa.Table, name: str, values: _Values) -> pa.Table:
    at = table.schema.get_field_index(name)
    return table.set_column(at, table.schema.field(at), values)


def _one_chunk(column: pa.ChunkedArray) -> _Values:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.unify_dictionaries().chunks)
