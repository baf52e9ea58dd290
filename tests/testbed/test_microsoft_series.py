"""The model of Graph: what becomes of events and series that are written, moved and deleted."""

from __future__ import annotations

from typing import Any

import pytest

from tests.testbed.graph_checks.kit import BERLIN, Graph, event, is_error
from tests.testbed.microsoft import Model

GUEST = {"emailAddress": {"address": "bob@example.com", "name": "Bob"}, "type": "required"}


def whole(graph: Graph, event_id: str) -> dict[str, Any]:
    select = "subject,recurrence,exceptionOccurrences,cancelledOccurrences"
    return graph.read(event_id, _select=select, _expand="exceptionOccurrences")


def cut(graph: Graph, series: dict[str, Any]) -> None:
    """Its second instance renamed, its third deleted."""
    found = graph.instances(series["id"])
    graph.patch(found[1]["id"], subject="Other")
    graph.delete(found[2]["id"])


# Days


@pytest.mark.parametrize(
    ("start", "pattern", "days"),
    [
        ("2026-01-31", {"type": "absoluteMonthly", "dayOfMonth": 31}, ["01-31", "02-28", "03-31", "04-30"]),
        (
            "2024-02-29",
            {"type": "absoluteYearly", "dayOfMonth": 29, "month": 2},
            ["02-29", "02-28", "02-28", "02-28"],
        ),
        (
            "2026-03-04",
            {
                "type": "weekly",
                "interval": 2,
                "daysOfWeek": ["sunday", "wednesday"],
                "firstDayOfWeek": "monday",
            },
            ["03-04", "03-08", "03-18", "03-22"],
        ),
        (
            "2026-03-04",
            {
                "type": "weekly",
                "interval": 2,
                "daysOfWeek": ["sunday", "wednesday"],
                "firstDayOfWeek": "sunday",
            },
            ["03-04", "03-15", "03-18", "03-29"],
        ),
        (
            "2026-03-02",
            {"type": "relativeMonthly", "daysOfWeek": ["saturday", "sunday"], "index": "last"},
            ["03-29", "04-26", "05-31", "06-28"],
        ),
        (
            "2026-03-02",
            {"type": "absoluteMonthly", "interval": 2, "dayOfMonth": 1},
            ["04-01", "06-01", "08-01", "10-01"],
        ),
    ],
    ids=[
        "31st",
        "29 February",
        "week from Monday",
        "week from Sunday",
        "last of weekend",
        "1st after the start",
    ],
)
def test_days_of_patterns(graph: Graph, start: str, pattern: dict[str, Any], days: list[str]) -> None:
    made = graph.series(start, **pattern)
    found = graph.days(made["id"], start=start, end="2029-01-01" if start > "2025" else "2028-06-01")
    assert [day[5:] for day in found] == days
    assert made["recurrence"]["range"]["startDate"] == made["start"]["dateTime"][:10] == found[0]


def test_dates_of_a_range_are_in_its_own_zone(graph: Graph) -> None:
    span = {"type": "numbered", "numberOfOccurrences": 2, "startDate": "2026-03-03"}
    span |= {"recurrenceTimeZone": "Tokyo Standard Time"}
    pattern = {"type": "weekly", "interval": 1, "daysOfWeek": ["tuesday"]}
    late = event("2026-03-02T20:00:00", "2026-03-02T21:00:00")
    made = graph.make(**late, recurrence={"pattern": pattern, "range": span})
    assert made["originalStartTimeZone"] == BERLIN
    assert [one["start"]["dateTime"][:16] for one in graph.instances(made["id"])] == [
        "2026-03-02T19:00",
        "2026-03-09T19:00",
    ]


def test_instances_that_overlap_one_another_are_refused(graph: Graph) -> None:
    span = {"type": "noEnd", "startDate": "2026-03-02"}
    recurrence = {"pattern": {"type": "daily", "interval": 1}, "range": span}
    long = event("2026-03-02T10:00:00", "2026-03-03T11:00:00")
    is_error(graph.post(**long, recurrence=recurrence), 400, "ErrorOccurrenceTimeSpanTooBig")
    assert graph.make(**event("2026-03-02T10:00:00", "2026-03-03T10:00:00"), recurrence=recurrence)


def test_instances_end_at_the_wall_time_of_their_series_when_the_clocks_change(graph: Graph) -> None:
    span = {"type": "numbered", "numberOfOccurrences": 2, "startDate": "2026-03-27"}
    recurrence = {"pattern": {"type": "daily", "interval": 1}, "range": span}
    made = graph.make(**event("2026-03-27T22:00:00", "2026-03-28T06:00:00"), recurrence=recurrence)
    found = [
        (one["start"]["dateTime"][11:16], one["end"]["dateTime"][11:16])
        for one in graph.instances(made["id"])
    ]
    assert found == [("21:00", "05:00"), ("21:00", "04:00")]


# Writing


def test_what_is_written_to_a_master_shows_in_its_exceptions_unless_they_have_their_own(graph: Graph) -> None:
    made = graph.series()
    cut(graph, made)
    graph.patch(made["id"], subject="New", location={"displayName": "Home"})
    (exception,) = whole(graph, made["id"])["exceptionOccurrences"]
    assert (exception["subject"], len(whole(graph, made["id"])["cancelledOccurrences"])) == ("Other", 1)
    second = graph.read(exception["id"])
    assert (second["subject"], second["location"]["displayName"]) == ("Other", "Home")


@pytest.mark.parametrize(
    "change",
    [
        event("2026-03-02T12:00:00", "2026-03-02T13:00:00"),
        {"pattern": {"type": "daily", "interval": 2}},
        {"range": {"type": "numbered", "numberOfOccurrences": 6, "startDate": "2026-03-02"}},
    ],
    ids=["times", "pattern", "range"],
)
def test_other_times_or_another_recurrence_bring_back_every_instance(
    graph: Graph, change: dict[str, Any]
) -> None:
    made = graph.series()
    cut(graph, made)
    body = change if "start" in change else {"recurrence": made["recurrence"] | change}
    assert graph.patch(made["id"], **body).status_code == 200
    found = whole(graph, made["id"])
    assert found["exceptionOccurrences"] == found["cancelledOccurrences"] == []


def test_a_series_may_keep_its_exceptions_when_its_end_changes(microsoft_model: Model, graph: Graph) -> None:
    microsoft_model.habits.shortened = "keep"
    made = graph.series()
    cut(graph, made)
    for count, left in ((6, 1), (2, 1), (1, 0)):
        span = {"type": "numbered", "numberOfOccurrences": count, "startDate": "2026-03-02"}
        graph.patch(made["id"], recurrence=made["recurrence"] | {"range": span})
        assert len(whole(graph, made["id"])["exceptionOccurrences"]) == left


def test_the_same_recurrence_again_changes_nothing(graph: Graph) -> None:
    made = graph.series(type="weekly", daysOfWeek=["Monday"])
    cut(graph, made)
    graph.patch(made["id"], recurrence=made["recurrence"])
    assert len(whole(graph, made["id"])["exceptionOccurrences"]) == 1


def test_a_change_that_is_refused_in_part_changes_nothing(graph: Graph) -> None:
    made = graph.series()
    bad = {"pattern": {"type": "weekly", "interval": 1}, "range": made["recurrence"]["range"]}
    is_error(graph.patch(made["id"], subject="New", recurrence=bad), 400)
    found = graph.read(made["id"])
    assert (found["subject"], found["recurrence"], found["changeKey"]) == (
        "Probe",
        made["recurrence"],
        made["changeKey"],
    )


def test_a_series_becomes_a_single_event(graph: Graph) -> None:
    made = graph.series()
    changed = graph.patch(made["id"], recurrence=None).json()
    assert (changed["type"], changed["recurrence"]) == ("singleInstance", None)


def test_with_its_last_instance_a_series_goes(graph: Graph) -> None:
    made = graph.series(range={"numberOfOccurrences": 2})
    for one in graph.instances(made["id"]):
        assert graph.delete(one["id"]) == 204
    is_error(graph.get(f"/me/events/{made['id']}"), 404, "ErrorItemNotFound")


def test_a_cancelled_instance_is_gone(graph: Graph) -> None:
    made = graph.series()
    second = graph.instances(made["id"])[1]
    graph.delete(second["id"])
    is_error(graph.get(f"/me/events/{second['id']}"), 404, "ErrorItemNotFound")
    is_error(graph.patch(second["id"], subject="Other"), 404)


def test_a_neighbour_counts_where_it_stands_and_a_cancelled_one_does_not(graph: Graph) -> None:
    made = graph.series(type="weekly", daysOfWeek=["monday"])
    first, second, third, _ = graph.instances(made["id"])
    graph.patch(second["id"], **event("2026-03-05T10:00:00", "2026-03-05T11:00:00"))
    to_sixth = event("2026-03-06T10:00:00", "2026-03-06T11:00:00")
    is_error(graph.patch(first["id"], **to_sixth), 400, "ErrorOccurrenceCrossingBoundary")
    assert graph.patch(third["id"], **to_sixth).status_code == 200
    graph.delete(second["id"])
    to_fourth = event("2026-03-04T10:00:00", "2026-03-04T11:00:00")
    assert graph.patch(third["id"], **to_fourth).status_code == 200


def test_a_day_is_the_same_day_in_every_zone(graph: Graph) -> None:
    span = {"type": "numbered", "numberOfOccurrences": 3, "startDate": "2026-03-02"}
    recurrence = {"pattern": {"type": "weekly", "interval": 1, "daysOfWeek": ["monday"]}, "range": span}
    pacific = event("2026-03-02T00:00:00", "2026-03-03T00:00:00", "Pacific Standard Time")
    made = graph.make(**pacific, isAllDay=True, recurrence=recurrence)
    second = graph.instances(made["id"])[1]
    moved = graph.patch(second["id"], **event("2026-03-03T00:00:00", "2026-03-04T00:00:00", "UTC"))
    assert moved.json()["start"]["dateTime"][:10] == "2026-03-03"
    graph.patch(made["id"], **event("2026-03-02T00:00:00", "2026-03-03T00:00:00", "UTC"))
    assert graph.days(made["id"]) == ["2026-03-02", "2026-03-03", "2026-03-16"]
    back = graph.patch(second["id"], **event("2026-03-02T00:00:00", "2026-03-03T00:00:00", "UTC"))
    is_error(back, 400, "ErrorOccurrenceCrossingBoundary")


def test_if_match_is_ignored(graph: Graph) -> None:
    made = graph.make()
    answer = graph.http.patch(
        f"/me/events/{made['id']}", json={"subject": "Other"}, headers={"If-Match": 'W/"old"'}
    )
    assert answer.status_code == 200


def test_exchange_works_on_a_new_event_for_a_while(microsoft_model: Model, graph: Graph) -> None:
    microsoft_model.habits.churn = 2
    made = graph.make()
    found = graph.read(made["id"])
    assert found["changeKey"] != made["changeKey"]
    assert graph.read(made["id"])["changeKey"] == found["changeKey"]


def test_a_transaction_id_may_be_used_up_with_its_event(microsoft_model: Model, graph: Graph) -> None:
    first = graph.make(transactionId="one")
    graph.delete(first["id"])
    second = graph.make(transactionId="one")
    assert second["id"] != first["id"]
    graph.delete(second["id"])
    microsoft_model.habits.transaction_after_delete = "refuse"
    is_error(graph.post(transactionId="one"), 409, "ErrorDuplicateTransactionId")


def test_whoever_is_invited_gets_mail(microsoft_model: Model, graph: Graph) -> None:
    made = graph.make(attendees=[GUEST])
    graph.patch(made["id"], showAs="free")
    graph.delete(made["id"])
    assert [mail.kind for mail in microsoft_model.mails] == ["invitation", "update", "cancellation"]
    assert {mail.to for mail in microsoft_model.mails} == {"bob@example.com"}


def test_who_is_invited_mails_nobody(microsoft_model: Model, graph: Graph) -> None:
    named = microsoft_model.place(graph.calendar, event() | {"attendees": [GUEST]}, isOrganizer=False)
    graph.patch(named, showAs="free")
    graph.delete(named)
    assert microsoft_model.mails == []
