"""Every command that writes to a ledger signs its commits, and has them noted outside of the lake."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from airflow_provider_imperva import cli
from airflow_provider_imperva.audit.trusted import TrustedInputs
from airflow_provider_imperva.audit.verify import verify_lake
from airflow_provider_imperva.cli import main
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import Kind
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.seal.anchors import open_anchors
from airflow_provider_imperva.seal.signature import PublicKeys, SigningKey
from airflow_provider_imperva.testing import FakeRepository
from tests.lake.encrypted_account import EncryptedAccount
from tests.load.load_runs import Clock
from tests.retention.test_erase import ADDRESS
from tests.seal.openssl_keys import KeyFiles, make_keys

WHO = ["--by", "dpo", "--why", "because", "--reference", "R-1"]
NO_LEDGER = {"certificate", "evidence"}
"""Commands that sign what is no commit."""


def policy(folder: Path) -> str:
    path = folder / "policy.yaml"
    path.write_text("events: {access: 45, security: 45}\n")
    return str(path)


class Lake:
    """A signed lake, with what each command finds to do in it."""

    def __init__(self, account: EncryptedAccount, keys: KeyFiles, folder: Path) -> None:
        self.path = account.lake
        self.keys = keys
        self.anchors = folder / "anchors"
        key = folder / "raw.key"
        key.write_text("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n")
        month = str(account.record("8416_1.log")["data_key"])
        self.commands = {
            "accept": ["--about", "8416_1", *WHO],
            "compact": ["--quiet-hours", "0"],
            "hold": ["set", *WHO, "--until", "2020-01-01"],
            "expire": ["--policy", policy(folder)],
            "replay": ["--log", "8416_3.log", "--raw-key", str(key)],
            "erase": ["--client-ip", ADDRESS, "--raw-key", str(key), *WHO],
            "destroy-key": ["--month", month, *WHO],
        }

    def run(self, name: str, anchors: str | None = None) -> int:
        sealing = ["--signing-key", str(self.keys.private), "--anchors", anchors or str(self.anchors)]
        what, *rest = self.commands[name]
        return main([name, str(self.path), what, *rest, *sealing])

    def ledger(self) -> Ledger:
        return Ledger(open_store(str(self.path)), "8416_1745073")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """One for all tests, which write to it in their order here."""
    tmp_path = tmp_path_factory.mktemp("commands")
    keys, clock = make_keys(tmp_path / "keys"), Clock()
    clock.ahead = timedelta(days=-40)
    with FakeRepository(name="8416_1745073") as repository:
        account = EncryptedAccount(repository, tmp_path / "lake", clock=clock)
        signed = account.ledger
        account.ledger = Ledger(signed.store, "8416_1745073", signer=SigningKey.of_file(str(keys.private)))
        account.ledger.raw = signed.raw
        for number, days, people in ((1, 50, ()), (2, 41, (ADDRESS,)), (3, 41, ()), (4, 41, ())):
            account.serve_day(number, days, people=people)
            account.run()
        yield Lake(account, keys, tmp_path)


def test_no_command_that_writes_was_left_out(lake: Lake) -> None:
    (commands,) = (action for action in cli._parser()._actions if isinstance(action, argparse._SubParsersAction))
    signing = {
        name
        for name, parser in commands.choices.items()
        if any("--signing-key" in action.option_strings for action in parser._actions)
    }
    assert signing - NO_LEDGER == lake.commands.keys()


def test_without_the_signing_key_each_refuses_and_nothing_is_written(lake: Lake) -> None:
    before = lake.ledger().head()
    for name, arguments in lake.commands.items():
        assert main([name, str(lake.path), *arguments]) == 2, name
    assert lake.ledger().head() == before


def test_an_anchor_that_does_not_answer_fails_the_command_after_its_commit(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    before = lake.ledger().head().next_commit
    assert lake.run("accept", anchors="http://127.0.0.1:9/anchors") == 1
    assert "the commit is made, but its hash is not at the anchor" in capsys.readouterr().err
    assert lake.ledger().head().next_commit == before + 1


def test_each_of_their_commits_is_signed_and_at_the_anchor(lake: Lake) -> None:
    first = lake.ledger().head().next_commit
    for name in lake.commands:
        assert lake.run(name) == 0, name
    made = [commit for commit in lake.ledger().commits() if commit.commit >= first]
    # Objects that were removed are deleted by commits of their own.
    assert {commit.kind for commit in made} == set(Kind) - {Kind.LOAD}
    assert all(commit.signed_by for commit in made)
    noted = {(anchor.commit, anchor.sha256) for anchor in open_anchors(str(lake.anchors)).read()}
    assert noted == {(commit.commit, lake.ledger().sha256(commit.commit)) for commit in made}
    given = TrustedInputs(tuple(open_anchors(str(lake.anchors)).read()), PublicKeys.of_files([lake.keys.public]))
    (found,) = verify_lake(open_store(str(lake.path)), trusted=given).repositories
    # The disk's clock, by which logs are fetched, does not go back.
    assert {finding.kind for finding in found.findings} == {"time"}
