"""Heads are noted outside of the lake, in a folder or by HTTP, and read again from there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from airflow_provider_imperva.errors import ConfigurationError, LakeError
from airflow_provider_imperva.seal.anchors import Anchor, open_anchors

NOTED = [
    Anchor(number, f"{number:064x}", "8416_1745073", ("8416_1745073", "9001_1"), datetime(2026, 11, 1, tzinfo=UTC))
    for number in (1, 2, 1000)
]


class _Service(BaseHTTPRequestHandler):
    taken: list[bytes]

    def do_POST(self) -> None:
        if self.headers["Authorization"] != "Bearer secret":
            self.send_error(403)
            return
        self.taken.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"\n".join(self.taken))

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[str]:
    handler = type("Handler", (_Service,), {"taken": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/anchors"
        server.shutdown()


def test_a_folder_gives_back_what_it_was_given(tmp_path: Path) -> None:
    anchors = open_anchors(str(tmp_path))
    for anchor in [*NOTED, NOTED[0]]:
        anchors.note(anchor)
    found = anchors.read()
    assert [(item.repository, item.commit, item.sha256) for item in found] == [
        (item.repository, item.commit, item.sha256) for item in NOTED
    ]
    assert found[-1] == NOTED[-1]


def test_another_head_of_the_same_number_stands_beside_the_first(tmp_path: Path) -> None:
    """So that a fork of the ledger shows."""
    anchors = open_anchors(str(tmp_path))
    for sha256 in ("a" * 64, "b" * 64):
        anchors.note(Anchor(7, sha256, "r"))
    assert {(item.commit, item.sha256) for item in anchors.read()} == {(7, "a" * 64), (7, "b" * 64)}


def test_a_service_gives_back_what_it_was_given(service: str) -> None:
    anchors = open_anchors(service, token="secret")
    assert anchors.read() == []
    for anchor in NOTED:
        anchors.note(anchor)
    assert anchors.read() == NOTED


def test_a_service_that_refuses_is_said_to(service: str) -> None:
    with pytest.raises(LakeError, match="HTTP 403") as caught:
        open_anchors(service, token="wrong").note(NOTED[0])
    assert "wrong" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://example.com/anchors", "https://user:pw@example.com/anchors", "relative"])
def test_what_is_no_safe_place_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_anchors(url)
    assert "pw" not in str(caught.value)
