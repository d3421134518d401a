"""Somebody may answer for what is lost or wrong: it is in the ledger then, and no longer in the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_imperva.cli import main
from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.testing import FakeRepository, KeyPair
from airflow_provider_imperva.testing.forge import forge_log
from tests.audit.insider import Insider
from tests.load.load_runs import Account, Clock

GROUNDS = ["--by", "J. Doe", "--why", "outage", "--reference", "INC-1"]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def account(tmp_path: Path, clock: Clock) -> Iterator[Account]:
    """A day with a log that cannot be decoded, seen until after its end, by a clock that is right again."""
    right, other = KeyPair.generate(), KeyPair.generate()
    with FakeRepository() as repository:
        account = Account(repository, tmp_path / "lake", keys=KeyRing({"1": right.private_key}), clock=clock)
        account.serve(1, 3)
        repository.add("8416_2.log", forge_log(b"", key=other))
        account.run_some()
        clock.ahead = timedelta(hours=30)
        account.serve(4)
        account.run_some()
        yield account


def accept(lake: Path, about: str, *more: str) -> int:
    return main(["accept", str(lake), "--about", about, *GROUNDS, *more])


def test_an_accepted_loss_leaves_the_certificate_complete(account: Account, tmp_path: Path) -> None:
    path = tmp_path / "certificate.json"
    issue = ["certificate", str(account.lake), "--day", f"{datetime.now(UTC):%Y-%m-%d}", "--output", str(path)]
    assert main(issue) == 0
    before = json.loads(path.read_bytes())
    assert [(reason["code"], reason["numbers"]) for reason in before["reasons"]] == [("quarantined", 1)]
    assert accept(account.lake, "8416_2") == 0
    assert main(issue) == 0
    after = json.loads(path.read_bytes())
    assert (after["complete"], after["accepted_numbers"], after["reasons"]) == (True, 1, [])
    assert after["prefixes"] == before["prefixes"], "what became of it is told as before"
    (exception,) = after["exceptions"]
    assert (exception["about"], exception["by"], exception["reference"]) == ("8416_2", "J. Doe", "INC-1")
    assert main(["certificate", str(account.lake), "--check", str(path)]) == 0


def test_an_accepted_finding_is_told_and_makes_nothing_red(lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = next(lake.glob("raw/**/8416_2.log"))
    path.unlink()
    about = path.relative_to(lake).as_posix()
    assert main(["verify", str(lake)]) == 1
    assert accept(lake, about) == 0
    assert main(["verify", str(lake)]) == 0
    assert f"accepted  missing: {about}" in capsys.readouterr().out


def test_a_broken_chain_is_never_accepted(lake: Path) -> None:
    path = next(lake.glob("ledger/**/000000000003.commit.json"))
    assert accept(lake, path.relative_to(lake).as_posix().replace("0003.", "0004.")) == 0
    path.write_bytes(path.read_bytes() + b"\n")
    assert main(["verify", str(lake)]) == 1


def test_what_the_plan_did_not_accept_is_no_exception(lake: Path) -> None:
    assert accept(lake, "8416_4") == 0
    insider = Insider(lake)
    path = insider.layout.commit(insider.last)
    insider.edit(path, lambda commit: commit["accepts"][0].update(about="8416_1 to 8416_9"))
    assert main(["verify", str(lake)]) == 1


@pytest.mark.parametrize("option", ["--by", "--why", "--reference", "--about"])
def test_grounds_that_are_none_are_refused(lake: Path, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert accept(lake, "8416_4", option, " ") == 2
    assert "printable" in capsys.readouterr().err
    assert Insider(lake).last == 6


def test_it_waits_for_a_run_that_is_under_way(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    account.serve(5)
    account.plan()
    assert accept(account.lake, "8416_2") == 2
    assert "has no commit" in capsys.readouterr().err
