"""The access tokens of one grant, refreshed by one worker at a time (docs/decisions/oauth-flow.md)."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from calendarsync.grants.asking import TIMEOUT_SECONDS, TokenAnswer
from calendarsync.grants.errors import GrantError
from calendarsync.grants.refusals import ended
from calendarsync.grants.registrations import NAMES
from calendarsync.grants.storing import TokenSet, open_tokens, seal_tokens
from calendarsync.providers.base import NotAuthorized, Unavailable, Unreachable
from calendarsync.secrets import Keyring, SecretError
from calendarsync.store import grant_tokens as store
from calendarsync.store.database import Database
from calendarsync.store.errors import DatabaseUnavailable
from calendarsync.store.grant_tokens import GrantRecord
from calendarsync.store.grants import ACTIVE

LEASE = timedelta(seconds=60)
"""Longer than any question takes, until its answer is stored: where a lease lapses, a worker has died."""

WAIT_SECONDS = LEASE.total_seconds() + 10
"""How long somebody waits for another worker's refresh. Past the lease's end they refresh themselves."""

_LOOK_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0)
_WRITE_AGAIN_SECONDS = (0.0, 0.1, 0.4, 1.5)
_NEEDED = timedelta(seconds=TIMEOUT_SECONDS + 20)

Ask = Callable[[GrantRecord, TokenSet], Awaitable[TokenAnswer]]
"""Asks the provider for new tokens. Raises GrantError."""


@dataclass(frozen=True, slots=True)
class Tools:
    db: Database
    keyring: Keyring
    ask: Ask
    now: Callable[[], datetime]
    sent: Counter[str] = field(default_factory=Counter)
    """Calls that were sent, by grant, until somebody takes them out."""


class GrantTokens:
    """Follows providers.tokens.Tokens.

    A refresh is a task of its own: whoever waits for it may be cancelled, it goes on until its answer is stored.
    """

    def __init__(self, grant_id: str, tools: Tools) -> None:
        self.grant = grant_id
        self.user: str | None = None
        self._tools = tools
        self._held = TokenSet()
        self._refresh: asyncio.Task[TokenSet] | None = None
        self._unwritten: tuple[int, TokenSet] | None = None

    def __repr__(self) -> str:
        return f"GrantTokens({self.grant})"

    async def access_token(self, *, rejected: str | None = None) -> str:
        """See providers.tokens.Tokens."""
        while not self._serves(rejected):
            mine = self._refresh is None or self._refresh.done()
            if mine:
                self._refresh = asyncio.create_task(self._renew(rejected))
                self._refresh.add_done_callback(_look_at)
            assert self._refresh is not None
            self._held = await asyncio.shield(self._refresh)
            if mine:
                break
        assert self._held.access_token is not None
        return self._held.access_token

    def sent(self, calls: int) -> None:
        """See providers.tokens.Tokens."""
        self._tools.sent[self.grant] += calls

    def _serves(self, rejected: str | None) -> bool:
        # The time is not known before the database has been used, as it is by whoever fetched a token.
        return self._held.access_token is not None and self._held.serves(self._tools.now(), rejected)

    async def close(self) -> None:
        """Wait until the refresh that is on its way, if any, is stored."""
        if self._refresh is not None:
            await asyncio.gather(self._refresh, return_exceptions=True)
        with suppress(Unavailable):
            await self._write_what_is_not_yet()

    async def _renew(self, rejected: str | None) -> TokenSet:
        """Tokens that serve: the stored ones, else new ones."""
        try:
            return await self._stored_or_new(rejected)
        except DatabaseUnavailable:
            raise Unavailable("Our own database did not answer while the grant was refreshed.") from None

    async def _stored_or_new(self, rejected: str | None) -> TokenSet:
        started, looks = time.monotonic(), iter(_LOOK_SECONDS)
        while True:
            await self._write_what_is_not_yet()
            record = await self._load()
            tokens = self._open(record)
            now = self._tools.now()
            if tokens.serves(now, rejected):
                return tokens
            if record.is_free(now):
                renewed = await self._spend(record, tokens, now)
                if renewed is not None:
                    return renewed
            if time.monotonic() - started > WAIT_SECONDS:
                raise Unavailable("Another process of ours refreshes the grant, and does not come to an end.")
            await asyncio.sleep(next(looks, _LOOK_SECONDS[-1]))

    async def _spend(self, record: GrantRecord, tokens: TokenSet, now: datetime) -> TokenSet | None:
        """New tokens, under a lease; None where another was quicker, and the row says what holds."""
        until = now + LEASE
        async with self._tools.db.write() as db:
            leased = await store.lease(db, self.grant, record.generation, now, until)
        if not leased or self._tools.now() > until - _NEEDED:
            return None  # this process stood still since it took the lease, if it has one
        try:
            answer = await self._tools.ask(record, tokens)
        except GrantError as error:
            async with self._tools.db.write() as db:
                if error.is_death:
                    died = await store.note_death(db, self.grant, record.generation, error.kind)
                else:
                    died = True
                    await store.give_back(db, self.grant, record.generation, until)
            if not died:
                return None  # somebody has granted anew, or refreshed after our lease had lapsed
            raise error.as_provider_error() from None
        renewed = TokenSet(
            answer.access_token, answer.usable_until, answer.refresh_token or tokens.refresh_token
        )
        self._unwritten = record.generation, renewed
        # Only what is stored is used: a refresh token that is lost after its access token was used is a grant lost.
        return renewed if await self._write_what_is_not_yet() else None

    async def _write_what_is_not_yet(self) -> bool:
        """Store the answer that could not be stored so far; False where there is none, or it came too late."""
        if self._unwritten is None:
            return False
        generation, tokens = self._unwritten
        sealed = seal_tokens(self._tools.keyring, self.grant, tokens)
        for pause in _WRITE_AGAIN_SECONDS:
            await asyncio.sleep(pause)
            try:
                async with self._tools.db.write() as db:
                    written = await store.write_tokens(db, self.grant, generation, sealed)
            except (DatabaseUnavailable, SQLAlchemyError):
                continue
            self._unwritten = None
            return written
        raise Unavailable(
            "Our own database did not take the grant's new tokens; they are kept until it does."
        )

    async def _load(self) -> GrantRecord:
        async with self._tools.db.read() as db:
            record = await store.load_grant(db, self.grant)
        if record is None:
            raise NotAuthorized("What was granted is there no more. Connect it anew.")
        if record.status != ACTIVE:
            raise ended(record.status, NAMES[record.provider]).as_provider_error()
        if record.delegation_id is not None and record.provider == "microsoft":
            self.user = record.email
        return record

    def _open(self, record: GrantRecord) -> TokenSet:
        try:
            return open_tokens(self._tools.keyring, record.id, record.credentials_encrypted)
        except SecretError:
            raise Unreachable(
                "The grant's tokens were encrypted with a secret that this installation does not have any more. "
                "Connect it anew."
            ) from None


def _look_at(task: asyncio.Task[TokenSet]) -> None:
    """Everybody who waited may be gone: then asyncio is not to complain of an error that nobody saw."""
    if not task.cancelled():
        task.exception()
