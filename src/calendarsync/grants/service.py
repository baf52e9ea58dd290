"""The grants of a process: one per process, since it is here that refreshes of one grant are told apart."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import RowMapping

from calendarsync.grants.asking import TokenAnswer, ask, post_form
from calendarsync.grants.delegation import ask_as_delegate
from calendarsync.grants.delegation_keys import open_key
from calendarsync.grants.errors import GrantError
from calendarsync.grants.refreshing import GrantTokens, Tools
from calendarsync.grants.refusals import ended
from calendarsync.grants.registrations import GOOGLE, MICROSOFT, NAMES, is_registered, registration
from calendarsync.grants.storing import TokenSet, open_tokens
from calendarsync.net import HttpClient
from calendarsync.observability import get_logger
from calendarsync.providers.tokens import Access, Tokens
from calendarsync.secrets import Keyring, SecretError
from calendarsync.settings import Settings
from calendarsync.store.database import Database
from calendarsync.store.grant_tokens import GrantRecord, is_granted, load_delegation
from calendarsync.store.grants import drop_if_unused
from calendarsync.store.tenancy import Tenant

log = get_logger(__name__)


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
        self.sent = Counter[str]()
        """Calls that were sent to providers, by grant, until somebody takes them out."""
        self._tools = Tools(db, keyring, self._ask, self._now, self.sent)
        self._tokens: dict[str, GrantTokens] = {}

    def configured(self, provider: str) -> bool:
        """Whether this installation is registered with the provider: people can grant it access."""
        return is_registered(self._settings, provider)

    def tokens(self, grant_id: str) -> Tokens:
        """The tokens of a grant; nothing is looked up yet."""
        if grant_id not in self._tokens:
            self._tokens[grant_id] = GrantTokens(grant_id, self._tools)
        return self._tokens[grant_id]

    def access(self, provider: str, grant_id: str) -> Access:
        """What a calendar of a grant is opened with. Raises LookupError for a provider without grants."""
        urls = {GOOGLE: self._settings.google_api_url, MICROSOFT: self._settings.microsoft_api_url}
        if provider not in urls:
            raise LookupError(f"no grants of provider {provider!r}")
        return Access(self.tokens(grant_id), urls[provider])

    async def end_if_unused(self, tenant: Tenant, grant_id: str) -> None:
        """Drop a grant that no connection is read with any more, and give it back to the provider.

        What cannot be given back is left to run out. In no transaction.
        """
        async with self._db.write_as(tenant) as connection:
            dropped = await drop_if_unused(connection, tenant, grant_id)
        if dropped is not None:
            self._tokens.pop(grant_id, None)
            await self._give_back(dropped)

    async def _give_back(self, grant: RowMapping) -> None:
        """At Google, for whom nobody else here holds a grant: it ends all that the person has granted to us.

        developers.google.com/identity/protocols/oauth2/web-server, "Revoking a token". Microsoft has no such call,
        and an organisation's delegation is the organisation's to end.
        """
        if grant["provider"] != GOOGLE or grant["delegation_id"] is not None:
            return
        async with self._db.read() as db:
            if await is_granted(db, GOOGLE, grant["subject_hash"], grant["email"]):
                return
        try:
            tokens = open_tokens(self._keyring, grant["id"], grant["credentials_encrypted"])
            form = {"token": tokens.refresh_token or ""}
            url = f"{self._settings.google_token_url}/revoke"
            await post_form(self._http, NAMES[GOOGLE], url, form, now=self._now)
        except (GrantError, SecretError) as error:
            log.info("a grant was not given back", grant=grant["id"], reason=str(error))

    async def close(self) -> None:
        """Wait for the refreshes on their way: an answer that nobody stores would be a grant lost."""
        await asyncio.gather(*(each.close() for each in self._tokens.values()))

    async def _ask(self, record: GrantRecord, tokens: TokenSet) -> TokenAnswer:
        if record.delegation_id is not None:
            return await self._ask_as_delegate(record, record.delegation_id)
        registered = registration(self._settings, record.provider)
        form = {
            "grant_type": "refresh_token",
            "client_id": registered.client_id,
            "client_secret": registered.client_secret,
            "refresh_token": tokens.refresh_token or "",
        }
        answer = await ask(
            self._http, registered.name, registered.token_url, form, use="refresh", now=self._now
        )
        if answer.scopes is not None and registered.missing(answer.scopes):
            raise ended("missing_scope", registered.name)
        return answer

    async def _ask_as_delegate(self, record: GrantRecord, delegation_id: str) -> TokenAnswer:
        async with self._db.read() as db:
            sealed = await load_delegation(db, delegation_id)
        try:
            if sealed is None:  # it went since the grant, which goes with it, was read
                raise GrantError("expired", "The organisation's delegation has been removed here.")
            key = open_key(self._keyring, record.provider, delegation_id, sealed)
        except SecretError:
            raise GrantError(
                "misconfigured",
                "The delegation's key was encrypted with a secret that this installation does not have any more.",
            ) from None
        return await ask_as_delegate(self._http, self._settings, key, record.email, now=self._now)
