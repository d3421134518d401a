"""Heads are sent by e-mail through an Airflow connection, to a real SMTP server."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from airflow_provider_imperva.cli import main
from airflow_provider_imperva.errors import LakeError
from airflow_provider_imperva.hooks.imperva import ImpervaLogHook
from airflow_provider_imperva.hooks.mail import MailedAnchors
from airflow_provider_imperva.seal.anchors import Anchor

HEAD = Anchor(42, "ab" * 32, "8416_1745073", ("8416_1745073", "9001_1"))
TO = "audit@example.com"


class Mailbox:
    """What a mail server took; it refuses one address."""

    def __init__(self) -> None:
        self.taken: list[tuple[list[str], Message]] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if address == "nobody@example.com":
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.taken.append((envelope.rcpt_tos, message_from_bytes(envelope.content)))
        return "250 OK"


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    mailbox = Mailbox()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    extra = {"from_email": "lake@example.com", "disable_ssl": True, "disable_tls": True, "retry_limit": 0}
    connection = {"conn_type": "smtp", "host": "127.0.0.1", "port": port, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_MAIL", json.dumps(connection))
    yield mailbox
    controller.stop()


def anchors(monkeypatch: pytest.MonkeyPatch, to: str = TO) -> MailedAnchors:
    extra = {"anchor": f"mailto:{to}", "anchor_conn_id": "mail"}
    monkeypatch.setenv("AIRFLOW_CONN_IMPERVA_DEFAULT", json.dumps({"conn_type": "imperva", "extra": extra}))
    found = ImpervaLogHook().open_anchors()
    assert isinstance(found, MailedAnchors)
    return found


def test_a_head_is_sent_as_what_verify_takes(mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    anchors(monkeypatch, f"{TO}, second@example.com").note(HEAD)
    ((recipients, mail),) = mailbox.taken
    assert recipients == [TO, "second@example.com"]
    assert (mail["From"], mail["Subject"]) == ("lake@example.com", "imperva-logs: commit 42 of 8416_1745073")
    text = mail.get_payload(0).get_payload(decode=True).decode()  # type: ignore[union-attr]
    assert f"verify LAKE --repository 8416_1745073 --anchor 42:{'ab' * 32}" in text
    assert "9001_1" in text


def test_a_server_that_takes_none_is_said_to(mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LakeError, match="SMTPRecipientsRefused"):
        anchors(monkeypatch, "nobody@example.com").note(HEAD)
    monkeypatch.delenv("AIRFLOW_CONN_MAIL")
    with pytest.raises(LakeError, match="the mail server did not take the anchor"):
        anchors(monkeypatch).note(HEAD)


def test_mail_is_not_read_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, capsys: Any) -> None:
    assert anchors(monkeypatch).read() == []
    (tmp_path / "ledger/repository=r").mkdir(parents=True)
    assert main(["verify", str(tmp_path), "--anchors", f"mailto:{TO}"]) == 2
    assert "--anchor COMMIT:SHA256" in capsys.readouterr().err
