"""Where W3C rows and directives begin and end, whatever stands between them, and that the count notices a lost one."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_imperva.events import parse
from airflow_provider_imperva.events.grammar.directives import Directive
from airflow_provider_imperva.events.grammar.w3c import iso_date, read_row
from airflow_provider_imperva.events.schema.source import LINES_AT_MOST
from tests.events.cef_lines import SOURCE

ROWS = import_module("airflow_provider_imperva.events.bodies.rows")
LAYOUTS = import_module("airflow_provider_imperva.events.bodies.layouts")
ROW_LINES = import_module("airflow_provider_imperva.events.bodies.row_lines")

NAMES = "date time c-ip sc-status"
FIELDS = f"#Fields: {NAMES}"


def row(n: int) -> str:
    return f'"2025-07-23" "17:02:0{n}" "192.0.2.{n}" "200"'


def read(body: str | bytes) -> tuple[list[dict[str, Any]], list[tuple[int, str, bytes]]]:
    """Give rows and what is quarantined; both together are as many as were counted."""
    blocks = list(parse([body if isinstance(body, bytes) else body.encode()], SOURCE, keep_raw=True))
    events = [{**found, "extra": dict(found["extra"])} for block in blocks for found in block.events.to_pylist()]
    quarantined = [line for block in blocks for line in block.quarantined.to_pylist()]
    assert sum(block.lines for block in blocks) == len(events) + len(quarantined)
    numbers = [found["src_line"] for found in (*events, *quarantined)]
    assert len(set(numbers)) == len(numbers)
    return events, [(line["src_line"], line["reason"], line["raw"]) for line in quarantined]


def addresses(body: str | bytes) -> list[str]:
    events, quarantined = read(body)
    assert quarantined == []
    for found in events:
        assert (found["http_status"], found["extra"]) == (200, {})
        assert found["event_time"].isoformat() == f"2025-07-23T17:02:0{found['client_ip'][-1]}+00:00"
    return [found["client_ip"] for found in events]


THREE = ["192.0.2.1", "192.0.2.2", "192.0.2.3"]


class TestLineEnds:
    @pytest.mark.parametrize(
        "end",
        [
            "\n",
            "\r\n",
            "\r\r\n",
            "\r",
            "\n\r",
            "\0",
            "\r\0",
            "\f",
            "\v",
            "\x1e",
            "\r \r",
            "\n\n",
            "\r\r\r\n",
            " \r\n",
            "\n \n",
        ],
    )
    @pytest.mark.parametrize("last", [True, False])
    def test_every_row_is_read_whatever_ends_its_line(self, end: str, last: bool) -> None:
        body = end.join(["#Software: IncapLogs", FIELDS, row(1), row(2), row(3)]) + end * last
        assert addresses(body) == THREE

    @pytest.mark.parametrize("end", ["\r", "\r\r\n", "\0", "\n\r", "\f"])
    @pytest.mark.parametrize("block_bytes", [1, 100, 150])
    def test_wherever_the_body_is_cut(self, end: str, block_bytes: int) -> None:
        body = end.join([FIELDS, *map(row, range(10)), FIELDS, *map(row, range(10))]).encode()
        (whole,) = parse([body], SOURCE)
        for step in (1, 45, 100):
            pieces = (body[place : place + step] for place in range(0, len(body), step))
            blocks = list(parse(pieces, SOURCE, block_bytes=block_bytes))
            assert [found for b in blocks for found in b.events.to_pylist()] == whole.events.to_pylist()
            assert whole.events.num_rows == 20

    def test_a_further_row_on_a_line_has_a_number_of_its_own(self) -> None:
        events, _ = read("\r".join([FIELDS, row(1), "#Remark: x", row(2)]) + f"\n\n{row(3)}\r\n{row(4)}")
        assert [found["src_line"] for found in events] == [1, LINES_AT_MOST + 1, 3, 4]

    def test_such_a_character_inside_a_value_is_text(self) -> None:
        names = "#Fields: c-ip cs-uri"
        lines = ['"192.0.2.1" "a\r\0\fb"', '"192.0.2.2" "\r\n#x"', '"192.0.2.3" "a\r"']
        events, _ = read("\n".join([names, *lines]))
        assert [(found["url"], found["client_ip"]) for found in events] == [
            ("a\r\0\fb", "192.0.2.1"),
            ("\r\n#x", "192.0.2.2"),
            ("a\r", "192.0.2.3"),
        ]


class TestDirectives:
    @pytest.mark.parametrize(
        "line",
        [
            "#Fields: date time c-ip sc-status",
            "# Fields: date time c-ip sc-status",
            "  #Fields: date time c-ip sc-status",
            "\t# fields :date\ttime c-ip  sc-status ",
            "\ufeff#FIELDS: DATE TIME C-IP SC-STATUS",
            '#Fields: "date" "time" "c-ip" "sc-status"',
            "#Fields: x\n#Fields: date time c-ip sc-status",
            "#Fields: date time c-ip sc-status\n#Fields: date time c-ip sc-status",
            "#Fields: date time\n#Fields: c-ip sc-status",
            "#Fields: date time\n#Remark: x\n#Fields: c-ip\n#Fields: sc-status",
            "#Fields: date time \\\n  c-ip sc-status",
            "#Fields: date time\n#   c-ip sc-status",
            "#Fields: date time\n\tc-ip\n\tsc-status\n#Date: 2025-07-23 00:00:00",
        ],
    )
    @pytest.mark.parametrize("quotes", [True, False])
    def test_names_however_they_are_listed(self, line: str, quotes: bool) -> None:
        body = "\n".join([line, row(1), row(2), line, row(3)])
        assert addresses(body if quotes else body.replace('"', "")) == THREE

    @pytest.mark.parametrize(
        "directive",
        [
            "#Version: 1.0",
            "#Software: A b",
            "#Start-Date: 2025-07-23 17:02:00",
            "#End-Date: x",
            "#Date: 23/Jul/2025 17:02:00",
            "#Remark: a b",
            "#REMARK:",
            "# Remark : x",
            FIELDS,
        ],
    )
    def test_those_of_the_standard_are_no_events(self, directive: str) -> None:
        assert (
            addresses("\n".join([FIELDS, directive, row(1), directive, row(2), directive, row(3), directive])) == THREE
        )

    @pytest.mark.parametrize(
        "line", ["#x: b", "#", "#Field: date", "#Fields date", "#Remarks: x", "#Date", "##Date: x", "-#Date: x"]
    )
    def test_any_other_line_with_a_number_sign_is_quarantined(self, line: str) -> None:
        events, quarantined = read("\n".join([FIELDS, row(1), line, row(2)]))
        assert [found["client_ip"] for found in events] == THREE[:2]
        assert quarantined == [(3, "not_a_record", line.encode())]

    @pytest.mark.parametrize(
        "directive",
        [
            FIELDS,
            "#Fields:\tdate time c-ip sc-status",
            '#Fields: "date" "time" "c-ip" "sc-status"',
            f"{FIELDS}\n#Date: 2025-07-23 17:02:00",
            f"{FIELDS}\n#Version: 1.0",
            f"{FIELDS}\n#Software: A b",
            f"{FIELDS}\n#Remark: x: y",
            f"{FIELDS}\n#Date: 23/Jul/2025 17:02:00",
            f"{FIELDS}\n#Remark:",
            f"{FIELDS}\n#Software: Incapsula LOGS API",
        ],
    )
    @pytest.mark.parametrize("between", [" ", "  ", "\t", "\r", "\0"])
    def test_a_row_in_the_line_of_a_directive_is_read(self, directive: str, between: str) -> None:
        assert addresses(f"{directive}{between}{row(1)}\n{row(2)}\n{row(3)}") == THREE

    @pytest.mark.parametrize("directive", [FIELDS, f"{FIELDS}\n#Date: 2025-07-23 17:02:00", f"{FIELDS}\n#Version: 1.0"])
    def test_a_row_without_quotes_in_the_line_of_a_directive_is_read(self, directive: str) -> None:
        assert addresses(f"{directive} {row(1)}\n{row(2)}\n{row(3)}".replace('"', "")) == THREE

    def test_a_row_that_cannot_be_read_there_is_quarantined(self) -> None:
        events, quarantined = read(f'{FIELDS} "2025-07-23" "17:02:01"\n{row(2)}')
        assert [found["client_ip"] for found in events] == ["192.0.2.2"]
        assert quarantined == [(1, "field_count", b'"2025-07-23" "17:02:01"')]
        assert events[0]["parse_warnings"] == ["follows_incomplete"]

    @given(st.text(), st.sampled_from(["Fields", "Date", "Remark", "Version", "Software"]))
    @example(': "a" "b" ', "Fields")
    def test_no_byte_of_one_is_lost(self, text: str, name: str) -> None:
        line = f"#{name}:{text}".encode()
        directive = Directive.read(line)
        assert line.startswith(line[: directive.end])
        assert not ROW_LINES.hides_row(line[: directive.end])


class TestOtherNames:
    """Nobody may have columns swapped unseen."""

    SWAPPED = "#Fields: date time sc-status c-ip"

    def test_rows_they_hold_for_are_marked(self) -> None:
        other = '"2025-07-23" "17:02:02" "404" "192.0.2.2"'
        events, _ = read("\n".join([FIELDS, row(1), self.SWAPPED, other, FIELDS, row(3)]))
        assert [(r["client_ip"], r["http_status"], r["parse_warnings"]) for r in events] == [
            ("192.0.2.1", 200, []),
            ("192.0.2.2", 404, ["fields_changed"]),
            ("192.0.2.3", 200, []),
        ]

    def test_they_mark_nothing_before_the_first_row(self) -> None:
        events, _ = read("\n".join([self.SWAPPED, FIELDS, row(1)]))
        assert events[0]["parse_warnings"] == []

    @pytest.mark.parametrize("between", [" ", "", "\t "])
    def test_names_behind_a_row_in_its_line_do_not_hold_and_rows_are_marked(self, between: str) -> None:
        events, quarantined = read("\n".join([FIELDS, row(1) + between + self.SWAPPED, row(2), row(3)]))
        assert [(r["client_ip"], r["http_status"]) for r in events] == [("192.0.2.2", 200), ("192.0.2.3", 200)]
        assert ["fields_ignored" in r["parse_warnings"] for r in events] == [True, True]
        assert [(number, reason) for number, reason, _ in quarantined] == [(2, "field_count")]

    def test_names_inside_a_value_mark_nothing(self) -> None:
        lines = ["#Fields: c-ip cs-uri", '"192.0.2.1" "a"" #Fields: x"', '"192.0.2.2" "b"']
        events, quarantined = read("\n".join(lines))
        assert (quarantined, [r["client_ip"] for r in events]) == ([], ["192.0.2.1", "192.0.2.2"])
        assert not [code for r in events for code in r["parse_warnings"] if code.startswith("fields")]

    def test_rows_of_a_body_without_names_are_the_first_too(self) -> None:
        whole = " ".join(['""'] * 7 + ['"192.0.2.1"'] + ['""'] * 33)
        events, _ = read("\n".join([whole, FIELDS, row(2), whole]))
        assert [(r["client_ip"], r["parse_warnings"]) for r in events] == [
            ("192.0.2.1", ["time_from_file"]),
            ("192.0.2.2", ["fields_changed"]),
        ] or len(events) == 2

    @pytest.mark.parametrize("many", [1, 200])
    def test_they_are_marked_however_many_rows_there_are(self, many: int) -> None:
        other = '"2025-07-23" "17:02:02" "404" "192.0.2.2"'
        events, _ = read("\n".join([FIELDS, *[row(1)] * many, self.SWAPPED, *[other] * many]))
        assert [r["parse_warnings"] for r in events] == [[]] * many + [["fields_changed"]] * many
        assert {r["client_ip"] for r in events[many:]} == {"192.0.2.2"}


class TestTextOfClients:
    """A post body with line ends in it, which the server writes as they are."""

    FIELDS = "#Fields: c-ip cs-postbody sc-action s-ip"

    def body(self, text: str, more: str = "") -> str:
        row = '"192.0.2.{}" "{}" "REQ_BLOCKED" "198.51.100.1"'
        return "\n".join(
            [self.FIELDS, row.format(1, "a"), row.format(2, text), *more.split("\n") * bool(more), row.format(3, "c")]
        )

    @pytest.mark.parametrize(
        "text",
        [
            "a\n#x: b",
            "a\n#Fields: b c",
            "a\n#Fields: s-ip cs-postbody sc-action c-ip",
            "a\n#Fields: s-ip cs-postbody sc-action c-ip\n",
            "a\n#Date: x\n#Remark: y\n#Version: z",
            "a\nCEF:0|",
            "a\nCEF:0|Incapsula|SIEMintegration|1|1|Normal|0| src=6.6.6.6 act=REQ_PASSED",
            "a\nLEEF:1.0|Incapsula|SIEMintegration|1|Normal|src=6.6.6.6",
            '{\n"client": {"ip": "6.6.6.6"}\n}',
            "a\r\n\r\n--x\r\n# Fields: s-ip\r\n",
            "a\r#Fields: s-ip cs-postbody sc-action c-ip\rb",
            "a\n6.6.6.6 x REQ_PASSED 198.51.100.9",
            "\n",
            "a\n\n\n",
        ],
    )
    def test_stays_one_value_of_one_row(self, text: str) -> None:
        events, quarantined = read(self.body(text))
        assert quarantined == []
        assert [(r["client_ip"], r["action"], r["server_ip"]) for r in events] == [
            (f"192.0.2.{n}", "REQ_BLOCKED", "198.51.100.1") for n in (1, 2, 3)
        ]
        assert events[1]["request_body"] == text
        assert [("joined_lines" in r["parse_warnings"]) for r in events] == [False, True, False]

    @pytest.mark.parametrize("names", ["s-ip cs-postbody sc-action c-ip", "b c"])
    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    def test_a_row_that_never_ends_does_not_let_it_list_names(self, names: str, end: str) -> None:
        lines = [
            self.FIELDS,
            '"192.0.2.1" "a',
            f"#Fields: {names}",
            '"192.0.2.2" "b" "REQ" "198.51.100.1"',
            self.FIELDS,
            '"192.0.2.3" "b" "REQ" "198.51.100.1"',
        ]
        events, quarantined = read(end.join(lines))
        assert [(r["client_ip"], r["server_ip"]) for r in events] == [(f"192.0.2.{n}", "198.51.100.1") for n in (2, 3)]
        assert set(events[0]["parse_warnings"]) >= {"fields_ignored", "follows_incomplete"}
        assert not [code for code in events[1]["parse_warnings"] if code.startswith("f")]
        assert [(number, reason) for number, reason, _ in quarantined] == [(2, "field_count"), (3, "not_a_record")]

    def test_a_forged_row_is_marked_and_the_one_it_cuts_is_quarantined(self) -> None:
        events, quarantined = read(self.body('a\n"6.6.6.6" "x" "REQ_PASSED" "198.51.100.9"\nb'))
        assert [(r["client_ip"], "follows_incomplete" in r["parse_warnings"]) for r in events] == [
            ("192.0.2.1", False),
            ("6.6.6.6", True),
            ("192.0.2.3", False),
        ]
        assert b"".join(raw for _, _, raw in quarantined) == b'"192.0.2.2" "ab" "REQ_BLOCKED" "198.51.100.1"'

    def test_lines_without_quotes_are_no_rows_in_a_log_with_them(self) -> None:
        events, quarantined = read(self.body("x", more="6.6.6.6 x REQ_PASSED 198.51.100.9"))
        assert [r["client_ip"] for r in events] == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
        assert [reason for _, reason, _ in quarantined] == ["not_a_record"]


class TestValues:
    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("2025-07-23 17:02:01 192.0.2.1 200", ("192.0.2.1", 200)),
            ("2025-07-23\t17:02:01\t192.0.2.1\t200", ("192.0.2.1", 200)),
            ("2025-07-23  17:02:01 \t192.0.2.1   200 ", ("192.0.2.1", 200)),
            ("2025-07-23 17:02:01 - -", (None, None)),
            ("2025-07-23 17:02:01 192.0.2.1 -", ("192.0.2.1", None)),
            ('2025-07-23 17:02:01 "192.0.2.1" "200"', ("192.0.2.1", 200)),
            ('"2025-07-23" "17:02:01" - 200', (None, 200)),
            ('"2025-07-23"\t"17:02:01"\t"192.0.2.1"\t"200"', ("192.0.2.1", 200)),
            ('"2025-07-23"   "17:02:01" "192.0.2.1"\t\t"200"\t', ("192.0.2.1", 200)),
            ('"23/Jul/2025" "17:02:01" "192.0.2.1" "200"', ("192.0.2.1", 200)),
            ("23/jul/2025 17:02:01 192.0.2.1 200", ("192.0.2.1", 200)),
            (' "2025-07-23" "17:02:01" "192.0.2.1" "200"', ("192.0.2.1", 200)),
        ],
    )
    @pytest.mark.parametrize("many", [1, 100])
    def test_value_however_it_is_written(self, line: str, expected: tuple[Any, Any], many: int) -> None:
        events, quarantined = read("\n".join([FIELDS, *[line] * many]))
        assert quarantined == []
        assert len(events) == many
        for found in events:
            assert (found["client_ip"], found["http_status"]) == expected
            assert (found["event_time"].isoformat(), found["extra"]) == ("2025-07-23T17:02:01+00:00", {})
            assert found["parse_warnings"] == []

    def test_tabs_part_values_that_hold_blanks(self) -> None:
        events, _ = read("#Fields: c-ip cs(User-Agent) sc-status\n192.0.2.1\tA b (c)\t200\n192.0.2.2\t-\t-")
        assert [(r["client_ip"], r["user_agent"], r["http_status"]) for r in events] == [
            ("192.0.2.1", "A b (c)", 200),
            ("192.0.2.2", None, None),
        ]

    def test_no_value_without_quotes_lands_in_another_column(self) -> None:
        events, quarantined = read(
            "#Fields: c-ip cs(User-Agent) sc-status\n192.0.2.1 a 200\n192.0.2.1 A b (c) 200\n192.0.2.1 a"
        )
        assert len(events) == 1
        assert [(number, reason) for number, reason, _ in quarantined] == [(3, "field_count"), (4, "field_count")]

    @pytest.mark.parametrize(
        ("date", "iso"),
        [("28/Jun/2017", "2017-06-28"), ("01/DEC/2026", "2026-12-01"), ("28/Foo/2017", None), ("8/Jun/2017", None)],
    )
    def test_date_with_the_day_first(self, date: str, iso: str | None) -> None:
        assert iso_date(date) == (iso or date)

    def test_date_that_says_another_thing_than_the_start_is_kept_as_it_is(self) -> None:
        fields = "#Fields: date time cs-start"
        events, _ = read(
            f'{fields}\n"14/Nov/2023" "22:13:20" "1700000000999"\n"15/Nov/2023" "22:13:20" "1700000000999"'
        )
        assert [found["extra"] for found in events] == [{}, {"date": "15/Nov/2023", "time": "22:13:20"}]


SEPARATORS = [
    "\n",
    "\r\n",
    "\r\r\n",
    "\r",
    "\n\r",
    "\0",
    "\f",
    "\v",
    "\x1c",
    "\x1e",
    "\x85",
    "\u2028",
    "\xa0",
    "#012",
    " ",
    "  ",
    "\t",
    "",
    "\n<134>Nov 14 22:13:20 host imperva: ",
    "<134>1 2025-07-23T17:02:01Z host imperva - - - ",
    "\n57 ",
    "\n#Remark: x ",
    " #Date: x\n",
    "\n\ufeff",
    ",",
    "\n- ",
    "\\n",
    "|",
]
VALUE = st.text(st.characters(blacklist_characters='"\\\n\r', blacklist_categories=["Cs"]), max_size=8)


@example(["\t=", "a", "", "\t", "\t=", "b", "", "c"], "\xa0", 0, False)
@example(["a", "b", "c", "d", "\t", "\t", "\t", ""], "", 0, False)
@given(st.lists(VALUE, min_size=8, max_size=8), st.sampled_from(SEPARATORS), st.integers(0, 3), st.booleans())
def test_two_rows_never_become_one(values: list[str], separator: str, names: int, named: bool) -> None:
    first, second = (" ".join(f'"{value}"' for value in part) for part in (values[:4], values[4:]))
    between = f"\n{FIELDS}" * names
    events, quarantined = read(
        f"{f'{FIELDS} ' * named or FIELDS}\n{first}{separator}{between}\n{second}"
        if names
        else f"{FIELDS}\n{first}{separator}{second}"
    )
    assert len(events) == 2 or quarantined
    assert all(found["raw"].count('"') <= 8 for found in events)


@example(["\n<134>Nov 14 22:13:20 host imperva: ", "\r", "\x85", FIELDS])
@given(
    st.lists(
        st.sampled_from([*SEPARATORS, FIELDS, row(1), row(2), '"', '" "', "a", "#", "#Date: ", "\n#Fields: c-ip"]),
        max_size=12,
    )
)
def test_every_line_is_a_row_or_quarantined(pieces: list[str]) -> None:
    read("#Version: 1.0\n" + "".join(pieces))


class TestCount:
    """Broken once each, the reader loses a row, and the count tells."""

    @staticmethod
    def lost(body: str) -> int:
        blocks = list(parse([body.encode()], SOURCE))
        return sum(b.lines - b.events.num_rows - b.quarantined.num_rows for b in blocks)

    def test_row_taken_for_a_part_of_a_directive(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(LAYOUTS.Directive, "read", lambda line: Directive("fields", NAMES, len(line)))
        assert self.lost(f"{FIELDS} {row(1)}\n{row(2)}") == 1

    def test_line_end_that_is_not_seen(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ROW_LINES, "BREAK", re.compile(b"(?!)"))
        assert self.lost(f"{FIELDS}\n{row(1)}\r{row(2)}") == 1

    def test_rows_joined_to_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ROWS, "_last_line", lambda section, place, rejected: len(section.rows) - 1)
        monkeypatch.setattr(ROWS, "read_row", lambda line, layout: read_row(line.replace("\n", " "), layout))
        assert self.lost(f'{FIELDS}\n"2025-07-23" "17:02:01"\n"192.0.2.1" "200"') == 1

    def test_line_that_is_dropped(self, monkeypatch: pytest.MonkeyPatch) -> None:
        read_all = ROWS.LineByLine.read
        monkeypatch.setattr(ROWS.LineByLine, "read", lambda self, lines, one: read_all(self, lines.take([0]), one))
        assert self.lost(f"{FIELDS}\n{row(1)}\nx\n{row(2)}") == 2
