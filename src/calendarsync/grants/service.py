"""The grants of a process: one per process, since it is here that refreshes of one grant are told apart."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from calendarsync.net import HttpClient
from calendarsync.providers.base import Unavailable
from calendarsync.providers.tokens import Access, Tokens
from calendarsync.secrets import Keyring
from calendarsync.settings import Settings
from calendarsync.store.database import Database


class Grants:
    """Access tokens for whoever opens a calendar. `close` waits for refreshes on their way."""

    def __init__(
        self,
        db: Database,
        keyring: Keyring,
        http: HttpClient,
        settings: Settings,
        *,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        """`now` takes the place of the database's clock."""
        self._db = db
        self._keyring = keyring
        self._http = http
        self._settings = settings
        self._now = now or db.now

    def configured(self, provider: str) -> bool:
        """Whether this installation is registered with the provider: people can grant it access."""
        settings = self._settings
        if provider == "google":
            return bool(settings.google_client_id and settings.google_client_secret)
        if provider == "microsoft":
            return bool(settings.microsoft_client_id and settings.microsoft_client_secret)
        return False

    def tokens(self, grant_id: str) -> Tokens:
        """The tokens of a grant; nothing is looked up yet."""
        return _Tokens(grant_id)

    def access(self, provider: str, grant_id: str) -> Access:
        """What a calendar of a grant is opened with. Raises LookupError for a provider without grants."""
        urls = {"google": self._settings.google_api_url, "microsoft": self._settings.microsoft_api_url}
        if provider not in urls:
            raise LookupError(f"no grants of provider {provider!r}")
        return Access(self.tokens(grant_id), urls[provider])

    async def close(self) -> None:
        """Wait for the refreshes on their way: an answer that nobody stores would be a grant lost."""


class _Tokens:
    def __init__(self, grant_id: str) -> None:
        self.grant = grant_id
        self.user: str | None = None

    async def access_token(self, *, rejected: str | None = None) -> str:
        raise Unavailable("The grant cannot be used yet.")
