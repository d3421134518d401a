"""LEEF records of any version, with tabs or without, give what the same CEF record gives."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_imperva.events import parse
from tests.events.cef_lines import SOURCE, rows, set_in


def leef(attributes: str, *, version: str = "1.0", event: str = "Normal") -> str:
    return f"LEEF:{version}|Incapsula|SIEMintegration|1|{event}|{attributes}"


def row(attributes: str, **header: str) -> dict[str, Any]:
    (only,) = rows(leef(attributes, **header))
    return only


class TestHeader:
    @pytest.mark.parametrize("version", ["0", "1.0", "2.0", "17"])
    def test_any_version(self, version: str) -> None:
        event = row("src=192.0.2.1\tcn1=200", version=version, event=r"Rule \| name")
        assert (event["client_ip"], event["http_status"]) == ("192.0.2.1", 200)
        assert [event[c] for c in ("device_vendor", "device_product", "device_version", "event_name")] == [
            "Incapsula",
            "SIEMintegration",
            "1",
            "Rule | name",
        ]
        assert (event["rule_type_code"], event["signature_id"]) == (None, None)

    @pytest.mark.parametrize("delimiter", ["x09|", "0x09|", "\t|", r"\t|", "|", " "])
    def test_delimiter_of_version_2_and_a_blank_are_passed_over(self, delimiter: str) -> None:
        event = row(f"{delimiter}src=192.0.2.1\tcn1=200", version="2.0")
        assert (set_in(event), event["extra"]) == ({"client_ip": "192.0.2.1", "http_status": 200}, {})

    def test_class_follows_product_and_event(self) -> None:
        lines = [leef("", event="Normal"), leef("", event="SQL Injection"), "LEEF:1.0|Acme|Box|9|Normal|src=192.0.2.1"]
        assert [r["event_class"] for r in rows(*lines)] == ["access", "security", "other"]

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            ("LEEF:|a|b|c|d|", "not_a_record"),
            ("LEEF:x|a|b|c|d|", "not_a_record"),
            ("LEEF:1.0|Incapsula|SIEMintegration|1|Normal", "bad_header"),
            ("LEEF:1.0|Incapsula|SIEMintegration|1|src=192.0.2.1\tqstr=a|b", "bad_header"),
            ("CEF:0|Incapsula|SIEMintegration|1|1|Normal|0| src=192.0.2.1", "not_a_record"),
        ],
    )
    def test_what_is_no_record_is_quarantined_with_the_reason(self, line: str, reason: str) -> None:
        (block,) = parse([f"{leef('')}\n{line}".encode()], SOURCE)
        assert block.quarantined.select(["reason", "raw"]).to_pylist() == [{"reason": reason, "raw": line.encode()}]


class TestTabs:
    def test_blanks_and_look_alike_keys_inside_values_are_text(self) -> None:
        event = row("requestClientApplication=x  cat=REQ_PASSED src=y\tcat=REQ_BLOCKED_ACL\tsrc=192.0.2.1")
        assert event["user_agent"] == "x  cat=REQ_PASSED src=y"
        assert (event["action"], event["client_ip"], event["extra"]) == ("REQ_BLOCKED_ACL", "192.0.2.1", {})

    def test_keys_are_trimmed_and_case_does_not_matter(self) -> None:
        event = row("SRC = 192.0.2.1 \t popname= mia\tcn1=\tcicode = New  York ")
        assert set_in(event) == {"client_ip": "192.0.2.1", "pop": "mia", "client_city": "New  York"}

    def test_tab_inside_a_value_is_text_where_no_attribute_follows(self) -> None:
        event = row("url=a.example/x\ty z\t=\t1a=2\ta b=3\tsrc=192.0.2.1")
        assert (event["url"], event["client_ip"]) == ("a.example/x\ty z\t=\t1a=2\ta b=3", "192.0.2.1")
        assert event["extra"] == {}

    def test_unknown_key_goes_to_extra_whatever_is_before_it(self) -> None:
        assert row("url=a.example\tnewThing=1 2\tsrc=192.0.2.1")["extra"] == {"newThing": "1 2"}

    def test_text_before_the_first_key_is_kept(self) -> None:
        event = row("stray\twords\tsrc=192.0.2.1")
        assert (event["client_ip"], event["extra"]) == ("192.0.2.1", {"unkeyed_text": "stray\twords"})
        assert event["parse_warnings"][0] == "unkeyed_text"

    def test_escapes_quotes_and_duplicates(self) -> None:
        event = row('qstr=a\\=b\\\\c\tcs6="Edge"\tcs6Label=clapp\tqstr=d\tccode=IL\tpostbody=x\\\t')
        assert (event["query_string"], event["client_application"]) == ("a=b\\c", "Edge")
        assert (event["request_body"], event["client_country_code"]) == ("x\\", None)
        assert event["extra"] == {"qstr": "d", "ccode": "IL"}
        assert set(event["parse_warnings"]) >= {"duplicate_key:qstr", "quoted_value:cs6"}

    def test_json_needs_no_brackets_to_end(self) -> None:
        event = row('cs10=[{"a":"b src=x\tcs10Label=Rule Info\tsrc=192.0.2.1')
        assert (event["delivery_rules"], event["client_ip"]) == ('[{"a":"b src=x', "192.0.2.1")


class TestBlanks:
    def test_without_tabs_keys_end_values(self) -> None:
        event = row(
            r"requestClientApplication=x | y cmd=1 calCountryOrRegion=[IL] url=a.example/b c qstr=d\=e cat=REQ_X"
        )
        assert set_in(event) == {
            "user_agent": "x | y cmd=1",
            "client_country_code": "IL",
            "url": "a.example/b c",
            "url_host": "a.example",
            "url_path": "/b c",
            "query_string": "d=e",
            "action": "REQ_X",
            "outcome": "other",
        }

    def test_a_tab_at_the_end_is_none(self) -> None:
        assert set_in(row("src=192.0.2.1 cn1=200\t")) == {"client_ip": "192.0.2.1", "http_status": 200}

    def test_keys_of_cef_are_unknown_here(self) -> None:
        event = row("deviceFacility=mia src=192.0.2.1 cpt=5 sip=192.0.2.9")
        assert set_in(event) == {"client_ip": "192.0.2.1"}
        assert event["extra"] == {"deviceFacility": "mia", "cpt": "5", "sip": "192.0.2.9"}


class TestLabels:
    def test_expected_label_gives_the_column_any_other_the_extra_key(self) -> None:
        event = row("cs4=one\tcs4Label=VOD\tcs7=1.5\tcs7Label=latitude\tcs2=true")
        assert set_in(event) == {"client_latitude": 1.5}
        assert event["extra"] == {"VOD": "one", "cs2": "true"}
        assert "no_label:cs2" in event["parse_warnings"]
