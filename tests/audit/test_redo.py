"""Logs that are decoded again give the rows that are in events/, and what cannot be compared is said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_imperva.audit.findings import Finding
from airflow_provider_imperva.audit.redo import RedoSelection
from airflow_provider_imperva.audit.verify import verify_lake
from airflow_provider_imperva.cli import main
from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.load.normalize import NormalizeOptions
from airflow_provider_imperva.privacy.protection import Protection
from airflow_provider_imperva.privacy.rules import redaction_rules
from airflow_provider_imperva.testing import FakeRepository, KeyPair
from airflow_provider_imperva.testing.forge import forge_log
from tests.audit.insider import Insider, edit_a_row
from tests.load.load_runs import Account

SECRET = (
    "CEF:0|Incapsula|SIEMintegration|1|1|Normal|0|"
    "request=a.example/?password\\=hunter2 src=192.0.2.1 start=1772400000000"
)


@pytest.fixture(scope="module")
def key() -> KeyPair:
    return KeyPair.generate()


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory, key: KeyPair) -> Iterator[Account]:
    """Logs of each format, some of them encrypted, with a secret and with a column `raw`."""
    with FakeRepository() as repository:
        lake = tmp_path_factory.mktemp("redone") / "lake"
        account = Account(repository, lake, keys=KeyRing({"1": key.private_key}))
        account.serve(1, 2)
        account.serve(3, keys=[key])
        repository.add("8416_4.log", forge_log(f"{SECRET}\n".encode()))
        account.serve(5)
        account.run_some()
        account.normalize_options = NormalizeOptions(keep_raw=True)
        account.serve(6)
        account.run_some()
        yield account


def redone(account: Account, redo: RedoSelection) -> tuple[list[Finding], str]:
    (found,) = verify_lake(open_store(str(account.lake)), redo=redo).repositories
    (note,) = [note for note in found.notes if "decoded again" in note]
    return list(found.findings), note


def test_every_row_is_what_its_bytes_give(account: Account) -> None:
    findings, note = redone(account, RedoSelection(100, account.keys))
    assert findings == []
    assert note.startswith("6 of 6 logs decoded again")
    assert note.endswith("rows compared value by value")


def test_a_log_whose_key_is_not_at_hand_is_counted(account: Account) -> None:
    findings, note = redone(account, RedoSelection(100))
    assert findings == []
    assert note.startswith("5 of 6 logs")
    assert "1 not compared: its private key or data key is not at hand" in note


def test_rows_by_other_rules_are_not_compared(account: Account) -> None:
    findings, note = redone(account, RedoSelection(100, account.keys, redaction_rules({"keys": ["colour"]})))
    assert findings == []
    assert "6 not compared: its rows were redacted by other rules" in note


def test_rows_that_were_not_redacted_are(tmp_path: Path) -> None:
    with FakeRepository() as repository:
        account = Account(
            repository, tmp_path / "lake", normalize_options=NormalizeOptions(protection=Protection(None))
        )
        repository.add("8416_1.log", forge_log(f"{SECRET}\n".encode()))
        account.run_some()
        assert redone(account, RedoSelection(1)) == ([], "1 of 1 logs decoded again, 1 rows compared value by value")


def test_the_command_draws_logs_and_takes_keys(
    account: Account, key: KeyPair, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key.write(tmp_path)
    options: list[Any] = ["--redo", "3", "--seed", "1", "--keys", str(tmp_path), "--json"]
    assert main(["verify", str(account.lake), *options]) == 0
    (repository,) = json.loads(capsys.readouterr().out)["repositories"]
    assert any(note.startswith("3 of 6 logs decoded again") for note in repository["notes"])


def test_a_value_that_was_edited_is_named(account: Account, tmp_path: Path) -> None:
    """Although every hash was recomputed."""
    lake = Path(shutil.copytree(account.lake, tmp_path / "lake"))
    edit_a_row(Insider(lake))
    (finding,) = verify_lake(open_store(str(lake)), redo=RedoSelection(100, account.keys)).repositories[0].findings
    assert finding.about == "8416_6.log"
    assert finding.found.startswith("1 of its 5 rows in events/ are not what its bytes in raw/ give: client_ip")
