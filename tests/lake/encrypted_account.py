"""An account whose logs are encrypted at rest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from airflow_provider_imperva.audit.trusted import TrustedInputs
from airflow_provider_imperva.audit.verify import LakeVerification, verify_lake
from airflow_provider_imperva.lake.data_keys import AesKeys
from airflow_provider_imperva.lake.ledger import Ledger
from airflow_provider_imperva.lake.raw import RawBytes
from airflow_provider_imperva.lake.store import open_store
from tests.retention.kept_account import KeptAccount

MASTER = AesKeys([bytes(range(32))])
LATER_MASTER = AesKeys([bytes(range(1, 33)), bytes(range(32))])


@dataclass
class EncryptedAccount(KeptAccount):
    """Its data keys are of the month that its clock shows."""

    master: AesKeys | None = MASTER

    def __post_init__(self) -> None:
        super().__post_init__()
        self.open()

    def open(self) -> None:
        """Open the ledger again, as the next task does: no data key is known."""
        self.ledger = Ledger(open_store(str(self.lake)), self.repository.name, master=self.master)
        self.ledger.raw = RawBytes(self.ledger.store, self.ledger.layout, master=self.master, clock=self.clock)

    def verify(self, *, master: AesKeys | None = MASTER, at: datetime | None = None) -> LakeVerification:
        return verify_lake(open_store(str(self.lake)), trusted=TrustedInputs(master=master), at=at or self.clock())

    def raw_files(self) -> dict[str, bytes]:
        """The objects in raw/ as they are stored, by name."""
        return {path.name: path.read_bytes() for path in (self.lake / "raw").rglob("*") if path.is_file()}
