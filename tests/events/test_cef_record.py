"""Where keys and values of a CEF record begin and end, whatever an attacker, an old version or an export did to it."""

from __future__ import annotations

import time

import pytest

from airflow_provider_imperva.events import LogSource, parse
from tests.events.cef_lines import analytics, cef, row, rows, set_in
from tests.long_form import TIMES_AS_LARGE


class TestHeader:
    def test_class_follows_product_and_name(self) -> None:
        lines = [
            cef("src=192.0.2.1"),
            cef("src=192.0.2.1", name="SQL Injection"),
            analytics("src=192.0.2.1"),
            "CEF:0|Acme|Other Box|9|42|Normal|3|src=192.0.2.1",
        ]
        assert [r["event_class"] for r in rows(*lines)] == ["access", "security", "attack_analytics", "other"]

    def test_escaped_bar_and_backslash_in_a_rule_name(self) -> None:
        event = row("src=192.0.2.1", name=r"IncapRules(a\|b\\c)", code="11")
        assert (event["event_name"], event["rule_type_code"]) == ("IncapRules(a|b\\c)", 11)

    def test_parts_of_the_header(self) -> None:
        (event,) = rows("CEF:0|Acme|Other Box|9|42|Thing|-1|")
        assert [event[c] for c in ("device_vendor", "device_product", "device_version", "signature_id")] == [
            "Acme",
            "Other Box",
            "9",
            "42",
        ]
        assert (event["event_name"], event["rule_type_code"]) == ("Thing", -1)

    @pytest.mark.parametrize(
        "start", ["0|Incapsula|", "CEF:0|Incapsula|", " CEF:0|Incapsula|", "\ufeffCEF:0|Incapsula|"]
    )
    def test_record_starts_with_or_without_its_prefix(self, start: str) -> None:
        (event,) = rows(f"{start}SIEMintegration|1|1|Normal|0|src=192.0.2.1")
        assert (event["client_ip"], event["event_class"]) == ("192.0.2.1", "access")

    def test_severity_that_is_no_number_is_kept(self) -> None:
        waf = row("src=192.0.2.1", code="high")
        assert (waf["rule_type_code"], waf["extra"]) == (None, {"severity": "high"})
        assert "bad_int:severity" in waf["parse_warnings"]
        # In Attack Analytics it is a level and nothing is wrong with it.
        (event,) = rows(analytics("start=1700000000001"))
        assert (event["extra"], event["parse_warnings"]) == ({"severity": "MAJOR"}, [])

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            ("CEF:hello", "not_a_record"),
            ("CEF|Incapsula|SIEMintegration|1|1|Normal|0|src=192.0.2.1", "not_a_record"),
            ("0|Acme|SIEMintegration|1|1|Normal|0|src=192.0.2.1", "not_a_record"),
            ("CEF:0|Incapsula|SIEMintegration|1|1|Normal", "bad_header"),
            (
                r"CEF:0|Incapsula|SIEMintegration|1|1|Rule\|11| src=192.0.2.1 requestClientApplication=a | b",
                "bad_header",
            ),
        ],
    )
    def test_what_is_no_record_is_quarantined_with_the_reason(self, line: str, reason: str) -> None:
        (block,) = parse([f"{line}\nCEF:".encode()], LogSource(file="x"))
        assert block.events.num_rows == 0
        assert block.quarantined.column("reason").to_pylist() == [reason, "not_a_record"]
        assert block.quarantined.column("raw").to_pylist() == [line.encode(), b"CEF:"]


class TestKeys:
    def test_case_of_keys_does_not_matter(self) -> None:
        event = row("fileid=77 requestmethod=GET DEVICEEXTERNALID=5 customer=Acme cs5=ab CS5LABEL=clappsig")
        assert set_in(event) == {
            "session_id": "77",
            "http_method": "GET",
            "request_id": "5",
            "account_name": "Acme",
            "client_signature": "ab",
        }
        assert event["extra"] == {}

    def test_order_of_keys_does_not_matter(self) -> None:
        pairs = ["src=192.0.2.1", "cs2=true", "cs2Label=Javascript Support", "request=a.example/x y", "ver=TLSv1.3 X"]
        assert set_in(row(" ".join(pairs))) == set_in(row(" ".join(reversed(pairs))))

    def test_unknown_key_between_known_ones_goes_to_extra(self) -> None:
        event = row("src=192.0.2.1 newThing=4 and more cpt=80 other_2=x")
        assert event["extra"] == {"newThing": "4 and more", "other_2": "x"}
        assert set_in(event) == {"client_ip": "192.0.2.1", "client_port": 80}

    @pytest.mark.parametrize(
        ("key", "column"),
        [
            ("requestClientApplication", "user_agent"),
            ("request", "url"),
            ("qstr", "query_string"),
            ("ref", "referrer"),
            ("postbody", "request_body"),
        ],
    )
    def test_look_alike_key_in_text_of_a_client_is_text(self, key: str, column: str) -> None:
        event = row(f"{key}=a cmd=ls newThing=1 src=192.0.2.1")
        assert event[column] == "a cmd=ls newThing=1"
        assert (event["client_ip"], event["extra"]) == ("192.0.2.1", {})

    def test_escaped_equals_sign_makes_no_key(self) -> None:
        event = row(r"requestClientApplication=x act\=REQ_PASSED src\=192.0.2.9 act=REQ_BLOCKED_ACL src=192.0.2.1")
        assert event["user_agent"] == "x act=REQ_PASSED src=192.0.2.9"
        assert (event["action"], event["client_ip"]) == ("REQ_BLOCKED_ACL", "192.0.2.1")

    def test_unescaped_known_key_ends_a_value_and_the_first_one_counts(self) -> None:
        event = row("act=REQ_PASSED requestClientApplication=x act=REQ_BLOCKED_ACL")
        assert (event["user_agent"], event["action"]) == ("x", "REQ_PASSED")
        assert event["extra"] == {"act": "REQ_BLOCKED_ACL"}
        assert "duplicate_key:act" in event["parse_warnings"]

    def test_second_and_third_value_of_a_key_are_kept(self) -> None:
        event = row("ccode=IL ccode=IL ccode=FR zz=1 zz=2")
        assert event["client_country_code"] == "IL"
        assert event["extra"] == {"ccode": "IL", "ccode#2": "FR", "zz": "2", "zz#2": "1"}

    def test_lost_blank_after_a_label(self) -> None:
        event = row("cs5=abc cs5Label=clappsigdproc=Browser cs6=Bot cs6Label=clapp")
        assert set_in(event) == {"client_signature": "abc", "client_type": "Browser", "client_application": "Bot"}
        assert "lost_space:dproc" in event["parse_warnings"]

    def test_text_before_the_first_key_is_kept(self) -> None:
        event = row("stray words src=192.0.2.1")
        assert (event["client_ip"], event["extra"]) == ("192.0.2.1", {"unkeyed_text": "stray words"})


class TestLabels:
    def test_expected_label_gives_the_column_and_no_label_is_stored(self) -> None:
        event = row("cs7=1.5 cs7Label=latitude cs8Label=longitude cs9= cs9Label=Rule name")
        assert set_in(event) == {"client_latitude": 1.5}
        assert event["extra"] == {}

    def test_other_label_names_the_extra_key(self) -> None:
        event = row("cs4=one cs4Label=VOD cn1=200 cn1Label=Tries cs12=x cs12Label=New")
        assert (event["visitor_id"], event["http_status"]) == (None, None)
        assert event["extra"] == {"VOD": "one", "Tries": "200", "New": "x"}

    def test_custom_key_without_label_fills_no_column(self) -> None:
        event = row("cs10=10.24 cs8Label=longitude")
        assert (event["delivery_rules"], event["extra"]) == (None, {"cs10": "10.24"})
        assert "no_label:cs10" in event["parse_warnings"]

    def test_other_label_of_a_missing_value_is_kept(self) -> None:
        assert row("src=192.0.2.1 foo1Label=bar")["extra"] == {"foo1Label": "bar"}

    def test_attack_analytics_uses_the_same_numbers_for_other_things(self) -> None:
        (event,) = rows(
            analytics(
                r"msg=On host \"h.example\" cmd=x  start=1700000000001 src=Distributed dhost=h.example cs1=7 "
                "cs1Label=ImpervaAANumberOfEvents cs7=SQL cs7Label=ImpervaAAAttackType"
            )
        )
        assert event["extra"] == {
            "severity": "MAJOR",
            "msg": 'On host "h.example" cmd=x',
            "dhost": "h.example",
            "ImpervaAANumberOfEvents": "7",
            "ImpervaAAAttackType": "SQL",
        }
        assert (event["client_ip"], event["captcha_support"], event["client_latitude"]) == ("Distributed", None, None)
        assert event["parse_warnings"] == ["bad_ip:src"]


class TestValues:
    def test_escapes(self) -> None:
        assert row(r"qstr=a\=b\\c\nd\re")["query_string"] == "a=b\\c\nd\re"
        # Quotes are escaped by Attack Analytics only; elsewhere the backslash is JSON's.
        assert row(r"qstr=say \"hi\" \q \| C:\x")["query_string"] == r"say \"hi\" \q \| C:\x"

    def test_backslash_at_the_end_does_not_swallow_the_blank(self) -> None:
        event = row("postbody=abc\\ cn1=200")
        assert (event["request_body"], event["http_status"]) == ("abc\\", 200)

    def test_bars_apostrophes_and_entities_stay(self) -> None:
        event = row("requestClientApplication=Phone 1 | app &#39;x | y cicode=Al 'Ayn src=192.0.2.1")
        assert (event["user_agent"], event["client_city"]) == ("Phone 1 | app &#39;x | y", "Al 'Ayn")

    def test_blanks_around_a_value_go_those_inside_stay(self) -> None:
        event = row("ver= TLSv1.2  A-B   cicode= New  York\t src=192.0.2.1")
        assert (event["tls"], event["client_city"]) == ("TLSv1.2  A-B", "New  York")

    def test_empty_value_is_null_and_leaves_the_key_free(self) -> None:
        event = row("cicode= cicode=Ulm xff= src=192.0.2.1")
        assert (event["client_city"], event["x_forwarded_for"]) == ("Ulm", None)
        assert event["extra"] == {}

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ('"Some Browser"', "Some Browser"),
            ('"open', '"open'),
            ('"a" and "b"', '"a" and "b"'),
            ('"', '"'),
        ],
    )
    def test_only_quotes_that_wrap_the_whole_value_go(self, text: str, value: str) -> None:
        event = row(f"cs6={text} cs6Label=clapp src=192.0.2.1")
        assert (event["client_application"], event["client_ip"]) == (value, "192.0.2.1")
        assert ("quoted_value:cs6" in event["parse_warnings"]) == (text != value)

    def test_control_characters_and_line_separators_are_text(self) -> None:
        agent = "a\x1c\x1d\x1e\x0b\x0c\x00\x85\u2028\u2029b"
        assert row(f"requestClientApplication={agent} src=192.0.2.1")["user_agent"] == agent

    def test_log4shell_text_is_text(self) -> None:
        attack = "${${a:b:-j}ndi${env:X:-:}ldap://192.0.2.9/x}"
        assert row(f"requestClientApplication={attack} src=192.0.2.1")["user_agent"] == attack


class TestJson:
    RULES = '[{"type":"RW","value":"1; mode=block src=self [x"},{"age":"max-age=60, ok"}]'

    def test_nothing_inside_the_brackets_is_a_key(self) -> None:
        event = row(f"cs10={self.RULES} cs10Label=Rule Info newThing=1 src=192.0.2.1")
        assert (event["delivery_rules"], event["client_ip"]) == (self.RULES, "192.0.2.1")
        assert event["extra"] == {"newThing": "1"}

    def test_unknown_key_right_after_the_brackets(self) -> None:
        event = row('additionalReqHeaders=[{"a":"b x=1"}] newThing=1')
        assert (event["additional_request_headers"], event["extra"]) == ('[{"a":"b x=1"}]', {"newThing": "1"})

    def test_wrapped_in_quotes(self) -> None:
        event = row(f'cs10="{self.RULES}" cs10Label=Rule Info src=192.0.2.1')
        assert (event["delivery_rules"], event["client_ip"]) == (self.RULES, "192.0.2.1")
        assert "quoted_value:cs10" in event["parse_warnings"]

    def test_doubled_quotes_are_kept(self) -> None:
        event = row('cs10=[{""id"":""4 cpt=9""}] cs10Label=Rule Info')
        assert (event["delivery_rules"], event["client_port"]) == ('[{""id"":""4 cpt=9""}]', None)

    def test_leading_empty_slots(self) -> None:
        text = ',,[{"a":"b in=1"}],[{"c":"d"}],'
        event = row(f"cs11={text} cs11Label=Rule Additional Info in=5")
        assert (event["rule_info"], event["response_bytes"]) == (text, 5)

    def test_escapes_inside(self) -> None:
        event = row(r'additionalResHeaders=[{"etag":"\"x] in=3\"; charset\=utf-8"}] in=5')
        assert event["additional_response_headers"] == r'[{"etag":"\"x] in=3\"; charset=utf-8"}]'
        assert event["response_bytes"] == 5

    @pytest.mark.parametrize("quote", [r"\"", r'\\"'], ids=["JSON's escape", "and CEF's"])
    def test_escaped_quote_closes_no_string(self, quote: str) -> None:
        event = row(f'additionalReqHeaders=[{{"a":"{quote}}}] in=3{quote}"}}] in=5')
        assert event["additional_request_headers"] == r'[{"a":"\"}] in=3\""}]'
        assert event["response_bytes"] == 5

    def test_brackets_that_never_close_cost_no_later_key(self) -> None:
        event = row('cs10=[{"a":"b mode=x cs10Label=Rule Info src=192.0.2.1')
        assert (event["delivery_rules"], event["client_ip"]) == ('[{"a":"b mode=x', "192.0.2.1")


LARGE = 500_000 * TIMES_AS_LARGE


@pytest.mark.parametrize(
    "extension",
    [
        "request=" + "a" * LARGE,
        "request=" + "=" * LARGE,
        "request=" + "\\" * LARGE,
        "request=" + "a=" * (LARGE // 3),
        'cs10=[" ' * (LARGE // 30),
        "cs10=[] " * (LARGE // 30),
        "cs10=[]" + "," * LARGE,
        "cs10=" + " ," * (LARGE // 3),
        "cs10=" + "[" * LARGE,
        "src=" + "1:" * (LARGE // 3),
        "in=" + "1" * LARGE,
        "xff=" + " " * LARGE + "x",
    ],
    ids=lambda text: text[:16],
)
def test_no_text_takes_more_than_linear_time(extension: str) -> None:
    """Half a megabyte takes less than a second; anything quadratic would take minutes, and in the long form hours."""
    begin = time.monotonic()
    assert len(rows(cef(extension))) == 1
    assert time.monotonic() - begin < 10 * TIMES_AS_LARGE**2
