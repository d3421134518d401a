"""Addresses in one spelling, as bytes that sort and compare, and by the network that they are in."""

from __future__ import annotations

import ipaddress
import socket
from functools import lru_cache
from typing import NamedTuple

import pyarrow as pa

from airflow_provider_imperva.events.schema.columns import BINARY, TEXT
from airflow_provider_imperva.events.typed.convert import grouped

_MAPPED = bytes(10) + b"\xff\xff"
"""What the 16 bytes of an IPv4 address begin with (RFC 4291, section 2.5.5.2)."""

_NETWORK_BYTES = 6
"""Bytes of a /48, the network of an IPv6 address."""


class Address(NamedTuple):
    """An address.

    :ivar text: in its only spelling: IPv4, also where it was mapped to IPv6; IPv6 in lower case, compressed (RFC 5952).
    :ivar packed: 16 bytes in network order, IPv4 mapped to IPv6.
    :ivar subnet: its /24 (IPv4) or /48 (IPv6).
    """

    text: str
    packed: bytes
    subnet: str


@lru_cache(1 << 14)
def read_address(text: str) -> Address | None:
    """Read an address; None if it is not an address: a mask, a pseudonym, a word such as ``Distributed``."""
    try:
        return _of_ipv4(text, socket.inet_pton(socket.AF_INET, text))
    except (OSError, ValueError):
        pass
    try:
        packed = socket.inet_pton(socket.AF_INET6, text)
    except (OSError, ValueError):
        return None
    if packed.startswith(_MAPPED):
        return _of_ipv4(socket.inet_ntop(socket.AF_INET, packed[12:]), packed[12:])
    network = packed[:_NETWORK_BYTES] + bytes(16 - _NETWORK_BYTES)
    # Not inet_ntop, which some systems have write the last 32 bits as an IPv4 address.
    return Address(ipaddress.IPv6Address(packed).compressed, packed, f"{ipaddress.IPv6Address(network).compressed}/48")


def _of_ipv4(text: str, packed: bytes) -> Address:
    return Address(text, _MAPPED + packed, f"{text[: text.rindex('.')]}.0/24")


def address_columns(texts: pa.DictionaryArray) -> dict[str, pa.DictionaryArray]:
    """Return ``client_address``, ``client_address_bytes`` and ``client_subnet`` of ``client_ip``."""
    logged = texts.dictionary.to_pylist()
    addresses = [read_address(text) for text in logged]
    spelled = [one and one.text for one in addresses]
    # Nearly always, which spares most of the work.
    are_same = spelled == logged
    address = texts if are_same else grouped(pa.array(spelled, TEXT), texts)
    distinct = addresses if are_same else [read_address(text) for text in address.dictionary.to_pylist()]
    packed = pa.array([one and one.packed for one in distinct], BINARY)
    return {
        "client_address": address,
        "client_address_bytes": pa.DictionaryArray.from_arrays(address.indices, packed, safe=False),
        "client_subnet": grouped(pa.array([one and one.subnet for one in addresses], TEXT), texts),
    }
