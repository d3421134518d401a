"""Timestamps of commits, held against when the commits say that they were made."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from airflow_provider_imperva.audit.trusted import TrustedInputs
from airflow_provider_imperva.audit.verify import Verification, verify_lake
from airflow_provider_imperva.cli import main
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.seal.timestamps import TimestampAuthority, TrustedAuthorities
from airflow_provider_imperva.testing import FakeRepository
from tests.load.load_runs import Account, Clock
from tests.seal.openssl_authority import Authority

pytestmark = pytest.mark.needs("openssl")
WHO = ["--by", "dpo", "--why", "because"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authorities") / "trusted").make()


@pytest.fixture(scope="module")
def url(authority: Authority) -> Iterator[str]:
    with authority.serve() as url:
        yield url


@pytest.fixture(scope="module")
def stamped(tmp_path_factory: pytest.TempPathFactory, url: str) -> Path:
    """Three commits, the first of them without a timestamp, since its authority did not answer; not to be changed."""
    lake = tmp_path_factory.mktemp("stamped") / "lake"
    with FakeRepository() as repository:
        account = Account(repository, lake)
        for number, address in enumerate(("http://127.0.0.1:1/tsr", url, url), 1):
            stamp = TimestampAuthority(address).stamp
            account.ledger = Ledger(account.ledger.store, account.ledger.layout.repository, stamp=stamp)
            account.serve(number)
            account.run_some()
            assert [why.partition(":")[0] for why in account.ledger.unsealed] == ["it has no timestamp"] * (number == 1)
    return lake


@pytest.fixture
def lake(stamped: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stamped, tmp_path / "lake"))


def timestamp(lake: Path, number: int) -> Path:
    return next(lake.glob("ledger/*/000000000")) / f"{number:012d}.commit.tsr"


def verified(lake: Path, authority: Authority, *, ahead: timedelta = timedelta()) -> Verification:
    trusted = TrustedInputs(authorities=TrustedAuthorities.of_files([authority.root]))
    clock = Clock()
    clock.ahead = ahead
    return verify_lake(open_store(str(lake)), trusted=trusted, at=clock()).repositories[0]


def found(lake: Path, authority: Authority, *, ahead: timedelta = timedelta()) -> list[tuple[str, str]]:
    findings = verified(lake, authority, ahead=ahead).findings
    return [(item.kind, item.about.rpartition("/")[2]) for item in findings]


def backdating(verification: Verification) -> list[bool]:
    return [item.ruled_out for item in verification.assurances if "backdated" in item.attack]


def test_a_run_has_its_commits_timestamped(stamped: Path, authority: Authority) -> None:
    for number in (2, 3):
        path = timestamp(stamped, number)
        assert authority.verifies(path.with_suffix(".json"), path)
    assert not timestamp(stamped, 1).exists(), "its commit is made all the same"
    assert found(stamped, authority, ahead=timedelta(days=30)) == []


def test_only_a_ledger_that_is_timestamped_from_its_first_commit_on_rules_out_backdating(
    lake: Path, authority: Authority, url: str
) -> None:
    assert backdating(verified(lake, authority)) == [False, False]
    timestamp(lake, 1).write_bytes(TimestampAuthority(url).stamp(timestamp(lake, 1).with_suffix(".json").read_bytes()))
    assert backdating(verified(lake, authority)) == [True, True]


def test_a_later_timestamp_vouches_for_the_commits_before_it(lake: Path, authority: Authority) -> None:
    timestamp(lake, 2).rename(timestamp(lake, 1))
    assert found(lake, authority) == [("signature", "000000000001.commit.tsr")], "it is of another commit"
    timestamp(lake, 1).unlink()
    assert found(lake, authority) == []


def test_a_commit_that_nothing_vouches_for_in_time_is_a_finding(lake: Path, authority: Authority) -> None:
    timestamp(lake, 3).unlink()
    assert found(lake, authority, ahead=timedelta(minutes=50)) == [], "its timestamp may come"
    assert found(lake, authority, ahead=timedelta(minutes=70)) == [("time", "000000000003.commit.json")]


def test_a_ledger_without_any_is_a_finding(lake: Path, authority: Authority) -> None:
    for number in (2, 3):
        timestamp(lake, number).unlink()
    assert found(lake, authority) == [("signature", "000000000003.commit.json")]


def test_one_of_a_commit_that_is_gone_is_a_finding(lake: Path, authority: Authority) -> None:
    for path in timestamp(lake, 3).parent.glob(f"{3:012d}.*"):
        if path.suffix != ".tsr":
            path.unlink()
    assert ("signature", "000000000003.commit.tsr") in found(lake, authority)


def test_commands_have_their_commits_timestamped(
    lake: Path, authority: Authority, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    hold = ["hold", str(lake), "set", *WHO, "--reference"]
    assert main([*hold, "R-1", "--timestamp-url", url]) == 0
    assert timestamp(lake, 4).exists()
    assert main([*hold, "R-2", "--timestamp-url", "http://127.0.0.1:1/tsr"]) == 1
    assert "it has no timestamp" in capsys.readouterr().err
    for root, code in ((authority.root, 0), (Authority(lake.parent / "other").make().root, 1)):
        assert main(["verify", str(lake), "--timestamp-ca", str(root)]) == code
