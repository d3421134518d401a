"""Commits carry a signature that the public key alone checks, and that covers every other byte of them."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.lake.ledger import UNSIGNED
from airflow_provider_imperva.seal.signature import PublicKeys, SigningKey, digest_of_unsigned
from tests.seal.openssl_keys import KeyFiles, make_keys

RECORD = json.dumps({"v": 2, "signed_by": "x", "signature": UNSIGNED, "why": 'a "signature": "no"'}).encode()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> KeyFiles:
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def key(files: KeyFiles) -> SigningKey:
    return SigningKey.of_file(str(files.private))


@pytest.fixture(scope="module")
def trusted(files: KeyFiles) -> PublicKeys:
    return PublicKeys.of_files([files.public])


def objection(trusted: PublicKeys, key: SigningKey, content: bytes) -> str | None:
    found = re.search(rb'"signature":\s*"([0-9a-f]{128})"', content)
    return trusted.objection(key.key_id, found[1].decode() if found else None, digest_of_unsigned(content))


@pytest.mark.parametrize("record", [RECORD, RECORD.replace(b": ", b":")], ids=["indented", "packed"])
def test_a_signed_record_is_as_long_and_says_the_same_otherwise(
    key: SigningKey, trusted: PublicKeys, record: bytes
) -> None:
    signed = key.sign(record)
    assert json.loads(signed) | {"signature": UNSIGNED} == json.loads(record)
    assert len(signed) == len(record)
    assert objection(trusted, key, signed) is None


@given(place=st.integers(0, len(RECORD) - 1), bit=st.integers(0, 7))
def test_no_bit_of_it_can_be_changed(key: SigningKey, trusted: PublicKeys, place: int, bit: int) -> None:
    forged = bytearray(key.sign(RECORD))
    forged[place] ^= 1 << bit
    assert objection(trusted, key, bytes(forged)) is not None


def test_openssl_alone_verifies_it(key: SigningKey, files: KeyFiles, tmp_path: Path) -> None:
    """As the reference page says, without any of our code."""
    signed = key.sign(RECORD)
    signature = json.loads(signed)["signature"]
    message = b"imperva-logs\n" + hashlib.sha256(signed.replace(signature.encode(), b"0" * 128)).digest()
    (tmp_path / "message").write_bytes(message)
    (tmp_path / "signature").write_bytes(bytes.fromhex(signature))
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(files.public), "-rawin", "-in", "message"]
    done = subprocess.run(
        [*command, "-sigfile", "signature"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "Verified Successfully" in done.stdout) == (0, True)


def test_another_key_vouches_for_nothing(key: SigningKey, tmp_path: Path) -> None:
    other = PublicKeys.of_files([make_keys(tmp_path).public])
    found = objection(other, key, key.sign(RECORD))
    assert found is not None
    assert key.key_id in found


def test_two_signatures_are_none(key: SigningKey) -> None:
    signed = key.sign(RECORD)
    assert digest_of_unsigned(signed[:-1] + b', "signature": "' + b"1" * 128 + b'"}') is None


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("no key", "holds no PEM block"),
        (make_keys, "not an Ed25519 key"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "damaged"),
    ],
)
def test_what_is_no_signing_key_is_refused_and_not_shown(tmp_path: Path, content: object, found: str) -> None:
    path = make_keys(tmp_path, algorithm="x25519").private
    if isinstance(content, str):
        path.write_text(content)
    with pytest.raises(ConfigurationError, match=found) as caught:
        SigningKey.of_file(str(path))
    assert "AAAA" not in str(caught.value)


def test_a_private_key_is_not_taken_for_a_public_one(files: KeyFiles) -> None:
    with pytest.raises(ConfigurationError, match="not an Ed25519 key"):
        PublicKeys.of_files([files.private])
