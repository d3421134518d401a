"""A log decodes to exactly its plain body, or to an error that says why; a damaged one never decodes to another."""

import base64
import gzip
import hashlib
import io
import logging
import os
import tracemalloc
import zlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from airflow_provider_imperva.container import KeyRing, decode
from airflow_provider_imperva.errors import (
    ChecksumError,
    ContainerError,
    CorruptError,
    HeaderError,
    MissingKeyError,
    TooLargeError,
    TruncatedError,
    WrongKeyError,
)
from airflow_provider_imperva.options import DecodePolicy
from airflow_provider_imperva.testing.forge import KeyPair, forge_events, forge_log

LOG = "8416_179.log"
BODY = "".join(f"{event}\n" for event in forge_events(50, seed=1)).encode()
EMPTY = KeyRing()


def container(stored: bytes, plain: bytes, *more: str) -> bytes:
    """Put together by hand what the forge would never write."""
    checksum = f"checksum:{hashlib.md5(plain).hexdigest()}"
    return "\n".join(["accountId:1", checksum, *more, "|==|", ""]).encode() + stored


def encrypted_container(padded: bytes, plain: bytes, key: KeyPair) -> bytes:
    """Encrypt bytes that are already whole blocks."""
    aes_key = os.urandom(16)
    encryptor = Cipher(AES(aes_key), CBC(bytes(16))).encryptor()
    return container(encryptor.update(padded), plain, "publicKeyId:1", f"key:{wrap(aes_key, key)}")


def wrap(aes_key: bytes, key: KeyPair) -> str:
    return base64.b64encode(key.public_key.encrypt(base64.b64encode(aes_key), PKCS1v15())).decode()


def body_of(content: bytes) -> bytes:
    return content.split(b"\n|==|\n", 1)[1]


class TestWhole:
    @pytest.mark.parametrize("body", [BODY, b"", b"CEF:0|x", "CEF:0| Iaşi\u2028\n".encode(), b"x" * 15, b"x" * 16])
    @pytest.mark.parametrize("compress", [True, False])
    @pytest.mark.parametrize("encrypt", [True, False])
    def test_every_kind_gives_the_exact_body(
        self, ring: KeyRing, key_pair: KeyPair, body: bytes, compress: bool, encrypt: bool
    ) -> None:
        content = forge_log(body, compress=compress, key=key_pair if encrypt else None)
        plain = decode(content, log=LOG, keys=ring)
        assert plain.body == body
        assert plain.size == len(body)
        assert (plain.compressed, plain.encrypted, plain.checksum_ok) == (compress, encrypt, True)
        assert plain.header is not None
        assert plain.header.config_id == 8416

    @pytest.mark.parametrize("bits", [192, 256])
    def test_longer_aes_keys_work(self, ring: KeyRing, key_pair: KeyPair, bits: int) -> None:
        assert decode(forge_log(BODY, key=key_pair, aes_bits=bits), log=LOG, keys=ring).body == BODY

    def test_logs_of_rotated_keys_decode_side_by_side(
        self, ring: KeyRing, key_pair: KeyPair, other_pair: KeyPair
    ) -> None:
        for pair in (key_pair, other_pair, key_pair):
            assert decode(forge_log(BODY, key=pair), log=LOG, keys=ring).body == BODY

    def test_a_header_with_the_checksum_of_no_bytes_is_an_empty_log(self) -> None:
        plain = decode(container(b"", b""), log=LOG, keys=EMPTY)
        assert (plain.body, plain.checksum_ok) == (b"", True)

    @pytest.mark.parametrize("zeros", [1, 2])
    @pytest.mark.parametrize("encrypt", [True, False])
    def test_a_checksum_that_lost_its_leading_zeros_verifies(
        self, ring: KeyRing, key_pair: KeyPair, zeros: int, encrypt: bool
    ) -> None:
        """A producer that prints the MD5 as a number drops them."""
        bodies = (BODY + b"%d" % number for number in range(10_000))
        body = next(body for body in bodies if hashlib.md5(body).hexdigest().startswith("0" * zeros))
        checksum = hashlib.md5(body).hexdigest().encode()
        content = forge_log(body, key=key_pair if encrypt else None).replace(checksum, checksum.lstrip(b"0"))
        assert decode(content, log=LOG, keys=ring).checksum_ok is True

    @pytest.mark.parametrize(
        "content",
        [
            b'{"event":{"id":1}}\n',
            b'\xef\xbb\xbf[{"a":"\xc3\xa9"}]',
            b"#Fields: date time\n",
            b"Caf\xc3\xa9\n",
            b"\n\nLEEF:1.0|",
        ],
    )
    def test_a_log_without_header_is_taken_as_it_is(self, content: bytes) -> None:
        plain = decode(content, log=LOG, keys=EMPTY)
        assert (plain.header, plain.body, plain.encrypted, plain.compressed) == (None, content, False, False)

    def test_a_separator_in_the_body_stays_in_the_body(self, ring: KeyRing, key_pair: KeyPair) -> None:
        body = b"CEF:0|a\n|==|\nCEF:0|b\n"
        for content in (forge_log(body, compress=False), forge_log(body, compress=False, key=key_pair)):
            assert decode(content, log=LOG, keys=ring).body == body

    @pytest.mark.parametrize("window", range(9, 16))
    @pytest.mark.parametrize("level", [0, 1, 5, 9])
    def test_every_zlib_header_is_known(self, window: int, level: int) -> None:
        deflater = zlib.compressobj(level, zlib.DEFLATED, window)
        assert decode(container(deflater.compress(BODY) + deflater.flush(), BODY), log=LOG, keys=EMPTY).body == BODY

    def test_gzip_and_streams_in_a_row_inflate(self) -> None:
        assert decode(container(gzip.compress(BODY), BODY), log=LOG, keys=EMPTY).body == BODY
        stored = zlib.compress(BODY) + gzip.compress(b"") + zlib.compress(BODY)
        assert decode(container(stored, BODY * 2), log=LOG, keys=EMPTY).body == BODY * 2

    @pytest.mark.parametrize("body", [b"x^2 = y\nCEF:0|\n", b"HK: hello, this is text\n", "8Oé".encode()])
    @pytest.mark.parametrize("header", [True, False])
    def test_text_that_begins_like_zlib_is_text(self, body: bytes, header: bool) -> None:
        plain = decode(forge_log(body, compress=False, header=header), log=LOG, keys=EMPTY)
        assert (plain.body, plain.compressed) == (body, False)

    def test_an_event_with_a_broken_character_is_text_all_the_same(self) -> None:
        assert decode(b"CEF:0|\xff\xfe\xfd", log=LOG, keys=EMPTY).body == b"CEF:0|\xff\xfe\xfd"

    def test_a_character_cut_by_the_look_at_the_head_is_no_damage(self) -> None:
        body = ("a" + "é" * 5000).encode()
        assert decode(body, log=LOG, keys=EMPTY).body == body

    def test_a_header_without_checksum_leaves_it_open(self) -> None:
        assert decode(b"format:CEF\n|==|\n" + zlib.compress(BODY), log=LOG, keys=EMPTY).checksum_ok is None

    @pytest.mark.parametrize("size", [1, 16, 1000, 1 << 30])
    def test_chunks_come_in_order_bounded_and_again(self, size: int) -> None:
        plain = decode(forge_log(BODY), log=LOG, keys=EMPTY)
        for _ in range(2):
            chunks = list(plain.chunks(size))
            assert b"".join(chunks) == BODY
            assert all(0 < len(chunk) <= size for chunk in chunks)

    def test_no_padding_is_accepted_where_the_stream_says_its_own_end(self, ring: KeyRing, key_pair: KeyPair) -> None:
        for length in range(200, 232):
            stored = zlib.compress(BODY[:length])
            content = encrypted_container(stored + bytes(-len(stored) % 16), BODY[:length], key_pair)
            assert decode(content, log=LOG, keys=ring).body == BODY[:length]


class TestFromFile:
    @pytest.mark.parametrize("compress", [True, False])
    @pytest.mark.parametrize("encrypt", [True, False])
    def test_a_file_decodes_as_its_bytes_do_wherever_it_stands(
        self, ring: KeyRing, key_pair: KeyPair, tmp_path: Path, compress: bool, encrypt: bool
    ) -> None:
        path = tmp_path / LOG
        path.write_bytes(forge_log(BODY, compress=compress, key=key_pair if encrypt else None))
        with path.open("rb") as file:
            file.seek(7)
            plain = decode(file, log=LOG, keys=ring)
            assert (plain.size, plain.body) == (len(BODY), BODY)

    def test_two_who_read_in_turns_do_not_disturb_each_other(
        self, ring: KeyRing, key_pair: KeyPair, tmp_path: Path
    ) -> None:
        """A body larger than what is kept in memory is decoded again by each."""
        body = BODY * ((65 << 20) // len(BODY))
        path = tmp_path / LOG
        path.write_bytes(forge_log(body, compress=False, key=key_pair))
        with path.open("rb") as file:
            plain = decode(file, log=LOG, keys=ring)
            pairs = list(zip(plain.chunks(), plain.chunks(), strict=True))
        assert len(pairs) > 3
        assert all(b"".join(half) == body for half in zip(*pairs, strict=True))


class TestDamaged:
    @pytest.mark.parametrize("compress", [True, False])
    def test_a_cut_or_flipped_encrypted_log_never_decodes_to_another_body(
        self, ring: KeyRing, key_pair: KeyPair, compress: bool
    ) -> None:
        body = BODY[:300]
        content = forge_log(body, compress=compress, key=key_pair)
        start = len(content) - len(body_of(content))
        refused: list[str] = []
        for position in range(start, len(content)):
            flipped = content[:position] + bytes([content[position] ^ 0x10]) + content[position + 1 :]
            for damaged in (content[:position], flipped):
                try:
                    # The same body may come out if only padding was hit; another one never.
                    assert decode(damaged, log=LOG, keys=ring).body == body
                except ContainerError as error:
                    refused.append(str(error))
        assert all(message.startswith(f"{LOG}: ") for message in refused)
        assert len(refused) > 1.9 * (len(content) - start)

    def test_a_cut_compressed_log_never_decodes_to_another_body(self) -> None:
        content = forge_log(BODY[:2000])
        whole = 0
        for position in range(len(content) - len(body_of(content)), len(content)):
            try:
                # Only the end marker and zlib's own checksum may be missing: the MD5 proves the body.
                assert decode(content[:position], log=LOG, keys=EMPTY).body == BODY[:2000]
                whole += 1
            except (TruncatedError, ChecksumError):
                continue
        assert whole < 8

    @pytest.mark.parametrize("checksum", [True, False])
    def test_no_bytes_at_all_are_no_log(self, checksum: bool) -> None:
        with pytest.raises(TruncatedError, match="no body"):
            decode(b"", log=LOG, keys=EMPTY)
        with pytest.raises(TruncatedError, match="no body"):
            decode(b"accountId:1\n|==|\n", log=LOG, keys=EMPTY)

    def test_an_encrypted_log_always_has_a_body(self, ring: KeyRing, key_pair: KeyPair) -> None:
        content = forge_log(b"", compress=False, key=key_pair)
        with pytest.raises(TruncatedError, match="no body"):
            decode(content[: content.index(b"|==|\n") + 5], log=LOG, keys=ring)

    def test_an_encrypted_body_cut_within_a_block_is_truncated(self, ring: KeyRing, key_pair: KeyPair) -> None:
        with pytest.raises(TruncatedError, match="not a multiple of 16"):
            decode(forge_log(BODY, key=key_pair)[:-1], log=LOG, keys=ring)

    def test_an_encrypted_plain_body_cut_at_a_block_is_refused_without_a_checksum_too(
        self, ring: KeyRing, key_pair: KeyPair
    ) -> None:
        content = forge_log(BODY, compress=False, key=key_pair)
        content = content.replace(b"checksum", b"ckecksum")[:-16]
        with pytest.raises(CorruptError, match="wrongly padded"):
            decode(content, log=LOG, keys=ring)

    def test_an_encrypted_plain_body_without_a_checksum_could_be_anybodys(
        self, ring: KeyRing, key_pair: KeyPair
    ) -> None:
        """Nothing in AES-CBC tells a bit that was turned over, and no zlib stream is there to."""
        content = forge_log(BODY, compress=False, key=key_pair).replace(b"checksum", b"ckecksum")
        with pytest.raises(ChecksumError, match="no checksum shows whether it is whole"):
            decode(content, log=LOG, keys=ring)
        lenient = decode(content, log=LOG, keys=ring, policy=DecodePolicy(encrypted_checksum="warn"))
        assert (lenient.body, lenient.checksum_ok) == (BODY, None)
        assert decode(forge_log(BODY, key=key_pair).replace(b"checksum", b"x"), log=LOG, keys=ring).body == BODY

    def test_an_empty_body_has_to_be_meant(self) -> None:
        content = forge_log(BODY)
        with pytest.raises(ChecksumError, match="the 0 bytes"):
            decode(content[: -len(body_of(content))], log=LOG, keys=EMPTY)

    def test_a_wrong_trailer_is_corrupt(self) -> None:
        with pytest.raises(CorruptError, match="damaged"):
            decode(container(zlib.compress(BODY)[:-4] + b"abcd", BODY), log=LOG, keys=EMPTY)

    @pytest.mark.parametrize("tail", [b"\x01", b"CEF:0|", b"\n\nx", bytes(100) + b"\x01"])
    def test_bytes_after_the_compressed_body_are_corrupt(self, tail: bytes) -> None:
        with pytest.raises(CorruptError, match="bytes follow"):
            decode(container(zlib.compress(BODY) + tail, BODY), log=LOG, keys=EMPTY)

    def test_endless_streams_in_a_row_are_corrupt(self) -> None:
        with pytest.raises(CorruptError, match="bytes follow"):
            decode(container(zlib.compress(b"") * 100_000, b""), log=LOG, keys=EMPTY)

    def test_more_than_padding_after_an_encrypted_compressed_body_is_corrupt(
        self, ring: KeyRing, key_pair: KeyPair
    ) -> None:
        stored = zlib.compress(BODY)
        content = encrypted_container(stored + b"\x7f" * (-len(stored) % 16 + 16), BODY, key_pair)
        with pytest.raises(CorruptError, match="bytes follow"):
            decode(content, log=LOG, keys=ring)

    @pytest.mark.parametrize(
        "body",
        [bytes(100), b"\x01\x02\x03", b"\x89PNG\r\n", b"\xff" * 50],
        ids=["zeros", "controls", "image", "no-utf8"],
    )
    def test_bytes_of_no_known_kind_are_not_taken_for_text(self, body: bytes) -> None:
        for content in (body, container(body, body)):
            with pytest.raises(ContainerError):
                decode(content, log=LOG, keys=EMPTY)

    def test_the_message_tells_size_and_no_content(self) -> None:
        with pytest.raises(CorruptError) as caught:
            decode(b"\x00topsecret\xff", log=LOG, keys=EMPTY)
        assert "11 bytes" in str(caught.value)
        assert "topsecret" not in str(caught.value)

    def test_raw_deflate_is_not_guessed(self) -> None:
        deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
        with pytest.raises(CorruptError):
            decode(container(deflater.compress(BODY) + deflater.flush(), BODY), log=LOG, keys=EMPTY)

    def test_damaged_zlib_that_reads_as_text_is_not_let_off_with_a_warning(self) -> None:
        # A stored block of 16672 bytes: its length and complement are four bytes of valid UTF-8.
        plain = b"CEF:0|" + b"a" * (0x4120 - 6)
        stored = b"x\x01\x01\x20\x41\xdf\xbe" + plain + zlib.adler32(plain).to_bytes(4, "big")
        assert decode(container(stored, plain), log=LOG, keys=EMPTY).body == plain
        with pytest.raises(ContainerError):
            decode(container(stored[:-3] + b"aaa", plain), log=LOG, keys=EMPTY)


class TestKeys:
    def test_a_missing_key_is_named(self, key_pair: KeyPair, ring: KeyRing) -> None:
        stranger = KeyPair("17", key_pair.private_key)
        with pytest.raises(MissingKeyError, match=r"publicKeyId '17', the key ring has 1, 2") as caught:
            decode(forge_log(BODY, key=stranger), log=LOG, keys=ring)
        assert caught.value.public_key_id == "17"
        # The ledger waits for the id as the key ring will name it.
        with pytest.raises(MissingKeyError) as caught:
            decode(forge_log(BODY, key=KeyPair("017", key_pair.private_key)), log=LOG, keys=ring)
        assert caught.value.public_key_id == "17"
        with pytest.raises(MissingKeyError, match="the key ring has no key"):
            decode(forge_log(BODY, key=stranger), log=LOG, keys=EMPTY)

    def test_a_wrong_key_is_told_from_damage(self, key_pair: KeyPair, other_pair: KeyPair) -> None:
        swapped = KeyRing({"1": other_pair.private_key})
        with pytest.raises(WrongKeyError, match="wrong key for publicKeyId '1'") as caught:
            decode(forge_log(BODY, key=key_pair), log=LOG, keys=swapped)
        assert "1" in caught.value.do

    def test_a_wrong_key_of_another_size_is_a_wrong_key_too(self, key_pair: KeyPair) -> None:
        small = KeyRing({"1": KeyPair.generate("1", bits=1024).private_key})
        with pytest.raises(WrongKeyError):
            decode(forge_log(BODY, key=key_pair), log=LOG, keys=small)

    @pytest.mark.parametrize("drop", [b"publicKeyId", b"key"])
    def test_half_of_the_key_lines_is_a_header_error(self, ring: KeyRing, key_pair: KeyPair, drop: bytes) -> None:
        content = forge_log(BODY, key=key_pair).replace(b"\n" + drop + b":", b"\nother:", 1)
        with pytest.raises(HeaderError, match="the header has a"):
            decode(content, log=LOG, keys=ring)

    def test_a_key_that_is_no_base64_is_a_header_error(self, ring: KeyRing, key_pair: KeyPair) -> None:
        content = forge_log(BODY, key=key_pair).replace(b"\nkey:", b"\nkey:***")
        with pytest.raises(HeaderError, match="not Base64"):
            decode(content, log=LOG, keys=ring)

    def test_a_key_wrapped_once_is_refused(self, ring: KeyRing, key_pair: KeyPair) -> None:
        raw = base64.b64encode(key_pair.public_key.encrypt(os.urandom(16), PKCS1v15())).decode()
        with pytest.raises(WrongKeyError):
            decode(container(bytes(32), BODY, "publicKeyId:1", f"key:{raw}"), log=LOG, keys=ring)

    def test_leading_zeros_of_the_id_do_not_matter(self, ring: KeyRing, key_pair: KeyPair) -> None:
        assert decode(forge_log(BODY, key=KeyPair("01", key_pair.private_key)), log=LOG, keys=ring).body == BODY


class TestPolicy:
    def test_a_wrong_checksum_refuses_an_encrypted_log(self, ring: KeyRing, key_pair: KeyPair) -> None:
        content = forge_log(BODY, key=key_pair, checksum="0" * 32)
        with pytest.raises(ChecksumError):
            decode(content, log=LOG, keys=ring)
        lenient = DecodePolicy(encrypted_checksum="warn")
        assert decode(content, log=LOG, keys=ring, policy=lenient).checksum_ok is False

    def test_a_wrong_checksum_of_a_clear_log_warns_by_name(self, caplog: pytest.LogCaptureFixture) -> None:
        content = forge_log(BODY, checksum="0" * 32)
        with caplog.at_level(logging.WARNING):
            plain = decode(content, log=LOG, keys=EMPTY)
        assert (plain.checksum_ok, plain.body) == (False, BODY)
        assert LOG in caplog.text
        with pytest.raises(ChecksumError):
            decode(content, log=LOG, keys=EMPTY, policy=DecodePolicy(clear_checksum="quarantine"))

    def test_the_checksum_may_be_written_in_capitals(self, ring: KeyRing, key_pair: KeyPair) -> None:
        content = forge_log(BODY, key=key_pair, checksum=hashlib.md5(BODY).hexdigest().upper())
        assert decode(content, log=LOG, keys=ring).checksum_ok is True

    @pytest.mark.parametrize("compress", [True, False])
    def test_the_bound_holds_for_every_kind(self, compress: bool) -> None:
        content = forge_log(b"x" * 1000, compress=compress)
        assert decode(content, log=LOG, keys=EMPTY, policy=DecodePolicy(max_plain_bytes=1000)).size == 1000
        with pytest.raises(TooLargeError, match="larger than 999 bytes"):
            decode(content, log=LOG, keys=EMPTY, policy=DecodePolicy(max_plain_bytes=999))


def flushed(body: bytes) -> bytes:
    """Compress without ever ending the stream."""
    deflater = zlib.compressobj()
    return deflater.compress(body) + deflater.flush(zlib.Z_SYNC_FLUSH)


class TestAround:
    """What transports do around a whole body is accepted where the checksum verifies, and nowhere else."""

    STORED = (
        zlib.compress(BODY) + b"\n",
        zlib.compress(BODY) + b"\r\n",
        zlib.compress(BODY) + b"\r\r\n",
        zlib.compress(BODY) + bytes(4096),
        zlib.compress(BODY) + b" \t\x1a",
        zlib.compress(BODY) + b"\n" * 3_000_000,
        gzip.compress(BODY) + b"\n",
        gzip.compress(BODY) + bytes(512),
        flushed(BODY),
        flushed(BODY) + b"\n",
        zlib.compress(BODY)[:-4],
        zlib.compress(BODY)[:-1],
    )

    @pytest.mark.parametrize("stored", STORED, ids=range(len(STORED)))
    def test_a_body_that_verifies_is_whole_whatever_surrounds_it(
        self, stored: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        plain = decode(container(stored, BODY), log=LOG, keys=EMPTY)
        assert (plain.body, plain.checksum_ok) == (BODY, True)
        assert "the checksum verifies" in caplog.text

    @pytest.mark.parametrize("stored", STORED, ids=range(len(STORED)))
    def test_without_a_checksum_nothing_is_accepted(self, stored: bytes) -> None:
        content = container(stored, BODY).replace(b"checksum:", b"x:")
        with pytest.raises(ContainerError):
            decode(content, log=LOG, keys=EMPTY)

    @pytest.mark.parametrize("stored", STORED, ids=range(len(STORED)))
    def test_of_a_longer_body_the_same_bytes_are_refused(self, stored: bytes) -> None:
        with pytest.raises(ContainerError):
            decode(container(stored, BODY + b"more\n"), log=LOG, keys=EMPTY)

    @pytest.mark.parametrize("separator", [b"|==| \n", b"|==|\t\r\n", b"|==|   \r\n", b"|==|\r\n", b"|==|"])
    def test_blanks_behind_the_separator_belong_to_it(self, separator: bytes) -> None:
        for stored in (BODY, zlib.compress(BODY)):
            content = container(stored, BODY).replace(b"|==|\n", separator)
            assert decode(content, log=LOG, keys=EMPTY).checksum_ok is True

    @pytest.mark.parametrize("compress", [True, False])
    @pytest.mark.parametrize("encrypt", [True, False])
    def test_a_log_gzipped_as_a_whole_keeps_its_header(
        self, ring: KeyRing, key_pair: KeyPair, compress: bool, encrypt: bool
    ) -> None:
        content = gzip.compress(forge_log(BODY, compress=compress, key=key_pair if encrypt else None))
        plain = decode(content, log=LOG, keys=ring)
        assert (plain.body, plain.checksum_ok, plain.compressed) == (BODY, True, compress)
        assert plain.header is not None
        assert plain.header.config_id == 8416

    @pytest.mark.parametrize("fill", [b"\n", b"\r\n", bytes(512), b" \n"], ids=repr)
    @pytest.mark.parametrize("times", [1, 2])
    def test_and_so_does_one_with_something_that_fills_up_the_end(
        self, times: int, fill: bytes, key_pair: KeyPair, ring: KeyRing
    ) -> None:
        content = forge_log(BODY, key=key_pair)
        for _ in range(times):
            content = gzip.compress(content) + fill
        plain = decode(content, log=LOG, keys=ring)
        assert (plain.body, plain.checksum_ok) == (BODY, True)

    @pytest.mark.parametrize(
        "end", [b"x", b"\n\0x", gzip.compress(b"x")], ids=["a letter", "a line", "another gzip stream"]
    )
    def test_but_not_one_with_anything_else_behind_it(self, end: bytes) -> None:
        with pytest.raises(ContainerError):
            decode(gzip.compress(forge_log(BODY)) + end, log=LOG, keys=EMPTY)

    def test_gzip_around_gzip_around_gzip_is_undone_no_more(self) -> None:
        content = gzip.compress(gzip.compress(gzip.compress(forge_log(BODY))))
        with pytest.raises(ContainerError):
            decode(content, log=LOG, keys=EMPTY)

    def test_a_gzipped_log_is_bounded(self) -> None:
        content = gzip.compress(container(BODY + bytes(20 << 20), BODY))
        with pytest.raises(TooLargeError):
            decode(content, log=LOG, keys=EMPTY, policy=DecodePolicy(max_plain_bytes=1 << 20))

    @pytest.mark.parametrize("cut", [-20, -400])
    def test_a_gzipped_log_that_is_cut_is_refused(self, cut: int) -> None:
        with pytest.raises(ContainerError):
            decode(gzip.compress(forge_log(BODY))[:cut], log=LOG, keys=EMPTY)

    @pytest.mark.parametrize("compress", [True, False])
    @pytest.mark.parametrize("encrypt", [True, False])
    @pytest.mark.parametrize("between", [b"", b"\n", b"\r\n"])
    def test_several_logs_in_one_object_are_all_there(
        self, ring: KeyRing, key_pair: KeyPair, compress: bool, encrypt: bool, between: bytes
    ) -> None:
        bodies = [BODY, BODY[:500], b"CEF:0|no line end"]
        logs = [forge_log(body, compress=compress, key=key_pair if encrypt else None) for body in bodies]
        content = logs[0] + logs[1] + between * (compress and not encrypt) + logs[2]
        plain = decode(content, log=LOG, keys=ring)
        assert plain.body == b"".join(body if body.endswith(b"\n") else body + b"\n" for body in bodies)
        assert (plain.checksum_ok, plain.encrypted, plain.compressed) == (True, encrypt, compress)

    def test_a_damaged_log_among_several_spoils_them_all(self) -> None:
        second = bytearray(forge_log(BODY))
        second[-20] ^= 1
        with pytest.raises(ContainerError):
            decode(forge_log(BODY) + second, log=LOG, keys=EMPTY)

    def test_a_log_without_a_checksum_among_several_spoils_them_all(self) -> None:
        with pytest.raises(CorruptError, match="bytes follow"):
            decode(forge_log(BODY) + forge_log(BODY).replace(b"checksum:", b"x:"), log=LOG, keys=EMPTY)

    def test_a_header_in_what_a_client_sent_cuts_nothing(self) -> None:
        """The log verifies as it stands, so that nobody looks for a second header in it."""
        body = BODY + b"accountId:1\nchecksum:d41d8cd98f00b204e9800998ecf8427e\n|==|\n"
        plain = decode(forge_log(body, compress=False), log=LOG, keys=EMPTY)
        assert (plain.body, plain.checksum_ok) == (body, True)


class TestKeyId:
    @pytest.mark.parametrize(
        "damaged", ["1\x7f", "dTime:176722", "x" * 60_000, "-1", "1 2", "१", "1" * 21, "password=1"]
    )
    def test_what_is_no_number_is_a_damaged_header_and_never_quoted(
        self, ring: KeyRing, key_pair: KeyPair, damaged: str
    ) -> None:
        content = forge_log(BODY, key=key_pair).replace(b"publicKeyId:1\n", f"publicKeyId:{damaged}\n".encode())
        with pytest.raises(HeaderError) as raised:
            decode(content, log=LOG, keys=ring)
        assert damaged not in str(raised.value) or len(damaged) < 3


class TestMemory:
    @pytest.fixture
    def large(self, key_pair: KeyPair) -> tuple[bytes, int]:
        """An encrypted log of 100 MB plain, made without holding them."""
        deflater, digest, stored = zlib.compressobj(1), hashlib.md5(), io.BytesIO()
        chunk = BODY * (1_000_000 // len(BODY))
        for _ in range(100):
            digest.update(chunk)
            stored.write(deflater.compress(chunk))
        stored.write(deflater.flush())
        compressed = stored.getvalue()
        padding = 16 - len(compressed) % 16
        content = encrypted_container(compressed + bytes([padding]) * padding, b"", key_pair)
        return content.replace(hashlib.md5().hexdigest().encode(), digest.hexdigest().encode()), 100 * len(chunk)

    def test_memory_stays_flat_for_a_large_body(self, ring: KeyRing, large: tuple[bytes, int]) -> None:
        content, size = large
        tracemalloc.start()
        try:
            plain = decode(content, log=LOG, keys=ring)
            _, verifying = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            read = sum(map(len, plain.chunks()))
            _, reading = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert plain.size == read == size
        assert verifying < 80 << 20
        assert reading < 16 << 20

    @pytest.mark.parametrize("compress", [True, False])
    def test_memory_stays_flat_for_a_large_file(self, tmp_path: Path, compress: bool) -> None:
        body = b"CEF:0|" + base64.b64encode(os.urandom(75 << 20))
        path = tmp_path / LOG
        path.write_bytes(container(zlib.compress(body, 0) if compress else body, body))
        size = len(body)
        del body
        with path.open("rb") as file:
            tracemalloc.start()
            try:
                plain = decode(file, log=LOG, keys=EMPTY)
                _, verifying = tracemalloc.get_traced_memory()
                tracemalloc.reset_peak()
                read = sum(map(len, plain.chunks()))
                _, reading = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
        assert plain.size == read == size
        assert verifying < 80 << 20
        assert reading < 16 << 20

    def test_a_bomb_stops_at_the_bound(self) -> None:
        bomb = zlib.compress(bytes(50_000_000))
        tracemalloc.start()
        try:
            with pytest.raises(TooLargeError):
                decode(container(bomb, b""), log=LOG, keys=EMPTY, policy=DecodePolicy(max_plain_bytes=5_000_000))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 16 << 20
