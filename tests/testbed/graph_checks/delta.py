"""Delta and batches."""

from __future__ import annotations

from typing import Any

import httpx

from .kit import IMMUTABLE, SPRING, Graph, Json, check, event, is_error

# Delta


def of(rows: list[Json], event_id: str) -> Json:
    """The row of an event that was not removed."""
    (row,) = [row for row in rows if row["id"] == event_id]
    assert "@removed" not in row
    return row


def removed(rows: list[Json]) -> dict[str, str]:
    return {row["id"]: row["@removed"]["reason"] for row in rows if "@removed" in row}


@check("event-delta", "the first round has what the window shows, and ends with a link to the next")
def _(graph: Graph) -> None:
    inside, outside = graph.make(), graph.make(**event("2027-03-02T10:00:00", "2027-03-02T11:00:00"))
    rows, link, _ = graph.round()
    assert of(rows, inside["id"])["subject"] == "Probe"
    assert outside["id"] not in {row["id"] for row in rows}
    assert "deltatoken=" in link


@check("event-delta", "startDateTime and endDateTime are needed")
def _(graph: Graph) -> None:
    is_error(graph.get(f"/me/calendars/{graph.calendar}/calendarView/delta"), 400)


@check("event-delta", "$select, $expand, $filter, $orderby and $search are not supported (seen: 400)")
def _(graph: Graph) -> None:
    options: Json = {
        "_select": "subject",
        "_expand": "calendar",
        "_filter": "x eq 1",
        "_orderby": "id",
        "_search": "x",
    }
    for name, value in options.items():
        answer = graph.get(f"/me/calendars/{graph.calendar}/calendarView/delta", **SPRING, **{name: value})
        is_error(answer, 400)


@check("delta-query-events", "Prefer: odata.maxpagesize makes pages")
def _(graph: Graph) -> None:
    for _ in range(5):
        graph.make()
    whole, _, _ = graph.round()
    rows, _, pages = graph.round(headers={"Prefer": "odata.maxpagesize=2"})
    assert pages > 2
    assert {row["id"] for row in rows} == {row["id"] for row in whole}


@check("delta-query-events", "a next round without a change is empty")
def _(graph: Graph) -> None:
    _, link, _ = graph.round()
    rows, link, _ = graph.round(link)
    assert rows == []
    assert "deltatoken=" in link


@check("delta-query-events", "what was created, changed and deleted since")
def _(graph: Graph) -> None:
    kept, gone = graph.make(), graph.make()
    _, link, _ = graph.round()
    made = graph.make()
    graph.patch(kept["id"], subject="Other")
    graph.delete(gone["id"])
    rows, _, _ = graph.round(link)
    assert of(rows, made["id"])["subject"] == "Probe"
    assert of(rows, kept["id"])["subject"] == "Other"
    assert removed(rows) == {gone["id"]: "deleted"}


@check("event-delta", "what changed outside the window comes as @removed, reason deleted")
def _(graph: Graph) -> None:
    leaving = graph.make()
    _, link, _ = graph.round()
    graph.patch(leaving["id"], **event("2027-03-02T10:00:00", "2027-03-02T11:00:00"))
    far = graph.make(**event("2027-03-03T10:00:00", "2027-03-03T11:00:00"))
    rows, _, _ = graph.round(link)
    assert removed(rows) == {leaving["id"]: "deleted", far["id"]: "deleted"}
    assert graph.read(leaving["id"])["id"] == leaving["id"]


@check("event-delta", "a link keeps its window")
def _(graph: Graph) -> None:
    _, link, _ = graph.round()
    assert "DateTime=" not in link
    made = graph.make(**event("2026-05-31T10:00:00", "2026-05-31T11:00:00"))
    rows, _, _ = graph.round(link)
    assert of(rows, made["id"])


@check("seen: issue 7632 of microsoft-graph-docs", "occurrences carry only their series and their times")
def _(graph: Graph) -> None:
    _, link, _ = graph.round()
    made = graph.series()
    rows, _, _ = graph.round(link)
    occurrences = [row for row in rows if row.get("type") == "occurrence"]
    assert len(occurrences) == 4
    names = {"@odata.type", "@odata.etag", "id", "seriesMasterId", "type", "start", "end"}
    assert all(set(row) == names and row["seriesMasterId"] == made["id"] for row in occurrences)


@check("seen: pull request 4501 of microsoft-graph-docs", "nothing tells of a deleted occurrence")
def _(graph: Graph) -> None:
    made = graph.series()
    _, link, _ = graph.round()
    graph.delete(graph.instances(made["id"])[1]["id"])
    rows, _, _ = graph.round(link)
    assert removed(rows) == {}
    assert made["id"] in {row.get("seriesMasterId") or row["id"] for row in rows}


@check("outlook-immutable-id", "links of delta serve both kinds of ids")
def _(graph: Graph) -> None:
    _, link, _ = graph.round()
    made = graph.make()
    rows, _, _ = graph.round(link, IMMUTABLE)
    assert [row["id"] for row in rows] == [graph.read(made["id"], IMMUTABLE)["id"]]


@check("delta-query-overview", "a token that is not known: 410, or a 40x with syncStateNotFound")
def _(graph: Graph) -> None:
    answer = graph.get(f"/me/calendars/{graph.calendar}/calendarView/delta?$deltatoken=never")
    assert answer.status_code in (400, 404, 410), answer.status_code
    if answer.status_code == 410:
        assert answer.headers["Location"].rstrip("=").endswith("deltatoken")


# Batches


def part(number: str, method: str = "GET", url: str = "/me", **more: Any) -> Json:
    return {"id": number, "method": method, "url": url} | more


def statuses(answer: httpx.Response) -> dict[str, int]:
    assert answer.status_code == 200, answer.text
    return {one["id"]: one["status"] for one in answer.json()["responses"]}


@check("json-batching", "each request is answered on its own, by its id")
def _(graph: Graph) -> None:
    body = {"body": event(), "headers": {"Content-Type": "application/json"}}
    answer = graph.batch(
        part("1"), part("2", url="/me/events/AAMkAD"), part("3", "POST", graph.events, **body)
    )
    found = statuses(answer)
    assert (found["1"], found["3"]) == (200, 201)
    assert found["2"] in (400, 404)


@check("json-batching", "a Prefer header belongs to its part")
def _(graph: Graph) -> None:
    made = graph.make()
    url = f"/me/events/{made['id']}?$select=start"
    answer = graph.batch(part("1", url=url), part("2", url=url, headers=IMMUTABLE)).json()["responses"]
    ids = {one["id"]: one["body"]["id"] for one in answer}
    assert ids == {"1": made["id"], "2": graph.read(made["id"], IMMUTABLE)["id"]}


@check("json-batching", "20 requests are the most")
def _(graph: Graph) -> None:
    assert len(statuses(graph.batch(*[part(str(n)) for n in range(20)]))) == 20
    is_error(graph.batch(*[part(str(n)) for n in range(21)]), 400)


@check("json-batching", "ids are unique, whatever their case")
def _(graph: Graph) -> None:
    is_error(graph.batch(part("a"), part("A")), 400)


@check("json-batching", "what depends on a failed request fails with 424")
def _(graph: Graph) -> None:
    found = statuses(graph.batch(part("1", url="/me/nothing"), part("2", dependsOn=["1"]), part("3")))
    assert (found["2"], found["3"]) == (424, 200)


@check("json-batching", "a body needs a Content-Type")
def _(graph: Graph) -> None:
    answer = graph.batch(part("1", "POST", graph.events, body=event()))
    assert answer.status_code == 400 or statuses(answer)["1"] >= 400
