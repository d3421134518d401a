"""Encrypted objects: whatever was written comes back, in bounded memory, and nothing that was changed does."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_imperva.errors import ConfigurationError, DataKeyError, SealedObjectError
from airflow_provider_imperva.lake import sealed
from airflow_provider_imperva.lake.data_keys import AesKeys
from airflow_provider_imperva.lake.sealed import CHUNK_BYTES, HEADER_BYTES, KeyName, SealedReader, seal, stored_size

KEY = bytes(range(32))
NAME = KeyName("2026-11", "ab" * 16)
PATH = "raw/repository=r/8416/000000000/8416_1.log"
STORED_CHUNK = CHUNK_BYTES + 16


def reader(stored: bytes, *, path: str = PATH, key: bytes = KEY) -> io.BufferedReader:
    return io.BufferedReader(SealedReader(io.BytesIO(stored), key=lambda name: key, path=path))


def three_chunks() -> bytes:
    return seal(bytes(2 * CHUNK_BYTES) + b"the end", key=KEY, name=NAME, path=PATH)


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES])
def test_what_was_written_comes_back_whatever_its_size(size: int) -> None:
    plain = os.urandom(size)
    stored = seal(plain, key=KEY, name=NAME, path=PATH)
    assert len(stored) == stored_size(size)
    assert plain[:64] not in stored or size < 8
    file = reader(stored)
    assert file.read() == plain
    assert file.seek(0, io.SEEK_END) == size


@given(st.binary(max_size=200), st.lists(st.tuples(st.integers(0, 250), st.integers(0, 90)), max_size=8))
@example(b"", [(0, 1), (16, 1)])
@example(b"x" * 48, [(47, 5), (16, 16), (48, 3)])
def test_any_place_can_be_read_in_any_order(plain: bytes, looks: list[tuple[int, int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealed, "CHUNK_BYTES", 16)
        patch.setattr(sealed, "_STORED_CHUNK", 32)
        stored = seal(plain, key=KEY, name=NAME, path=PATH)
        file = SealedReader(io.BytesIO(stored), key=lambda name: KEY, path=PATH)
        for place, size in looks:
            file.seek(place)
            found = b""
            while len(found) < size and (more := file.read(size - len(found))):
                found += more
            assert found == plain[place : place + size]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda stored: stored[:-STORED_CHUNK], id="less than the last chunk is left"),
        pytest.param(lambda stored: stored[: HEADER_BYTES + 2 * STORED_CHUNK], id="the last chunk is cut off"),
        pytest.param(lambda stored: stored[: HEADER_BYTES + STORED_CHUNK], id="two chunks are cut off"),
        pytest.param(lambda stored: stored[:HEADER_BYTES], id="only the header is left"),
        pytest.param(lambda stored: stored[:20], id="half of the header is left"),
        pytest.param(lambda stored: stored[:-1], id="the last byte is cut off"),
        pytest.param(
            lambda stored: (
                stored[:HEADER_BYTES]
                + stored[HEADER_BYTES + STORED_CHUNK : HEADER_BYTES + 2 * STORED_CHUNK]
                + stored[HEADER_BYTES : HEADER_BYTES + STORED_CHUNK]
                + stored[HEADER_BYTES + 2 * STORED_CHUNK :]
            ),
            id="two chunks are exchanged",
        ),
        pytest.param(lambda stored: stored + stored[HEADER_BYTES:], id="chunks are added"),
        pytest.param(lambda stored: stored[:100] + bytes([stored[100] ^ 1]) + stored[101:], id="a bit is another"),
        pytest.param(lambda stored: stored[:40] + bytes([stored[40] ^ 1]) + stored[41:], id="a bit of the header is"),
    ],
)
def test_what_was_changed_does_not_decrypt(change: object) -> None:
    stored = change(three_chunks())  # type: ignore[operator]
    with pytest.raises(SealedObjectError):
        reader(stored).read()


def test_an_object_does_not_decrypt_in_the_place_of_another() -> None:
    with pytest.raises(SealedObjectError):
        reader(three_chunks(), path=PATH.replace("_1", "_2")).read()


def test_no_two_objects_share_a_nonce_and_a_key() -> None:
    one, other = (seal(b"the same", key=KEY, name=NAME, path=PATH) for _ in range(2))
    assert one[HEADER_BYTES:] != other[HEADER_BYTES:]


def test_one_chunk_is_in_memory(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "large"
    path.write_bytes(seal(bytes(12 * CHUNK_BYTES), key=KEY, name=NAME, path=PATH))
    with path.open("rb") as file:
        opened = io.BufferedReader(SealedReader(file, key=lambda name: KEY, path=PATH))
        tracemalloc.start()
        while opened.read(CHUNK_BYTES):
            pass
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 5 * CHUNK_BYTES


class TestMasterKeys:
    def test_a_new_key_wraps_and_an_old_one_still_unwraps(self) -> None:
        import base64

        old, new = (base64.b64encode(os.urandom(32)).decode() for _ in range(2))
        first = AesKeys.of_text(old, about="test")
        wrapped = first.wrap(KEY, about="a")
        both = AesKeys.of_text(f"{new},\n{old}\n", about="test")
        assert both.name != first.name
        assert both.unwrap(wrapped, by=first.name, about="a") == KEY
        with pytest.raises(DataKeyError, match="Give the key that it was wrapped by as well"):
            AesKeys.of_text(new, about="test").unwrap(wrapped, by=first.name, about="a")
        with pytest.raises(DataKeyError, match="not as it was written"):
            both.unwrap(wrapped, by=first.name, about="another data key")

    @pytest.mark.parametrize("text", ["", "secret-text", "c2hvcnQ=", "A" * 43])
    def test_what_is_not_a_key_is_refused_and_not_shown(self, text: str) -> None:
        with pytest.raises(ConfigurationError, match="openssl rand -base64 32") as caught:
            AesKeys.of_text(text, about="raw_encryption_key")
        assert text == "" or text not in str(caught.value)
