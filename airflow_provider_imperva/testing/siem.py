"""Receivers by HTTP that are as strict as the real ones: what they would refuse is refused, whatever we would like.

Each keeps what it has taken, and misbehaves on demand: a script of answers (429, 503, 413, silence) comes before its
own, and it can lose what it has said yes to, as a receiver does that dies with a full queue.
"""

from __future__ import annotations

import gzip
import json
import threading
import uuid
import zlib
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from airflow_provider_imperva.testing.listener import OwnedServer, Receiver
from airflow_provider_imperva.testing.syslog import is_gelf


@dataclass(frozen=True, slots=True)
class SiemAnswer:
    """An answer.

    :ivar status: 0 closes the connection without one.
    :ivar after_taking: take the request first: so that what was taken is sent again.
    """

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    after_taking: bool = False


@dataclass(frozen=True, slots=True)
class SiemRequest:
    """A request as it came, its body inflated."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = field(repr=False)


class HttpReceiver(Receiver):
    """Listens on loopback; subclasses say what they take.

    :ivar script: answers that come before its own, one a request.
    :ivar requests: every request that came whole.
    :ivar taken: what it took, in order, as pairs of id (empty where there is none) and event.

    :param most_bytes: larger requests are refused with 413; the size is that after inflating.
    :param lose: how many of the next events it takes are lost, though it says yes to them.
    :param options: of :class:`~airflow_provider_imperva.testing.listener.Receiver`.
    """

    def __init__(self, *, most_bytes: int | None = None, lose: int = 0, **options: Any) -> None:
        self.script: deque[SiemAnswer] = deque()
        self.requests: list[SiemRequest] = []
        self.taken: list[tuple[str, Any]] = []
        self.most_bytes = most_bytes
        self.lose = lose
        self._lock = threading.Lock()
        super().__init__(_Handler, **options)

    @property
    def ids(self) -> list[str]:
        """The ids of what it has taken."""
        return [name for name, _ in self.taken]

    @property
    def events(self) -> list[Any]:
        """What it has taken."""
        return [event for _, event in self.taken]

    def answer(self, request: SiemRequest) -> SiemAnswer:
        """Give its own answer."""
        raise NotImplementedError

    def keep(self, name: str, event: Any) -> None:
        """Keep an event, unless it is one to be lost."""
        if self.lose:
            self.lose -= 1
        else:
            self.taken.append((name, event))

    def respond(self, request: SiemRequest) -> SiemAnswer:
        """Answer a request, by the script first."""
        with self._lock:
            self.requests.append(request)
            if self.script:
                scripted = self.script.popleft()
                if scripted.after_taking:
                    self.answer(request)
                return scripted
            if self.most_bytes is not None and len(request.body) > self.most_bytes:
                return SiemAnswer(413)
            return self.answer(request)


class HecReceiver(HttpReceiver):
    """Splunk's HTTP Event Collector.

    :param token: the only one that it accepts.
    :param acknowledges: whether the token has indexer acknowledgment: then a channel is demanded.
    :param confirm_after: how often it is asked for an acknowledgement before it gives one.
    :param indexes: those that the token may write to; empty for any.
    """

    def __init__(
        self,
        token: str,
        *,
        acknowledges: bool = False,
        confirm_after: int = 0,
        indexes: frozenset[str] = frozenset(),
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.token = token
        self.acknowledges = acknowledges
        self.confirm_after = confirm_after
        self.indexes = indexes
        self._next_ack = 0
        self._pending: dict[int, list[tuple[str, Any]]] = {}
        self._asked: dict[int, int] = {}

    def forget_acknowledgements(self) -> None:
        """Lose what is not indexed yet, and all memory of it, as a restart does."""
        with self._lock:
            self._pending.clear()
            self._asked.clear()

    def answer(self, request: SiemRequest) -> SiemAnswer:
        """Answer as HEC does."""
        if not request.headers.get("authorization"):
            return _hec(401, 2, "Token is required")
        if request.headers["authorization"] != f"Splunk {self.token}":
            return _hec(403, 4, "Invalid token")
        channel = request.headers.get("x-splunk-request-channel") or request.query.get("channel", "")
        if (self.acknowledges or request.path.endswith("/raw")) and not channel:
            return _hec(400, 10, "Data channel is missing")
        if channel and not _is_guid(channel):
            return _hec(400, 11, "Invalid data channel")
        match request.path:
            case "/services/collector/ack":
                return self._acks(request)
            case "/services/collector/event" | "/services/collector":
                return self._events(request)
            case "/services/collector/raw":
                lines = [("", line) for line in request.body.decode().split("\n") if line]
                return self._take(lines) if lines else _hec(400, 5, "No data")
        return SiemAnswer(404)

    def _events(self, request: SiemRequest) -> SiemAnswer:
        text = request.body.decode()
        if not text.strip():
            return _hec(400, 5, "No data")
        events: list[tuple[str, Any]] = []
        place = 0
        decoder = json.JSONDecoder()
        while place < len(text):
            try:
                event, place = decoder.raw_decode(text, place)
            except ValueError:
                return _hec(400, 6, "Invalid data format")
            if not isinstance(event, dict) or event.get("event") in (None, ""):
                return _hec(400, 13, "Event field cannot be blank")
            if self.indexes and event.get("index", "") not in self.indexes:
                return _hec(400, 7, "Incorrect index")
            if any(isinstance(value, dict) for value in event.get("fields", {}).values()):
                return _hec(400, 15, "Error in handling indexed fields")
            events.append((event.get("fields", {}).get("imperva_uid", ""), event))
        return self._take(events)

    def _take(self, events: list[tuple[str, Any]]) -> SiemAnswer:
        if not self.acknowledges:
            for name, event in events:
                self.keep(name, event)
            return _hec(200, 0, "Success")
        ack_id, self._next_ack = self._next_ack, self._next_ack + 1
        self._pending[ack_id] = events
        return SiemAnswer(200, {"text": "Success", "code": 0, "ackId": ack_id})

    def _acks(self, request: SiemRequest) -> SiemAnswer:
        if not self.acknowledges:
            return _hec(400, 14, "ACK is disabled")
        asked = json.loads(request.body)["acks"]
        acks = {}
        for ack_id in asked:
            self._asked[ack_id] = self._asked.get(ack_id, 0) + 1
            acks[str(ack_id)] = ack_id in self._pending and self._asked[ack_id] > self.confirm_after
            if acks[str(ack_id)]:
                # Splunk says it once, and forgets it then.
                for name, event in self._pending.pop(ack_id):
                    self.keep(name, event)
        return SiemAnswer(200, {"acks": acks})


class SumoReceiver(HttpReceiver):
    """An HTTP source of Sumo Logic, whose token is the end of its path; lines end at line feeds."""

    def __init__(self, token: str, *, most_bytes: int = 1 << 20, **options: Any) -> None:
        super().__init__(most_bytes=most_bytes, **options)
        self.token = token

    def answer(self, request: SiemRequest) -> SiemAnswer:
        """Answer as Sumo Logic does."""
        if request.path != f"/receiver/v1/http/{self.token}":
            return SiemAnswer(401)
        for line in request.body.split(b"\n"):
            if line:
                self.keep("", line)
        return SiemAnswer(200)


class GelfReceiver(HttpReceiver):
    """An input of type GELF HTTP of Graylog.

    :param bulk: whether bulk receiving is on; else there is one event a request.
    """

    def __init__(self, *, bulk: bool = True, **options: Any) -> None:
        super().__init__(**options)
        self.bulk = bulk

    def answer(self, request: SiemRequest) -> SiemAnswer:
        """Answer as Graylog does."""
        if request.path != "/gelf":
            return SiemAnswer(404)
        lines = request.body.split(b"\n") if self.bulk else [request.body]
        events = []
        for line in filter(None, lines):
            try:
                event = json.loads(line)
            except ValueError:
                return SiemAnswer(400)
            if not is_gelf(event):
                return SiemAnswer(400)
            events.append(event)
        for event in events:
            self.keep(event.get("_imperva_uid", ""), event)
        return SiemAnswer(202)


class BulkReceiver(HttpReceiver):
    """The bulk interface of Elasticsearch and OpenSearch: documents under their ids.

    :param authorization: the only header that it accepts.
    :ivar documents: what is stored, by id.
    :ivar item_script: statuses of the next items, before its own.
    """

    def __init__(self, *, authorization: str = "", **options: Any) -> None:
        super().__init__(**options)
        self.authorization = authorization
        self.documents: dict[str, Any] = {}
        self.item_script: deque[int] = deque()

    def answer(self, request: SiemRequest) -> SiemAnswer:
        """Answer as the bulk interface does."""
        if request.headers.get("authorization", "") != self.authorization:
            return SiemAnswer(401)
        if not request.path.endswith("/_bulk"):
            return SiemAnswer(405)
        if request.headers.get("content-type") != "application/x-ndjson" or not request.body.endswith(b"\n"):
            return SiemAnswer(400)
        lines = request.body[:-1].split(b"\n")
        if len(lines) % 2:
            return SiemAnswer(400)
        pairs = zip(lines[::2], lines[1::2], strict=True)
        items = [self._create(json.loads(action), json.loads(document)) for action, document in pairs]
        failed = any(item["create"]["status"] > 299 for item in items)
        return SiemAnswer(200, {"took": 1, "errors": failed, "items": items})

    def _create(self, action: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
        name = action["create"]["_id"]
        if len(name.encode()) > 512:
            return _item(name, 400, "illegal_argument_exception")
        if self.item_script and (status := self.item_script.popleft()) > 299:
            return _item(
                name, status, "mapper_parsing_exception" if status == 400 else "es_rejected_execution_exception"
            )
        if "@timestamp" not in document:
            return _item(name, 400, "mapper_parsing_exception")
        if name in self.documents:
            return _item(name, 409, "version_conflict_engine_exception")
        self.documents[name] = document
        self.keep(name, document)
        return {"create": {"_id": name, "status": 201}}


def _item(name: str, status: int, kind: str) -> dict[str, Any]:
    return {"create": {"_id": name, "status": status, "error": {"type": kind, "reason": "…"}}}


def _hec(status: int, code: int, text: str) -> SiemAnswer:
    return SiemAnswer(status, {"text": text, "code": code})


def _is_guid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


class _Handler(BaseHTTPRequestHandler):
    server: OwnedServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Content-Encoding") == "gzip":
            try:
                body = gzip.decompress(body)
            except (OSError, EOFError, zlib.error):
                self._give(SiemAnswer(400))
                return
        split = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(split.query).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        receiver: HttpReceiver = self.server.owner
        self._give(receiver.respond(SiemRequest(split.path, query, headers, body)))

    def _give(self, answer: SiemAnswer) -> None:
        if answer.status == 0:
            self.close_connection = True
            return
        body = b"" if answer.body is None else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet: the requests are recorded."""
