"""What compiled loops do to the bytes of an array in a step or two of the machine.

An index in a loop is asked first whether it counts from the end, and only ever gets one byte. None of these asks
anything: all bytes that are read or written have to be in the array. The machine is little-endian, as all are for which
there is numba.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from airflow_provider_imperva.events.scan.compiled import Bytes

STRETCH = 32
"""How many bytes are compared or copied at once."""

_WORD, _INDEX, _STRETCH = ir.IntType(64), ir.IntType(32), ir.VectorType(ir.IntType(8), STRETCH)

_Typed = tuple[Any, Callable[..., Any]]


def _byte_at(_: Any, text: Any, place: Any) -> _Typed:
    def load(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.load(_pointer(context, builder, signature.args[0], *values))

    return types.uint8(text, types.int64), load


def _word_at(_: Any, text: Any, place: Any) -> _Typed:
    def load(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return _load(builder, _pointer(context, builder, signature.args[0], *values), _WORD)

    return types.uint64(text, types.int64), load


def _matches(_: Any, text: Any, place: Any, byte: Any) -> _Typed:
    def compare(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        *at, sought = values
        stretch = _load(builder, _pointer(context, builder, signature.args[0], *at), _STRETCH)
        undefined = ir.Constant(_STRETCH, ir.Undefined)
        one = builder.insert_element(undefined, sought, ir.Constant(_INDEX, 0))
        each = builder.shuffle_vector(one, undefined, ir.Constant(ir.VectorType(_INDEX, STRETCH), None))
        found = builder.bitcast(builder.icmp_unsigned("==", stretch, each), ir.IntType(STRETCH))
        return builder.zext(found, _WORD)

    return types.uint64(text, types.int64, types.uint8), compare


def _copy_stretch(_: Any, text: Any, place: Any, copied: Any, to: Any) -> _Typed:
    def copy(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        stretch = _load(builder, _pointer(context, builder, signature.args[0], *values[:2]), _STRETCH)
        target = _pointer(context, builder, signature.args[2], *values[2:])
        builder.store(stretch, builder.bitcast(target, _STRETCH.as_pointer())).align = 1
        return context.get_dummy_value()

    return types.void(text, types.int64, copied, types.int64), copy


def _trailing_zeros(_: Any, word: Any) -> _Typed:
    def count(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.cttz(values[0], context.get_constant(types.boolean, True))

    return types.int64(types.uint64), count


def _pointer(context: Any, builder: Any, kind: Any, array: Any, place: Any) -> Any:
    """Point at a byte of an array."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [place])


def _load(builder: Any, pointer: Any, kind: Any) -> Any:
    """Load what begins with a byte, wherever that is."""
    loaded = builder.load(builder.bitcast(pointer, kind.as_pointer()))
    loaded.align = 1
    return loaded


byte_at = cast("Callable[[Bytes, int], int]", intrinsic(_byte_at))
"""Read the byte at a place."""

word_at = cast("Callable[[Bytes, int], np.uint64]", intrinsic(_word_at))
"""Read the eight bytes from a place on, the first of which is the lowest."""

matches = cast("Callable[[Bytes, int, int], np.uint64]", intrinsic(_matches))
"""Tell which of the ``STRETCH`` bytes from a place on are a given one, by a bit each; the lowest is for the first."""

copy_stretch = cast("Callable[[Bytes, int, Bytes, int], None]", intrinsic(_copy_stretch))
"""Copy the ``STRETCH`` bytes from a place on to a place in another array."""

trailing_zeros = cast("Callable[[np.uint64], int]", intrinsic(_trailing_zeros))
"""How many bits below the lowest one that is set are not; of a word that is not 0."""
