"""Forwarding to a SIEM as an Airflow task."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException

from airflow_provider_imperva.metrics import send_forward_status, send_forwarded
from airflow_provider_imperva.operators.imperva import ImpervaOperator
from airflow_provider_imperva.options import check_destination_name, check_positive
from airflow_provider_imperva.privacy.options import pseudonym_options
from airflow_provider_imperva.privacy.rules import redaction_rules
from airflow_provider_imperva.retries import ends_for_good

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_imperva.forward.send import Forwarding
    from airflow_provider_imperva.lake.forwards import Forwarded


class ImpervaForwardLogsOperator(ImpervaOperator):
    """Sends the committed logs of a repository to a SIEM, oldest first, and notes in the lake what was acknowledged.

    What a run does not come to, or the destination does not take, the next one sends. Skipped if there is nothing to
    send. It fails once, without retry, if bytes of a log are missing in ``raw/``, by a commit of retention or
    without one; all else that was pending has been sent then, and the next run goes on.

    Let one task at a time send to a destination; else some events come twice.

    Returns how many commits and lines were sent, how many commits are pending, and how old the oldest of those is.

    :param destination: name of a preset, such as ``syslog``.
    :param destination_conn_id: connection with address and credentials, as
        :func:`~airflow_provider_imperva.hooks.destination.destination_address` reads it.
    :param name: the destination's name in the lake; by default ``destination``. Whoever changes it begins again.
    :param options: fields of :class:`~airflow_provider_imperva.forward.destination.DestinationOptions` in place of the
        preset's.
    :param start: where a destination begins that nothing was sent to yet: ``oldest``, ``now``, or the number of a
        commit.
    :param redaction: what is redacted before anything leaves: true for the default rules, false for nothing, or rules
        as :func:`~airflow_provider_imperva.privacy.rules.redaction_rules` takes them.
    :param pseudonyms: those of the DAG that loads, if its rows have any, as
        :func:`~airflow_provider_imperva.privacy.options.pseudonym_options` takes them: lines are then rewritten with
        them. False sends lines that name people although rows do not; by default such a lake is not sent.
    :param run_for: after this time no further commit is begun.
    """

    template_fields: Sequence[str] = (*ImpervaOperator.template_fields, "destination_conn_id", "start")

    def __init__(
        self,
        *,
        destination: str,
        destination_conn_id: str,
        name: str | None = None,
        options: Mapping[str, Any] | None = None,
        start: str | int | None = None,
        redaction: Any = True,
        pseudonyms: Any = None,
        run_for: timedelta = timedelta(minutes=40),
        **kwargs: Any,
    ) -> None:
        from airflow_provider_imperva.forward.presets import destination_options

        super().__init__(**kwargs)
        destination_options(destination, options)
        check_positive(run_for=run_for)
        self.destination = destination
        self.destination_conn_id = destination_conn_id
        self.name = check_destination_name(name or destination)
        self.options = dict(options or {})
        self.start = start
        self.redaction = redaction_rules(redaction)
        self.pseudonyms = pseudonym_options(pseudonyms)
        self.names_people = pseudonyms is False
        self.run_for = run_for

    @ends_for_good
    def execute(self, context: Context) -> dict[str, Any]:
        """Send what is pending."""
        from airflow_provider_imperva.audit.forwarding import describe_missing

        forwarding = self._forwarding(context)
        repository = forwarding.ledger.layout.repository
        forwarding.begin(start=self.start)
        pending = forwarding.pending()
        sent: list[Forwarded] = []
        try:
            for outcome in forwarding.send(self._in_time(pending)):
                self._log_outcome(outcome)
                send_forwarded(outcome)
                sent.append(outcome)
        finally:
            status = forwarding.status()
            send_forward_status(status)
        if not pending:
            raise AirflowSkipException(f"Nothing to send: all {status.commits} commits are at {self.name}")
        if missing := describe_missing(sent):
            raise AirflowFailException(missing)
        return {
            "repository": repository,
            "destination": self.name,
            "commits": len(sent),
            "lines": sum(outcome.sent for outcome in sent),
            "pending": status.pending,
            "lag_seconds": status.lag_seconds,
        }

    def _forwarding(self, context: Context) -> Forwarding:
        from airflow_provider_imperva.forward.presets import destination_options, preset_of
        from airflow_provider_imperva.forward.send import Forwarding
        from airflow_provider_imperva.hooks.destination import open_destination
        from airflow_provider_imperva.hooks.protection import open_protection
        from airflow_provider_imperva.lake.records import Run

        hook = self._make_hook()
        options = destination_options(self.destination, self.options)
        port = preset_of(self.destination).port
        address, verify, connect = open_destination(self.destination_conn_id, options, port=port)
        if verify is False:
            self.log.warning(
                "%s: the connection's extra `verify` is false, so whoever stands in between can read all events and"
                " the token. Set it to the path of the CA bundle.",
                self.destination_conn_id,
            )
        ti = context["ti"]
        return Forwarding(
            ledger=self._open_ledger(hook),
            keys=hook.key_ring(),
            name=self.name,
            address=address,
            options=options,
            connect=connect,
            run=Run(dag_id=ti.dag_id, run_id=ti.run_id),
            protection=open_protection(self.redaction, self.pseudonyms),
            names_people=self.names_people,
        )

    def _in_time(self, pending: Sequence[int]) -> Iterator[int]:
        until = time.monotonic() + self.run_for.total_seconds()
        for place, number in enumerate(pending):
            if place and time.monotonic() > until:
                self.log.info(
                    "%d commits are left to the next run: this one has sent for %s", len(pending) - place, self.run_for
                )
                return
            yield number

    def _log_outcome(self, outcome: Forwarded) -> None:
        self.log.info(
            "Commit %d: %d of %d lines sent, %d left out by choice, %d in quarantine",
            outcome.commit,
            outcome.sent,
            outcome.lines,
            sum(outcome.filtered.values()),
            outcome.held_back,
        )
        if outcome.rejected:
            reasons = ", ".join(f"{count} {reason}" for reason, count in outcome.rejected.items())
            self.log.warning("Commit %d: lines that were not sent: %s", outcome.commit, reasons)
