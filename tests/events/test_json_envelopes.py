"""Events in objects around lists of them, and bodies with something wrong: nothing is merged, nothing is lost."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_imperva.events import parse
from tests.events.cef_lines import SOURCE

OBJECTS = import_module("airflow_provider_imperva.events.bodies.objects")
RECORDS = import_module("airflow_provider_imperva.events.bodies.records")
VALUES = import_module("airflow_provider_imperva.events.bodies.values")


def event(n: int) -> dict[str, Any]:
    return {"timestamp": 1753290121336, "event": {"id": str(n)}, "client": {"ip": f"192.0.2.{n}"}}


def read(body: Any) -> tuple[list[dict[str, Any]], list[tuple[int, str, str]]]:
    """Give rows and what is quarantined; both together are as many as were counted."""
    text = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    blocks = list(parse([text], SOURCE, keep_raw=True))
    events = [{**found, "extra": dict(found["extra"])} for block in blocks for found in block.events.to_pylist()]
    quarantined = [line for block in blocks for line in block.quarantined.to_pylist()]
    assert sum(block.lines for block in blocks) == len(events) + len(quarantined)
    numbers = sorted(found["src_line"] for found in (*events, *quarantined))
    assert numbers == list(range(1, len(numbers) + 1))
    return events, [(line["src_line"], line["reason"], line["raw"].decode()) for line in quarantined]


def addresses(events: list[dict[str, Any]]) -> list[str]:
    return [found["client_ip"] for found in events]


TWO = [event(1), event(2)]
BOTH = ["192.0.2.1", "192.0.2.2"]


class TestEnvelopes:
    @pytest.mark.parametrize(
        ("envelope", "beside"),
        [
            ({"data": TWO}, {}),
            ({"items": TWO, "next": None}, {}),
            ({"results": TWO, "count": 2}, {"count": "2"}),
            ({"meta": {"page": 1}, "events": TWO}, {"meta.page": "1"}),
            ({"response": {"events": TWO}}, {}),
            (
                {"response": {"status": "ok", "events": TWO, "page": {"n": 1}}},
                {"response.status": "ok", "response.page.n": "1"},
            ),
            ({"took": 3, "hits": {"total": {"value": 2}, "hits": TWO}}, {"took": "3", "hits.total.value": "2"}),
            ({"hits": {"hits": [{"_index": "x", "_source": one} for one in TWO]}}, {"_index": "x"}),
            ({"records": TWO, "errors": []}, {"errors": "[]"}),
            ({"records": TWO, "errors": [{"code": 1}], "tags": ["a"]}, {"errors": '[{"code":1}]', "tags": '["a"]'}),
            ({"events": TWO[:1], "logs": TWO[1:]}, {}),
            ({"a": {"logs": TWO[:1]}, "b": {"logs": TWO[1:]}}, {}),
            ({"DATA": TWO}, {}),
            ({"payload": TWO, "version": 1.50}, {"version": "1.5"}),
            ({"result": {"data": {"entries": TWO}}}, {}),
            (
                {"timestamp": 1, "server": {"x": 1}, "events": TWO},
                {"envelope.timestamp": "1", "envelope.server.x": "1"},
            ),
            ({"message": "ok", "code": 200, "data": TWO}, {"message": "ok", "code": "200"}),
        ],
    )
    @pytest.mark.parametrize("indent", [None, 2])
    def test_each_object_is_an_event(
        self, envelope: dict[str, Any], beside: dict[str, str], indent: int | None
    ) -> None:
        events, quarantined = read(json.dumps(envelope, indent=indent))
        assert (addresses(events), quarantined) == (BOTH, [])
        assert [(found["request_id"], found["extra"], found["parse_warnings"]) for found in events] == [
            ("1", beside, []),
            ("2", beside, []),
        ]

    @pytest.mark.parametrize("wrong", [None, 1, "x", ["a"], [{"client": {"ip": "6.6.6.6"}}], True, []])
    @pytest.mark.parametrize("around", ["events", "data", ""])
    def test_what_is_no_object_is_quarantined_alone(self, wrong: Any, around: str) -> None:
        items = [event(1), wrong, event(2)]
        events, quarantined = read({around: items} if around else items)
        assert addresses(events) == BOTH
        assert [(number, reason, json.loads(raw)) for number, reason, raw in quarantined] == [
            (2, "not_a_record", wrong)
        ]

    def test_what_stands_beside_a_list_sets_no_column(self) -> None:
        items = [{"timestamp": 1753290121336, "a": 1}]
        (found,), _ = read(
            {
                "client": {"ip": "6.6.6.6"},
                "client.ip": "6.6.6.6",
                "events": items,
                "meta": {"client": {"ip": "6.6.6.6"}},
            }
        )
        assert found["client_ip"] is None
        assert found["extra"] == {
            "a": "1",
            "envelope.client.ip": "6.6.6.6",
            "envelope.client.ip#2": "6.6.6.6",
            "meta.client.ip": "6.6.6.6",
        }

    @pytest.mark.parametrize(
        "inner",
        [
            {"payload": json.dumps(event(6))},
            {"payload": event(6)},
            {"payload": [event(6)]},
            {"headers": [{"client": {"ip": "6.6.6.6"}}]},
            {"a": {"b": {"client": {"ip": "6.6.6.6"}}}},
            {"x\\": {"client.ip": "6.6.6.6"}},
            {"payload": 'x"\n' + json.dumps(event(6)) + "\n"},
            {"data": [{"client": {"ip": "6.6.6.6"}}]},
        ],
    )
    @pytest.mark.parametrize("first", [True, False])
    def test_json_in_a_key_that_nobody_knows_forges_no_address(self, inner: dict[str, Any], first: bool) -> None:
        events, quarantined = read({**inner, **event(1)} if first else {**event(1), **inner})
        assert (addresses(events), quarantined) == (["192.0.2.1"], [])


class TestDamage:
    @pytest.mark.parametrize(
        ("body", "rejected"),
        [
            ('{"a":1}\n{"b":x}\n{"c":3}', [(2, "bad_json", '{"b":x}')]),
            ('{"a":1}\n{"b":"x}\n{"c":3}', [(2, "bad_json", '{"b":"x}')]),
            ('{"a":1}\n{"b":[1,2}\n{"c":3}', [(2, "bad_json", '{"b":[1,2}')]),
            ('[{"a":1},{"b":x},{"c":3}]', [(2, "bad_json", '{"b":x}')]),
            ('[{"a":1},\n{"b":"x},\n{"c":3}]', [(2, "bad_json", '{"b":"x},')]),
            ('[\n {\n  "a": 1\n },\n {\n  "b": x\n },\n {\n  "c": 3\n }\n]', [(2, "bad_json", '{\n  "b": x\n },')]),
            ('{\n "a": 1\n}\n{\n "b": x\n}\n{\n "c": 3\n}', [(2, "bad_json", '{\n "b": x\n}')]),
            ('\x1e{"a":1}\n\x1e{"b":"x\n\x1e{"c":3}\n', [(2, "bad_json", '{"b":"x')]),
            ('\x1e{"a":1}\x1e{"b":\x1e{"c":3}', [(2, "bad_json", '{"b":')]),
            ('{"a":1}\nupstream error\n{"c":3}', [(2, "bad_json", "upstream error")]),
            ('{"a":1}\n"x"\n{"c":3}', [(2, "not_a_record", '"x"')]),
            (
                '{"n":1,"events":[{"a":1},{"b":x},{"c":3}]}',
                [(1, "bad_json", '{"n":1,"events":['), (3, "bad_json", '{"b":x}'), (5, "bad_json", "}")],
            ),
        ],
    )
    def test_one_bad_record_is_quarantined_alone(self, body: str, rejected: list[tuple[int, str, str]]) -> None:
        events, quarantined = read(body)
        assert [found["extra"] for found in events] == [{"a": "1"}, {"c": "3"}]
        assert quarantined == rejected

    @pytest.mark.parametrize(
        "cut",
        [
            '{"timestamp": 17',
            '{"timestamp": 1753290121336, "client": {"ip": "192.0',
            '{"',
            "{",
            '{"a": tru',
            '{"a":',
            '{"a": "\\u00',
            '{"a": [1, 2',
            '{"a": {"b": 1}',
            '{"a": -',
            '{"a": nul',
        ],
    )
    @pytest.mark.parametrize(
        "before",
        [json.dumps(event(1)) + "\n", "[" + json.dumps(event(1)) + ",\n", "\x1e" + json.dumps(event(1)) + "\n\x1e"],
    )
    def test_body_cut_in_its_last_record_is_told(self, cut: str, before: str) -> None:
        events, quarantined = read(before + cut)
        assert addresses(events) == ["192.0.2.1"]
        assert quarantined == [(2, "truncated", cut)]

    @pytest.mark.parametrize("body", ['[{"a":1},{"b":2}', '[{"a":1},{"b":2},', '[\n{"a":1},\n{"b":2}\n'])
    def test_array_without_its_end_is_told(self, body: str) -> None:
        events, quarantined = read(body)
        assert ([found["extra"] for found in events], quarantined) == (
            [{"a": "1"}, {"b": "2"}],
            [(3, "truncated", "[")],
        )

    def test_envelope_without_its_end_gives_no_event(self) -> None:
        body = json.dumps({"client": {"x": 1}, "events": TWO})[:-10]
        assert read(body) == ([], [(1, "truncated", body)])

    @pytest.mark.parametrize(
        "body", ['{"a":1}\n{"b":x', '{"a":1}\n{"b" 1}', '{"a":1}\n<html>', '{"a":1}\n}', '{"a":1}\nx']
    )
    def test_what_is_wrong_at_the_end_is_not_called_truncated(self, body: str) -> None:
        assert [reason for _, reason, _ in read(body)[1]] == ["bad_json"]

    def test_much_that_cannot_be_read_is_read_line_by_line_in_linear_time(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        decode, looked_at = VALUES._decoded, 0

        def counted(text: str, place: int) -> Any:
            nonlocal looked_at
            found = decode(text, place)
            looked_at += found[1] - place
            return found

        monkeypatch.setattr(VALUES, "_decoded", counted)
        monkeypatch.setattr(VALUES, "_MOST_COST", 1 << 14)
        body = '{"a":1}\n' + '{"b":[\n' * 2000 + '{"c":3}\n'
        events, quarantined = read(body)
        assert len(quarantined) == 2000
        assert [found["extra"] for found in events] == [{"a": "1"}, {"c": "3"}]
        assert looked_at < 20 * len(body)

    @pytest.mark.parametrize("block_bytes", [1, 30, 200])
    def test_wherever_the_body_is_cut(self, block_bytes: int) -> None:
        body = b'[{"a":1},\n{"b":x},\n{"c":"y},\n{"d":4}]\n{"n":1,"events":[{"e":x},null]}\n{"f":'
        whole = read(body)
        for step in (1, 7, 40):
            pieces = (body[place : place + step] for place in range(0, len(body), step))
            blocks = list(parse(pieces, SOURCE, block_bytes=block_bytes))
            assert [dict(r["extra"]) for b in blocks for r in b.events.to_pylist()] == [r["extra"] for r in whole[0]]
            assert [r["reason"] for b in blocks for r in b.quarantined.to_pylist()] == [r for _, r, _ in whole[1]]


SEPARATORS = [
    "\n",
    "\r\n",
    "\r\r\n",
    "\r",
    "\n\r",
    "\0",
    "\f",
    "\v",
    "\x1e",
    "\n\x1e",
    "\x85",
    "\u2028",
    "\xa0",
    "#012",
    " ",
    "\t",
    "",
    ",",
    ",\n",
    "\ufeff",
    "\n<134>Nov 14 22:13:20 host imperva: ",
    "<134>1 2025-07-23T17:02:01Z host imperva - - - ",
    "\n57 ",
    ";",
    "\n---\n",
    "}",
    "]",
    "null",
    '"',
    "\\",
]
SCALAR = st.none() | st.booleans() | st.integers() | st.text(max_size=5)


@given(
    st.dictionaries(st.text(max_size=4), SCALAR, min_size=1, max_size=3),
    st.dictionaries(st.text(max_size=4), SCALAR, min_size=1, max_size=3),
    st.sampled_from(SEPARATORS),
    st.sampled_from([None, 1]),
)
def test_two_records_never_become_one(
    one: dict[str, Any], other: dict[str, Any], separator: str, indent: int | None
) -> None:
    texts = [json.dumps({"a": 1, **record}, indent=indent) for record in (one, other)]
    events, quarantined = read(texts[0] + separator + texts[1])
    assert len(events) == 2 or quarantined
    assert all(found["raw"] in texts for found in events)


KEYS = st.sampled_from(
    ["events", "data", "a", "errors", "hits", "timestamp", "client", "client.ip", "_source", "Items"]
)
NESTED = st.recursive(
    SCALAR | st.sampled_from(['"[{', "}]", "\\"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=20,
)


@given(st.dictionaries(KEYS, NESTED, max_size=4), st.sampled_from([None, 1]), st.booleans())
def test_any_object_is_counted_as_it_is_read(value: dict[str, Any], indent: int | None, ascii_only: bool) -> None:
    read(json.dumps(value, indent=indent, ensure_ascii=ascii_only))


class TestCount:
    """Broken once each, the reader loses a record, and the count tells."""

    @staticmethod
    def lost(body: Any) -> int:
        blocks = list(parse([json.dumps(body).encode()], SOURCE))
        return sum(b.lines - b.events.num_rows - b.quarantined.num_rows for b in blocks)

    @pytest.mark.parametrize(
        "envelope", [{"events": TWO}, {"meta": {"x": 1}, "payload": TWO}, {"response": {"hits": TWO}}]
    )
    def test_envelope_taken_for_an_event(self, envelope: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(OBJECTS, "_opened", lambda value, text: None)
        assert self.lost(envelope) == 1

    def test_list_that_is_passed_over(self, monkeypatch: pytest.MonkeyPatch) -> None:
        lists = OBJECTS._lists
        monkeypatch.setattr(OBJECTS, "_lists", lambda value, depth=1: list(lists(value, depth))[:1])
        assert self.lost({"events": TWO, "logs": TWO}) == 2

    def test_item_that_is_passed_over(self, monkeypatch: pytest.MonkeyPatch) -> None:
        items = OBJECTS._items
        monkeypatch.setattr(OBJECTS, "_items", lambda found, beside, each: items([i for i in found if i], beside, each))
        assert self.lost({"events": [event(1), None, event(2)]}) == 1
