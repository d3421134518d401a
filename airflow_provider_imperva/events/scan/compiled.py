"""Loops over bytes, compiled to machine code by numba; what they compile to is kept on disk where there is room for it.

Only what reads a body imports this, since numba takes a second to import. What is kept is renewed when the one file
that the loop is in changes, so a compiled loop calls compiled functions of its own module only. The steps of
:mod:`~airflow_provider_imperva.events.scan.machine` are the exception: whoever changes those deletes what was kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
from numba import types

_P = ParamSpec("_P")
_R = TypeVar("_R")

BYTES = types.Array(types.uint8, 1, "C", readonly=True)
"""A block of bytes."""

OFFSETS = types.Array(types.int32, 1, "C", readonly=True)
POSITIONS, PLACES, MASK = types.int64[::1], types.int32[:, ::1], types.boolean[::1]

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int32]
Places = npt.NDArray[np.int32]
Positions = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_OPTIONS: dict[str, Any] = {"_nrt": False, "nogil": True}
"""No loop allocates anything: with ``_nrt`` each would count references all the time, which takes as long as the work.

Nor does any need Python's lock, so that the next log is received meanwhile.
"""


def compiled(*arguments: Any) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Compile a loop for arguments of these types, or take what an earlier process has kept.

    It is kept beside the source, or in the cache folder of whoever runs this, or where ``NUMBA_CACHE_DIR`` says. Where
    none can be written, or the disk is full, every process compiles for itself.
    """

    def compile_now(function: Callable[_P, _R]) -> Callable[_P, _R]:
        try:
            loop = numba.njit(arguments, cache=True, **_OPTIONS)(function)
        except (RuntimeError, OSError):
            loop = numba.njit(arguments, **_OPTIONS)(function)
        return cast("Callable[_P, _R]", loop)

    return compile_now


def inlined(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let compiled loops of the same module call a function; it is compiled as a part of them."""
    return cast("Callable[_P, _R]", numba.njit(forceinline=True, **_OPTIONS)(function))
