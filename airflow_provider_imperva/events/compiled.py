"""Loops over bytes, compiled to machine code by numba; what they compile to is kept on disk where there is room for it.

Only what reads a body imports this, since numba takes a second to import. A compiled loop calls compiled functions of
its own module only, and those below for bytes and machine words, since what is kept is renewed when that one file
changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
from numba import types
from numba.extending import intrinsic

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


def _byte_at(_: Any, text: Any, place: Any) -> tuple[Any, Callable[..., Any]]:
    def load(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.load(builder.gep(_bytes(context, builder, signature, values), [values[1]]))

    return types.uint8(text, types.int64), load


def _word_at(_: Any, text: Any, place: Any) -> tuple[Any, Callable[..., Any]]:
    def load(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        word = builder.load(_pointer(context, builder, signature, values))
        word.align = 1
        return word

    return types.uint64(text, types.int64), load


def _put_word(_: Any, text: Any, place: Any, word: Any) -> tuple[Any, Callable[..., Any]]:
    def store(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.store(values[2], _pointer(context, builder, signature, values)).align = 1
        return context.get_dummy_value()

    return types.void(text, types.int64, types.uint64), store


def _trailing_zeros(_: Any, word: Any) -> tuple[Any, Callable[..., Any]]:
    def count(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.cttz(values[0], context.get_constant(types.boolean, True))

    return types.int64(types.uint64), count


def _bytes(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    """Point at the first byte of an array."""
    return context.make_array(signature.args[0])(context, builder, values[0]).data


def _pointer(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    """Point at the machine word that begins at a byte of an array."""
    byte = builder.gep(_bytes(context, builder, signature, values), [values[1]])
    return builder.bitcast(byte, context.get_value_type(types.uint64).as_pointer())


byte_at = cast("Callable[[Bytes, int], int]", intrinsic(_byte_at))
"""Read a byte, which has to be in the array: as by an index, but for the question whether it counts from the end."""

word_at = cast("Callable[[Bytes, int], np.uint64]", intrinsic(_word_at))
"""Read the eight bytes from a place on, the first of which is the lowest; all have to be in the array."""

put_word = cast("Callable[[Bytes, int, np.uint64], None]", intrinsic(_put_word))
"""Write eight bytes from a place on, the lowest first; all have to be in the array."""

trailing_zeros = cast("Callable[[np.uint64], int]", intrinsic(_trailing_zeros))
"""How many bits below the lowest one that is set are not; of a machine word that is not 0."""
