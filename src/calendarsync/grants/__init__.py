"""What people and organisations have granted: OAuth 2.0 with Google and Microsoft (docs/decisions/oauth-flow)."""

from calendarsync.grants.errors import GrantError
from calendarsync.grants.service import Grants

__all__ = ["GrantError", "Grants"]
