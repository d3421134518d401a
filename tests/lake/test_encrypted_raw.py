"""Logs that are encrypted at rest: every way through the lake reads them, and none writes them in clear."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import airflow_provider_imperva
from airflow_provider_imperva.audit.certificate import issue
from airflow_provider_imperva.audit.certificate_page import describe_certificate
from airflow_provider_imperva.audit.certified import check, read_certificate
from airflow_provider_imperva.audit.objects import NamedObject, check_bytes
from airflow_provider_imperva.audit.period import Period
from airflow_provider_imperva.audit.redo import RedoSelection
from airflow_provider_imperva.audit.trusted import TrustedInputs
from airflow_provider_imperva.audit.verify import verify_lake
from airflow_provider_imperva.cli import main
from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.errors import ConfigurationError, DataKeyError, HoldError
from airflow_provider_imperva.forward.address import Address
from airflow_provider_imperva.forward.destination import DestinationOptions
from airflow_provider_imperva.lake.data_keys import AesKeys, DataKeys
from airflow_provider_imperva.lake.raw import RawBytes
from airflow_provider_imperva.lake.records import Kind
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.load.rescue import rescue
from airflow_provider_imperva.retention.destroy import destroy_key
from airflow_provider_imperva.retention.holds import lift_hold, set_hold
from airflow_provider_imperva.testing import FakeRepository
from airflow_provider_imperva.testing.forge import KeyPair, forge_log
from tests.forward.sending import Collector, forwarding, send_all
from tests.lake.encrypted_account import LATER_MASTER, MASTER, EncryptedAccount
from tests.load.load_runs import Clock
from tests.load.stepped_store import BrokenOffError, SteppedStore, break_off
from tests.retention.kept_account import again, files_of
from tests.retention.test_erase import ADDRESS, forget

ADDRESS_OF_SIEM = Address(host="siem.example", port=6514)
REQUEST: dict[str, Any] = {"by": "dpo@example.com", "why": "retention of 1 month", "reference": "RET-7"}
NAME = "8416_1.log"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def account(tmp_path: Path, clock: Clock) -> Iterator[EncryptedAccount]:
    with FakeRepository() as repository:
        yield EncryptedAccount(repository, tmp_path / "lake", clock=clock)


@pytest.fixture
def loaded(account: EncryptedAccount) -> EncryptedAccount:
    account.serve_day(1, 2, people=(ADDRESS,))
    account.serve_day(2, 1)
    account.run()
    account.open()
    return account


def month_of(account: EncryptedAccount) -> str:
    return str(account.record(NAME)["data_key"])


class TestLoading:
    def test_no_log_lies_in_clear_and_all_rows_are_there(self, loaded: EncryptedAccount) -> None:
        assert loaded.rows() == loaded.expected()
        for name, stored in loaded.raw_files().items():
            record, received = loaded.record(name), loaded.forged[name].content
            assert received[:100] not in stored
            assert loaded.forged[name].events[0].encode()[:60] not in stored
            assert record["raw_sha256"] == hashlib.sha256(received).hexdigest()
            assert record["raw_bytes"] == len(received)
            assert record["stored_sha256"] == hashlib.sha256(stored).hexdigest()
            assert record["stored_bytes"] == len(stored)
        (key,) = (loaded.lake / "keys").rglob("*.json")
        assert key.stem == month_of(loaded)

    def test_nothing_is_written_without_the_key_once_there_was_one(self, loaded: EncryptedAccount) -> None:
        loaded.serve_day(3, 0)
        before = files_of(loaded.lake)
        for master, found in ((None, "the key for that is not given"), (AesKeys([bytes(32)]), "Give the key that")):
            loaded.master = master
            loaded.open()
            with pytest.raises(DataKeyError, match=found):
                loaded.run()
            with pytest.raises(DataKeyError, match=found), loaded.client() as client:
                rescue(loaded.ledger, client, max_concurrency=1)
            with pytest.raises(DataKeyError, match=found):
                again(loaded, names=NAME)
        assert files_of(loaded.lake) == before

    def test_a_new_master_key_goes_on_where_the_old_one_was(self, loaded: EncryptedAccount, clock: Clock) -> None:
        clock.ahead = timedelta(days=40)
        loaded.serve_day(3, -40)
        loaded.master = LATER_MASTER
        loaded.open()
        loaded.run()
        loaded.run()
        assert again(loaded, state="all") == 12
        records = list(loaded.ledger.raw.keys.records())
        assert [record.wrapped_by for record in records] == [MASTER.name, LATER_MASTER.name]
        assert loaded.verify(master=LATER_MASTER).ok

    def test_a_lake_that_was_not_encrypted_before_has_both(self, account: EncryptedAccount) -> None:
        account.master = None
        account.open()
        account.serve_day(1, 2)
        account.run()
        account.master = MASTER
        account.open()
        account.serve_day(2, 1)
        account.run()
        assert [account.record(name)["data_key"] is None for name in ("8416_1.log", "8416_2.log")] == [True, False]
        assert account.raw_files()[NAME] == account.forged[NAME].content
        assert account.verify().ok
        assert again(account, state="all") == 8

    def test_an_object_that_was_put_in_the_place_of_another_stays_open_and_the_others_are_loaded(
        self, account: EncryptedAccount
    ) -> None:
        account.serve_day(1, 2)
        account.serve_day(2, 1)
        plan = account.plan()
        fetched = account.fetch(plan)
        shutil.copy(account.raw("8416_2.log"), account.raw("8416_1.log"))
        account.normalize(plan, fetched)
        commit = account.commit(plan)
        assert commit.open_codes == {"8416_1.log": "sealed"}
        assert commit.stuck == ["8416_1.log"]
        assert account.rows() == account.expected(["8416_2.log"])

    def test_other_bytes_of_a_log_are_encrypted_too(self, account: EncryptedAccount) -> None:
        """They lie beside the first ones, which did not decode."""
        log = account.serve_day(1, 0)
        account.repository.add(log.name, log.content[:-20])
        account.run()
        account.repository.add(log.name, log.content)
        assert isinstance(account.clock, Clock)
        account.clock.ahead = timedelta(hours=1)
        account.run()
        assert account.rows() == account.expected()
        assert len(account.raw_files()) == 2
        assert not any(log.content[:100] in stored for stored in account.raw_files().values())
        assert account.verify().ok
        assert account.verify(master=None).ok

    def test_of_two_tasks_that_make_the_key_of_a_month_at_once_both_use_the_first(
        self, account: EncryptedAccount
    ) -> None:
        layout, clock = account.ledger.layout, account.clock
        other = DataKeys(account.ledger.store, layout, master=MASTER, clock=clock)
        slow = SteppedStore(account.ledger.store, before=lambda step, path: other.current() and None)
        assert DataKeys(slow, layout, master=MASTER, clock=clock).current() == other.current()
        assert slow.steps == [layout.data_key(f"{clock():%Y-%m}")]

    @pytest.mark.parametrize("step", range(4))
    def test_broken_off_while_the_first_logs_come_nothing_is_lost(self, account: EncryptedAccount, step: int) -> None:
        """Before and after the key of the month is made, and before and after an object is."""
        account.serve_day(1, 1)
        account.serve_day(2, 1)
        plan = account.plan()
        store = SteppedStore(account.ledger.store, before=break_off(step))
        account.ledger.raw = RawBytes(store, account.ledger.layout, master=MASTER, clock=account.clock)
        with suppress(BrokenOffError):
            account.fetch(plan)
        assert len(store.steps) == min(step, 3)
        account.open()
        account.finish(plan)
        assert account.rows() == account.expected()
        assert account.verify().ok


class TestVerify:
    def test_it_is_green_with_the_key_and_without_and_says_what_each_proves(self, loaded: EncryptedAccount) -> None:
        with_key, without = loaded.verify(), loaded.verify(master=None)
        assert with_key.ok
        assert without.ok
        told = "2 objects in raw/ were compared as stored"
        assert any(told in note for note in without.repositories[0].notes)
        assert not any(told in note for note in with_key.repositories[0].notes)

    @pytest.mark.parametrize("master", [MASTER, None])
    def test_a_changed_object_is_found_with_the_key_and_without(
        self, loaded: EncryptedAccount, master: AesKeys | None
    ) -> None:
        path = loaded.raw(NAME)
        stored = path.read_bytes()
        path.write_bytes(stored[:-1] + bytes([stored[-1] ^ 1]))
        findings = loaded.verify(master=master).repositories[0].findings
        assert [finding.kind for finding in findings] == ["altered"]

    @pytest.mark.parametrize("master", [MASTER, None])
    def test_a_log_that_somebody_put_back_in_clear_is_found(
        self, loaded: EncryptedAccount, master: AesKeys | None
    ) -> None:
        loaded.raw(NAME).write_bytes(loaded.forged[NAME].content)
        assert not loaded.verify(master=master).ok

    def test_with_the_key_it_proves_more(self, loaded: EncryptedAccount) -> None:
        """Bytes that nobody received, encrypted as they must be, with the SHA-256 in the ledger made again."""
        raw = RawBytes(loaded.ledger.store, loaded.ledger.layout, master=MASTER, clock=loaded.clock)
        path = loaded.ledger.layout.raw_root + "/8416/000000000/8416_9.log"
        raw.create(path, b"nobody received this")
        stored = loaded.raw("8416_9.log").read_bytes()
        named = NamedObject(path, len(stored), "0" * 64, "commit 1", is_part=False, stored_sha256=_sha256(stored))
        (with_key,) = check_bytes(loaded.ledger.store, raw, [named])
        (without,) = check_bytes(loaded.ledger.store, RawBytes(loaded.ledger.store, loaded.ledger.layout), [named])
        assert with_key.findings
        assert not without.findings
        assert without.unopened

    def test_a_data_key_that_is_missing_is_found(self, loaded: EncryptedAccount) -> None:
        (key,) = (loaded.lake / "keys").rglob("*.json")
        key.unlink()
        findings = loaded.verify(master=None).repositories[0].findings
        assert [finding.kind for finding in findings] == ["missing"]
        assert "nothing of its month in raw/ can be read" in findings[0].found

    def test_logs_are_decoded_again(self, loaded: EncryptedAccount) -> None:
        verification = verify_lake(
            loaded.ledger.store, trusted=TrustedInputs(master=MASTER), redo=RedoSelection(2), at=loaded.clock()
        )
        assert verification.ok
        assert any("2 of 2 logs decoded again" in note for note in verification.repositories[0].notes)
        verification = verify_lake(loaded.ledger.store, redo=RedoSelection(2), at=loaded.clock())
        assert any("its private key or data key is not at hand" in note for note in verification.repositories[0].notes)


class TestOtherReaders:
    def test_a_replay_gives_the_same_rows(self, loaded: EncryptedAccount) -> None:
        assert again(loaded, state="all") == 8
        assert loaded.verify().ok

    def test_an_erasure_finds_a_person_in_them(self, loaded: EncryptedAccount) -> None:
        done = forget(loaded)
        assert done.trace.counts["raw_objects"] == 1
        assert list(loaded.raw_files()) == ["8416_2.log"]
        assert loaded.verify().ok

    def test_an_erasure_without_the_key_says_that_it_could_not_look(self, loaded: EncryptedAccount) -> None:
        loaded.master = None
        loaded.open()
        assert forget(loaded, dry_run=True, client_ip="198.51.100.99").trace.unread == ["8416_1.log", "8416_2.log"]

    def test_forwarding_reads_them(self, loaded: EncryptedAccount) -> None:
        collector = Collector()
        send_all(forwarding(loaded, DestinationOptions(), address=ADDRESS_OF_SIEM, connect=lambda: collector))
        assert len(collector.events) == 8

    def test_no_module_reads_or_writes_raw_but_one(self) -> None:
        """What is encrypted would be taken for a damaged log, or written in clear."""
        around = re.compile(r"store\.(?:read|reader|create|write|writer)\([^\n]*\b(?:raw|raw_key|raw_beside)\b")
        package = Path(airflow_provider_imperva.__file__).parent
        assert [str(path) for path in package.rglob("*.py") if around.search(path.read_text())] == []
        assert around.search("ledger.store.create(ledger.layout.raw(name), content)")

    def test_decode_and_explain_read_them(
        self, loaded: EncryptedAccount, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
    ) -> None:
        import base64

        key = tmp_path / "raw.key"
        key.write_text(base64.b64encode(bytes(range(32))).decode() + "\n")
        path = str(loaded.raw(NAME).relative_to(loaded.lake))
        assert main(["decode", "--lake", str(loaded.lake), "--raw-key", str(key), path]) == 0
        assert capfdbinary.readouterr().out.decode().splitlines() == list(loaded.forged[NAME].events)
        assert main(["decode", "--lake", str(loaded.lake), path]) == 1
        assert b"give it with --raw-key" in capfdbinary.readouterr().err
        assert main(["decode", str(loaded.raw(NAME))]) == 1
        assert b"Give --lake and --raw-key" in capfdbinary.readouterr().err
        assert main(["explain", str(loaded.lake), "1"]) == 0
        assert b"encrypted with the data key of" in capfdbinary.readouterr().out
        assert main(["verify", str(loaded.lake), "--raw-key", str(key), "--redo", "2"]) == 0

    def test_a_log_that_waits_for_its_private_key_waits_encrypted(
        self, account: EncryptedAccount, tmp_path: Path
    ) -> None:
        pair = KeyPair.generate("1")
        log = account.serve_day(1, 0)
        account.repository.add(log.name, forge_log("\n".join(log.events) + "\n", key=pair))
        account.run()
        account.keys = KeyRing.from_pem({"1": pair.private_pem()})
        account.run()
        assert account.rows() == account.expected()


class TestDestroyedKeys:
    @pytest.fixture
    def over(self, loaded: EncryptedAccount, clock: Clock) -> EncryptedAccount:
        """The month of its logs is over, and there is a log of this one."""
        clock.ahead = timedelta(days=40)
        loaded.serve_day(3, -40)
        # After so long a pause the first run only fetches.
        loaded.run()
        loaded.run()
        loaded.open()
        return loaded

    def destroy(self, account: EncryptedAccount, month: str | None = None) -> None:
        month = month or month_of(account)
        commit = destroy_key(account.ledger, month, run=account.maintenance_run(), clock=account.clock, **REQUEST)
        assert (commit.kind, commit.destroys) == (Kind.DESTROY_KEY, (month,))
        account.open()

    def test_replay_says_when_and_by_whom(self, over: EncryptedAccount, caplog: pytest.LogCaptureFixture) -> None:
        rows = over.rows()
        self.destroy(over)
        told = rf"data key of {month_of(over)} was destroyed on .* by commit 4: reference RET-7, asked for by dpo@exam"
        with pytest.raises(ConfigurationError, match=told):
            again(over, names=NAME)
        assert again(over, state="all") == 4, "the log of the other month"
        assert "It is not replayed" in caplog.text
        assert over.rows() == rows

    def test_verify_stays_green_and_says_what_can_no_longer_be_proved(self, over: EncryptedAccount) -> None:
        self.destroy(over)
        for master in (MASTER, None):
            verification = over.verify(master=master)
            assert verification.ok, verification
            told = "2 objects in raw/ were compared as stored"
            notes = verification.repositories[0].notes
            assert any(told in note and "was destroyed on" in note for note in notes), notes

    def test_nobody_can_read_them_not_even_with_a_copy_of_raw(self, over: EncryptedAccount) -> None:
        self.destroy(over)
        path = over.ledger.layout.raw_root + f"/8416/000000000/{NAME}"
        with pytest.raises(DataKeyError, match="was destroyed on"), over.ledger.raw.open(path) as file:
            file.read()
        record = over.ledger.raw.keys.record(month_of(over))
        assert record is not None
        assert (record.wrapped, record.wrapped_by) == ("", "")

    def test_a_destination_that_is_behind_is_told_which_commit_it_was(self, over: EncryptedAccount) -> None:
        self.destroy(over)
        collector = Collector()
        outcomes = send_all(forwarding(over, DestinationOptions(), address=ADDRESS_OF_SIEM, connect=lambda: collector))
        removed = {log: by for outcome in outcomes for log, by in outcome.removed_logs.items()}
        assert removed == {"8416_1.log": 4, "8416_2.log": 4}
        assert len(collector.events) == 4, "the log of the other month"
        assert over.verify().ok

    def test_a_hold_is_in_the_way(self, over: EncryptedAccount) -> None:
        ask = {"run": over.maintenance_run(), "clock": over.clock}
        day = over.clock().date() - timedelta(days=41)
        set_hold(over.ledger, reference="CASE-1", by="legal", why="case", since=day, until=day, **ask)  # type: ignore[arg-type]
        before = files_of(over.lake)
        with pytest.raises(HoldError, match="hold CASE-1 of legal covers"):
            self.destroy(over)
        assert files_of(over.lake) == before
        lift_hold(over.ledger, reference="CASE-1", by="legal", why="over", **ask)  # type: ignore[arg-type]
        self.destroy(over)

    def test_a_month_that_is_not_over_or_has_no_key_is_refused(self, over: EncryptedAccount) -> None:
        for month, found in (
            (f"{over.clock():%Y-%m}", "not a month that has been over"),
            ("2020-01", "there is no data key of 2020-01"),
            ("2020-13", "not a month"),
        ):
            with pytest.raises(ConfigurationError, match=found):
                self.destroy(over, month)
        self.destroy(over)
        with pytest.raises(ConfigurationError, match="was destroyed on"):
            self.destroy(over)

    def test_bytes_that_are_still_needed_are_in_the_way(self, account: EncryptedAccount, clock: Clock) -> None:
        log = account.serve_day(1, 0)
        account.serve_day(2, 0)
        account.repository.add(log.name, forge_log("\n".join(log.events) + "\n", key=KeyPair.generate("1")))
        account.run()
        clock.ahead = timedelta(days=40)
        with pytest.raises(ConfigurationError, match=r"1 logs that were listed by .* are not loaded yet"):
            self.destroy(account)

    def test_broken_off_at_any_step_the_next_run_destroys_it(self, over: EncryptedAccount, tmp_path: Path) -> None:
        month = month_of(over)
        for step in range(1, 6):
            lake = tmp_path / f"at-{step}"
            shutil.copytree(over.lake, lake)
            broken = EncryptedAccount(over.repository, lake, clock=over.clock)
            broken.ledger.store = SteppedStore(open_store(str(lake)), before=break_off(step))
            broken.ledger.raw = RawBytes(broken.ledger.store, broken.ledger.layout, clock=over.clock)
            with suppress(BrokenOffError):
                self.destroy(broken, month)
            steps = broken.ledger.store.steps if isinstance(broken.ledger.store, SteppedStore) else None
            broken.open()
            broken.run()
            record = broken.ledger.raw.keys.record(month)
            assert record is not None
            assert record.destroyed, step
            assert broken.verify().ok
            if steps is None:
                return
        pytest.fail("there are more steps than were tried")

    def test_a_key_that_was_destroyed_without_a_commit_is_found(self, over: EncryptedAccount) -> None:
        import msgspec

        (path,) = (over.lake / "keys").rglob(f"{month_of(over)}.json")
        record = msgspec.json.decode(path.read_bytes())
        destroyed = {"commit": 2, "at": "2026-11-22T10:00:00Z", "told": "nothing"}
        path.write_bytes(msgspec.json.encode(record | {"wrapped": "", "wrapped_by": "", "destroyed": destroyed}))
        (finding,) = over.verify().repositories[0].findings
        assert "it says that commit 2 destroyed it, and that commit does not" in finding.found

    def test_a_certificate_holds_before_and_after(self, over: EncryptedAccount) -> None:
        store, at = over.ledger.store, over.clock()
        content = issue(store, over.repository.name, Period.parse(month_of(over)), at=at)
        certificate, digest = read_certificate(content, about="test")
        assert (certificate.logs, certificate.encrypted) == (2, 2)
        told = "  2 of them are encrypted at rest: raw/ is hashed as it is stored"
        assert told in list(describe_certificate(certificate))
        self.destroy(over)
        assert check(store, certificate, digest=digest, trusted=TrustedInputs(), at=over.clock()).findings == []

    def test_the_command_destroys_it(
        self, account: EncryptedAccount, clock: Clock, capsys: pytest.CaptureFixture[str]
    ) -> None:
        clock.ahead = timedelta(days=-40)
        account.serve_day(1, 41)
        account.run()
        month = month_of(account)
        asked = ["destroy-key", str(account.lake), "--by", "dpo", "--why", "over", "--reference", "RET-7", "--month"]
        assert main([*asked, "2020-13"]) == 2
        assert "not a month that has been over" in capsys.readouterr().err
        assert main([*asked, month]) == 0
        assert "Commit 2 has it." in capsys.readouterr().out
        assert main(["explain", str(account.lake), "1"]) == 0
        told = f"commit 2: the data key of {month} was destroyed: its bytes can never be read again. reference RET-7"
        assert told in capsys.readouterr().out
        assert main(["replay", str(account.lake), "--log", NAME]) == 2
        assert f"the data key of {month} was destroyed on" in capsys.readouterr().err


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
