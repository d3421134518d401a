"""Rows of the lake, and what both OCSF classes make of their columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_imperva.ocsf.arrays import (
    INT,
    LONG,
    TEXT,
    any_of,
    constant,
    is_address,
    is_hostname,
    joined,
    keep,
    lists,
    one_item,
    only,
    plain,
    structs,
)
from airflow_provider_imperva.ocsf.options import OcsfOptions

VENDOR = "Imperva"
_PRODUCT = "Cloud WAF"
_LONGEST = 65_535
"""Characters of a text, in OCSF 1.1."""

_LARGEST_INT = 2**31 - 1
_DAY_MS = 86_400_000
_UNNAMED = "unknown"
"""Name of an endpoint that OCSF requires, or of which something else is known."""


@dataclass(slots=True)
class Events:
    """Some rows of the lake, all of one repository and date.

    :param table: columns of ``HELD_SCHEMA``, then ``event_class``; each in one chunk.
    :param committed_at: when their commit was made, milliseconds since 1970.
    :ivar truncated: columns of which texts were cut, with the rows, since OCSF 1.1 bounds texts.
    """

    table: pa.Table
    repository: str
    event_date: date
    committed_at: int
    options: OcsfOptions
    truncated: dict[str, pa.Array] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """How many they are."""
        return int(self.table.num_rows)

    @property
    def modern(self) -> bool:
        """Whether it is OCSF 1.8 rather than 1.1."""
        return self.options.version != "1.1"

    def column(self, name: str) -> pa.Array:
        """Return a column as the lake has it."""
        column = self.table[name]
        return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()

    def text(self, name: str) -> pa.Array:
        """Return a text column, cut where OCSF 1.1 does not take it."""
        array = self.column(name)
        if self.modern:
            return array
        values = array.dictionary if pa.types.is_dictionary(array.type) else array
        # More bytes than characters, so this shows of most that no character has to be counted.
        if (pc.max(pc.binary_length(values)).as_py() or 0) <= _LONGEST:
            return array
        texts = plain(array)
        self.truncated[name] = pc.greater(pc.utf8_length(texts), _LONGEST).fill_null(False)
        cut = pc.utf8_slice_codeunits(texts, 0, _LONGEST)
        return cut.dictionary_encode() if pa.types.is_dictionary(array.type) else cut

    def integer(self, name: str) -> pa.Array:
        """Return a column as ``integer_t``; null what does not fit into one."""
        numbers = self.column(name).cast(LONG)
        fits = pc.and_(pc.less_equal(numbers, _LARGEST_INT), pc.greater_equal(numbers, -_LARGEST_INT)).fill_null(False)
        return only(numbers, fits).cast(INT)

    def number_text(self, name: str) -> pa.Array:
        """Return a column of numbers as texts."""
        return self.column(name).cast(TEXT).dictionary_encode()

    def milliseconds(self, name: str) -> pa.Array:
        """Return a column of times as ``timestamp_t``."""
        return self.column(name).cast(LONG)

    def modern_only(self, array: pa.Array) -> pa.Array | None:
        """Return an array that OCSF 1.1 has no place for; None in 1.1."""
        return array if self.modern else None

    def old_only(self, array: pa.Array) -> pa.Array | None:
        """Return an array that goes to ``unmapped`` in 1.1; None in 1.8."""
        return None if self.modern else array

    @property
    def time(self) -> pa.Array:
        """When each event was, within its date: else the log's start, else the date's beginning, as in the lake."""
        return pa.array(times(self.table, self.event_date))

    @property
    def uid(self) -> pa.Array:
        """The id of each event everywhere outside of the lake, ``<repository>/<src_file>:<src_line>``."""
        lines = self.column("src_line").cast(TEXT)
        return joined([f"{self.repository}/", self.column("src_file"), ":", lines])

    def metadata(self, uid: pa.Array, *, profiles: list[str], product: str = _PRODUCT) -> pa.StructArray:
        """Return ``metadata`` of each event."""
        rows = self.rows
        feature = self.text("device_product")
        return structs(
            {
                "version": constant(self.options.full_version, rows),
                "product": structs(
                    {
                        "name": constant(product, rows),
                        "vendor_name": constant(VENDOR, rows),
                        "version": self.text("device_version"),
                        "feature": structs({"name": feature}, where=feature.is_valid()),
                    }
                ),
                "profiles": self._profiles(profiles),
                "uid": uid,
                "event_code": self.number_text("rule_type_code"),
                "correlation_uid": self.text("visitor_id"),
                "original_event_uid": self.modern_only(self.text("request_id")),
                "tenant_uid": self.number_text("account_id"),
                "labels": self._labels(),
                "log_name": self.text("src_file"),
                "log_provider": joined(["imperva-config:", self.number_text("src_config_id")]),
                "log_format": self.modern_only(self.text("src_format")),
                "sequence": self.integer("src_line"),
                "logged_time": self.milliseconds("src_file_end"),
                "processed_time": constant(self.committed_at, rows, LONG),
                "debug": self.modern_only(self.column("parse_warnings")),
            }
        )

    def _profiles(self, profiles: list[str]) -> pa.Array | None:
        """Return the same list for each row."""
        if not profiles:
            return None
        offsets = pa.array(np.arange(self.rows + 1, dtype=np.int32) * len(profiles))
        names = pa.array(np.tile(np.arange(len(profiles), dtype=np.int32), self.rows))
        return pa.ListArray.from_arrays(offsets, pa.DictionaryArray.from_arrays(names, pa.array(profiles, TEXT)))

    def _labels(self) -> pa.Array:
        """Return the reference ids of account and site, as ``account_ref:<value>``."""
        rows = self.rows
        names = [name for name in ("account_ref", "site_ref") if self.column(name).null_count < rows]
        if not names:
            return pa.nulls(rows, pa.list_(TEXT))
        labels = [joined([f"{name}:", self.text(name)]) for name in names]
        values = pa.chunked_array(labels).combine_chunks()
        # The labels of a row one after the other.
        values = values.take(pa.array(np.arange(len(values)).reshape(len(names), rows).T.ravel()))
        parents = np.repeat(np.arange(rows), len(names))
        there = values.is_valid()
        return lists(values.filter(there), parents[there.to_numpy(zero_copy_only=False)], rows)

    def client(self) -> pa.StructArray:
        """Return ``src_endpoint`` of each event: the client."""
        client, address = self.text("client_ip"), self.text("client_address")
        kind = self.text("client_type")
        signature = self.text("client_signature")
        location = self._location()
        edge = self.text("client_edge_ip")
        rest = {
            "port": self.port("client_port"),
            "location": location,
            "type": kind,
            "type_id": only(constant(99, self.rows, INT), kind.is_valid()),
            "intermediate_ips": one_item(plain(keep(edge, is_address))),
            "fingerprints": self.modern_only(self._fingerprints(signature)),
        }
        return self._endpoint({"ip": address, "name": only(plain(client), address.is_null())}, rest)

    def server(self) -> pa.StructArray:
        """Return ``dst_endpoint`` of each event: the site, and its origin server."""
        site = self.text("site_name")
        host = keep(site, is_hostname)
        return self._endpoint(
            {
                "hostname": host,
                "svc_name": only(plain(site), host.is_null()),
                "uid": self.number_text("site_id"),
                "ip": keep(self.text("server_ip"), is_address),
                "name": pa.nulls(self.rows, TEXT),
            },
            {"port": self.port("server_port")},
        )

    def _endpoint(self, names: Mapping[str, pa.Array], rest: Mapping[str, pa.Array | None]) -> pa.StructArray:
        """Return an endpoint; one of which only something else is known, or that 1.1 requires, is ``unknown``."""
        named = any_of(*names.values())
        wanted = any_of(*names.values(), *rest.values()) if self.modern else pa.repeat(pa.scalar(True), self.rows)
        unnamed = pc.and_(wanted, pc.invert(named))
        name = pc.if_else(unnamed, _UNNAMED, names["name"])
        return structs({**names, "name": name, **rest}, where=wanted)

    def port(self, name: str) -> pa.Array:
        """Return a port; null what cannot be one."""
        ports = self.column(name)
        return only(ports, self._is_port(ports))

    def not_a_port(self, name: str) -> pa.Array:
        """Return what :meth:`port` leaves out."""
        ports = self.column(name)
        return only(ports, pc.invert(self._is_port(ports)))

    @staticmethod
    def _is_port(ports: pa.Array) -> pa.Array:
        return pc.and_(pc.greater_equal(ports, 0), pc.less_equal(ports, 65_535)).fill_null(False)

    def _location(self) -> pa.StructArray:
        latitude, longitude = self.column("client_latitude"), self.column("client_longitude")
        country, city = self.text("client_country_code"), self.text("client_city")
        members = {"country": country, "city": city}
        if self.modern:
            where = any_of(country, city)
            return structs({**members, "lat": latitude, "long": longitude}, where=where)
        coordinates = self._coordinates(longitude, latitude)
        return structs({**members, "coordinates": coordinates}, where=any_of(country, city, coordinates))

    def _coordinates(self, longitude: pa.Array, latitude: pa.Array) -> pa.Array:
        """Return longitude and latitude as a list, which is what OCSF 1.1 has."""
        both = pc.and_(longitude.is_valid(), latitude.is_valid())
        rows = both.to_numpy(zero_copy_only=False)
        pairs = np.column_stack([array.fill_null(0).to_numpy(zero_copy_only=False) for array in (longitude, latitude)])
        return lists(pa.array(pairs[rows].ravel()), np.repeat(np.flatnonzero(rows), 2), self.rows)

    def _fingerprints(self, signature: pa.Array) -> pa.Array:
        rows = self.rows
        fingerprint = structs(
            {
                "algorithm_id": constant(99, rows, INT),
                "algorithm": constant("imperva-clappsig", rows),
                "value": signature,
            }
        )
        return one_item(fingerprint, signature.is_valid())

    def unmapped(self, members: Mapping[str, pa.Array | None]) -> pa.StructArray:
        """Return ``unmapped`` of each event: what OCSF has no place for, under the lake's names.

        :param members: beside those that both classes have.
        """
        return structs(
            {
                "event_class": self.column("event_class"),
                "device_vendor": self.column("device_vendor"),
                "signature_id": self.column("signature_id"),
                "account_name": self.column("account_name"),
                "request_id": self.old_only(self.column("request_id")),
                **members,
                "src_seq": self.column("src_seq"),
                "src_account_id": self.column("src_account_id"),
                "src_file_start": self.milliseconds("src_file_start"),
                "src_checksum_ok": self.column("src_checksum_ok"),
                "src_encrypted": self.column("src_encrypted"),
                "src_compressed": self.column("src_compressed"),
                "src_format": self.old_only(self.column("src_format")),
                "parse_warnings": self.old_only(self.column("parse_warnings")),
                "truncated": self.old_only(self._truncated()),
                "extra": self.column("extra"),
            }
        )

    def _truncated(self) -> pa.Array:
        """Return which columns of a row were cut."""
        if not self.truncated:
            return pa.nulls(self.rows, pa.list_(TEXT))
        names = list(self.truncated)
        cut = np.column_stack([mask.to_numpy(zero_copy_only=False) for mask in self.truncated.values()])
        parents, which = np.nonzero(cut)
        return lists(pa.array(names, TEXT).take(pa.array(which)), parents, self.rows)


def times(table: pa.Table, event_date: date) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return when each event was, in milliseconds since 1970, always within its date."""
    begin = (event_date - date(1970, 1, 1)).days * _DAY_MS
    milliseconds = np.full(table.num_rows, begin, np.int64)
    for name in ("src_file_start", "event_time"):
        column = table[name].cast(LONG)
        given = column.fill_null(begin - 1).to_numpy()
        milliseconds = np.where((given >= begin) & (given < begin + _DAY_MS), given, milliseconds)
    return milliseconds
