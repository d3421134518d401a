"""Containers made, and opened, by the command-line tools that Imperva's documentation names."""

import base64
import hashlib
import os
import subprocess
import zlib
from pathlib import Path

import pytest

from airflow_provider_imperva.container import KeyRing, decode
from airflow_provider_imperva.testing.forge import KeyPair, forge_events, forge_log

BODY = "".join(f"{event}\n" for event in forge_events(30, seed=2)).encode()


def run(*command: str | Path, stdin: bytes = b"") -> bytes:
    return subprocess.run(command, input=stdin, check=True, capture_output=True).stdout


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A customer's key folder and the public half to upload, made by openssl alone."""
    folder = tmp_path_factory.mktemp("keys")
    (folder / "1").mkdir()
    run("openssl", "genrsa", "-out", folder / "1" / "Private.key", "2048")
    run("openssl", "rsa", "-in", folder / "1" / "Private.key", "-pubout", "-out", folder / "1" / "Public.key")
    return folder


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("compress", [True, False])
def test_a_container_made_by_openssl_decodes(keys: Path, compress: bool) -> None:
    aes_key = run("openssl", "rand", "16")
    wrapped = run(
        *("openssl", "pkeyutl", "-encrypt", "-pubin", "-inkey", keys / "1" / "Public.key"),
        *("-pkeyopt", "rsa_padding_mode:pkcs1"),
        stdin=run("openssl", "base64", stdin=aes_key).strip(),
    )
    stored = zlib.compress(BODY) if compress else BODY
    ciphertext = run("openssl", "enc", "-aes-128-cbc", "-K", aes_key.hex(), "-iv", "00" * 16, stdin=stored)
    header = (
        f"accountId:1\nconfigId:2\nchecksum:{hashlib.md5(BODY).hexdigest()}\nformat:CEF\n"
        f"startTime:1759413560916\nendTime:1759413775485\n"
        f"publicKeyId:1\nkey:{base64.b64encode(wrapped).decode()}\n|==|\n"
    )
    plain = decode(header.encode() + ciphertext, log="8416_1.log", keys=KeyRing.from_folder(keys))
    assert plain.body == BODY
    assert (plain.encrypted, plain.compressed, plain.checksum_ok) == (True, compress, True)


@pytest.mark.needs("openssl")
def test_openssl_opens_what_the_forge_wrote(key_pair: KeyPair, tmp_path: Path) -> None:
    content = forge_log(BODY, key=key_pair)
    header, stored = content.split(b"\n|==|\n", 1)
    wrapped = base64.b64decode(header.rsplit(b"\nkey:", 1)[1])
    aes_key = base64.b64decode(run("openssl", "pkeyutl", "-decrypt", "-inkey", key_pair.write(tmp_path), stdin=wrapped))
    inflated = zlib.decompress(
        run("openssl", "enc", "-d", "-aes-128-cbc", "-K", aes_key.hex(), "-iv", "00" * 16, stdin=stored)
    )
    assert inflated == BODY


@pytest.mark.needs("qpdf")
def test_the_plain_shell_way_gives_the_same_bytes(tmp_path: Path) -> None:
    content = forge_log(BODY)
    log = tmp_path / "8416_1.log"
    log.write_bytes(content)
    subprocess.run(
        ["csplit", "--quiet", "--suppress-matched", "8416_1.log", "/^|==|$/"],
        cwd=tmp_path,
        check=True,
        env=os.environ | {"LC_ALL": "C"},
    )
    by_shell = run("zlib-flate", "-uncompress", stdin=(tmp_path / "xx01").read_bytes())
    assert by_shell == decode(content, log="8416_1.log", keys=KeyRing()).body == BODY
