"""What is a key, where a value ends, and whose text it is, in CEF and LEEF; the two readers agree on all of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.events.cef_lines import cef, rows


def row(extension: str, **header: str) -> dict[str, Any]:
    (only,) = rows(cef(extension, **header))
    return only


def leef(attributes: str, *, version: str = "1.0") -> dict[str, Any]:
    (only,) = rows(f"LEEF:{version}|Incapsula|SIEMintegration|1.0|Normal|{attributes}")
    return only


def assert_has(found: dict[str, Any], **columns: Any) -> None:
    assert {name: found[name] for name in columns} == columns


JSON = [
    '[{"h":"X-A","v":"1; mode=block src=203.0.113.9 cn1=500"}]',
    '{"req":{"ua":"x requestMethod=PUT src=203.0.113.9"}}',
    '[["a src=203.0.113.9"],["b cn1=500"]]',
    '{"a":"} src=203.0.113.9"}',
    r'{"a":"\" src=203.0.113.9"}',
    '[{"a":[1,{"b":"src=203.0.113.9 in=5"}]}]',
    '{"a b=c d=e":"src=203.0.113.9"}',
    '{"":" act=x"}',
    '[{"a":1},{"b":" deviceExternalId=66"}]',
    '{"a":"b", "c": " =  src =203.0.113.9"}',
    '[{"a":"b	src=203.0.113.9"}]',
]


class TestBrackets:
    @pytest.mark.parametrize("json", JSON)
    def test_no_key_stands_in_them_whatever_the_key_before(self, json: str) -> None:
        keys = ("newThing", "cs12", "postbody", "tag", "requestClientApplication", "x.y-z", "cn3")
        server = "requestMethod=GET src=192.0.2.7 cn1=200 deviceExternalId=5"
        read = rows(*(cef(f"fileId=1 act=REQ_PASSED {key}={json} {server}") for key in keys))
        for key, event in zip(keys, read, strict=True):
            assert_has(event, client_ip="192.0.2.7", http_status=200, http_method="GET", request_id="5")
            texts = [*event["extra"].values(), event["request_body"], event["account_ref"], event["user_agent"]]
            assert json.replace(r"\=", "=") in texts, key
            assert (event["action"], event["parse_warnings"]) == ("REQ_PASSED", ["time_from_file"]), key

    def test_label_of_such_a_key(self) -> None:
        event = row('cs12=[{"v":"a src=203.0.113.9"}] cs12Label=New Info src=192.0.2.7')
        assert_has(event, client_ip="192.0.2.7", extra={"New Info": '[{"v":"a src=203.0.113.9"}]'})

    def test_tabs_in_them_end_nothing(self) -> None:
        event = leef('fileId=1\tnewThing={"a":"b\tsrc=203.0.113.9"}\tsrc=192.0.2.7')
        assert_has(event, client_ip="192.0.2.7", extra={"newThing": '{"a":"b\tsrc=203.0.113.9"}'})

    @pytest.mark.parametrize("key", ["requestClientApplication", "request", "postbody", "qstr", "ref"])
    def test_those_of_a_client_do_not_swallow_what_every_event_has(self, key: str) -> None:
        """The brackets that a client opens in one text, it may close in another, behind what the server wrote."""
        text = f'{key}=[{{"a start=1700000000005 act=REQ_BLOCKED deviceExternalId=5 src=192.0.2.7 xff="}}]'
        assert_has(row(text), client_ip="192.0.2.7", action="REQ_BLOCKED", request_id="5")

    @pytest.mark.parametrize("json", ['[{"a":"b', "[[", '{"a":[}'])
    def test_those_that_never_close_cost_no_key(self, json: str) -> None:
        event = row(f'newThing={json} src=192.0.2.7 additionalReqHeaders=[{{"A":"b in=5"}}] cn1=200')
        assert_has(event, client_ip="192.0.2.7", http_status=200, response_bytes=None)


class TestDelimiter:
    ATTRIBUTES = ("fileId=1", "sourceServiceName=shop.example", "src=192.0.2.7", "devTime=1753290121336", "cn1=200")

    @pytest.mark.parametrize(
        ("named", "delimiter"),
        [
            *(("^", "^"), ("x5E", "^"), ("0x5E", "^"), ("0x5e", "^"), ("^^", "^^"), (";", ";"), ("x3B", ";")),
            *(("#", "#"), ("~", "~"), (",", ","), ("0x7C", "|"), ("x7c", "|"), ("0xA6", "\xa6"), ("\xa6", "\xa6")),
            *(("\\t", "\t"), ("x09", "\t"), ("x0009", "\t"), ("", "\t"), ("0x20", " "), ("0x1F", "\x1f")),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("version", ["2.0", "1.0", "2"])
    def test_what_the_header_names(self, version: str, named: str, delimiter: str) -> None:
        event = leef(f"{named}|{delimiter.join(self.ATTRIBUTES)}", version=version)
        assert_has(event, session_id="1", site_name="shop.example", client_ip="192.0.2.7", http_status=200)
        assert event["extra"] == {"devTime": "1753290121336"}
        assert event["event_name"] == "Normal"

    def test_bars_that_no_header_names(self) -> None:
        event = leef("|".join(self.ATTRIBUTES))
        assert_has(event, session_id="1", site_name="shop.example", client_ip="192.0.2.7", http_status=200)

    @pytest.mark.parametrize("blank", [" ", "\t"])
    def test_bars_in_a_client_s_text_are_none(self, blank: str) -> None:
        event = leef(blank.join(["fileId=1", "requestClientApplication=a | b |c=d", "src=192.0.2.7"]))
        assert_has(event, session_id="1", client_ip="192.0.2.7", user_agent="a | b |c=d")

    @pytest.mark.parametrize("text", ["a\tb", "a\t", "\ta", "a\tnewThing=1", "a\tb\tc"])
    def test_tab_in_a_record_with_blanks_changes_nothing_else(self, text: str) -> None:
        event = leef(
            f"fileId=1 sourceServiceName=shop.example requestClientApplication={text} calCountryOrRegion=IL "
            "start=1700000000005 url=a.example/ cat=REQ_PASSED src=192.0.2.7"
        )
        assert_has(event, session_id="1", site_name="shop.example", client_country_code="IL", client_ip="192.0.2.7")
        assert_has(event, action="REQ_PASSED", url="a.example/", user_agent=text.strip())
        assert event["parse_warnings"] == []

    def test_blanks_in_a_record_with_tabs_change_nothing(self) -> None:
        event = leef("fileId=1\trequestClientApplication=a cat=X src=203.0.113.9\tcat=REQ_PASSED\tsrc=192.0.2.7")
        assert_has(event, user_agent="a cat=X src=203.0.113.9", action="REQ_PASSED", client_ip="192.0.2.7")


class TestKeys:
    @pytest.mark.parametrize("key", ["bot.score", "x-risk", "_time", "a.b-c_d", "X-A", "k9.", "_"])
    def test_words_with_dots_and_hyphens(self, key: str) -> None:
        before = ("cn1=200", "src=192.0.2.7", "cs6=Edge cs6Label=clapp", "in=5")
        for case, event in zip(before, rows(*(cef(f"fileId=1 {pair} {key}=17") for pair in before)), strict=True):
            assert (event["extra"], event["session_id"]) == ({key: "17"}, "1"), case
            assert [code for code in event["parse_warnings"] if code.startswith("bad_")] == [], case

    @pytest.mark.parametrize("sign", [" =", "\t=", "  =", " = ", "= ", " \t = "])
    def test_blanks_around_the_sign(self, sign: str) -> None:
        event = row(f"fileId{sign}1 cn1{sign}200 app{sign}HTTPS start{sign}1700000000005 src{sign}192.0.2.7")
        assert_has(event, session_id="1", http_status=200, protocol="HTTPS", client_ip="192.0.2.7", parse_warnings=[])

    @pytest.mark.parametrize("key", ["sourceServiceName", "SOURCESERVICENAME"])
    def test_blank_before_one_sign(self, key: str) -> None:
        event = row(f"fileId=1 {key} =shop.example siteid=7 cn1=200 app =HTTPS src=192.0.2.7")
        assert_has(event, session_id="1", site_name="shop.example", site_id=7, http_status=200, protocol="HTTPS")

    @pytest.mark.parametrize("text", ["a = b", "a newThing = b", r"a src \= b", "1 = 2"])
    def test_blank_behind_what_is_no_known_key_makes_none(self, text: str) -> None:
        event = row(f"cicode={text} src=192.0.2.7")
        assert_has(event, client_city=text.replace(r"\=", "="), client_ip="192.0.2.7", extra={})


class TestHeader:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("IncapRules(block a|b)", "IncapRules(block a|b)"),
            ("IncapRules(a|b|c)", "IncapRules(a|b|c)"),
            ("a|7|b", "a|7|b"),
            ("|a", "|a"),
            ("a|", "a|"),
            ("a||b", "a||b"),
            (r"a\|b|c", "a|b|c"),
            ("a | b", "a | b"),
            ("a|b=c", "a|b=c"),
            ("IncapRules(a|11)", "IncapRules(a|11)"),
            ("a|-1x|b", "a|-1x|b"),
        ],
    )
    def test_bars_in_a_rule_s_name(self, name: str, expected: str) -> None:
        ends = [(code, blank) for code in ("11", "-1", "0") for blank in (" ", "", "  ")]
        read = rows(
            *(
                f"CEF:0|Incapsula|SIEMintegration|1|1|{name}|{code}|{blank}fileId=1 src=192.0.2.7 "
                "requestClientApplication=a|3|b"
                for code, blank in ends
            )
        )
        for (code, _), event in zip(ends, read, strict=True):
            assert_has(event, event_name=expected, rule_type_code=int(code), event_class="security", session_id="1")
            assert_has(event, client_ip="192.0.2.7", user_agent="a|3|b", extra={})

    @pytest.mark.parametrize("more", ["|", " |", "| ", "|  "])
    def test_empty_eighth_part(self, more: str) -> None:
        (event,) = rows(f"CEF:0|Incapsula|SIEMintegration|1|1|Normal|0|{more}fileId=1 src=192.0.2.7")
        assert_has(event, event_name="Normal", rule_type_code=0, session_id="1", client_ip="192.0.2.7", extra={})
        assert event["parse_warnings"] == ["time_from_file"]


REAL = (
    "deviceFacility=fra ccode=IL start=1700000000005 request=a.example/ ref=b.example requestMethod=GET cn1=403 "
    "app=HTTPS act=REQ_BLOCKED_ACL deviceExternalId=5 sip=192.0.2.80 spt=443 in=7 xff=192.0.2.7 cpt=9 src=192.0.2.7 "
    "end=1700000000009"
)


class TestClientText:
    @pytest.mark.parametrize("key", ["requestClientApplication", "tag=x requestClientApplication"])
    @pytest.mark.parametrize(
        "forged",
        [
            "act=REQ_PASSED src=203.0.113.9",
            "src=203.0.113.9 act=REQ_PASSED cn1=200",
            "act=REQ_PASSED",
            "start=1430000000000 act=REQ_PASSED",
            "deviceExternalId=66 in=1 act=REQ_PASSED src=203.0.113.9 end=1430000000000",
            "act=REQ_PASSED cmd=ls src=203.0.113.9",
            "act =REQ_PASSED src =203.0.113.9",
            "ACT=REQ_PASSED SRC=203.0.113.9",
            "act=REQ_PASSED act=REQ_PASSED",
            "sip=203.0.113.9 spt=1 cpt=1 act=REQ_PASSED",
            "xff=203.0.113.9 act=REQ_PASSED src=203.0.113.9",
        ],
    )
    def test_keys_in_it_lose_against_those_behind_it(self, key: str, forged: str) -> None:
        event = row(f"fileId=1 {key}=evil {forged} {REAL}")
        assert_has(
            event, action="REQ_BLOCKED_ACL", client_ip="192.0.2.7", http_status=403, request_id="5", response_bytes=7
        )
        assert_has(event, client_country_code="IL", client_port=9, server_port=443, user_agent="evil")
        assert event["event_time"].timestamp() == 1_700_000_000.005
        assert "key_in_text:act" in event["parse_warnings"]
        assert "REQ_PASSED" in event["extra"].values() or "REQ_PASSED cmd=ls" in event["extra"].values()

    @pytest.mark.parametrize(
        "forged", ["act=REQ_PASSED", "act=REQ_PASSED cn1=200", "start=1430000000000 act=REQ_PASSED"]
    )
    def test_so_do_those_behind_the_server_s_own(self, forged: str) -> None:
        event = row(f"fileId=1 requestClientApplication=x {REAL.replace('xff=192.0.2.7', f'xff=192.0.2.7 {forged}')}")
        assert_has(event, action="REQ_BLOCKED_ACL", client_ip="192.0.2.7", http_status=403, request_id="5")
        assert event["event_time"].timestamp() == 1_700_000_000.005
        assert "key_in_text:act" in event["parse_warnings"]

    def test_in_leef_too(self) -> None:
        event = leef(
            "fileId=1\trequestClientApplication=a\tcat=REQ_PASSED\tsrc=203.0.113.9\tcat=REQ_BLOCKED\tsrc=192.0.2.7"
        )
        assert_has(event, action="REQ_BLOCKED", client_ip="192.0.2.7")
        assert {"key_in_text:cat", "key_in_text:src"} <= {*event["parse_warnings"]}

    @pytest.mark.parametrize("key", ["requestClientApplication", "request", "qstr", "ref", "postbody"])
    @pytest.mark.parametrize(
        "forged",
        ["fileType=1,", "filePermission=1,", "caIP=203.0.113.9", "cs9=a, cs9Label=Rule name", 'cs10=[{"a":1}]'],
    )
    def test_key_that_never_stands_behind_it_is_marked(self, key: str, forged: str) -> None:
        event = row(f"fileId=1 {key}=evil {forged} src=192.0.2.7")
        assert f"key_in_text:{forged.partition('=')[0]}" in event["parse_warnings"]

    def test_what_stands_behind_it_in_every_event_is_not(self) -> None:
        event = row(
            f"fileId=1 requestClientApplication=a {REAL} fileType=1, filePermission=2, cs9=a, cs9Label=Rule name"
        )
        assert event["parse_warnings"] == []

    def test_value_that_the_server_writes_twice_is_no_forgery(self) -> None:
        event = row(
            f"fileId=1 requestClientApplication=a deviceFacility=fra caIP=192.0.2.1 ccode=IL {REAL.partition(' ')[2]}"
        )
        assert_has(event, client_country_code="IL", parse_warnings=["duplicate_key:ccode"])
