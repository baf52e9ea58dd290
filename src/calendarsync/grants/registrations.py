"""As what this installation is registered with Google and Microsoft, and where and for what it asks there.

Google: developers.google.com/identity/protocols/oauth2/web-server, and for the scopes that a method needs the
discovery document of calendar v3. `calendar.events` covers all of `events`, its `watch`, and `channels.stop`;
`calendar.calendarlist.readonly` covers `calendarList.list`.
Microsoft: learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow, and the permissions reference of
Graph. A scope without a resource is Graph's, so that it holds in each national cloud.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from calendarsync.grants.errors import GrantError
from calendarsync.settings import PREFIX, Settings

GOOGLE, MICROSOFT = "google", "microsoft"
NAMES = {GOOGLE: "Google", MICROSOFT: "Microsoft"}

GOOGLE_SCOPES = (
    "https://www.googleapis.com/auth/calendar.events",
    "https://www.googleapis.com/auth/calendar.calendarlist.readonly",
)
MICROSOFT_SCOPES = ("Calendars.ReadWrite", "User.Read")


@dataclass(frozen=True, slots=True)
class Registration:
    """`needed` are the scopes without which nothing works, of all that are `asked` for."""

    provider: str
    client_id: str
    client_secret: str = field(repr=False)
    authorize_url: str
    token_url: str
    issuer: str
    asked: tuple[str, ...]
    needed: tuple[str, ...]

    @property
    def name(self) -> str:
        return NAMES[self.provider]

    def missing(self, granted: Iterable[str]) -> tuple[str, ...]:
        """What is needed and not among the scopes of a token."""
        held = {_scope(each) for each in granted}
        return tuple(each for each in self.needed if _scope(each) not in held)


def is_registered(settings: Settings, provider: str) -> bool:
    return all(_client(settings, provider))


def registration(settings: Settings, provider: str) -> Registration:
    """Raises GrantError where the installation is not registered there; LookupError for another provider."""
    client_id, client_secret = _client(settings, provider)
    if provider not in NAMES:
        raise LookupError(f"no grants of provider {provider!r}")
    if not client_id or not client_secret:
        prefix = f"{PREFIX}{provider.upper()}"
        raise GrantError(
            "misconfigured",
            f"This installation is not registered with {NAMES[provider]}: whoever runs it has to set "
            f"{prefix}_CLIENT_ID and {prefix}_CLIENT_SECRET.",
        )
    if provider == GOOGLE:
        return Registration(
            provider,
            client_id,
            client_secret,
            authorize_url=f"{settings.google_auth_url}/o/oauth2/v2/auth",
            token_url=google_token_url(settings),
            issuer=settings.google_auth_url,
            asked=("openid", "email", *GOOGLE_SCOPES),
            needed=GOOGLE_SCOPES,
        )
    authority = microsoft_authority(settings)
    return Registration(
        provider,
        client_id,
        client_secret,
        authorize_url=f"{authority}/oauth2/v2.0/authorize",
        token_url=f"{authority}/oauth2/v2.0/token",
        issuer=_origin(settings.microsoft_auth_url),
        asked=("openid", "email", "profile", "offline_access", *MICROSOFT_SCOPES),
        needed=("Calendars.ReadWrite",),
    )


def google_token_url(settings: Settings) -> str:
    return f"{settings.google_token_url}/token"


def microsoft_authority(settings: Settings, tenant: str | None = None) -> str:
    """The base of the endpoints of a tenant: an organisation's id or domain.

    By default the one that stands in the setting, as for an app that is registered for a single organisation, else
    `common`, which takes work, school and personal accounts.
    """
    if tenant is None and urlsplit(settings.microsoft_auth_url).path:
        return settings.microsoft_auth_url
    return f"{_origin(settings.microsoft_auth_url)}/{tenant or 'common'}"


def _client(settings: Settings, provider: str) -> tuple[str | None, str | None]:
    client_id, secret = {
        GOOGLE: (settings.google_client_id, settings.google_client_secret),
        MICROSOFT: (settings.microsoft_client_id, settings.microsoft_client_secret),
    }.get(provider, (None, None))
    return client_id, secret.get_secret_value() if secret is not None else None


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _scope(text: str) -> str:
    """Microsoft writes a scope with its resource or without, in any case; Google's are whole addresses."""
    return text.rsplit("/", 1)[-1].lower()
