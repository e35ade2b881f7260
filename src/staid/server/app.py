"""The application: API, console and shield put together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

import staid
from staid.domain.errors import StaidError, UsageInvalid
from staid.project.project import Project
from staid.server.api.gate_routes import router as gates_api
from staid.server.api.routes import router as api
from staid.server.auth.sessions import Sessions
from staid.server.auth.shield import Shield, log
from staid.server.console.approval_routes import router as approvals
from staid.server.console.gate_routes import router as gates
from staid.server.console.pages import page
from staid.server.console.routes import router as console
from staid.server.desk import Desk
from staid.server.insights import router as insights
from staid.server.metrics import router as metrics
from staid.server.problem import Problem, problem

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
"""Host names that mean this machine."""


def create_app(
    project: Project, *, sessions: Sessions | None = None, hosts: Iterable[str] = LOOPBACK
) -> FastAPI:
    """Return the application of one project; requests for other host names are refused.

    Opens the store, so its errors (`SchemaNewer`, `StoreUnavailable`, …) come now, not later.
    """
    _ = project.wiring.parts
    app = FastAPI(
        title=f"Staid: {project.settings.project.name}",
        version=staid.__version__,
        openapi_url="/api/openapi.json",
        docs_url=None,  # these pages load their scripts from elsewhere
        redoc_url=None,
    )
    app.state.desk = Desk(project, sessions or Sessions(project.wiring.clock))
    for router in (api, gates_api, console, approvals, gates, metrics, insights):
        app.include_router(router)
    static = Path(__file__).parent / "static"
    app.mount("/static", StaticFiles(directory=static), name="static")
    app.add_exception_handler(StaidError, _coded)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _plain)
    app.add_middleware(Shield, hosts=frozenset(hosts), refuse=told)
    return app


def told(request: Request, error: StaidError) -> Response:
    """Return a coded error as JSON below `/api`, else as a page."""
    page_asked = not request.url.path.startswith("/api/")
    return _response(request, problem(error, page=page_asked), error)


def _response(request: Request, found: Problem, error: StaidError | None = None) -> Response:
    if found.status == 503 and error is not None:
        log.error("%s %s", error, error.hint_text)
    if request.url.path.startswith("/api/"):
        body = {name: value for name, value in asdict(found).items() if name != "status"}
        return JSONResponse({"error": body}, found.status)
    return page(request, "error.html", status=found.status, problem=found)


async def _coded(request: Request, error: Exception) -> Response:
    return told(request, error if isinstance(error, StaidError) else StaidError())


async def _invalid(request: Request, error: Exception) -> Response:
    field, what = "the request", "not valid"
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        field, what = ".".join(str(part) for part in first["loc"][1:]) or field, first["msg"]
    hint = "See /api/openapi.json for what is expected."
    return told(request, UsageInvalid(detail=f"{field}: {what}", hint=hint))


async def _plain(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = {404: "There is no such page.", 405: "This address does not take that method."}
    usage = UsageInvalid(
        detail=detail.get(status, "The request cannot be read."), hint="Start at the first page."
    )
    return _response(request, Problem(status, usage.code, usage.message, usage.hint_text))
