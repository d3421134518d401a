"""Whatever a server sends in place of a log: it is no event, no empty log and not the last word."""

from __future__ import annotations

import gzip
import json
import zlib
from datetime import timedelta

import pytest

from airflow_provider_imperva.events.grammar.answers import Answer, classify
from airflow_provider_imperva.testing.forge import forge_events, forge_log, forge_repository
from airflow_provider_imperva.testing.formats import Format, write_body
from tests.load.load_runs import Account, Clock
from tests.long_form import LONG

PAUSE = timedelta(minutes=11)

_HTML = b"<html><head><title>Error</title></head><body>Sorry</body></html>"
_HEADER = b"accountId:1\nconfigId:8416\nformat:CEF\nstartTime:1\nendTime:2\n|==|\n"

ERRORS = (
    b'{"error": "unavailable"}',
    b'{"error": {"code": 503, "message": "x"}}',
    b'{"message": "Internal server error"}',
    b'{"Message": "Forbidden"}',
    b'{"errors": [{"status": 503, "title": "x"}]}',
    b'{"Errors":[{"Code":"A","Message":"b"}],"RequestID":"x"}',
    b'[{"error":"a"},{"error":"b"}]',
    b'[{"message":"a"}]',
    b'[{"message":"x"},{"message":"y"}]',
    b'["error"]',
    b"[503]",
    b'{"error":"a"}\n{"error":"b"}\n',
    b'\xef\xbb\xbf{"error":"x"}',
    b'{\n  "error": "a",\n  "error_description": "b"\n}\n',
    b'{"res": 9411, "res_message": "Authentication missing", "debug_info": {"id-info": "999"}}',
    b'{"success": false}',
    b'{"success": false, "data": null, "errors": null}',
    b'{"ok": false, "reason": "quota"}',
    b'{"status": "error"}',
    b'{"status": 500}',
    b'{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"x","instance":"/a"}',
    b'{"timestamp":"2025-01-01T00:00:00.000+00:00","status":404,"error":"Not Found","path":"/x"}',
    b'{"timestamp":1735689600000,"message":"No message available","path":"/x"}',
    b'{"timestamp":1735689600000,"error":"down","client":null}',
    b'{"fault":{"faultstring":"Rate limit quota violation","detail":{"errorcode":"x"}}}',
    b'{"requestId":"abc","message":"Service unavailable"}',
    b'{"errorType":"Runtime","errorMessage":"x"}',
    b'{"__type":"ThrottlingException","message":"Rate exceeded"}',
    b'{"data":null,"errors":[{"message":"x","locations":[{"line":1}]}]}',
    b'{"result":"error","code":17}',
    b'{"retry_after": 30}',
    b'{"maintenance": true, "until": "2025-01-01"}',
    b"{}",
)
UNKNOWN = (
    b"[]",
    b'{"odata.error":{"code":"x","message":{"lang":"en","value":"y"}}}',
    b'{"ErrorResponse":{"Error":{"Code":"x"}}}',
    b'{"data":{"error":"x"}}',
    b'{"meta":{"status":503,"msg":"x"}}',
    b'{"response":{"status":"fail","reason":"x"}}',
    b'{"html": "<html></html>"}',
    b'{"incident_id":"123-456","host":"x","client_ip":"192.0.2.1","message":"blocked"}',
    json.dumps({"error": "x", "trace": "y" * 200_000}).encode(),
    b'{"error": "unavail',
)
PAGES = {
    "HTML behind a comment": b"<!-- served by edge -->\n<!DOCTYPE html><html></html>",
    "HTML behind blank lines": b"\n\n   \n<HTML>",
    "HTML with a record in it": b"<html>see CEF:0|Incapsula|SIEMintegration|1|1|Normal|0| fileId=1 act=x</html>",
    "page of a firewall": b'<html style="height:100%"><head><META NAME="ROBOTS"></head><body>ID: 1-2</body></html>',
    "HTML in UTF-16": _HTML.decode().encode("utf-16"),
    "HTML in gzip": gzip.compress(_HTML),
    "HTML in zlib": zlib.compress(_HTML),
    "XML behind a byte order mark": b"\xef\xbb\xbf<?xml version='1.0'?><Error><Code>InternalError</Code></Error>",
    "XML without a declaration": b"<Error><Code>SlowDown</Code></Error>",
    "sentence": b"Service Unavailable",
    "sentence that names a format": b"Not found: CEF:0 log",
    "line of an application's log": b"2025-01-01 10:00:00 ERROR backend down\n",
    "code": b"error code: 1020",
    "warning of PHP": b"\nWarning: mysql_connect(): Too many in /var/www/x.php on line 3\nFatal error: y",
    "YAML": b"error: unavailable\ncode: 503\n",
    "the index": b"8416_1.log\n8416_2.log\n",
    "CSV": b"a,b,c\n1,2,3\n",
    "Base64": b"UmVhbGx5\n",
    "any bytes": bytes(range(256)),
    "PDF": b"%PDF-1.4\n1 0 obj",
    "comment": b"# Error: upstream down\n",
    "directive alone": b"#Software: nginx\n",
    "nothing": b"",
    "nothing, in gzip": gzip.compress(b""),
    "line end": b"\n",
    "white space": b"   \n\t \r\n",
    "NULs": bytes(100),
    "HTML behind a byte order mark": b"\xef\xbb\xbf" + _HTML,
    "fault in SOAP": b'<soap:Envelope xmlns:soap="x"><soap:Body><soap:Fault/></soap:Body></soap:Envelope>',
    "property list": b"<?xml version='1.0'?><!DOCTYPE plist><plist/>",
    "answer within the answer": b"HTTP/1.1 503 Service Unavailable\r\nServer: x\r\n\r\nno",
    "chunks with their sizes": b"5\r\nhello\r\n0\r\n\r\n",
    "JSON that is a text": b'"unavailable"',
    "JSON that is a number": b"503",
    "JSON that is null": b"null",
    "header cut in a line": _HEADER[:20],
    "container cut in its body": forge_log("".join(f"{event}\n" for event in forge_events(9, seed="cut")))[:-40],
    "error in JSON, in gzip": gzip.compress(ERRORS[0]),
    "error in JSON, in UTF-16": ERRORS[0].decode().encode("utf-16"),
    "error in JSON behind a guard": b")]}'\n" + ERRORS[0],
    "error in JSON as a call": b"callback(" + ERRORS[0] + b")",
    "header and nothing": _HEADER,
    "header and HTML": _HEADER + _HTML,
    "header and an error in JSON": _HEADER + ERRORS[0],
    "header, HTML and another checksum": forge_log(_HTML, checksum="0" * 32, compress=False),
    "header, an error and another checksum": forge_log(ERRORS[0], checksum="0" * 32, compress=False),
    **{f"JSON {number}": page for number, page in enumerate((*ERRORS, *UNKNOWN), 1)},
}


@pytest.mark.parametrize("page", ERRORS, ids=range(len(ERRORS)))
def test_errors_in_json_are_told(page: bytes) -> None:
    assert classify(page) is Answer.ERROR


@pytest.mark.parametrize("page", UNKNOWN, ids=range(len(UNKNOWN)))
def test_json_that_has_nothing_of_an_event_is_told(page: bytes) -> None:
    assert classify(page) is Answer.UNKNOWN


@pytest.mark.parametrize(
    "body",
    [
        b'{"event":{"id":"7"}}',
        b'{"event.id":"7"}',
        b'{"timestamp":1767225600000,"message":"first array log","host.name":"site-a"}',
        b'{"eventTime":"2025-01-01T00:00:00Z","user":"anna","message":"logged in"}',
        b'{"events":[{"timestamp":1,"event":{"id":"1"}}],"errors":[{"message":"2 are missing"}]}',
        b'{"error":"none","timestamp":1,"event":{"id":"1"}}',
        b'{"error":"x"}\n{"timestamp":1,"event":{"id":"1"}}\n',
    ],
)
def test_events_are_told(body: bytes) -> None:
    assert classify(body) is Answer.EVENTS


@pytest.mark.parametrize("size", [30, 100, 700, 70_000])
def test_a_begin_of_events_is_enough(size: int) -> None:
    assert classify(write_body("JSON", forge_events(200, format="JSON")).encode()[:size]) is Answer.EVENTS


# In the short form each page comes after logs of one of these kinds.
BEFORE: tuple[Format | None, ...] = ("CEF", "JSON", None)


@pytest.mark.parametrize(("turn", "format_before"), [*enumerate(BEFORE)])
def test_nothing_of_it_is_loaded_and_the_log_is_once_it_comes(
    account: Account, clock: Clock, turn: int, format_before: Format | None
) -> None:
    """Whether the logs before have headers, have none, or there are none."""
    chosen = [*PAGES.values()] if LONG else [*PAGES.values()][turn :: len(BEFORE)]
    pages = dict(enumerate(chosen, 2))
    if format_before:
        account.serve(1, format=format_before)
        account.run()
    before = account.rows()
    true = {number: log for number in pages for log in forge_repository(1, first=number, events_per_log=2)}
    for number, page in pages.items():
        account.repository.add(true[number].name, page)
    commit = account.run_some()
    assert account.rows() == before, "nothing of it is an event"
    assert account.quarantined() == [], "and nothing of it is the last word"
    waiting = {log.name for log in true.values()}
    assert waiting - set(commit.open) == {name for name, state in account.states().items() if state == "damaged"}
    account.assert_balanced()
    for log in true.values():
        account.forged[log.name] = log
        account.repository.add(log.name, log.content)
    clock.ahead = PAUSE
    account.run_some()
    assert {name for name, state in account.states().items() if state == "committed"} >= waiting
    assert account.rows() - before == account.expected(waiting)
    account.assert_balanced()


@pytest.mark.parametrize("number", range(2), ids=["error", "unknown"])
def test_what_no_other_answer_follows_goes_to_quarantine_and_never_to_events(account: Account, number: int) -> None:
    page = (ERRORS[0], UNKNOWN[5])[number]
    account.repository.add("8416_1.log", page)
    account.run()
    account.repository.remove("8416_1.log")
    account.serve(2)
    account.run()
    assert account.states() == {"8416_1.log": "quarantined", "8416_2.log": "committed"}
    assert account.rows() == account.expected()
    account.assert_balanced()


def test_a_body_without_its_header_is_asked_for_again(account: Account, clock: Clock) -> None:
    """The end of a log reads as one that is whole."""
    account.serve(1)
    account.run()
    (log,) = account.serve(2, events=6)
    account.repository.add(log.name, "\n".join(log.events[3:]).encode())
    account.run()
    assert account.states()[log.name] == "damaged"
    account.repository.add(log.name, log.content)
    clock.ahead = PAUSE
    account.run()
    assert account.rows() == account.expected()
