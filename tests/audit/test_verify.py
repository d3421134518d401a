"""``imperva-logs verify`` finds whatever was done to a lake, names it, and finds nothing where nothing was done."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_imperva.audit.history import _ENTRY
from airflow_provider_imperva.audit.objects import check_bytes
from airflow_provider_imperva.audit.verify import Verification, verify, verify_lake
from airflow_provider_imperva.cli import main
from airflow_provider_imperva.lake.layout import Layout
from airflow_provider_imperva.lake.live import batch_of_part
from airflow_provider_imperva.lake.records import BatchId
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.table.publish import create_table
from airflow_provider_imperva.testing import FakeRepository
from tests.lake.s3_front import BUCKET, moto_server
from tests.load.load_runs import Account, without_notice

REPOSITORY = "8416_1745073"
LEDGER = f"ledger/repository={REPOSITORY}/000000000"
One = Callable[[str], Path]


@dataclass(frozen=True)
class Outcome:
    code: int
    report: dict[str, object]

    @property
    def findings(self) -> list[tuple[str, str]]:
        found = [*self.report["findings"]]  # type: ignore[misc]
        for repository in self.report["repositories"]:  # type: ignore[attr-defined]
            found += repository["findings"]
        return [(finding["kind"], finding["about"]) for finding in found]

    @property
    def kinds(self) -> set[str]:
        return {kind for kind, _ in self.findings}


@pytest.fixture
def run(lake: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    def run(*options: str) -> Outcome:
        code = main(["verify", str(lake), "--json", *options])
        return Outcome(code, json.loads(capsys.readouterr().out))

    return run


Run = Callable[..., Outcome]


def relative(lake: Path, path: Path) -> str:
    return path.relative_to(lake).as_posix()


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def verified(lake: Path) -> Verification:
    return verify(open_store(str(lake)), REPOSITORY)


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    """Two logs, loaded in one commit."""
    with FakeRepository() as repository:
        account = Account(repository, tmp_path / "loaded")
        account.serve(1, 2)
        account.run_some()
        yield account


class TestSound:
    def test_a_sound_lake_has_no_findings(self, run: Run) -> None:
        done = run()
        assert (done.code, done.findings) == (0, [])
        repository = done.report["repositories"][0]  # type: ignore[index]
        assert repository["numbers"] == {"8416": {"committed": 9, "quarantined": 1, "gap": 1}}
        assert repository["lines"] == repository["rows"] + repository["quarantined_lines"] == 41

    def test_a_lake_in_which_all_has_happened_is_sound(
        self, eventful_lake: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Gaps, losses, keys that are not there, lines and logs in quarantine, a replay, two repositories."""
        assert main(["verify", str(eventful_lake)]) == 0
        output = capsys.readouterr().out
        states = ("committed", "skipped", "unobserved", "awaiting_key", "gap", "expired", "quarantined", "listed")
        assert all(state in output for state in states)
        assert output.endswith(f"{eventful_lake} is what its ledger says.\n")

    def test_sound_and_complete_are_two_things(
        self, eventful_lake: Path, lake: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """In words and in exit codes: a lake that lost logs and says so is what its ledger says."""
        assert main(["verify", str(eventful_lake), "--complete", "--repository", REPOSITORY]) == 3
        text = " ".join(capsys.readouterr().out.split())
        assert "sound The lake is what its ledger says. complete Not complete when the repository was last" in text
        assert "2 numbers are lost: deleted by Imperva before the fetch" in text
        accepted = ["--about", "8416_9", "--by", "Anne", "--why", "known", "--reference", "T-1"]
        assert main(["verify", str(lake), "--complete"]) == 3
        assert main(["accept", str(lake), *accepted]) == 0
        assert main(["verify", str(lake), "--complete"]) == 0
        assert "Nothing was missing when the repository was last looked at" in capsys.readouterr().out
        next(lake.glob("raw/**/*.log")).unlink()
        assert main(["verify", str(lake), "--complete"]) == 1

    def test_what_is_hashed_is_the_whole_lake(self, lake: Path) -> None:
        """Not a byte of raw/, events/ or quarantine/ goes unread."""
        files = [path for tree in ("raw", "events", "quarantine") for path in lake.glob(f"{tree}/**/*.*")]
        verification = verified(lake)
        assert (verification.hashed, verification.not_hashed) == (len(files), 0)
        assert verification.hashed_bytes == sum(path.stat().st_size for path in files)

    def test_a_page_about_the_lake_is_no_finding(self, run: Run, lake: Path) -> None:
        page = lake / f"reports/repository={REPOSITORY}/coverage.html"
        page.parent.mkdir(parents=True)
        page.write_text("<html>")
        assert run().code == 0


class TestObjects:
    @pytest.mark.parametrize("tree", ["raw", "events", "quarantine"])
    def test_one_flipped_byte_is_found(self, run: Run, lake: Path, one: One, tree: str) -> None:
        path = one(f"{tree}/**/*.*")
        flip(path)
        done = run()
        assert (done.code, done.findings) == (1, [("altered", relative(lake, path))])

    @pytest.mark.parametrize("tree", ["raw", "events", "quarantine"])
    def test_a_removed_object_is_found(self, run: Run, lake: Path, one: One, tree: str) -> None:
        path = one(f"{tree}/**/*.*")
        path.unlink()
        done = run()
        assert (done.code, done.findings) == (1, [("missing", relative(lake, path))])

    @pytest.mark.parametrize("tree", ["raw", "events", "quarantine"])
    def test_a_shortened_object_is_found_even_if_nothing_is_hashed(self, run: Run, one: One, tree: str) -> None:
        path = one(f"{tree}/**/*.*")
        path.write_bytes(path.read_bytes()[:-1])
        assert run("--sample", "0").kinds == {"altered"}

    @pytest.mark.parametrize(
        "path",
        [
            f"raw/repository={REPOSITORY}/8416/000000000/8416_4.log",
            f"raw/repository={REPOSITORY}/8416/000000000/8416_99.log",
            f"raw/repository={REPOSITORY}/8416/000000001/8416_1.log",
            f"raw/repository={REPOSITORY}/8416/000000000/notes.txt",
            f"events/repository={REPOSITORY}/event_class=access/event_date=2026-01-01/part-000000000009-0000.parquet",
            f"events/repository={REPOSITORY}/event_class=access/event_date=2026-01-02/part-000000000001-0000.parquet",
            f"events/repository={REPOSITORY}/event_class=access/event_date=2026-01-01/more.parquet",
            f"quarantine/repository={REPOSITORY}/part-000000000001-0000.parquet",
            f"{LEDGER}/000000000001.batch-0007.json",
            f"{LEDGER}/notes.txt",
            f"ledger/repository={REPOSITORY}/000000001/000000000001.plan.json",
            "raw/repository=other/8416/000000000/8416_1.log",
            "events/stray.parquet",
            "notes.txt",
            "elsewhere/notes.txt",
        ],
    )
    def test_an_added_object_is_found(self, run: Run, lake: Path, path: str) -> None:
        (lake / path).parent.mkdir(parents=True, exist_ok=True)
        (lake / path).write_bytes(b"more")
        done = run()
        assert (done.code, done.kinds) == (1, {"unnamed"})
        assert all(path.startswith(about) for _, about in done.findings)

    def test_a_part_that_was_made_again_with_other_rows_is_found(self, run: Run, lake: Path) -> None:
        """Whoever changes part, size and hash in the commit has still to make the rows of each log fit."""
        parts = sorted(lake.glob("events/**/event_class=access/**/*.parquet"))
        first, other = parts[0], parts[-1]
        rewrite_part(lake, first, other.read_bytes())
        assert "contradiction" in run().kinds


class TestBytesBesideOthers:
    """A log that did not decode was fetched once more: both objects stay, and both are proved."""

    @pytest.fixture
    def beside(self, tmp_path: Path) -> Path:
        with FakeRepository() as repository:
            account = Account(repository, tmp_path / "lake")
            [log] = account.serve(1)
            repository.fail(log.name, without_notice(log.content, 300))
            account.run_some()
        return account.lake

    def test_both_are_hashed(self, beside: Path) -> None:
        verification = verified(beside)
        files = [path for tree in ("raw", "events") for path in beside.glob(f"{tree}/**/*.*")]
        assert (verification.findings, verification.hashed) == ((), len(files))
        first, other = sorted(beside.glob("raw/**/8416_1.log*"))
        for path in (first, other):
            content = path.read_bytes()
            flip(path)
            assert [finding.about for finding in verified(beside).findings] == [relative(beside, path)]
            path.write_bytes(content)

    def test_what_no_commit_names_is_proved_by_its_name(self, beside: Path) -> None:
        """A task that was overtaken may leave such bytes, and nothing reads them but a replay."""
        first = min(beside.glob("raw/**/8416_1.log*"))
        content = b"other bytes of it"
        digits = hashlib.sha256(content).hexdigest()[:16]
        left = first.with_name(f"{first.name}.{digits}")
        left.write_bytes(content)
        assert verified(beside).findings == ()
        left.write_bytes(b"others")
        assert [finding.kind for finding in verified(beside).findings] == ["altered"]
        left.rename(first.with_name(f"8416_2.log.{digits}"))
        assert [finding.kind for finding in verified(beside).findings] == ["unnamed"]


class TestObjectStore:
    def test_a_lake_at_a_buckets_root_is_proved_alike(self, lake: Path) -> None:
        with moto_server() as front:
            fs = front.filesystem()
            fs.put(f"{lake}/", f"{BUCKET}/", recursive=True)
            store = open_store(f"s3://{BUCKET}", fs=fs)
            assert verify_lake(store).ok
            fs.pipe_file(f"{BUCKET}/notes.txt", b"")
            assert [finding.about for finding in verify_lake(store).findings] == ["notes.txt"]

    def test_a_lake_in_an_object_store_is_proved_alike(self, lake: Path, tmp_path: Path) -> None:
        fs = fsspec.filesystem("memory")
        root = f"/{tmp_path.name}"
        fs.put(str(lake), root, recursive=True)
        store = open_store(f"memory:/{root}", fs=fs)
        assert verify_lake(store).ok
        fs.pipe_file(f"{root}/notes.txt", b"")
        path = fs.glob(f"{root}/raw/**/8416_2.log")[0]
        fs.pipe_file(path, fs.cat_file(path)[::-1])
        verification = verify_lake(store)
        assert [finding.about for finding in verification.findings] == ["notes.txt"]
        assert [finding.kind for finding in verification.repositories[0].findings] == ["altered"]


def rewrite_part(lake: Path, path: Path, content: bytes) -> None:
    """Put other bytes into a part, and their size and hash into every object of the ledger that names it."""
    path.write_bytes(content)
    for record in sorted(lake.glob(f"{LEDGER}/*.json")):
        value = json.loads(record.read_text())
        for part in value.get("parts", []):
            if lake / part["path"] == path:
                part |= {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        record.write_text(json.dumps(value))
    chain_anew(lake)


def chain_anew(lake: Path) -> None:
    """Give every commit the hash of the one before, as whoever forges a whole chain would."""
    before = None
    for path in sorted(lake.glob(f"{LEDGER}/*.commit.json")):
        value = json.loads(path.read_text())
        value["previous_sha256"] = before
        path.write_text(json.dumps(value))
        before = hashlib.sha256(path.read_bytes()).hexdigest()


class TestLedger:
    def commit(self, lake: Path, number: int) -> Path:
        return lake / LEDGER / f"{number:012d}.commit.json"

    @pytest.mark.parametrize("number", [1, 3, 4])
    def test_an_edited_commit_breaks_the_chain(self, run: Run, lake: Path, number: int) -> None:
        """Even where it still reads and says something harmless."""
        path = self.commit(lake, number)
        path.write_text(re.sub(r'"provider_version": "[^"]*"', '"provider_version": "9.9.9"', path.read_text()))
        done = run()
        assert (done.code, done.findings) == (1, [("chain", relative(lake, self.commit(lake, number + 1)))])

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ('"rows": 10', '"rows": 9'),
            ('"contiguous": 3', '"contiguous": 4'),
            ('"run_id": "run-4"', '"run_id": "run-5"'),
            ('"observed_at": "2', '"observed_at": "1'),
            ('"batches": [\n  0\n ]', '"batches": []'),
            ('"commit": 4', '"commit": 5'),
            ('"logs_sha256": "', '"logs_sha256": "0'),
        ],
    )
    def test_an_edited_last_commit_contradicts_its_plan_and_batches(
        self, run: Run, lake: Path, old: str, new: str
    ) -> None:
        """No commit after it has its hash; but little of it does not follow from plan and batches."""
        self.drop(lake, 5)
        self.drop(lake, 6)
        path = self.commit(lake, 4)
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new, 1))
        done = run()
        assert done.code == 1
        assert done.kinds & {"chain", "contradiction", "altered"}

    def drop(self, lake: Path, number: int) -> None:
        for path in lake.glob(f"{LEDGER}/{number:012d}.*"):
            path.unlink()

    @pytest.mark.parametrize("number", [1, 2, 4])
    def test_a_removed_commit_is_missing(self, run: Run, lake: Path, number: int) -> None:
        path = self.commit(lake, number)
        path.unlink()
        done = run()
        assert done.code == 1
        assert ("missing", relative(lake, path)) in done.findings

    def test_two_commits_swapped_are_found(self, run: Run, lake: Path) -> None:
        one, other = self.commit(lake, 2), self.commit(lake, 3)
        first, second = one.read_bytes(), other.read_bytes()
        one.write_bytes(second)
        other.write_bytes(first)
        done = run()
        assert done.code == 1
        assert {("chain", relative(lake, path)) for path in (one, other, self.commit(lake, 4))} <= set(done.findings)

    @pytest.mark.parametrize("kind", ["plan.json", "batch-0000.json", "logs.parquet"])
    def test_another_removed_object_of_it_is_missing(self, run: Run, lake: Path, kind: str) -> None:
        path = lake / LEDGER / f"000000000002.{kind}"
        path.unlink()
        done = run()
        assert done.code == 1
        assert ("missing", relative(lake, path)) in done.findings

    @pytest.mark.parametrize("kind", ["plan.json", "batch-0000.json", "commit.json", "logs.parquet"])
    def test_a_damaged_object_of_it_is_named(self, run: Run, lake: Path, kind: str) -> None:
        path = lake / LEDGER / f"000000000002.{kind}"
        path.write_bytes(path.read_bytes()[:20])
        done = run()
        assert done.code == 1
        assert ("unreadable", relative(lake, path)) in done.findings

    def test_an_edited_plan_is_found(self, run: Run, lake: Path) -> None:
        """No commit has its hash, but the logs it names must be those that were decided."""
        path = lake / LEDGER / "000000000002.plan.json"
        path.write_text(path.read_text().replace("8416_7.log", "8416_4.log"))
        assert ("unaccounted", "8416_4.log") in run().findings

    def test_an_edited_report_is_found(self, run: Run, lake: Path) -> None:
        path = lake / LEDGER / "000000000001.batch-0000.json"
        path.write_text(path.read_text().replace('"state": "committed"', '"state": "expired"', 1))
        assert run().kinds == {"contradiction"}

    def test_a_newer_ledger_is_named_and_not_guessed_at(self, run: Run, lake: Path) -> None:
        path = self.commit(lake, 5)
        path.write_text(path.read_text().replace('"v": 2', '"v": 4', 1))
        assert ("unreadable", relative(lake, path)) in run().findings

    @pytest.mark.parametrize("half", ["older", "newer"])
    def test_a_ledger_cut_in_half_is_told_commit_by_commit(self, run: Run, lake: Path, half: str) -> None:
        numbers = (1, 2, 3) if half == "older" else (4, 5, 6)
        for number in numbers:
            self.drop(lake, number)
        done = run()
        assert done.code == 1
        if half == "older":
            missing = {("missing", relative(lake, self.commit(lake, number))) for number in numbers}
            assert missing <= set(done.findings)
        else:
            # What is cut off at the end leaves no trace in the chain, but in the lake.
            assert ("unnamed", f"raw/repository={REPOSITORY}/8416/000000000/8416_11.log") in done.findings

    def test_a_number_that_nothing_accounts_for_is_found(self, run: Run, lake: Path) -> None:
        """A forged chain that leaves a gap out of the watermark."""
        for path in lake.glob(f"{LEDGER}/*.json"):
            value = json.loads(path.read_text())
            for prefix in value.get("prefixes", {}).values():
                prefix["open"] = [item for item in prefix.get("open", []) if item["state"] != "gap"]
                prefix["contiguous"] = prefix["open"][0]["from"] - 1 if prefix["open"] else prefix["highest"]
            path.write_text(json.dumps(value))
        chain_anew(lake)
        assert run().findings == [("unaccounted", "8416_4")]

    def test_a_log_that_two_batches_load_is_found(self, run: Run, lake: Path) -> None:
        path = lake / LEDGER / "000000000004.batch-0000.json"
        path.write_text(path.read_text().replace("8416_10.log", "8416_1.log"))
        assert ("contradiction", "8416_1.log") in run().findings


class TestAnchors:
    def test_a_chain_that_was_forged_as_a_whole_does_not_have_the_anchor(self, run: Run, lake: Path) -> None:
        head = run().report["repositories"][0]["head"]  # type: ignore[index]
        anchor = f"{head['commit']}:{head['sha256']}"
        assert run("--anchor", anchor).code == 0
        commit = lake / LEDGER / "000000000006.commit.json"
        commit.write_text(re.sub(r'"provider_version": "', '"provider_version": "9', commit.read_text()))
        assert run().code == 0
        done = run("--anchor", anchor)
        assert (done.code, done.findings) == (1, [("chain", relative(lake, commit))])

    def test_an_end_that_was_cut_off_cleanly_lacks_the_anchor(self, run: Run, lake: Path) -> None:
        head = run().report["repositories"][0]["head"]  # type: ignore[index]
        for path in lake.glob(f"{LEDGER}/000000000006.*"):
            path.unlink()
        assert ("chain", f"{LEDGER}/000000000006.commit.json") in run(
            "--anchor", f"{head['commit']}:{head['sha256']}"
        ).findings

    def test_what_is_no_anchor_is_refused(self, lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["verify", str(lake), "--anchor", "5"]) == 2
        assert "5: it is not an anchor" in capsys.readouterr().err


class TestSample:
    def test_it_says_what_it_did_not_look_at(self, lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["verify", str(lake), "--sample", "3", "--seed", "7"]) == 0
        output = capsys.readouterr().out
        whole = verified(lake).objects
        assert f"{whole:,} are named, 3 of them hashed" in output
        assert f"{whole - 3:,} objects were only looked for" in output
        assert "seed 7" in output

    def test_each_seed_draws_its_own_sample(self, run: Run, one: One) -> None:
        flip(one("raw/**/*.log"))
        codes = [run("--sample", "4", "--seed", str(seed)).code for seed in range(20)]
        again = [run("--sample", "4", "--seed", str(seed)).code for seed in range(20)]
        assert codes == again
        assert set(codes) == {0, 1}

    def test_the_whole_ledger_is_read_all_the_same(self, run: Run, lake: Path) -> None:
        flip(lake / LEDGER / "000000000002.logs.parquet")
        assert run("--sample", "0").code == 1


class TestNoLake:
    @pytest.mark.parametrize("command", ["verify", "coverage", "explain"])
    def test_a_lake_that_is_none_is_named(
        self, tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        more = ["8416_1.log"] if command == "explain" else []
        assert main([command, str(tmp_path), *more]) == 2
        assert "there is no ledger here" in capsys.readouterr().err

    def test_another_repository_than_asked_for_is_named(self, lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["verify", str(lake), "--repository", "9"]) == 2
        assert REPOSITORY in capsys.readouterr().err

    def test_a_file_in_place_of_a_folder_is_no_traceback(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "file").write_text("")
        assert main(["verify", str(tmp_path / "file")]) == 2
        assert "Traceback" not in capsys.readouterr().err


class TestRunsMeanwhile:
    """A lake is verified while it is loaded; what is under way is told apart from what is wrong."""

    def test_a_plan_without_a_commit_is_a_note(self, account: Account) -> None:
        account.serve(3, 4)
        plan = account.plan()
        account.normalize(plan, account.fetch(plan))
        verification = verified(account.lake)
        assert verification.findings == ()
        assert [note for note in verification.notes if "Plan 2" in note and "1 part " in note]

    def test_what_was_fetched_and_waits_is_no_finding(self, account: Account) -> None:
        """A batch that did not finish leaves its logs in raw/, to be loaded by the next plan."""
        account.serve(3)
        plan = account.plan()
        account.fetch(plan)
        account.commit(plan)
        assert verified(account.lake).findings == ()

    def test_parts_of_a_batch_that_did_not_finish_are_named(self, account: Account) -> None:
        account.serve(3)
        plan = account.plan()
        account.normalize(plan, account.fetch(plan))
        parts = {path: path.read_bytes() for path in account.lake.glob("events/**/part-000000000002-*")}
        (account.lake / LEDGER / "000000000002.batch-0000.json").unlink()
        account.commit(plan)
        for path, content in parts.items():
            path.write_bytes(content)
        verification = verified(account.lake)
        assert {finding.about for finding in verification.findings} == {relative(account.lake, path) for path in parts}
        assert all("did not finish" in finding.found for finding in verification.findings)

    def test_what_a_run_has_just_replaced_is_no_finding(
        self, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A replay that is planned, done and committed between our look at the ledger and our look at the parts."""
        from airflow_provider_imperva.audit import verify as module

        def meanwhile(*arguments: Any) -> Any:
            replay_shortened(account)
            return check_bytes(*arguments)

        monkeypatch.setattr(module, "check_bytes", meanwhile)
        assert verified(account.lake).findings == ()
        assert verified(account.lake).findings == ()


def replay_shortened(account: Account) -> None:
    """Replay with another outcome: each row carries its line."""
    from airflow_provider_imperva.load.normalize import NormalizeOptions
    from airflow_provider_imperva.load.replay import Selection
    from tests.audit.eventful_lake import replay_all

    replay_all(account, Selection(state="all"), options=NormalizeOptions(keep_raw=True))


def test_a_missing_intent_is_found(account: Account) -> None:
    """Without it, what a batch wrote before it died would not be known."""
    path = account.ledger.layout.intent(1, 0)
    (account.lake / path).unlink()
    (found,) = verified(account.lake).findings
    assert (found.kind, found.about) == ("missing", path)
    assert "intent" in found.found


def test_an_object_of_the_ten_thousandth_batch_is_known_as_one() -> None:
    """A replay of all that a lake has may be as large."""
    layout = Layout("8416_1745073")
    for number in (7, 9_999, 10_000, 123_456):
        for path in (layout.report(1, number), layout.intent(1, number)):
            assert _ENTRY.fullmatch(Path(path).name), path
        assert batch_of_part(layout.quarantine(commit=1, batch=number)) == BatchId(1, number)


class TestRemoved:
    """Parts that a commit removed stay for a grace, if the lake has a table."""

    @pytest.fixture
    def graceful(self, account: Account) -> Account:
        create_table(account.ledger.store)
        replay_shortened(account)
        assert account.ledger.head().commit.unretired  # type: ignore[union-attr]
        return account

    def removed(self, account: Account) -> list[Path]:
        return [account.lake / part.path for part in account.ledger.commit(2).removed]

    def test_they_are_no_finding_and_their_rows_do_not_count(self, graceful: Account) -> None:
        assert all(path.exists() for path in self.removed(graceful))
        assert verified(graceful.lake).findings == ()

    def test_one_that_goes_before_its_time_is_a_finding(self, graceful: Account) -> None:
        """As a vacuum below the grace does."""
        path = self.removed(graceful)[0]
        path.unlink()
        (finding,) = verified(graceful.lake).findings
        assert (finding.kind, finding.about) == ("missing", relative(graceful.lake, path))

    def test_one_that_comes_back_is_a_finding(self, graceful: Account) -> None:
        content = {path: path.read_bytes() for path in self.removed(graceful)}
        shutil.rmtree(graceful.lake / "events/_delta_log")
        graceful.serve(3)
        graceful.run()
        assert not any(path.exists() for path in content)
        path = min(content)
        path.write_bytes(content[path])
        (finding,) = verified(graceful.lake).findings
        assert (finding.kind, finding.about) == ("unnamed", relative(graceful.lake, path))
        assert "commit 3 retired it" in finding.found


def test_rows_of_a_log_that_are_not_those_that_were_loaded_are_found(
    account: Account,
) -> None:
    """Each log has as many rows as before, and every hash in the ledger is made to fit."""
    path = min(account.lake.glob("events/**/event_class=access/**/*.parquet"))
    table = pq.read_table(path)
    lines = pa.array([number + 100 for number in table["src_line"].to_pylist()], table["src_line"].type)
    file = pa.BufferOutputStream()
    pq.write_table(table.set_column(table.column_names.index("src_line"), "src_line", lines), file)
    rewrite_part(account.lake, path, file.getvalue().to_pybytes())
    chain_anew(account.lake)
    verification = verified(account.lake).findings
    assert {finding.about for finding in verification} == {"8416_1.log", "8416_2.log"}
    assert all("not those that were loaded" in finding.found for finding in verification)


def test_a_commit_that_removes_what_is_no_part_of_the_lake_is_found(account: Account) -> None:
    replay_shortened(account)
    for path in sorted((account.lake / LEDGER).glob("000000000002.*.json")):
        path.write_text(path.read_text().replace("part-000000000001-0000", "part-000000000001-0007"))
    chain_anew(account.lake)
    verification = verified(account.lake).findings
    assert ("contradiction", f"{LEDGER}/000000000002.commit.json") in {(item.kind, item.about) for item in verification}
    assert any("was not in the lake" in item.found for item in verification)


def test_a_part_that_is_written_under_the_name_of_another_commit_is_found(account: Account) -> None:
    replay_shortened(account)
    stem, other = "part-000000000002-0000", "part-000000000001-0003"
    for path in account.lake.glob(f"events/**/{stem}.parquet"):
        path.rename(path.with_name(f"{other}.parquet"))
    for path in sorted((account.lake / LEDGER).glob("000000000002.*.json")):
        path.write_text(path.read_text().replace(stem, other))
    chain_anew(account.lake)
    assert any(
        "does not have the name of a part of this commit" in item.found for item in verified(account.lake).findings
    )
