"""The model of Google Calendar: who may do what, attendees' copies, and the e-mails that nobody should get."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.testbed.google import Model
from tests.testbed.google_calling import Caller, at, got, meeting, refusal, weekly

SECOND = "20260309T090000Z"


@pytest.fixture
def ann(google_model: Model) -> Caller:
    return Caller(google_model)


@pytest.fixture
def bob(google_model: Model) -> Caller:
    return Caller(google_model)


def guests(*callers: Caller) -> list[dict[str, Any]]:
    return [{"email": each.account.email} for each in callers]


def test_calendars_of_others_are_not_there_until_they_are_shared(ann: Caller, bob: Caller) -> None:
    path = f"/calendars/{ann.account.email}/events"
    assert refusal(bob.ask("GET", path)) == (404, "notFound")
    ann.insert(summary="Open")
    ann.insert(summary="Secret", visibility="private")
    ann.model.share(ann.account.email, bob.account, "reader")
    shown = got(bob.ask("GET", path))
    assert shown["accessRole"] == "reader"
    assert [each.get("summary") for each in shown["items"]] == ["Open", None]
    assert refusal(bob.ask("POST", path, json=meeting())) == (403, "requiredAccessLevel")
    ann.model.share(ann.account.email, bob.account, "freeBusyReader")
    assert [each.get("summary") for each in got(bob.ask("GET", path))["items"]] == [None, None]
    ann.model.share(ann.account.email, bob.account, "writer")
    assert got(bob.ask("POST", path, json=meeting()))["creator"] == {"email": bob.account.email}
    ann.model.unshare(ann.account.email, bob.account)
    assert refusal(bob.ask("GET", path)) == (404, "notFound")


def test_a_token_is_good_until_it_is_rotated_or_revoked(ann: Caller) -> None:
    old = ann.account.token
    ann.account.rotate()
    assert refusal(ann.raw("GET", headers={"Authorization": f"Bearer {old}"})) == (401, "authError")
    assert ann.list() == []
    ann.account.revoke()
    assert refusal(ann.raw("GET")) == (401, "authError")


def test_a_grant_is_good_for_its_scopes_alone(ann: Caller) -> None:
    ann.account.restrict("calendar.events.readonly")
    assert ann.list() == []
    response = ann.raw("POST", json=meeting())
    assert refusal(response) == (403, "insufficientPermissions")
    assert response.json()["error"]["details"][0]["reason"] == "ACCESS_TOKEN_SCOPE_INSUFFICIENT"
    assert refusal(ann.ask("GET", "/users/me/calendarList")) == (403, "insufficientPermissions")


def test_an_invitation_lies_in_the_guests_calendar_seen_from_there(ann: Caller, bob: Caller) -> None:
    event = ann.insert(
        attendees=guests(ann, bob), extendedProperties={"private": {"a": "1"}, "shared": {"b": "2"}}
    )
    copy = bob.get(event["id"])
    assert event["organizer"]["self"] is True
    assert "self" not in copy["organizer"]
    assert copy["iCalUID"] == event["iCalUID"]
    assert copy["extendedProperties"] == {"shared": {"b": "2"}}
    seen = {each["email"]: (each.get("self"), each.get("organizer")) for each in copy["attendees"]}
    assert seen == {ann.account.email: (None, True), bob.account.email: (True, None)}


def test_an_answer_shows_in_every_copy_and_each_keeps_its_own_properties(ann: Caller, bob: Caller) -> None:
    event = ann.insert(attendees=guests(ann, bob))
    mine = [{"email": bob.account.email, "responseStatus": "accepted"}]
    bob.patch(event["id"], {"attendees": [*guests(ann), *mine], "transparency": "transparent"})
    answers = {each["email"]: each["responseStatus"] for each in ann.get(event["id"])["attendees"]}
    assert answers[bob.account.email] == "accepted"
    ann.patch(event["id"], {"summary": "Renamed"})
    copy = bob.get(event["id"])
    assert (copy["summary"], copy["transparency"]) == ("Renamed", "transparent")
    bob.delete(event["id"])
    answers = {each["email"]: each["responseStatus"] for each in ann.get(event["id"])["attendees"]}
    assert answers[bob.account.email] == "declined"


@pytest.mark.parametrize(
    "change",
    [
        {"start": at("2026-03-02 09:00")},
        {"recurrence": ["RRULE:FREQ=WEEKLY;COUNT=2"]},
        {"guestsCanModify": True},
        {"extendedProperties": {"shared": {"b": "3"}}},
    ],
    ids=["start", "recurrence", "guestsCanModify", "shared"],
)
def test_only_the_organizer_changes_what_all_share(ann: Caller, bob: Caller, change: dict[str, Any]) -> None:
    event = ann.insert(attendees=guests(bob))
    refused = bob.raw("PATCH", f"/{event['id']}", json=change)
    assert refusal(refused) == (403, "forbiddenForNonOrganizer")
    assert ann.patch(event["id"], change)["id"] == event["id"]


def test_a_guest_who_may_modify_does(ann: Caller, bob: Caller) -> None:
    event = ann.insert(attendees=guests(bob), guestsCanModify=True)
    assert bob.patch(event["id"], {"start": at("2026-03-02 09:00")})["start"]["dateTime"].startswith(
        "2026-03-02T09"
    )


def test_a_cancelled_or_withdrawn_invitation_is_deleted_at_the_guests(ann: Caller, bob: Caller) -> None:
    first, second = (ann.insert(attendees=guests(bob))["id"] for _ in range(2))
    ann.delete(first, params={"sendUpdates": "all"})
    ann.patch(second, {"attendees": []})
    assert bob.list() == []
    assert bob.get(first)["status"] == "cancelled"


def test_a_deletion_that_nobody_is_told_of_stays_with_the_guests(ann: Caller, bob: Caller) -> None:
    event = ann.insert(attendees=guests(bob))["id"]
    ann.delete(event, params={"sendUpdates": "none"})
    assert [each["status"] for each in bob.list()] == ["confirmed"]


def test_a_guest_of_one_instance_has_no_series(ann: Caller, bob: Caller) -> None:
    series = ann.insert(**weekly())["id"]
    ann.patch(f"{series}_{SECOND}", {"attendees": guests(bob)})
    [only] = bob.list()
    assert (only["id"], only["recurringEventId"]) == (f"{series}_{SECOND}", series)
    assert refusal(bob.raw("GET", f"/{series}")) == (404, "notFound")


def test_a_guest_of_a_series_sees_its_exceptions(ann: Caller, bob: Caller) -> None:
    series = ann.insert(**weekly(attendees=guests(bob)))["id"]
    ann.patch(f"{series}_{SECOND}", {"start": at("2026-03-09 08:00")})
    ann.delete(f"{series}_20260316T090000Z", params={"sendUpdates": "all"})
    theirs = [each["start"]["dateTime"][:16] for each in bob.instances(series)]
    assert theirs == ["2026-03-02T10:00", "2026-03-09T08:00", "2026-03-23T10:00", "2026-03-30T10:00"]


def test_a_guest_who_comes_later_sees_the_exceptions_too(ann: Caller, bob: Caller) -> None:
    series = ann.insert(**weekly())["id"]
    ann.patch(f"{series}_{SECOND}", {"attendees": guests(bob), "summary": "Changed"})
    bob.delete(f"{series}_{SECOND}")
    ann.delete(f"{series}_20260316T090000Z")
    ann.patch(series, {"attendees": guests(bob)})
    assert [each["summary"] for each in bob.instances(series)] == ["Meeting", "Changed", "Meeting", "Meeting"]


@pytest.mark.parametrize(
    ("wish", "mails"),
    [
        ({}, 0),
        ({"sendUpdates": "none"}, 0),
        ({"sendUpdates": "externalOnly"}, 3),
        ({"sendUpdates": "all"}, 6),
    ],
    ids=["default", "none", "externalOnly", "all"],
)
def test_guests_get_the_mails_that_a_client_asks_for(
    ann: Caller, bob: Caller, wish: dict[str, str], mails: int
) -> None:
    people = [*guests(bob), {"email": "stranger@elsewhere.example"}]
    event = got(ann.raw("POST", json=meeting(attendees=people), params=wish))
    ann.patch(event["id"], {"summary": "Renamed"}, params=wish)
    ann.delete(event["id"], params=wish)
    kinds = [each.kind for each in ann.model.mails]
    assert len(kinds) == mails
    assert set(kinds) == ({"invitation", "update", "cancellation"} if mails else set())


def consent(model: Model, email: str, **given: str) -> tuple[dict[str, str], str]:
    """What the consent page sends back for somebody, and the verifier of the request."""
    verifier = "v" * 43
    digest = hashlib.sha256(verifier.encode()).digest()
    asked = {
        "client_id": "app",
        "redirect_uri": "http://127.0.0.1:1/back",
        "response_type": "code",
        "scope": "openid email https://www.googleapis.com/auth/calendar.events",
        "state": "s1",
        "login_hint": email,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
        **given,
    }
    page = httpx.get(f"{model.url}/o/oauth2/v2/auth", params=asked, trust_env=False, verify=False)
    assert page.status_code == 302
    back = urlsplit(page.headers["Location"])
    assert back.path == "/back"
    return {name: values[0] for name, values in parse_qs(back.query).items()}, verifier


def token(model: Model, **form: str) -> tuple[int, dict[str, Any]]:
    response = httpx.post(f"{model.url}/token", data=form, trust_env=False, verify=False)
    return response.status_code, response.json()


def test_a_code_is_worth_tokens_once_and_to_who_knows_its_verifier(google_model: Model, ann: Caller) -> None:
    back, verifier = consent(google_model, ann.account.email)
    assert back["state"] == "s1"
    form = {"grant_type": "authorization_code", "redirect_uri": "http://127.0.0.1:1/back", "client_id": "app"}
    wrong, _ = consent(google_model, ann.account.email)
    assert (
        token(google_model, **form, code=wrong["code"], code_verifier="w" * 43)[1]["error"] == "invalid_grant"
    )
    status, given = token(google_model, **form, code=back["code"], code_verifier=verifier)
    assert (status, given["token_type"]) == (200, "Bearer")
    payload = given["id_token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert (claims["email"], claims["iss"], claims["aud"]) == (ann.account.email, google_model.url, "app")
    assert ann.raw("GET", headers={"Authorization": f"Bearer {given['access_token']}"}).status_code == 200
    assert token(google_model, **form, code=back["code"], code_verifier=verifier)[0] == 400


def test_a_refresh_token_is_good_until_the_grant_is_revoked(google_model: Model, ann: Caller) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": ann.account.refresh_token}
    old = ann.account.token
    assert token(google_model, **form)[1]["access_token"] == ann.account.token != old
    revoked = httpx.post(f"{google_model.url}/revoke", data={"token": old}, trust_env=False, verify=False)
    assert revoked.status_code == 200
    assert token(google_model, **form) == (
        400,
        {"error": "invalid_grant", "error_description": "Token has been expired or revoked."},
    )


def test_a_refresh_fails_as_it_is_ordered_to(google_model: Model, ann: Caller) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": ann.account.refresh_token}
    google_model.fail(400, reason="admin_policy_enforced", method="oauth.token")
    assert token(google_model, **form)[1]["error"] == "admin_policy_enforced"
    google_model.fail(503, method="oauth.token")
    assert token(google_model, **form)[0] == 503
    assert token(google_model, **form)[0] == 200


def test_consent_may_be_denied_and_permissions_left_out(google_model: Model, ann: Caller) -> None:
    google_model.habits.consent = "access_denied"
    assert consent(google_model, ann.account.email)[0] == {"error": "access_denied", "state": "s1"}
    google_model.habits.consent = "grant"
    google_model.habits.unticked = ("calendar.events",)
    assert consent(google_model, ann.account.email)[0]["scope"] == "openid email"


def test_a_service_account_speaks_for_people_where_it_may(google_model: Model, ann: Caller) -> None:
    claims = {"sub": ann.account.email, "scope": "https://www.googleapis.com/auth/calendar.events"}
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": f"e30.{body}.x"}
    given = token(google_model, **form)[1]
    assert ann.raw("GET", headers={"Authorization": f"Bearer {given['access_token']}"}).status_code == 200
    google_model.habits.delegation = "refuse"
    assert token(google_model, **form)[1]["error"] == "unauthorized_client"
