"""What the kernel works on: kinds of arrays, and what the numbers in them mean."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int32]
Places = npt.NDArray[np.int32]
Positions = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

NUMBER, BEGIN, END = range(3)
"""What is recorded of a text, in a row of ``spans`` (int32): the number of what it is, and where in the block it begins
and ends."""

KEY_BEGIN, KEY_END, KIND, LABEL, TEXT_BEGIN, TEXT_END = range(6)
"""What is recorded of a key, in a row of ``known`` (int64): where its lower-case name stands in ``words``; what it is;
the number of the key of the label that its value must have, 0 for none; where the text that its value must be stands in
``words``, both 0 for any."""

FREE_TEXT, JSON, UNEXPECTED, EARLY, LATE = 1, 2, 4, 8, 16
"""What a key can be, bits of ``KIND``: one in whose value an unknown key counts as text; one whose value is JSON; one
that only the careful reader understands; one of a client's text, and one that never stands right after such text."""

LONGEST_KEY = 63
"""Bytes of the longest key."""

PLAIN, BACKSLASH, QUOTE = b'\0\\"'
"""How texts are escaped, by the byte to look for: not at all; as in CEF and LEEF, with backslashes (``\\=``, ``\\\\``,
``\\n``, ``\\r``; before anything else a backslash is itself); as in W3C, quotes only, with a backslash or a quote."""

SLACK = 32
"""Bytes of ``copied`` after each column that ``copy`` may write to for speed. What is there means nothing."""
