"""Commits as OCSF files: each row once, wherever it is by now, and the same bytes whenever it is done again."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_imperva.audit.verify import verify_lake
from airflow_provider_imperva.cli import main
from airflow_provider_imperva.errors import ConfigurationError, LakeError
from airflow_provider_imperva.lake.exports import Exported
from airflow_provider_imperva.lake.records import Run
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.load.compact import compact
from airflow_provider_imperva.load.normalize import NormalizeOptions
from airflow_provider_imperva.load.replay import Selection, make_replay_plan, replay
from airflow_provider_imperva.ocsf.export import OcsfExport
from airflow_provider_imperva.ocsf.options import OcsfOptions
from airflow_provider_imperva.options import CompactionOptions
from airflow_provider_imperva.retention.erase import erase
from airflow_provider_imperva.retention.subject import Subject
from airflow_provider_imperva.testing import FakeRepository
from airflow_provider_imperva.testing.forge import forge_log
from tests.crash.object_server import BUCKET, object_filesystem
from tests.crash.stopping_store import Moment, StopAt, StoppingStore
from tests.examples import EXAMPLES
from tests.load.load_runs import Account
from tests.ocsf.ocsf_rows import INCIDENTS

STRIDE = int(os.environ.get("IMPERVA_CRASH_STRIDE", "4"))
"""Of so many writes one is broken off; in the long form, each."""

LAKE = {"layout": "security_lake", "region": "eu-central-1", "account": "123456789012"}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Account:
    """Two commits: one of two logs, one of a log and of incidents; not to be changed."""
    with FakeRepository() as repository:
        account = Account(repository, tmp_path_factory.mktemp("loaded") / "lake")
        account.serve(1, 2, events=20, security_share=0.4)
        account.run_some()
        account.serve(3, events=20)
        repository.add("8416_4.log", forge_log("\n".join(INCIDENTS) + "\n"))
        account.run_some()
        return account


@pytest.fixture
def account(loaded: Account, tmp_path: Path) -> Iterator[Account]:
    shutil.copytree(loaded.lake, tmp_path / "lake")
    with FakeRepository() as repository:
        copy = Account(repository, tmp_path / "lake")
        copy.forged = dict(loaded.forged)
        yield copy


def export_of(
    account: Account, target: Path, /, *, store: Any = None, name: str = "ocsf", **options: Any
) -> OcsfExport:
    return OcsfExport(
        ledger=account.ledger,
        target=store or open_store(str(target)),
        options=OcsfOptions(**options),
        run=Run("test", "run"),
        name=name,
    )


def export_all(account: Account, target: Path, /, **options: Any) -> list[Exported]:
    export = export_of(account, target, **options)
    export.begin()
    return list(export.export(export.pending()))


def uids(target: Path) -> Counter[str]:
    """The ids of all events, as another reader finds them."""
    found = duckdb.execute(f"SELECT metadata.uid FROM read_parquet('{target}/**/*.parquet', union_by_name=true)")
    return Counter(uid for (uid,) in found.fetchall())


def expected(account: Account) -> Counter[str]:
    return Counter(f"{account.repository.name}/{name}:{line}" for name, line, _ in account.rows().elements())


def digests(target: Path) -> dict[str, str]:
    return {
        str(path.relative_to(target)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(target.rglob("*.parquet"))
    }


def replay_all(account: Account) -> None:
    plan = make_replay_plan(account.ledger, run=account.next_run(), selection=Selection(state="all"), take_over=True)
    assert plan is not None
    replay(account.ledger, account.keys, plan, options=NormalizeOptions())


def compact_all(account: Account) -> None:
    options = CompactionOptions(quiet=timedelta())
    assert list(
        compact(account.ledger, run=account.next_run(), options=options, clock=account.clock, max_wait=timedelta())
    )


class TestFiles:
    @pytest.mark.parametrize("options", [{}, LAKE], ids=["plain", "security lake"])
    def test_each_row_is_there_once_under_its_id(self, account: Account, tmp_path: Path, options: Any) -> None:
        outcomes = export_all(account, tmp_path / "out", **options)
        assert uids(tmp_path / "out") == expected(account)
        commits = list(account.ledger.commits())
        assert [outcome.rows for outcome in outcomes] == [commit.totals.rows for commit in commits] == [40, 25]
        assert {file.path: (file.sha256, file.rows) for outcome in outcomes for file in outcome.files} == {
            path: (digest, pq.ParquetFile(tmp_path / "out" / path).metadata.num_rows)
            for path, digest in digests(tmp_path / "out").items()
        }
        assert verify_lake(account.ledger.store).ok

    def test_the_plain_layout(self, account: Account, tmp_path: Path) -> None:
        export_all(account, tmp_path / "out")
        assert list(digests(tmp_path / "out")) == [
            "detection_finding/repository=8416_1745073/event_date=2026-01-01/part-000000000002-0000.parquet",
            "http_activity/repository=8416_1745073/event_date=2026-01-01/part-000000000001-0000.parquet",
            "http_activity/repository=8416_1745073/event_date=2026-01-01/part-000000000002-0000.parquet",
        ]

    def test_the_layout_of_security_lake(self, account: Account, tmp_path: Path) -> None:
        export_all(account, tmp_path / "out", **LAKE)
        partition = "region=eu-central-1/accountId=123456789012/eventDay=20260101"
        assert list(digests(tmp_path / "out")) == [
            f"ext/imperva-findings/{partition}/8416_1745073-part-000000000002-0000.parquet",
            f"ext/imperva-waf/{partition}/8416_1745073-part-000000000001-0000.parquet",
            f"ext/imperva-waf/{partition}/8416_1745073-part-000000000002-0000.parquet",
        ]
        for path in (tmp_path / "out").rglob("*.parquet"):
            file = pq.ParquetFile(path)
            times = file.read(["time"])["time"].to_pylist()
            assert times == sorted(times)
            group = file.metadata.row_group(0)
            assert {group.column(number).compression for number in range(group.num_columns)} == {"ZSTD"}
            assert file.metadata.row_group(0).sorting_columns[0].column_index == 0

    def test_files_of_a_class_have_one_schema_without_null_types(self, account: Account, tmp_path: Path) -> None:
        """Glue takes the types of the first file for all."""
        export_all(account, tmp_path / "out")
        schemas = {path: pq.read_schema(path) for path in (tmp_path / "out").rglob("*.parquet")}
        activity = [schema for path, schema in schemas.items() if "http_activity" in str(path)]
        assert len(activity) == 2
        assert activity[0].equals(activity[1])
        assert "null" not in str(activity[0]).replace("not null", "")


class TestAgain:
    def test_nothing_is_pending_afterwards(self, account: Account, tmp_path: Path) -> None:
        assert len(export_all(account, tmp_path / "out")) == 2
        assert export_all(account, tmp_path / "out") == []

    def test_lost_records_give_the_same_bytes_again(self, account: Account, tmp_path: Path) -> None:
        export_all(account, tmp_path / "out")
        before = digests(tmp_path / "out")
        shutil.rmtree(account.lake / "exports")
        for path in (tmp_path / "out").rglob("*.parquet"):
            path.unlink()
        assert len(export_all(account, tmp_path / "out")) == 2
        assert digests(tmp_path / "out") == before

    def test_after_a_compaction_the_same_bytes_come_of_merged_parts(self, account: Account, tmp_path: Path) -> None:
        export_all(account, tmp_path / "before")
        compact_all(account)
        outcomes = export_all(account, tmp_path / "after", name="other")
        assert [outcome.rows for outcome in outcomes] == [40, 25, 0, 0]
        assert digests(tmp_path / "after") == digests(tmp_path / "before")

    @pytest.mark.parametrize("compacted", [False, True])
    def test_a_replay_exports_again_in_place_of_what_was(
        self, account: Account, tmp_path: Path, compacted: bool
    ) -> None:
        export_all(account, tmp_path / "out")
        before = set(digests(tmp_path / "out"))
        if compacted:
            compact_all(account)
        replay_all(account)
        outcomes = export_all(account, tmp_path / "out")
        assert sum(outcome.rows for outcome in outcomes) == 65
        assert {path for outcome in outcomes for path in outcome.deleted} == before
        assert not before & set(digests(tmp_path / "out"))
        assert uids(tmp_path / "out") == expected(account)

    def test_what_was_replayed_before_it_was_exported_comes_once(self, account: Account, tmp_path: Path) -> None:
        replay_all(account)
        outcomes = export_all(account, tmp_path / "out")
        assert [(outcome.rows, outcome.superseded) for outcome in outcomes[:2]] == [(0, 40), (0, 25)]
        assert uids(tmp_path / "out") == expected(account)

    def test_what_was_erased_leaves_with_the_next_export_of_its_commit(self, account: Account, tmp_path: Path) -> None:
        export_all(account, tmp_path / "out")
        incident = "198.51.100.9"
        erase(
            account.ledger,
            Subject(client_ip=incident),
            keys=account.keys,
            by="a person",
            why="she asked",
            reference="17",
            run=Run("test", "erase"),
        )
        assert uids(tmp_path / "out") != expected(account)
        export = export_of(account, tmp_path / "out")
        outcomes = list(export.export([1, 2], again=True))
        assert sum(outcome.removed for outcome in outcomes) > 0
        assert uids(tmp_path / "out") == expected(account)

    @pytest.mark.parametrize("moment", [Moment.REFUSED, Moment.ANSWER_LOST])
    @pytest.mark.parametrize("where", ["lake", "target"])
    def test_broken_off_anywhere_it_comes_to_the_same(
        self, account: Account, tmp_path: Path, moment: Moment, where: str
    ) -> None:
        """Of the writes, each is tried in the long form, and some of them by each of these tests in the short one."""
        whole = broken_off(account, tmp_path / "whole", where, None)
        assert whole >= 3
        first = 1 + (moment is Moment.ANSWER_LOST)
        for number in range(first, whole + 1, STRIDE):
            out = tmp_path / f"out-{number}"
            with pytest.raises((OSError, LakeError)):
                broken_off(account, out, where, StopAt(number, moment))
            export_all(account, out, name=out.name)
            assert digests(out) == digests(tmp_path / "whole"), number


def broken_off(account: Account, out: Path, where: str, stop: StopAt | None) -> int:
    """Export until a write to the lake or to the target goes wrong; return how many there were."""
    lake = account.ledger.store
    store: Any = StoppingStore(lake if where == "lake" else open_store(str(out)))
    if stop:
        store.let(stop)
    try:
        if where == "lake":
            account.ledger.store = store
        export = export_of(account, out, name=out.name, store=None if where == "lake" else store)
        export.begin()
        list(export.export(export.pending()))
    finally:
        account.ledger.store = lake
    return int(store.operations)


class TestRefused:
    @pytest.mark.parametrize(
        ("options", "told"),
        [
            ({"version": "1.2"}, "version"),
            ({"layout": "bucket"}, "layout"),
            ({**LAKE, "version": "1.8"}, "version"),
            ({**LAKE, "region": "Frankfurt"}, "region"),
            ({**LAKE, "account": "17"[:1]}, "account"),
            ({**LAKE, "account": "a/../b"}, "account"),
            ({**LAKE, "source": "a/b"}, "source"),
            ({**LAKE, "source": "imperva-findings"}, "findings_source"),
            ({"region": "eu-central-1"}, "region"),
            ({"severities": {1: 7}}, "severities"),
        ],
    )
    def test_what_cannot_be_meant(self, options: dict[str, Any], told: str) -> None:
        with pytest.raises(ConfigurationError, match=f"the {told} of the OCSF export"):
            OcsfOptions(**options)

    def test_nothing_is_written_then(self, account: Account, tmp_path: Path) -> None:
        before = sorted(account.lake.rglob("*"))
        for more in (["--ocsf-version", "1.2"], ["--layout", "security_lake", "--region", "x", "--account", "1"]):
            assert main(["ocsf", str(account.lake), "--to", str(tmp_path / "out"), *more]) == 2
        assert not (tmp_path / "out").exists()
        assert sorted(account.lake.rglob("*")) == before

    def test_other_settings_under_the_same_name(self, account: Account, tmp_path: Path) -> None:
        export_all(account, tmp_path / "out")
        with pytest.raises(ConfigurationError, match="version"):
            export_all(account, tmp_path / "out", version="1.1")
        with pytest.raises(ConfigurationError, match="target"):
            export_all(account, tmp_path / "elsewhere")

    @pytest.mark.parametrize("below", ["", "events", "out/of/the/way"])
    def test_a_target_in_the_lake(self, account: Account, below: str) -> None:
        before = sorted(account.lake.rglob("*"))
        with pytest.raises(ConfigurationError, match="is in the lake"):
            export_all(account, account.lake / below)
        assert sorted(account.lake.rglob("*")) == before

    def test_a_part_that_is_not_as_its_commit_says(self, account: Account, tmp_path: Path) -> None:
        part = next(account.lake.glob("events/repository=*/event_class=security/**/*.parquet"))
        table = pq.read_table(part, partitioning=None)
        pq.write_table(table.slice(1), part)
        with pytest.raises(LakeError, match="SHA-256"):
            export_all(account, tmp_path / "out")
        assert not list(account.lake.glob("exports/ocsf/repository=*/0*.json"))

    def test_rows_that_the_ledger_has_and_the_parts_have_not(self, account: Account, tmp_path: Path) -> None:
        report = account.ledger.report(2, 0)
        assert report is not None
        first, *others = report.logs
        more = msgspec.structs.replace(first, rows=first.rows + 1)
        account.ledger.write_report(msgspec.structs.replace(report, logs=(more, *others)))
        with pytest.raises(LakeError, match="found 25 rows of batch 0, where the ledger says 26"):
            export_all(account, tmp_path / "out")
        assert [path.name for path in account.lake.glob("exports/ocsf/repository=*/0*.json")] == ["000000000001.json"]


class TestCommand:
    def test_it_exports_what_is_pending(
        self, account: Account, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        command = ["ocsf", str(account.lake), "--to", str(tmp_path / "out")]
        assert main(command) == 0
        assert "2 commits, 65 rows" in capsys.readouterr().out
        assert uids(tmp_path / "out") == expected(account)
        assert main(command) == 0
        assert "Nothing to export" in capsys.readouterr().out

    def test_a_commit_that_is_named_is_exported_again(self, account: Account, tmp_path: Path) -> None:
        command = ["ocsf", str(account.lake), "--to", str(tmp_path / "out")]
        assert main(command) == 0
        before = digests(tmp_path / "out")
        (tmp_path / "out" / next(iter(before))).unlink()
        assert main([*command, "--commit", "2"]) == 0
        assert digests(tmp_path / "out") == before
        assert main([*command, "--commit", "3"]) == 2


@pytest.mark.slow
def test_a_bucket_gets_the_same_files_and_a_replay_in_place_of_them(
    account: Account, tmp_path: Path, s3_url: str
) -> None:
    files = object_filesystem(s3_url)
    export = export_of(account, tmp_path, store=open_store(f"s3://{BUCKET}/ocsf", fs=files), **LAKE)
    export_all(account, tmp_path / "out", name="local", **LAKE)
    for replayed in (False, True):
        if replayed:
            replay_all(account)
        export.begin()
        list(export.export(export.pending()))
        export_all(account, tmp_path / "out", name="local", **LAKE)
        files.invalidate_cache()
        files.get(f"{BUCKET}/ocsf/", f"{tmp_path}/copy-{replayed}/", recursive=True)
        assert digests(tmp_path / f"copy-{replayed}") == digests(tmp_path / "out")


def test_types_are_those_of_ocsf(account: Account, tmp_path: Path) -> None:
    export_all(account, tmp_path / "out")
    schema = pq.read_schema(next((tmp_path / "out").rglob("http_activity/**/*.parquet")))
    assert schema.field("time").type == pa.int64()
    assert schema.field("class_uid").type == pa.int32()
    assert schema.field("src_endpoint").type.field("ip").type == pa.string()


def test_the_view_over_the_lake_says_what_the_files_say(account: Account, tmp_path: Path) -> None:
    """Each field that the view has, of each event, except that it may hold a struct of nothing in place of none."""
    export_all(account, tmp_path / "out")
    connection = duckdb.connect()
    for name in ("views.duckdb.sql", "views.ocsf.duckdb.sql"):
        connection.execute((EXAMPLES / "sql" / name).read_text().replace("{lake}", str(account.lake)))
    files = f"read_parquet('{tmp_path}/out/http_activity/**/*.parquet')"
    view, written = (
        connection.sql(f"SELECT * FROM {source} ORDER BY metadata.uid").arrow().read_all().to_pylist()
        for source in ("ocsf_http_activity", files)
    )
    assert len(view) == len(written) == 60
    for seen, event in zip(view, written, strict=True):
        del seen["repository"], seen["event_date"]
        assert leaves(seen) == {path: value for path, value in leaves(event).items() if path in leaves(seen)}
        assert leaves(event).keys() & paths(seen) == leaves(seen).keys()


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    """What is not null in a struct, by its path."""
    if not isinstance(value, dict):
        return {} if value is None else {path: value}
    return {at: leaf for name, inner in value.items() for at, leaf in leaves(inner, f"{path}.{name}").items()}


def paths(value: Any, path: str = "") -> set[str]:
    if not isinstance(value, dict):
        return {path}
    return {at for name, inner in value.items() for at in paths(inner, f"{path}.{name}")}
