"""What goes wrong while a run is under way, drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from email.utils import format_datetime
from fnmatch import fnmatchcase

from airflow_provider_imperva.clock import wall_clock
from airflow_provider_imperva.testing import Fault, FaultRule, FaultScript

STALL = 1.5
"""Seconds, real ones: longer than the simulated client's read time-out."""

SHORTENED = ("84*.log", "logs.index")
"""What may be cut without the client being able to see it. Logs in JSON have no checksum: there nobody ever could, nor
in a log of which not one byte is left."""


def draw_storm(rng: random.Random) -> FaultScript:
    """Draw one to four things that go wrong, each for some requests."""
    kinds = rng.choices(list(_FAULTS), weights=[weight for _, weight in _FAULTS.values()], k=rng.randint(1, 4))
    rules = tuple(_rule(rng, kind) for kind in kinds)
    return FaultScript(seed=rng.getrandbits(32), rules=rules)


def cuts_the_index(storm: FaultScript) -> bool:
    """Whether names may be missing in the index without anybody being able to tell."""
    return any(
        fnmatchcase("logs.index", rule.path) and (bool(rule.fault.shorten) or rule.fault.wrong_length < 0)
        for rule in storm.rules
    )


def nobody_answers() -> FaultScript:
    """All of Imperva is down."""
    return FaultScript(rules=(FaultRule(fault=Fault(status=503)),))


def _rule(rng: random.Random, kind: str) -> FaultRule:
    fault = _FAULTS[kind][0](rng)
    path = rng.choice(["*", "logs.index", "*.log", "*[02468].log"])
    if fault.shorten is not None or fault.wrong_length < 0:
        path = "logs.index" if fault.shorten == 0 else rng.choice(SHORTENED)
    if fault.page is not None:
        path = rng.choice(["*.log", "84*.log", "90*.log"])
    if fault.stall or fault.hold:
        # They cost real time, so that they hit a few requests only.
        return FaultRule(path=path, requests=(1, rng.randint(2, 4)), probability=0.5, fault=fault)
    return FaultRule(path=path, probability=rng.choice([0.05, 0.2, 0.5, 1.0]), fault=fault)


PAGES = (
    '{"error": {"code": 503, "message": "unavailable"}}',
    '{"message": "Internal server error"}',
    '[{"errorCode": 503}]',
    '{"timestamp": 1767225600000, "status": 500, "error": "x", "path": "/"}',
    "<?xml version='1.0'?><Error><Code>SlowDown</Code></Error>",
    "<Error/>",
    "upstream connect error or disconnect/reset before headers",
    "\n",
    "#Software: gateway\n",
)
"""What a server sends with status 200 in place of a log."""

_END = 8
"""Bytes at the end of a compressed log: where fewer are cut off, the checksum still verifies, and the log is loaded."""

_FAULTS: dict[str, tuple[Callable[[random.Random], Fault], float]] = {
    "401": (lambda _: Fault(status=401), 1),
    "403": (lambda _: Fault(status=403), 1),
    "404": (lambda _: Fault(status=404), 4),
    "429": (lambda rng: Fault(status=429, retry_after=rng.choice([None, 7, "soon"])), 3),
    "500": (lambda rng: Fault(status=rng.choice([500, 502, 504])), 3),
    "503": (lambda rng: Fault(status=503, retry_after=rng.choice([None, 30, format_datetime(wall_clock())])), 3),
    "418": (lambda _: Fault(status=418), 1),
    "HTML": (lambda _: Fault(html=True), 3),
    "page": (lambda rng: Fault(page=rng.choice(PAGES)), 6),
    "redirect": (lambda _: Fault(redirect="https://portal.example.com/"), 1),
    "hang up": (lambda _: Fault(hang_up=True), 2),
    "cut": (lambda rng: Fault(cut=rng.randrange(200)), 3),
    "longer than announced": (lambda rng: Fault(wrong_length=-rng.randint(_END, 30)), 2),
    "shorter than announced": (lambda rng: Fault(wrong_length=rng.randint(1, 30)), 2),
    "cut unseen": (lambda rng: Fault(shorten=rng.uniform(0.02, 0.98)), 5),
    "empty": (lambda _: Fault(shorten=0), 2),
    "stall": (lambda _: Fault(stall=STALL), 0.3),
    "stall in the body": (lambda _: Fault(cut=20, hold=STALL), 0.3),
    "drip": (lambda _: Fault(drip=20_000), 0.3),
}
