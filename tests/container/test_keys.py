"""Keys load from what people really have, and a key that cannot be used says which and why."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from airflow_provider_imperva.container import KeyRing
from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.testing.forge import KeyPair


@pytest.mark.parametrize("passphrase", [None, "correct horse"])
@pytest.mark.parametrize("pkcs8", [False, True])
def test_pkcs1_and_pkcs8_load_encrypted_or_not(
    key_pair: KeyPair, tmp_path: Path, pkcs8: bool, passphrase: str | None
) -> None:
    key_pair.write(tmp_path, pkcs8=pkcs8, passphrase=passphrase)
    ring = KeyRing.from_folder(tmp_path, passphrase=passphrase)
    loaded = ring.get("1")
    assert loaded is not None
    assert loaded.private_numbers() == key_pair.private_key.private_numbers()


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("arguments", [["genrsa"], ["genrsa", "-traditional"]])
def test_keys_made_by_the_vendors_command_load(tmp_path: Path, arguments: list[str]) -> None:
    folder = tmp_path / "1"
    folder.mkdir()
    subprocess.run(["openssl", *arguments, "-out", folder / "Private.key", "2048"], check=True, capture_output=True)
    assert KeyRing.from_folder(tmp_path).ids == {"1"}


def test_a_passphrase_for_some_keys_does_not_hurt_the_others(
    key_pair: KeyPair, other_pair: KeyPair, tmp_path: Path
) -> None:
    key_pair.write(tmp_path)
    other_pair.write(tmp_path, passphrase="pw")
    assert KeyRing.from_folder(tmp_path, passphrase="pw").ids == {"1", "2"}


def spaced(pem: str) -> str:
    return pem.replace("\n", " ").strip()


def escaped(pem: str) -> str:
    return pem.replace("\n", "\\n")


def windows(pem: str) -> str:
    return "\ufeffBag Attributes\r\n" + pem.replace("\n", "\r\n")


def joined(pem: str) -> str:
    return pem.replace("\n", "")


@pytest.mark.parametrize("pkcs8", [False, True])
@pytest.mark.parametrize("mangle", [spaced, escaped, windows, joined])
def test_line_ends_lost_on_the_way_are_put_back(key_pair: KeyPair, mangle: Callable[[str], str], pkcs8: bool) -> None:
    assert KeyRing.from_pem({"1": mangle(key_pair.private_pem(pkcs8=pkcs8))}).ids == {"1"}


@pytest.mark.parametrize("mangle", [spaced, escaped, windows])
def test_line_ends_are_put_back_in_encrypted_keys_too(key_pair: KeyPair, mangle: Callable[[str], str]) -> None:
    pem = key_pair.private_pem(passphrase="pw")
    assert "DEK-Info" in pem
    assert KeyRing.from_pem({"1": mangle(pem)}, passphrase="pw").ids == {"1"}


def test_ids_compare_as_numbers(key_pair: KeyPair) -> None:
    ring = KeyRing.from_pem({" 01 ": key_pair.private_pem()})
    assert ring.ids == {"1"}
    assert ring.get("1") is ring.get("001") is not None
    assert ring.get("10") is None


def test_rings_add_up(key_pair: KeyPair, other_pair: KeyPair, tmp_path: Path) -> None:
    key_pair.write(tmp_path)
    ring = KeyRing.from_folder(tmp_path) | KeyRing.from_pem(
        {"2": other_pair.private_pem(), "1": key_pair.private_pem()}
    )
    assert ring.ids == {"1", "2"}


def test_one_id_with_two_keys_is_refused(key_pair: KeyPair, other_pair: KeyPair) -> None:
    with pytest.raises(ConfigurationError, match="two different private keys for publicKeyId 1"):
        KeyRing.from_pem({"1": key_pair.private_pem(), "01": other_pair.private_pem()})


def test_private_key_is_taken_when_the_public_half_lies_beside_it(key_pair: KeyPair, tmp_path: Path) -> None:
    key_pair.write(tmp_path).with_name("Public.key").write_text(key_pair.public_pem())
    assert KeyRing.from_folder(tmp_path).ids == {"1"}


def test_any_name_ending_in_key_or_pem_will_do(key_pair: KeyPair, tmp_path: Path) -> None:
    key_pair.write(tmp_path).rename(tmp_path / "1" / "imperva.PEM")
    (tmp_path / "1" / "notes.txt").write_text("made in May")
    assert KeyRing.from_folder(tmp_path).ids == {"1"}


def test_a_mounted_secret_with_its_hidden_folders_is_read_once(key_pair: KeyPair, tmp_path: Path) -> None:
    hidden = tmp_path / "..2026_11_22"
    key_pair.write(hidden)
    (tmp_path / "..data").symlink_to(hidden.name)
    (tmp_path / "1").symlink_to("..data/1")
    assert KeyRing.from_folder(tmp_path).ids == {"1"}


def test_an_empty_folder_is_an_empty_ring(tmp_path: Path) -> None:
    assert KeyRing.from_folder(tmp_path).ids == frozenset()


def test_two_keys_of_unclear_role_are_refused(key_pair: KeyPair, tmp_path: Path) -> None:
    key_pair.write(tmp_path).rename(tmp_path / "1" / "a.key")
    (tmp_path / "1" / "b.key").write_text(key_pair.private_pem())
    with pytest.raises(ConfigurationError, match="2 key files for one publicKeyId"):
        KeyRing.from_folder(tmp_path)


def test_a_key_beside_the_folders_is_refused(key_pair: KeyPair, tmp_path: Path) -> None:
    (tmp_path / "Private.key").write_text(key_pair.private_pem())
    with pytest.raises(ConfigurationError, match="belongs to no publicKeyId"):
        KeyRing.from_folder(tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"absent: cannot be read: No such file"):
        KeyRing.from_folder(tmp_path / "absent")


def test_a_key_in_der_is_refused_by_name(key_pair: KeyPair, tmp_path: Path) -> None:
    der = key_pair.private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    key_pair.write(tmp_path).write_bytes(der)
    with pytest.raises(ConfigurationError, match="PEM"):
        KeyRing.from_folder(tmp_path)


def test_what_is_wrong_with_a_key_is_said_and_none_of_it_shown(key_pair: KeyPair) -> None:
    elliptic = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    plain = key_pair.private_pem()
    line = plain.splitlines()[5]
    cases = [
        (key_pair.public_pem(), None, "holds a public key, not the private key"),
        (elliptic.decode(), None, "is not an RSA key"),
        (key_pair.private_pem(passphrase="pw"), None, "is encrypted, and no passphrase is set"),
        (key_pair.private_pem(passphrase="pw"), "hunter2", "does not open with the passphrase set"),
        (key_pair.private_pem(passphrase="pw", pkcs8=True), None, "is encrypted, and no passphrase is set"),
        (key_pair.private_pem(passphrase="pw", pkcs8=True), "hunter2", "does not open with the passphrase set"),
        (plain.replace(line, ""), None, "is damaged"),
        (plain.replace(line, "*" * 64), None, "is damaged"),
        (plain[:300], None, "holds no PEM block"),
        ("", None, "holds no PEM block"),
    ]
    for pem, passphrase, found in cases:
        with pytest.raises(ConfigurationError, match=f"private key '7': ({found})") as caught:
            KeyRing.from_pem({"7": pem}, passphrase=passphrase)
        assert plain.splitlines()[1] not in str(caught.value)
        assert "hunter2" not in str(caught.value)


def test_the_repr_shows_ids_only(key_pair: KeyPair) -> None:
    assert repr(KeyRing.from_pem({"1": key_pair.private_pem()})) == "KeyRing(1)"
