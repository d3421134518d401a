"""The fake repository: what people rely on when they test their own DAGs with it."""

from __future__ import annotations

import base64
import http.client
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_imperva.testing import FakeRepository, Fault


@pytest.fixture
def repository() -> Iterator[FakeRepository]:
    with FakeRepository() as repository:
        yield repository


def get(
    repository: FakeRepository, name: str, *, password: str | None = None, folder: str | None = None
) -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", repository.port, timeout=10)
    token = base64.b64encode(f"{repository.login}:{password or repository.password}".encode()).decode()
    try:
        path = f"/{folder or repository.name}/{name}"
        connection.request("GET", path, headers={"Authorization": f"Basic {token}"})
        response = connection.getresponse()
        return response.status, response.read(), dict(response.headers)
    finally:
        connection.close()


def test_the_index_lists_what_is_there_by_number(repository: FakeRepository) -> None:
    assert get(repository, "logs.index")[:2] == (200, b"")
    for name in ("8416_10.log", "8416_9.log", "8416_11.log"):
        repository.add(name, b"x")
    repository.remove("8416_11.log")
    assert get(repository, "logs.index")[:2] == (200, b"8416_9.log\n8416_10.log\n")
    repository.index_final_newline = False
    assert get(repository, "logs.index")[1] == b"8416_9.log\n8416_10.log"


def test_the_index_can_be_anything_or_missing(repository: FakeRepository) -> None:
    repository.index = b"\xff\r\n"
    assert get(repository, "logs.index")[1] == b"\xff\r\n"
    repository.index_missing = True
    assert get(repository, "logs.index")[0] == 404


def test_a_log_is_served_to_who_has_the_key(repository: FakeRepository) -> None:
    repository.add("8416_1.log", b"\x00\xff")
    assert get(repository, "8416_1.log")[:2] == (200, b"\x00\xff")
    assert get(repository, "8416_1.log", password="wrong")[:2] == (401, b"")
    assert get(repository, "8416_2.log")[0] == 404
    assert get(repository, "8416_1.log", folder="8416_9")[0] == 404


def test_only_names_of_logs_are_taken_and_served(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("s")
    (tmp_path / "logs").mkdir()
    with FakeRepository(tmp_path / "logs") as repository:
        assert get(repository, "../secret.txt")[0] == 404
        assert get(repository, "../../secret.txt")[0] == 404
        with pytest.raises(ValueError, match="name of a log"):
            repository.add("../secret.log", b"x")
        with pytest.raises(KeyError):
            repository.remove("8416_1.log")


def test_a_folder_is_shared_with_other_processes(tmp_path: Path) -> None:
    with FakeRepository(tmp_path) as repository, FakeRepository(tmp_path) as other:
        repository.add("8416_2.log", b"ours")
        (tmp_path / "8416_1.log").write_bytes(b"theirs")
        (tmp_path / "README.md").write_text("not a log")
        assert [str(name) for name in other.names()] == ["8416_1.log", "8416_2.log"]
        assert get(other, "8416_2.log")[1] == b"ours"
        other.remove("8416_2.log")
        assert get(repository, "8416_2.log")[0] == 404
        assert sorted(path.name for path in tmp_path.iterdir()) == ["8416_1.log", "README.md"]


def test_a_log_leaves_the_window(tmp_path: Path) -> None:
    with FakeRepository(tmp_path, window=timedelta(hours=48)) as repository:
        for number, hours in ((1, 49), (2, 47)):
            repository.add(f"8416_{number}.log", b"x")
            then = time.time() - hours * 3600
            os.utime(tmp_path / f"8416_{number}.log", (then, then))
        assert get(repository, "logs.index")[1] == b"8416_2.log\n"
        assert get(repository, "8416_1.log")[0] == 404
        assert get(repository, "8416_2.log")[0] == 200


def test_the_oldest_logs_give_way_beyond_the_byte_cap(repository: FakeRepository) -> None:
    repository.byte_cap = 250
    for number in range(1, 5):
        repository.add(f"8416_{number}.log", b"x" * 100)
    assert get(repository, "logs.index")[1] == b"8416_3.log\n8416_4.log\n"
    assert get(repository, "8416_2.log")[0] == 404


def test_each_request_takes_the_next_fault_of_its_path(repository: FakeRepository) -> None:
    repository.add("8416_1.log", b"x")
    repository.fail("8416_1.log", Fault(status=503, retry_after=7), Fault(), Fault(redirect="/elsewhere"))
    repository.fail("*", Fault(status=500))
    status, _, headers = get(repository, "8416_1.log")
    assert (status, headers["Retry-After"]) == (503, "7")
    assert get(repository, "logs.index")[0] == 500
    assert get(repository, "8416_1.log")[0] == 200
    status, _, headers = get(repository, "8416_1.log")
    assert (status, headers["Location"]) == (302, "/elsewhere")
    assert get(repository, "8416_1.log")[0] == 200


def test_a_login_page_comes_with_status_200(repository: FakeRepository) -> None:
    repository.fail("logs.index", Fault(html=True))
    status, body, _ = get(repository, "logs.index")
    assert status == 200
    assert body.startswith(b"<!DOCTYPE html>")


@pytest.mark.parametrize(("fault", "sent"), [(Fault(cut=3), 3), (Fault(wrong_length=2), 10)])
def test_a_body_shorter_than_announced(repository: FakeRepository, fault: Fault, sent: int) -> None:
    repository.add("8416_1.log", b"0123456789")
    repository.fail("8416_1.log", fault)
    with pytest.raises(http.client.IncompleteRead) as caught:
        get(repository, "8416_1.log")
    assert len(caught.value.partial) == sent


@pytest.mark.parametrize(("fault", "seconds"), [(Fault(stall=0.2), 0.2), (Fault(drip=50), 0.2)], ids=["stall", "drip"])
def test_a_slow_answer_is_slow_and_whole(repository: FakeRepository, fault: Fault, seconds: float) -> None:
    repository.add("8416_1.log", b"0123456789")
    repository.fail("8416_1.log", fault)
    started = time.monotonic()
    assert get(repository, "8416_1.log")[1] == b"0123456789"
    assert time.monotonic() - started >= seconds * 0.9


def test_every_request_is_recorded_here_and_for_other_processes(tmp_path: Path) -> None:
    request_log = tmp_path / "requests.jsonl"
    started = datetime.now(UTC)
    with FakeRepository(request_log=request_log) as repository:
        repository.add("8416_1.log", b"0123456789")
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda _: get(repository, "8416_1.log"), range(20)))
        get(repository, "8416_1.log", password="wrong")
    last = repository.requests[-1]
    assert (last.method, last.path, last.status, last.authorized, last.bytes) == (
        "GET",
        "/8416_1745073/8416_1.log",
        401,
        False,
        0,
    )
    assert started <= last.time <= datetime.now(UTC)
    assert [record.bytes for record in repository.requests[:-1]] == [10] * 20
    lines = [json.loads(line) for line in request_log.read_text().splitlines()]
    assert [line["status"] for line in lines] == [200] * 20 + [401]
    assert datetime.fromisoformat(lines[-1]["time"]) == last.time


def test_a_stop_ends_open_connections_and_a_start_brings_the_same_port_back(repository: FakeRepository) -> None:
    repository.add("8416_1.log", b"x")
    port = repository.port
    kept_open = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    kept_open.request("GET", "/")
    kept_open.getresponse().read()
    repository.stop()
    assert kept_open.sock.recv(1) == b""
    kept_open.close()
    with pytest.raises(ConnectionRefusedError):
        get(repository, "8416_1.log")
    repository.start()
    assert repository.port == port
    assert get(repository, "8416_1.log")[1] == b"x"


def test_a_stop_does_not_wait_for_a_stalled_answer() -> None:
    with FakeRepository() as repository, ThreadPoolExecutor(1) as threads:
        repository.fail("*", Fault(stall=60))
        asked = threads.submit(get, repository, "logs.index")
        while not repository.peak_requests:
            time.sleep(0.01)
        started = time.monotonic()
        repository.stop()
        assert time.monotonic() - started < 5
        with pytest.raises((OSError, http.client.HTTPException)):
            asked.result(timeout=10)
