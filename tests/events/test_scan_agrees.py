"""The fast reader and the careful one give the same table, whatever the lines; and the fast one takes nearly all."""

from __future__ import annotations

import os
from typing import Literal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_imperva.events.bodies.text_block import RejectedLine, read_each, read_lines
from airflow_provider_imperva.events.grammar import cef, leef
from airflow_provider_imperva.events.grammar.text_columns import TextColumns
from airflow_provider_imperva.events.scan.buffers import Mask
from airflow_provider_imperva.events.scan.lines import Lines
from airflow_provider_imperva.events.scan.scan import scan
from airflow_provider_imperva.events.schema.columns import COLUMNS, LABELS
from airflow_provider_imperva.events.schema.source import LogSource
from airflow_provider_imperva.events.typed.dates import LogDates
from airflow_provider_imperva.events.typed.table import to_table
from airflow_provider_imperva.testing.forge import forge_events

SOURCE = LogSource(file="8416_7.log", sequence=7, start_time=1_700_000_000_000, fetched_time=1_795_300_000_000)
READERS = {"CEF": cef.read_record, "LEEF": leef.read_record}
Format = Literal["CEF", "LEEF"]
EXAMPLES = int(os.environ.get("IMPERVA_EXAMPLES", "40"))
"""How many bodies each property is tried on; many thousand in a long run."""

LONG = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example]
)
AS_LONG_AS_IT_TAKES = pytest.mark.timeout(300 + EXAMPLES)


def split(body: bytes, format_name: str) -> tuple[Lines, Mask]:
    """Split a body into records, and tell the joined ones: whatever begins otherwise joins, but of five lines one."""
    lines = Lines.split(body, first_number=1)
    return lines.joined(lines.begin_with(format_name.encode()) | (lines.numbers % 5 > 0))


def merged(lines: Lines, joined: Mask, format_name: Format) -> tuple[TextColumns, list[RejectedLine], Mask]:
    """Read in both ways; tells which lines the fast one took."""
    taken = np.zeros(len(lines), np.bool_)

    def watched(some: Lines) -> tuple[TextColumns, Mask]:
        columns, which = scan(some, format_name, keep_raw=True)
        taken[np.isin(lines.numbers, some.numbers[which])] = True
        return columns, which

    reader = READERS[format_name]
    return *read_lines(lines, watched, reader, irregular=joined, format_name=format_name, keep_raw=True), taken


def assert_same(body: bytes, format_name: Format = "CEF") -> Mask:
    """Both ways give the same rows and reject the same lines; tells which records the fast one took."""
    lines, joined = split(body, format_name)
    wanted, wanted_rejected = read_each(lines, READERS[format_name], format_name=format_name, keep_raw=True)
    found, found_rejected, taken = merged(lines, joined, format_name)
    assert found_rejected == wanted_rejected
    tables = [to_table(columns, SOURCE, LogDates.of(SOURCE)).to_pydict() for columns in (found, wanted)]
    assert tables[0] == tables[1]
    return taken


KEYS = {
    name: [column.source(name) for column in COLUMNS if column.source(name) and " " not in column.source(name)]
    for name in ("CEF", "LEEF")
}
JSON_KEYS = {column.cef for column in COLUMNS if column.kind == "json"}
ODD_KEYS = [
    "newThing",
    "cmd",
    "cs12",
    "cs12Label",
    "cn1Label",
    "cs1label",
    "CS10LABEL",
    "FILEID",
    "x_1",
    "x-1.y",
    "_x",
    "1x",
    "msg",
    "dhost",
]
# fmt: off
# ruff: noqa: E501 (the tables of texts)
TEXTS = st.sampled_from(
    [
        "", " ", "a", "0", "443", "true", "FALSE", "198.51.100.7", "2001:db8::1", "1767225600000", "1767225600", "9" * 20,
        "a b", "a | b", "a=b", r"a\=b", r"a\\=b", r"a\\", "a\\", r"\n", r"x\ry", r'\"', '"', '"a"', '"a', 'a"b"', '""', "''",
        "[", "]", "{}", "[]", '[{"a":"b"}]', '[{"a":"b=c mode=block"}]', '[{"a":"x src=1"}]', '[{"a":"x src\\=1"}]',
        ',,[{"a":"b"}]', '[{"a":"b"}],[{"c":"d"}]', '[{"a":"b"}],', '[{"a":"b"}] x', '[{"a":"b"}] new=1', '[{"a":"b', '{"a":[1,2]}',
        '"[{"a":"b"}]"', '[{"a":"\\"]"}]', '[{"a":"\\\\"}]', '[{"a":"\\\\\\"x"}]', "[[[[[[]]]]]]", "[}", '{"a":"}"}', '["a\tb"]',
        "cmd=ls", "x cmd=ls", "x act=REQ_PASSED", "x act\\=y", "=", "==", " = ", "\t", "a\tb", "a\tsrc=1", "\x00", "\x1c", "a\x0bb=c",
        "\x85", "\u2028", "é", "東京", "\ufeff", "\r", "clappsigdproc=Browser", "clappsig", "Rule name", "k" * 70 + "=", "10,,20,",
        "CEF:0|", "|", r"\|", "a app =b", "a new =b", '{"a":"b src=1"}', '[[1],["x in=2"]]', "a|src=1", "a^src=1", "a" * 300, "         ", "          x", "x           ",
    ]
)
# fmt: on
HEADERS = {
    "CEF": [
        "CEF:0|Incapsula|SIEMintegration|1|1|Normal|0| ",
        "CEF:0|Incapsula|SIEMintegration|1|1|Normal|0|",
        "CEF:0|Incapsula|SIEMintegration|1|1|SQL Injection|1| ",
        r"CEF:0|Incapsula|SIEMintegration|1|1|IncapRules(a\|b\\c=)|11| ",
        r"CEF:0|Incapsula|SIEMintegration|1|1|Rule\\|11| ",
        r"CEF:0|Incapsula|SIEMintegration|1|1|Rule\|11| ",
        "CEF:0|Incapsula|SIEMintegration|1|1|Normal|| ",
        "CEF:0|Incapsula|SIEMintegration|1|1|Normal| ",
        "CEF:0|Acme|Other Box|9|42|Thing|high|",
        "CEF:0|Imperva Inc|Attack Analytics|0|1|Some attack|MAJOR|",
        "CEF:0|Imperva Inc|Attack Analytics|0|1|Some attack||",
        "0|Incapsula|SIEMintegration|1|1|Normal|0| ",
        " CEF:0|Incapsula|SIEMintegration|1|1|Normal|0|\t",
        "CEF:0|Incapsula|SIEMintegration|1|1|IncapRules(a|b)|11| ",
        "CEF:0|Incapsula|SIEMintegration|1|1|IncapRules(a|7|b)|11|",
        "CEF:0|Incapsula|SIEMintegration|1|1|Normal|0|| ",
        "<13>1 2025-07-23T17:02:01Z h a - - - CEF:0|Incapsula|SIEMintegration|1|1|Normal|0| ",
        "CEF:",
        "nonsense ",
    ],
    "LEEF": [
        "LEEF:0|Incapsula|SIEMintegration|0|SQL Injection| ",
        "LEEF:1.0|Incapsula|SIEMintegration|1|Normal|",
        "LEEF:2.0|Incapsula|SIEMintegration|1|Normal|x09|",
        "LEEF:2.0|Incapsula|SIEMintegration|1|Normal|0x09|",
        "LEEF:2.0|Incapsula|SIEMintegration|1|Normal|\\t|",
        "LEEF:2.0|Incapsula|SIEMintegration|1|Normal||",
        "LEEF:1.0|Incapsula|SIEMintegration|1|a\\|b| \t",
        "LEEF:1.0|Imperva Inc|Attack Analytics|0|1|",
        "LEEF:2.0|Incapsula|SIEMintegration|1|Normal|^|",
        "LEEF:2.0|Incapsula|SIEMintegration|1|Normal|x3B|",
        "LEEF:1.0|Incapsula",
        "nonsense ",
    ],
}


PLAIN = st.sampled_from(["a", "443", "a b", "x | y", r"p\=1&q\=2", "true", "-1.5", "1767225600000"])
JSON_TEXTS = TEXTS.filter(lambda text: "[" in text or "{" in text)


@st.composite
def pairs(draw: st.DrawFn, key: str, *, irregular: bool) -> str:
    """A pair, with its label if it has one; odd ones may be anything."""
    text = draw(JSON_TEXTS if key in JSON_KEYS else TEXTS if irregular else PLAIN)
    if key not in LABELS or (irregular and draw(st.booleans())):
        return f"{key}={text}"
    label = draw(TEXTS | st.just(LABELS[key].upper())) if irregular and draw(st.booleans()) else LABELS[key]
    return f"{key}={text} {key}Label={label}"


BLANKS = [" ", " ", " ", "\t", "  ", " \t", ""]


@st.composite
def lines(draw: st.DrawFn, format_name: str) -> bytes:
    """A record: mostly as they are, with an oddity or two, so that a fast reader would take it if it could."""
    irregular = st.integers(0, 7).map(lambda number: number == 7)
    header = draw(st.sampled_from(HEADERS[format_name] if draw(irregular) else HEADERS[format_name][:2]))
    stray = draw(st.sampled_from(["stray ", "  ", "=", " x y=1 "])) if draw(irregular) else ""
    blank = draw(st.sampled_from(["\t", " "])) if format_name == "LEEF" else " "
    named = draw(st.lists(st.sampled_from(KEYS[format_name]), max_size=8, unique=not draw(irregular)))
    named += draw(st.lists(st.sampled_from(ODD_KEYS), max_size=2)) if draw(irregular) else []
    found = [draw(pairs(key, irregular=draw(irregular))).replace(" cs", f"{blank}cs") for key in named]
    text = "".join(pair + (draw(st.sampled_from(BLANKS)) if draw(irregular) else blank) for pair in found)
    end = draw(st.sampled_from([b"\r", b" ", b"\xff", b"\xc3", b"\xed\xa0\x80"])) if draw(irregular) else b""
    return (header + stray + text.removesuffix(blank)).encode() + end


def bodies(format_name: str) -> st.SearchStrategy[bytes]:
    return st.lists(lines(format_name) | st.binary(max_size=30), max_size=6).map(b"\n".join)


@AS_LONG_AS_IT_TAKES
@LONG
@given(bodies("CEF"))
def test_any_cef_reads_the_same_both_ways(body: bytes) -> None:
    assert_same(body, "CEF")


@AS_LONG_AS_IT_TAKES
@LONG
@given(bodies("LEEF"))
def test_any_leef_reads_the_same_both_ways(body: bytes) -> None:
    assert_same(body, "LEEF")


FORGED = [event.encode() for event in forge_events(60, seed="scan", security_share=0.4)]
PIECES = st.sampled_from(
    [b"", b" ", b"=", b"\\", b'"', b"[", b"]", b"}", b"\t", b"\n", b"\r", b"|", b"\xff", b"\x00", b" act=", b" cmd=", b" ccode=", b"Label", b"\\=",
     b"\\n", b" cs9Label=", b"cs10=[", b",", "é".encode(), b" new1=", b"\r\n"]
)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A forged line with a few stretches put out or replaced."""
    line = draw(st.sampled_from(FORGED))
    for _ in range(draw(st.integers(0, 4))):
        begin = draw(st.integers(0, len(line)))
        line = line[:begin] + draw(PIECES) + line[begin + draw(st.integers(0, 12)) :]
    return line


@AS_LONG_AS_IT_TAKES
@LONG
@given(st.lists(mutated(), max_size=6).map(b"\n".join))
def test_mutated_events_read_the_same_both_ways(body: bytes) -> None:
    assert_same(body)


def test_leef_is_cut_at_tabs_or_at_keys_line_by_line() -> None:
    head = "LEEF:1.0|Incapsula|SIEMintegration|1|Normal|"
    tabbed = f"{head}src=192.0.2.1\tin=4\tdst=192.0.2.2\tcat=REQ_PASSED"
    lines = [tabbed, f"{head}src=192.0.2.1 in=4", f"{head}src=192.0.2.1 in=4\tdst=192.0.2.2", f"{tabbed}\tx", tabbed]
    assert assert_same("\n".join(lines).encode(), "LEEF").tolist() == [True, True, False, False, True]


@pytest.mark.parametrize("cut", range(1, 40))
def test_block_that_ends_anywhere_reads_the_same(cut: int) -> None:
    start = "CEF:0|Incapsula|SIEMintegration|1|1|Normal|0| src=192.0.2.1"
    keys = ("qstr", "cicode", "cs10", "requestClientApplication")
    lines = [f'{start} {key}=[{{"a":"b\\=c"}}] cs10Label=Rule Info' for key in keys]
    # The end of the block is another one each time.
    last = lines[cut % len(lines)]
    assert_same("\n".join([*lines, *(line[:-cut] for line in lines), last[:-cut]]).encode())


def leef_of(event: str) -> str:
    """The same event as LEEF has it, more or less: tabs between pairs."""
    header, extension = event.split("| fileId", 1)
    extension = f"fileId{extension}"
    for column in COLUMNS:
        if column.cef and " " not in column.cef + column.leef:
            extension = extension.replace(f" {column.cef}=", f"\t{column.leef}=").replace(
                f" {column.cef}Label=", f"\t{column.cef}Label="
            )
    name = header.rpartition("|")[0].split("|", 5)[5]
    return f"LEEF:1.0|Incapsula|SIEMintegration|1|{name}|{extension}"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("\n".join(forge_events(150, seed=5)), id="cef"),
        pytest.param("\r\n".join(forge_events(150, seed=6)), id="cef with carriage returns"),
        pytest.param("\n".join(forge_events(150, seed=7, security_share=1)), id="security events"),
    ],
)
def test_nearly_all_forged_events_are_taken_by_the_fast_reader(body: str) -> None:
    assert assert_same(body.encode()).mean() >= 0.98


@pytest.mark.parametrize("tab", ["\t", " "])
def test_nearly_all_forged_leef_is_taken_by_the_fast_reader(tab: str) -> None:
    body = "\n".join(leef_of(event) for event in forge_events(150, seed=8)).replace("\t", tab)
    assert assert_same(body.encode(), "LEEF").mean() >= 0.98


TAKEN = [
    r"qstr=a\=b&c\\d postbody=x\ny",
    r"cicode=a\=b tag=c d\=e",
    "requestClientApplication=a | b; c=d",
    "cs9= cs9Label=Rule name fileType=1,2, src=192.0.2.1",
    "ver= TLSv1.2 A ",
    "fileid=1 REQUESTMETHOD=GET",
    'cs10=[{"a":"max-age=86400; mode=block"}] cs10Label=Rule Info',
    'cs11=,,[{"a":"b"}] cs11Label=Rule Additional Info',
    'additionalReqHeaders=[{"A":"say \\"]\\""}]',
    'additionalReqHeaders=[{"a":"b cmd=1"}] newThing=1',
    "cicode='Amran\u2028\x85\x1c",
    "cicode=a newThing=1 other_thing=b\\=c src=192.0.2.1",
    "newThing=1",
    f"cicode=a {'x' * 63}=1 {'y' * 64}=2",
    "newThing=a 1=2 (x=4",
    "cicode=a bot.score=1 x-risk=2 _t=3",
]


@pytest.mark.parametrize("extension", TAKEN)
def test_what_normal_traffic_has_is_taken(extension: str) -> None:
    body = f"CEF:0|Incapsula|SIEMintegration|1|1|Normal|0| {extension}"
    assert assert_same(body.encode()).tolist() == [True]


def test_known_key_within_json_is_taken_by_the_compiled_reader_only(reader: str) -> None:
    """To the plain one, every known key ends the value before it."""
    extension = 'additionalReqHeaders=[{"a":"b src=1"}] newThing=1'
    body = f"CEF:0|Incapsula|SIEMintegration|1|1|Normal|0| {extension}"
    assert assert_same(body.encode()).tolist() == [reader == "compiled"]


LEFT = [
    "src=1 src=2",
    "newThing=1 newThing=2",
    "cn1Label=a",
    'cs6="Edge" cs6Label=clapp',
    "cs6=Edge",
    "cs6=Edge cs6Label=other",
    "cs5=a cs5Label=clappsigdproc=b",
    'additionalReqHeaders=[{"a":"b"',
    "stray src=1",
    "cicode=a app =HTTPS",
    "cicode=a new =1",
    'newThing={"a":"b src=1"} src=192.0.2.1',
    'postbody=[{"a":"b src=1"}] src=192.0.2.1',
    "requestClientApplication=a fileType=1,",
    "cs12=a",
    "",
]


@pytest.mark.parametrize("extension", LEFT)
def test_what_only_the_careful_reader_can_tell_is_left_to_it(extension: str) -> None:
    body = f"CEF:0|Incapsula|SIEMintegration|1|1|Normal|0| {extension}"
    assert assert_same(body.encode()).tolist() == [False]


@pytest.mark.parametrize(
    ("format_name", "line"),
    [
        ("CEF", r"CEF:0|Incapsula|SIEMintegration|1|1|Rule\\|11| src=192.0.2.1 qstr=a|in=4"),
        ("CEF", "CEF:0|Incapsula|SIEMintegration|1|1|IncapRules(a=b)|11| src=192.0.2.1"),
        ("LEEF", "LEEF:2.0|Incapsula|SIEMintegration|1|Normal|x09|src=192.0.2.1\tin=4\tnewThing=1"),
        ("LEEF", "LEEF:2.0|Incapsula|SIEMintegration|1|Normal|| src=192.0.2.1 in=4"),
        ("LEEF", "LEEF:2.0|Incapsula|SIEMintegration|1|Normal|\t|src=192.0.2.1\tin=4"),
        ("LEEF", "LEEF:1.0|Incapsula|SIEMintegration|1|Normal|\tsrc=192.0.2.1 in=4"),
        ("LEEF", "LEEF:1.0|Incapsula|SIEMintegration|1|Normal|src=192.0.2.1 in=4\t\t"),
    ],
)
def test_header_that_is_read_by_itself_is_taken(format_name: Format, line: str) -> None:
    assert assert_same(line.encode(), format_name).tolist() == [True]


ODD_HEADERS = [
    ("CEF", "CEF:0|Imperva Inc|Attack Analytics|0|1|Some attack|MAJOR|msg=a src=192.0.2.1"),
    ("CEF", "CEF:0|Imperva Inc|Attack Analytics|0|1|Some attack||msg=a src=192.0.2.1"),
    ("CEF", r"CEF:0|Incapsula|SIEMintegration|1|1|Rule\|11| src=192.0.2.1 qstr=a|in=4"),
    ("CEF", "src=192.0.2.1 in=4 cicode=a b c d e"),
    ("LEEF", "LEEF:1.0|Incapsula|SIEMintegration|1|Normal|x src=192.0.2.1\tin=4"),
    ("LEEF", "LEEF:2.0|Incapsula|SIEMintegration|1|Normal|^|src=192.0.2.1^in=4"),
    ("LEEF", "LEEF:1.0|Incapsula|SIEMintegration|1|Normal|src=192.0.2.1|in=4"),
    ("LEEF", "LEEF:1.0|Incapsula|SIEMintegration|1|Normal|src=192.0.2.1 in=4 url=a\tb"),
    ("LEEF", 'LEEF:1.0|Incapsula|SIEMintegration|1|Normal|cs10=[{"a":"b\tsrc=1"}]\tcs10Label=Rule Info'),
    ("CEF", "<13>Jul  3 17:02:01 host app: CEF:0|Incapsula|SIEMintegration|1|1|Normal|0| src=192.0.2.1"),
]


@pytest.mark.parametrize(("format_name", "line"), ODD_HEADERS)
def test_what_is_odd_between_header_and_keys_is_left_to_the_careful_reader(format_name: Format, line: str) -> None:
    assert assert_same(line.encode(), format_name).tolist() == [False]


def test_merging_puts_rows_and_notes_in_the_order_of_lines() -> None:
    head = b"CEF:0|Incapsula|SIEMintegration|1|1|Normal|0| "
    body = b"\n".join([head + b"src=192.0.2.1", head + b"ccode=IL ccode=FR", head + b"cs12=1", head + b"in=4"])
    columns, rejected, taken = merged(Lines.split(body, first_number=10), np.zeros(4, np.bool_), "CEF")
    assert taken.tolist() == [True, False, False, True]
    assert columns.lines.to_pylist() == [10, 11, 12, 13]
    assert columns.notes.extra == [(1, "ccode", "FR"), (2, "cs12", "1")]
    assert columns.notes.warnings == [(1, "duplicate_key:ccode")]
    assert columns.texts["client_ip"].to_pylist() == ["192.0.2.1", None, None, None]
    assert columns.raw is not None
    assert columns.raw.to_pylist() == body.decode().split("\n")
    assert rejected == []


def test_arrays_of_a_block_do_not_keep_the_block() -> None:
    body = "\n".join(forge_events(200, seed=9)).encode()
    columns, _ = scan(Lines.split(body, first_number=1), "CEF")
    for texts in columns.texts.values():
        texts = texts.dictionary if isinstance(texts, pa.DictionaryArray) else texts
        assert isinstance(texts, pa.StringArray)
        assert sum(buffer.size for buffer in texts.buffers() if buffer) < len(body)


@pytest.mark.parametrize("blank", [" ", "\t "])
def test_long_run_of_blanks_takes_no_step_for_each_in_all_records(blank: str) -> None:
    """A step for all records at each blank would take hours here."""
    head = "LEEF:1.0|Incapsula|SIEMintegration|1|Normal|src=192.0.2.1 "
    pairs = " ".join(f"k{number}=1 in={number}" for number in range(20))
    body = "\n".join([*[head + pairs] * 1000, f"{head}url=a|{blank * 1_000_000}in=1"])
    scan(Lines.split(body.encode(), first_number=1), "LEEF")
