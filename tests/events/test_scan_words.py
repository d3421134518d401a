"""Words in a block of bytes are known by every byte of theirs, not by a hash alone."""

from __future__ import annotations

import numpy as np
import pytest

from airflow_provider_imperva.events import keys
from airflow_provider_imperva.events.words import LONGEST, WordTable

KNOWN = list(keys.CEF.known.values())


def numbers(table: WordTable, *texts: bytes) -> list[int]:
    """Look texts up that stand one after the other in a block."""
    block = b"\n" * LONGEST + b"\n" + b"\n".join(texts)
    ends = LONGEST + np.cumsum([len(text) + 1 for text in texts])
    found = table.before(block, ends, separators=b"\t\n")
    assert table.are(found, block, ends).tolist() == (found > 0).tolist()
    return found.tolist()


def test_every_known_word_has_its_number() -> None:
    assert numbers(WordTable(KNOWN), *(key.encode() for key in KNOWN)) == list(range(1, len(KNOWN) + 1))


@pytest.mark.parametrize("fold", [True, False])
def test_case_matters_or_does_not(fold: bool) -> None:
    found = numbers(WordTable(["fileId", "deviceExternalId"], fold=fold), b"FILEID", b"deviceexternalid", b"fileId")
    assert found == ([1, 2, 1] if fold else [0, 0, 1])


def test_word_that_differs_in_any_one_byte_is_unknown() -> None:
    table = WordTable(KNOWN, fold=True)
    known = {key.lower().encode() for key in KNOWN}
    for key in (key.encode() for key in KNOWN):
        others = {key[:i] + bytes([key[i] ^ bit]) + key[i + 1 :] for i in range(len(key)) for bit in (1, 16, 64, 128)}
        others |= {b"\0" + key, key + b"\0", key[1:], b"x" + key, b"x" * 30 + key, key[:-1]}
        unknown = sorted(other for other in others if other.lower() not in known)
        assert numbers(table, *unknown) == [0] * len(unknown)


def test_no_word_is_known_at_the_begin_of_a_block() -> None:
    table = WordTable(["src"])
    block, ends = b"src=src=" + b"x" * 40, np.array([3, 7])
    assert table.before(block, ends, separators=b"=").tolist() == [0, 0]
    assert table.are(np.array([1, 1], np.uint8), block, ends).tolist() == [False, False]
    assert table.before(b"src", np.array([3]), separators=b"=").tolist() == [0]


def test_words_that_one_hash_cannot_tell_apart_are_refused() -> None:
    with pytest.raises(ValueError, match="last eight bytes"):
        WordTable(["aLongerWord", "anotherLongerWord"])


@pytest.mark.parametrize("separator", [bytes([byte]) for byte in (0, 1, 8, 9, 10, 31, 32, 33, 0x89, 0xA0)])
@pytest.mark.parametrize("key", ["src", "fileType", "requestClientApplication"])
def test_word_is_known_only_behind_a_separator(key: str, separator: bytes) -> None:
    table = WordTable(KNOWN)
    block = b" \t " * 10 + separator + key.encode()
    found = table.before(block, np.array([len(block)]), separators=b" \t")
    assert (found[0] > 0) == (separator in b" \t")
