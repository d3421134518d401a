"""What a syslog relay writes before rows of W3C and values of JSON is kept beside them, and costs none of them."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from airflow_provider_imperva.beginnings import format_at_begin
from tests.events.test_any_two_records import FIELDS, bare, w3c
from tests.events.test_boundaries import Body, cef, leef

PREFIXES = [
    "<134>Jul 23 17:02:01 collector imperva: ",
    "<134>Jul  3 2025 17:02:01 collector imperva[123]: ",
    "<134>1 2025-07-23T17:02:01Z collector imperva - - - ",
    '<134>1 2025-07-23T17:02:01.123456+02:00 host app 12 ID [x@1 seq="1" k="v w"] \ufeff',
    "<13>",
    "Jul 23 17:02:01 host imperva[123]: ",
    "2025-07-23T17:02:01Z host ",
    "245 ",
    "245 <134>1 2025-07-23T17:02:01Z collector imperva - - - ",
]
OBJECTS = [json.dumps({"event": {"id": str(90 + n)}, "client": {"ip": f"192.0.2.{n}"}}) for n in (1, 2, 3)]
IDS = ["91", "92", "93"]


def assert_read(body: str, prefixes: list[str | None]) -> None:
    found = Body.of(body)
    assert (found.column("request_id"), found.refused) == (IDS, [])
    assert found.column("client_ip") == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
    kept = [prefix and prefix.strip(" \ufeff") for prefix in prefixes]
    assert [row["extra"].get("prefix", "").strip("\ufeff ") or None for row in found.rows] == kept
    assert all(codes in ([], ["no_time"], ["time_from_file"]) for codes in found.column("parse_warnings"))


@pytest.mark.parametrize("prefix", PREFIXES)
class TestEachFormat:
    def test_every_line_has_one(self, prefix: str) -> None:
        lines = ["#Software: x", FIELDS, *(w3c(n, "a b") for n in (1, 2, 3)), "#Date: 2025-07-23 00:00:00"]
        assert_read("\n".join(prefix + line for line in lines), [prefix] * 3)

    def test_one_row_has_one(self, prefix: str) -> None:
        for place in range(3):
            before = ["", "", ""]
            before[place] = prefix
            rows = [text + w3c(n, 'a "b"') for n, text in enumerate(before, 1)]
            assert_read("\n".join([FIELDS, *rows]), [text or None for text in before])

    @pytest.mark.parametrize("end", ["\r", "\0", "\r\n"])
    def test_other_line_ends(self, prefix: str, end: str) -> None:
        assert_read(end.join(prefix + line for line in [FIELDS, *(w3c(n, "a") for n in (1, 2, 3))]), [prefix] * 3)

    def test_more_rows_than_are_read_one_by_one(self, prefix: str) -> None:
        body = Body.of("\n".join([FIELDS, *(prefix + w3c(n % 9, "a") for n in range(200))]))
        assert (len(body.rows), body.refused) == (200, [])
        assert {row["extra"]["prefix"].strip("\ufeff ") for row in body.rows} == {prefix.strip("\ufeff ")}

    def test_quarantined_row_keeps_its_bytes(self, prefix: str) -> None:
        body = Body.of(f'{FIELDS}\n{w3c(1, "a")}\n{prefix}"a" "b"\n{w3c(2, "a")}')
        assert body.refused == [("field_count", f'{prefix}"a" "b"'.encode())]

    def test_rows_without_quotes(self, prefix: str) -> None:
        assert_read("\n".join([prefix + FIELDS, *(prefix + bare(n, "a") for n in (1, 2, 3))]), [prefix] * 3)

    def test_json(self, prefix: str) -> None:
        assert_read("\n".join(prefix + text for text in OBJECTS), [prefix] * 3)
        assert_read("".join(prefix + text for text in OBJECTS), [prefix] * 3)
        assert_read("\n".join([OBJECTS[0], prefix + OBJECTS[1], OBJECTS[2]]), [None, prefix, None])
        assert_read(f"{prefix}[{','.join(OBJECTS)}]", [prefix, None, None])
        assert_read(f'{prefix}{{"data": [{", ".join(OBJECTS)}]}}', [prefix, None, None])
        assert_read("\n".join(f"{prefix}@cee: {text}" for text in OBJECTS), [f"{prefix}@cee:"] * 3)

    def test_bad_json_goes_alone(self, prefix: str) -> None:
        body = Body.of("\n".join(prefix + text for text in [OBJECTS[0], '{"a": b, "c"', OBJECTS[1]]))
        assert body.column("request_id") == ["91", "92"]
        assert body.refused == [("bad_json", prefix.encode() + b'{"a": b, "c"')]

    @pytest.mark.parametrize("step", [1, 7, 100])
    def test_it_does_not_hang_on_how_a_body_is_cut(self, prefix: str, step: int) -> None:
        rows = "\n".join([FIELDS, *(prefix + w3c(n, "a") for n in (1, 2, 3))])
        objects = "\n".join(prefix + text for text in OBJECTS)
        for body in (rows, objects):
            whole = Body.of(body).rows
            content = body.encode()
            places = [*range(0, len(content), step), len(content)]
            pieces = (content[begin:end] for begin, end in pairwise(places))
            assert Body.of(*pieces, block_bytes=step).rows == whole

    @pytest.mark.parametrize(
        ("body", "format_name"),
        [(cef(1), "CEF"), (leef(1), "LEEF"), (FIELDS, "W3C"), (w3c(1, "a"), "W3C"), (OBJECTS[0], "JSON")],
    )
    def test_a_body_is_known_by_what_is_behind_it(self, prefix: str, body: str, format_name: str) -> None:
        assert format_at_begin(f"{prefix}{body}".encode()) == format_name


@pytest.mark.parametrize("text", ["12 monkeys", "<b>bold</b>", "Jul 23 17:02:01 it rained", "7 ", "<13>"])
def test_text_of_a_client_that_begins_so_is_text(text: str) -> None:
    body = Body.of(f"{FIELDS}\n{w3c(1, f'a{chr(10)}{text}')}\n{w3c(2, 'a')}")
    assert body.column("user_agent") == [f"a\n{text}".rstrip(), "a"]
    assert body.column("parse_warnings") == [["joined_lines"], []]
