"""What Google's errors mean, in our own words (guide "Handle API errors").

An error is a status and an envelope whose `errors[0].reason` says what it is about; 403 alone has a dozen meanings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from calendarsync.net import retry_after_seconds
from calendarsync.providers.base import (
    AppForbidden,
    CalendarNotFound,
    Changed,
    Forbidden,
    IdDead,
    IdTaken,
    MissingScope,
    NotAuthorized,
    ProviderError,
    RateLimited,
    Refused,
    ResourceGone,
    Unavailable,
)
from calendarsync.providers.google.fields import rows, table, text

_LIMITS = {
    "rateLimitExceeded",
    "userRateLimitExceeded",
    "quotaExceeded",
    "dailyLimitExceeded",
    "RATE_LIMIT_EXCEEDED",
}
_SCOPES = {"insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"}
_OPERATOR = {"accessNotConfigured", "SERVICE_DISABLED"}
_ADMINISTRATOR = {"domainPolicy", "domainCannotUseApis"}
ACCESS_LEVEL = "requiredAccessLevel"
_TITLE = re.compile(r"Quota exceeded for quota .{0,100} and limit '([^']{1,100})'")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to one call, whether it came by itself or in a batch. `data` is empty where it is no object."""

    status: int
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """Whether what was asked for is not there: 410 where Google remembers that it was deleted."""
        return self.status in (404, 410)

    @property
    def reasons(self) -> frozenset[str]:
        """Why it failed, in the old form of the envelope and the new one."""
        error = table(self.data, "error")
        found = (text(each, "reason") for each in (*rows(error, "errors"), *rows(error, "details")))
        return frozenset(reason for reason in found if reason)

    @property
    def is_of_project(self) -> bool:
        """Whether a refusal is the project's: all its people together have sent too much.

        `rateLimitExceeded` is said of either quota, and `quotaExceeded` of what one user may do to calendars. Which
        it is says the quota's name in the new form of the envelope (google.rpc.ErrorInfo), and its title in the
        message.
        """
        error = table(self.data, "error")
        if "dailyLimitExceeded" in self.reasons:
            return True
        names = [text(table(each, "metadata"), "quota_limit") for each in rows(error, "details")]
        return any(map(_is_of_project, [*names, *_TITLE.findall(text(error, "message"))]))


def _is_of_project(limit: str) -> bool:
    """Whether a quota, by its name or its title, is one of the project and not of each user.

    They are called `defaultPerMinutePerProject` and `defaultPerMinutePerUser`, and in the message 'Queries per
    minute' and 'Queries per minute per user'.
    """
    return bool(limit) and "user" not in limit.lower()


def raise_for_account(answer: Answer, now: datetime) -> None:
    """Raise what an answer says of the grant, the app or the service rather than of what was asked."""
    status, reasons = answer.status, answer.reasons
    if status == 401:
        raise NotAuthorized("Google no longer accepts this access. Connect the account again.")
    if status == 429 or (status == 403 and reasons & _LIMITS):
        seconds = retry_after_seconds(answer.headers, now)
        raise RateLimited("Google asks to slow down.", retry_after=seconds, of_project=answer.is_of_project)
    if status == 403 and reasons & _SCOPES:
        raise MissingScope(
            "Google was not told to allow all that is needed. Connect the account again, and leave every box "
            "ticked."
        )
    if status == 403 and reasons & _OPERATOR:
        raise AppForbidden(
            "The Google Calendar API is switched off for this installation. Its operator has to enable it in "
            "the Google Cloud console."
        )
    if status == 403 and reasons & _ADMINISTRATOR:
        raise AppForbidden(
            "This organisation does not allow the app. Ask its Google Workspace administrator to allow it."
        )
    if status >= 500:
        raise Unavailable(
            "Google Calendar is out of order at the moment.",
            retry_after=retry_after_seconds(answer.headers, now),
        )


def not_readable(answer: Answer) -> ProviderError:
    """What it means that a calendar's events are not listed."""
    if answer.status == 403:
        return Forbidden("Google does not allow this account to see the calendar. Ask its owner to share it.")
    if answer.gone:
        return no_calendar()
    return Unavailable("Google Calendar did not understand the request.")


def refused(answer: Answer) -> ProviderError:
    """What it means that one event was not written, where neither its id nor its version is the reason."""
    if ACCESS_LEVEL in answer.reasons:
        return read_only()
    if "forbiddenForNonOrganizer" in answer.reasons:
        return Refused("Google lets only the organizer change this event.")
    if answer.status == 409:
        return changed()
    if answer.status == 400:
        return Refused("Google finds this event's data invalid.")
    return Refused("Google refuses this event.")


def no_calendar() -> CalendarNotFound:
    return CalendarNotFound(
        "The calendar is not at Google any more, or is no longer shared with this account. Connect another one."
    )


def read_only() -> Forbidden:
    return Forbidden(
        "Google does not let this account write to the calendar. Ask its owner for the right to make changes."
    )


def no_instance() -> Refused:
    return Refused("Google finds no such instance in the series.")


def not_revived() -> Refused:
    return Refused("Google does not bring back an instance of the series that was deleted.")


def taken() -> IdTaken:
    return IdTaken("There is an event with this id already.")


def dead() -> IdDead:
    return IdDead("An event with this id was deleted, and Google never frees an id.")


def changed() -> Changed:
    return Changed("The event was changed meanwhile.")


def gone() -> ResourceGone:
    return ResourceGone("The event is no longer there.")
