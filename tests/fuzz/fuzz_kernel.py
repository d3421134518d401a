"""Throws damaged logs, and wrong arrays, at every function of the compiled kernel: ``make sanitize`` runs this.

``python -m tests.fuzz.fuzz_kernel --seconds 300`` does without the sanitizers. Whatever the arguments, a function has
to return or to raise ``ValueError`` and its like, and keep no reference; under AddressSanitizer and UBSan any access
outside of a buffer ends the process. Every log goes through :func:`airflow_provider_imperva.events.parse`, too.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from airflow_provider_imperva.events.grammar import keys
from airflow_provider_imperva.events.scan import _kernel
from airflow_provider_imperva.events.scan.buffers import BACKSLASH, PLAIN, QUOTE, SLACK
from airflow_provider_imperva.events.scan.vocabulary import Vocabulary
from airflow_provider_imperva.testing.forge import forge_log
from tests.fuzz.fuzz_parsers import TOKENS, Fuzz

REFUSALS = (ValueError, TypeError, OverflowError, BufferError, MemoryError)
NUMBERS = (-(2**62), -(2**31), -2, -1, 0, 1, 2, 3, 7, 63, 64, 2**31 - 1, 2**31, 2**62)
FUNCTIONS = (
    *("find_line_ends", "tally", "find_pairs", "cut_rows", "measure", "copy", "finish", "read_digits"),
    *("count_text", "count_either", "recode", "find_doubtful", "cut_lists", "cut_urls", "count_values"),
    "cut_headers",
)

Arguments = list[Any]


class KernelFuzz:
    """A run that one seed decides, but for what encryption makes random."""

    def __init__(self, seed: int) -> None:
        self.logs = Fuzz(seed)
        self.random = self.logs.random
        self.vocabularies = [Vocabulary.of(keys.CEF), Vocabulary.of(keys.LEEF)]
        self.outcomes: Counter[str] = Counter()
        self.bytes = 0

    def round(self) -> None:
        """Damage one body, give it to all functions as it is used and in wrong ways, and parse it."""
        body = self._body()
        self.bytes += len(body)
        for name in FUNCTIONS:
            for _ in range(3):
                arguments: Arguments = getattr(self, f"_{name}")(body)
                self._call(name, arguments)
                self._call(name, self._spoiled(arguments))
        self.outcomes[f"parsed as {self.logs.read(forge_log(body, format='?', header=True))}"] += 1

    def _call(self, name: str, arguments: Arguments) -> None:
        # Of the arrays, whose buffers the kernel holds: None and small integers are everybody's before Python 3.12.
        held = [argument for argument in arguments if isinstance(argument, np.ndarray)]
        counts = [sys.getrefcount(argument) for argument in held]
        try:
            getattr(_kernel, name)(*arguments)
            self.outcomes[name] += 1
        except REFUSALS:
            self.outcomes[f"{name} refused"] += 1
        assert [sys.getrefcount(argument) for argument in held] == counts, f"{name} keeps a reference"

    def _spoiled(self, arguments: Arguments) -> Arguments:
        """Make one of the arguments wrong, or two."""
        spoiled = [argument.copy() if isinstance(argument, np.ndarray) else argument for argument in arguments]
        for _ in range(self.random.choice([1, 1, 2])):
            place = self.random.randrange(len(spoiled))
            spoiled[place] = self._wrong(spoiled[place])
        if self.random.random() < 0.02:
            spoiled = spoiled[:-1]
        return spoiled

    def _wrong(self, argument: Any) -> Any:
        if not isinstance(argument, np.ndarray):
            return self.random.choice([*NUMBERS, argument, b"", None])
        way = self.random.randrange(6)
        if way == 0:
            return argument[: self.random.randrange(len(argument) + 1)].copy()
        if way == 1:
            return np.concatenate([argument, argument[:1], argument])
        if way == 2:
            return self.random.choice([argument.astype(np.int16), argument[::2], argument.reshape(-1, 1), argument[:0]])
        if argument.size:
            flat = argument.reshape(-1)
            limits = (0, 1) if argument.dtype == np.bool_ else _limits(argument.dtype)
            for _ in range(self.random.choice([1, 3, 30])):
                number = self.random.choice([*NUMBERS, len(flat), int(flat[self.random.randrange(len(flat))]) + 1])
                flat[self.random.randrange(len(flat))] = min(max(number, limits[0]), limits[1])
        return argument

    def _body(self) -> bytes:
        name = self.random.choice(list(self.logs.bodies))
        body = self.logs.bodies[name]
        begin = self.random.randrange(len(body))
        if self.random.random() < 0.7:
            begin = body.rfind(b"\n", 0, begin) + 1
        body = body[begin : begin + self.random.choice([0, 1, 8, 31, 33, 300, 3000, 3000, 3000, 3000, 20000, 20000])]
        return self.logs.mutated(body) if self.random.random() < 0.8 else body

    def _lines(self, body: bytes) -> tuple[Any, Any, Any]:
        ends = np.array([place for place, byte in enumerate(body) if byte == 10] + [len(body)], np.int64)
        return _array(body), np.concatenate(([0], ends[:-1] + 1)), ends

    def _strings(self, body: bytes) -> tuple[Any, Any]:
        """Pieces of a body, or of what numbers, addresses, lists and URLs are made of, as Arrow has them."""
        alphabet = self.random.choice(
            [None, b"0123456789", b"0123456789.", b"0123456789abcdefABCDEF:", b"ab:/?@]1.,\t "]
        )
        if alphabet:
            body = bytes(self.random.choices(alphabet, k=self.random.choice([0, 40, 400])))
        cuts = sorted(self.random.choices(range(len(body) + 1), k=self.random.choice([0, 1, 30])))
        bounds = [0, *cuts, len(body)]
        texts = [body[begin:end].decode("latin-1") for begin, end in pairwise(bounds)]
        _, offsets, characters = pa.array(texts, pa.string()).buffers()
        return (
            _array(characters.to_pybytes() if characters else b""),
            np.frombuffer(offsets.to_pybytes(), np.int32, len(texts) + 1),
        )

    def _find_line_ends(self, body: bytes) -> Arguments:
        return [_array(body), np.empty(self.random.choice([0, 1, len(body)]), np.int64)]

    def _tally(self, body: bytes) -> Arguments:
        return [_array(body), _array(self.random.choice([b"", b"CEF:", *TOKENS]))]

    def _count_text(self, body: bytes) -> Arguments:
        begin = self.random.randrange(len(body) + 1)
        sought = body[begin : begin + self.random.choice([1, 2, 15, 16, 17, 60])] or b"a"
        return [_array(body), _array(sought)]

    def _count_either(self, body: bytes) -> Arguments:
        one, other = (b"|I" + body[:length] for length in self.random.choices([0, 1, 15, 16, 17, 60], k=2))
        return [
            _array(self.random.choice([body, body.replace(b"=", one), body.replace(b" ", other)])),
            _array(one),
            _array(other),
        ]

    def _recode(self, body: bytes) -> Arguments:
        codes = np.frombuffer(body, np.int8).astype(np.int32)
        return [codes, np.empty(len(codes), np.int32), np.empty(128, np.int32)]

    def _find_pairs(self, body: bytes) -> Arguments:
        text, begins, ends = self._lines(body)
        words, known = self.random.choice(self.vocabularies)
        return [
            *(text, begins, ends, words, known.copy(), self.random.random() < 0.5),
            np.zeros(len(begins), np.bool_),
            np.empty((self.random.choice([3, len(body) // 4 + 1, len(body) // 4 + 1]), 3), np.int32),
            np.zeros(len(begins) + 1, np.int64),
            begins.copy(),
        ]

    def _cut_rows(self, body: bytes) -> Arguments:
        text, begins, ends = self._lines(body)
        names = self.random.choice([0, 1, 3, 41, 41, 41])
        return [
            *(text, begins, ends, names, np.array([self.random.randint(0, names) for _ in range(3)])),
            *(np.zeros(len(begins), np.bool_), np.zeros(len(begins), np.bool_)),
            np.empty((len(body) // 3 + names, 3), np.int32),
            np.zeros(len(begins) + 1, np.int64),
        ]

    def _found(self, body: bytes) -> tuple[Any, Any]:
        """Texts in a body, as they are found when it is read."""
        as_rows = b'" "' in body
        arguments = self._cut_rows(body) if as_rows else self._find_pairs(body)
        (_kernel.cut_rows if as_rows else _kernel.find_pairs)(*arguments)
        found, firsts = arguments[7], arguments[8]
        return found[: firsts[-1]].copy(), firsts

    def _measure(self, body: bytes) -> Arguments:
        found, _ = self._found(body)
        columns = self.random.choice([1, 5, 80])
        column_of = np.array([self.random.randrange(-1, columns) for _ in range(80)])
        return [found, column_of, np.zeros(columns, np.int64)]

    def _copy(self, body: bytes) -> Arguments:
        found, firsts = self._found(body)
        rows = np.flatnonzero([self.random.random() < 0.8 for _ in firsts[1:]])
        columns = 100
        coded = self.random.choice([0, 3, columns])
        column_of = np.arange(columns)
        sizes = np.zeros(columns, np.int64)
        _kernel.measure(found, column_of, sizes)
        starts = np.cumsum(sizes + SLACK) - sizes - SLACK
        ends = np.zeros((columns, len(rows) + 1), np.int32)
        ends[:coded, 0] = starts[:coded]
        return [
            *(_array(body), found, firsts, rows, column_of),
            self.random.choice([PLAIN, BACKSLASH, QUOTE]),
            np.ones(len(firsts) - 1, np.bool_),
            np.empty(int((sizes + SLACK).sum()), np.uint8),
            *(starts, ends, np.full((coded, len(rows)), -1, np.int32), np.zeros(coded, np.int64)),
        ]

    def _finish(self, body: bytes) -> Arguments:
        rows = self.random.randrange(1, 40)
        numbers = np.frombuffer(body[: len(body) // 4 * 4], np.int32)
        coded, others = (
            numbers[begin : begin + len(numbers) // 2 // width * width].reshape(-1, width).copy()
            for begin, width in ((0, rows), (len(numbers) // 2, rows + 1))
        )
        return [coded, others, np.empty((len(coded) + len(others)) * -(-rows // 8), np.uint8)]

    def _read_digits(self, body: bytes) -> Arguments:
        characters, offsets = self._strings(body)
        most = self.random.choice([1, 13, 18])
        rows = len(offsets) - 1
        return [characters, offsets, 1, most, 2**31 - 1, np.empty(rows, np.int64), np.empty(rows, np.bool_)]

    def _find_doubtful(self, body: bytes) -> Arguments:
        characters, offsets = self._strings(body)
        return [characters, offsets, np.empty(len(offsets) - 1, np.int64)]

    def _cut_lists(self, body: bytes) -> Arguments:
        characters, offsets = self._strings(body)
        room = len(offsets) + int(np.count_nonzero(characters == ord(",")))
        firsts = np.zeros(len(offsets), np.int32)
        trimmed = self.random.random() < 0.5
        return [characters, offsets, trimmed, np.zeros(room, np.int32), np.empty(len(characters), np.uint8), firsts]

    def _cut_urls(self, body: bytes) -> Arguments:
        characters, offsets = self._strings(body)
        urls = len(offsets) - 1
        return [characters, offsets, np.empty((2 * urls, 3), np.int32), np.zeros(urls + 1, np.int64)]

    def _cut_headers(self, body: bytes) -> Arguments:
        pieces = [b'[{"', b'":"', b'"},{"', b'"}]', b"A", b"a", b"b", b"value", b"\\", b"\xc3\xa9", b"[", b" "]
        weights = [9, 9, 9, 9, 5, 5, 5, 5, 1, 1, 1, 1]
        texts = ["".join(f'{{"{body[at : at + 1].hex()}":"a"}},' for at in range(self.random.choice([1, 3, 70])))]
        texts[0] = f"[{texts[0][:-1]}]"
        for _ in range(self.random.choice([0, 1, 30])):
            few = self.random.choices(pieces, weights, k=self.random.choice([0, 3, 12]))
            name = self.random.choice(["Accept", "accept", "X-Trace", "a" * 40])
            texts.append(self.random.choice([b"".join(few).decode(), f'[{{"{name}":"1"}},{{"b":"{"c" * len(few)}"}}]']))
        _, offsets, characters = pa.array(texts, pa.string()).buffers()
        text = _array(characters.to_pybytes() if characters else b"")
        room = len(text) // 8
        return [
            *(text, np.frombuffer(offsets.to_pybytes(), np.int32, len(texts) + 1)),
            np.array([self.random.random() < 0.1 for _ in texts]),
            *(np.zeros(size, np.int32) for size in (len(texts) + 1, room, room + 1, room + 1)),
            *(np.empty(len(text), np.uint8), np.zeros(room + 1, np.int32), np.empty(len(text), np.uint8)),
        ]

    def _count_values(self, body: bytes) -> Arguments:
        return [_array(body), self.random.choice([0, 1])]


def _array(content: bytes) -> Any:
    """Copy bytes to where nothing stands behind the last one, as it does behind that of ``bytes``."""
    return np.frombuffer(content, np.uint8).copy()


def _limits(kind: np.dtype[Any]) -> tuple[int, int]:
    info = np.iinfo(kind)
    return int(info.min), int(info.max)


def run(*, seconds: float, seed: int, show: Callable[[str], object]) -> Counter[str]:
    """Fuzz for so long; give how often each function returned and refused."""
    show(f"seed {seed}")
    fuzz = KernelFuzz(seed)
    corpus = {name: len(body) for name, body in fuzz.logs.bodies.items()}
    show(f"corpus: {len(corpus)} bodies of {sum(corpus.values())} bytes ({', '.join(corpus)})")
    begin, count = time.monotonic(), 0
    while time.monotonic() < begin + seconds:
        fuzz.round()
        count += 1
    spent = time.monotonic() - begin
    calls = sum(times for name, times in fuzz.outcomes.items() if not name.startswith("parsed"))
    show(f"{count} mutations, {fuzz.bytes} bytes, {calls} calls of {len(FUNCTIONS)} functions in {spent:.0f} s")
    return fuzz.outcomes


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Throw damaged logs and wrong arrays at the compiled kernel.")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    outcomes = run(seconds=options.seconds, seed=options.seed, show=lambda text: print(text, flush=True))
    missing = [name for name in FUNCTIONS if not outcomes[name] or not outcomes[f"{name} refused"]]
    sys.exit(f"never returned, or never refused: {', '.join(missing)}" if missing else 0)
