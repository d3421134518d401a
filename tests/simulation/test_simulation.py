"""Weeks of an account, with everything that can go wrong in them: no event is lost, and none is there twice.

The course of events comes out of a seed. ``IMPERVA_SIMULATION_SEEDS=10`` tries ten of them (seeds 1 to 10), and
``IMPERVA_SIMULATION_SEED=7`` that one again. By default it is one of nine days with two outages and half as many runs.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_imperva.lake.claim import claim
from airflow_provider_imperva.lake.data_keys import AesKeys
from airflow_provider_imperva.lake.store import open_store
from airflow_provider_imperva.testing import KeyPair, VirtualClock
from tests.simulation.oracle import Oracle
from tests.simulation.simulated_airflow import Airflow
from tests.simulation.simulated_imperva import BYTE_CAP, HOUR, MINUTE, WINDOW, Imperva, Servers
from tests.simulation.simulated_keeper import Keeper
from tests.simulation.simulated_sender import Sender
from tests.simulation.simulated_workers import Disk

LONG = bool({"IMPERVA_SIMULATION_SEED", "IMPERVA_SIMULATION_SEEDS"} & os.environ.keys())
DAYS = 30 if LONG else 9
OUTAGES = (1, 20, 47, 60) if LONG else (1, 60)
"""Hours."""
KEPT_DAYS = 30 if LONG else 6
_FEBRUARY = datetime(2026, 2, 1, tzinfo=UTC)
PAUSE = (20 * MINUTE, 130 * MINUTE) if LONG else (60 * MINUTE, 300 * MINUTE)
"""The shortest and the longest between two runs."""


def seeds() -> list[int]:
    if one := os.environ.get("IMPERVA_SIMULATION_SEED"):
        return [int(one)]
    return list(range(1, int(os.environ.get("IMPERVA_SIMULATION_SEEDS", "1")) + 1))


@pytest.fixture(scope="module")
def pairs() -> list[KeyPair]:
    return [KeyPair.generate(str(number)) for number in (1, 2, 3)]


@pytest.mark.slow
@pytest.mark.timeout(3600 if LONG else 900)
@pytest.mark.parametrize("seed", seeds(), ids="seed-{}".format)
def test_weeks_of_an_account(
    seed: int, pairs: list[KeyPair], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live_through(seed, DAYS, OUTAGES, pairs, tmp_path, capsys)


@pytest.mark.slow
@pytest.mark.timeout(3600 if LONG else 900)
@pytest.mark.parametrize("seed", seeds(), ids="seed-{}".format)
def test_weeks_in_which_quiet_days_are_merged_and_old_ones_expire(
    seed: int, pairs: list[KeyPair], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Some days are held for a while; at last a person is erased, and the data keys of a month are destroyed."""
    live_through(seed, KEPT_DAYS, OUTAGES[:1], pairs, tmp_path, capsys, keeps=True)


def live_through(
    seed: int,
    days: int,
    hours: Sequence[int],
    pairs: list[KeyPair],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    keeps: bool = False,
) -> None:
    """Live through the days, and hold everything against the truth.

    :param hours: how long outages are.
    :param keeps: whether the lake is encrypted, and kept: merged, expired, held and erased, and keys destroyed.
    """
    # A month is over four days before the end, which is when its data key may be destroyed.
    clock = VirtualClock(_FEBRUARY + timedelta(days=4 - days)) if keeps else VirtualClock()
    master = AesKeys([bytes(range(32))]) if keeps else None
    rng = random.Random(f"{seed}/airflow")
    with Servers(window=WINDOW, byte_cap=BYTE_CAP, clock=clock) as repository:
        repository.chance = random.Random(f"{seed}/servers")
        imperva = Imperva(str(seed), clock, repository, pairs, days)
        sender = Sender(str(seed), clock, tmp_path / "inbox")
        lake = tmp_path / "lake"
        lake.mkdir()
        oracle = Oracle(lake, imperva, sender, master=master)
        disk = Disk(open_store(str(lake)), clock)
        airflow = Airflow(imperva, sender, disk, rng, oracle.check_green, oracle.told, PAUSE, master=master)
        oracle.calm_runs, oracle.cut_indexes, oracle.lags = airflow.calm_runs, airflow.cut_indexes, airflow.lags
        for pushed in (False, True):
            claim(ledger := airflow.ledger(pushed=pushed), ledger.layout.repository)
        began = clock()
        if keeps:
            held = (began + days * 8 * HOUR, began + days * 16 * HOUR)
            oracle.keeper = Keeper(
                lake, clock, lambda pushed: airflow.ledger(pushed=pushed), imperva, *held, days=max(3, days // 4)
            )
            airflow.keep = oracle.keeper.keep
        imperva.advance(3 * HOUR)
        airflow.calm_turn()
        outages = draw_outages(rng, began, days, hours, flood=imperva.flood)
        losses = sorted(began + rng.uniform(0.1, 0.9) * timedelta(days=days) for _ in range(2))
        try:
            airflow.live(began + timedelta(days=days - 3), outages=outages, losses=losses)
            # The last days are fair, so that all that can be told by then is told.
            airflow.wake_all()
            while clock() < began + timedelta(days=days):
                airflow.calm_turn()
                imperva.advance(3 * HOUR)
            airflow.calm_turn()
            if oracle.keeper:
                erased = oracle.keeper.erase_somebody()
                assert oracle.keeper.where(erased) == []
                oracle.keeper.destroy_keys("2026-01")
                done = {"hold set", "hold lifted", "parts merged", "events gone", "keys destroyed"}
                assert {*done, "objects nobody can read"} <= (+oracle.keeper.counts).keys()
            oracle.check()
        finally:
            # Else whatever hangs keeps the interpreter from ending.
            airflow.release_all()
            with capsys.disabled():
                print(f"\nseed {seed}: {days} days, {airflow.disk.operations} durable operations")
                print("outages: " + "; ".join(f"{(end - start) / HOUR:.0f} h ({kind})" for start, end, kind in outages))
                print(*oracle.summary(), sep="\n")
                counts = airflow.counts | (dict(oracle.keeper.counts) if oracle.keeper else {})
                print(", ".join(f"{count} × {what}" for what, count in sorted(counts.items())))


def draw_outages(
    rng: random.Random, began: datetime, days: int, of: Sequence[int], *, flood: tuple[timedelta, timedelta]
) -> list[tuple[datetime, datetime, str]]:
    """Draw when each outage is and of which kind; half of the time one of them is while a flood of logs comes."""
    hours = rng.sample(of, len(of))
    span = timedelta(days=days - 4) / len(hours)
    outages = []
    for position, length in enumerate(hours):
        latest = span - length * HOUR - 12 * HOUR
        start = began + span * position + 12 * HOUR + rng.random() * latest
        if rng.random() < 0.5 and span * position <= flood[0] - 4 * HOUR <= span * position + latest:
            start = began + flood[0] - 4 * HOUR
        outages.append((start, start + length * HOUR, rng.choice(["we are down", "no connection", "all is 503"])))
    return outages
