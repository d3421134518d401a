"""The key that raw/ is encrypted by comes from the connection, or stays in AWS KMS or Vault."""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from airflow_provider_imperva.errors import ConfigurationError, DataKeyError, LakeError
from airflow_provider_imperva.hooks.connection import secrets_of
from airflow_provider_imperva.hooks.imperva import ImpervaLogHook
from airflow_provider_imperva.hooks.vault import VaultKeys
from airflow_provider_imperva.lake.ledger import Ledger
from tests.lake.vault_server import Vault, open_vault

KEY = base64.b64encode(bytes(range(32))).decode()
OTHER = base64.b64encode(bytes(range(1, 33))).decode()
PATH = "raw/repository=shop/8416/000000000/8416_1.log"
KMS_KEY = "alias/raw"


def ledger(monkeypatch: pytest.MonkeyPatch, lake: Path, **extra: Any) -> Ledger:
    monkeypatch.setenv("AIRFLOW_CONN_IMPERVA_DEFAULT", json.dumps({"conn_type": "imperva", "extra": extra}))
    return ImpervaLogHook().open_ledger("shop", str(lake))


def stored(lake: Path) -> bytes:
    return (lake / PATH).read_bytes()


def read(ledger: Ledger) -> bytes:
    with ledger.raw.open(PATH) as file:
        return file.read()


def test_the_connections_key_encrypts_and_decrypts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ledger(monkeypatch, tmp_path, raw_encryption_key=KEY).raw.create(PATH, b"password=hunter2")
    assert b"hunter2" not in stored(tmp_path)
    assert read(ledger(monkeypatch, tmp_path, raw_encryption_key=f"{OTHER}, {KEY}")) == b"password=hunter2"
    with pytest.raises(DataKeyError):
        read(ledger(monkeypatch, tmp_path))


def test_it_is_masked_each_if_there_are_several(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"raw_encryption_key": f"{OTHER},{KEY}"}
    monkeypatch.setenv("AIRFLOW_CONN_IMPERVA_DEFAULT", json.dumps({"conn_type": "imperva", "extra": extra}))
    assert {KEY, OTHER} <= set(secrets_of(ImpervaLogHook().connection))


@pytest.mark.parametrize(
    ("extra", "found"),
    [
        ({"raw_encryption_key": "hunter2"}, "a key for raw/ is not 32 bytes in base64"),
        ({"raw_encryption_key": KEY, "raw_kms_key": KMS_KEY}, "are both given"),
        ({"raw_kms_key": KMS_KEY, "raw_vault_key": "lake"}, "are both given"),
        ({"raw_vault_key": "-----BEGIN hunter2"}, "raw_vault_key is not the name of a key"),
    ],
)
def test_what_is_not_a_key_is_refused_before_anything_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, extra: dict[str, str], found: str
) -> None:
    with pytest.raises(ConfigurationError, match=found) as caught:
        ledger(monkeypatch, tmp_path, **extra)
    assert "hunter2" not in str(caught.value)
    assert not list(tmp_path.iterdir())


class FakeKms(BaseHTTPRequestHandler):
    """Speaks the protocol of AWS KMS; the real one cannot be had. It has one key, and heeds the encryption context."""

    cipher = AESGCM(os.urandom(32))
    refusal: str | None = None

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        operation = self.headers["X-Amz-Target"].partition(".")[2]
        context = json.dumps(asked["EncryptionContext"]).encode()
        status, answer = 200, {"KeyId": asked["KeyId"]}
        try:
            if self.refusal or asked["KeyId"] != KMS_KEY:
                status, answer = 400, {"__type": self.refusal or "NotFoundException", "message": "secret detail"}
            elif operation == "Encrypt":
                sealed = self.cipher.encrypt(bytes(12), base64.b64decode(asked["Plaintext"]), context)
                answer["CiphertextBlob"] = base64.b64encode(sealed).decode()
            else:
                plain = self.cipher.decrypt(bytes(12), base64.b64decode(asked["CiphertextBlob"]), context)
                answer["Plaintext"] = base64.b64encode(plain).decode()
        except InvalidTag:
            status, answer = 400, {"__type": "InvalidCiphertextException"}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def kms(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[FakeKms]]:
    handler = type("Kms", (FakeKms,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        extra = {"endpoint_url": url, "region_name": "eu-central-1"}
        connection = {"conn_type": "aws", "login": "key", "password": "secret", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_KMS", json.dumps(connection))
        yield handler
        server.shutdown()


EXTRA = {"raw_kms_key": KMS_KEY, "raw_kms_conn_id": "kms"}


class TestKms:
    def test_it_wraps_and_unwraps_data_keys(
        self, kms: type[FakeKms], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        ledger(monkeypatch, tmp_path, **EXTRA).raw.create(PATH, b"password=hunter2")
        assert b"hunter2" not in stored(tmp_path)
        assert read(ledger(monkeypatch, tmp_path, **EXTRA)) == b"password=hunter2"
        (record,) = ledger(monkeypatch, tmp_path).raw.keys.records()
        assert record.wrapped_by == f"kms:{KMS_KEY}"

    def test_a_key_that_is_disabled_is_told_before_anything_is_written(
        self, kms: type[FakeKms], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        kms.refusal = "DisabledException"
        with pytest.raises(DataKeyError, match=r"KMS refused to encrypt a data key \(DisabledException\)") as caught:
            ledger(monkeypatch, tmp_path, **EXTRA).raw.create(PATH, b"password=hunter2")
        assert "secret detail" not in str(caught.value)
        assert not list(tmp_path.iterdir())

    def test_what_may_pass_is_tried_again_by_the_task(
        self, kms: type[FakeKms], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        kms.refusal = "LimitExceededException"
        with pytest.raises(LakeError, match=r"KMS did not encrypt a data key \(LimitExceededException\)") as caught:
            ledger(monkeypatch, tmp_path, **EXTRA).raw.create(PATH, b"password=hunter2")
        assert caught.value.is_transient


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    with open_vault(tmp_path_factory.mktemp("vault")) as vault:
        vault.make_key("transit", "lake")
        vault.make_key("team/transit", "other")
        yield vault


VAULT = {"raw_vault_key": "lake", "raw_vault_conn_id": "vault"}


class TestVault:
    """A real server: OpenBao, a fork of Vault that speaks its protocol."""

    @pytest.fixture(autouse=True)
    def connection(self, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_VAULT", json.dumps(vault.connection(vault.token)))

    def test_it_wraps_and_unwraps_data_keys(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        ledger(monkeypatch, tmp_path, **VAULT).raw.create(PATH, b"password=hunter2")
        assert b"hunter2" not in stored(tmp_path)
        assert read(ledger(monkeypatch, tmp_path, **VAULT)) == b"password=hunter2"
        (record,) = ledger(monkeypatch, tmp_path).raw.keys.records()
        assert record.wrapped_by == "vault:transit/lake"
        assert bytes.fromhex(record.wrapped).startswith(b"vault:v1:")

    def test_another_key_goes_on_where_the_first_was(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """What the first one wrapped is still unwrapped by it."""
        ledger(monkeypatch, tmp_path, **VAULT).raw.create(PATH, b"password=hunter2")
        other = VAULT | {"raw_vault_key": "team/transit/other"}
        assert read(ledger(monkeypatch, tmp_path, **other)) == b"password=hunter2"

    def test_a_data_key_is_bound_to_what_it_is_for(self) -> None:
        keys = VaultKeys("lake", conn_id="vault")
        wrapped = keys.wrap(bytes(32), about="data key 1 of shop, 2026-11")
        assert keys.unwrap(wrapped, by=keys.name, about="data key 1 of shop, 2026-11") == bytes(32)
        with pytest.raises(DataKeyError, match=r"Vault refused to decrypt a data key \(InvalidRequest\)"):
            keys.unwrap(wrapped, by=keys.name, about="data key 1 of shop, 2026-12")

    def test_a_token_without_the_right_is_told_before_anything_is_written(
        self, vault: Vault, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_VAULT", json.dumps(vault.connection(vault.token_without_rights())))
        with pytest.raises(DataKeyError, match=r"Vault refused to encrypt a data key \(Forbidden\)"):
            ledger(monkeypatch, tmp_path, **VAULT).raw.create(PATH, b"password=hunter2")
        assert not list(tmp_path.iterdir())

    def test_a_server_that_is_down_may_come_back(self, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_VAULT", json.dumps(vault.connection(vault.token) | {"port": 1}))
        with pytest.raises(LakeError, match=r"Vault did not encrypt a data key \(ConnectionError\)") as caught:
            VaultKeys("lake", conn_id="vault").wrap(bytes(32), about="data key")
        assert caught.value.is_transient

    def test_no_data_key_goes_to_another_machine_in_clear(self, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
        """A connection of type vault is plain http unless its extra says otherwise."""
        connection = vault.connection(vault.token) | {"host": "vault.invalid"}
        monkeypatch.setenv("AIRFLOW_CONN_VAULT", json.dumps(connection))
        with pytest.raises(ConfigurationError, match="not https"):
            VaultKeys("lake", conn_id="vault").wrap(bytes(32), about="data key")
