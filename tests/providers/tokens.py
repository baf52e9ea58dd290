"""The tokens of a grant, for tests of what is read and written with them."""

from __future__ import annotations

from typing import Protocol


class Account(Protocol):
    """Somebody at a model of a provider, and a token that it takes at this moment."""

    @property
    def token(self) -> str: ...

    @property
    def email(self) -> str: ...


class GrantTokens:
    """Got from the model without OAuth. `asked`: the tokens that were rejected; `calls`: how many were sent."""

    def __init__(self, account: Account, *, user: str | None = None) -> None:
        self.asked: list[str | None] = []
        self.calls = 0
        self.token = account.token
        self.user = user
        self._account = account

    @property
    def grant(self) -> str:
        return self._account.email

    async def access_token(self, *, rejected: str | None = None) -> str:
        self.asked.append(rejected)
        if rejected is not None:
            self.token = self._account.token
        return self.token

    def sent(self, calls: int) -> None:
        self.calls += calls
