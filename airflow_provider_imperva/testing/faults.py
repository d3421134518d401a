"""What goes wrong: one fault, and a seeded script of them, which a file can hold to rehearse an outage.

::

    seed = 7                      # the same seed and the same requests: the same faults

    [[rules]]                     # for an hour, once ten minutes have passed, the server does not answer
    seconds = [600, 4200]
    fault = { hang_up = true }

    [[rules]]                     # from the 100th request on, a log in ten comes with half its bytes, and does not tell
    path = "*.log"
    requests = [100]
    probability = 0.1
    fault = { shorten = 0.5 }

The first rule that applies decides. The options of a fault are those of :class:`Fault`.
"""

from __future__ import annotations

import random
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Self

import msgspec

from airflow_provider_imperva.errors import ConfigurationError

_DO = "Correct the script; the documentation of airflow_provider_imperva.testing.faults has an example"


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What goes wrong with one answer. Without any option the answer is as it should be.

    :param status: answer with this status and no body.
    :param retry_after: value of a ``Retry-After`` header: seconds, or an HTTP date.
    :param cut: announce the whole body, send only its first bytes, this many, and close the connection.
    :param hold: seconds of silence after a cut body, before the connection is closed.
    :param shorten: send only this share of the body (0 to 1) and announce no more, so that it cannot be noticed.
    :param wrong_length: announce this many bytes more (or, below zero, fewer) than are sent.
    :param html: answer with status 200 and a login page.
    :param page: answer with status 200 and this text.
    :param redirect: answer with status 302 and this ``Location``.
    :param hang_up: close the connection without an answer.
    :param stall: seconds of silence before the answer.
    :param drip: send the body at this many bytes per second.
    """

    status: int | None = None
    retry_after: float | str | None = None
    cut: int | None = None
    hold: float = 0
    shorten: float | None = None
    wrong_length: int = 0
    html: bool = False
    page: str | None = None
    redirect: str | None = None
    hang_up: bool = False
    stall: float = 0
    drip: float | None = None

    def __post_init__(self) -> None:
        if self.shorten is not None and not 0 <= self.shorten <= 1:
            raise ValueError("shorten is a share, from 0 to 1")
        if self.drip is not None and self.drip <= 0:
            raise ValueError("drip is above 0 bytes per second")


class FaultRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """When which fault comes.

    :param fault: what goes wrong.
    :param path: ``logs.index`` or names of logs, as a pattern with ``*`` and ``?``.
    :param seconds: the time it goes on, in seconds since the script began: from, to; without the second for ever.
    :param requests: the requests it can hit, counted from 1 over all paths: from, to (included); without the second
        all that follow.
    :param probability: how likely it hits a request that all this applies to, 0 to 1.
    """

    fault: Fault
    path: str = "*"
    seconds: tuple[float, ...] = (0,)
    requests: tuple[int, ...] = (1,)
    probability: float = 1.0

    def __post_init__(self) -> None:
        for name, span in (("seconds", self.seconds), ("requests", self.requests)):
            if len(span) not in {1, 2} or list(span) != sorted(span):
                raise ValueError(f"{name} is one number, or two that rise")
        if not 0 <= self.probability <= 1:
            raise ValueError("probability is from 0 to 1")

    def applies(self, path: str, *, request: int, seconds: float) -> bool:
        """Whether it may hit a request."""
        return (
            fnmatchcase(path, self.path)
            and self.requests[0] <= request <= (*self.requests, request)[1]
            and self.seconds[0] <= seconds <= (*self.seconds, seconds)[1]
        )


class FaultScript(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Rules, the first of which that applies decides, and the seed that chance comes out of."""

    rules: tuple[FaultRule, ...]
    seed: int = 0

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a script from a file, ``.toml`` or ``.json``.

        :raises ConfigurationError: it cannot be read, or is not such a script.
        """
        try:
            content = path.read_bytes()
            tree = msgspec.json.decode(content) if path.suffix == ".json" else tomllib.loads(content.decode())
            return msgspec.convert(tree, cls)
        except (OSError, ValueError) as error:  # msgspec's errors are of ValueError, like those of TOML
            raise ConfigurationError(f"no script of faults: {error}", do=_DO, about=str(path)) from error

    def fault(self, path: str, *, request: int, asked: int, seconds: float) -> Fault:
        """Return what goes wrong with a request; nothing does by an empty fault.

        Chance is drawn for each path by itself, so that requests side by side cannot change each other's.

        :param path: what is asked for.
        :param request: its number among all requests, from 1.
        :param asked: how often this path was asked for, from 1.
        :param seconds: how long ago the script began.
        """
        for number, rule in enumerate(self.rules):
            if rule.applies(path, request=request, seconds=seconds):
                chance = random.Random(f"{self.seed}/{number}/{path}/{asked}").random()
                if chance < rule.probability:
                    return rule.fault
        return Fault()


CALM = FaultScript(rules=())
"""Nothing goes wrong."""
