"""Columns that are derived from others: what each says, in every format, and that none says what was taken out."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_imperva.events import LogSource, parse
from airflow_provider_imperva.events.derived.addresses import read_address
from airflow_provider_imperva.events.derived.headers import headers
from airflow_provider_imperva.events.derived.violations import violations
from airflow_provider_imperva.events.schema.columns import BINARY, HEADERS
from airflow_provider_imperva.events.schema.schema import HELD_SCHEMA
from airflow_provider_imperva.events.schema.vocabulary import outcome_of
from airflow_provider_imperva.privacy.protection import Protection
from airflow_provider_imperva.severities import RULE_TYPES, Severities

SOURCE = LogSource(file="8416_1.log", fetched_time=1_767_312_000_000)


def rows(*lines: str, protection: Protection | None = None) -> list[dict[str, Any]]:
    """Read lines, and do to them all that is done before they are written."""
    found = []
    for block in parse(["\n".join(lines).encode()], SOURCE):
        protection = protection or Protection()
        done = protection.completed(protection.apply(block.events, block.quarantined).events)
        assert done.schema.names[:-2] == HELD_SCHEMA.names
        found += done.to_pylist(maps_as_pydicts="lossy")
    return found


def row(line: str, **options: Any) -> dict[str, Any]:
    (event,) = rows(line, **options)
    return event


def cef(extension: str, *, name: str = "Normal", code: object = 0) -> str:
    return f"CEF:0|Incapsula|SIEMintegration|1|1|{name}|{code}| start=1767225600000 src=192.0.2.1 {extension}"


def leef(attributes: str, *, name: str = "Normal") -> str:
    return f"LEEF:1.0|Incapsula|SIEMintegration|1|{name}|start=1767225600000\tsrc=192.0.2.1\t{attributes}"


def incident(extension: str, *, level: str = "MAJOR") -> str:
    return f"CEF:0|Imperva Inc|Attack Analytics|0|1|title|{level}|start=1767225600000 {extension}"


def json_event(**event: str) -> str:
    return json.dumps({"timestamp": 1_767_225_600_000, "event": event, "client": {"ip": "192.0.2.1"}})


class TestOutcome:
    @pytest.mark.parametrize(
        ("outcome", "actions"),
        [
            ("blocked", "REQ_BLOCKED_ACL REQ_DOMAIN_BLACKLISTED REQ_LOCKED_IP_VIOLATION REQ_SSL_NOT_SUPPORTED block"),
            ("blocked", "REQ_ILLEGAL_PORT REQ_NON_SNI_FORBIDDEN REQ_CLIENT_CERT_REQUIRED REQ_ILLEGAL_IP_VIOLATION"),
            ("error", "REQ_BAD_TIMEOUT REQ_UNRESOLVED_SITE_UNKNOWN REQ_NO_IP_FOUND REQ_ALL_IPS_DOWN REQ_POST_TIMEOUT"),
            ("challenged", "REQ_CHALLENGE_CAPTCHA REQ_CHALLENGED_JS captcha"),
            ("passed", "REQ_PASSED ALLOW monitor"),
            ("cached", "REQ_CACHED_FRESH"),
            ("other", "REQ_SOMETHING_NEW REQ_ILLEGAL_PORTS blocked_by_us"),
        ],
    )
    def test_every_known_action_has_one(self, outcome: str, actions: str) -> None:
        assert [outcome_of(action) for action in actions.split()] == [outcome] * len(actions.split())

    def test_refusals_are_blocked_in_the_column(self) -> None:
        assert row(cef("act=REQ_ILLEGAL_PORT"))["outcome"] == "blocked"


class TestRules:
    @pytest.mark.parametrize("line", [cef("", name="SQL Injection"), leef("", name="SQL Injection")])
    def test_severity_follows_from_the_rule_type(self, line: str) -> None:
        event = row(line)
        assert (event["is_alert"], event["severity"]) == (True, "high")

    def test_zero_is_no_sql_injection_in_an_access_event(self) -> None:
        event = row(cef("act=REQ_PASSED"))
        assert (event["is_alert"], event["severity"]) == (False, "informational")

    def test_a_customers_rule_is_known_by_its_name_in_leef(self) -> None:
        assert row(leef("", name="IncapRules(no robots)"))["severity"] == RULE_TYPES[11].severity

    def test_an_unknown_rule_type_has_no_severity(self) -> None:
        assert row(cef("", name="Something New", code=77))["severity"] is None
        assert row(leef("", name="Something New"))["severity"] is None

    def test_users_may_set_severities(self) -> None:
        protection = Protection(severities=Severities({11: "low", 77: "critical"}))
        lines = [cef("", name=name, code=code) for name, code in (("IncapRules(a)", 11), ("New", 77), ("DDoS", 8))]
        assert [found["severity"] for found in rows(*lines, protection=protection)] == ["low", "critical", "high"]
        assert protection.metadata["imperva.severities"] == "11=low,77=critical"
        assert Severities.parse("11=low,77=critical") == protection.severities
        assert "imperva.severities" not in Protection().metadata

    @pytest.mark.parametrize(
        ("name", "code", "client", "found"),
        [
            ("Normal", 0, "Browser", "browser"),
            ("Normal", 0, "Site Helper", "good_bot"),
            ("Normal", 0, "Developer Tool", "bot"),
            ("Normal", 0, "Unclassified", None),
            ("SQL Injection", 0, "Vulnerability Scanner", "bad_bot"),
            ("Bad Bot", 14, "Browser", "bad_bot"),
        ],
    )
    def test_what_is_known_of_a_bot(self, name: str, code: int, client: str, found: str | None) -> None:
        assert row(cef(f"dproc={client}", name=name, code=code))["bot_classification"] == found


class TestJson:
    @pytest.mark.parametrize(
        ("event", "event_class", "is_alert"),
        [
            ({"code": "Normal"}, "access", False),
            ({"code": "SQL Injection"}, "security", True),
            ({"code": "IncapRules(ours)"}, "security", True),
            ({"code": "Something New", "dataset": "WAF_RAW_LOGS"}, "security", True),
            ({"dataset": "CLOUD_WAF_ACCESS"}, "access", False),
            ({"code": "Normal", "dataset": "ATO"}, "other", None),
            ({"code": "SITE_REMOVE", "dataset": "AUDIT_TRAIL"}, "other", None),
            ({"code": "Something New"}, "other", None),
        ],
    )
    def test_the_class_is_by_kind(self, event: dict[str, str], event_class: str, is_alert: bool | None) -> None:
        found = row(json_event(**event))
        assert (found["event_class"], found["is_alert"]) == (event_class, is_alert)


class TestViolations:
    def test_slots_are_zipped(self) -> None:
        event = row(
            cef(
                "fileType=12999,50999,50037,50044, filePermission=37,20,1,1, "
                "cs9=,High Risk SQL Expressions,,SQL SELECT Expression, cs9Label=Rule name "
                'cs11=,,[{"a":1}] cs11Label=Rule Additional Info',
                name="SQL Injection",
            )
        )
        assert [tuple(violation.values()) for violation in event["violations"]] == [
            ("12999", None, "37", None, None),
            ("50999", "SQL Injection", "20", "High Risk SQL Expressions", None),
            ("50037", "SQL Injection", "1", None, '[{"a":1}]'),
            ("50044", "SQL Injection", "1", "SQL SELECT Expression", None),
        ]
        assert event["rule_names"] == ["", "High Risk SQL Expressions", "", "SQL SELECT Expression"]

    def test_no_event_with_one_list_only_is_lost(self) -> None:
        events = rows(
            cef("fileType=1 cs9= cs9Label=Rule name", name="DDoS"), cef("", name="DDoS"), cef("filePermission=7")
        )
        assert [event["violations"] and len(event["violations"]) for event in events] == [1, None, 1]

    @given(
        st.lists(
            st.tuples(
                *[st.none() | st.lists(st.sampled_from(["", "a", "1"]), max_size=4)] * 3, st.none() | st.just(",,x")
            )
        )
    )
    @example([([], ["1"], None, None)])
    def test_as_a_loop_would_zip_them(self, events: list[tuple[Any, Any, Any, str | None]]) -> None:
        names = ("attack_type_codes", "attack_ids", "rule_names")
        lists = {
            name: pa.array([event[at] for event in events], pa.list_(pa.string())) for at, name in enumerate(names)
        }
        found = violations(lists, pa.array([event[3] for event in events], pa.string())).to_pylist()
        for event, got in zip(events, found, strict=True):
            length = max([len(one or []) for one in event[:3]] + [3 if event[3] else 0])
            want = [
                [(one or [])[slot] or None if slot < len(one or []) else None for one in event[:3]]
                + ["x" if event[3] and slot == 2 else None]
                for slot in range(length)
            ]
            assert got == (None if not want else got)
            assert [
                [one["attack_type"], one["attack_id"], one["rule_name"], one["rule_info"]] for one in got or []
            ] == want


class TestAddresses:
    @given(st.ip_addresses())
    @example(ipaddress.ip_address("::1.2.3.4"))
    @example(ipaddress.ip_address("::ffff:192.0.2.1"))
    def test_one_text_and_16_bytes_for_each(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
        plain = getattr(address, "ipv4_mapped", None) or address
        for spelling in {str(address), address.exploded, address.exploded.upper()}:
            found = read_address(spelling)
            assert found is not None
            assert found.text == plain.compressed
            prefix = 24 if plain.version == 4 else 48
            assert found.subnet == str(ipaddress.ip_network((plain.compressed, prefix), strict=False))
            mapped = plain.packed if plain.version == 6 else bytes(10) + b"\xff\xff" + plain.packed
            assert found.packed == mapped

    @given(
        st.text()
        | st.sampled_from(
            ["Distributed", "xxx.xxx.31.120", "92.140.985.97", "1.2.3", "01.2.3.4", "fe80::1%eth0", "1.2.3.4\0"]
        )
    )
    def test_nothing_else_is_one(self, text: str) -> None:
        try:
            is_address = "%" not in text and bool(ipaddress.ip_address(text))
        except ValueError:
            is_address = False
        assert (read_address(text) is not None) == is_address

    def test_one_client_however_it_is_written(self) -> None:
        lines = [cef("").replace("192.0.2.1", text) for text in ("2001:0DB8:0::1", "2001:db8::1", "::ffff:10.1.2.3")]
        events = rows(*lines)
        assert [event["client_ip"] for event in events] == ["2001:0DB8:0::1", "2001:db8::1", "::ffff:10.1.2.3"]
        assert [event["client_address"] for event in events] == ["2001:db8::1", "2001:db8::1", "10.1.2.3"]
        assert [event["client_subnet"] for event in events] == ["2001:db8::/48", "2001:db8::/48", "10.1.2.0/24"]

    def test_bytes_sort_and_compare_as_addresses(self, tmp_path: Path) -> None:
        found = {text: read_address(text) for text in ("fe80::1", "2001:db8::1", "192.0.2.200", "192.0.2.3", "::1")}
        packed = [one.packed for one in found.values() if one]
        pq.write_table(pa.table({"text": list(found), "packed": pa.array(packed, BINARY)}), tmp_path / "a.parquet")
        rows = duckdb.connect().execute(f"SELECT text FROM '{tmp_path}/a.parquet' ORDER BY packed").fetchall()
        assert [text for (text,) in rows] == ["::1", "192.0.2.3", "192.0.2.200", "2001:db8::1", "fe80::1"]
        network = "BETWEEN unhex('00000000000000000000ffffc0000200') AND unhex('00000000000000000000ffffc000027f')"
        rows = duckdb.connect().execute(f"SELECT text FROM '{tmp_path}/a.parquet' WHERE packed {network}").fetchall()
        assert rows == [("192.0.2.3",)]

    def test_distributed_is_no_address(self) -> None:
        event = row(incident("src=Distributed"))
        assert event["client_ip"] == "Distributed", "the text stays where version 1 had it"
        assert [event[name] for name in ("client_address", "client_address_bytes", "client_subnet")] == [None] * 3


class TestIncidents:
    def test_figures_are_columns(self) -> None:
        line = incident(
            "src=192.0.2.1 dhost=www.example.com cs1=7 cs1Label=ImpervaAANumberOfEvents "
            "cs2=12.5 cs2Label=ImpervaAAPercentBlocked"
        )
        event = row(line)
        names = ("is_alert", "severity", "analytics_severity", "analytics_host", "analytics_events")
        assert [event[name] for name in names] == [True, "high", "MAJOR", "www.example.com", 7]
        assert event["analytics_blocked_percent"] == 12.5
        assert event["extra"]["ImpervaAANumberOfEvents"] == "7", "what was there stays there"

    def test_what_does_not_fit_is_null(self) -> None:
        event = row(incident("dhost=Distributed cs1=many cs1Label=ImpervaAANumberOfEvents", level="ODD"))
        names = ("severity", "analytics_severity", "analytics_host", "analytics_events", "analytics_blocked_percent")
        assert [event[name] for name in names] == [None, "ODD", None, None, None]

    def test_beside_other_events(self) -> None:
        events = rows(cef("act=REQ_PASSED"), incident("", level="MINOR"), cef("", name="DDoS", code=8))
        assert [event["severity"] for event in events] == ["informational", "low", "high"]


class TestIncidentId:
    @pytest.mark.parametrize(
        ("line", "found"),
        [
            (cef("fileId=77 deviceExternalId=99 act=REQ_PASSED"), None),
            (cef("fileId=77 deviceExternalId=99 act=REQ_CACHED_FRESH"), None),
            (cef("fileId=77 deviceExternalId=99 act=REQ_BLOCKED_ACL"), "77-99"),
            (cef("fileId=77 deviceExternalId=99 act=REQ_PASSED", name="DDoS", code=8), "77-99"),
            (cef("fileId=77 act=REQ_BLOCKED_ACL"), None),
            (cef("fileId=77 deviceExternalId=99"), None),
        ],
    )
    def test_it_is_that_of_the_block_page(self, line: str, found: str | None) -> None:
        assert row(line)["incident_id"] == found


class TestQueryString:
    def test_it_is_filled_from_the_url(self) -> None:
        events = rows(
            cef("request=a.example/b?c\\=1&d\\=?e"),
            cef("request=a.example/b?c\\=1 qstr=own"),
            cef("request=a.example/b?"),
        )
        assert [event["query_string"] for event in events] == ["c=1&d=?e", "own", None]

    def test_without_its_secrets(self) -> None:
        event = row(cef("request=a.example/b?password\\=hunter2hunter2&c\\=1"))
        assert "hunter2" not in str(event)
        assert event["query_string"] == "password=REDACTED&c=1"


SIMPLE = st.text("abAB-:,{}[] ", max_size=4)


class TestHeaders:
    def test_names_are_in_lower_case_and_values_in_order(self) -> None:
        text = '[{"Accept":"*/*"},{"X-A":"1"},{"x-a":"2"}]'
        event = row(cef(f'additionalReqHeaders={text} additionalResHeaders=[{{"Via": ["1", 2]}}]'))
        assert event["request_headers"] == {"accept": ["*/*"], "x-a": ["1", "2"]}
        assert event["response_headers"] == {"via": ["1", "2"]}
        assert event["additional_request_headers"] == text

    @given(
        st.lists(
            st.none()
            | st.sampled_from(
                ["", "x", "[]", "{}", "[1]", '"', '[{"a":"b"}', '[{"a":"b"}]]', '[["a":"b"]]', '[{"a":"b"},]']
            )
            | st.lists(st.tuples(SIMPLE, SIMPLE | st.text(max_size=2)), max_size=4).map(
                lambda pairs: json.dumps([{name: value} for name, value in pairs], separators=(",", ":"))
            )
            | st.lists(SIMPLE, max_size=6).map('"'.join)
        )
    )
    @example(['[{"É":"b"},{"c":"d"}]', '[{"a":"x"},{"é":"y"},{"É":"z"},{"A":"w"}]'])
    @example(
        ["[" + ",".join(f'{{"{name}":"{at}"}}' for at, name in enumerate("ABab" * many)) + "]" for many in (16, 17)]
    )
    @example(
        ["[" + ",".join(f'{{"name-{at % 90}":"{"v" * at}"}}' for at in range(count)) + "]" for count in (65, 90, 91)]
    )
    @example(['[{"a":"b"},{"c":"d"}]', '[{"a":"b"},{"A":"d"}]', None, '[{"a":"\\u0062"}]'])
    def test_as_a_json_reader_reads_them(self, texts: list[str | None]) -> None:
        among = pa.array(['[{"a":"b"}]', *texts, '[{"c":"\\\\"}]'], pa.string())
        for given_as in (pa.array(texts, pa.string()), among[1:-1], among[: len(texts) + 1][1:]):
            found = headers(given_as)
            assert found.type == HEADERS
            assert found.to_pylist() == [None if text is None else read(text) for text in texts]
        assert headers(pa.array(texts, pa.string()).dictionary_encode()).to_pylist() == found.to_pylist()


def read(text: str) -> list[tuple[str, list[str]]] | None:
    """Read headers one by one."""
    try:
        items = json.loads(text)
    except ValueError:
        return None
    items = items if isinstance(items, list) else [items]
    if not all(isinstance(item, dict) for item in items):
        return None
    found: dict[str, list[str]] = {}
    for item in items:
        for name, value in item.items():
            values = value if isinstance(value, list) else [value]
            found.setdefault(name.lower(), []).extend(
                one if isinstance(one, str) else json.dumps(one) for one in values
            )
    return list(found.items())
