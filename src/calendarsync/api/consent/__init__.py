"""The pages on which a person grants access to their calendars: without a key, without a script, one step each.

    GET  /connect/{link}                      says who asks for what
    POST /connect/{link}                      binds the browser by a cookie, and leads to the provider
    GET  /connect/{google|microsoft}/callback takes the provider's answer
    GET  /connect/calendars/{authorization}   shows the calendars
    POST /connect/calendars/{authorization}   connects those that were picked, and leads back to the account's page

What keeps each step safe is told in docs/decisions/consent-pages.md.
"""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter, Response

from calendarsync.api.consent.answers import router as answers
from calendarsync.api.consent.links import router as links
from calendarsync.api.consent.picking import router as picking


def make_router() -> APIRouter:
    """All of them, with their style sheet."""
    router = APIRouter(prefix="/connect", include_in_schema=False)
    style = (files(__name__) / "consent.css").read_text("utf-8")

    @router.get("/style.css")
    async def consent_style() -> Response:
        return Response(style, media_type="text/css", headers={"Cache-Control": "max-age=3600"})

    for part in (answers, picking, links):
        router.include_router(part)
    return router
