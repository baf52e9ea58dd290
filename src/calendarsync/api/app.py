"""The ASGI application."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from calendarsync import __version__
from calendarsync.api import consent, docs, documents, errors, health, metrics, push, v1
from calendarsync.api.admission import admit_at_no_route
from calendarsync.api.middleware import RequestContext
from calendarsync.api.services import Services


def create_app(services: Services) -> FastAPI:
    """The API with its documentation. It opens and closes nothing: `services` belong to the caller."""
    app = _bare_app()
    app.state.services = services
    secure = services.settings.public_url.startswith("https://")

    def count(operation: str, status: int, seconds: float) -> None:
        app.state.services.metrics.count_request(operation, status, seconds)

    app.add_middleware(RequestContext, secure=secure, count=count)
    return app


def openapi_document() -> dict[str, Any]:
    """The OpenAPI document, as it is served and committed."""
    return _bare_app().openapi()


def _bare_app() -> FastAPI:
    app = FastAPI(
        title="CalendarSync API",
        version=__version__,
        description=documents.DESCRIPTION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
    )
    app.include_router(v1.make_router())
    app.include_router(consent.make_router())
    app.include_router(health.router)
    app.include_router(metrics.router)
    app.include_router(push.router)
    app.include_router(_document_router(app))
    errors.install(app, admit_at_no_route)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name


def _document_router(app: FastAPI) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get(f"{v1.PREFIX}/openapi.json")
    async def document() -> JSONResponse:
        return JSONResponse(_document(app))

    docs.add_to(router, lambda: _document(app))
    return router


def _document(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        documents.complete(document)
        # Its examples are shared by all applications, and what one reader changes is not to reach another.
        app.openapi_schema = deepcopy(document)
    return app.openapi_schema
