"""What a provider's refusal means, in our own words.

OAuth's `error` decides (RFC 6749 sections 4.1.2.1 and 5.2). Microsoft's numbers refine it; they "should never be
used by the client itself", says learn.microsoft.com/entra/identity-platform/reference-error-codes, for they may
change: one that is not known changes nothing. The provider's text is searched for them, and goes no further.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Literal

from calendarsync.grants.errors import GrantError, Kind

Use = Literal["authorize", "code", "refresh", "delegation"]
"""What was asked: a person's consent, tokens for a code, for a refresh token, for an organisation's key."""

_AGAIN = "Connect it anew to go on where it stood."
_DENIED = "Access was not granted. Open a new link, and agree to what {name} asks."
_CODE = "This sign-in took too long, or was used already. Open a new link, and sign in again."
_DEAD = f"The access that was granted at {{name}} has ended: it was withdrawn there, or ran out. {_AGAIN}"
_WITHDRAWN = "A permission was withdrawn at {name}. Connect it anew, with all boxes ticked."
_FORBIDDEN = (
    "The organisation of this account does not let its people use this installation. Its administrator has to "
    "allow it at {name}."
)
_BUSY = "{name} could not answer just now."
_OURS = (
    "{name} does not accept how this installation is registered. Whoever runs it has to check the client id, the "
    "client secret and the redirect address."
)
_CLOCK = "{name} finds the time of this server wrong. Whoever runs it has to set its clock."
_KEY = (
    "{name} does not accept the organisation's key. Its administrator has to set up the delegation anew, with a "
    "key that is valid."
)
_NOT_DELEGATED = (
    "The organisation has not allowed this at {name}: its administrator has to grant the delegation the calendar "
    "permissions for all of its people."
)
_UNKNOWN_USER = "{name} knows no such person in the organisation of the delegation."

_BY_ERROR: Mapping[str, tuple[Kind, str]] = {
    "access_denied": ("denied", _DENIED),
    "admin_policy_enforced": ("app_forbidden", _FORBIDDEN),
    "org_internal": ("app_forbidden", _FORBIDDEN),
    "consent_required": ("expired", _DEAD),
    "interaction_required": ("expired", _DEAD),
    "login_required": ("expired", _DEAD),
    "invalid_grant": ("expired", _DEAD),
    "server_error": ("provider_unavailable", _BUSY),
    "temporarily_unavailable": ("provider_unavailable", _BUSY),
}
_BY_USE: Mapping[Use, Mapping[str, tuple[Kind, str]]] = {
    "authorize": {},
    "code": {"invalid_grant": ("code_used", _CODE)},
    # Nobody is asked there: who denies is the organisation.
    "refresh": {"access_denied": ("app_forbidden", _FORBIDDEN)},
    "delegation": {
        "invalid_grant": ("misconfigured", _KEY),
        "invalid_client": ("misconfigured", _KEY),
        "unauthorized_client": ("app_forbidden", _NOT_DELEGATED),
        "access_denied": ("app_forbidden", _NOT_DELEGATED),
        "admin_policy_enforced": ("app_forbidden", _NOT_DELEGATED),
    },
}

_PASSWORD = (
    f"The password was changed, or an administrator ended all sign-ins, since access was granted. {_AGAIN}"
)
_IDLE = f"The access that was granted has run out, for it was not used for too long. {_AGAIN}"
_FREQUENCY = f"The organisation asks its people to sign in from time to time, and it is time. {_AGAIN}"
_PROOF = f"The organisation asks for a second proof of who signs in. {_AGAIN}"
_DISABLED = "The account is disabled. Its administrator can enable it; then connect it anew."
_POLICY = (
    "A policy of the organisation keeps this installation out (Conditional Access). Its administrator has to allow "
    "it."
)
_ASSIGN = (
    "The organisation lets only some of its people use this installation. Its administrator has to add you."
)
_ADMIN_CONSENT = (
    "The organisation lets its people grant this only with an administrator's approval. Ask the administrator to "
    "approve it at Microsoft, then open a new link."
)
_CONSENT = f"The consent was withdrawn at Microsoft. {_AGAIN}"
_STALE = (
    "Microsoft does not accept the client secret of this installation: it is wrong or has run out. Whoever runs it "
    "has to make a new one."
)
_SINGLE = (
    "This installation is registered at Microsoft for one organisation alone. Whoever runs it has to put that "
    "organisation's id behind the address in CALENDARSYNC_MICROSOFT_AUTH_URL, or register it for all."
)
_REDIRECT = (
    "The redirect address of this installation is not the one that is registered at Microsoft. Whoever runs it has "
    "to enter it there."
)
_TENANT = (
    "Microsoft knows no such organisation. The delegation has to be set up anew, with the right tenant id."
)

_BY_NUMBER: Mapping[int, tuple[Kind, str]] = {
    **dict.fromkeys((50132, 50133, 50173), ("expired", _PASSWORD)),
    **dict.fromkeys((70008, 700082), ("expired", _IDLE)),
    70043: ("expired", _FREQUENCY),
    **dict.fromkeys((50072, 50074, 50076, 50078, 50079), ("expired", _PROOF)),
    50057: ("expired", _DISABLED),
    **dict.fromkeys((50105,), ("app_forbidden", _ASSIGN)),
    **dict.fromkeys((53000, 53001, 53002, 53003, 530035), ("app_forbidden", _POLICY)),
    **dict.fromkeys((50002, 500021, 500022, 500212, 500213, 70001), ("app_forbidden", _FORBIDDEN)),
    **dict.fromkeys((90094, 90095), ("app_forbidden", _ADMIN_CONSENT)),
    65004: ("denied", _DENIED),
    54005: ("code_used", _CODE),
    **dict.fromkeys((70002, 7000215, 7000222), ("misconfigured", _STALE)),
    **dict.fromkeys((700011, 700016), ("misconfigured", _OURS)),
    50194: ("misconfigured", _SINGLE),
    50011: ("misconfigured", _REDIRECT),
    # Of these Microsoft says that they pass.
    **dict.fromkeys((50033, 50087, 70012, 90006, 90012), ("provider_unavailable", _BUSY)),
}
_BY_NUMBER_OF: Mapping[Use, Mapping[int, tuple[Kind, str]]] = {
    # A code that is too old is reported as a refresh token would be.
    "code": dict.fromkeys((70000, 70008, 700082), ("code_used", _CODE)),
    "authorize": {65001: ("app_forbidden", _ADMIN_CONSENT)},
    "refresh": {65001: ("expired", _CONSENT)},
    "delegation": {
        65001: ("app_forbidden", _NOT_DELEGATED),
        700024: ("clock", _CLOCK),
        90002: ("misconfigured", _TENANT),
        **dict.fromkeys(
            (50012, 70002, 700011, 700016, 700027, 700030, 7000215, 7000222), ("misconfigured", _KEY)
        ),
    },
}
_NUMBER = re.compile(r"AADSTS(\d{4,9})")


def refusal(
    provider_name: str,
    error: str,
    *,
    use: Use,
    description: str = "",
    numbers: Collection[int] = (),
    subtype: str = "",
    clock_is_off: bool = False,
) -> GrantError:
    """The error for an answer of the provider with `error` in it.

    `numbers` are Microsoft's `error_codes`, `subtype` Google's `error_subtype`. `clock_is_off`: the answer is dated
    far from our time, which makes the times that we have signed the likely reason.
    """
    kind, message = _meaning(error, use, description, numbers, subtype, clock_is_off=clock_is_off)
    return GrantError(kind, message.format(name=provider_name))


def _meaning(
    error: str,
    use: Use,
    description: str,
    numbers: Collection[int],
    subtype: str,
    *,
    clock_is_off: bool,
) -> tuple[Kind, str]:
    found = [*numbers, *(int(each) for each in _NUMBER.findall(description))]
    for number in found:
        for known in (_BY_NUMBER_OF.get(use, {}), _BY_NUMBER):
            if number in known:
                return known[number]
    if use == "delegation" and error in ("invalid_grant", "invalid_client"):
        # developers.google.com/identity/protocols/oauth2/service-account, "JWT error codes".
        text = description.lower()
        if clock_is_off or "iat and exp" in text or "reasonable timeframe" in text:
            return "clock", _CLOCK
        if "email" in text or "user id" in text:
            return "unknown_user", _UNKNOWN_USER
    if subtype == "invalid_rapt":
        return "expired", _FREQUENCY
    return _BY_USE[use].get(error) or _BY_ERROR.get(error) or ("misconfigured", _OURS)


def ended(kind: str, provider_name: str) -> GrantError:
    """What was found out of a grant before, by the `kind` of the error that ended it."""
    known: Mapping[str, tuple[Kind, str]] = {
        "missing_scope": ("missing_scope", _WITHDRAWN),
        "app_forbidden": ("app_forbidden", _FORBIDDEN),
        "unknown_user": ("unknown_user", _UNKNOWN_USER),
    }
    found, message = known.get(kind, ("expired", _DEAD))
    return GrantError(found, message.format(name=provider_name))


def busy(provider_name: str, *, retry_after: float | None = None) -> GrantError:
    """No answer that says anything of the grant."""
    return GrantError("provider_unavailable", _BUSY.format(name=provider_name), retry_after=retry_after)


def wrong_clock(provider_name: str) -> GrantError:
    return GrantError("clock", _CLOCK.format(name=provider_name))


def text_of(answer: Mapping[str, Any], key: str) -> str:
    value = answer.get(key)
    return value if isinstance(value, str) else ""


def numbers_of(answer: Mapping[str, Any]) -> list[int]:
    codes = answer.get("error_codes")
    return [code for code in codes if isinstance(code, int)] if isinstance(codes, list) else []
