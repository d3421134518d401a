"""Pseudonyms: what tells people apart, replaced so that rows can be joined but nobody is named.

A pseudonym is the id of the key, a hyphen, and 128 bits of HMAC-SHA256 in hexadecimal. The same value has the same
pseudonym in every log, format and column of its kind for as long as the key is the same.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
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
        return f"{self.options.addresses}:{self.key.id if self.key else '-'}:{','.join(self.options.columns)}"

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
        """Replace the values of the columns, and those of the same keys in ``extra``; ``raw`` becomes null."""
        if not events.num_rows:
            return events
        for name in self.options.columns:
            events = _with(events, name, self._column(name, _one_chunk(events[name])))
        extra = _one_chunk(events["extra"])
        if len(extra) and extra.offsets[-1].as_py() > extra.offsets[0].as_py():
            events = _with(events, "extra", self._extra(extra))
        return _with(events, "raw", pa.nulls(len(events), events.schema.field("raw").type))

    def replace_quarantined(self, quarantined: pa.Table) -> pa.Table:
        """Take out the bytes of lines: what was not understood may name anybody. They are in ``raw/``."""
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

    def _extra(self, extra: pa.MapArray) -> pa.MapArray:
        """Replace values that stand in ``extra`` under the key of a column, since they came twice or did not fit."""
        columns = _columns_by_key()
        maps = [
            None
            if pairs is None
            else [
                (name, self.of(column, text) if column in self.options.columns else text)
                for name, text in pairs
                for column in [columns.get(name.partition("#")[0].lower(), "")]
            ]
            for pairs in extra.to_pylist()
        ]
        return pa.array(maps, extra.type)


def _columns_by_key() -> Mapping[str, str]:
    """Return the personal column that each key of each format belongs to, in lower case."""
    return {
        key.lower(): column.name
        for column in COLUMNS
        if column.name in PERSONAL
        for format_name in _FORMATS
        for key in (column.source(format_name), *column.json)
        if key and not key.startswith(HEADER)
    }


def _with(table: pa.Table, name: str, values: _Values) -> pa.Table:
    at = table.schema.get_field_index(name)
    return table.set_column(at, table.schema.field(at), values)


def _one_chunk(column: pa.ChunkedArray) -> _Values:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.unify_dictionaries().chunks)
