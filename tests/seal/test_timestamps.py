"""Commits are timestamped by an authority (RFC 3161); whose time it is, is seen when it is verified."""

from __future__ import annotations

import hashlib
import importlib.util
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_imperva.errors import ConfigurationError, LakeError
from airflow_provider_imperva.seal.timestamps import TimestampAuthority, TrustedAuthorities
from tests.seal.openssl_authority import Authority

pytestmark = pytest.mark.needs("openssl")
COMMIT = b'{"v": 2, "commit": 42}'
SHA256 = hashlib.sha256(COMMIT).hexdigest()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authorities") / "trusted").make()


@pytest.fixture(scope="module")
def url(authority: Authority) -> Iterator[str]:
    with authority.serve() as url:
        yield url


@pytest.fixture(scope="module")
def response(url: str) -> bytes:
    return TimestampAuthority(url).stamp(COMMIT)


def test_a_trusted_authority_vouches_for_the_time(authority: Authority, response: bytes) -> None:
    time = TrustedAuthorities.of_files([authority.root]).time_of(response, SHA256)
    assert time is not None
    assert abs(datetime.now(UTC) - time) < timedelta(minutes=5)


def test_openssl_alone_verifies_it(authority: Authority, response: bytes, tmp_path: Path) -> None:
    for content in (COMMIT, b"another"):
        (tmp_path / "commit.json").write_bytes(content)
        (tmp_path / "commit.tsr").write_bytes(response)
        assert authority.verifies(tmp_path / "commit.json", tmp_path / "commit.tsr") == (content == COMMIT)


def test_one_of_another_commit_or_authority_is_none(authority: Authority, response: bytes, tmp_path: Path) -> None:
    assert TrustedAuthorities.of_files([authority.root]).time_of(response, "0" * 64) is None
    other = Authority(tmp_path / "other").make()
    assert TrustedAuthorities.of_files([other.root]).time_of(response, SHA256) is None
    assert TrustedAuthorities.of_files([other.root, authority.root]).time_of(response, SHA256) is not None


def test_no_damage_gives_another_time(authority: Authority, response: bytes) -> None:
    trusted = TrustedAuthorities.of_files([authority.root])
    time = trusted.time_of(response, SHA256)
    for position in random.Random(1).sample(range(len(response)), 60):
        damaged = bytearray(response)
        damaged[position] ^= 1
        assert trusted.time_of(bytes(damaged), SHA256) in (None, time)
    for cut in (0, 1, 100, len(response) - 1):
        assert trusted.time_of(response[:cut], SHA256) is None


def test_an_answer_to_another_request_is_refused(authority: Authority, response: bytes) -> None:
    """Such as one that somebody on the way had kept."""
    with authority.serve(change=lambda _: response) as url, pytest.raises(LakeError, match="of another request"):
        TimestampAuthority(url).stamp(COMMIT)


@pytest.mark.parametrize(
    ("answer", "status", "why"),
    [
        (b"<html>", 200, "it did not grant a timestamp"),
        (bytes.fromhex("30053003020102"), 200, "it did not grant a timestamp"),
        (b"", 503, "HTTP 503"),
        (b"x" * 1_000_001, 200, "too long"),
    ],
)
def test_what_is_no_timestamp_is_refused(authority: Authority, answer: bytes, status: int, why: str) -> None:
    with authority.serve(change=lambda _: answer, status=status) as url, pytest.raises(LakeError, match=why):
        TimestampAuthority(url).stamp(COMMIT)


def test_an_authority_that_is_down_is_said_to_be() -> None:
    with pytest.raises(LakeError, match="ConnectionError"):
        TimestampAuthority("http://127.0.0.1:1/tsr").stamp(COMMIT)


@pytest.mark.parametrize("url", ["freetsa.org", "ftp://x/y", "https://user:pw@example.com/tsr", "https://"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        TimestampAuthority(url)
    assert "pw" not in str(caught.value)


def test_without_the_library_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "rfc3161_client" else find_spec(name))
    with pytest.raises(ConfigurationError, match="rfc3161-client"):
        TimestampAuthority("https://example.com/tsr")
    with pytest.raises(ConfigurationError, match="rfc3161-client"):
        TrustedAuthorities.of_files([tmp_path / "root.pem"])


def test_a_file_without_certificates_is_refused(tmp_path: Path) -> None:
    (tmp_path / "root.pem").write_text("no certificate")
    for path in (tmp_path / "root.pem", tmp_path / "none.pem"):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            TrustedAuthorities.of_files([path])
