"""The commands: what they print, what they return, and what they never show."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from airflow_provider_imperva.cli import main
from airflow_provider_imperva.privacy.options import PseudonymOptions
from airflow_provider_imperva.privacy.protection import Protection
from airflow_provider_imperva.privacy.pseudonyms import Key, Pseudonyms
from airflow_provider_imperva.retention.erase import erase
from airflow_provider_imperva.retention.subject import Subject
from tests.retention.kept_account import KeptAccount, day_of, files_of
from tests.retention.test_erase import ADDRESS, ANOTHER, REQUEST, load

ASKED = ["--by", "dpo@example.com", "--why", "article 17", "--reference", "DSR-12"]


@pytest.fixture
def policy(tmp_path: Path) -> str:
    path = tmp_path / "retention.yaml"
    path.write_text("events: {access: 2, security: 2}\n")
    return str(path)


def test_expire_and_oldest(account: KeptAccount, policy: str, capsys: pytest.CaptureFixture[str]) -> None:
    load(account)
    lake = str(account.lake)
    before = files_of(account.lake)
    assert main(["expire", lake, "--policy", policy, "--dry-run"]) == 0
    assert "Would leave" in capsys.readouterr().out
    assert files_of(account.lake) == before
    assert main(["expire", lake, "--policy", policy]) == 0
    assert "access" in capsys.readouterr().out
    assert main(["oldest", lake, "--json"]) == 0
    oldest = json.loads(capsys.readouterr().out)["8416_1745073"]
    assert {oldest["access"], oldest["security"]} <= {f"{day_of(1):%Y-%m-%d}", None}
    assert main(["oldest", lake]) == 0
    assert f"{day_of(1):%Y-%m-%d}" in capsys.readouterr().out
    account.assert_sound()


def test_hold(account: KeptAccount, policy: str, capsys: pytest.CaptureFixture[str]) -> None:
    load(account)
    lake = str(account.lake)
    assert main(["hold", lake, "set", "--reference", "CASE-7", "--by", "legal", "--why", "litigation"]) == 0
    assert "CASE-7" in capsys.readouterr().out
    assert main(["expire", lake, "--policy", policy]) == 1
    assert "hold CASE-7" in capsys.readouterr().err
    assert main(["erase", lake, "--client-ip", ADDRESS, *ASKED]) == 2
    output = capsys.readouterr().err
    assert "CASE-7" in output
    assert ADDRESS not in output
    assert main(["hold", lake, "lift", "--reference", "CASE-8", "--by", "legal", "--why", "settled"]) == 2
    assert main(["hold", lake, "lift", "--reference", "CASE-7", "--by", "legal", "--why", "settled"]) == 0
    assert main(["hold", lake, "list"]) == 0
    assert "CASE-7" not in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["hold", lake, "set", "--since", "yesterday"])


def test_erase_reads_the_value_from_stdin_and_never_shows_it(
    account: KeptAccount, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    load(account)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{ADDRESS}\n"))
    assert main(["erase", str(account.lake), "--client-ip", "-", *ASKED]) == 0
    out = capsys.readouterr()
    assert ADDRESS not in out.out + out.err
    assert account.where(ADDRESS) == []
    assert main(["erase", str(account.lake), "--client-ip", ADDRESS, "--by", "dpo"]) == 2
    assert "why is empty" in capsys.readouterr().err


def test_a_lake_with_pseudonyms_is_erased_with_their_key(
    account: KeptAccount, capsys: pytest.CaptureFixture[str]
) -> None:
    pseudonyms = Pseudonyms(PseudonymOptions(conn_id="key"), Key.of("0" * 64, id="k1", about="key"))
    account.normalize_options = type(account.normalize_options)(protection=Protection(pseudonyms=pseudonyms))
    load(account)
    assert main(["erase", str(account.lake), "--client-ip", ADDRESS, *ASKED]) == 2
    assert "ImpervaEraseOperator" in capsys.readouterr().err
    subject = Subject(client_ip=ADDRESS).with_pseudonyms(pseudonyms)
    done = erase(account.ledger, subject, keys=account.keys, run=account.maintenance_run(), **REQUEST)
    assert done.trace.rows == 2
    for address, there in ((ADDRESS, False), (ANOTHER, True)):
        pseudonym = pseudonyms.of("client_ip", address)
        assert bool(account.where(pseudonym)) is there
    assert account.where(ADDRESS) == []
    account.assert_sound()
