"""Anchors by e-mail: heads that are sent to people, into mailboxes that writers of the lake cannot change."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from airflow_provider_imperva.errors import LakeError

if TYPE_CHECKING:
    # DAG files come this far when they are parsed.
    from airflow_provider_imperva.seal.anchors import Anchor

SCHEME = "mailto:"
"""What an anchor's address begins with that is one or several e-mail addresses, apart by commas."""


class MailedAnchors:
    """The mailbox of somebody, reached by the SMTP provider's hook. It cannot be read from here.

    :param address: ``mailto:`` and the addresses.
    :param conn_id: connection of type ``smtp``, whose extra has ``from_email``.
    """

    def __init__(self, address: str, *, conn_id: str) -> None:
        self._to = [one.strip() for one in address.removeprefix(SCHEME).split(",")]
        self._conn_id = conn_id

    def note(self, anchor: Anchor) -> None:
        """Send a head; :raises LakeError: if the mail server does not take it for each of the addresses."""
        from airflow.providers.smtp.hooks.smtp import SmtpHook

        option = f"--repository {anchor.repository} --anchor {anchor.commit}:{anchor.sha256}"
        statement = f"Commit {anchor.commit} of repository {anchor.repository} has the SHA-256 {anchor.sha256}."
        statement += f" The lake has the repositories {', '.join(anchor.repositories)}."
        text = f"<p>{escape(statement)}</p><p>Demand it with:</p><pre>imperva-logs verify LAKE {escape(option)}</pre>"
        subject = f"imperva-logs: commit {anchor.commit} of {anchor.repository}"
        try:
            with SmtpHook(smtp_conn_id=self._conn_id) as hook:
                hook.send_email_smtp(to=self._to, subject=subject, html_content=text)
        except Exception as error:  # smtplib, ssl, sockets and Airflow each have their own
            raise LakeError(
                f"the mail server did not take the anchor ({type(error).__name__})",
                do="See that workers reach the server of that connection, and that its extra has from_email",
                about=self._conn_id,
            ) from None

    def read(self) -> list[Anchor]:
        """Return nothing: whoever got the mails gives ``verify`` what they say."""
        return []
