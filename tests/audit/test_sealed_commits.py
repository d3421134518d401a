"""Commits that are signed and noted elsewhere, held against keys and anchors; repositories that are gone are missed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from airflow_provider_imperva.audit.trusted import TrustedInputs
from airflow_provider_imperva.audit.verify import NOTHING, verify_lake
from airflow_provider_imperva.cli import main
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.seal.anchors import Anchor, open_anchors
from airflow_provider_imperva.seal.signature import PublicKeys, SigningKey
from airflow_provider_imperva.testing import FakeRepository
from tests.audit.insider import OTHER, REPOSITORY, Insider, Sealed, make_sealed_lake, remove_the_repository
from tests.load.load_runs import Account
from tests.seal.openssl_keys import KeyFiles, make_keys

pytestmark = pytest.mark.needs("openssl", "faketime")


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    return make_sealed_lake(tmp_path_factory.mktemp("sealed"))


def test_each_commit_is_signed(sealed: Sealed) -> None:
    key = SigningKey.of_file(str(sealed.keys.private))
    commits = [json.loads(path.read_bytes()) for path in sealed.lake.glob("ledger/**/*.commit.json")]
    assert len(commits) == 6
    assert {commit["signed_by"] for commit in commits} == {key.key_id}
    assert main(["verify", str(sealed.lake), "--public-key", str(sealed.keys.public)]) == 0


def test_each_head_is_at_the_anchor(sealed: Sealed, capsys: pytest.CaptureFixture[str]) -> None:
    noted = {(anchor.repository, anchor.commit, anchor.sha256) for anchor in open_anchors(str(sealed.anchors)).read()}
    ledgers = [Ledger(open_store(str(sealed.lake)), name) for name in (REPOSITORY, OTHER)]
    assert noted == {(one.layout.repository, number, one.sha256(number)) for one in ledgers for number in (1, 2, 3)}
    options = ["--public-key", str(sealed.keys.public), "--anchors", str(sealed.anchors)]
    assert main(["verify", str(sealed.lake), *options]) == 0
    output = capsys.readouterr().out
    assert "NOT ruled out" not in output
    assert "ruled out by the anchor of commit 3: the last commits cut off" in output


def test_without_either_verify_says_what_it_cannot_rule_out(sealed: Sealed, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(sealed.lake), "--repository", REPOSITORY]) == 0
    assert capsys.readouterr().out.count("NOT ruled out; needs") == 8


@pytest.fixture
def keys(tmp_path: Path) -> KeyFiles:
    return make_keys(tmp_path / "keys")


def load(account: Account, number: int, signer: SigningKey | None) -> None:
    account.ledger = Ledger(account.ledger.store, account.ledger.layout.repository, signer=signer)
    account.serve(number)
    account.run_some()


def objections(lake: Path, *files: Path) -> list[tuple[str, str]]:
    given = TrustedInputs(public_keys=PublicKeys.of_files(files))
    verification = verify_lake(open_store(str(lake)), trusted=given).repositories[0].findings
    return [(item.kind, item.about.rpartition("/")[2]) for item in verification]


def test_a_ledger_may_begin_to_be_signed_and_change_its_key(tmp_path: Path, keys: KeyFiles) -> None:
    other = make_keys(tmp_path / "keys", "other")
    first, second = (SigningKey.of_file(str(files.private)) for files in (keys, other))
    with FakeRepository() as repository:
        account = Account(repository, tmp_path / "lake")
        load(account, 1, None)
        assert objections(account.lake, keys.public) == [("signature", "000000000001.commit.json")], "none is signed"
        load(account, 2, first)
        assert objections(account.lake, keys.public) == []
        load(account, 3, second)
        assert objections(account.lake, keys.public) == [("signature", "000000000003.commit.json")]
        assert objections(account.lake, keys.public, other.public) == []
        load(account, 4, None)
        assert objections(account.lake, keys.public, other.public) == [("signature", "000000000004.commit.json")]


def test_a_command_that_would_write_an_unsigned_commit_is_refused(
    sealed: Sealed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lake = Path(shutil.copytree(sealed.lake, tmp_path / "lake"))
    grounds = ["--about", "8416_1", "--by", "J. Doe", "--why", "test", "--reference", "INC-1"]
    accept = ["accept", str(lake), "--repository", REPOSITORY, *grounds]
    of_repository = [str(lake), "--repository", REPOSITORY]
    for command in (accept, ["replay", *of_repository, "--all"], ["compact", *of_repository]):
        assert main(command) == 2
        assert "--signing-key" in capsys.readouterr().err
    assert Insider(lake).last == 3
    assert main([*accept, "--signing-key", str(sealed.keys.private)]) == 0
    assert objections(lake, sealed.keys.public) == []


class TestRepositories:
    @pytest.fixture
    def without(self, sealed: Sealed, tmp_path: Path) -> Path:
        lake = Path(shutil.copytree(sealed.lake, tmp_path / "lake"))
        remove_the_repository(Insider(lake))
        return lake

    def missing(self, lake: Path, given: TrustedInputs = NOTHING) -> list[tuple[str, str]]:
        return [(item.kind, item.about) for item in verify_lake(open_store(str(lake)), trusted=given).findings]

    def test_one_that_is_gone_is_missed(self, sealed: Sealed, without: Path) -> None:
        gone = [("missing", f"ledger/repository={REPOSITORY}")]
        assert self.missing(without) == []
        others = tuple(item for item in open_anchors(str(sealed.anchors)).read() if item.repository == OTHER)
        assert self.missing(without, TrustedInputs(anchors=others)) == gone, "each anchor names all repositories"
        assert self.missing(without, TrustedInputs(anchors=(Anchor(1, "0" * 64, REPOSITORY),))) == gone
        assert self.missing(without, TrustedInputs(expected=(REPOSITORY,))) == gone
        shutil.copy(sealed.lake / f"register/repository={REPOSITORY}.json", without / "register")
        assert self.missing(without) == gone

    def test_the_command_takes_what_is_expected(self, sealed: Sealed) -> None:
        assert main(["verify", str(sealed.lake), "--expect", OTHER]) == 0
        assert main(["verify", str(sealed.lake), "--expect", "third"]) == 1
