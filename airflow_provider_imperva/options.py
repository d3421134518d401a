"""The options of loading, and how those that a DAG gives are checked while it is parsed.

They stand here, below all that loads, since a scheduler parses DAG files all day and a typing error must show there,
not in a task at night.
"""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from airflow_provider_imperva.errors import ConfigurationError, quoted

WINDOW = timedelta(hours=48)
"""How long Imperva keeps a log."""

TableKind = Literal["delta", "iceberg"]
"""A kind of table that a lake can have."""

_DESTINATION = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_GROUP = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """How a run plans.

    :ivar window: how long Imperva keeps a log.
    :ivar start: where a new lake begins: ``oldest`` takes all the index has, ``now`` only what comes after it, a number
        what comes from that sequence on.
    :ivar window_bytes: how many bytes of logs Imperva keeps, whatever their age; None for no bound.
    :ivar critical_headroom: with less than this left before the oldest log not yet fetched leaves the window, a plan
        only fetches, and leaves normalizing to later ones.
    :ivar max_logs: the most logs one plan loads; the rest waits for the next.
    :ivar logs_per_batch: how many logs one mapped task loads; by default as many as make about 16 MiB as received,
        judged by the last commit that has any.
    :ivar account_group: a name that repositories share to which the same logs may come, pulled by one and delivered to
        another: of logs with the same content one is loaded. None does not compare them, and spares one object a log.
    """

    window: timedelta = WINDOW
    window_bytes: int | None = 500_000_000
    critical_headroom: timedelta = timedelta(hours=6)
    start: str | int = "oldest"
    max_logs: int = 2000
    logs_per_batch: int | None = None
    account_group: str | None = None

    def __post_init__(self) -> None:
        if self.start not in {"oldest", "now"} and not str(self.start).isdecimal():
            raise ConfigurationError(
                "the start policy is none of them", do="Set start to oldest, to now, or to a sequence number"
            )
        check_positive(window=self.window)
        if self.window_bytes is not None:
            check_positive(window_bytes=self.window_bytes)
        if self.max_logs < 1 or (self.logs_per_batch is not None and self.logs_per_batch < 1):
            raise ConfigurationError("a plan or a batch of no logs", do="Set max_logs and logs_per_batch above 0")
        if self.account_group is not None and not _GROUP.fullmatch(self.account_group):
            raise ConfigurationError(
                "the account group's name holds other than letters, digits, '.', '_' and '-'",
                do="Set account_group to a name of these characters; it names a folder of the lake",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactionOptions:
    """What compaction merges.

    :ivar quiet: for how long nothing must have been added to a class and date.
    :ivar file_bytes: about how large a merged part becomes. Parts of at least three quarters of it are left as they
        are.
    :ivar max_batches: how many parts one plan makes; the rest waits for the next.
    """

    quiet: timedelta = timedelta(hours=6)
    file_bytes: int = 128 << 20
    max_batches: int = 500

    def __post_init__(self) -> None:
        check_type("quiet", self.quiet, timedelta)
        if self.quiet < timedelta():
            raise ConfigurationError(f"quiet is {self.quiet}", do="Set quiet to 0 or above")
        check_positive(file_bytes=self.file_bytes, max_batches=self.max_batches)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodePolicy:
    """How much is let through.

    :param max_plain_bytes: largest plain body; more is :class:`~airflow_provider_imperva.errors.TooLargeError`.
    :param encrypted_checksum: what becomes of an encrypted log whose checksum is wrong, or that has none and is not
        compressed either. ``quarantine`` raises :class:`~airflow_provider_imperva.errors.ChecksumError`, since nothing
        else would tell tampering or a wrong key. ``warn`` only says so.
    :param clear_checksum: the same for a clear log. It only warns by default: it is not known that Imperva's
        checksums of clear logs are always right, and zlib brings a checksum of its own.
    """

    max_plain_bytes: int = 4 << 30
    encrypted_checksum: Literal["quarantine", "warn"] = "quarantine"
    clear_checksum: Literal["quarantine", "warn"] = "warn"


def check_destination_name(name: str) -> str:
    """Return a destination's name, which names a folder of the lake.

    :raises ConfigurationError: if it cannot.
    """
    if not _DESTINATION.fullmatch(name):
        raise ConfigurationError(
            f"the destination's name is {quoted(name)}",
            do="Give it 1 to 63 characters of a-z, 0-9, '_' and '-', beginning with a letter or digit",
        )
    return name


def checked_options(kind: type, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the options that a DAG gives once it is sure that they can be made.

    :param kind: :class:`PlanOptions` or :class:`DecodePolicy`.
    :param given: those that are not the default; None if all are.
    :raises ConfigurationError: if there is no option of a name, or a value is of another type or out of bounds.
    """
    wanted = typing.get_type_hints(kind)
    for name, value in (given or {}).items():
        if name not in wanted:
            raise ConfigurationError(unknown_name(name, wanted), do="Correct its name", about=kind.__name__)
        check_type(name, value, wanted[name])
    kind(**(given or {}))
    return dict(given or {})


def unknown_name(name: str, known: Collection[str]) -> str:
    """Say that there is no setting of a name, and which one is nearest to it."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"there is no {quoted(name)}; " + (
        f"the nearest name is {near[0]!r}" if near else f"there are {_all(known)}"
    )


def check_type(name: str, value: object, wanted: Any) -> None:
    """Refuse a value of another type than a setting has.

    :param wanted: a class, ``tuple[<class>, ...]``, or a union of these and literals. An int is a float too, but a bool
        is not an int.
    :raises ConfigurationError: if the value is of none of them.
    """
    kinds = typing.get_args(wanted) if typing.get_origin(wanted) in (types.UnionType, typing.Union) else (wanted,)
    if not any(_is_a(value, kind) for kind in kinds):
        raise ConfigurationError(
            f"{name} is {quoted(value)}, of type {type(value).__name__}",
            do=f"Give {' or '.join(_named(kind) for kind in kinds)}",
        )


def check_positive(**settings: timedelta | float) -> None:
    """Refuse a duration or number that is not above zero.

    :raises ConfigurationError: which names it.
    """
    for name, value in settings.items():
        check_type(name, value, timedelta | float)
        amount = value.total_seconds() if isinstance(value, timedelta) else value
        if not amount > 0:
            raise ConfigurationError(f"{name} is {value}", do=f"Set {name} above 0")


def _is_a(value: object, kind: Any) -> bool:
    if typing.get_origin(kind) is Literal:
        return value in typing.get_args(kind)
    if typing.get_origin(kind) is tuple:
        item, _ = typing.get_args(kind)
        return isinstance(value, tuple) and all(_is_a(one, item) for one in value)
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def _named(kind: Any) -> str:
    if typing.get_origin(kind) is Literal:
        return _all(typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return f"a list, each item {_named(typing.get_args(kind)[0])}"
    return {types.NoneType: "None", timedelta: "a timedelta", int: "an int", str: "a str", bool: "a bool"}.get(
        kind, f"a {kind.__name__}"
    )


def _all(names: Collection[str]) -> str:
    return ", ".join(map(repr, names))
