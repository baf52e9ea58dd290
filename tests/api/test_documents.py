"""The OpenAPI document: valid, complete, and with examples that fit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from schemathesis.specs.openapi.definitions import OPENAPI_31
from standardwebhooks.webhooks import Webhook

from calendarsync.api import idempotency
from calendarsync.api.app import openapi_document
from calendarsync.api.errors import CODES
from calendarsync.api.examples import ANSWERS, AT, BODIES, WEBHOOK_SECRET
from calendarsync.api.v1.connection_models import Secret
from calendarsync.api.v1.fields import Email, Name, Text
from calendarsync.api.v1.sandbox_models import Prose
from calendarsync.webhooks import signing
from calendarsync.webhooks.catalogue import EventType

DOCUMENT = openapi_document()
OPERATIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    operation["operationId"]: (method, path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
KEYED = [name for name, (_, _, operation) in OPERATIONS.items() if "security" in operation]
each_operation = pytest.mark.parametrize("name", OPERATIONS)
each_keyed = pytest.mark.parametrize("name", KEYED)


def closed(schema: Any) -> Any:
    """The same schema, without room for a field that it does not name."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: closed(value) for key, value in schema.items()}
    if isinstance(inner.get("properties"), dict) and inner.get("type") == "object":
        inner.setdefault("additionalProperties", False)
    return inner


COMPONENTS = {"schemas": closed(deepcopy(DOCUMENT["components"]["schemas"]))}


def mistakes(schema: dict[str, Any], value: Any) -> list[str]:
    """What is wrong with `value`, the fields included that the schema does not name."""
    whole = {**closed(schema), "components": COMPONENTS}
    validator = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
    return [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(value)]


def resolved(item: dict[str, Any]) -> dict[str, Any]:
    """The response, header or parameter itself, where it is named by a reference."""
    if "$ref" not in item:
        return item
    found: Any = DOCUMENT
    for part in item["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    assert isinstance(found, dict)
    return found


def contents(item: dict[str, Any]) -> Iterator[tuple[dict[str, Any], list[Any]]]:
    """Schemas, each with its examples."""
    for media in item.get("content", {}).values():
        values = [each["value"] for each in media.get("examples", {}).values()]
        yield media["schema"], values + ([media["example"]] if "example" in media else [])


def test_it_is_openapi() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    validator = jsonschema_rs.Draft202012Validator(OPENAPI_31)
    assert [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(DOCUMENT)] == []
    broken = DOCUMENT | {"info": {"title": "no version"}}
    assert not validator.is_valid(broken)


def test_every_reference_leads_somewhere() -> None:
    def references(item: Any) -> Iterator[str]:
        if isinstance(item, dict):
            if isinstance(item.get("$ref"), str):
                yield item["$ref"]
            for value in item.values():
                yield from references(value)
        elif isinstance(item, list):
            for value in item:
                yield from references(value)

    found = set(references(DOCUMENT))
    assert len(found) > 30
    for reference in found:
        resolved({"$ref": reference})


def test_every_schema_is_one() -> None:
    for name in DOCUMENT["components"]["schemas"]:
        jsonschema_rs.Draft202012Validator(
            {"$ref": f"#/components/schemas/{name}", "components": COMPONENTS}, validate_formats=True
        )


@each_operation
def test_it_says_what_it_is(name: str) -> None:
    _, _, operation = OPERATIONS[name]
    assert 3 < len(operation["summary"]) < 120
    assert not operation["summary"].endswith(".")
    (tag,) = operation["tags"]
    assert tag in {each["name"] for each in DOCUMENT["tags"] if each["description"]}


def test_every_tag_is_used() -> None:
    used = {operation["tags"][0] for _, _, operation in OPERATIONS.values()}
    assert used == {each["name"] for each in DOCUMENT["tags"]}


@each_operation
def test_bodies_have_examples_that_fit(name: str) -> None:
    _, _, operation = OPERATIONS[name]
    if "requestBody" not in operation:
        assert name not in BODIES
        return
    for schema, examples in contents(operation["requestBody"]):
        assert examples
        assert [mistakes(schema, example) for example in examples] == [[]] * len(examples)


@each_operation
def test_answers_have_examples_that_fit(name: str) -> None:
    _, _, operation = OPERATIONS[name]
    shown = set()
    for status, response in operation["responses"].items():
        for schema, examples in contents(resolved(response)):
            assert examples, status
            shown.add(int(status))
            assert [mistakes(schema, example) for example in examples] == [[]] * len(examples), status
    assert set(ANSWERS.get(name, {})) <= shown


def test_examples_are_of_operations_that_exist() -> None:
    assert set(BODIES) | set(ANSWERS) <= set(OPERATIONS)


def test_an_example_that_does_not_fit_is_found() -> None:
    schema = {"$ref": "#/components/schemas/PairWithLatency"}
    pair = ANSWERS["get_pair"][200]
    assert mistakes(schema, pair) == []
    assert mistakes(schema, pair | {"status": "asleep"})
    assert mistakes(schema, pair | {"created_at": "yesterday"})
    assert mistakes(schema, pair | {"no_such_field": 1})
    assert mistakes(schema, {key: value for key, value in pair.items() if key != "id"})


@each_keyed
def test_errors_that_every_operation_can_give(name: str) -> None:
    method, path, operation = OPERATIONS[name]
    wanted = {"401", "403", "422", "429", "500", "503"}
    wanted |= {"404"} if "{" in path else set()
    wanted |= {"400", "413", "415"} if "requestBody" in operation else set()
    wanted |= {"409"} if method == "post" else set()
    if method in ("patch", "delete") and "get" in DOCUMENT["paths"][path]:
        wanted |= {"412"}
    assert wanted <= set(operation["responses"])


@each_keyed
def test_headers_of_all_answers(name: str) -> None:
    method, path, operation = OPERATIONS[name]
    for status, response in operation["responses"].items():
        headers = set(resolved(response)["headers"])
        assert "X-Request-Id" in headers
        limit = {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"}
        assert limit <= headers or status in ("500", "503")
        assert ("Retry-After" in headers) == (status in ("429", "503"))
        assert ("ETag" in headers) == (method == "get" and status in ("200", "304"))
    parameters = {resolved(each)["name"] for each in operation.get("parameters", ())}
    has_get = "get" in DOCUMENT["paths"][path]
    assert ("Idempotency-Key" in parameters) == (method == "post")
    assert ("If-None-Match" in parameters) == (method == "get")
    assert ("If-Match" in parameters) == (method in ("patch", "delete") and has_get)


def test_errors_have_one_shape() -> None:
    for response in DOCUMENT["components"]["responses"].values():
        ((_, (example,)),) = contents(response)
        assert example["error"]["code"] in CODES.values()


def test_every_event_is_described() -> None:
    assert set(DOCUMENT["webhooks"]) == set(EventType)
    for kind, methods in DOCUMENT["webhooks"].items():
        ((schema, (event,)),) = contents(methods["post"]["requestBody"])
        assert mistakes(schema, event) == []
        assert event["type"] == kind
        assert mistakes(schema, event | {"type": "other"})


def test_the_signatures_in_the_examples_verify() -> None:
    for methods in DOCUMENT["webhooks"].values():
        ((_, (event,)),) = contents(methods["post"]["requestBody"])
        headers = {each["name"]: each.get("example", "") for each in methods["post"]["parameters"]}
        body = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
        moment = datetime.fromisoformat(AT).astimezone(UTC).timestamp()
        signing.verify(WEBHOOK_SECRET, headers, body, now=moment)
        signed = Webhook(WEBHOOK_SECRET).sign(
            headers["webhook-id"], datetime.fromisoformat(AT), body.decode()
        )
        assert signed == headers["webhook-signature"]


@pytest.mark.parametrize("kind", [Text, Name, Prose, Secret, Email])
@given(characters=st.text("a \x00\t\n\r\x1f\x7f\x85\u202e\ufeff@", max_size=4))
@example(characters="@a")
@example(characters="\x85@a")
@example(characters="\ufeff@a")
def test_a_text_is_described_as_it_is_checked(kind: Any, characters: str) -> None:
    adapter, value = TypeAdapter(kind), f"a{characters}"
    described = jsonschema_rs.is_valid(adapter.json_schema(), value)
    try:
        adapter.validate_python(value)
    except ValidationError:
        assert not described
    else:
        assert described


@pytest.mark.parametrize("value", ["a", "a b", "~", "", " ", "a\n", "a\x7f", "ä", "a" * 255, "a" * 256])
def test_an_idempotency_key_is_described_as_it_is_read(value: str) -> None:
    schema = DOCUMENT["components"]["parameters"][idempotency.HEADER]["schema"]
    read = value.strip(" ")  # by every server
    assert jsonschema_rs.is_valid(schema, value) == bool(idempotency._FORM.fullmatch(read))


def test_whoever_changes_a_document_changes_no_other() -> None:
    document = openapi_document()
    posted = document["paths"]["/api/v1/sync-pairs"]["post"]["requestBody"]["content"]["application/json"]
    posted["examples"]["busy-times"]["value"]["connection_a_id"] = "another"
    assert openapi_document() != document
