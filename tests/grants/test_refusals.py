"""What providers' refusals mean, and that their own words go no further."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calendarsync.grants import GrantError, refused
from calendarsync.grants.refusals import Use, refusal
from calendarsync.providers.base import AppForbidden, MissingScope, NotAuthorized, RateLimited, Unavailable


@pytest.mark.parametrize(
    ("use", "error", "number", "kind", "says"),
    [
        ("authorize", "access_denied", None, "denied", "agree"),
        ("authorize", "access_denied", 65004, "denied", "agree"),
        ("authorize", "access_denied", 90094, "app_forbidden", "administrator's approval"),
        ("authorize", "consent_required", 65001, "app_forbidden", "administrator's approval"),
        ("authorize", "access_denied", 50105, "app_forbidden", "only some of its people"),
        ("authorize", "admin_policy_enforced", None, "app_forbidden", "administrator has to allow"),
        ("authorize", "org_internal", None, "app_forbidden", "administrator has to allow"),
        ("authorize", "unauthorized_client", 50194, "misconfigured", "MICROSOFT_AUTH_URL"),
        ("authorize", "invalid_request", 50011, "misconfigured", "redirect address"),
        ("authorize", "server_error", None, "provider_unavailable", "just now"),
        ("authorize", "temporarily_unavailable", None, "provider_unavailable", "just now"),
        ("authorize", "", None, "misconfigured", "registered"),
        ("code", "invalid_grant", None, "code_used", "new link"),
        ("code", "invalid_grant", 54005, "code_used", "new link"),
        ("code", "invalid_grant", 70008, "code_used", "new link"),
        ("code", "invalid_client", 7000215, "misconfigured", "client secret"),
        ("code", "invalid_client", 7000222, "misconfigured", "client secret"),
        ("code", "redirect_uri_mismatch", None, "misconfigured", "redirect address"),
        ("refresh", "invalid_grant", None, "expired", "anew"),
        ("refresh", "invalid_grant", 70008, "expired", "not used for too long"),
        ("refresh", "invalid_grant", 700082, "expired", "not used for too long"),
        ("refresh", "invalid_grant", 70043, "expired", "from time to time"),
        ("refresh", "invalid_grant", 50173, "expired", "password was changed"),
        ("refresh", "invalid_grant", 50057, "expired", "disabled"),
        ("refresh", "invalid_grant", 65001, "expired", "consent was withdrawn"),
        ("refresh", "interaction_required", 50079, "expired", "second proof"),
        ("refresh", "invalid_grant", 53003, "app_forbidden", "Conditional Access"),
        ("refresh", "access_denied", None, "app_forbidden", "administrator has to allow"),
        ("refresh", "invalid_grant", 99999, "expired", "anew"),
        ("refresh", "unknown", 99999, "misconfigured", "registered"),
        ("delegation", "invalid_client", 7000215, "misconfigured", "key"),
        ("delegation", "invalid_client", 700027, "misconfigured", "key"),
        ("delegation", "invalid_client", 700024, "clock", "set its clock"),
        ("delegation", "unauthorized_client", None, "app_forbidden", "grant the delegation"),
        ("delegation", "access_denied", None, "app_forbidden", "grant the delegation"),
        ("delegation", "invalid_grant", None, "misconfigured", "key"),
        ("delegation", "invalid_request", 90002, "misconfigured", "no such organisation"),
    ],
)
def test_each_refusal_has_its_own_word(
    use: Use, error: str, number: int | None, kind: str, says: str
) -> None:
    by_number = refusal("Microsoft", error, use=use, numbers=[number] if number else [])
    described = f"AADSTS{number}: canary-in-a-description." if number else "canary-in-a-description"
    by_text = refusal("Microsoft", error, use=use, description=described)
    for found in (by_number, by_text):
        assert found.kind == kind
        assert says in found.message
        assert "canary" not in found.message
        assert "{" not in found.message


@pytest.mark.parametrize(
    ("description", "kind"),
    [
        ("Invalid JWT: Token must be a short-lived token … Check your iat and exp values", "clock"),
        ("Invalid JWT: … in a reasonable timeframe.", "clock"),
        ("Invalid email or User ID", "unknown_user"),
        ("Not a valid email or user ID.", "unknown_user"),
        ("Invalid JWT Signature.", "misconfigured"),
        ("", "misconfigured"),
    ],
)
def test_google_tells_in_words_what_is_wrong_with_an_assertion(description: str, kind: str) -> None:
    assert refusal("Google", "invalid_grant", use="delegation", description=description).kind == kind


def test_an_answer_from_another_time_tells_that_the_clock_is_off() -> None:
    assert refusal("Google", "invalid_grant", use="delegation", clock_is_off=True).kind == "clock"
    assert refusal("Google", "invalid_grant", use="refresh", clock_is_off=True).kind == "expired"


@pytest.mark.parametrize(
    ("kind", "error", "dead"),
    [
        ("denied", NotAuthorized, True),
        ("code_used", NotAuthorized, True),
        ("expired", NotAuthorized, True),
        ("unknown_user", NotAuthorized, True),
        ("missing_scope", MissingScope, True),
        ("app_forbidden", AppForbidden, True),
        ("misconfigured", Unavailable, False),
        ("clock", Unavailable, False),
        ("provider_unavailable", Unavailable, False),
        ("rate_limited", RateLimited, False),
    ],
)
def test_only_what_is_the_grants_own_end_is_one(kind: str, error: type[Exception], dead: bool) -> None:
    found = GrantError(kind, "a message", retry_after=7)  # type: ignore[arg-type]
    assert found.is_death is dead
    raised = found.as_provider_error()
    assert type(raised) is error
    assert (raised.message, raised.retry_after) == ("a message", 7)


@given(st.dictionaries(st.sampled_from(["error", "error_description", "state", "code"]), st.text()))
def test_whatever_a_person_comes_back_with_is_answered(parameters: dict[str, str]) -> None:
    assert refused("microsoft", parameters).message
