"""Scripts of faults: what people rehearse an outage of their own DAG with."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import requests

from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.testing import FakeRepository, Fault, FaultRule, FaultScript, VirtualClock

ROOT = Path(__file__).resolve().parents[2]


def statuses(repository: FakeRepository, path: str, times: int) -> list[int]:
    return [ask(repository, path) for _ in range(times)]


def ask(repository: FakeRepository, path: str) -> int:
    """The status of an answer; 0 if there was none."""
    try:
        return requests.get(repository.url + path, auth=(repository.login, repository.password), timeout=10).status_code
    except requests.ConnectionError:
        return 0


def script(*rules: FaultRule, seed: int = 0) -> FaultScript:
    return FaultScript(rules=rules, seed=seed)


class TestRules:
    def test_a_rule_holds_for_its_paths_and_the_first_that_applies_decides(self) -> None:
        rules = script(
            FaultRule(path="8416_1?.log", fault=Fault(status=500)),
            FaultRule(path="*.log", fault=Fault(status=503)),
        )
        with FakeRepository(script=rules) as repository:
            assert ask(repository, "8416_12.log") == 500
            assert ask(repository, "8416_1.log") == 503
            assert ask(repository, "logs.index") == 200

    def test_a_rule_holds_for_its_requests_counted_over_all_paths(self) -> None:
        with FakeRepository(script=script(FaultRule(requests=(2, 3), fault=Fault(status=503)))) as repository:
            assert statuses(repository, "logs.index", 1) == [200]
            assert statuses(repository, "8416_1.log", 1) == [503]
            assert statuses(repository, "logs.index", 3) == [503, 200, 200]

    def test_a_rule_holds_for_its_time_since_the_script_began(self) -> None:
        clock = VirtualClock()
        with FakeRepository(clock=clock) as repository:
            clock.advance(timedelta(hours=5))
            repository.script = script(FaultRule(seconds=(60, 120), fault=Fault(hang_up=True)))
            found = []
            for _ in range(5):
                found.append(ask(repository, "logs.index"))
                clock.advance(timedelta(seconds=40))
        assert found == [200, 200, 0, 0, 200]

    def test_open_ended_spans_never_end(self) -> None:
        rule = FaultRule(seconds=(10,), requests=(3,), fault=Fault())
        assert rule.applies("x", request=10**9, seconds=1e12)
        assert not rule.applies("x", request=2, seconds=1e12)
        assert not rule.applies("x", request=3, seconds=9)

    def test_the_same_seed_gives_the_same_faults_whatever_else_is_asked_for(self) -> None:
        rules = script(FaultRule(path="*.log", probability=0.5, fault=Fault(status=503)), seed=5)
        with FakeRepository(script=rules) as one, FakeRepository(script=rules) as other:
            alone = statuses(one, "8416_1.log", 30)
            among = []
            for number in range(30):
                ask(other, f"8416_{number + 2}.log")
                among += statuses(other, "8416_1.log", 1)
        assert alone == among
        assert 5 < alone.count(503) < 25
        with FakeRepository(script=script(*rules.rules, seed=6)) as repository:
            assert statuses(repository, "8416_1.log", 30) != alone

    def test_what_a_test_asks_for_by_hand_goes_before_the_script(self) -> None:
        with FakeRepository(script=script(FaultRule(fault=Fault(status=503)))) as repository:
            repository.fail("logs.index", Fault(status=429))
            assert statuses(repository, "logs.index", 2) == [429, 503]


class TestFiles:
    @pytest.mark.parametrize("path", sorted((ROOT / "docs" / "rehearsals").iterdir()), ids=lambda path: path.name)
    def test_the_documented_scripts_load(self, path: Path) -> None:
        assert FaultScript.load(path).rules

    def test_the_script_in_the_documentation_loads(self, tmp_path: Path) -> None:
        module = sys.modules[FaultScript.__module__]
        (tmp_path / "faults.toml").write_text((module.__doc__ or "").split("::\n")[1].split("\nThe first rule")[0])
        loaded = FaultScript.load(tmp_path / "faults.toml")
        assert loaded.seed == 7
        assert [rule.fault for rule in loaded.rules] == [Fault(hang_up=True), Fault(shorten=0.5)]

    @pytest.mark.parametrize(
        ("name", "text", "found"),
        [
            ("a.toml", "rules = [", "TOML|Invalid|Unclosed"),
            ("a.json", "{", "truncated"),
            ("a.toml", "seed = 1", "rules"),
            ("a.toml", "rules = [{fault = {sttus = 503}}]", "sttus"),
            ("a.toml", "rules = [{fault = {status = 503}, probability = 2}]", "probability"),
            ("a.toml", "rules = [{fault = {status = 503}, seconds = [9, 1]}]", "seconds"),
            ("a.toml", "rules = [{fault = {shorten = 1.5}}]", "shorten"),
            ("a.toml", "rules = [{fault = {drip = 0}}]", "drip"),
        ],
    )
    def test_a_script_that_cannot_be_meant_is_refused_by_name(
        self, tmp_path: Path, name: str, text: str, found: str
    ) -> None:
        (tmp_path / name).write_text(text)
        with pytest.raises(ConfigurationError, match=found) as caught:
            FaultScript.load(tmp_path / name)
        assert caught.value.about == str(tmp_path / name)

    def test_a_missing_script_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="no script"):
            FaultScript.load(tmp_path / "none.toml")


def command(folder: Path, *options: str) -> subprocess.Popen[str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-m", "airflow_provider_imperva.testing", str(folder), "--port", "0", "--logs", "2", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def test_the_command_plays_a_script(tmp_path: Path) -> None:
    (tmp_path / "faults.json").write_text(json.dumps({"rules": [{"requests": [2], "fault": {"status": 503}}]}))
    with command(tmp_path, "--events", "2", "--faults", str(tmp_path / "faults.json")) as served:
        try:
            assert served.stdout
            line = served.stdout.readline()
            url = re.search(r"http://\S+", line)
            assert url, line
            found = [requests.get(f"{url[0]}logs.index", auth=("30432", "fake-api-key"), timeout=10) for _ in range(3)]
        finally:
            served.kill()
    assert [answer.status_code for answer in found] == [200, 503, 503]


def test_the_command_refuses_a_script_it_cannot_play(tmp_path: Path) -> None:
    (tmp_path / "faults.toml").write_text("rules = 3")
    with command(tmp_path, "--faults", str(tmp_path / "faults.toml")) as served:
        _, said = served.communicate(timeout=60)
    assert served.returncode == 2
    assert "faults.toml: no script of faults" in said


class TestFaults:
    @pytest.fixture
    def repository(self) -> Iterator[FakeRepository]:
        with FakeRepository() as repository:
            repository.add("8416_1.log", b"0123456789")
            yield repository

    def test_a_shortened_body_looks_whole(self, repository: FakeRepository) -> None:
        repository.fail("8416_1.log", Fault(shorten=0.5), Fault(shorten=0))
        url, auth = repository.url + "8416_1.log", (repository.login, repository.password)
        for expected in (b"01234", b""):
            answer = requests.get(url, auth=auth, timeout=10)
            assert (answer.content, answer.headers["Content-Length"]) == (expected, str(len(expected)))

    def test_a_hang_up_is_no_answer(self, repository: FakeRepository) -> None:
        repository.fail("8416_1.log", Fault(hang_up=True))
        assert statuses(repository, "8416_1.log", 2) == [0, 200]
        assert [record.status for record in repository.requests] == [0, 200]

    def test_a_body_stalls_in_its_midst(self, repository: FakeRepository) -> None:
        repository.fail("8416_1.log", Fault(cut=3, hold=30))
        url, auth = repository.url + "8416_1.log", (repository.login, repository.password)
        started = time.monotonic()
        with requests.get(url, auth=auth, timeout=(5, 0.3), stream=True) as answer:
            assert answer.raw.read1(10) == b"012"
            with pytest.raises(Exception, match="timed out"):
                answer.raw.read1(10)
        assert 0.25 < time.monotonic() - started < 10

    def test_a_hang_up_looks_like_one_to_any_client(self, repository: FakeRepository) -> None:
        repository.fail("*", Fault(hang_up=True))
        connection = http.client.HTTPConnection("127.0.0.1", repository.port, timeout=10)
        connection.request("GET", "/")
        with pytest.raises(http.client.RemoteDisconnected):
            connection.getresponse()
        connection.close()


class TestVirtualClock:
    def test_time_stands_still_until_it_is_put_forward_and_never_goes_back(self) -> None:
        clock = VirtualClock()
        before = clock()
        assert clock() == before
        clock.advance(timedelta(hours=1))
        assert clock() - before == timedelta(hours=1)
        with pytest.raises(ValueError, match="put back"):
            clock.advance(timedelta(seconds=-1))

    @pytest.mark.parametrize("in_folder", [True, False])
    def test_logs_leave_the_window_by_it(self, tmp_path: Path, in_folder: bool) -> None:
        clock = VirtualClock()
        folder = tmp_path if in_folder else None
        with FakeRepository(folder, clock=clock, window=timedelta(hours=48)) as repository:
            repository.add("8416_1.log", b"x")
            clock.advance(timedelta(hours=47))
            repository.add("8416_2.log", b"x")
            assert [ask(repository, f"8416_{number}.log") for number in (1, 2)] == [200, 200]
            clock.advance(timedelta(hours=2))
            assert [ask(repository, f"8416_{number}.log") for number in (1, 2)] == [404, 200]
            assert repository.requests[-1].time == clock()

    def test_the_oldest_by_it_give_way_beyond_the_byte_cap_even_a_late_number_does_not(self) -> None:
        clock = VirtualClock()
        with FakeRepository(clock=clock, byte_cap=25) as repository:
            for number in (2, 3, 1):
                repository.add(f"8416_{number}.log", b"x" * 10)
                clock.advance(timedelta(minutes=1))
            assert [str(name) for name in repository.names()] == ["8416_1.log", "8416_3.log"]


def test_the_command_says_that_its_port_is_taken(tmp_path: Path) -> None:
    with FakeRepository() as repository, command(tmp_path, "--port", str(repository.port)) as served:
        _, said = served.communicate(timeout=60)
    assert served.returncode == 2
    assert f"port {repository.port} cannot be listened on" in said
    assert "--port" in said
