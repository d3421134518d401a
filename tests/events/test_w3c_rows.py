"""W3C rows: names from directives wherever they stand, quotes however they are written, and both readers agree."""

from __future__ import annotations

import os
from dataclasses import replace
from importlib import import_module
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_imperva.events import parse
from airflow_provider_imperva.events.grammar.w3c import Layout, to_the_second
from airflow_provider_imperva.events.scan.lines import Lines
from airflow_provider_imperva.events.scan.w3c_scan import scan
from tests.events.cef_lines import SOURCE, START, rows, set_in
from tests.long_form import TIMES_AS_LARGE

ROWS = import_module("airflow_provider_imperva.events.bodies.rows")


def quoted(*texts: str) -> str:
    return " ".join(f'"{text}"' for text in texts)


def row(fields: str, line: str) -> dict[str, Any]:
    (only,) = rows(f"#Fields: {fields}", line)
    return only


def rejected(*lines: str) -> list[tuple[int, str, bytes]]:
    blocks = list(parse(["\n".join(lines).encode()], SOURCE))
    found = [line for block in blocks for line in block.quarantined.to_pylist()]
    assert sum(block.lines for block in blocks) == len(found) + sum(block.events.num_rows for block in blocks)
    return [(line["src_line"], line["reason"], line["raw"]) for line in found]


class TestDirectives:
    def test_later_names_replace_earlier_ones(self) -> None:
        events = rows(
            "#Version: 1.1",
            "#Fields: c-ip sc-status",
            quoted("192.0.2.1", "200"),
            "#Remark: nothing",
            "#FIELDS:\tsc-status c-ip cs-rule \r",
            quoted("404", "192.0.2.2", "SQL Injection"),
            "#Fields:",
            quoted("405", "192.0.2.3", ""),
        )
        assert [(r["src_line"], r["client_ip"], r["http_status"], r["event_class"]) for r in events] == [
            (3, "192.0.2.1", 200, "access"),
            (6, "192.0.2.2", 404, "security"),
            (8, "192.0.2.3", 405, "access"),
        ]

    @pytest.mark.parametrize("block_bytes", [1, 20, 60, 150])
    def test_names_hold_in_later_blocks(self, block_bytes: int) -> None:
        body = "\n".join(
            line
            for n in range(9)
            for line in (f"#Fields: {'c-ip sc-status' if n % 2 else 'sc-status c-ip'}", *[
                quoted("192.0.2.1", "200") if n % 2 else quoted("200", "192.0.2.1")
            ] * 5)
        ).encode()  # fmt: skip
        places = [*range(0, len(body), 33), len(body)]
        blocks = list(parse((body[a:b] for a, b in pairwise(places)), SOURCE, block_bytes=block_bytes))
        found = [row for block in blocks for row in block.events.to_pylist()]
        assert [(r["client_ip"], r["http_status"]) for r in found] == [("192.0.2.1", 200)] * 45
        assert [r["src_line"] for r in found] == [n for n in range(1, 55) if n % 6 != 1]
        assert sum(block.lines for block in blocks) == 45

    def test_without_directive_the_first_names_hold(self) -> None:
        texts = [""] * 41
        texts[7], texts[32], texts[36] = "192.0.2.1", "200", "SQL Injection"
        (event,) = rows(quoted(*texts))
        assert (event["client_ip"], event["http_status"], event["event_name"]) == ("192.0.2.1", 200, "SQL Injection")

    def test_directives_alone_are_no_events(self) -> None:
        assert list(parse([b"#Version: 1.1\n#Fields: c-ip\n#Date: x\n"], SOURCE)) == []

    def test_directive_inside_a_value_is_text(self) -> None:
        events = rows("#Fields: cs-uri c-ip", quoted("#Fields: c-ip cs-uri", "192.0.2.1"), quoted("x", "192.0.2.2"))
        assert [(r["url"], r["client_ip"]) for r in events] == [
            ("#Fields: c-ip cs-uri", "192.0.2.1"),
            ("x", "192.0.2.2"),
        ]

    def test_number_sign_alone_makes_no_directive(self) -> None:
        assert rejected("#Fields: c-ip", "# nonsense", " #x: y", '"192.0.2.1"') == [
            (2, "not_a_record", b"# nonsense"),
            (3, "not_a_record", b" #x: y"),
        ]

    def test_names_in_the_header_of_the_log_hold_until_a_directive_lists_others(self) -> None:
        source = replace(SOURCE, fields="c-ip sc-status")
        body = "\n".join([quoted("192.0.2.1", "200"), "#Fields: sc-status c-ip", quoted("404", "192.0.2.2")])
        found = [row for block in parse([body.encode()], source) for row in block.events.to_pylist()]
        assert [(r["client_ip"], r["http_status"]) for r in found] == [("192.0.2.1", 200), ("192.0.2.2", 404)]


class TestSpreadRows:
    """A client's text with line ends in it makes one row several lines."""

    FIELDS = "#Fields: c-ip cs-postbody cs(User-Agent)"
    WHOLE = quoted("192.0.2.1", "a", "u")

    def test_lines_are_joined_and_noted(self) -> None:
        events = rows(self.FIELDS, self.WHOLE, '"192.0.2.2" "b\nc: d\r', ' e" "u"', self.WHOLE, keep_raw=True)
        assert [(r["src_line"], r["client_ip"], r["request_body"]) for r in events] == [
            (2, "192.0.2.1", "a"),
            (3, "192.0.2.2", "b\nc: d\r\n e"),
            (6, "192.0.2.1", "a"),
        ]
        assert ["joined_lines" in r["parse_warnings"] for r in events] == [False, True, False]
        assert events[1]["raw"] == '"192.0.2.2" "b\nc: d\r\n e" "u"'

    def test_a_row_that_is_whole_is_not_spoiled_by_what_stands_behind_it(self) -> None:
        lines = [self.FIELDS, self.WHOLE, "nonsense", '"192.0.2.2" "b', "and more", self.WHOLE]
        assert rejected(*lines) == [
            (3, "not_a_record", b"nonsense"),
            (4, "field_count", b'"192.0.2.2" "b'),
            (5, "not_a_record", b"and more"),
        ]

    def test_nothing_is_joined_over_a_row(self) -> None:
        assert [number for number, _, _ in rejected(self.FIELDS, '"192.0.2.2" "b', self.WHOLE, 'c" "u"')] == [2, 4]

    def test_what_looks_like_a_directive_inside_a_row_is_its_text(self) -> None:
        (event,) = rows(self.FIELDS, '"192.0.2.2" "b', "#Remark: x", 'c" "u"')
        assert (event["request_body"], event["user_agent"]) == ("b\n#Remark: x\nc", "u")

    def test_body_that_ends_in_a_line_end_is_joined(self) -> None:
        events = rows(self.FIELDS, '"192.0.2.2" "a=b', '" "u"', '"192.0.2.3" "c" "d', '"', self.WHOLE)
        assert [(r["client_ip"], r["request_body"], r["user_agent"]) for r in events] == [
            ("192.0.2.2", "a=b\n", "u"),
            ("192.0.2.3", "c", "d\n"),
            ("192.0.2.1", "a", "u"),
        ]

    @pytest.mark.parametrize("block_bytes", [1, 7, 40, 100])
    def test_wherever_the_body_is_cut(self, block_bytes: int) -> None:
        body = "\n".join([self.FIELDS, *[self.WHOLE, '"192.0.2.2" "b\nc\n\nd" "u"', "nonsense"] * 5]).encode()
        (whole,) = parse([body], SOURCE)
        assert (whole.lines, whole.events.num_rows, whole.quarantined.num_rows) == (15, 10, 5)
        for step in (1, 13, len(body)):
            places = [*range(0, len(body), step), len(body)]
            blocks = list(parse((body[a:b] for a, b in pairwise(places)), SOURCE, block_bytes=block_bytes))
            assert [row for b in blocks for row in b.events.to_pylist()] == whole.events.to_pylist()
            assert [row for b in blocks for row in b.quarantined.to_pylist()] == whole.quarantined.to_pylist()
            assert sum(block.lines for block in blocks) == whole.lines


class TestNames:
    def test_new_names_go_to_extra(self) -> None:
        event = row("c-ip sr-pop x-new", quoted("192.0.2.1", "mia", ""))
        assert (set_in(event), event["extra"]) == ({"client_ip": "192.0.2.1"}, {"sr-pop": "mia"})

    def test_case_and_the_standards_spelling_do_not_matter(self) -> None:
        event = row("C-IP cs(referer) CS(USER-AGENT)", quoted("192.0.2.1", "a.example", "x"))
        assert set_in(event) == {"client_ip": "192.0.2.1", "referrer": "a.example", "user_agent": "x"}

    def test_second_value_of_a_name_is_kept(self) -> None:
        event = row("cs-uri c-ip cs-uri cs-uri", quoted("a", "192.0.2.1", "", "b"))
        assert (event["url"], event["extra"]) == ("a", {"cs-uri": "b"})
        assert "duplicate_key:cs-uri" in event["parse_warnings"]


class TestQuotes:
    FIELDS = "cs-uri cs(User-Agent) c-ip"

    @pytest.mark.parametrize(
        ("line", "agent"),
        [
            ('"u" "a b" "192.0.2.1"', "a b"),
            ('"u" "a ""b"" c" "192.0.2.1"', 'a "b" c'),
            ('"u" "a "" "" c" "192.0.2.1"', 'a " " c'),
            (r'"u" "a \"b\" c" "192.0.2.1"', 'a "b" c'),
            (r'"u" "a \" \" c" "192.0.2.1"', 'a " " c'),
            ('"u" "a "b" c" "192.0.2.1"', 'a "b" c'),
            ('"u" "a "b c" "192.0.2.1"', 'a "b c'),
            ('"u" """a""" "192.0.2.1"', '"a"'),
            ('"u" """" "192.0.2.1"', '"'),
            ('"u" "" "192.0.2.1"', None),
            (r'"u" "C:\" "192.0.2.1"', "C:\\"),
            (r'"u" "C:\\x" "192.0.2.1"', r"C:\\x"),
            (r'"u" "C:\" and ""b""" "192.0.2.1"', r'C:" and "b"'),
            (r'"u" "a ""b"" C:\" "192.0.2.1"', r'a ""b"" C:' + "\\"),
            ('\ufeff "u" "  a\t" "192.0.2.1" ', "a"),
        ],
    )
    def test_quote_inside_a_value(self, line: str, agent: str | None) -> None:
        event = row(self.FIELDS, line)
        assert (event["url"], event["user_agent"], event["client_ip"]) == ("u", agent, "192.0.2.1")
        assert event["extra"] == {}

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            ('"u" "a"', "field_count"),
            ('"u" "a" "192.0.2.1" "more"', "field_count"),
            ('"u" "a" "b" "192.0.2.1"', "field_count"),
            ('"u" "a"  "192.0.2.1"  "more"', "field_count"),
            ('"u" "a" "192.0.2.1', "field_count"),
            ('"', "field_count"),
            ("u a", "not_a_record"),
            ("CEF:0|Incapsula|SIEMintegration|1|1|Normal|0|", "not_a_record"),
        ],
    )
    def test_no_value_lands_in_the_wrong_column(self, line: str, reason: str) -> None:
        assert rejected(f"#Fields: {self.FIELDS}", line) == [(2, reason, line.encode())]

    @pytest.mark.parametrize("text", ['"' * 150_000, '\\"' * 75_000, '" ' * 75_000, 'a""' * 50_000])
    def test_no_text_takes_more_than_linear_time(self, text: str) -> None:
        text *= TIMES_AS_LARGE
        blocks = list(parse([f'#Fields: {self.FIELDS}\n"u" "{text}" "192.0.2.1"'.encode()], SOURCE))
        assert sum(block.lines for block in blocks) == 1


class TestValues:
    def test_empty_rule_is_an_access_event(self) -> None:
        events = rows("#Fields: cs-rule cs-severity", quoted("", ""), quoted("Normal", "0"), quoted("DDoS", "8"))
        assert [(r["event_class"], r["event_name"], r["rule_type_code"]) for r in events] == [
            ("access", "Normal", None),
            ("access", "Normal", 0),
            ("security", "DDoS", 8),
        ]

    @pytest.mark.parametrize(
        ("date", "time", "start", "expected", "extra"),
        [
            ("2023-11-14", "22:13:20", "", 1_700_000_000_000, {}),
            ("2023-11-14", "22:13:20", "1700000000999", 1_700_000_000_999, {}),
            ("2023-11-14", "22:13:21", "1700000000999", 1_700_000_000_999, {"date": "2023-11-14", "time": "22:13:21"}),
            ("2023-11-14", "", "1700000000999", 1_700_000_000_999, {"date": "2023-11-14"}),
            ("", "", "1700000000999", 1_700_000_000_999, {}),
            ("", "22:13:20", "", START, {"time": "22:13:20"}),
            ("14/11/2023", "22:13:20", "", START, {"cs-start": "14/11/2023T22:13:20"}),
            ("2023-11-14", "22:13:20", "soon", START, {"date": "2023-11-14", "time": "22:13:20", "cs-start": "soon"}),
        ],
    )
    def test_date_and_time_stand_in_for_the_start(
        self, date: str, time: str, start: str, expected: int, extra: dict[str, str]
    ) -> None:
        event = row("date time cs-start", quoted(date, time, start))
        assert (round(event["event_time"].timestamp() * 1000), event["extra"]) == (expected, extra)

    def test_numbers_lists_and_json(self) -> None:
        event = row(
            "s-externalid cs-attacktype s-ruleName cs-ruleInfo s-xff",
            quoted("9223372036854775807", "1,,2,", ",a,b,", '[{""k"":""v w""}]', "192.0.2.1, x"),
        )
        assert set_in(event) == {
            "request_id": "9223372036854775807",
            "attack_type_codes": ["1", "", "2"],
            "rule_names": ["", "a", "b"],
            "rule_info": '[{"k":"v w"}]',
            "x_forwarded_for": ["192.0.2.1", "x"],
        }


NAMES = ["date", "time", "cs-start", "c-ip", "cs-uri", "cs-rule", "cs-severity", "x-new", "s-xff"]
PIECES = st.sampled_from(
    ['"', '""', '" "', "\\", '\\"', " ", "\t", "a", "ß", "\x85", "\x00", "\r", "#x:", "\udcff", "="]
)
VALUE = st.one_of(
    st.sampled_from(["", "192.0.2.1", "2023-11-14", "22:13:20", "1700000000999", "1700000000", "Normal", "DDoS", "7"]),
    st.lists(PIECES, max_size=6).map("".join),
)
ROW = st.lists(VALUE, min_size=8, max_size=10).map(lambda values: quoted(*values)) | st.sampled_from(
    [
        quoted("2023-11-14", "22:13:20", "1700000000999", "::1", "u", "", "", "n", "x, y"),
        quoted("2023-11-14", "22:13:20", "", "::1", "u", "R", "1", "", ""),
        quoted("2023-11-14", "22:13:20", "", "::1", "u\nv", "R", "1", "", ""),
        "nonsense",
        "",
        "#Fields: c-ip",
        "#Fields: " + " ".join(NAMES),
        "#Fields: " + " ".join(NAMES).replace("x-new", "cs-uri"),
        "#Remark: x",
    ]
)


@settings(max_examples=int(os.environ.get("IMPERVA_EXAMPLES", "40")))
@given(st.lists(ROW, max_size=12), st.booleans())
def test_scan_and_careful_reader_give_the_same(lines: list[str], keep_raw: bool) -> None:
    body = "\n".join([f"#Fields: {' '.join(NAMES)}", *lines]).encode(errors="surrogateescape")
    with pytest.MonkeyPatch.context() as patch:
        both = list(parse([body], SOURCE, keep_raw=keep_raw))
        patch.setattr(ROWS, "scan", lambda rows, layout, keep_raw: (scan(rows.take([]), layout, keep_raw=keep_raw)[0],
                                                                    np.zeros(len(rows), np.bool_)))  # fmt: skip
        careful = list(parse([body], SOURCE, keep_raw=keep_raw))
    assert [block.events.to_pylist() for block in both] == [block.events.to_pylist() for block in careful]
    assert [block.quarantined.to_pylist() for block in both] == [block.quarantined.to_pylist() for block in careful]


def test_scan_takes_what_is_usual() -> None:
    """Otherwise it could stop working and nobody would know."""
    usual = quoted("2023-11-14", "22:13:20", "1700000000999", "::1", "/a=b c|d", "", "", "n", "x, ß")
    irregular = [
        '"a" "b"',
        usual.replace('"n"', '"n" '),
        usual.replace('" "', '"  "', 1),
        usual.replace("20", "21"),
        usual.replace("-14", "-15"),
        "nonsense",
        usual.replace("n", "\udcff"),
    ]
    block = "\n".join([usual, *irregular, usual]).encode(errors="surrogateescape")
    _, taken = scan(Lines.split(block, first_number=1), Layout.of(" ".join(NAMES)), keep_raw=False)
    assert taken.tolist() == [True, *[False] * len(irregular), True]


def test_blanks_around_a_value_are_not_odd() -> None:
    block = quoted(" a\t", "\t", " ", 'x ""y"" ').encode()
    columns, taken = scan(Lines.split(block, first_number=1), Layout.of("cs-uri c-ip cs-rule x-new"), keep_raw=False)
    assert taken.all()
    assert columns.texts["url"].to_pylist() == ["a"]
    assert columns.notes.extra == [(0, "x-new", 'x "y"')]


@given(st.integers(0, 9_999_900_000), st.integers(-86_400, 86_400))
@example(951_782_400, 0)
@example(4_107_542_399, 1)
def test_date_and_time_are_compared_as_the_careful_reader_does(seconds: int, off: int) -> None:
    start = f"{1000 * seconds + 7:013}"
    date, time = to_the_second(f"{1000 * max(seconds + off, 0):013}").split()
    block = quoted(date, time, start).encode()
    _, taken = scan(Lines.split(block, first_number=1), Layout.of("date time cs-start"), keep_raw=False)
    assert taken.tolist() == [f"{date} {time}" == to_the_second(start)]


def test_scan_takes_quotes_that_are_doubled() -> None:
    """JSON in a value has many of them."""
    texts = ['""', '[{""k"":""""}]', '""a', 'a""""', '""""']
    block = "\n".join(quoted("", text, "x", "") for text in texts).encode()
    columns, taken = scan(Lines.split(block, first_number=1), Layout.of("cs-rule cs-uri c-ip x-new"), keep_raw=False)
    assert taken.all()
    assert columns.texts["url"].to_pylist() == ['"', '[{"k":""}]', '"a', 'a""', '""']


def test_long_list_of_names_takes_no_memory_for_short_rows() -> None:
    names = " ".join(f"x{number}" for number in range(5000))
    found = rejected(f"#Fields: {names}", *['"a"'] * 5000)
    assert {reason for _, reason, _ in found} == {"field_count"}
    assert len(found) == 5000
