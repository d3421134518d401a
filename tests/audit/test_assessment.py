"""Levels: green for what is normal, amber for what waits, red for what is lost or what nobody looks at any more."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest

from airflow_provider_imperva.audit.assessment import Assessment, Level
from airflow_provider_imperva.audit.badge import badge
from airflow_provider_imperva.audit.coverage import Coverage, Headroom, measure_coverage
from airflow_provider_imperva.audit.history import History
from airflow_provider_imperva.audit.numbers import NumberRange, Numbers
from airflow_provider_imperva.audit.page import render, render_overview
from airflow_provider_imperva.audit.quarantined import shape
from airflow_provider_imperva.audit.reports import write_reports
from airflow_provider_imperva.audit.summary import Summary, read_summary
from airflow_provider_imperva.cli import main
from airflow_provider_imperva.documentation import troubleshooting
from airflow_provider_imperva.lake.store import open_store
from tests.audit.eventful_lake import HOUR

REPOSITORY = "8416_1745073"
WINDOW = timedelta(hours=48)
PAGE = (Path(__file__).parents[2] / "docs/how-to/troubleshooting.md").read_text()


@pytest.fixture(scope="module")
def sound(small_lake: Path) -> Coverage:
    """The small lake without what is in quarantine."""
    found = msgspec.structs.replace(covered(small_lake), absences=(), quarantined_lines=0)
    return in_states(found, {"committed": 9, "gap": 1})


def in_states(found: Coverage, states: dict[str, int]) -> Coverage:
    """So many numbers in each state."""
    ends = [*accumulate(states.values())]
    ranges = tuple(
        NumberRange(end - count + 1, end, state) for (state, count), end in zip(states.items(), ends, strict=True)
    )
    return msgspec.structs.replace(found, numbers=(Numbers("8416", max(ends, default=0), -1, ranges),))


def covered(lake: Path, *, at: datetime | None = None) -> Coverage:
    store = open_store(str(lake))
    return measure_coverage(store, History.read(store, REPOSITORY), window=WINDOW, days=30, at=at)


def assessed(found: Coverage, *, later: timedelta = timedelta(0), **changed: Any) -> Assessment:
    found = in_states(found, changed.pop("states")) if "states" in changed else found
    found = msgspec.structs.replace(found, **changed)
    return Summary.of(found).assess(at=found.made_at + later)


def test_what_is_normal_is_green_and_says_how_far_all_is_there(sound: Coverage) -> None:
    until = datetime(2026, 3, 8, 23, 40, tzinfo=UTC)
    assessment = assessed(sound, complete={"8416": 103}, until=until, states={"committed": 9, "gap": 3, "listed": 1})
    assert assessment.level is Level.GREEN
    assert assessment.headline == (
        "Complete up to 8416_103, all events until 2026-03-08 23:40 UTC; 3 numbers may still come; "
        "1 number will be loaded by the next run"
    )
    assert assessment.notes == ()


@pytest.mark.parametrize(
    ("state", "level"),
    [
        ("unaccounted", Level.RED),
        ("expired", Level.RED),
        ("unobserved", Level.RED),
        ("quarantined", Level.AMBER),
        ("damaged", Level.AMBER),
        ("awaiting_key", Level.AMBER),
        ("listed", Level.GREEN),
        ("gap", Level.GREEN),
        ("skipped", Level.GREEN),
        ("duplicate", Level.GREEN),
    ],
)
def test_each_state_has_its_level(sound: Coverage, state: str, level: Level) -> None:
    assert assessed(sound, states={"committed": 9, state: 2}).level is level


def test_the_worst_is_said_first(sound: Coverage) -> None:
    assessment = assessed(sound, states={"awaiting_key": 2, "expired": 1, "unobserved": 4})
    assert assessment.headline.startswith(
        "1 number is lost: deleted by Imperva before the fetch; 4 numbers are perhaps lost"
    )
    assert [note.level for note in assessment.notes] == [Level.RED, Level.RED, Level.AMBER]
    waiting = assessed(sound, states={"awaiting_key": 2})
    assert waiting.headline == "Nothing is lost: 2 numbers are waiting for a private key"


def test_what_somebody_accepted_alarms_nobody_again(sound: Coverage) -> None:
    assert assessed(sound, states={"expired": 3}, accepted={"expired": 3}).level is Level.GREEN
    assert "1 number is lost" in assessed(sound, states={"expired": 3}, accepted={"expired": 2}).headline


def test_numbers_that_were_accepted_count_as_complete(lake: Path) -> None:
    """A log in quarantine, whose loss somebody answers for in the ledger."""
    before = covered(lake)
    assert before.complete == {"8416": 3}
    [quarantined] = [item for item in before.absences if item.state == "quarantined"]
    options = ["--about", quarantined.name, "--by", "Anne", "--why", "known", "--reference", "T-1"]
    assert main(["accept", str(lake), *options]) == 0
    coverage = covered(lake)
    assert coverage.accepted == {"quarantined": 1}
    assert "quarantine: received" not in Summary.of(coverage).assess(at=coverage.made_at).headline


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"headroom": (Headroom(datetime(2026, 3, 8, tzinfo=UTC), 20.0),)}, "has 20.0 h left"),
        ({"lines": 1000, "quarantined_lines": 11}, "11 of 1,000 lines are in quarantine"),
        ({"head": None}, "no run has made a commit yet"),
    ],
)
def test_what_is_scarce_is_amber(sound: Coverage, changed: dict[str, Any], said: str) -> None:
    assessment = assessed(sound, **changed)
    assert assessment.level is Level.AMBER
    assert said in assessment.headline


def test_a_few_lines_in_quarantine_are_normal(sound: Coverage) -> None:
    assert assessed(sound, lines=1000, quarantined_lines=10).level is Level.GREEN


def test_a_lake_that_nobody_looks_at_is_red_whatever_it_was(sound: Coverage) -> None:
    """Half of the window is left then."""
    assert sound.observed_at is not None
    silent = timedelta(hours=24)
    assert Summary.of(sound).assess(at=sound.observed_at + silent).level is Level.GREEN
    found = Summary.of(sound).assess(at=sound.observed_at + silent + HOUR)
    assert found.level is Level.RED
    assert found.headline.startswith("Nobody has looked at the repository for 25.0 h, since 20")
    newer = Summary.of(sound).assess(at=sound.observed_at + silent + HOUR, observed_at=sound.observed_at + HOUR)
    assert newer.level is Level.GREEN


def test_a_run_under_way_has_looked(lake: Path) -> None:
    """Its plan is written, and its commit is not."""
    for path in lake.glob("ledger/**/*6.commit.json"):
        path.unlink()
    [path] = lake.glob("ledger/**/*6.plan.json")
    plan = json.loads(path.read_bytes()) | {"observed_at": "2031-01-01T00:00:00Z"}
    path.write_text(json.dumps(plan))
    assert covered(lake).observed_at == datetime(2031, 1, 1, tzinfo=UTC)


def test_events_are_complete_until_the_lag_before_the_oldest_missing_number(small_lake: Path) -> None:
    coverage = covered(small_lake)
    head = History.read(open_store(str(small_lake)), REPOSITORY).head
    assert head is not None
    assert coverage.until is not None
    oldest = min(item.since for prefix in head.prefixes.values() for item in prefix.open)
    assert coverage.until == oldest - timedelta(seconds=coverage.lags[-1].listed_p99)


def test_each_note_links_to_a_section_that_there_is(sound: Coverage) -> None:
    states = ["unaccounted", "expired", "unobserved", "quarantined", "damaged", "awaiting_key"]
    low = (Headroom(datetime(2026, 3, 8, tzinfo=UTC), 1.0),)
    some = assessed(
        sound, states=dict.fromkeys(states, 1), headroom=low, lines=9, quarantined_lines=9, later=timedelta(days=9)
    )
    assert len(some.notes) == 9
    sections = {
        re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in re.findall("^#+ (.*)", PAGE, re.M)
    }
    assert {note.section for note in some.notes} <= sections
    page = render([in_states(sound, {"expired": 1})], lake="lake")
    assert f'href="{troubleshooting("logs-are-lost")}"' in page


def test_reports_are_written_and_the_overview_has_every_repository(lake: Path, sound: Coverage) -> None:
    store = open_store(str(lake))
    at = sound.made_at
    fleet = [
        msgspec.structs.replace(
            in_states(sound, {"committed": 9} | ({"expired": 1} if number % 10 == 7 else {})), repository=f"{number}_1"
        )
        for number in range(1, 51)
    ]
    old = msgspec.structs.replace(sound, repository="99_1", made_at=at - WINDOW, observed_at=at - WINDOW)
    for found in (*fleet[:2], old, sound):
        write_reports(store, found)
    assert read_summary(store, REPOSITORY) == Summary.of(sound)
    page = (lake / "reports/coverage.html").read_text()
    assert re.findall(r'<a href="repository=(\w+)/coverage.html">', page) == ["99_1", "1_1", "2_1", REPOSITORY]
    assert "Nobody has looked at the repository for 2.0 d" in page
    overview = render_overview(map(Summary.of, fleet), lake="lake", at=at)
    assert overview.count("✗ red") == 5
    assert overview.count("✓ green") == 45
    assert overview.index("7_1") < overview.index(">1_1<")


def test_a_summary_that_does_not_read_is_left_out(lake: Path, sound: Coverage) -> None:
    store = open_store(str(lake))
    store.write("reports/repository=8416_1/coverage.json", b'{"v": 9}')
    write_reports(store, sound)
    assert "8416_1<" not in (lake / "reports/coverage.html").read_text()


@pytest.mark.parametrize(
    ("states", "word"), [({"expired": 1}, "act now"), ({"damaged": 1}, "waiting"), ({}, "complete")]
)
def test_a_badge_is_one_picture_that_says_its_level(sound: Coverage, states: dict[str, int], word: str) -> None:
    assessment = assessed(sound, states=states)
    drawn = ElementTree.fromstring(badge("<8416>", assessment).encode())
    texts = [element.text for element in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == ["<8416>", f"{assessment.level.symbol} {word}"]
    assert drawn.attrib["aria-label"] == f"<8416>: {assessment.headline}"


def test_lines_in_quarantine_are_counted_by_reason_with_their_shape(small_lake: Path, lake: Path) -> None:
    coverage = covered(small_lake)
    assert sum(item.lines for item in coverage.quarantine) == coverage.quarantined_lines == 1
    [one] = coverage.quarantine
    assert (one.logs, len(one.examples)) == (1, 1)
    assert one.examples[0].shape == "CEF:0|Xxxxxxxxx|xx xxxxx".lower().replace("cef", "CEF")
    assert one.examples[0].shape in render([coverage], lake="lake")
    for part in lake.glob("quarantine/**/*.parquet"):
        part.write_bytes(b"x")
    assert covered(lake).quarantine == ()


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"CEF:0|Incapsula|x src=10.0.0.1 token=abc9 \xc3\xa9\x00", "CEF:0|xxxxxxxxx|x src=00.0.0.0 xxxxx=xxx0 x·"),
        (b"password: hunter2", "xxxxxxxx: xxxxxx0"),
        (b"a" * 500, "x" * 160 + "…"),
    ],
)
def test_of_a_line_in_quarantine_only_the_shape_is_shown(line: bytes, shown: str) -> None:
    assert shape(line) == shown


def test_complete_is_an_exit_code_of_its_own(lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A lake can be what its ledger says, and lack logs."""
    assert main(["coverage", str(lake)]) == 0
    assert main(["coverage", str(lake), "--complete"]) == 3
    output = capsys.readouterr().out
    assert f"… {REPOSITORY}: Nothing is lost: 1 number is in quarantine" in " ".join(output.split())


def test_the_badge_is_that_of_the_worst_repository(lake: Path, tmp_path: Path) -> None:
    path = tmp_path / "badge.svg"
    assert main(["coverage", str(lake), "--badge", str(path)]) == 0
    assert "waiting" in path.read_text()
