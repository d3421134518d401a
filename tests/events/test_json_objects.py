"""JSON in every shape it comes in: nothing of it is lost, no digit of a number, and nothing makes it fail."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

import pytest
from cef_lines import SOURCE, rows, set_in
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_imperva.events import parse

OBJECTS = import_module("airflow_provider_imperva.events.objects")
LINES = import_module("airflow_provider_imperva.events.lines")
EVENTS = [
    {"timestamp": 1700000000001, "client": {"ip": "192.0.2.1"}, "message": "one"},
    {"timestamp": 1700000000002, "client": {"ip": "192.0.2.2"}, "message": "two"},
]


def row(event: Any) -> dict[str, Any]:
    (only,) = rows(event if isinstance(event, str) else json.dumps(event))
    assert only["event_class"] == "other"
    return only


def tables(body: str | bytes) -> tuple[list[dict[str, Any]], list[dict[str, Any]], int]:
    blocks = list(parse([body.encode() if isinstance(body, str) else body], SOURCE, keep_raw=True))
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
        ],
    )
    def test_every_shape_gives_the_same(self, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.assert_two_events(body)
        if "\n " not in body:  # what goes over several lines has to be read as a whole
            monkeypatch.setattr(OBJECTS, "WHOLE_BYTES", 0)
            self.assert_two_events(body)

    def assert_two_events(self, body: str) -> None:
        events, quarantined, lines = tables(body)
        assert [(r["src_line"], r["client_ip"], dict(r["extra"])) for r in events] == [
            (1, "192.0.2.1", {"message": "one"}),
            (2, "192.0.2.2", {"message": "two"}),
        ]
        assert (quarantined, lines) == ([], 2)
        assert [json.loads(r["raw"]) for r in events] == EVENTS

    def test_what_stands_beside_the_list_is_kept_with_each(self) -> None:
        found = rows(json.dumps({"cursor": 7, "records": [{"a": 1}, {"a": 2}], "more": False}))
        assert [r["extra"] for r in found] == [{"a": str(n), "cursor": "7", "more": "false"} for n in (1, 2)]

    @pytest.mark.parametrize(
        "event",
        [
            {"events": ["a"]},
            {"events": [{"a": 1}], "imperva": {"b": 1}},
            {"events": [{}], "logs": [{}]},
            {"events": 1},
            {"message": "hi", "events": []},
            {"Records": [], "more": None, "cursor": 7},
        ],
    )
    def test_event_with_such_a_key_is_no_envelope(self, event: dict[str, Any]) -> None:
        found = row(event)
        assert found["extra"].keys() == {f"{k}.b" if k == "imperva" else k for k in event if event[k] is not None}

    @pytest.mark.parametrize("body", ["[]", '{"records": []}', "[]\n[]"])
    def test_empty_list_has_no_event(self, body: str) -> None:
        assert tables(body) == ([], [], 0)

    def test_body_that_is_no_json_as_a_whole_is_read_line_by_line(self) -> None:
        body = b'{"a":1}\n{"b":\n\n[{"c":1},3,"x"]\n"text"\n{"d":"\xff"} x\n{"e":1}'
        events, quarantined, lines = tables(body)
        assert [(r["src_line"], dict(r["extra"])) for r in events] == [
            (1, {"a": "1"}),
            (3, {"c": "1"}),
            (8, {"e": "1"}),
        ]
        assert [(r["src_line"], r["reason"], r["raw"]) for r in quarantined] == [
            (2, "bad_json", b'{"b":'),
            (4, "not_a_record", b"3"),
            (5, "not_a_record", b'"x"'),
            (6, "not_a_record", b'"text"'),
            (7, "bad_json", b'{"d":"\xff"} x'),
        ]
        assert lines == 8

    def test_large_body_is_read_in_blocks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(OBJECTS, "WHOLE_BYTES", 1000)
        monkeypatch.setattr(LINES, "BLOCK_BYTES", 1000)
        blocks = list(parse([b'{"a":1}\n' * 1000], SOURCE))
        assert len(blocks) > 4
        assert [n for block in blocks for n in block.events["src_line"].to_pylist()] == list(range(1, 1001))


class TestValues:
    def test_inner_objects_are_flattened_and_the_rest_is_text(self) -> None:
        found = row({"a": {"b": {"c": 1, "d": None}, "e": [1, "x", {"y": []}], "f": {}}, "g": True, "h": "", "i": []})
        assert found["extra"] == {"a.b.c": "1", "a.e": '[1,"x",{"y":[]}]', "a.f": "{}", "g": "true", "i": "[]"}

    @pytest.mark.parametrize(
        "number", ["9007199254740993", "123456789012345678901234567890", "0.1000000000000000055", "1e400", "-0", "NaN"]
    )
    def test_numbers_are_kept_digit_by_digit(self, number: str) -> None:
        found = row(f'{{"event":{{"id":{number}}},"x":{number},"y":[{number}]}}')
        assert (found["request_id"], found["extra"]) == (number, {"x": number, "y": f"[{number}]"})

    def test_id_of_nineteen_digits_is_exact_as_number_and_as_text(self) -> None:
        number = 9223372036854775807
        found = rows(*(json.dumps({"imperva": {"ids": {"account_id": n}}}) for n in (number, str(number))))
        assert [r["account_id"] for r in found] == [number, number]

    def test_second_value_of_a_key_is_kept(self) -> None:
        found = row('{"x":1,"client":{"ip":"192.0.2.1","ip":"192.0.2.2"},"x":2,"client":{"ip":"192.0.2.3"}}')
        assert found["client_ip"] == "192.0.2.1"
        assert found["extra"] == {"x": "1", "x#2": "2", "client.ip": "192.0.2.2", "client.ip#2": "192.0.2.3"}
        assert set(found["parse_warnings"]) >= {"duplicate_key:x", "duplicate_key:client.ip"}

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
        found = row({"imperva": {"abp": {"policy_name": "P", "n": 1.50, "x": ["a"]}, "path": "/"}})
        assert found["rule_info"] == '{"policy_name":"P","n":1.5,"x":["a"]}'
        assert (found["rule_names"], found["extra"]) == (["P"], {"imperva.path": "/"})

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
        found = row('{"imperva.abp.policy_name":["A, B"],"imperva":{"abp":{"policy_name":["C","D"]}}}')
        assert (found["rule_names"], found["extra"]) == (["A, B"], {"imperva.abp.policy_name": '["C","D"]'})

    def test_half_a_surrogate_pair_is_replaced_and_noted(self) -> None:
        found = row(r'{"a":"x\ud800y","\udc00":1,"user_agent":{"original":"\ud83d\ude00"}}')
        assert (found["extra"], found["user_agent"]) == ({"a": "x\ufffdy", "\ufffd": "1"}, "\U0001f600")
        assert "replaced_bytes" in found["parse_warnings"]

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
        "text", ["[" * 300_000, '{"a":' * 60_000, "[1,\n" * 30_000, '{"' * 100_000, "[" + "{}," * 99_999]
    )
    def test_what_never_closes_is_quarantined(self, text: str) -> None:
        events, quarantined, lines = tables(text)
        assert (events, len(quarantined)) == ([], lines)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(st.dictionaries(st.text(max_size=5), JSON, max_size=5), max_size=4), st.sampled_from([None, 2]))
def test_any_objects_come_back(events: list[dict[str, Any]], indent: int | None) -> None:
    wrapped = [
        event for event in events if event and not {key.lower() for key in event} & {"logs", "events", "records"}
    ]
    found, quarantined, lines = tables(json.dumps(wrapped, indent=indent))
    assert (len(found), quarantined, lines) == (len(wrapped), [], len(wrapped))
    assert [json.dumps(json.loads(r["raw"])) for r in found] == [
        json.dumps(json.loads(json.dumps(event, ensure_ascii=False).encode(errors="replace"))) for event in wrapped
    ]
