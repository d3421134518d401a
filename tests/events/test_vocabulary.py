"""Keys in a block of bytes are known by every byte of theirs, not by a hash alone."""

from __future__ import annotations

import numpy as np
import pytest

from airflow_provider_imperva.events.grammar import keys
from airflow_provider_imperva.events.grammar.keys import Keys
from airflow_provider_imperva.events.grammar.vocabulary import LONGEST, Vocabulary
from airflow_provider_imperva.events.scan.pairs import number_of

KNOWN = {key: number for number, key in keys.CEF.numbered}
CEF = Vocabulary.of(keys.CEF)


def found(key: bytes) -> int:
    """Look a key up that stands in a block by itself."""
    block = b" " * LONGEST + key
    return number_of(np.frombuffer(block, np.uint8), *CEF, LONGEST, len(block))


def test_every_known_key_has_its_number_in_whatever_case() -> None:
    for change in (str, str.lower, str.upper):
        assert {key: found(change(key).encode()) for key in KNOWN} == KNOWN


def test_key_that_differs_in_any_one_byte_is_unknown() -> None:
    known = {key.lower().encode() for key in KNOWN}
    for key in (key.encode() for key in KNOWN):
        others = {key[:i] + bytes([key[i] ^ bit]) + key[i + 1 :] for i in range(len(key)) for bit in (1, 16, 64, 128)}
        others |= {b"\0" + key, key + b"\0", key[1:], b"x" + key, b"x" * 30 + key, key[:-1], b""}
        unknown = sorted(other for other in others if other.lower() not in known)
        assert [found(other) for other in unknown] == [0] * len(unknown)


def test_keys_that_one_hash_cannot_tell_apart_are_refused() -> None:
    known = {"alongerword": "aLongerWord", "anotherlongerword": "anotherLongerWord"}
    names = Keys(columns={}, known=keys.CEF.known | known, json=frozenset(), free_text=frozenset())
    with pytest.raises(ValueError, match="last eight bytes"):
        Vocabulary.of(names)


def test_no_key_or_label_is_longer_than_a_loop_looks() -> None:
    assert max(CEF.known[:, 0].max(), CEF.known[:, 3].max()) <= LONGEST
