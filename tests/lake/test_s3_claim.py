"""A ledger is claimed for one source, in a store that can keep it, before anything is fetched."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from airflow_provider_imperva.errors import ImpervaError, LakeError, LakeMismatchError
from airflow_provider_imperva.lake.claim import claim
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.records import VERSION
from airflow_provider_imperva.lake.store import open_store
from tests.crash.object_server import BUCKET, object_filesystem
from tests.lake.s3_front import Front, Refusal


def ledger_behind(front: Front) -> Ledger:
    return Ledger(open_store(f"s3://{BUCKET}/lake", fs=front.filesystem()), "shop")


class TestCreateIfAbsent:
    def test_a_store_that_passes_over_if_none_match_is_refused(self, front: Front) -> None:
        """It would let two runs write the same plan, and load everything twice."""
        front.deaf = True
        ledger = ledger_behind(front)
        with pytest.raises(LakeError, match="create only if absent") as caught:
            claim(ledger, "8416_1")
        assert "If-None-Match" in caught.value.do
        assert caught.value.about == f"s3://{BUCKET}/lake"
        assert any(request.if_none_match == "*" for request in front.requests), "it was asked to"
        assert ledger.store.objects(ledger.layout.ledger) == []

    def test_a_store_that_has_stopped_to_heed_it_is_refused_too(self, front: Front) -> None:
        ledger = ledger_behind(front)
        claim(ledger, "8416_1")
        front.deaf = True
        with pytest.raises(LakeError, match="create only if absent"):
            claim(ledger, "8416_1")

    def test_a_store_that_heeds_it_is_taken(self, s3_url: str, front: Front) -> None:
        for store in (
            open_store(f"s3://{BUCKET}/claimed", fs=object_filesystem(s3_url)),
            open_store(f"s3://{BUCKET}/claimed", fs=front.filesystem()),
        ):
            ledger = Ledger(store, "shop")
            claim(ledger, "8416_1")
            claim(ledger, "8416_1")
            assert json.loads(store.read(ledger.layout.claim)) == {
                "v": VERSION,
                "repository": "shop",
                "source": "8416_1",
            }


class TestClaim:
    def test_another_source_under_the_same_id_is_refused_by_both_names(self, ledger: Ledger) -> None:
        claim(ledger, "8416_1745073")
        with pytest.raises(LakeMismatchError) as caught:
            claim(ledger, "9000_22")
        assert "8416_1745073, not of 9000_22" in str(caught.value)
        assert "another id" in caught.value.do
        claim(ledger, "8416_1745073")

    def test_of_two_sources_that_come_at_once_one_is_told(self, ledger: Ledger) -> None:
        def outcome(source: str) -> str | None:
            try:
                claim(ledger, source)
            except LakeMismatchError:
                return None
            return source

        with ThreadPoolExecutor(4) as pool:
            claimed = [source for source in pool.map(outcome, ("1_1", "1_2", "1_3", "1_4")) if source]
        assert len(claimed) == 1
        assert json.loads(ledger.store.read(ledger.layout.claim))["source"] == claimed[0]

    def test_a_claim_is_no_part_of_the_ledgers_head(self, ledger: Ledger) -> None:
        claim(ledger, "8416_1745073")
        assert ledger.head().next_commit == 1

    def test_what_is_no_claim_is_told(self, ledger: Ledger) -> None:
        ledger.store.write(ledger.layout.claim, b"<html>")
        with pytest.raises(LakeMismatchError, match="whose ledger"):
            claim(ledger, "8416_1745073")


class TestNothingCanBeWritten:
    """The first write of a run is the claim, so none of these lets anything be fetched."""

    def test_a_bucket_that_is_not_there(self, front: Front) -> None:
        ledger = Ledger(open_store("s3://no-such-bucket/lake", fs=front.filesystem()), "shop")
        with pytest.raises(LakeError, match="no such bucket"):
            claim(ledger, "8416_1")

    def test_credentials_that_only_read(self, front: Front) -> None:
        front.refusals.append(Refusal("AccessDenied"))
        with pytest.raises(LakeError, match="do not allow this"):
            claim(ledger_behind(front), "8416_1")

    def test_a_full_disk(self, tiny_disk: Path) -> None:
        store = open_store(str(tiny_disk))
        with pytest.raises(LakeError, match="no space is left"):
            store.write("raw/log", b"x" * 300_000)
        with pytest.raises(LakeError, match="no space is left"), store.writer("events/part") as file:  # noqa: PT012
            for _ in range(300):
                file.write(b"x" * 1000)
        assert store.objects("raw") == store.objects("events") == []
        assert [path for path in tiny_disk.rglob("*") if path.is_file()] == []

    def test_a_disk_that_may_not_be_written(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Who runs tests as root may write anywhere, so the disk's answer is made up."""

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "mkdir", refuse)
        with pytest.raises(ImpervaError, match="may not read and write there"):
            claim(Ledger(open_store(str(tmp_path / "lake")), "shop"), "8416_1")
