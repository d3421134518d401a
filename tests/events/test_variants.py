"""Kinds of trouble that collectors and parsers are known for, each in many writings."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.events.test_boundaries import SIGNATURE, Body, cef, leef

SERVERS_OWN = {"client_ip": "192.0.2.7", "action": "REQ_PASSED", "request_id": "97", "http_status": 200}
FORGED = "src=1.2.3.4 cn1=500"


def assert_servers_own(found: Body) -> dict[str, Any]:
    """One row, with the values that the server wrote."""
    (row,) = found.rows
    assert found.refused == []
    assert_servers(row, found)
    return row


def assert_servers(row: dict[str, Any], case: object) -> None:
    assert {name: row[name] for name in SERVERS_OWN} == SERVERS_OWN, case


def rows_of(records: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Read records of one format as the lines of one body: the row of each, which its case names."""
    found = Body.of("".join(f"{record}\n" for record in records.values()))
    assert found.refused == []
    assert found.column("src_line") == [*range(1, len(records) + 1)]
    return dict(zip(records, found.rows, strict=True))


class TestJsonInAnyKey:
    """No client text in it sets a column, and it stays whole under its key."""

    KEYS = ("cs12", "newThing", "x.y", "cs13", "tag", "cs6", "ver", "cs10", "additionalReqHeaders", "postbody")
    VALUES = (
        f'[{{"h":"X-A","v":"1; mode=block {FORGED}"}}]',
        f'{{"req":{{"ua":"x requestMethod=PUT {FORGED}"}}}}',
        f'[["a {FORGED}"],["b"]]',
        f'[ {{"a":"{FORGED}"}} ]',
        f'{{ "a" : " {FORGED}" }}',
        f'["a {FORGED}","b"]',
        f"['a {FORGED}']",
        f"{{'a': 'b {FORGED}'}}",
        f'[1, {{"a":"b {FORGED}"}}]',
        f'[{{\\"a\\":\\"b {FORGED}\\"}}]',
        f"[{{&quot;a&quot;:&quot;b {FORGED}&quot;}}]",
        f'[{{"a":"b"}}][{{"a":"b {FORGED}"}}]',
        f'[null, "a {FORGED}"]',
        f'{{}}{{"a":"b {FORGED}"}}',
    )

    @pytest.mark.parametrize("value", VALUES)
    def test_it_stays_whole(self, value: str) -> None:
        for records in (
            {key: cef(7, f" {key}={value} cn1=200") for key in self.KEYS},
            {key: f"{cef(7)} cn1=200 {key}={value}" for key in self.KEYS},
            {key: leef(7, f"\t{key}={value}\tcn1=200") for key in self.KEYS},
        ):
            for key, row in rows_of(records).items():
                assert_servers(row, key)
                texts = [str(text) for text in [*row.values(), *row["extra"].values()]]
                assert any(
                    json.dumps(value.replace("\\", "")) in json.dumps(text.replace("\\", "")) for text in texts
                ), key
                assert "1.2.3.4" not in texts, key

    @pytest.mark.parametrize(
        "value", ['{"a":"b app=X"}', '[ "b app=X"]', '{ "a": "b app=X" }', '["b app=X"]', "{'a': ' app=X'}"]
    )
    def test_key_that_the_server_did_not_write_is_none(self, value: str) -> None:
        row = assert_servers_own(Body.of(cef(7, f" newThing={value} cn1=200")))
        assert (row["protocol"], row["extra"], row["parse_warnings"]) == (None, {"newThing": value}, [])

    @pytest.mark.parametrize("text", [f"a {FORGED}", f"[{{ {FORGED}", f"Info: [{{'a': ' {FORGED}'}}]"])
    def test_without_brackets_that_close_the_servers_own_value_counts(self, text: str) -> None:
        keys = ("cs12", "newThing", "cs9", "cs10", "cs11", "requestClientApplication", "postbody")
        records = {key: cef(7, f" {key}={text} cs6=Chrome cs6Label=clapp") + " cn1=200" for key in keys}
        for key, row in rows_of(records).items():
            assert_servers(row, key)
            assert {"key_in_text:src", "key_in_text:cn1"} <= {*row["parse_warnings"]}, key


class TestDelimiters:
    """Whatever stands between the attributes of a LEEF record, they are read, or the record is in quarantine."""

    PAIRS = (
        "fileId=1",
        "sourceServiceName=shop example",
        "requestClientApplication=Mozilla/5.0 (X; rv) a",
        "start=1753290121336",
        "cat=REQ_PASSED",
        "src=192.0.2.7",
        "cn1=200",
        "deviceExternalId=97",
    )

    @pytest.mark.parametrize(
        ("named", "delimiter"),
        [
            *((one, one) for one in ("^", ";", ",", "#", "&", "~", "||", "~|~", "^|", "|^|", "^^^^", "<>", "é", "|")),
            *((f"{before}5{digit}", "^") for before in ("0x", "x", "X", "0X", "\\x", "%", "\\u00") for digit in "Ee"),
            *((one, "\t") for one in ("", "x09", "0x09", "\\x09", "x9", "\\t", "\t", "tab", "TAB", "u0009", " ")),
            *(
                ('"^"', "^"),
                ("[^]", "^"),
                ("x7C", "|"),
                ("0x7C7C", "||"),
                (" ^ ", "^"),
                ("x1F", "\x1f"),
                ("0xA6", "\xa6"),
            ),
        ],
    )
    def test_any_that_the_header_names(self, named: str, delimiter: str) -> None:
        record = f"LEEF:2.0|Incapsula|SIEMintegration|1.0|Normal|{named}|{delimiter.join(self.PAIRS)}"
        body = Body.of("\n".join([record] * 3))
        assert (len(body.rows), body.refused) == (3, [])
        row = assert_servers_own(Body.of(record))
        assert (row["session_id"], row["site_name"]) == ("1", "shop example")
        assert row["user_agent"] == "Mozilla/5.0 (X; rv) a"

    @pytest.mark.parametrize("delimiter", ["\t", "|", "\t\t", " \t", " | "])
    @pytest.mark.parametrize("version", ["1.0", "0", "2.0"])
    def test_those_that_no_header_has_to_name(self, version: str, delimiter: str) -> None:
        assert_servers_own(Body.of(f"LEEF:{version}|Incapsula|SIEMintegration|1.0|Normal|{delimiter.join(self.PAIRS)}"))

    @pytest.mark.parametrize("named", ["", "^|", "[]|", "a|", "=|", "\\|", "nothing|"])
    def test_record_that_nothing_cuts_is_in_quarantine(self, named: str) -> None:
        record = f"LEEF:2.0|Incapsula|SIEMintegration|1.0|Normal|{named}{'¦'.join(self.PAIRS)}"
        assert Body.of(record).refused == [("bad_header", record.encode())]

    @pytest.mark.parametrize("text", ["a\tb", "a;b^c", "a\tsrc=1.2.3.4", "a^src=1.2.3.4 x"])
    def test_clients_delimiter_changes_nothing(self, text: str) -> None:
        pairs = [pair if not pair.startswith("requestC") else f"requestClientApplication={text}" for pair in self.PAIRS]
        blanks = "LEEF:1.0|Incapsula|SIEMintegration|1.0|Normal|" + " ".join(pairs).replace("shop example", "shop")
        row = assert_servers_own(Body.of(blanks))
        assert row["site_name"] == "shop"


class TestKeys:
    @pytest.mark.parametrize("sign", [" =", "= ", " = ", "\t=", "=\t", "  =  ", " \t="])
    @pytest.mark.parametrize("between", [" ", "  ", "\t"])
    def test_blanks_around_a_sign(self, sign: str, between: str) -> None:
        pairs = ["fileId=7", "cn1=200", "app=HTTPS", "requestClientApplication=a b", "start=1753290121336"]
        pairs += ["act=REQ_PASSED", "deviceExternalId=97", "src=192.0.2.7"]
        extensions = {}
        for some in (slice(None), slice(1, None, 2), slice(2, 3)):
            written = [*pairs]
            written[some] = [pair.replace("=", sign) for pair in pairs[some]]
            extensions[str(some)] = between.join(written)
        in_cef = {signs: f"CEF:0|{SIGNATURE} {extension}" for signs, extension in extensions.items()}
        for signs, row in rows_of(in_cef).items():
            assert_servers(row, signs)
            assert (row["protocol"], row["user_agent"], row["session_id"]) == ("HTTPS", "a b", "7"), signs
        header, names = "LEEF:1.0|Incapsula|SIEMintegration|1|Normal|", {"app": "proto", "act": "cat"}
        in_leef = {
            signs: header + re.sub("app|act", lambda key: names[key[0]], extension)
            for signs, extension in extensions.items()
        }
        for signs, row in rows_of(in_leef).items():
            assert_servers(row, signs)

    @pytest.mark.parametrize("key", ["bot.score", "x-risk", "_x", "__x", "A_b-c.d", "cn1.x", "src-ip", "k" * 63])
    def test_unknown_key_of_any_characters_ends_the_value_before_it(self, key: str) -> None:
        row = assert_servers_own(Body.of(cef(7, f" cn1=200 {key}=17")))
        assert row["extra"] == {key: "17"}

    @pytest.mark.parametrize("key", ["geo[0].city", "tags[]", "a:b", "1x", "k" * 64, "größe", "$a", "(a)"])
    @pytest.mark.parametrize("format_name", ["CEF", "LEEF"])
    def test_what_may_be_a_key_but_is_none_is_told(self, key: str, format_name: str) -> None:
        """Else the value before it would have it in its column unseen."""
        record = cef(7, f" app=HTTPS {key}=17") if format_name == "CEF" else leef(7, f"\tproto=HTTPS {key}=17")
        (row,) = Body.of(record).rows
        assert row["protocol"] == f"HTTPS {key}=17"
        assert row["parse_warnings"] == [f"sign_in_value:{'app' if format_name == 'CEF' else 'proto'}"]

    @pytest.mark.parametrize("value", ["a\\=b", "a b\\=c", "\\=", "a\\=b \\=c"])
    def test_escaped_sign_is_a_values_own(self, value: str) -> None:
        (row,) = Body.of(cef(7, f" cicode={value}")).rows
        assert (row["client_city"], row["parse_warnings"]) == (value.replace("\\", ""), [])


class TestRuleNames:
    @pytest.mark.parametrize(
        "name", ["IncapRules(block a|b)", "a|b|c", "|", "||", "a|", "|a", "x=y|z", "a|b=c", "a|11|b", "1|2|3", "a | b"]
    )
    def test_bars_in_one(self, name: str) -> None:
        headers = [
            f"{name}|{code}|{end}"
            for code in ("11", "-1", "0", " 11 ")
            for end in (" ", "", "| ", " requestClientApplication=a |5| b=c ")
        ]
        signature = "CEF:0|Incapsula|SIEMintegration|1|1"
        records = {header: f"{signature}|{header}fileId=7 src=192.0.2.7 cn1=200" for header in headers}
        for header, row in rows_of(records).items():
            code = header.removeprefix(f"{name}|").partition("|")[0]
            assert (row["event_name"], row["rule_type_code"]) == (name.strip(), int(code)), header
            assert (row["client_ip"], row["session_id"], row["http_status"]) == ("192.0.2.7", "7", 200), header


class TestEnvelopes:
    EVENTS = tuple(
        {"timestamp": 1753290121336, "event": {"id": str(n)}, "client": {"ip": f"192.0.2.{n}"}} for n in (1, 2, 3)
    )

    @pytest.mark.parametrize("name", ["data", "items", "events", "payload", "x"])
    @pytest.mark.parametrize("depth", [0, 1, 3, 8, 15])
    @pytest.mark.parametrize("indent", [None, 1])
    def test_however_deep_they_are(self, name: str, depth: int, indent: int | None) -> None:
        value: Any = {"meta": {"page": 1}, name: self.EVENTS, "next": None, "errors": []}
        for level in range(depth):
            value = {f"level{level}": value, "status": "ok"}
        body = Body.of(json.dumps(value, indent=indent))
        assert (body.column("request_id"), body.refused) == (["1", "2", "3"], [])

    @pytest.mark.parametrize(
        "value",
        [
            {"data": [EVENTS[:2], EVENTS[2:]]},
            {"data": {"1": EVENTS[0], "2": EVENTS[1]}},
            {"a": {"x": EVENTS[0]}, "b": {"y": EVENTS[1]}},
            {"a": [[[EVENTS]]]},
        ],
    )
    def test_events_that_are_no_list_of_objects_are_not_one_event(self, value: Any) -> None:
        text = json.dumps(value)
        assert Body.of(f'{{"event": {{"id": "4"}}}}\n{text}').refused == [("not_a_record", text.encode())]

    @pytest.mark.parametrize(
        ("end", "rows", "refused"),
        [
            ("", 3, ["bad_json", "truncated"]),
            ("]", 3, ["bad_json"]),
            ("],", 3, ["bad_json"]),
            (',{"timestamp": 17', 3, ["bad_json", "truncated"]),
            ('],"meta":{"a":', 3, ["bad_json", "not_a_record"]),
        ],
    )
    def test_one_whose_end_is_missing_keeps_the_events_that_are_whole(
        self, end: str, rows: int, refused: list[str]
    ) -> None:
        body = Body.of('{"data": [' + ", ".join(map(json.dumps, self.EVENTS)) + end)
        assert body.column("request_id") == ["1", "2", "3"][:rows]
        assert [reason for reason, _ in body.refused] == refused

    @pytest.mark.parametrize("before", [",", ", ", ",\n", "\u2028", "\ufeff,"])
    def test_rest_of_an_array(self, before: str) -> None:
        body = Body.of(before + ",\n".join(map(json.dumps, self.EVENTS)) + "]")
        assert body.column("request_id") == ["1", "2", "3"]


class TestFields:
    NAMES = "date time c-ip sc-status cs(User-Agent) s-externalid"

    @staticmethod
    def rows() -> str:
        return "\n".join(f'"2025-07-23" "17:02:0{n}" "192.0.2.{n}" "200" "a b" "9{n}"' for n in (1, 2, 3))

    @pytest.mark.parametrize(
        "directive",
        [
            f"#Fields: {NAMES.replace(' ', ',')}",
            f"#Fields: {NAMES.replace(' ', ', ')}",
            "#Fields: '" + "' '".join(NAMES.split()) + "'",
            f"#Software: IncapLogs #Fields: {NAMES}",
            f"#Software: IncapLogs#Fields: {NAMES}",
            f"#Date: 2025-07-23 00:00:00 #Version: 1.0 #Fields: {NAMES}",
            f"#FIELDS : {NAMES.upper()} ",
        ],
    )
    def test_however_they_are_listed(self, directive: str) -> None:
        body = Body.of(f"{directive}\n{self.rows()}")
        assert (body.column("request_id"), body.refused) == (["91", "92", "93"], [])
        assert body.column("http_status") == [200] * 3

    @pytest.mark.parametrize("between", ["", " ", "\t", "\r", "\0", " \r", "\x0c"])
    def test_first_row_glued_to_them(self, between: str) -> None:
        body = Body.of(f"#Software: x\n#Fields: {self.NAMES}{between}{self.rows()}")
        assert (body.column("request_id"), body.refused) == (["91", "92", "93"], [])
