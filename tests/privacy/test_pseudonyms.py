"""Pseudonyms join rows and name nobody; without a key nothing is written."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.events.parse import parse
from airflow_provider_imperva.events.schema.source import LogSource
from airflow_provider_imperva.lake.records import Commit
from airflow_provider_imperva.load.normalize import NormalizeOptions
from airflow_provider_imperva.privacy.options import PERSONAL, pseudonym_options
from airflow_provider_imperva.privacy.protection import Protection
from airflow_provider_imperva.privacy.pseudonyms import Key, Pseudonyms
from airflow_provider_imperva.privacy.rules import Rules
from airflow_provider_imperva.testing import forge_log
from tests.load.load_runs import Account

KEY = Key.of("0123456789abcdef0123456789abcdef", id="k1", about="test")
OTHER_KEY = Key.of("fedcba9876543210fedcba9876543210", id="k2", about="test")
EVENT = (
    "CEF:0|Incapsula|SIEMintegration|1|1|Normal|0| fileId=77 Customer=anna@example.org start=1700000000000"
    " src=198.51.100.7 xff=198.51.100.7, 10.0.0.1, unknown cs4=2f0f-visitor cs4Label=VID act=REQ_PASSED"
    " src=198.51.100.7"
)
PEOPLE = ("198.51.100.7", "10.0.0.1", "2f0f-visitor", "anna@example.org")


def pseudonyms(key: Key | None = KEY, **given: Any) -> Pseudonyms:
    options = pseudonym_options({"conn_id": "a_key", **given})
    assert options
    return Pseudonyms(options, key)


def protected(found: Pseudonyms, event: str = EVENT) -> dict[str, Any]:
    (parsed,) = parse([f"{event}\n".encode()], LogSource(file="8416_1.log", sequence=1, format="CEF"), keep_raw=True)
    protection = Protection(Rules(), found)
    (row,) = protection.completed(protection.apply(parsed.events, parsed.quarantined).events).to_pylist()
    return dict(row)


def test_nobody_is_named_and_rows_can_be_joined() -> None:
    row = protected(pseudonyms())
    assert not any(person in str(row) for person in PEOPLE), "columns, extra and raw"
    assert row["client_ip"] == row["x_forwarded_for"][0] == dict(row["extra"])["src"]
    assert row["client_ip"].startswith("k1-")
    assert len({row["client_ip"], row["visitor_id"], row["session_id"], row["account_name"]}) == 4
    assert row == protected(pseudonyms())


BLOCKED = EVENT.replace("REQ_PASSED", "REQ_BLOCKED_ACL deviceExternalId=99 request=a.example/b?c\\=1")
DERIVED = ("client_address", "client_address_bytes", "client_subnet", "incident_id")


def test_nor_is_anybody_named_by_what_is_derived() -> None:
    assert [protected(pseudonyms(columns=["visitor_id"]), BLOCKED)[name] for name in DERIVED] == [
        "198.51.100.7",
        bytes(10) + b"\xff\xff" + bytes([198, 51, 100, 7]),
        "198.51.100.0/24",
        "77-99",
    ], "without pseudonyms of addresses and sessions they would be"
    row = protected(pseudonyms(), BLOCKED)
    assert [row[name] for name in DERIVED] == [None, None, None, f"{row['session_id']}-99"]
    row = protected(pseudonyms(addresses="truncate"), BLOCKED)
    assert row["client_address"] == "198.51.100.0"
    assert row["client_address_bytes"] == bytes(10) + b"\xff\xff" + bytes([198, 51, 100, 0])
    assert row["query_string"] == "c=1"


HEADERS_WITH_ADDRESSES = [
    {"X-Forwarded-For": "198.51.100.7, 2001:DB8::7"},
    {"Forwarded": 'for="[2001:db8::7]:4711";by=198.51.100.7:80;host=a.example'},
    {"True-Client-IP": "::ffff:198.51.100.7"},
    {"X-Azure-ClientIP": "198.51.100.7"},
    {"sec-ch-ua-full-version-list": '"Chromium";v="120.0.0.0"'},
    {"User-Agent": "Chrome/120.0.0.0 std::map 12:30:45"},
    {"Accept": "a/1.2.3.4, 1.2.3.400, x1.2.3.4, 1.2.3.4.5"},
]
IN_TEXTS = (
    EVENT
    + " ImpervaAADominantIps=198.51.100.7,2001:db8::7 custom=seen at 198.51.100.7 sip=203.0.113.9 sip=203.0.113.9"
    + f" additionalReqHeaders={json.dumps(HEADERS_WITH_ADDRESSES)}"
    + f" additionalResHeaders={json.dumps([{'X-Real-IP': '198.51.100.7'}])}"
).replace("=", "\\=")
IN_TEXTS = re.sub(r"(^| )(\w+)\\=", r"\1\2=", IN_TEXTS)


def test_addresses_in_headers_and_unknown_keys_have_the_same_pseudonyms() -> None:
    row = protected(pseudonyms(), IN_TEXTS)
    one, other = row["client_ip"], pseudonyms().of("client_ip", "2001:db8::7")
    extra, headers = dict(row["extra"]), dict(row["request_headers"])
    assert not re.search(r"198\.51\.100\.7|2001:db8::7", str(row), re.IGNORECASE)
    assert extra["ImpervaAADominantIps"] == f"{one},{other}"
    assert extra["custom"] == f"seen at {one}"
    assert extra["sip"] == "203.0.113.9", "the server's address names nobody"
    assert headers["x-forwarded-for"] == [f"{one}, {other}"]
    assert headers["forwarded"] == [f'for="[{other}]:4711";by={one}:80;host=a.example']
    assert headers["true-client-ip"] == headers["x-azure-clientip"] == [one]
    assert dict(row["response_headers"])["x-real-ip"] == [one]


def test_what_only_looks_like_an_address_stays() -> None:
    headers = dict(protected(pseudonyms(), IN_TEXTS)["request_headers"])
    for header in HEADERS_WITH_ADDRESSES[4:]:
        ((name, value),) = header.items()
        assert headers[name.lower()] == [value]


def test_addresses_in_texts_are_cut_and_kept_as_the_columns_are() -> None:
    headers = dict(protected(pseudonyms(addresses="truncate"), IN_TEXTS)["request_headers"])
    assert headers["x-forwarded-for"] == ["198.51.100.0, 2001:db8::"]
    row = protected(pseudonyms(columns=["visitor_id"]), IN_TEXTS)
    assert dict(row["request_headers"])["true-client-ip"] == ["::ffff:198.51.100.7"]
    assert dict(row["extra"])["custom"] == "seen at 198.51.100.7"


def test_another_key_gives_other_pseudonyms_with_its_id() -> None:
    one, other = protected(pseudonyms()), protected(pseudonyms(OTHER_KEY))
    assert other["client_ip"].startswith("k2-")
    assert one["client_ip"][3:] != other["client_ip"][3:]


def test_ways_to_write_an_address_have_one_pseudonym() -> None:
    found = pseudonyms()
    assert found.of("client_ip", "2001:DB8:0::1") == found.of("client_ip", "2001:db8::1")
    assert found.of("client_ip", "::ffff:198.51.100.7") == found.of("x_forwarded_for", "198.51.100.7")


def test_kinds_cannot_be_joined() -> None:
    found = pseudonyms()
    assert found.of("session_id", "77") != found.of("visitor_id", "77")


def test_masks_of_imperva_stay() -> None:
    assert pseudonyms().of("client_ip", "xxx.xxx.31.120") == "xxx.xxx.31.120"


@pytest.mark.parametrize(
    ("address", "cut"),
    [
        ("198.51.100.7", "198.51.100.0"),
        ("2001:db8:1:2::7", "2001:db8:1::"),
        ("::ffff:198.51.100.7", "198.51.100.0"),
        ("unknown", "REDACTED"),
    ],
)
def test_addresses_can_be_cut_without_a_key(address: str, cut: str) -> None:
    options = pseudonym_options({"addresses": "truncate", "columns": ["client_ip", "x_forwarded_for"]})
    assert options
    assert Pseudonyms(options).of("client_ip", address) == cut


def test_only_the_columns_that_were_named() -> None:
    row = protected(pseudonyms(columns=["visitor_id"]))
    assert row["client_ip"] == "198.51.100.7"
    assert row["visitor_id"].startswith("k1-")


class TestLake:
    def test_no_byte_outside_of_raw_names_anybody(self, account: Account) -> None:
        """Lines in quarantine have no bytes: what was not understood may name a person."""
        commit = self.load(account, pseudonyms())
        for path in account.lake.rglob("*.parquet"):
            content = pa.OSFile(str(path)).read() + str(read(path)).encode()
            assert not [person for person in PEOPLE if person.encode() in content], path
        assert commit.totals.quarantined_lines == 1
        assert commit.protections == (
            {
                "imperva.redaction": Rules().version,
                "imperva.pseudonyms": f"hmac:k1:{','.join(PERSONAL)}:2",
            },
        )

    def test_the_outcome_tells_keys_of_the_same_id_apart(self) -> None:
        """Attempts with other keys write other rows, so they may not take each other's place."""
        same_id = Key.of("f" * 32, id="k1", about="test")
        assert pseudonyms().version == pseudonyms(same_id).version
        assert pseudonyms().fingerprint != pseudonyms(same_id).fingerprint

    def load(self, account: Account, found: Pseudonyms) -> Commit:
        account.normalize_options = NormalizeOptions(keep_raw=True, protection=Protection(Rules(), found))
        account.repository.add("8416_1.log", forge_log(f"no event of 198.51.100.7\n{EVENT}\n"))
        return account.run_some()


def read(path: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    return list(pq.ParquetFile(path).read().to_pylist())


class TestOptions:
    def test_a_connection_alone_means_all_columns(self) -> None:
        options = pseudonym_options("a_key")
        assert options
        assert (options.conn_id, options.columns, options.addresses) == ("a_key", tuple(PERSONAL), "hmac")

    @pytest.mark.parametrize("nothing", [None, False])
    def test_nothing_means_no_pseudonyms(self, nothing: object) -> None:
        assert pseudonym_options(nothing) is None

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            ({}, "no connection has the key"),
            ({"addresses": "truncate"}, "no connection has the key"),
            ({"conn_id": "k", "columns": ["client_address"]}, "there is no 'client_address'"),
            ({"conn_id": "k", "adresses": "hmac"}, "there is no 'adresses'; the nearest name is 'addresses'"),
            ({"conn_id": "k", "addresses": "hash"}, "addresses is 'hash'"),
            (3, "pseudonyms is of type int"),
        ],
    )
    def test_what_is_wrong_is_said(self, given: Any, told: str) -> None:
        with pytest.raises(ConfigurationError, match=told):
            pseudonym_options(given)

    @pytest.mark.parametrize("secret", [None, "", "  ", "short"])
    def test_a_key_that_is_missing_or_short_is_refused_and_not_shown(self, secret: str | None) -> None:
        with pytest.raises(ConfigurationError, match="openssl rand") as caught:
            Key.of(secret, id=None, about="a_connection")
        assert "short" not in str(caught.value).replace("shorter", "")

    def test_without_a_key_nothing_is_made(self) -> None:
        with pytest.raises(ConfigurationError, match="there is no key of pseudonyms"):
            pseudonyms(None)

    def test_a_key_has_an_id_that_follows_from_it(self) -> None:
        one, other = (Key.of(letter * 32, id=None, about="a_connection") for letter in "ab")
        assert one.id != other.id
        assert one.id not in "a" * 32
        assert "aaaa" not in repr(one)

    def test_an_id_that_would_not_stand_in_a_pseudonym_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="the id of the key"):
            Key.of("a" * 32, id="a key", about="a_connection")
