"""``imperva-logs explain`` tells what became of a log, from the first look at it to where its rows are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from airflow_provider_imperva.audit.explanation import explain_log
from airflow_provider_imperva.audit.history import repositories
from airflow_provider_imperva.audit.trail import Trails
from airflow_provider_imperva.audit.verify import verify_lake
from airflow_provider_imperva.cli import main
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import LOGS_SCHEMA
from airflow_provider_imperva.lake.store import open_store
from tests.long_form import LONG

REPOSITORY = "8416_1745073"
SOME_NUMBERS = [str(number) for number in range(2, 300)] if LONG else []


def explain(lake: Path, asked: str, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    code = main(["explain", str(lake), asked, *options])
    return code, capsys.readouterr().out


def test_a_log_that_was_replayed(lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = explain(lake, "8416_6.log", capsys)
    assert code == 0
    lines = told.splitlines()
    assert lines[0] == f"8416_6.log in repository {REPOSITORY}: committed"
    order = ["the index lists it", "loads it, in batch 0 of plan 2", "fetched:", "commit 2: committed, 5 lines"]
    order += ("replays it, in batch 0 of plan 5", "commit 5: committed, 5 lines = 5 rows + 0 in quarantine")
    assert [next(at for at, line in enumerate(lines) if text in line) for text in order] == list(range(1, 7))
    assert "  bytes as received: raw/repository=8416_1745073/8416/000000000/8416_6.log" in lines
    assert sum(int(rows) for rows in re.findall(r"(\d) rows: events/", told)) == 5
    assert "part-000000000005-0000.parquet" in told


def test_its_record_is_all_that_the_commit_says_of_it(lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [story] = json.loads(explain(lake, "8416_6.log", capsys, "--json")[1])
    assert list(story["record"]) == LOGS_SCHEMA.names
    assert (story["record"]["format"], story["record"]["checksum_ok"]) == ("CEF", True)


@pytest.mark.parametrize("asked", ["8416_6.log", "8416_6", "8416:6", "6"])
def test_it_may_be_asked_for_by_number(lake: Path, capsys: pytest.CaptureFixture[str], asked: str) -> None:
    assert explain(lake, asked, capsys)[1].startswith("8416_6.log in repository")


@pytest.mark.parametrize(
    ("asked", "code", "told"),
    [
        ("8416_4", 0, "the index lists higher numbers and not this one: a gap"),
        ("8416_9", 0, "commit 3: quarantined"),
        ("8416_12", 1, "not yet listed: the highest number ever listed is 11"),
        ("8416_0", 1, "below the first number that this lake knows of"),
        ("9999_1", 1, "no log of prefix 9999 was ever listed"),
    ],
)
def test_whatever_the_number_there_is_an_answer(
    lake: Path, capsys: pytest.CaptureFixture[str], asked: str, code: int, told: str
) -> None:
    found = explain(lake, asked, capsys)
    assert found[0] == code
    assert told in found[1]


def test_every_state_has_its_story(eventful_lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Expired, waiting for a key, in quarantine until replayed, never written, not come yet: with the reason."""
    told = {
        "8416_143": ["the index lists it", "expired: not found (404), and no longer in the index"],
        "8416_108": ["a gap, which may still be filled", "unobserved: missing since"],
        "8416_127": ["quarantined, 0 lines", "wrong_key", "replays it", "committed, "],
        "8416_258": ["awaiting_key", "publicKeyId '2'"],
        "8416_262": ["it stays as it is: the repository gave no whole answer"],
        "8416_126": ["1 in quarantine", "1 rows: quarantine/"],
    }
    for asked, texts in told.items():
        code, found = explain(eventful_lake, asked, capsys)
        assert code == 0
        assert [text for text in texts if text not in found] == [], asked


def test_a_number_in_several_repositories_is_told_of_each_that_knows_it(
    eventful_lake: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, found = explain(eventful_lake, "20", capsys, "--json")
    assert [(story["prefix"], story["state"]) for story in json.loads(found)] == [("9001", "committed")]


def test_of_a_damaged_ledger_it_tells_the_rest(lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (lake / f"ledger/repository={REPOSITORY}/000000000/000000000005.commit.json").write_text("{")
    code, told = explain(lake, "8416_6", capsys)
    assert code == 0
    assert "commit 2: committed" in told
    assert "could not be read whole" in told


def test_what_is_no_log_is_refused(lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(lake), "logs.index"]) == 2
    assert "no name and no number" in capsys.readouterr().err


@pytest.mark.parametrize("asked", ["143", "108", "127", "258", "262", "126", "1", "99999", *SOME_NUMBERS])
def test_few_entries_are_read_and_the_story_is_that_of_all(eventful_lake: Path, asked: str) -> None:
    store = open_store(str(eventful_lake))
    for repository in repositories(store):
        assert explain_log(store, repository, asked) == explain_log(store, repository, asked, thorough=True)


def test_only_entries_that_tell_of_it_are_read(eventful_lake: Path) -> None:
    ledger = Ledger(open_store(str(eventful_lake)), REPOSITORY)
    trail = Trails(ledger).of("8416", 126)
    assert len(trail.entries | trail.revisions) < ledger.head().next_commit / 4


def test_a_commit_that_hides_what_was_revised_is_a_finding(lake: Path) -> None:
    """By what it says there, entries are left out."""
    ledger = Ledger(open_store(str(lake)), REPOSITORY)
    head = ledger.head().commit
    assert head is not None
    assert head.revised
    path = lake / ledger.layout.commit(head.commit)
    path.write_text(path.read_text().replace(f'"revised": {head.revised}', '"revised": 0'))
    (found,) = verify_lake(open_store(str(lake))).repositories
    assert "was the last that revised others" in " ".join(finding.found for finding in found.findings)
