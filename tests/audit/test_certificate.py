"""A certificate says how a lake stood, and a second person who has the lake alone finds out whether it is true."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_imperva.cli import main
from airflow_provider_imperva.load.replay import Selection
from airflow_provider_imperva.options import PlanOptions
from airflow_provider_imperva.testing import FakeRepository
from tests.audit.eventful_lake import replay_all
from tests.load.load_runs import Account, Clock

REPOSITORY = "8416_1745073"
Issue = Callable[..., Path]


@pytest.fixture
def issue(tmp_path: Path) -> Issue:
    def issue(lake: Path, *period: str) -> Path:
        path = tmp_path / "certificate.json"
        options = ["--repository", REPOSITORY, *period, "--output", str(path)]
        assert main(["certificate", str(lake), *options]) == 0
        return path

    return issue


def check(lake: Path, certificate: Path) -> int:
    return main(["certificate", str(lake), "--check", str(certificate)])


def test_a_month_has_every_number_once(eventful_lake: Path, issue: Issue, capsys: pytest.CaptureFixture[str]) -> None:
    certificate = json.loads(issue(eventful_lake, "--month", "2026-03").read_text())
    [(prefix, found)] = certificate["prefixes"].items()
    assert (prefix, found["from"], found["to"]) == ("8416", 101, 265)
    ranges = found["ranges"]
    assert [one["to"] + 1 for one in ranges[:-1]] == [other["from"] for other in ranges[1:]]
    assert sum(found["states"].values()) == 265 - 101 + 1
    assert certificate["lines"] == certificate["rows"] + certificate["quarantined_lines"]
    assert certificate["rows"] == sum(sum(day.values()) for day in certificate["events"].values())
    assert certificate["complete"] is False
    assert check(eventful_lake, issue(eventful_lake, "--month", "2026-03")) == 0
    assert "It holds" in capsys.readouterr().out


def test_the_days_of_a_month_come_to_the_month(eventful_lake: Path, issue: Issue) -> None:
    month = json.loads(issue(eventful_lake, "--month", "2026-03").read_text())
    days = [json.loads(issue(eventful_lake, "--day", f"2026-03-{day:02}").read_text()) for day in range(1, 10)]
    for figure in ("logs", "lines", "rows", "quarantined_lines", "raw_bytes"):
        assert sum(day[figure] for day in days) == month[figure] > 0
    counts = [sum(prefix["states"].values()) for day in days for prefix in day["prefixes"].values()]
    assert sum(counts) == 265 - 101 + 1


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def account(tmp_path: Path, clock: Clock) -> Iterator[Account]:
    with FakeRepository() as repository:
        yield Account(repository, tmp_path / "lake", options=PlanOptions(account_group="group"), clock=clock)


def test_a_day_is_complete_once_the_repository_was_seen_after_it(
    account: Account, clock: Clock, issue: Issue, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing of it is missing then: what is no copy of another log is loaded, or was skipped."""
    (log,) = account.serve(1)
    account.run()
    account.repository.add("8416_3.log", log.content)
    account.run()
    account.run()
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    issue(account.lake, "--day", day)
    output = capsys.readouterr().out
    assert "Not complete: 1 number not listed so far, and may still come; the repository was last seen" in output
    for clock.ahead in (timedelta(hours=40), timedelta(hours=50), timedelta(hours=60)):
        account.serve(4)
        account.run()
    certificate = json.loads(issue(account.lake, "--day", day).read_text())
    assert certificate["prefixes"]["8416"]["states"] == {"committed": 1, "skipped": 1, "duplicate": 1}
    assert certificate["complete"] is True


def test_a_day_without_a_log_is_no_complete_one(
    account: Account, issue: Issue, capsys: pytest.CaptureFixture[str]
) -> None:
    account.serve(1)
    account.run()
    assert json.loads(issue(account.lake, "--day", "2020-02-02").read_text())["complete"] is False
    assert "Not complete: no log was first listed then." in capsys.readouterr().out


def test_a_wrong_line_of_the_index_does_not_draw_later_logs_into_its_day(
    account: Account, clock: Clock, issue: Issue
) -> None:
    account.serve(1)
    account.repository.index = b"8416_1.log\n8416_1000000000.log\n"
    account.run()
    account.repository.index = None
    clock.ahead = timedelta(hours=30)
    account.serve(2, 3)
    account.run()
    day = f"{datetime.now(UTC) + clock.ahead:%Y-%m-%d}"
    found = json.loads(issue(account.lake, "--day", day).read_text())["prefixes"]["8416"]
    assert (found["from"], found["to"]) == (2, 3)


def test_it_still_holds_when_the_lake_has_gone_on(tmp_path: Path, issue: Issue) -> None:
    """Later commits and replays change nothing of how it stood."""
    with FakeRepository() as repository:
        account = Account(repository, tmp_path / "lake")
        account.serve(1, 2, 4)
        commit = account.run_some()
        certificate = issue(account.lake, "--day", f"{commit.observed_at:%Y-%m-%d}")
        account.serve(3, 5)
        account.run_some()
        replay_all(account, Selection(state="all"))
    assert check(account.lake, certificate) == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (r'"rows": \d+', '"rows": 7'),
        (r'"state": "gap"', '"state": "skipped"'),
        (r'"logs_sha256": "[0-9a-f]', '"logs_sha256": "x'),
        (r'"complete": false', '"complete": true'),
        (r'"sha256": "[0-9a-f]', '"sha256": "x'),
        (r'"commit": \d+', '"commit": 4'),
        (r'"committed_at": "....', '"committed_at": "2025'),
        (r'"observed_at": "....', '"observed_at": "2025'),
        (r'"issued_at": "....', '"issued_at": "2025'),
        (r'"issued_at": "....', '"issued_at": "2099'),
        (r'"both": ', '"both": 1'),
        (r'"happened_only": ', '"happened_only": 1'),
        (r'"looked": true', '"looked": false'),
        (r'"size": ', '"size": 1'),
        (r'"code": "', '"code": "x'),
    ],
)
def test_an_edited_certificate_does_not_hold(lake: Path, issue: Issue, old: str, new: str) -> None:
    path = issue(lake, "--day", today(lake))
    assert check(lake, path) == 0
    text = path.read_text()
    assert re.search(old, text)
    path.write_text(re.sub(old, new, text, count=1))
    assert check(lake, path) == 1


def test_a_certificate_with_more_events_does_not_hold(eventful_lake: Path, issue: Issue) -> None:
    path = issue(eventful_lake, "--day", "2026-03-03")
    path.write_text(re.sub(r'"access": ', '"access": 1', path.read_text(), count=1))
    assert check(eventful_lake, path) == 1


def today(lake: Path) -> str:
    """The day on which the small lake's logs were listed."""
    path = lake / f"ledger/repository={REPOSITORY}/000000000/000000000001.commit.json"
    return str(json.loads(path.read_text())["observed_at"][:10])


@pytest.mark.parametrize("spoil", ["raw", "events", "quarantine", "commit", "logs"])
def test_a_lake_that_was_changed_since_does_not_bear_it_out(
    lake: Path, issue: Issue, spoil: str, capsys: pytest.CaptureFixture[str]
) -> None:
    certificate = issue(lake, "--day", today(lake))
    patterns = {"raw": "raw/**/8416_2.log", "commit": "ledger/**/*6.commit.json", "logs": "ledger/**/*2.logs.parquet"}
    patterns |= {tree: f"{tree}/**/*.parquet" for tree in ("events", "quarantine")}
    path = sorted(lake.glob(patterns[spoil]))[-1]
    content = path.read_bytes()
    path.write_bytes(content.replace(b"2026", b"2025", 1) if spoil == "commit" else content[:-1])
    capsys.readouterr()
    assert check(lake, certificate) == 1
    assert path.name in capsys.readouterr().out


@pytest.mark.parametrize("tree", ["raw", "events", "quarantine"])
@pytest.mark.parametrize("is_gone", [True, False])
def test_a_certificate_is_not_issued_of_what_is_gone(
    lake: Path, tree: str, is_gone: bool, issue: Issue, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor does one hold that was issued before. Any of the objects will do, and here it is the last."""
    certificate = issue(lake, "--day", today(lake))
    path = sorted(path for path in lake.glob(f"{tree}/**/*.*") if path.is_file())[-1]
    content = path.read_bytes()
    path.unlink()
    if not is_gone:
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert main(["certificate", str(lake), "--day", today(lake)]) == 2
    assert path.name in capsys.readouterr().err
    assert check(lake, certificate) == 1


def test_one_by_the_ledger_alone_says_so_and_is_never_complete(
    account: Account, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    account.serve(1)
    account.run()
    clock.ahead = timedelta(hours=30)
    account.serve(2)
    account.run()
    day = ["certificate", str(account.lake), "--day", f"{datetime.now(UTC):%Y-%m-%d}"]
    assert main(day) == 0
    assert "Complete." in capsys.readouterr().out
    assert main([*day, "--ledger-only"]) == 0
    output = capsys.readouterr().out
    assert "the objects were NOT looked at" in output.splitlines()[0]
    assert "Not complete: the objects in raw/, events/ and quarantine/ were not looked at." in output


def test_its_two_sums_have_a_bridge(eventful_lake: Path, issue: Issue, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows of the logs that were listed on a day, and events that happened on it, which are not the same."""
    certificate = json.loads(issue(eventful_lake, "--day", "2026-03-03").read_text())
    bridge = certificate["bridge"]
    assert bridge["both"] + bridge["listed_only"] == certificate["rows"]
    assert bridge["both"] + bridge["happened_only"] == sum(certificate["events"]["2026-03-03"].values())
    assert min(bridge.values()) > 0
    assert f"= {bridge['both']:,} of its logs + {bridge['happened_only']:,} of logs" in capsys.readouterr().out


def test_what_is_lost_is_told_before_what_is_not_over(eventful_lake: Path, issue: Issue) -> None:
    reasons = json.loads(issue(eventful_lake, "--month", "2026-03").read_text())["reasons"]
    codes = [reason["code"] for reason in reasons]
    assert codes == [
        code
        for code in ("expired", "unobserved", "quarantined", "awaiting_key", "listed", "gap", "not_over")
        if code in codes
    ]
    assert {"expired", "unobserved", "gap", "not_over"} <= set(codes)


def test_parts_that_were_replaced_since_are_said_not_to_be_looked_at(
    tmp_path: Path, issue: Issue, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeRepository() as repository:
        account = Account(repository, tmp_path / "lake")
        account.serve(1, 2)
        commit = account.run_some()
        certificate = issue(account.lake, "--day", f"{commit.observed_at:%Y-%m-%d}")
        replay_all(account, Selection(state="all"))
        account.serve(3)
        account.run_some()
    assert not list(account.lake.glob("events/**/part-000000000001-*")), "retired"
    assert check(account.lake, certificate) == 0
    assert "not looked at: commit" in capsys.readouterr().out


def test_a_chain_that_was_cut_off_does_not_bear_it_out(lake: Path, issue: Issue) -> None:
    """Which verify alone cannot see."""
    certificate = issue(lake, "--day", today(lake))
    for path in lake.glob("ledger/**/000000000006.*"):
        path.unlink()
    assert check(lake, certificate) == 1


def test_of_a_damaged_ledger_nothing_is_certified(lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (lake / f"ledger/repository={REPOSITORY}/000000000/000000000002.commit.json").unlink()
    assert main(["certificate", str(lake), "--day", today(lake)]) == 2
    assert "nothing can be certified" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--month", "--day"])
@pytest.mark.parametrize("period", ["2026", "2026-13", "november", "9999-12", "9999-12-31"])
def test_a_period_that_is_none_is_refused(
    lake: Path, option: str, period: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["certificate", str(lake), option, period]) == 2
    assert "no month and no day" in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--repository", "other"], ["--output", "again.json"], ["--json"]])
def test_what_a_check_would_not_heed_is_refused(
    lake: Path, issue: Issue, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Who gives an option counts on what it does."""
    certificate = issue(lake, "--day", today(lake))
    assert main(["certificate", str(lake), "--check", str(certificate), *options]) == 2
    assert f"{options[0]} goes with --month or --day" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "{}", '{"v": 2}'])
def test_a_file_that_is_no_certificate_is_refused(
    lake: Path, tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other.json"
    path.write_text(content)
    assert check(lake, path) == 2
    assert check(lake, tmp_path / "nowhere.json") == 2
    assert "Traceback" not in capsys.readouterr().err
