"""What a provider's calendar is opened with where access is granted by OAuth 2.0 (RFC 6749)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Tokens(Protocol):
    """The access tokens of one grant. All calendars of a grant share it."""

    @property
    def grant(self) -> str:
        """A name that tells grants apart, for what is limited by grant."""

    @property
    def user(self) -> str | None:
        """Whose calendars are meant where the token does not say it: with Microsoft's application permission.

        It is known once `access_token` has answered; before, it is None.
        """

    async def access_token(self, *, rejected: str | None = None) -> str:
        """A bearer token (RFC 6750) that is good for a minute at least.

        `rejected` is one that the provider answered 401 to: another is got. Raises NotAuthorized, MissingScope,
        AppForbidden where the grant is dead; Unavailable, RateLimited where that may pass.
        """

    def sent(self, calls: int) -> None:
        """So many calls, as the provider's quotas count them, have been sent with a token of the grant."""


@dataclass(frozen=True, slots=True)
class Access:
    """The tokens of a grant, and the base URL of the service that takes them."""

    tokens: Tokens
    api_url: str
