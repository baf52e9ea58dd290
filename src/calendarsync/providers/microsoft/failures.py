"""What Graph's answers mean, in our own words (https://learn.microsoft.com/graph/errors).

Codes that begin with `Error` are Exchange's; the pages say of few of them when they come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from multidict import CIMultiDict

from calendarsync.net import retry_after_seconds
from calendarsync.providers.base import (
    AppForbidden,
    Changed,
    Forbidden,
    MissingScope,
    NoMailbox,
    NotAuthorized,
    ProviderError,
    RateLimited,
    Refused,
    ResourceGone,
    Unavailable,
    Unreachable,
)

_NO_MAILBOX = {
    "MailboxNotEnabledForRESTAPI",
    "MailboxNotSupportedForRESTAPI",
    "ErrorNonExistentMailbox",
    "ErrorMissingEmailAddress",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What Graph said; `data` is the JSON of its body, empty where there is none."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    data: Mapping[str, Any] = field(repr=False)

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def code(self) -> str:
        """The code of an error (concepts/errors)."""
        error = self.data.get("error")
        return str(error.get("code") or "") if isinstance(error, Mapping) else ""

    @property
    def _words(self) -> str:
        error = self.data.get("error")
        return str(error.get("message") or "") if isinstance(error, Mapping) else ""

    def names_policy(self) -> bool:
        """Whether an organisation's policy for apps shut us out, which only the words of the error tell."""
        return "AccessPolicy" in self._words or "[RAOP]" in self._words


_REASONS = {
    "ErrorOccurrenceCrossingBoundary": (
        "Outlook does not let one instance of a series move to the day of its neighbour, or past it."
    ),
    "ErrorPropertyValidationFailure": "Microsoft finds this event's data invalid.",
    "ErrorInvalidRequest": "Microsoft finds this event's data invalid.",
    "RequestBodyRead": "Microsoft finds this event's data invalid.",
    "TimeZoneNotSupportedException": "Microsoft does not know the time zone of this event.",
    "ErrorCalendarEndDateIsEarlierThanStartDate": "Microsoft finds that this event ends before it begins.",
    "ErrorCalendarDurationIsTooLong": "Microsoft finds this event too long.",
    "ErrorQuotaExceeded": "The mailbox is full.",
    "ErrorMessageSizeExceeded": "Microsoft finds this event too large.",
}


def problem_of(answer: Answer, now: datetime, *, application: bool) -> ProviderError | None:
    """What an answer says of the account, the app or the server; None where it is about what was asked for.

    `application`: whether it was an application's permission that was used, which an administrator gives.
    """
    status = answer.status
    if answer.code in _NO_MAILBOX:
        return NoMailbox(
            "This account has no mailbox at Microsoft: it needs a licence that includes Exchange Online."
        )
    if status == 403:
        return _forbidden(answer, application=application)
    if status == 429 or (status == 503 and "Retry-After" in answer.headers):
        seconds = retry_after_seconds(answer.headers, now)
        return RateLimited("Microsoft asks to slow down.", retry_after=seconds)
    if status == 401:
        return NotAuthorized(
            "Microsoft does not accept the authorization any more: connect the account again."
        )
    return _of_server(status)


def _of_server(status: int) -> ProviderError | None:
    if status >= 500 or status == 408:
        return Unavailable("Microsoft is out of order at the moment.")
    if 300 <= status < 400:
        return Unreachable("Microsoft redirects to an address that is not followed.")
    return None


def _forbidden(answer: Answer, *, application: bool) -> ProviderError:
    denied = answer.code == "Authorization_RequestDenied"
    if answer.names_policy() or (denied and application):
        return AppForbidden(
            "The organisation does not let this app into its calendars: an administrator has to allow it."
        )
    if denied:
        return MissingScope(
            "The permission to read and write calendars was not given: connect the account again and grant it."
        )
    return Forbidden("Microsoft does not allow this: the calendar has to be shared with you for editing.")


def refusal(answer: Answer) -> ProviderError:
    """What an answer to a write means that is neither success nor an error of account or server."""
    if answer.status in (404, 410):
        return ResourceGone("The event is no longer there.")
    if answer.status == 412 or answer.code in (
        "ErrorIrresolvableConflict",
        "ErrorChangeKeyRequiredForWriteOperations",
    ):
        return Changed("The event was changed meanwhile.")
    return Refused(_REASONS.get(answer.code, "Microsoft refuses this event."))


def incomplete() -> Unavailable:
    """Half an answer, or one that makes no sense."""
    return Unavailable("Microsoft's answer is incomplete.")


def part_answer(part: Mapping[str, Any]) -> Answer:
    """One of a batch's answers. Raises ValueError, TypeError for what is none."""
    body, headers = part.get("body"), part.get("headers")
    return Answer(
        int(part["status"]),
        CIMultiDict({str(name): str(value) for name, value in (headers or {}).items()}),
        body if isinstance(body, dict) else {},
    )
