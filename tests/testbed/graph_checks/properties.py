"""Extended properties and immutable ids."""

from __future__ import annotations

from typing import Any

from .kit import COLOR, IMMUTABLE, SHAPE, Graph, Json, check, event, is_error

# Extended properties


def colored(graph: Graph, color: str, **more: Any) -> Json:
    return graph.make(singleValueExtendedProperties=[{"id": COLOR, "value": color}], **more)


@check("singlevaluelegacyextendedproperty-post-singlevalueextendedproperties", "the answer does not show it")
def _(graph: Graph) -> None:
    assert "singleValueExtendedProperties" not in colored(graph, "Plain")


@check("singlevaluelegacyextendedproperty-get", "$expand with a filter on its id shows it")
def _(graph: Graph) -> None:
    made = colored(graph, "Green")
    found = graph.read(made["id"], _expand=f"singleValueExtendedProperties($filter=id eq '{COLOR}')")
    assert found["singleValueExtendedProperties"] == [{"id": COLOR, "value": "Green"}]
    assert "singleValueExtendedProperties" not in graph.read(made["id"])


@check("singlevaluelegacyextendedproperty-post-singlevalueextendedproperties", "PATCH adds one to an event")
def _(graph: Graph) -> None:
    made = colored(graph, "Blue")
    graph.patch(made["id"], singleValueExtendedProperties=[{"id": SHAPE, "value": "Round"}])
    both = f"singleValueExtendedProperties($filter=id eq '{COLOR}' or id eq '{SHAPE}')"
    found = graph.read(made["id"], _expand=both)["singleValueExtendedProperties"]
    assert {one["value"] for one in found} == {"Blue", "Round"}


@check("resources/extended-properties-overview", "an id in none of the three formats is refused")
def _(graph: Graph) -> None:
    is_error(graph.post(singleValueExtendedProperties=[{"id": "Color", "value": "Red"}]), 400)


@check("singlevaluelegacyextendedproperty-get", "$filter finds by id and value, and does not show it")
def _(graph: Graph) -> None:
    made = colored(graph, "Red")
    (row,) = graph.filter("ep/value eq 'Red'")
    assert row["id"] == made["id"]
    assert "singleValueExtendedProperties" not in row


@check("singlevaluelegacyextendedproperty-get", "values are not case-sensitive, names are")
def _(graph: Graph) -> None:
    made = colored(graph, "Yellow")
    assert [row["id"] for row in graph.filter("ep/value eq 'YELLOW'")] == [made["id"]]
    assert graph.filter("ep/value eq 'Yellow'", COLOR.replace("Color", "color")) == []


@check("singlevaluelegacyextendedproperty-get", "startswith and contains")
def _(graph: Graph) -> None:
    made = colored(graph, "Light cyan")
    for condition in ("startswith(ep/value, 'light')", "contains(ep/value, 'cyan')"):
        assert [row["id"] for row in graph.filter(condition)] == [made["id"]], condition


@check("singlevaluelegacyextendedproperty-get", "the filter looks through the whole mailbox")
def _(graph: Graph) -> None:
    made = graph.http.post(
        "/me/events", json=event() | {"singleValueExtendedProperties": [{"id": COLOR, "value": "Elsewhere"}]}
    ).json()
    assert [row["id"] for row in graph.filter("ep/value eq 'Elsewhere'")] == [made["id"]]
    graph.delete(made["id"])


# Immutable ids


@check("outlook-immutable-id", "a preferred immutable id is another id of the same event")
def _(graph: Graph) -> None:
    made = graph.make()
    stable = graph.read(made["id"], IMMUTABLE)["id"]
    assert stable != made["id"]
    assert graph.read(stable)["id"] == made["id"]


@check("user-translateexchangeids", "ids translate to immutable ones")
def _(graph: Graph) -> None:
    made = graph.make()
    wanted = {"sourceIdType": "restId", "targetIdType": "restImmutableEntryId", "inputIds": [made["id"]]}
    (found,) = graph.http.post("/me/translateExchangeIds", json=wanted).json()["value"]
    assert found == {"sourceId": made["id"], "targetId": graph.read(made["id"], IMMUTABLE)["id"]}
