"""Why a grant could not be had, or is worth nothing any more: in our own words, with what the person can do."""

from __future__ import annotations

from typing import Literal

from calendarsync.providers.base import (
    AppForbidden,
    MissingScope,
    NotAuthorized,
    ProviderError,
    RateLimited,
    Unavailable,
    Unreachable,
)

Kind = Literal[
    "denied",  # the person said no
    "code_used",  # the code was redeemed before, or is too old
    "expired",  # the grant was withdrawn, ran out or was ended by a new password
    "missing_scope",  # a box was not ticked
    "app_forbidden",  # the organisation does not allow it
    "unknown_user",  # a delegation names somebody who is not there
    "misconfigured",  # the registration of this installation, or a delegation's key, is not accepted
    "clock",  # the provider finds our time off
    "rate_limited",
    "provider_unavailable",
    "unreachable",  # refused by our own safety
]

_AS_PROVIDER_ERROR: dict[Kind, type[ProviderError]] = {
    "denied": NotAuthorized,
    "code_used": NotAuthorized,
    "expired": NotAuthorized,
    "unknown_user": NotAuthorized,
    "missing_scope": MissingScope,
    "app_forbidden": AppForbidden,
    "rate_limited": RateLimited,
    "unreachable": Unreachable,
}


class GrantError(Exception):
    """`kind` is for programs; `message` is our own wording for the person, never the provider's."""

    def __init__(self, kind: Kind, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.retry_after = retry_after

    @property
    def is_death(self) -> bool:
        """Whether it is the grant's end, and no failure of the provider, the network or this installation."""
        return issubclass(_AS_PROVIDER_ERROR.get(self.kind, Unavailable), NotAuthorized)

    def as_provider_error(self) -> ProviderError:
        """What a calendar that needs the grant raises. Our own failures count as what may pass (rule 25)."""
        return _AS_PROVIDER_ERROR.get(self.kind, Unavailable)(self.message, retry_after=self.retry_after)
