"""What people and organisations have granted: OAuth 2.0 with Google and Microsoft (docs/decisions/oauth-flow)."""

from calendarsync.grants.delegation import delegated_grant, serves
from calendarsync.grants.delegation_keys import (
    Application,
    BadKeyError,
    DelegationKey,
    ServiceAccount,
    application,
    seal_key,
    service_account,
)
from calendarsync.grants.errors import GrantError
from calendarsync.grants.flow import Granted, authorization_url, new_verifier, redeem, refused
from calendarsync.grants.identity import Identity
from calendarsync.grants.service import Grants
from calendarsync.grants.storing import store_grant

__all__ = [
    "Application",
    "BadKeyError",
    "DelegationKey",
    "GrantError",
    "Granted",
    "Grants",
    "Identity",
    "ServiceAccount",
    "application",
    "authorization_url",
    "delegated_grant",
    "new_verifier",
    "redeem",
    "refused",
    "seal_key",
    "serves",
    "service_account",
    "store_grant",
]
