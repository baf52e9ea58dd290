"""The model of Graph: what no app writes, but people, organizers and Exchange itself."""

from __future__ import annotations

from datetime import date

from tests.testbed.graph_checks.kit import IMMUTABLE, Graph, event, is_error
from tests.testbed.microsoft import Model

GLOBAL_OBJECT = "040000008200E00074C5B7101A82E008"


def test_an_invitation_has_its_organizers_uid_and_each_instance_one_of_its_own(
    microsoft_model: Model, graph: Graph
) -> None:
    body = event() | {"recurrence": graph.series()["recurrence"]}
    named = microsoft_model.place(graph.calendar, body, iCalUId="abc@google.com", isOrganizer=False)
    assert graph.read(named)["iCalUId"] == "abc@google.com"
    uid = bytes.fromhex(graph.instances(named)[1]["iCalUId"])
    day = date(2026, 3, 3)
    assert uid[16:20] == bytes((day.year >> 8, day.year & 255, day.month, day.day))
    assert uid[40:] == b"vCal-Uid\x01\x00\x00\x00abc@google.com\x00"


def test_a_uid_of_exchange_is_a_global_object_id(graph: Graph) -> None:
    made = graph.series()
    one, other = (item["iCalUId"] for item in graph.instances(made["id"])[:2])
    assert made["iCalUId"].startswith(GLOBAL_OBJECT)
    assert one[:32] + one[40:] == other[:32] + other[40:] == made["iCalUId"][:32] + made["iCalUId"][40:]


def test_an_answer_to_one_instance(microsoft_model: Model, graph: Graph) -> None:
    made = graph.series()
    second = graph.instances(made["id"])[1]
    declined = {"response": "declined", "time": "2026-03-01T00:00:00Z"}
    microsoft_model.force(second["id"], responseStatus=declined)
    found = [(one["type"], one["responseStatus"]["response"]) for one in graph.instances(made["id"])]
    assert found[:3] == [("occurrence", "organizer"), ("exception", "declined"), ("occurrence", "organizer")]


def test_an_instance_without_its_series(microsoft_model: Model, graph: Graph) -> None:
    named = microsoft_model.place(graph.calendar, event(), type="exception", isOrganizer=False)
    found = graph.read(named)
    assert found["type"] == "exception"
    is_error(graph.get(f"/me/events/{found['seriesMasterId']}"), 404, "ErrorItemNotFound")


def test_a_custom_zone_of_outlook(microsoft_model: Model, graph: Graph) -> None:
    custom = "tzone://Microsoft/Custom"
    named = microsoft_model.place(graph.calendar, event(), originalStartTimeZone=custom)
    found = graph.read(named)
    assert (found["originalStartTimeZone"], found["start"]["dateTime"][:16]) == (custom, "2026-03-02T09:00")


def test_an_event_that_moves_to_another_calendar_keeps_its_immutable_id_alone(
    microsoft_model: Model, graph: Graph
) -> None:
    made = graph.make()
    stable = graph.read(made["id"], IMMUTABLE)["id"]
    other = graph.new_calendar()
    _, link, _ = graph.round(headers=IMMUTABLE)
    microsoft_model.move(made["id"], other)
    rows, _, _ = graph.round(link, IMMUTABLE)
    assert [(row["id"], row["@removed"]) for row in rows] == [(stable, {"reason": "deleted"})]
    is_error(graph.get(f"/me/events/{made['id']}"), 404, "ErrorItemNotFound")
    assert f"calendars('{other}')" in graph.read(stable)["calendar@odata.navigationLink"]
    microsoft_model.habits.links = False
    assert "calendar@odata.navigationLink" not in graph.read(stable)
