"""JSON in every shape it comes in: nothing of it is lost, no digit of a number, and nothing makes it fail."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_imperva.events import parse
from airflow_provider_imperva.events.scan.lines import BLOCK_BYTES
from tests.events.cef_lines import SOURCE, TOO_LONG, rows, set_in
from tests.long_form import TIMES_AS_LARGE

PARSE = import_module("airflow_provider_imperva.events.parse")
OBJECTS = import_module("airflow_provider_imperva.events.bodies.objects")
RECORDS = import_module("airflow_provider_imperva.events.bodies.records")
VALUES = import_module("airflow_provider_imperva.events.bodies.values")
EVENTS = [
    {"timestamp": 1700000000001, "client": {"ip": "192.0.2.1"}, "message": "one"},
    {"timestamp": 1700000000002, "client": {"ip": "192.0.2.2"}, "message": "two"},
]


def row(event: Any) -> dict[str, Any]:
    (only,) = rows(event if isinstance(event, str) else json.dumps(event))
    assert only["event_class"] == "other"
    return only


def as_bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def tables(
    *chunks: str | bytes, block_bytes: int = BLOCK_BYTES
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], int]:
    blocks = list(parse(map(as_bytes, chunks), SOURCE, keep_raw=True, block_bytes=block_bytes))
    events = [row for block in blocks for row in block.events.to_pylist()]
    quarantined = [row for block in blocks for row in block.quarantined.to_pylist()]
    return events, quarantined, sum(block.lines for block in blocks)


class TestShapes:
    @pytest.mark.parametrize(
        "body",
        [
            "\n".join(map(json.dumps, EVENTS)),
            "\r\n\r\n".join(map(json.dumps, EVENTS)) + "\r\n",
            "\ufeff" + "".join(map(json.dumps, EVENTS)),
            "\n".join(json.dumps(event, indent=2) for event in EVENTS),
            ",\n".join(map(json.dumps, EVENTS)),
            json.dumps(EVENTS),
            json.dumps(EVENTS, indent=4),
            "\n".join(json.dumps([event]) for event in EVENTS),
            json.dumps({"logs": EVENTS}),
            json.dumps({"Events": EVENTS}, indent=1),
            json.dumps({"RECORDS": EVENTS}),
            json.dumps([{"logs": EVENTS[:1]}, {"logs": EVENTS[1:]}]),
        ],
    )
    @pytest.mark.parametrize("block_bytes", [1, 50, 8 << 20])
    def test_every_shape_gives_the_same(self, body: str, block_bytes: int) -> None:
        self.assert_two_events(body, block_bytes=block_bytes)

    def assert_two_events(self, body: str, *, block_bytes: int = BLOCK_BYTES) -> None:
        events, quarantined, lines = tables(body, block_bytes=block_bytes)
        assert [(r["src_line"], r["client_ip"], dict(r["extra"])) for r in events] == [
            (1, "192.0.2.1", {"message": "one"}),
            (2, "192.0.2.2", {"message": "two"}),
        ]
        assert (quarantined, lines) == ([], 2)
        assert [json.loads(r["raw"]) for r in events] == EVENTS

    def test_what_stands_beside_the_list_is_kept_with_each(self) -> None:
        events = rows(json.dumps({"cursor": 7, "records": [{"a": 1}, {"a": 2}], "more": False}))
        assert [r["extra"] for r in events] == [{"a": str(n), "cursor": "7", "more": "false"} for n in (1, 2)]

    @pytest.mark.parametrize(
        "event",
        [
            {"events": ["a"]},
            {"events": [{"a": 1}], "imperva": {"b": 1}},
            {"timestamp": 1710000000000, "events": [{"a": 1}]},
            {"errors": [{"a": 1}]},
            {"payload": [{"a": 1}]},
            {"a": {"b": {"c": {"events": [{"d": 1}]}}}},
            {"events": 1},
            {"message": "hi", "events": []},
            {"Records": [], "more": None, "cursor": 7},
        ],
    )
    def test_event_with_such_a_key_is_no_envelope(self, event: dict[str, Any]) -> None:
        found = row(event)
        assert "events" not in found["extra"] or found["extra"]["events"].startswith(("[", "1"))
        assert sum(map(len, found["extra"])) > 0

    @pytest.mark.parametrize("body", ["[]", '{"records": []}', "[]\n[]"])
    def test_empty_list_has_no_event(self, body: str) -> None:
        assert tables(body) == ([], [], 0)

    def test_from_what_is_no_json_on_a_body_is_read_line_by_line(self) -> None:
        body = b'{"a":1}\n{"b":\n\n[{"c":1},3,"x"]\n"text"\n{"d":"\xff"} x\n{"e":1}'
        events, quarantined, lines = tables(body)
        assert [(r["src_line"], dict(r["extra"])) for r in events] == [
            (1, {"a": "1"}),
            (3, {"c": "1"}),
            (7, {"d": "\ufffd"}),
            (9, {"e": "1"}),
        ]
        assert [(r["src_line"], r["reason"], r["raw"]) for r in quarantined] == [
            (2, "bad_json", b'{"b":'),
            (4, "not_a_record", b"3"),
            (5, "not_a_record", b'"x"'),
            (6, "not_a_record", b'"text"'),
            (8, "bad_json", b"x"),
        ]
        assert lines == 9

    @pytest.mark.parametrize("body", ['[{"a":1}"x"]', '{"a":1}"x",{"b":2}', '[{"a":1}\n{"b":2]'])
    def test_what_cannot_be_read_is_quarantined_to_the_end_of_its_line(self, body: str) -> None:
        events, quarantined, lines = tables(body)
        assert ([dict(r["extra"]) for r in events], lines) == ([{"a": "1"}], 2)
        assert "".join(r["raw"].decode() for r in quarantined) == body[body.index("1}") + 2 :].strip()

    def test_truncated_array_gives_the_objects_that_are_whole(self) -> None:
        events, quarantined, lines = tables(json.dumps(EVENTS, indent=1)[:-20])
        assert ([r["src_line"] for r in events], lines) == ([1], 1 + len(quarantined))
        assert quarantined

    @pytest.mark.parametrize(
        ("opening", "item", "between"),
        [("", '{"a":1}', "\n"), ("[\n", '{\n "a": 1\n}', ",\n"), ('x\n{"b":', '{"a":1}', "\n"), ("[", "[1]", ",")],
    )
    def test_body_of_any_size_is_read_in_blocks(
        self, opening: str, item: str, between: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(PARSE, "HEAD_BYTES", 100)
        pieces = [f'{{"a":1}}\n{opening}', *[item + between] * 3000]
        left = iter(pieces)
        sizes = []
        for block in parse((piece.encode() for piece in left), SOURCE, block_bytes=2500):
            sizes.append(block.lines)
            assert block.lines == block.events.num_rows + block.quarantined.num_rows
            if len(sizes) == 2:
                assert len(list(zip(range(100), left, strict=False))) == 100, "the body was read to its end"
        assert max(sizes) < 100
        assert sum(sizes) > 2800


class TestValues:
    def test_inner_objects_are_flattened_and_the_rest_is_text(self) -> None:
        event = row({"a": {"b": {"c": 1, "d": None}, "e": [1, "x", {"y": []}], "f": {}}, "g": True, "h": "", "i": []})
        assert event["extra"] == {"a.b.c": "1", "a.e": '[1,"x",{"y":[]}]', "a.f": "{}", "g": "true", "i": "[]"}

    @pytest.mark.parametrize(
        "number", ["9007199254740993", "123456789012345678901234567890", "0.1000000000000000055", "1e400", "-0", "NaN"]
    )
    def test_numbers_are_kept_digit_by_digit(self, number: str) -> None:
        event = row(f'{{"event":{{"id":{number}}},"x":{number},"y":[{number}]}}')
        assert (event["request_id"], event["extra"]) == (number, {"x": number, "y": f"[{number}]"})

    def test_id_of_nineteen_digits_is_exact_as_number_and_as_text(self) -> None:
        number = 9223372036854775807
        events = rows(*(json.dumps({"imperva": {"ids": {"account_id": n}}}) for n in (number, str(number))))
        assert [r["account_id"] for r in events] == [number, number]

    def test_second_value_of_a_key_is_kept(self) -> None:
        event = row('{"x":1,"client":{"ip":"192.0.2.1","ip":"192.0.2.2"},"x":2,"client":{"ip":"192.0.2.3"}}')
        assert event["client_ip"] == "192.0.2.1"
        assert event["extra"] == {"x": "1", "x#2": "2", "client.ip": "192.0.2.2", "client.ip#2": "192.0.2.3"}
        assert set(event["parse_warnings"]) >= {"duplicate_key:x", "duplicate_key:client.ip"}

    def test_dotted_key_is_the_same_as_an_inner_one(self) -> None:
        assert set_in(row({"client.ip": "192.0.2.1", "http": {"request.method": "GET"}})) == {
            "client_ip": "192.0.2.1",
            "http_method": "GET",
        }

    def test_first_path_that_is_there_counts_and_the_other_is_kept(self) -> None:
        both = row({"@timestamp": "2024-03-09T16:00:00Z", "timestamp": 1710000000000, "imperva": {"country": "FR"}})
        assert (both["event_time"].timestamp(), both["client_country_code"]) == (1_710_000_000, "FR")
        assert both["extra"] == {"@timestamp": "2024-03-09T16:00:00Z"}
        other = row({"@timestamp": "2024-03-09T16:00:00Z"})
        assert (other["event_time"].timestamp(), other["extra"]) == (1_710_000_000, {})

    def test_what_does_not_fit_is_kept_under_the_path_it_came_from(self) -> None:
        events = [{"@timestamp": "yesterday"}, {"timestamp": "today"}, {"@timestamp": 1710000000}]
        found = rows(*map(json.dumps, events))
        assert [r["extra"] for r in found] == [{"@timestamp": "yesterday"}, {"timestamp": "today"}, {}]
        assert [[code for code in r["parse_warnings"] if ":" in code] for r in found] == [
            ["bad_time:@timestamp"],
            ["bad_time:timestamp"],
            ["epoch_seconds:@timestamp"],
        ]

    def test_object_with_a_column_is_its_text(self) -> None:
        event = row({"imperva": {"abp": {"policy_name": "P", "n": 1.50, "x": ["a"]}, "path": "/"}})
        assert event["rule_info"] == '{"policy_name":"P","n":1.5,"x":["a"]}'
        assert (event["rule_names"], event["extra"]) == (["P"], {"imperva.path": "/"})

    @pytest.mark.parametrize(
        ("value", "names"),
        [
            ("Block, then log", ["Block, then log"]),
            (["A, B", "C"], ["A, B", "C"]),
            (["P", "", None, "Q", ""], ["P", "", "", "Q", ""]),
            ([1.50, {"a": [2]}, "\ud800"], ["1.5", '{"a":[2]}', "\ufffd"]),
            ([], []),
            ("", None),
            (None, None),
        ],
    )
    def test_list_of_names_is_cut_at_no_comma(self, value: Any, names: list[str] | None) -> None:
        assert row({"imperva": {"abp": {"policy_name": value}}})["rule_names"] == names

    def test_second_list_of_names_is_kept_as_json(self) -> None:
        event = row('{"imperva.abp.policy_name":["A, B"],"imperva":{"abp":{"policy_name":["C","D"]}}}')
        assert (event["rule_names"], event["extra"]) == (["A, B"], {"imperva.abp.policy_name": '["C","D"]'})

    def test_half_a_surrogate_pair_is_replaced_and_noted(self) -> None:
        event = row(r'{"a":"x\ud800y","\udc00":1,"user_agent":{"original":"\ud83d\ude00"}}')
        assert (event["extra"], event["user_agent"]) == ({"a": "x\ufffdy", "\ufffd": "1"}, "\U0001f600")
        assert "replaced_bytes" in event["parse_warnings"]

    @pytest.mark.parametrize("item", [r'"\ud800"', r'"x\udc80"', r'["\ud83d"]', r'"\ud83d\ude00"'])
    def test_what_is_no_object_is_quarantined_as_the_log_has_it(self, item: str) -> None:
        events, quarantined, lines = tables(f'[{item},{{"a":1}}]')
        assert (len(events), lines) == (1, 2)
        assert [json.loads(r["raw"]) for r in quarantined] == [json.loads(item)]

    def test_raw_text_is_text_too(self) -> None:
        events, _, _ = tables(b'{"a":"\xff"}\n{"b":"\\ud800"}')
        assert [event["raw"] for event in events] == ['{"a":"\ufffd"}', r'{"b":"\ud800"}']

    def test_line_ends_inside_a_string_are_text(self) -> None:
        assert row('{"a":"b\tc\\nd\\u0000"}')["extra"] == {"a": "b\tc\nd\x00"}


class TestBombs:
    @pytest.mark.parametrize("depth", [50, 500, 100_000])
    @pytest.mark.parametrize(("opening", "close"), [("[", "]"), ('{"a":', "}"), ('{"a":[', "]}")])
    def test_deep_nesting_is_kept_or_quarantined(self, depth: int, opening: str, close: str) -> None:
        body = f'{{"x":{opening * depth}1{close * depth}}}'
        events, quarantined, lines = tables(body + '\n{"y":2}')
        assert (len(events) + len(quarantined), lines) == (2, 2)
        assert dict(events[-1]["extra"]) == {"y": "2"}
        if quarantined:
            assert [(r["reason"], r["raw"]) for r in quarantined] == [("too_deep", body.encode())]
        else:
            assert json.loads(events[0]["raw"])

    def test_long_name_is_not_repeated_for_all_under_it(self) -> None:
        inner = {str(n): n for n in range(2000)}
        (text,) = row({"x" * 10_000: inner})["extra"].values()
        assert json.loads(text) == inner

    @pytest.mark.parametrize(
        "text",
        [
            "[" * 40_000 * TIMES_AS_LARGE,
            '{"a":' * 8_000 * TIMES_AS_LARGE,
            "[1,\n" * 2_000 * TIMES_AS_LARGE,
            '{"' * 15_000 * TIMES_AS_LARGE,
            '[{"a":[' + "{}," * 15_000 * TIMES_AS_LARGE,
        ],
        ids=lambda text: text[:10],
    )
    def test_what_never_closes_is_quarantined(self, text: str) -> None:
        events, quarantined, lines = tables(text)
        assert (events, len(quarantined)) == ([], lines)

    def test_longest_value_is_read_in_linear_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        decode, looked_at = VALUES._decoded, 0

        def counted(text: str, place: int) -> Any:
            nonlocal looked_at
            looked_at += len(text) - place
            return decode(text, place)

        monkeypatch.setattr(VALUES, "_decoded", counted)
        for body in ('{"a":"' + "x" * 100_000 + '"}', '{"a":"' + "x" * 100_000, '{"a":[' + "1, " * 30_000):
            looked_at = 0
            tables(body, block_bytes=100)
            assert looked_at < 6 * len(body)

    def test_longer_value_than_any_column_could_hold_is_quarantined(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for module, bound in (
            (VALUES, "MAX_RECORD_BYTES"),
            (VALUES, "MAX_ENVELOPE_BYTES"),
            (OBJECTS, "MAX_RECORD_BYTES"),
        ):
            monkeypatch.setattr(module, bound, 200)
        long = json.dumps({"a": "x" * 200})
        events, quarantined, lines = tables(f'{{"b":1}}\n{long}\n{{"c":"{"y" * 190}"}}\n[{{"d":1}},\n{{"e":1}}]')
        assert ([list(dict(r["extra"])) for r in events], lines) == ([["b"], ["c"], ["d"], ["e"]], 5)
        assert [(r["reason"], r["raw"].decode()) for r in quarantined] == [(TOO_LONG, long)]

    def test_record_that_its_names_make_too_long_is_quarantined(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(OBJECTS, "MAX_RECORD_BYTES", 10_000)
        record = json.dumps({"x" * 250: {str(n): n for n in range(100)}})
        events, quarantined, lines = tables(f'{record}{{"a":1}}')
        assert (len(events), lines) == (1, 2)
        assert [(r["reason"], r["raw"].decode()) for r in quarantined] == [(TOO_LONG, record[:1024])]

    def test_what_stands_beside_a_list_is_not_copied_without_bounds(self) -> None:
        events = rows(json.dumps({"x": "y" * 10_000, "events": [{"a": 1}] * 1000}))
        assert [r["extra"] for r in events] == [{"a": "1", "x": "y" * 10_000}] + [{"a": "1"}] * 999

    def test_envelope_gives_blocks_as_any_body_does(self) -> None:
        body = json.dumps({"tenant": "t" * 50, "events": [{"message": "m" * 50}] * 500})
        blocks = parse([body.encode()], SOURCE, block_bytes=10_000)
        sizes = [(block.lines, block.events.num_rows) for block in blocks]
        assert sum(rows for _, rows in sizes) == 500
        assert all(lines == rows < 50 for lines, rows in sizes)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


class TestCount:
    """Values are counted by brackets and quotes, so that one that is lost between its text and its row is missed."""

    @given(st.lists(JSON), st.sampled_from([None, 2]), st.booleans())
    def test_every_element_is_counted(self, values: list[Any], indent: int | None, ascii_only: bool) -> None:
        text = json.dumps(values, indent=indent, ensure_ascii=ascii_only)
        read = VALUES.Values([text])
        assert [json.dumps(json.loads(inner)) for _, inner in read] == [json.dumps(value) for value in values]
        assert (read.count(), read.failed) == (len(values), None)
        events = [{"event": value} for value in values]
        envelope = json.dumps({"a": '"[{', "events": events, "b": "\\"}, indent=indent, ensure_ascii=ascii_only)
        assert RECORDS.count(envelope) == max(len(events), 1)

    @pytest.mark.parametrize("body", [json.dumps(EVENTS * 3), "\n".join(map(json.dumps, EVENTS)), '{"events":[{},{}]}'])
    def test_record_that_is_lost_is_missed(self, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
        records = OBJECTS._Body._records
        monkeypatch.setattr(OBJECTS._Body, "_records", lambda self, values: list(records(self, values))[1:])
        events, quarantined, lines = tables(body)
        assert lines == len(events) + len(quarantined) + 1


PIECES = st.sampled_from(
    ["{", "}", "[", "]", ",", '"a":', "1", '"', "\\", "\n", "\ufeff", "x", "é", "1.5e3", "-Infinity", "null", "\\ud800"]
)
OBJECT_TEXTS = st.dictionaries(st.sampled_from(["events", "a", "b"]), JSON, max_size=3).flatmap(
    lambda value: st.builds(json.dumps, st.just(value), indent=st.sampled_from([None, 1]), ensure_ascii=st.booleans())
)


@given(st.lists(PIECES | OBJECT_TEXTS | st.just("\n"), max_size=12), st.integers(1, 60), st.integers(20, 800))
def test_cuts_change_no_row_and_every_value_is_a_row_or_quarantined(pieces: list[str], size: int, block: int) -> None:
    body = ("{}" + "".join(pieces)).encode(errors="surrogatepass")
    whole = tables(body)
    events, quarantined, lines = whole
    numbers = sorted(row["src_line"] for row in (*events, *quarantined))
    assert numbers == list(range(1, lines + 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PARSE, "HEAD_BYTES", 1)
        chunks = (body[place : place + size] for place in range(0, len(body), size))
        assert tables(*chunks, block_bytes=block) == whole


@given(st.lists(st.dictionaries(st.text(max_size=5), JSON, max_size=5), max_size=4), st.sampled_from([None, 2]))
def test_any_objects_come_back(events: list[dict[str, Any]], indent: int | None) -> None:
    wrapped = [event for event in events if event and not any(isinstance(inner, list) for inner in event.values())]
    found, quarantined, lines = tables(json.dumps(wrapped, indent=indent))
    assert (len(found), quarantined, lines) == (len(wrapped), [], len(wrapped))
    assert [json.dumps(json.loads(r["raw"])) for r in found] == [
        json.dumps(json.loads(json.dumps(event, ensure_ascii=False).encode(errors="replace"))) for event in wrapped
    ]
