"""Keys in a block of bytes are known by every byte of theirs, not by a hash alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from airflow_provider_imperva.events.grammar import keys
from airflow_provider_imperva.events.grammar.keys import Keys
from airflow_provider_imperva.events.scan import kernel
from airflow_provider_imperva.events.scan.buffers import KIND, NUMBER
from airflow_provider_imperva.events.scan.vocabulary import Vocabulary

KNOWN = {key: number for number, key in keys.CEF.numbered}


def numbers(words: Sequence[bytes], names: Keys = keys.CEF) -> list[int]:
    """Look words up, each as the only key of a record; 0 for one that is unknown, or no word."""
    vocabulary = Vocabulary.of(names)
    known = vocabulary.known.copy()
    # With nothing asked of their values, all keys are alike.
    known[:, KIND:] = 0
    lines = [b"CEF:0|a " + word + b"=1" for word in words]
    ends = np.cumsum([len(line) for line in lines])
    begins = ends - [len(line) for line in lines]
    irregular = np.zeros(len(lines), np.bool_)
    spans = np.empty((len(lines), 3), np.int32)
    firsts = np.zeros(len(lines) + 1, np.int64)
    text = np.frombuffer(b"".join(lines), np.uint8)
    kernel.find_pairs(text, begins, ends, vocabulary.words, known, False, irregular, spans, firsts, begins.copy())
    return [0 if irregular[line] else int(spans[firsts[line], NUMBER]) for line in range(len(lines))]


def test_every_known_key_has_its_number_in_whatever_case() -> None:
    for change in (str, str.lower, str.upper):
        assert numbers([change(key).encode() for key in KNOWN]) == [*KNOWN.values()]


def test_key_that_differs_in_any_one_byte_is_unknown() -> None:
    known = {key.lower().encode() for key in KNOWN}
    for key in (key.encode() for key in KNOWN):
        others = {key[:i] + bytes([key[i] ^ bit]) + key[i + 1 :] for i in range(len(key)) for bit in (1, 16, 64, 128)}
        others |= {b"\0" + key, key + b"\0", key[1:], b"x" + key, b"x" * 30 + key, key[:-1], b""}
        unknown = sorted(other for other in others if other.lower() not in known and b" " not in other)
        assert numbers(unknown) == [0] * len(unknown)


def test_long_keys_are_told_apart_wherever_they_differ() -> None:
    """No two keys are alike to the kernel, though all but one byte of theirs are the same."""
    words = ["k" * place + "j" + "k" * (62 - place) for place in range(63)]
    names = Keys(
        columns={}, known={**keys.CEF.known} | {word: word for word in words}, json=frozenset(), free_text=frozenset()
    )
    number = {key: number for number, key in names.numbered}
    assert numbers([word.encode() for word in words], names) == [number[word] for word in words]
    assert numbers([b"k" * 63, b"j" + b"k" * 63], names) == [0, 0]
