"""Keys load from what people really have, and a key that cannot be used says which and why."""

import json
import os
import subprocess
import traceback
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

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


def doubly_escaped(pem: str) -> str:
    return pem.replace("\n", "\\\\n")


def escaped_windows(pem: str) -> str:
    return pem.replace("\n", "\\r\\n")


def in_a_uri(pem: str) -> str:
    return quote(pem)


def in_a_form(pem: str) -> str:
    return quote_plus(pem)


def line_ends_in_a_uri(pem: str) -> str:
    return pem.replace("\n", "%0A")


def joined(pem: str) -> str:
    return pem.replace("\n", "")


MANGLED = [
    spaced,
    escaped,
    doubly_escaped,
    escaped_windows,
    windows,
    in_a_uri,
    in_a_form,
    line_ends_in_a_uri,
]


@pytest.mark.parametrize("pkcs8", [False, True])
@pytest.mark.parametrize("mangle", [*MANGLED, joined])
def test_line_ends_lost_on_the_way_are_put_back(key_pair: KeyPair, mangle: Callable[[str], str], pkcs8: bool) -> None:
    assert KeyRing.from_pem({"1": mangle(key_pair.private_pem(pkcs8=pkcs8))}).ids == {"1"}


@pytest.mark.parametrize("mangle", MANGLED)
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


def test_of_one_id_with_two_keys_none_is_used_and_the_others_are(key_pair: KeyPair, other_pair: KeyPair) -> None:
    ring = KeyRing.from_pem(
        {"1": key_pair.private_pem(), "01": other_pair.private_pem(), "2": other_pair.private_pem()}
    )
    assert ring.ids == {"2"}
    assert "two different private keys for publicKeyId 1" in ring.problems[0]


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


class TestOneBadFile:
    """It stops neither clear logs nor those of other keys: what loads is there, and what does not is named."""

    @pytest.fixture
    def folder(self, key_pair: KeyPair, tmp_path: Path) -> Path:
        key_pair.write(tmp_path)
        return tmp_path

    @staticmethod
    def assert_only_the_first_loads(folder: Path, *found: str) -> None:
        ring = KeyRing.from_folder(folder)
        assert ring.ids == {"1"}
        [problem] = ring.problems
        assert all(words in problem for words in found)

    def test_a_stray_key_beside_the_folders(self, folder: Path) -> None:
        (folder / "backup.key").write_text("anything")
        self.assert_only_the_first_loads(folder, "backup.key", "belongs to no publicKeyId")

    def test_a_damaged_key(self, folder: Path, key_pair: KeyPair) -> None:
        (folder / "2").mkdir()
        (folder / "2" / "Private.key").write_text(
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----"
        )
        self.assert_only_the_first_loads(folder, "2/Private.key", "is damaged")

    def test_a_key_that_is_no_text(self, folder: Path) -> None:
        (folder / "2").mkdir()
        (folder / "2" / "Private.key").write_bytes(b"\xff\xfe")
        self.assert_only_the_first_loads(folder, "2/Private.key", "is not text")

    def test_two_different_keys_of_unclear_role(self, folder: Path, key_pair: KeyPair, other_pair: KeyPair) -> None:
        (folder / "2").mkdir()
        (folder / "2" / "a.key").write_text(key_pair.private_pem())
        (folder / "2" / "b.key").write_text(other_pair.private_pem())
        self.assert_only_the_first_loads(folder, "2: 2 key files for one publicKeyId hold different keys")

    def test_a_folder_that_may_not_be_read(self, folder: Path) -> None:
        """As ``lost+found`` on each volume of its own. As another user, since root may read everything."""
        is_root = os.getuid() == 0
        (folder / "lost+found").mkdir(mode=0o700 if is_root else 0)
        for path in (folder / "1", folder, *folder.parents[:3]):
            path.chmod(path.stat().st_mode | 0o055)
        (folder / "1" / "Private.key").chmod(0o644)
        ids, problems = read_as_nobody(folder)
        assert ids == ["1"]
        assert "lost+found: cannot be read: Permission denied" in problems


def read_as_nobody(folder: Path) -> tuple[list[str], str]:
    """Return ids and problems of the ring in a folder, as a user reads it who is not root."""
    reading, writing = os.pipe()
    if not (child := os.fork()):
        try:
            if os.getuid() == 0:
                os.setuid(65534)
            ring = KeyRing.from_folder(folder)
            os.write(writing, json.dumps([sorted(ring.ids), " ".join(ring.problems)]).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        ids, problems = json.load(answer)
    os.waitpid(child, 0)
    return ids, problems


def test_a_private_key_and_its_public_half_may_have_any_names(key_pair: KeyPair, tmp_path: Path) -> None:
    key_pair.write(tmp_path).rename(tmp_path / "1" / "key.pem")
    (tmp_path / "1" / "pub.pem").write_text(key_pair.public_pem())
    ring = KeyRing.from_folder(tmp_path)
    assert ring.ids == {"1"}
    assert not ring.problems


def test_a_public_half_alone_is_a_problem(key_pair: KeyPair, tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "pub.pem").write_text(key_pair.public_pem())
    assert "holds a public key, not the private key" in KeyRing.from_folder(tmp_path).problems[0]


def test_a_key_that_anybody_may_replace_loads_with_a_caution(key_pair: KeyPair, tmp_path: Path) -> None:
    file = key_pair.write(tmp_path)
    assert KeyRing.from_folder(tmp_path).cautions == ()
    file.chmod(0o666)
    tmp_path.chmod(0o777)
    ring = KeyRing.from_folder(tmp_path)
    assert ring.ids == {"1"}
    assert [caution.partition(":")[0] for caution in ring.cautions] == [str(tmp_path), str(file)]
    tmp_path.chmod(0o1777)
    assert len(KeyRing.from_folder(tmp_path).cautions) == 1


def test_a_key_in_place_of_its_folder_is_refused_and_not_shown(key_pair: KeyPair) -> None:
    for pem in (key_pair.private_pem(), spaced(key_pair.private_pem()), escaped(key_pair.private_pem())):
        with pytest.raises(ConfigurationError, match="a key itself, where the path of a folder should be") as caught:
            KeyRing.from_folder(pem)
        assert key_pair.private_pem().splitlines()[1] not in "".join(traceback.format_exception(caught.value))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"absent: cannot be read: No such file"):
        KeyRing.from_folder(tmp_path / "absent")


def test_a_key_in_der_is_named(key_pair: KeyPair, tmp_path: Path) -> None:
    der = key_pair.private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    key_pair.write(tmp_path).write_bytes(der)
    assert "PEM" in KeyRing.from_folder(tmp_path).problems[0]


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
        ring = KeyRing.from_pem({"7": pem}, passphrase=passphrase)
        assert not ring.ids
        [problem] = ring.problems
        assert f"private key '7': {found}" in problem
        assert plain.splitlines()[1] not in problem
        assert "hunter2" not in problem
        assert "-----BEGIN" not in problem


def test_the_repr_shows_ids_only(key_pair: KeyPair) -> None:
    assert repr(KeyRing.from_pem({"1": key_pair.private_pem()})) == "KeyRing(1)"
