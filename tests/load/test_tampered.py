"""Logs that were tampered with, all of a run or nearly: none of it is loaded, and the run is not green."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import timedelta

import pytest

from airflow_provider_imperva.audit.verify import verify_lake
from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.lake.quarantine import too_much
from airflow_provider_imperva.testing.forge import KeyPair
from tests.load.load_runs import Account, Clock


def _flip(at: float) -> Callable[[bytes], bytes]:
    """Flip a bit of the body, which makes up most of a log."""

    def change(content: bytes) -> bytes:
        place = content.index(b"|==|\n") + 5
        place += int((len(content) - place - 1) * at)
        return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]

    return change


TAMPERED: dict[str, Callable[[bytes], bytes]] = {
    "first byte": _flip(0),
    "a byte early on": _flip(0.1),
    "a byte in the middle": _flip(0.5),
    "a byte near the end": _flip(0.9),
    "last byte": _flip(1),
    "cut in the middle": lambda content: content[: len(content) // 2],
    "cut in the header": lambda content: content[:30],
    "header alone": lambda content: content[: content.index(b"|==|\n") + 5],
    "a piece left out": lambda content: content[:-60] + content[-40:],
    "two pieces swapped": lambda content: content[:-64] + content[-32:] + content[-64:-32],
    "other bytes put in": lambda content: content[:-48] + b"0123456789abcdef" + content[-48:],
    "gzipped, and cut": lambda content: gzip.compress(content)[:-30],
}


@pytest.mark.parametrize("how", TAMPERED, ids=str)
@pytest.mark.parametrize("whole", [0, 1], ids=["all", "all but one"])
def test_nothing_of_it_is_loaded_and_the_run_is_red(
    account: Account, clock: Clock, key_pair: KeyPair, how: str, whole: int
) -> None:
    account.keys = KeyRing({"1": key_pair.private_key})
    logs = account.serve(*range(1, 5), keys=[key_pair] if "byte" not in how else [])
    for log in logs[whole:]:
        account.repository.add(log.name, TAMPERED[how](log.content))
    commit = account.run_some()
    assert account.rows() == account.expected([log.name for log in logs[:whole]])
    (told,) = too_much(account.ledger, commit, share=1)
    assert told.startswith(f"{4 - whole} of 4 logs came damaged")
    for log in logs:
        account.repository.remove(log.name)
    account.serve(9, keys=[key_pair])
    clock.ahead = timedelta(hours=1)
    commit = account.run_some()
    (told,) = too_much(account.ledger, commit, share=1)
    assert told.startswith(f"{4 - whole} logs are in quarantine as a whole")
    del account.forged
    account.assert_balanced()
    (verified,) = verify_lake(account.ledger.store, at=clock()).repositories
    assert verified.findings == ()
