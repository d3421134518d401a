"""Every record of CEF and LEEF begins where it begins, whatever stands before it, and none is swallowed unnoticed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_imperva.events import LogSource, parse
from airflow_provider_imperva.events.scan.lines import BLOCK_BYTES
from airflow_provider_imperva.events.schema.columns import COLUMNS, HEADER
from airflow_provider_imperva.events.schema.source import LINES_AT_MOST
from airflow_provider_imperva.testing.forge import forge_events
from tests.long_form import TIMES_AS_LARGE

KEYED = import_module("airflow_provider_imperva.events.bodies.keyed")
LONG_LINES = import_module("airflow_provider_imperva.events.scan.long_lines")

SOURCE = LogSource(file="8416_7.log", sequence=7, start_time=1_700_000_000_000, fetched_time=1_795_300_000_000)
SIGNATURE = "Incapsula|SIEMintegration|1|1|Normal|0|"
SYSLOG = "<134>Jul 23 17:02:01 collector imperva: "
RFC5424 = "<134>1 2025-07-23T17:02:01Z collector imperva - - - "


@dataclass
class Body:
    """What a body holds.

    :ivar rows: the events; ``extra`` is a dict.
    :ivar refused: reason and bytes of what is none.
    """

    rows: list[dict[str, Any]]
    refused: list[tuple[str, bytes]]
    lines: int

    @classmethod
    def of(cls, *chunks: str | bytes, block_bytes: int = BLOCK_BYTES) -> Body:
        body = [c.encode() if isinstance(c, str) else c for c in chunks]
        blocks = list(parse(body, SOURCE, block_bytes=block_bytes))
        rows = [{**row, "extra": dict(row["extra"])} for block in blocks for row in block.events.to_pylist()]
        bad = [row for block in blocks for row in block.quarantined.to_pylist()]
        numbers = [row["src_line"] for row in [*rows, *bad]]
        assert len({*numbers}) == len(numbers), "the row's identity"
        found = cls(rows, [(row["reason"], row["raw"]) for row in bad], sum(block.lines for block in blocks))
        assert found.lines == len(rows) + len(bad)
        return found

    def column(self, name: str) -> list[Any]:
        return [row[name] for row in self.rows]


def cef(number: int, more: str = "", *, start: str = "CEF:0|") -> str:
    """A record that has what every event has."""
    return (
        f"{start}{SIGNATURE} fileId={number} sourceServiceName=shop.example{more} start=175329012133{number} "
        f"act=REQ_PASSED deviceExternalId=9{number} src=192.0.2.{number}"
    )


def leef(number: int, more: str = "") -> str:
    return (
        f"LEEF:1.0|Incapsula|SIEMintegration|1|Normal|fileId={number}\tsourceServiceName=shop.example{more}"
        f"\tstart=175329012133{number}\tcat=REQ_PASSED\tdeviceExternalId=9{number}\tsrc=192.0.2.{number}"
    )


def as_leef(event: str) -> str:
    """The same event in LEEF."""
    names = {column.cef: column.leef for column in COLUMNS if column.leef and not column.cef.startswith(HEADER)}
    *_, name, _, extension = re.split(r"(?<!\\)\|", event, maxsplit=7)
    pairs = re.finditer(r"(?:^| )([A-Za-z0-9]+)=((?:[^=]|\\=)*?)(?= [A-Za-z0-9]+=|$)", extension.strip())
    found = "\t".join(f"{names.get(pair[1], pair[1])}={pair[2]}" for pair in pairs)
    return f"LEEF:1.0|Incapsula|SIEMintegration|1|{name}|{found}"


SEPARATORS = [
    *("\n", "\r\n", "\r\r\n", "\r", "\n\r", "\0", "\x0c", "\x0b", "#012", "#015#012", "\u00a0", "\ufeff", "\u2028"),
    *(" ", "", "\t", "\n\x0c", "\n\u00a0", "\n\ufeff", "\n\n \n"),
    *(f"\n{SYSLOG}", f"\n{RFC5424}", SYSLOG, f" {SYSLOG}", RFC5424, f"#012{RFC5424}", f"\r{SYSLOG}"),
    '<134>1 2025-07-23T17:02:01Z host app - - [meta seq="1" x="a=b"] \ufeff',
    *("\nJul 23 17:02:01 collector imperva: ", " Jul 23 17:02:01 collector imperva: "),
    "\n2025-07-23T17:02:01.123+02:00 collector imperva: ",
    *("\n<COUNT> ", "<COUNT> ", "\0<COUNT> ", f"\n<COUNT> {RFC5424}", f"<COUNT> {RFC5424}"),
    "\ncollector1 says ",
]


def joined(one: str, separator: str, other: str) -> str:
    """Put two records together; an octet count counts what follows it."""
    if "<COUNT> " not in separator:
        return one + separator + other
    before, prefix = separator.split("<COUNT> ")
    return f"{one}{before}{len((prefix + other).encode())} {prefix}{other}"


EVENTS = list(forge_events(60, seed="boundaries", security_share=0.4))
RECORDS = {"CEF": EVENTS, "LEEF": [as_leef(event) for event in EVENTS]}
RECORD_OF = {"CEF": cef, "LEEF": leef}
ASIDE = {"src_line", "parse_warnings", "extra"}


@cache
def row_alone(record: str) -> dict[str, Any]:
    """The row of a record that is a whole body."""
    (row,) = Body.of(record).rows
    return row


@pytest.mark.parametrize("format_name", ["CEF", "LEEF"])
@settings(deadline=None)
@given(data=st.data())
def test_two_records_are_two_whatever_is_between_them(format_name: str, data: st.DataObject) -> None:
    one, other = (data.draw(st.sampled_from(RECORDS[format_name])) for _ in range(2))
    separator = data.draw(st.sampled_from(SEPARATORS))
    alone = [row_alone(record) for record in (one, other)]
    body = Body.of(joined(one, separator, other))
    assert body.refused == []
    assert [{k: v for k, v in row.items() if k not in ASIDE} for row in body.rows] == [
        {k: v for k, v in row.items() if k not in ASIDE} for row in alone
    ]
    prefixes = [row["extra"].pop("prefix", "") for row in body.rows]
    assert prefixes[0] == ""
    assert body.column("extra") == [row["extra"] for row in alone]
    assert [code for codes in body.column("parse_warnings") for code in codes if code != "text_before_header"] == [
        code for row in alone for code in row["parse_warnings"]
    ]


@pytest.mark.parametrize("format_name", ["CEF", "LEEF"])
@settings(deadline=None)
@given(data=st.data())
def test_however_many_records_and_cuts_none_is_lost(format_name: str, data: st.DataObject) -> None:
    records = data.draw(st.lists(st.sampled_from(RECORDS[format_name]), min_size=1, max_size=6))
    separators = data.draw(st.lists(st.sampled_from(SEPARATORS), min_size=len(records), max_size=len(records)))
    body = records[0]
    for record, separator in zip(records[1:], separators, strict=False):
        body = joined(body, separator, record)
    found = Body.of(body)
    assert (len(found.rows), found.refused) == (len(records), [])
    assert sorted(found.column("session_id")) == sorted(row_alone(record)["session_id"] for record in records)


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize("format_name", ["CEF", "LEEF"])
def test_records_that_lack_something_are_two_as_well(format_name: str, separator: str) -> None:
    one, other = (
        re.sub(r"[ \t]deviceExternalId=\d+", "", RECORD_OF[format_name](number, more)) + end
        for number, more, end in ((1, "", ""), (2, "", f"{' ' if format_name == 'CEF' else chr(9)}cn1=403"))
    )
    body = Body.of(joined(one, separator, other))
    assert [(row["session_id"], row["client_ip"], row["http_status"], row["action"]) for row in body.rows] == [
        ("1", "192.0.2.1", None, "REQ_PASSED"),
        ("2", "192.0.2.2", 403, "REQ_PASSED"),
    ]
    codes = [[code for code in codes if code != "text_before_header"] for codes in body.column("parse_warnings")]
    assert codes == [["incomplete:deviceExternalId"], ["incomplete:deviceExternalId", "follows_incomplete"]]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r\r\n", "\r", "\n\r", "\0"])
@pytest.mark.parametrize("format_name", ["CEF", "LEEF"])
def test_line_ends_of_any_kind(format_name: str, end: str) -> None:
    record = RECORD_OF[format_name]
    body = Body.of("".join(f"{record(number)}{end}" for number in (1, 2, 3)))
    assert body.column("client_ip") == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
    assert body.column("request_id") == ["91", "92", "93"]
    assert body.column("parse_warnings") == [[], [], []]


class TestIdentity:
    def test_it_is_the_line_and_for_further_records_on_it_more(self) -> None:
        body = Body.of(f"{cef(1)}\n{cef(2)}{cef(3)}\r{cef(4)}\n\n{cef(5)}\n{cef(6)}")
        assert dict(zip(body.column("session_id"), body.column("src_line"), strict=True)) == {
            "1": 1,
            "2": 2,
            "3": 2 + LINES_AT_MOST,
            "4": 2 + 2 * LINES_AT_MOST,
            "5": 4,
            "6": 5,
        }

    @pytest.mark.parametrize("separator", ["\r", "\0", "\r\n", "\n\r", f"\r{SYSLOG}", "\x0c\n"])
    @pytest.mark.parametrize(("block_bytes", "step"), [(1, 200), (300, 1), (450, 50)])
    def test_it_does_not_hang_on_how_a_body_is_cut(self, separator: str, block_bytes: int, step: int) -> None:
        body = separator.join(cef(number) for number in range(5)).encode()
        whole = {row["src_line"]: row for row in Body.of(body).rows}
        places = [*range(0, len(body), step), len(body)]
        found = Body.of(*(body[begin:end] for begin, end in pairwise(places)), block_bytes=block_bytes)
        assert {row["src_line"]: row for row in found.rows} == whole
        assert len(found.rows) == 5


FORGED = f"CEF:0|{SIGNATURE} act=REQ_PASSED src=203.0.113.9 start=1753290121339 deviceExternalId=66"


class TestClientText:
    @pytest.mark.parametrize("key", ["requestClientApplication", "request", "qstr", "ref", "postbody", "xff"])
    @pytest.mark.parametrize("text", ["{}", "a {}", "a {} b", "a#012{}", f"{SYSLOG}{{}}", "a {} {}"])
    def test_header_before_the_record_is_complete_sends_both_sides_to_quarantine(self, key: str, text: str) -> None:
        text = text.replace("{}", FORGED)
        record = cef(1, f" {key}={text}")
        body = Body.of(f"{cef(2)}\n{record}\n{cef(3)}")
        assert body.column("client_ip") == ["192.0.2.2", "192.0.2.3"]
        assert {reason for reason, _ in body.refused} == {"ambiguous_header"}
        assert sum(len(raw) for _, raw in body.refused) >= len(record) - 4

    def test_header_behind_a_complete_record_leaves_that_one(self) -> None:
        body = Body.of(f"{cef(1)} xff=198.51.100.1 {FORGED}\n{cef(2)}")
        assert body.column("client_ip") == ["192.0.2.1", "192.0.2.2"]
        assert body.column("parse_warnings") == [["header_in_text:xff"], []]
        assert body.refused == [("ambiguous_header", FORGED.encode())]

    @pytest.mark.parametrize("key", ["additionalReqHeaders", "cs10", "newThing", "postbody"])
    def test_header_in_brackets_that_close_is_text(self, key: str) -> None:
        json = f'[{{"User-Agent":"x {FORGED} y"}},{{"b":"c"}}]'
        label = " cs10Label=Rule Info" if key == "cs10" else ""
        body = Body.of(f"{cef(1, f' {key}={json}{label}')}\n{cef(2)}")
        assert body.column("client_ip") == ["192.0.2.1", "192.0.2.2"]
        assert body.column("parse_warnings") == [[f"header_in_text:{key}"], []]
        texts = [*body.rows[0]["extra"].values(), *body.rows[0].values()]
        assert json in texts

    def test_brackets_that_do_not_close_prove_nothing(self) -> None:
        body = Body.of(
            f"{cef(1, chr(32) + chr(34).join(['additionalReqHeaders=[{', 'a', ':', f'x {FORGED} y']))}\n{cef(2)}"
        )
        assert body.column("client_ip") == ["192.0.2.2"]
        assert [reason for reason, _ in body.refused] == ["ambiguous_header"] * 2

    @pytest.mark.parametrize(
        "text",
        [
            "|Incapsula|SIEMintegration|",
            "x |Incapsula|SIEMintegration|1|1|Normal|0| act=y",
            "CEF:0|Incapsula|SIEMintegration|",
            "CEF:0|Incapsula|SIEMintegration|1|1",
            "|Imperva Inc|Attack Analytics|",
        ],
    )
    def test_what_is_no_whole_header_is_text(self, text: str) -> None:
        body = Body.of(f"{cef(1, f' requestClientApplication={text}')}\n{cef(2)}")
        assert body.column("client_ip") == ["192.0.2.1", "192.0.2.2"]
        assert body.refused == []
        assert "header_in_text:requestClientApplication" in body.rows[0]["parse_warnings"]

    @pytest.mark.parametrize("text", ["CEF:0|", "CEF:0|Acme|Box|1|1|a|0| src=x", "LEEF:1.0|", "0|Incapsula|"])
    def test_what_is_none_of_ours_is_text(self, text: str) -> None:
        body = Body.of(f"{cef(1, f' requestClientApplication={text}')}\n{cef(2)}")
        assert body.column("client_ip") == ["192.0.2.1", "192.0.2.2"]
        assert body.refused == []

    def test_line_end_before_it_makes_two_records_that_say_so(self) -> None:
        """Nobody can tell this from a record that was cut off, so the two are marked."""
        body = Body.of(f"{cef(1, f' postbody=a=1{chr(10)}{FORGED}')}\n{cef(2)}")
        assert len(body.rows) == 3
        first, second, third = body.column("parse_warnings")
        assert first[:4] == [f"incomplete:{key}" for key in ("act", "src", "start", "deviceExternalId")]
        assert "follows_incomplete" in second
        assert third == []

    def test_one_request_makes_no_other_record_unreadable(self) -> None:
        records = [cef(number) for number in range(1, 9)]
        records[4] = cef(
            5, f" requestClientApplication={FORGED * 20} postbody=|Incapsula|SIEMintegration|{chr(10)}#Fields: a b"
        )
        body = Body.of("\n".join(records))
        assert body.column("session_id") == ["1", "2", "3", "4", "6", "7", "8"]


class TestLines:
    """Lines in which no record begins."""

    @pytest.mark.parametrize(
        "open_text",
        [
            "postbody=first",
            "postbody=",
            'postbody={"a":1}',
            "requestClientApplication=a",
            "request=a.example/b",
            "qstr=a",
            "ref=a",
            'additionalReqHeaders=[{"a":"b',
            'newThing={"a":"b',
            'cs6="a',
            'cs10=[{"a":',
        ],
    )
    def test_one_behind_what_is_open_belongs_to_it(self, open_text: str) -> None:
        body = Body.of(f"CEF:0|{SIGNATURE} fileId=1 {open_text}\nsecond\nthird src=192.0.2.1\n{cef(2)}")
        assert body.column("session_id") == ["1", "2"]
        assert body.column("client_ip") == ["192.0.2.1", "192.0.2.2"]
        assert "joined_lines" in body.rows[0]["parse_warnings"]
        assert (body.refused, body.lines) == ([], 2)

    @pytest.mark.parametrize(
        "closed",
        [
            "",
            " cn1=200",
            ' additionalResHeaders=[{"a":"b"}]',
            ' postbody={"a":1}',
            " xff=192.0.2.1",
            " newThing=some words",
            ' cs6=say "a" cs6Label=clapp',
            " cs9=a rule, cs9Label=Rule name",
        ],
    )
    def test_one_behind_what_is_not_is_quarantined(self, closed: str) -> None:
        kinds = ("password=hunter2 token=abc", "x", '{"a":1}', "#Fields: a b", "CEF:", "|||||||")
        body = Body.of("".join(f"{cef(1)}{closed}\n{junk}\n\n{junk}\n" for junk in kinds) + cef(2))
        assert body.refused == [("not_a_record", junk.encode()) for junk in kinds for _ in range(2)]
        assert body.column("parse_warnings") == [[]] * (len(kinds) + 1)
        assert all("hunter2" not in str(row) for row in body.rows)

    def test_joining_ends_where_the_text_does(self) -> None:
        body = Body.of(f"CEF:0|{SIGNATURE} postbody=a\nb act=REQ_PASSED\njunk\n{cef(2)}")
        assert body.rows[0]["request_body"] == "a\nb"
        assert body.refused == [("not_a_record", b"junk")]

    def test_one_before_the_first_record(self) -> None:
        body = Body.of(f"rest of\na body |Incapsula|SIEMintegration| |Incapsula|SIEMintegration|\n{cef(1)}")
        assert [reason for reason, _ in body.refused] == ["not_a_record"] * 2
        assert body.column("src_line") == [3]


class TestPrefix:
    @pytest.mark.parametrize(
        "prefix",
        [
            SYSLOG,
            RFC5424,
            "<13>",
            "Jul  3 17:02:01 host imperva[123]: ",
            "2025-07-23T17:02:01Z host ",
            "245 ",
            f"245 {RFC5424}",
            '<134>1 - - - - - [a b="c"] ',
        ],
    )
    @pytest.mark.parametrize("format_name", ["CEF", "LEEF"])
    def test_syslog_is_kept_and_nothing_is_wrong_with_it(self, format_name: str, prefix: str) -> None:
        record = RECORD_OF[format_name]
        body = Body.of("".join(f"{prefix}{record(number)}\n" for number in (1, 2)))
        assert body.column("client_ip") == ["192.0.2.1", "192.0.2.2"]
        assert body.column("extra") == [{"prefix": prefix.strip()}] * 2
        assert body.column("parse_warnings") == [[], []]

    def test_other_text_is_kept_and_noted(self) -> None:
        body = Body.of(f"{cef(1)}\nwhatever it is, a=b; {cef(2)}")
        assert body.column("client_ip") == ["192.0.2.1", "192.0.2.2"]
        assert body.rows[1]["extra"] == {"prefix": "whatever it is, a=b;"}
        assert body.rows[1]["parse_warnings"] == ["text_before_header"]

    @pytest.mark.parametrize("start", ["0|", "CEF: 0|", "CEF:1|"])
    def test_any_version_and_none(self, start: str) -> None:
        body = Body.of(cef(1) + cef(2, start=start) + "\n" + cef(3, start=start))
        assert body.column("session_id") == ["1", "3", "2"] or sorted(body.column("session_id")) == ["1", "2", "3"]

    def test_other_vendors_begin_lines_only(self) -> None:
        acme = "CEF:0|Acme|Box|9|42|Thing|3|src=192.0.2.7"
        body = Body.of(f"{cef(1)}\n{acme}\n{acme} msg=|Incapsula|SIEMintegration|1\n{cef(2)}")
        assert body.column("client_ip") == ["192.0.2.1", "192.0.2.7", "192.0.2.7", "192.0.2.2"]


class TestCount:
    """What is counted is not what is read."""

    def merged(self, body: str) -> Iterator[tuple[int, int]]:
        """Count, and read, as if a line that LF ends were a record, whatever is in it."""
        for block in parse([body.encode()], SOURCE):
            yield block.lines, block.events.num_rows + block.quarantined.num_rows

    @pytest.mark.parametrize("separator", ["", " ", "\r", "\0", "#012", SYSLOG, RFC5424])
    @pytest.mark.parametrize("format_name", ["CEF", "LEEF"])
    def test_record_that_a_reader_swallows_breaks_the_sum(
        self, format_name: str, separator: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        record = RECORD_OF[format_name]
        body = f"{record(1)}\n{record(2)}{separator}{record(3)}\n{record(4)}\n"
        assert list(self.merged(body)) == [(4, 4)]
        monkeypatch.setattr(KEYED, "_are_usual", lambda *_: True)
        assert list(self.merged(body)) == [(4, 3)]

    def test_line_that_a_reader_swallows_breaks_the_sum(self, monkeypatch: pytest.MonkeyPatch) -> None:
        body = f"{cef(1)}\njunk\n{cef(2)}\n"
        monkeypatch.setattr(KEYED.boundaries._Cutter, "_is_open", lambda *_: True)
        monkeypatch.setattr(KEYED.headers, "SIGNATURES", ())
        assert list(self.merged(body)) == [(3 - 1, 2)], "folded knowingly"


LARGE = 700_000 * TIMES_AS_LARGE


@pytest.mark.parametrize(
    "body",
    [
        "postbody=" + f"x |Incapsula|SIEMintegration| [{{{chr(34)} " * (LARGE // 100),
        "postbody=" + f"x {FORGED} y=[{{{chr(34)} " * (LARGE // 500),
        "postbody=" + "\n".join(["x=[{ "] * (LARGE // 10)),
        "postbody=" + "\r" * LARGE,
        "postbody=" + " " * LARGE + "\n" * (LARGE // 1000),
        "x\n" + "<1>" * (LARGE // 3),
        "x\n" + "1 " * (LARGE // 3),
    ],
    ids=lambda body: body[:40],
)
def test_no_text_takes_more_than_linear_time(body: str) -> None:
    found = Body.of(cef(1, f" {body}"))
    assert found.lines >= 1


@pytest.mark.parametrize("between", [" x ", ' "x ', " ", "", "\x00"])
@pytest.mark.parametrize("end", ["src=192.0.2.1", '" "a=1', ""])
def test_header_before_the_first_key_of_a_record_makes_nothing_fail(between: str, end: str) -> None:
    body = Body.of(f"CEF:0|{SIGNATURE}{between}CEF:0|{SIGNATURE} {end}\n{cef(1)}\n")
    assert body.lines == len(body.rows) + len(body.refused)
    assert [row["client_ip"] for row in body.rows if row["src_line"] == 2] == ["192.0.2.1"]


@pytest.mark.parametrize("format_name", ["CEF", "LEEF"])
@pytest.mark.parametrize("separator", ["", " "])
def test_long_record_among_others_on_a_line_goes_alone(
    format_name: str, separator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = RECORD_OF[format_name]
    between = " " if format_name == "CEF" else "\t"
    monkeypatch.setattr(LONG_LINES, "MAX_LINE_BYTES", 2000)
    body = separator.join([*map(record, (1, 2)), record(3, f"{between}postbody={'x' * 3000}"), *map(record, (4, 5))])
    found = Body.of(*(body[begin : begin + 700] for begin in range(0, len(body), 700)))
    assert sorted(found.column("session_id")) == ["1", "2", "4", "5"]
    assert [reason.partition(":")[0] for reason, _ in found.refused] == ["too_long"]
    assert found.column("parse_warnings") == [[]] * 4


@pytest.mark.parametrize("format_name", ["CEF", "LEEF"])
@pytest.mark.parametrize(("block_bytes", "step"), [(1, 300), (100, 40), (300, 1), (500, 40)])
def test_header_in_a_clients_text_ends_no_block(format_name: str, block_bytes: int, step: int) -> None:
    """On a line with other records: what is in quarantine with it does not hang on how the body is cut."""
    record = RECORD_OF[format_name]
    between = " " if format_name == "CEF" else "\t"
    forged = FORGED if format_name == "CEF" else as_leef(FORGED)
    texts = ["", f"{between}requestClientApplication=a {forged}", "", "", f"{between}postbody={forged}", "", "", ""]
    body = "".join(record(number, text) for number, text in enumerate(texts, 1)).encode()
    whole = Body.of(body)
    assert (whole.column("session_id"), len(whole.refused)) == (["1", "3", "4", "6", "7", "8"], 4)
    assert [codes for codes in whole.column("parse_warnings") if codes] == [["follows_incomplete"]] * 2
    found = Body.of(*(body[begin : begin + step] for begin in range(0, len(body), step)), block_bytes=block_bytes)
    assert (found.rows, found.refused) == (whole.rows, whole.refused)
