"""Where a DAG loads logs to, as its tasks say, and the coverage page that is there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Self

from airflow.providers.common.compat.sdk import AirflowNotFoundException

from airflow_provider_imperva.errors import ConfigurationError
from airflow_provider_imperva.hooks.imperva import ImpervaLogHook
from airflow_provider_imperva.hooks.lake import open_lake
from airflow_provider_imperva.uri import LakeUri, is_template

if TYPE_CHECKING:
    from airflow_provider_imperva.audit.summary import Summary
    from airflow_provider_imperva.lake.layout import Layout
    from airflow_provider_imperva.lake.store import Store


_TRAFFIC_LINK = re.compile(rb'<p class="traffic">.*?</p>\n')
"""Who may see a DAG may not see whom the logs name, and Airflow does not serve that page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A repository, by its connection, and the lake it is loaded into.

    It is taken from a serialized DAG, never from a request: whoever asks chooses among DAGs, and only the authors of
    DAGs choose lakes.
    """

    imperva_conn_id: str
    lake_uri: str
    lake_conn_id: str | None

    @classmethod
    def of(cls, tasks: Iterable[object]) -> Self | None:
        """Return where the first of a DAG's tasks loads to that is one of ours; None if none is."""
        for task in tasks:
            conn_id, lake_uri = getattr(task, "imperva_conn_id", None), getattr(task, "lake_uri", None)
            if isinstance(conn_id, str) and isinstance(lake_uri, str):
                return cls(imperva_conn_id=conn_id, lake_uri=lake_uri, lake_conn_id=getattr(task, "lake_conn_id", None))
        return None

    @property
    def public_uri(self) -> str:
        """The lake's URI as it is shown everywhere; a template as it stands, and nothing of what cannot be a lake's."""
        if is_template(self.lake_uri):
            return self.lake_uri
        try:
            return str(LakeUri.parse(self.lake_uri))
        except ConfigurationError:  # of a DAG that an older version has let pass
            return "a URI that cannot be used"

    def read_page(self) -> bytes | None:
        """Read the coverage page, without its link to the page that names clients; None if none has been written yet.

        :raises ConfigurationError: if the API server cannot tell which lake it is, or lacks a connection.
        :raises LakeError: if the lake cannot be read.
        """
        store, layout = self._open()
        try:
            return _TRAFFIC_LINK.sub(b"", store.read(layout.coverage_page))
        except FileNotFoundError:
            return None

    def read_summary(self) -> Summary | None:
        """Read the figures that were written with the page; None if there are none. Raises as :meth:`read_page`."""
        from airflow_provider_imperva.audit.summary import read_summary

        store, layout = self._open()
        return read_summary(store, layout.repository)

    def last_look(self) -> datetime | None:
        """Return when the repository was last looked at, as the end of its ledger says now; None if never.

        Raises as :meth:`read_page`, and :class:`~airflow_provider_imperva.errors.LedgerCorruptError`.
        """
        from airflow_provider_imperva.lake.ledger import Ledger

        store, layout = self._open()
        head = Ledger(store, layout.repository).head()
        return max((entry.observed_at for entry in (head.plan, head.commit) if entry), default=None)

    def _open(self) -> tuple[Store, Layout]:
        from airflow_provider_imperva.lake.layout import Layout

        for given in (self.imperva_conn_id, self.lake_uri, self.lake_conn_id):
            if given and is_template(given):
                raise ConfigurationError(
                    "it is a template, which only a run of the DAG fills in",
                    do="Give the tasks their lake and connections in plain text to see the page here",
                    about=given,
                )
        try:
            layout = Layout(ImpervaLogHook(self.imperva_conn_id).repository)
            return open_lake(self.lake_uri, self.lake_conn_id), layout
        except AirflowNotFoundException as error:
            raise ConfigurationError(
                "the API server knows no such connection",
                do="Make it where the API server finds it too: in Airflow's database, in a secrets backend, or in its"
                " environment",
                about=" or ".join(filter(None, [self.imperva_conn_id, self.lake_conn_id])),
            ) from error
