"""Coverage: figures that agree with an independent reader, every absence by name, and what can be drawn of a wreck."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from airflow_provider_imperva.audit.coverage import Coverage, measure_coverage
from airflow_provider_imperva.audit.history import History
from airflow_provider_imperva.audit.page import render
from airflow_provider_imperva.cli import main
from airflow_provider_imperva.lake.store import open_store

REPOSITORY = "8416_1745073"
WINDOW = timedelta(hours=48)
PICTURE = re.compile("<svg")


def covered(lake: Path, *, days: int = 30) -> Coverage:
    store = open_store(str(lake))
    return measure_coverage(store, History.read(store, REPOSITORY), window=WINDOW, days=days)


def without_times(page: str) -> str:
    """A page without the time when it was made, and how long ago anything was then."""
    return re.sub(r"made-at.*|This page was made [\d: -]*|for [\d.]+ d, since", "", page)


@pytest.fixture(scope="module")
def eventful(eventful_lake: Path) -> Coverage:
    return covered(eventful_lake)


class TestFigures:
    def test_totals_add_up(self, eventful: Coverage) -> None:
        assert [item for item in eventful.sums if not item.holds] == []
        assert len(eventful.sums) == 3
        assert sum(eventful.states.values()) == 265 - 101 + 1

    def test_every_number_is_loaded_or_skipped_or_named(self, eventful: Coverage) -> None:
        named = sum(item.count for item in eventful.absences if item.state != "lines in quarantine")
        assert named == sum(eventful.states.values()) - eventful.states["committed"] - eventful.states["skipped"]
        assert all(item.reason for item in eventful.absences)
        states = {"expired", "unobserved", "quarantined", "awaiting_key", "listed", "gap", "lines in quarantine"}
        assert {item.state for item in eventful.absences} == states

    def test_volume_is_what_an_independent_reader_counts(self, eventful_lake: Path, eventful: Coverage) -> None:
        counted = duckdb.execute(
            f"""SELECT epoch(date_trunc('hour', event_time AT TIME ZONE 'UTC')) AS hour, event_class, count(*)
            FROM read_parquet('{eventful_lake}/events/repository={REPOSITORY}/**/*.parquet', hive_partitioning=true)
            GROUP BY ALL ORDER BY ALL"""
        ).fetchall()
        told = [(item.hour.timestamp(), item.event_class, item.events) for item in eventful.volume]
        assert told == [(hour, event_class, events) for hour, event_class, events in counted]

    def test_lag_is_what_an_independent_reader_measures(self, eventful_lake: Path, eventful: Coverage) -> None:
        """To four hundredths, since lags are counted in bins."""
        store, ledger = open_store(str(eventful_lake)), f"{eventful_lake}/ledger/repository={REPOSITORY}"
        assert store.exists(f"ledger/repository={REPOSITORY}/000000000/000000000001.commit.json")
        [(half, most)] = duckdb.execute(
            f"""WITH listed AS (
              SELECT name, min(first_listed_at) AS seen FROM read_parquet('{ledger}/**/*.logs.parquet')
              WHERE rows > 0 GROUP BY name)
            SELECT quantile_disc(lag, 0.5), quantile_disc(lag, 0.99) FROM (
              SELECT epoch(seen) - epoch(event_time) AS lag
              FROM read_parquet('{eventful_lake}/events/repository={REPOSITORY}/**/*.parquet') AS event
              JOIN listed ON listed.name = event.src_file)"""
        ).fetchall()
        assert eventful.lag is not None
        assert eventful.lag.listed_p50 == pytest.approx(half, rel=0.05)
        assert eventful.lag.listed_p99 == pytest.approx(most, rel=0.05)

    def test_log_to_lake_counts_from_the_listing_to_the_first_commit(self, eventful: Coverage) -> None:
        """The urgent plan only fetched, and its logs were loaded four hours later."""
        assert eventful.lag is not None
        assert eventful.lag.loaded_p50 < 1
        assert eventful.lag.loaded_p99 == pytest.approx(4 * 3600, rel=0.05)

    def test_events_of_days_before_are_left_out(self, eventful_lake: Path) -> None:
        coverage = covered(eventful_lake, days=2)
        assert {item.hour.date().day for item in coverage.volume} == {7, 8}
        assert sum(coverage.states.values()) == 265 - 101 + 1

    def test_headroom_is_that_after_each_commit(self, eventful: Coverage) -> None:
        assert [item.at for item in eventful.headroom] == sorted(item.at for item in eventful.headroom)
        assert eventful.headroom[0].hours == 48
        assert min(item.hours for item in eventful.headroom) < 6
        assert eventful.headroom[-1].hours == 44


class TestTerminal:
    def test_it_reads_without_colour(
        self, eventful_lake: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "140")
        assert main(["coverage", str(eventful_lake)]) == 0
        output = capsys.readouterr().out
        assert "\x1b" not in output
        [row] = [line for line in output.splitlines() if line.startswith("2026-03-03") and line.endswith("149")]
        assert re.fullmatch(r"2026-03-03 +122 [=U]+XX?=+ 149", row)
        for text in (
            "X expired",
            "K awaiting key",
            "adds up",
            "Headroom 44.0 h",
            "8416_143 to 8416_144",
            "median and p99",
        ):
            assert text in output
        assert "DOES NOT ADD UP" not in output

    def test_a_row_fits_the_terminal(
        self, eventful_lake: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "60")
        assert main(["coverage", str(eventful_lake)]) == 0
        output = capsys.readouterr().out
        lines = [line for line in output.splitlines() if not line.strip().startswith("https://")]
        assert max(map(len, lines)) <= 60
        assert len(lines) < len(output.splitlines()), "addresses are whole, so that a terminal can follow them"
        assert "…" not in output.replace("  … ", "").replace("… 9001", "")

    def test_the_page_is_as_wide_as_a_page(
        self, eventful_lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whatever terminal it is written from."""
        monkeypatch.setenv("COLUMNS", "60")
        page = tmp_path / "page.html"
        assert main(["coverage", str(eventful_lake), "--repository", REPOSITORY, "--html", str(page)]) == 0
        made = covered(eventful_lake)
        assert without_times(page.read_text()) == without_times(render([made], lake=str(eventful_lake)))

    @pytest.mark.parametrize(
        ("option", "number"),
        [("--days", "999999999"), ("--days", "0"), ("--days", "many"), ("--window", "nan"), ("--window", "-1")],
    )
    def test_a_number_that_cannot_be_meant_is_refused(
        self, lake: Path, option: str, number: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as refused:
            main(["coverage", str(lake), option, number])
        assert refused.value.code == 2
        assert f"argument {option}: " in capsys.readouterr().err

    def test_what_cannot_be_written_is_said(
        self, lake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["coverage", str(lake), "--html", str(tmp_path / "nowhere" / "page.html")]) == 2
        assert "Name a file that can be written" in capsys.readouterr().err


class TestWreck:
    """Of a damaged lake it shows what can be read, and names what cannot."""

    @pytest.mark.parametrize(
        "pattern",
        [
            "ledger/**/000000000001.commit.json",
            "ledger/**/000000000003.commit.json",
            "ledger/**/000000000006.commit.json",
            "ledger/**/000000000002.logs.parquet",
            "events/**/part-000000000001-0000.parquet",
        ],
    )
    @pytest.mark.parametrize("damage", ["cut", "gone"])
    def test_one_object(
        self, lake: Path, tmp_path: Path, pattern: str, damage: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = sorted(lake.glob(pattern))[0]
        path.write_bytes(path.read_bytes()[:30]) if damage == "cut" else path.unlink()
        page = tmp_path / "page.html"
        code = main(["coverage", str(lake), "--html", str(page)])
        told = capsys.readouterr()
        if (pattern, damage) == ("ledger/**/000000000006.commit.json", "gone"):
            # This is how a run under way looks.
            assert code == 0
        else:
            assert code == 1
            assert path.name in " ".join(told.out.split()).replace(" ", "") or path.name in told.out.replace("\n", "")
            assert path.name in page.read_text()
        assert PICTURE.search(page.read_text())

    def test_a_ledger_cut_in_half(self, lake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        for number in (1, 2, 3):
            for path in lake.glob(f"ledger/**/{number:012d}.*"):
                path.unlink()
        page = tmp_path / "page.html"
        assert main(["coverage", str(lake), "--html", str(page)]) == 1
        assert "3 objects could not be read" in page.read_text()
        assert "8416_10" not in capsys.readouterr().err

    def test_a_ledger_of_which_nothing_can_be_read(self, lake: Path, tmp_path: Path) -> None:
        for path in lake.glob("ledger/**/*.*"):
            path.write_bytes(b"x")
        page = tmp_path / "page.html"
        assert main(["coverage", str(lake), "--html", str(page)]) == 1
        assert "No commit could be read" in page.read_text()

    def test_an_empty_ledger(self, tmp_path: Path) -> None:
        """A repository of which only the plan is there yet."""
        (tmp_path / "lake" / f"ledger/repository={REPOSITORY}").mkdir(parents=True)
        assert main(["coverage", str(tmp_path / "lake")]) == 0


class TestPage:
    def test_what_is_in_a_lake_cannot_write_into_the_page(self, lake: Path) -> None:
        """Names and reasons come from elsewhere."""
        coverage = covered(lake)
        evil = [
            type(item)(**{**{key: getattr(item, key) for key in item.__struct_fields__}, "reason": "<b onclick='x'>"})
            for item in coverage.absences
        ]
        import msgspec

        page = render(
            [msgspec.structs.replace(coverage, absences=tuple(evil))], lake="</title><script>alert(1)</script>"
        )
        assert "<script" not in page
        assert "<b onclick" not in page
        assert "&lt;b onclick" in page

    def test_it_stays_small_for_a_long_history(self, eventful: Coverage) -> None:
        """Three years of commits every ten minutes, and a page that a phone can load."""
        import msgspec

        begin = datetime(2023, 1, 1, tzinfo=UTC)
        headroom = tuple(
            type(eventful.headroom[0])(begin + timedelta(minutes=10 * at), 40.0 + at % 8) for at in range(157_000)
        )
        hours = tuple(type(eventful.volume[0])(begin + timedelta(hours=at), "access", at % 97) for at in range(26_000))
        page = render([msgspec.structs.replace(eventful, headroom=headroom, volume=hours)], lake="lake")
        assert len(page) < 400_000
