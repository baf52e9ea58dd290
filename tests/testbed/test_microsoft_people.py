"""The model of Graph: who may do what."""

from __future__ import annotations

import httpx
import pytest

from tests.testbed.graph_checks.kit import Graph, event, is_error
from tests.testbed.microsoft import Model


def as_another(model: Model, token: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=f"{model.url}/v1.0", headers=headers, trust_env=False)


def test_somebody_elses_mailbox_is_closed(microsoft_model: Model, graph: Graph) -> None:
    made = graph.make()
    other = microsoft_model.account()
    with as_another(microsoft_model, other.token) as bob:
        is_error(bob.get(f"/me/events/{made['id']}"), 404, "ErrorItemNotFound")
        owner = graph.get("/me").json()["id"]
        for path in ("events", "calendars", "mailboxSettings"):
            is_error(bob.get(f"/users/{owner}/{path}"), 403, "ErrorAccessDenied")
        is_error(bob.get("/users/nobody@example.com/events"), 404, "Request_ResourceNotFound")


def test_an_application_reaches_every_mailbox_and_has_none_of_its_own(
    microsoft_model: Model, graph: Graph
) -> None:
    made, owner = graph.make(), graph.get("/me").json()["mail"]
    with as_another(microsoft_model, microsoft_model.application()) as application:
        assert application.get(f"/users/{owner}/events/{made['id']}").status_code == 200
        changed = application.patch(f"/users/{owner}/events/{made['id']}", json={"subject": "Other"})
        assert changed.json()["subject"] == "Other"
        is_error(application.get("/me/events"), 400)


def test_a_shared_calendar_is_in_both_lists_and_may_be_read_alone(
    microsoft_model: Model, graph: Graph
) -> None:
    made, other = graph.make(), microsoft_model.account()
    microsoft_model.share(graph.calendar, other, can_edit=False)
    with as_another(microsoft_model, other.token) as bob:
        (row,) = [
            row for row in bob.get("/me/calendars").json()["value"] if row["owner"]["address"] != other.email
        ]
        assert row["canEdit"] is False
        events = f"/me/calendars/{row['id']}/events"
        assert [one["id"] for one in bob.get(events).json()["value"]] == [made["id"]]
        is_error(bob.post(events, json=event()), 403, "ErrorAccessDenied")
        is_error(bob.delete(f"/me/events/{made['id']}"), 403, "ErrorAccessDenied")
        theirs = f"/users/{row['owner']['address']}"
        assert bob.get(f"{theirs}/events/{made['id']}").status_code == 200
        is_error(bob.get(f"{theirs}/calendar/events"), 403, "ErrorAccessDenied")
        microsoft_model.unshare(graph.calendar, other)
        is_error(bob.get(events), 404, "ErrorItemNotFound")


def test_a_calendar_becomes_read_only_and_goes(microsoft_model: Model, graph: Graph) -> None:
    microsoft_model.set_read_only(graph.calendar)
    assert graph.get(f"/me/calendars/{graph.calendar}").json()["canEdit"] is False
    is_error(graph.post(), 403, "ErrorAccessDenied")
    microsoft_model.remove_calendar(graph.calendar)
    is_error(graph.get(graph.events), 404, "ErrorItemNotFound")


def test_a_mailbox_without_a_licence(microsoft_model: Model) -> None:
    account = microsoft_model.account()
    microsoft_model.set_licensed(account, licensed=False)
    with as_another(microsoft_model, account.token) as ann:
        assert ann.get("/me").json()["mail"] == account.email
        is_error(ann.get("/me/calendars"), 404, "MailboxNotEnabledForRESTAPI")


@pytest.mark.parametrize(
    ("scopes", "method", "path", "code"),
    [
        ({"Calendars.Read"}, "POST", "/me/events", "ErrorAccessDenied"),
        ({"User.Read"}, "GET", "/me/calendars", "ErrorAccessDenied"),
        ({"Calendars.ReadWrite"}, "GET", "/me/mailboxSettings", "ErrorAccessDenied"),
        ({"Calendars.ReadWrite"}, "GET", "/me", "Authorization_RequestDenied"),
    ],
    ids=["write", "read", "settings", "user"],
)
def test_a_scope_that_was_not_granted(
    microsoft_model: Model, scopes: set[str], method: str, path: str, code: str
) -> None:
    account = microsoft_model.account(scopes=frozenset(scopes))
    with as_another(microsoft_model, account.token) as ann:
        is_error(ann.request(method, path, json=event() if method == "POST" else None), 403, code)
        microsoft_model.narrow(
            account, frozenset({"Calendars.ReadWrite.Shared", "MailboxSettings.Read", "User.Read"})
        )
        allowed = ann.request(method, path, json=event() if method == "POST" else None)
        assert allowed.status_code in (200, 201)


def test_a_token_is_revoked_or_replaced(microsoft_model: Model) -> None:
    account = microsoft_model.account()
    old, new = account.token, microsoft_model.rotate(account)
    for token, status in ((old, 401), (new, 200)):
        with as_another(microsoft_model, token) as ann:
            assert ann.get("/me").status_code == status
    microsoft_model.revoke(account)
    with as_another(microsoft_model, new) as ann:
        refused = ann.get("/me")
        is_error(refused, 401, "InvalidAuthenticationToken")
        assert refused.headers["WWW-Authenticate"].startswith("Bearer")


def test_paths_that_are_nobodys(microsoft_model: Model, graph: Graph) -> None:
    is_error(graph.get("/me/nothing"), 400)
    is_error(graph.http.put(f"/me/events/{graph.make()['id']}", json={}), 405)
    is_error(graph.http.get(f"{microsoft_model.url}/beta/me"), 400)
    is_error(graph.get("/me/events/AAMkADnothing"), 400, "ErrorInvalidIdMalformed")
    assert graph.get(f"/me/calendars('{graph.calendar}')/events").status_code == 200
