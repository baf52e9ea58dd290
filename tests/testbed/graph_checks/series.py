"""Recurring events and their instances."""

from __future__ import annotations

from .kit import Graph, Json, check, event, is_error

# Series


@check("resources/recurrencepattern", "daily, every three days")
def _(graph: Graph) -> None:
    made = graph.series(interval=3)
    assert graph.days(made["id"]) == ["2026-03-02", "2026-03-05", "2026-03-08", "2026-03-11"]


@check("resources/recurrencepattern", "weekly on two days of every other week; days may be written large")
def _(graph: Graph) -> None:
    made = graph.series(type="weekly", interval=2, daysOfWeek=["Monday", "Tuesday"], firstDayOfWeek="monday")
    assert graph.days(made["id"]) == ["2026-03-02", "2026-03-03", "2026-03-16", "2026-03-17"]


@check("resources/recurrencepattern", "absoluteMonthly, every three months on the 15th")
def _(graph: Graph) -> None:
    made = graph.series("2026-03-15", type="absoluteMonthly", interval=3, dayOfMonth=15)
    assert graph.days(made["id"]) == ["2026-03-15", "2026-06-15", "2026-09-15", "2026-12-15"]


@check("resources/recurrencepattern", "relativeMonthly, the second Wednesday")
def _(graph: Graph) -> None:
    made = graph.series("2026-03-11", type="relativeMonthly", daysOfWeek=["wednesday"], index="second")
    assert graph.days(made["id"]) == ["2026-03-11", "2026-04-08", "2026-05-13", "2026-06-10"]


@check("resources/recurrencepattern", "relativeMonthly with several days: the first that fits")
def _(graph: Graph) -> None:
    made = graph.series(
        "2026-03-05", type="relativeMonthly", daysOfWeek=["thursday", "friday"], index="first"
    )
    assert graph.days(made["id"]) == ["2026-03-05", "2026-04-02", "2026-05-01", "2026-06-04"]


@check("resources/recurrencepattern", "absoluteYearly, on 15 March")
def _(graph: Graph) -> None:
    made = graph.series("2026-03-15", type="absoluteYearly", dayOfMonth=15, month=3)
    assert graph.days(made["id"]) == ["2026-03-15", "2027-03-15", "2028-03-15", "2029-03-15"]


@check("resources/recurrencepattern", "relativeYearly, the last Wednesday of November")
def _(graph: Graph) -> None:
    made = graph.series("2026-11-25", type="relativeYearly", daysOfWeek=["wednesday"], index="last", month=11)
    assert graph.days(made["id"]) == ["2026-11-25", "2027-11-24", "2028-11-29", "2029-11-28"]


@check("resources/recurrencerange", "endDate: the last occurrence is on that day or before")
def _(graph: Graph) -> None:
    span = {"type": "endDate", "endDate": "2026-03-11"}
    made = graph.series(type="weekly", daysOfWeek=["monday"], range=span)
    assert graph.days(made["id"]) == ["2026-03-02", "2026-03-09"]


@check("resources/recurrencerange", "noEnd goes on")
def _(graph: Graph) -> None:
    made = graph.series(range={"type": "noEnd"})
    assert graph.days(made["id"], start="2029-12-30") == ["2029-12-30", "2029-12-31"]


@check(
    "outlook-schedule-recurring-events", "the first Thursday of every other month from 29 August: September"
)
def _(graph: Graph) -> None:
    made = graph.series(
        "2017-08-29", type="relativeMonthly", interval=2, daysOfWeek=["thursday"], index="first"
    )
    found = graph.days(made["id"], start="2017-01-01", end="2018-12-31")
    assert found[:2] == ["2017-09-07", "2017-11-02"], found


@check("resources/recurrencerange", "startDate must be the day of start")
def _(graph: Graph) -> None:
    span = {"type": "noEnd", "startDate": "2026-03-03"}
    is_error(graph.post(recurrence={"pattern": {"type": "daily", "interval": 1}, "range": span}), 400)


@check("resources/recurrencepattern", "what a type needs must be there")
def _(graph: Graph) -> None:
    span = {"type": "noEnd", "startDate": "2026-03-02"}
    for lacking in ("weekly", "absoluteMonthly", "relativeMonthly", "absoluteYearly", "relativeYearly"):
        is_error(graph.post(recurrence={"pattern": {"type": lacking, "interval": 1}, "range": span}), 400)


@check("outlook-schedule-recurring-events", "a property that the type does not use is validated all the same")
def _(graph: Graph) -> None:
    pattern = {"type": "daily", "interval": 1, "index": "seventh"}
    span = {"type": "noEnd", "startDate": "2026-03-02"}
    is_error(graph.post(recurrence={"pattern": pattern, "range": span}), 400)


@check("resources/recurrencerange", "the zone of the event counts: 10:00 in Berlin stays 10:00 in summer")
def _(graph: Graph) -> None:
    made = graph.series("2026-03-23", type="weekly", daysOfWeek=["monday"])
    found = [one["start"]["dateTime"][11:16] for one in graph.instances(made["id"])]
    assert found == ["09:00", "08:00", "08:00", "08:00"]


@check("resources/event", "masters and occurrences by type; iCalUId differs for each")
def _(graph: Graph) -> None:
    made = graph.series()
    found = graph.instances(made["id"])
    assert made["type"] == "seriesMaster"
    assert {one["type"] for one in found} == {"occurrence"}
    assert {one["seriesMasterId"] for one in found} == {made["id"]}
    assert len({one["iCalUId"] for one in [made, *found]}) == 5


@check("event-list-instances", "a span of time is needed")
def _(graph: Graph) -> None:
    is_error(graph.get(f"/me/events/{graph.series()['id']}/instances"), 400)


@check("event-update", "an instance that is changed becomes an exception, with its original start")
def _(graph: Graph) -> None:
    made = graph.series(type="weekly", daysOfWeek=["monday"])
    second = graph.instances(made["id"])[1]
    changed = graph.patch(second["id"], **event("2026-03-11T15:00:00", "2026-03-11T16:00:00")).json()
    assert (changed["type"], changed["originalStart"][:16]) == ("exception", "2026-03-09T09:00")
    assert graph.days(made["id"]) == ["2026-03-02", "2026-03-11", "2026-03-16", "2026-03-23"]


@check("event-update", "an instance can't move to the day of its neighbour: ErrorOccurrenceCrossingBoundary")
def _(graph: Graph) -> None:
    second = graph.instances(graph.series()["id"])[1]
    for start in ("2026-03-02T15", "2026-03-02T07", "2026-03-04T07", "2026-03-04T15", "2026-03-09T15"):
        moved = graph.patch(second["id"], **event(f"{start}:00:00", f"{start}:30:00"))
        is_error(moved, 400, "ErrorOccurrenceCrossingBoundary")


@check("resources/event", "a deleted instance is named in cancelledOccurrences, where they are asked for")
def _(graph: Graph) -> None:
    made = graph.series()
    assert graph.delete(graph.instances(made["id"])[2]["id"]) == 204
    assert graph.days(made["id"]) == ["2026-03-02", "2026-03-03", "2026-03-05"]
    assert "cancelledOccurrences" not in graph.read(made["id"])
    found = graph.read(made["id"], _select="subject,cancelledOccurrences")["cancelledOccurrences"]
    assert found == [f"OID.{made['id']}.2026-03-04"]


@check("resources/event", "exceptionOccurrences come with $expand")
def _(graph: Graph) -> None:
    made = graph.series()
    graph.patch(graph.instances(made["id"])[1]["id"], subject="Other")
    query: Json = {"_select": "subject,exceptionOccurrences", "_expand": "exceptionOccurrences"}
    (found,) = graph.read(made["id"], **query)["exceptionOccurrences"]
    assert found["subject"] == "Other"
