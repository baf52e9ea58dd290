"""What a key may do."""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    CONNECTIONS_READ = "connections:read"
    CONNECTIONS_WRITE = "connections:write"
    PAIRS_READ = "pairs:read"
    PAIRS_WRITE = "pairs:write"
    LOGS_READ = "logs:read"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"
    ACCOUNT_READ = "account:read"
    ACCOUNT_ADMIN = "account:admin"
    CONNECTIONS_DELEGATE = "connections:delegate"


DEFAULT_SCOPES: tuple[Scope, ...] = tuple(
    scope for scope in Scope if scope not in (Scope.ACCOUNT_ADMIN, Scope.CONNECTIONS_DELEGATE)
)


def parse_scopes(text: str) -> tuple[Scope, ...]:
    """Scopes separated by commas or spaces, each once. Raises ValueError naming one that does not exist."""
    names = dict.fromkeys(text.replace(",", " ").split())
    for name in names:
        if name not in set(Scope):
            raise ValueError(f'there is no scope "{name}"; there are {", ".join(Scope)}')
    if not names:
        raise ValueError("name at least one scope")
    return tuple(Scope(name) for name in names)
