"""The web application that shows coverage pages: behind Airflow's login, for DAGs that one may see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated

import jinja2
from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.serialized_dag import SerializedDagModel
from fastapi import Depends, FastAPI, Path, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from airflow_provider_imperva.audit.figures import duration
from airflow_provider_imperva.documentation import troubleshooting
from airflow_provider_imperva.errors import ImpervaError
from airflow_provider_imperva.plugins.destination import Destination

if TYPE_CHECKING:
    from airflow_provider_imperva.audit.assessment import Assessment

_READERS = 16
"""How many lakes are read at once for the list."""

_HEADERS = {
    # A page comes out of the lake, and whoever may write there shall not act in Airflow: no script, no form, no frame
    # but Airflow's own, and nothing from elsewhere.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'self'; sandbox allow-same-origin"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_NO_PAGE = (
    "A task of ImpervaCoverageOperator writes it, as the example DAG imperva_coverage does: run it, then look here"
    " again."
)


def make_app() -> FastAPI:
    """Make the application."""
    app = FastAPI(title="Imperva coverage", docs_url=None, redoc_url=None, openapi_url=None)
    app.get("/", response_class=HTMLResponse)(list_dags)
    app.get("/dags/{dag_id}", response_class=HTMLResponse, dependencies=[Depends(requires_access_dag(method="GET"))])(
        show_dag
    )
    app.exception_handler(ImpervaError)(show_error)
    app.exception_handler(Exception)(show_failure)
    return app


def list_dags(user: GetUserDep, session: SessionDep) -> HTMLResponse:
    """List the DAGs that load logs, as far as the user may see them; show the page at once if there is one lake."""
    visible = get_auth_manager().get_authorized_dag_ids(user=user)
    dag_ids: dict[Destination, list[str]] = {}
    for dag_id, destination in _destinations(visible, session):
        dag_ids.setdefault(destination, []).append(dag_id)
    if len(dag_ids) == 1:
        [(destination, [dag_id, *_])] = dag_ids.items()
        return _page_of(destination, dag_id, session)
    if not dag_ids:
        return _notice(
            "No DAG loads Imperva logs",
            "No DAG that you may see has a task of this provider with a lake. "
            "airflow_provider_imperva.dag.imperva_logs_dag makes one.",
        )
    at = datetime.now(UTC)
    with ThreadPoolExecutor(_READERS) as pool:
        assessments = dict(zip(dag_ids, pool.map(partial(_assess, at=at), dag_ids), strict=True))
    worst_first = sorted(dag_ids, key=lambda one: (_rank(assessments[one]), one.imperva_conn_id))
    rows = [(one, dag_ids[one], assessments[one]) for one in worst_first]
    return _notice("Coverage", "Each of these has its own lake or repository.", rows=rows)


def show_dag(dag_id: Annotated[str, Path(max_length=250)], session: SessionDep) -> HTMLResponse:
    """Show the coverage page of the lake that a DAG loads into."""
    destination = _destination(dag_id, session)
    if destination is None:
        return _notice("This DAG loads no Imperva logs", "None of its tasks has a lake.", status=404)
    return _page_of(destination, dag_id, session)


def show_error(request: Request, error: ImpervaError) -> HTMLResponse:
    """Describe what is wrong and what to do."""
    return _notice("The coverage page cannot be shown", str(error), status=503)


def show_failure(request: Request, error: Exception) -> HTMLResponse:
    """Say that something unexpected failed; the API server logs it with its traceback."""
    return _notice(
        "The coverage page cannot be shown",
        f"{type(error).__name__}. The log of Airflow's API server says more.",
        status=500,
    )


def _destinations(dag_ids: set[str], session: Session) -> Iterator[tuple[str, Destination]]:
    """Yield which of some DAGs load logs, and where to: by their tasks, since any DAG may have any tag.

    A DAG is read again only when it has changed.
    """
    hashes = _hashes(session)
    for dag_id in sorted(dag_ids & hashes.keys()):
        known = _KNOWN.get(dag_id)
        if known is None or known[0] != hashes[dag_id]:
            known = _KNOWN[dag_id] = (hashes[dag_id], _destination(dag_id, session))
        if known[1]:
            yield dag_id, known[1]


_KNOWN: dict[str, tuple[str, Destination | None]] = {}
"""For each DAG, the hash of its serialized form, and where it loads to."""


def _hashes(session: Session) -> dict[str, str]:
    """Return the hash of each DAG's newest version."""
    columns = (SerializedDagModel.dag_id, SerializedDagModel.dag_hash)
    active = select(DagModel.dag_id).where(DagModel.is_stale.is_(False))
    rows = session.execute(
        select(*columns).where(SerializedDagModel.dag_id.in_(active)).order_by(SerializedDagModel.created_at)
    )
    return {row.dag_id: row.dag_hash for row in rows}


def _destination(dag_id: str, session: Session) -> Destination | None:
    row = SerializedDagModel.get(dag_id, session=session)
    return Destination.of(row.dag.tasks) if row else None


def _page_of(destination: Destination, dag_id: str, session: Session) -> HTMLResponse:
    page = destination.read_page()
    if page is None:
        return _notice("There is no coverage page yet", f"Not in {destination.public_uri}. {_NO_PAGE}", status=404)
    banner = _banner(destination, dag_id, session).encode()
    before, body, after = page.partition(b"<body>")
    return HTMLResponse(before + body + banner + after if body else banner + page, headers=_HEADERS)


def _banner(destination: Destination, dag_id: str, session: Session) -> str:
    """Describe how old the page is, and how the repository stands now: what a file in a lake cannot say of itself."""
    summary, at = destination.read_summary(), datetime.now(UTC)
    if summary is None:
        return _fill("banner.html.jinja", assessment=None, summary=None, age="", runs={})
    try:
        last_look = destination.last_look()
    except ImpervaError:
        last_look = None  # the page says what it can read, and a run says what is damaged
    return _fill(
        "banner.html.jinja",
        assessment=summary.assess(at=at, observed_at=last_look),
        summary=summary,
        age=duration((at - summary.made_at).total_seconds()),
        runs=_runs_since(dag_id, summary.made_at, session),
    )


def _runs_since(dag_id: str, made_at: datetime, session: Session) -> dict[str, int]:
    """Count the runs of a DAG that have ended since, by their state."""
    ended = select(DagRun.state, func.count()).where(DagRun.dag_id == dag_id, DagRun.end_date > made_at)
    return {str(state): count for state, count in session.execute(ended.group_by(DagRun.state))}


def _assess(destination: Destination, *, at: datetime) -> Assessment | str:
    """Describe how a repository stands, or why that is not known."""
    try:
        summary = destination.read_summary()
        return summary.assess(at=at) if summary else "no coverage page has been written"
    except ImpervaError as error:
        return str(error)


def _rank(assessment: Assessment | str) -> int:
    return -1 if isinstance(assessment, str) else assessment.level.rank


def _notice(
    title: str, text: str, *, status: int = 200, rows: Sequence[tuple[Destination, list[str], Assessment | str]] = ()
) -> HTMLResponse:
    page = _fill("notice.html.jinja", title=title, text=text, rows=rows)
    return HTMLResponse(page, status_code=status, headers=_HEADERS)


def _fill(template: str, **values: object) -> str:
    loaders = [jinja2.PackageLoader(f"airflow_provider_imperva.{room}", "templates") for room in ("plugins", "audit")]
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(template).render(shown=(), classes=(), what_to_do=troubleshooting, **values)
