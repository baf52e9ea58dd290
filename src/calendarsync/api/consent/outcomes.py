"""How a step can end that leads no further, each with its status and with what the person can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from calendarsync.grants import GrantError
from calendarsync.providers.base import AppForbidden, MissingScope, NoMailbox, NotAuthorized, ProviderError


@dataclass(frozen=True, slots=True)
class Outcome:
    """`code` is what the account's page is told. In `title` and `text` `{provider}` is the provider's name."""

    code: str
    status: int
    title: str
    text: str


_ASK_AGAIN = "Ask whoever sent you the link for a new one."
_NOTHING = "Nothing has been connected."

LINK_UNKNOWN = Outcome(
    "link_unknown",
    404,
    "This link leads nowhere",
    "It may have been copied in part: open it once more as it was sent to you, or ask for a new one.",
)
LINK_EXPIRED = Outcome(
    "link_expired", 410, "This link has run out", f"It was good for 15 minutes. {_ASK_AGAIN}"
)
LINK_USED = Outcome(
    "link_used",
    410,
    "This link has been used",
    f"It is good for one use, in the browser that opened it first. {_ASK_AGAIN}",
)
FORM_STALE = Outcome(
    "form_stale",
    403,
    "This page is out of date",
    "Open the link once more and go on from there. Your browser has to accept cookies.",
)
STATE_UNKNOWN = Outcome(
    "state_unknown",
    400,
    "We did not ask for this",
    f"This answer belongs to no question of ours. {_NOTHING} If somebody sent you here, close this page.",
)
STATE_USED = Outcome(
    "state_used",
    409,
    "This answer has been taken already",
    f"An answer of {{provider}} counts once. If your calendars are not connected: {_ASK_AGAIN.lower()}",
)
OTHER_BROWSER = Outcome(
    "other_browser",
    403,
    "Another browser began this",
    "Go on in the browser in which you opened the link; it has to accept cookies. "
    f"{_NOTHING} If you did not begin this yourself, close this page: somebody may be after your calendars.",
)
DENIED = Outcome(
    "consent_denied",
    403,
    "You did not grant access",
    f"{_NOTHING} If that was a slip: {_ASK_AGAIN.lower()}",
)
CODE_USED = Outcome(
    "code_used",
    400,
    "{provider} does not accept its answer any more",
    f"It was used before, or took too long. {_NOTHING} {_ASK_AGAIN}",
)
MISSING_SCOPE = Outcome(
    "missing_scope",
    422,
    "A permission is missing",
    "Calendars can only be kept in step with access to their events and to their list. "
    f"{_NOTHING} {_ASK_AGAIN} Then leave all boxes ticked.",
)
WRONG_IDENTITY = Outcome(
    "wrong_identity",
    409,
    "This is another person's account",
    f"The link is meant for somebody else's calendars than those of the account that you chose at {{provider}}. "
    f"{_NOTHING} {_ASK_AGAIN} Then choose the right account.",
)
APP_FORBIDDEN = Outcome(
    "app_forbidden",
    403,
    "Your organisation does not allow this",
    "Its administrators decide which applications its people may connect at {provider}. "
    f"{_NOTHING} Ask them to allow CalendarSync, and then for a new link.",
)
NO_MAILBOX = Outcome(
    "no_mailbox",
    422,
    "This account has no calendar",
    "The account that you chose at {provider} has no mailbox, perhaps for want of a licence. "
    f"{_NOTHING} Ask your administrators for one, or use another account with a new link.",
)
UNAVAILABLE = Outcome(
    "provider_unavailable",
    503,
    "{provider} does not answer",
    f"{_NOTHING} The link is good still: wait a moment, and open it once more.",
)
MISCONFIGURED = Outcome(
    "misconfigured",
    502,
    "{provider} does not accept this server",
    f"That is for whoever runs CalendarSync here to put right: `calendarsync doctor` tells them more. {_NOTHING}",
)

NOT_LISTED = replace(
    UNAVAILABLE,
    text="Your access has been granted, but your calendars could not be listed. Wait a moment, and try again.",
)
NO_LONGER = Outcome(
    "connection_gone",
    410,
    "Your access is no longer asked for",
    f"The account that asked has taken its question back meanwhile. {_NOTHING}",
)

_OF_GRANT_ERROR: Mapping[str, Outcome] = {
    "denied": DENIED,
    "code_used": CODE_USED,
    "expired": CODE_USED,
    "missing_scope": MISSING_SCOPE,
    "app_forbidden": APP_FORBIDDEN,
    "provider_unavailable": UNAVAILABLE,
    "rate_limited": UNAVAILABLE,
}


def of_grant_error(error: GrantError) -> Outcome:
    """In the words of the error, which know more."""
    return _told(_OF_GRANT_ERROR.get(error.kind, MISCONFIGURED), error.message)


def of_provider_error(error: ProviderError) -> Outcome:
    """What comes of an error of the provider while its calendars are listed."""
    if isinstance(error, MissingScope):
        return MISSING_SCOPE
    if isinstance(error, AppForbidden):
        return _told(APP_FORBIDDEN, error.message)
    if isinstance(error, NoMailbox):
        return NO_MAILBOX
    return CODE_USED if isinstance(error, NotAuthorized) else UNAVAILABLE


def _told(outcome: Outcome, message: str) -> Outcome:
    if outcome is UNAVAILABLE:  # its own words tell that the link is good still
        return outcome
    return replace(outcome, text=f"{message} {_NOTHING}")
