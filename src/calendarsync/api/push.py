"""/push: where Google and Microsoft tell of changes. No key: each notice carries a token that only they were given.

What counts as delivered, and what is sent again:

- Google: 200, 201, 202, 204 and 102; after 500, 502, 503 and 504 it tries again
  (https://developers.google.com/workspace/calendar/api/guides/push).
- Microsoft: any 2xx within 3 seconds; after anything else it tries again for up to 4 hours
  (https://learn.microsoft.com/graph/change-notifications-delivery-webhooks).
"""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from calendarsync.api.errors import ApiError, unavailable
from calendarsync.api.route import StrictRequest
from calendarsync.api.services import Services, ServicesParam
from calendarsync.jobs.notices import About, Notice, TooManyNotices

MOST_NOTICES = 2_000
"""Of one request."""

LONGEST_NAME = 500
"""Characters of a channel's name or token. Ours have fewer than a hundred."""

LONGEST_VALIDATION = 4_096
_MOST_DIGITS = 18

router = APIRouter(prefix="/push", include_in_schema=False)

_LIFECYCLE = {"reauthorizationRequired": About.REAUTHORIZE, "subscriptionRemoved": About.REMOVED}
"""https://learn.microsoft.com/graph/change-notifications-lifecycle-events; `missed` is a change like any other."""


class _Told(BaseModel):
    """Of a `changeNotification` what is needed here."""

    model_config = ConfigDict(alias_generator=to_camel)

    subscription_id: str
    client_state: str | None = None
    lifecycle_event: str | None = None


class _ToldTogether(BaseModel):
    """A `changeNotificationCollection`: of several subscriptions, and several about one."""

    value: list[_Told]


@router.post("/google")
async def push_google(request: Request, services: ServicesParam) -> Response:
    """A message of a channel: all of it is in the headers."""
    await StrictRequest(request.scope, request.receive).body()
    headers = request.headers
    about = About.NOTHING if headers.get("x-goog-resource-state") == "sync" else About.CHANGE
    number = headers.get("x-goog-message-number", "")
    notice = Notice(
        _plain(headers.get("x-goog-channel-id")),
        _plain(headers.get("x-goog-channel-token")),
        about,
        int(number) if number.isascii() and number.isdecimal() and len(number) <= _MOST_DIGITS else None,
    )
    return await _answer(services, "google", [notice])


@router.post("/microsoft")
async def push_microsoft(request: Request, services: ServicesParam) -> Response:
    """Change and lifecycle notifications; or, while a subscription is being made, a token to be sent back."""
    strict = StrictRequest(request.scope, request.receive)
    validation = request.query_params.get("validationToken")
    if validation is not None:
        await strict.body()
        if len(validation) > LONGEST_VALIDATION:
            raise ApiError(400, "the validation token is too long")
        return PlainTextResponse(validation)
    try:
        told = _ToldTogether.model_validate(await strict.json()).value
    except ValidationError:
        raise ApiError(400, "this is no collection of change notifications") from None
    if len(told) > MOST_NOTICES:
        raise ApiError(413, f"more than {MOST_NOTICES} notifications at once")
    notices = [
        Notice(
            _plain(each.subscription_id),
            _plain(each.client_state),
            _LIFECYCLE.get(each.lifecycle_event or "", About.CHANGE),
        )
        for each in told
    ]
    return await _answer(services, "microsoft", list(dict.fromkeys(notices)))


async def _answer(services: Services, provider: str, notices: Sequence[Notice]) -> Response:
    """202 where any notice is genuine. 403 says no more than that none is."""
    try:
        genuine = await services.notices.take(provider, notices)
    except TooManyNotices:
        raise unavailable() from None
    if not genuine:
        raise ApiError(403, "this is no notice from a channel of this installation")
    return Response(status_code=202)


def _plain(text: str | None) -> str:
    """What cannot be ours is looked up as well, under a name that nothing has."""
    given = text or ""
    return given if len(given) <= LONGEST_NAME and given.isascii() and given.isprintable() else ""
