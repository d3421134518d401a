"""The folder for an auditor has what is asked for, and a second person checks it with a copy of the lake alone."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from airflow_provider_imperva.cli import main
from tests.audit.insider import Insider, Sealed, edit_a_row, make_sealed_lake


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    return make_sealed_lake(tmp_path_factory.mktemp("sealed"))


@pytest.fixture(scope="module")
def made(sealed: Sealed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evidence") / "2026-03"
    options = ["--month", "2026-03", "--to", str(folder), "--signing-key", str(sealed.keys.private)]
    assert main(["evidence", str(sealed.lake), *options]) == 0
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))


def check(sealed: Sealed, folder: Path, lake: Path | None = None) -> int:
    options = ["--check", str(folder), "--public-key", str(sealed.keys.public), "--anchors", str(sealed.anchors)]
    return main(["evidence", str(lake or sealed.lake), *options])


def test_it_has_all_that_is_asked_for(made: Path) -> None:
    kinds = {path.name.split("-")[0] for path in made.iterdir()}
    assert kinds >= {
        "certificate",
        "gaps",
        "alarms",
        "quarantine",
        "redaction",
        "retention",
        "verify.json",
        "SHA256SUMS",
    }
    retention = json.loads((made / "retention-8416_1745073.json").read_text())
    assert retention["oldest_queryable_day"] == "2026-03-02"
    assert retention["holds"] == []
    page = (made / "certificate-8416_1745073.html").read_text()
    assert "<script" not in page
    for said in ("What was looked at", "what it does not", "each read and hashed", "by key"):
        assert said in page


def test_a_copy_of_the_lake_bears_it_out(sealed: Sealed, folder: Path, tmp_path: Path) -> None:
    """After the lake itself is gone from where it was."""
    assert check(sealed, folder, Path(shutil.copytree(sealed.lake, tmp_path / "elsewhere"))) == 0
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=True)


@pytest.mark.parametrize("name", ["gaps", "alarms", "quarantine", "redaction", "retention", "certificate"])
def test_an_edited_paper_is_found_even_if_its_sum_is_made_anew(
    sealed: Sealed, folder: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / f"{name}-8416_1745073.json"
    path.write_text(path.read_text().replace("2026-03-02", "2026-03-01") + " ")
    sums = subprocess.run(
        "sha256sum $(ls | grep -v SHA256SUMS)", shell=True, cwd=folder, capture_output=True, text=True, check=True
    )
    (folder / "SHA256SUMS").write_text(sums.stdout)
    assert check(sealed, folder) == 1
    assert "8416_1745073" in capsys.readouterr().out


def test_one_certificate_is_of_the_whole_lake(sealed: Sealed, folder: Path) -> None:
    path = folder / "lake-certificate.json"
    found = json.loads(path.read_bytes())
    each = [json.loads((folder / f"certificate-{name}.json").read_bytes()) for name in ("8416_1745073", "9001_1745073")]
    assert [item["repository"] for item in found["repositories"]] == [one["repository"] for one in each]
    assert found["rows"] == sum(one["rows"] for one in each) > 0
    for edited, keys in ((found | {"rows": 1}, False), (found | {"signature": "0" * 128}, True)):
        path.write_text(json.dumps(edited))
        (folder / "SHA256SUMS").unlink()
        names = sorted(path.name for path in folder.iterdir())
        sums = subprocess.run(["sha256sum", *names], cwd=folder, capture_output=True, text=True, check=True)
        (folder / "SHA256SUMS").write_text(sums.stdout)
        bare = ["evidence", str(sealed.lake), "--check", str(folder)]
        assert (check(sealed, folder) if keys else main(bare)) == 1


def test_a_paper_that_is_missing_is_found(sealed: Sealed, folder: Path) -> None:
    (folder / "alarms-8416_1745073.json").unlink()
    assert check(sealed, folder) == 1


def test_a_lake_that_was_rewritten_does_not_bear_it_out(sealed: Sealed, folder: Path, tmp_path: Path) -> None:
    lake = Path(shutil.copytree(sealed.lake, tmp_path / "rewritten"))
    edit_a_row(Insider(lake))
    assert check(sealed, folder, lake) == 1


def test_all_that_can_happen_is_in_it(eventful_lake: Path, tmp_path: Path) -> None:
    """Gaps with causes, alarms with begin and end, logs in quarantine."""
    folder = tmp_path / "evidence"
    assert main(["evidence", str(eventful_lake), "--month", "2026-03", "--to", str(folder)]) == 0
    gaps, alarms, quarantine = (
        json.loads((folder / f"{name}-8416_1745073.json").read_text()) for name in ("gaps", "alarms", "quarantine")
    )
    assert {item["state"] for item in gaps} >= {"expired", "unobserved", "gap"}
    assert all(item["reason"] for item in gaps)
    lost = [item for item in alarms if "lost" in item["what"]]
    assert lost
    assert all(item["begin"] < item["end"] for item in lost)
    assert {item["state"] for item in quarantine} == {"committed", "quarantined"}


def test_a_folder_that_has_something_in_it_is_refused(sealed: Sealed, made: Path) -> None:
    assert main(["evidence", str(sealed.lake), "--month", "2026-03", "--to", str(made)]) == 2
