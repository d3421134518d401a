"""`imperva-logs examples` writes what the package holds, and nothing over what is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_imperva.cli import main
from tests.examples import EXAMPLES


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_all_examples_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["examples", "--to", str(tmp_path / "a" / "b")]) == 0
    written = files(tmp_path / "a" / "b")
    assert written == files(EXAMPLES)
    assert {
        "dags/imperva_logs_to_parquet.py",
        "sql/tables/athena.sql",
        "grafana/imperva.json",
        "notebooks/attacks.ipynb",
    } <= set(written)
    assert f"{len(written)} files written" in capsys.readouterr().out


def test_a_file_that_differs_stays_and_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "dags" / "imperva_logs_to_parquet.py"
    mine.parent.mkdir()
    mine.write_text("# mine")
    assert main(["examples", "--to", str(tmp_path)]) == 1
    assert mine.read_text() == "# mine"
    assert f"{mine} is there already and differs" in capsys.readouterr().out
    assert len(files(tmp_path)) == len(files(EXAMPLES))


def test_a_second_time_there_is_nothing_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["examples", "--to", str(tmp_path)])
    capsys.readouterr()
    assert main(["examples", "--to", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("0 files written")


def test_a_link_is_not_followed_out_of_the_folder(tmp_path: Path) -> None:
    """What it points to may be anything, and need not exist."""
    outside = tmp_path / "outside.py"
    (tmp_path / "to" / "dags").mkdir(parents=True)
    (tmp_path / "to" / "dags" / "imperva_coverage.py").symlink_to(outside)
    assert main(["examples", "--to", str(tmp_path / "to")]) in (1, 2)
    assert not outside.exists()
