"""The web application that shows coverage pages: behind Airflow's login, for DAGs that one may see."""

from __future__ import annotations

from typing import Annotated

import jinja2
from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from airflow.models.dag import DagModel, DagTag
from airflow.models.serialized_dag import SerializedDagModel
from fastapi import Depends, FastAPI, Path, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import select

from airflow_provider_imperva.errors import ImpervaError
from airflow_provider_imperva.plugins.destination import Destination

TAG = "imperva"
"""The navigation lists the DAGs with this tag."""

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
    app.exception_handler(ImpervaError)(tell_error)
    app.exception_handler(Exception)(tell_failure)
    return app


def list_dags(user: GetUserDep, session: SessionDep) -> HTMLResponse:
    """List the DAGs that load logs, as far as the user may see them; show the page at once if there is one lake."""
    tagged = select(DagModel.dag_id).join(DagModel.tags).where(DagTag.name == TAG, DagModel.is_stale.is_(False))
    visible = get_auth_manager().get_authorized_dag_ids(user=user)
    found: dict[Destination, list[str]] = {}
    for dag_id in sorted(visible.intersection(session.scalars(tagged))):
        if destination := _destination(dag_id, session):
            found.setdefault(destination, []).append(dag_id)
    if len(found) == 1:
        return _page_of(next(iter(found)))
    if not found:
        return _notice(
            "No DAG loads Imperva logs",
            f"None that you may see has the tag {TAG} and a task with a lake. "
            "airflow_provider_imperva.dag.imperva_logs_dag makes one.",
        )
    return _notice("Coverage", "Each of these has its own lake or repository.", destinations=found)


def show_dag(dag_id: Annotated[str, Path(max_length=250)], session: SessionDep) -> HTMLResponse:
    """Show the coverage page of the lake that a DAG loads into."""
    destination = _destination(dag_id, session)
    if destination is None:
        return _notice("This DAG loads no Imperva logs", "None of its tasks has a lake.", status=404)
    return _page_of(destination)


def tell_error(request: Request, error: ImpervaError) -> HTMLResponse:
    """Say what is wrong and what to do."""
    return _notice("The coverage page cannot be shown", str(error), status=503)


def tell_failure(request: Request, error: Exception) -> HTMLResponse:
    """Say that something failed which nobody foresaw; the API server logs it with its traceback."""
    return _notice(
        "The coverage page cannot be shown",
        f"{type(error).__name__}. The log of Airflow's API server says more.",
        status=500,
    )


def _destination(dag_id: str, session: SessionDep) -> Destination | None:
    row = SerializedDagModel.get(dag_id, session=session)
    return Destination.of(row.dag.tasks) if row else None


def _page_of(destination: Destination) -> HTMLResponse:
    page = destination.read_page()
    if page is None:
        return _notice("There is no coverage page yet", f"Not in {destination.public_uri}. {_NO_PAGE}", status=404)
    return HTMLResponse(page, headers=_HEADERS)


def _notice(
    title: str, text: str, *, status: int = 200, destinations: dict[Destination, list[str]] | None = None
) -> HTMLResponse:
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [
                jinja2.PackageLoader("airflow_provider_imperva.plugins", "templates"),
                jinja2.PackageLoader("airflow_provider_imperva.audit", "templates"),
            ]
        ),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    page = environment.get_template("notice.html.jinja").render(
        title=title, text=text, destinations=destinations or {}, shown=(), classes=()
    )
    return HTMLResponse(page, status_code=status, headers=_HEADERS)
